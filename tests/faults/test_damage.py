"""Corrupt files: the command that reads one names it, and either goes on without it to the end that it would
have had, or refuses in a line; what the line says then leads to that end."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.commands import COMMANDS, end_state
from tests.faults.conftest import Lab, assert_refusal
from tests.faults.corruptions import CORRUPTIONS
from tests.faults.seeds import announce, cases, chance


@dataclass(frozen=True)
class Damage:
    """Which files are corrupted, and what is known about them.

    command      reads the file, in a run after
    globs        the files of which one is corrupted, under the run's folder
    finished     the command has run to its end before; else the file is one of its inputs
    corruptions  those that can be noticed: a text without checksum may be cut or changed so that it is still valid
    read         False: nothing of the file is used, it is written again
    kept         endings of file names that are left out of the comparison of the end states
    """

    command: str
    globs: tuple[str, ...]
    finished: bool = True
    corruptions: tuple[str, ...] = tuple(CORRUPTIONS)
    read: bool = True
    kept: tuple[str, ...] = ()


READ = ("out/test/**/SYN_Test_??????.*", "out/test/**/SYN*_time.txt")  # the scores are not
MISSING = ("folder", "broken_link")  # an empty text is one without rows
DAMAGES: dict[str, Damage] = {
    "train-checkpoint": Damage("train", ("**/MSTGT_ep0002.pth.tar",)),
    "train-config": Damage("train", ("**/config.yaml",), read=False),
    # a figure may change its digits, and lines that are lost are lost; the weights do not depend on them
    "train-metrics": Damage("train", ("**/metrics.jsonl",), kept=("metrics.jsonl",)),
    "train-dataset": Damage("train", ("data/synthetic/[tv][ra][al]*/*/groundtruth.txt",), False, MISSING),
    "index": Damage("index", ("data/.mstgt_index/*.npz",)),
    "test-checkpoint": Damage("test", ("**/MSTGT_ep0002.pth.tar",), False),
    "test-result": Damage("test", ("out/test/**/SYN*",)),
    "test-manifest": Damage("test", ("**/benchmark.json",)),
    "test-frame": Damage("test", ("data/**/test/*/*.jpg",), False, ("truncate", "empty", *MISSING)),
    "test-truth": Damage("test", ("data/**/test/*/groundtruth.txt",), False, MISSING),
    "zip": Damage("test_zip", ("data/synthetic.zip",), False),
    # the content of an LMDB file is trusted (SECURITY.md): flipped bits may end the process
    "lmdb": Damage("test_lmdb", ("data/synthetic.lmdb",), False, ("truncate", "empty", *MISSING)),
    "score-cache": Damage("score", ("**/*.npz",)),
    "score-result": Damage("score", READ, False),
    "score-manifest": Damage("score", ("**/benchmark.json",), False),
    "submit-result": Damage("submit", READ, False),
    "submit-zip": Damage("submit", ("out/test/submissions/**/*.zip",), read=False),
    "pack-zip": Damage("pack_zip", ("out/set.zip",), read=False),
    "pack-lmdb": Damage("pack_lmdb", ("out/set.lmdb",), read=False),
    # a folder without its file of arguments is taken for somebody else's, which is not replaced
    "synthetic-spec": Damage("synthetic", ("**/synthetic.json",), corruptions=("truncate", "flip", "empty")),
    "synthetic-list": Damage("synthetic", ("**/list.txt",), read=False),
}
ALWAYS = ("train-checkpoint", "index", "test-checkpoint", "test-result", "test-manifest", "zip", "lmdb", "score-cache")


@cases(DAMAGES, nightly=6, always=ALWAYS)
def test_damaged_file(lab, tmp_path, name, seed):
    damage, random = DAMAGES[name], chance(name, seed)
    here = lab.fresh(damage.command, damage.finished)
    path = random.choice(sorted({p for glob in damage.globs for p in here.glob(glob) if p.is_file()}))
    shutil.copy2(path, tmp_path / "whole")
    corruption = damage.corruptions[seed % len(damage.corruptions)]
    announce(seed, CORRUPTIONS[corruption](path, random))
    ignored = damage.kept if damage.finished else (*damage.kept, str(path.relative_to(here)))
    run = lab.start(damage.command)
    status, said = lab.finish(run), run.said()
    assert "Traceback" not in said, said
    named = str(path) in said or (str(path.parent) in said and path.name in said)
    if status == 0 and not path.is_dir() and left(here, ignored) == left(lab.calm(damage.command).here, ignored):
        assert named or corruption in ("flip", "broken_link") or not damage.read, f"{path} is not named:\n{said}"
        return
    assert named, f"{path} is not named:\n{said}"
    if status:
        assert_refusal(said)
    mend(path, tmp_path / "whole" if not damage.finished else None)
    assert_the_end(lab, damage)


def left(here: Path, ignored: tuple[str, ...]) -> dict[str, Any]:
    """What a run has left, without the files whose names end as ``ignored`` says."""
    return {name: content for name, content in end_state(here).items() if not name.endswith(ignored)}


def mend(path: Path, whole: Path | None) -> None:
    """What a user does: what is not ours goes out of the way, and what was given is given again."""
    if path.is_dir():
        path.rmdir()
    if whole is not None:
        if path.is_symlink():
            path.unlink()
        path.write_bytes(whole.read_bytes())  # in place: for a second name of the file, too
        shutil.copystat(whole, path)


def assert_the_end(lab: Lab, damage: Damage) -> None:
    """The same command, or the same with what it asks for, comes to the end of an undisturbed run."""
    for more in ((), COMMANDS[damage.command].again):
        run = lab.start(damage.command, *more)
        status = lab.finish(run)
        if status == 0:
            break
    assert status == 0, run.said()
    here = lab.base / damage.command
    assert left(here, damage.kept) == left(lab.calm(damage.command).here, damage.kept), run.said()
