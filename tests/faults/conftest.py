"""The server that starts commands, and what their undisturbed runs have left, made once and when it is wanted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults.commands import COMMANDS, copy, end_state
from tests.faults.fork_server import ForkServer, Run
from tests.processes import session_members, until

GONE_S = 30  # in which all that a run has started must be gone


@dataclass(frozen=True)
class Calm:
    """An undisturbed run: its folder, what it has left, how long it took, its file operations."""

    here: Path
    end: dict[str, Any]
    seconds: float
    events: list[str]


@dataclass
class Lab:
    """Where commands are run. A command has one folder, which is made anew for every run: paths, which are part of what
    is written, are the same in all of them."""

    server: ForkServer
    base: Path
    calm_runs: dict[str, Calm] = field(default_factory=dict)

    def calm(self, name: str) -> Calm:
        """The undisturbed run of a command."""
        if name not in self.calm_runs:
            here = self.fresh(name)
            events = self.base / f"{name}.events"
            run = self.start(name, under=str(here), events=str(events))
            assert run.wait() == 0, run.said()
            kept = here.rename(self.base / f"{name}-calm")
            self.calm_runs[name] = Calm(kept, end_state(kept), run.seconds, events.read_text().splitlines())
        return self.calm_runs[name]

    def fresh(self, name: str, finished: bool = False) -> Path:
        """The command's folder with what it reads, or as its undisturbed run has left it."""
        here = self.base / name
        sources = [(self.calm(name).here, here)] if finished else self.sources(name, here)
        if here.exists():
            shutil.rmtree(here)
        (here / "out").mkdir(parents=True)
        for source, target in sources:
            copy(source, target)
        return here

    def sources(self, name: str, here: Path) -> list[tuple[Path, Path]]:
        """What the command reads, and where it wants it."""
        found = []
        for need in COMMANDS[name].needs:
            source, _, target = need.partition("=")
            maker, _, path = source.partition("/")
            found.append(((self.hidden() if maker == "hidden" else self.calm(maker).here) / path,
                          here / (target or path)))
        return found

    def hidden(self) -> Path:
        """A benchmark whose truth is hidden: the synthetic test videos in GOT-10k's place."""
        here = self.base / "hidden"
        if not here.exists():
            copy(self.calm("synthetic").here / "data/synthetic/test", here / "data/got10k/test")
        return here

    def start(self, name: str, *more: str, **fault: Any) -> Run:
        """Start a command in its folder, with more arguments or a fault of the server."""
        here = self.base / name
        arguments = COMMANDS[name].arguments(here)
        return self.server.start(COMMANDS[name].script, [*arguments, *more], here.with_suffix(".log"), **fault)

    def finish(self, run: Run) -> int:
        """The exit status; nothing that the run has started outlives it for long."""
        status = run.wait()
        until(lambda: not session_members(run.pid), GONE_S)
        return status


@pytest.fixture(scope="session")
def lab(tmp_path_factory) -> Iterator[Lab]:
    with ForkServer() as server:
        yield Lab(server, tmp_path_factory.mktemp("lab"))


def assert_refusal(said: str) -> None:
    """What was printed ends in one line for the user, and holds no traceback."""
    assert "Traceback" not in said, said
    problems = [line for line in said.splitlines() if line.startswith(("error: ", "FAILED ", "problem: "))]
    assert problems, said
