"""Damage what a parser reads, and see that it ends in a result or in one line for the user.

    found = fuzz("coco", rounds=1000, seed=0, folder=tmp_path)
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from mstgt.utils.errors import UserError
from tests.fuzz.bounded import bounded
from tests.fuzz.mutate import mutate
from tests.fuzz.targets import TARGETS, Target

SLOW_S = 10.0  # of the processor for one example, at which a parser counts as stuck


@dataclass
class Outcome:
    """How many examples were read, refused, and how long the slowest kept the processor (s)."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0


def make(target: Target, rng: random.Random) -> bytes:
    """A corrupt example."""
    if target.tree is not None and rng.random() < 0.6:
        return target.tree(rng)
    examples = target.examples()
    return mutate(rng.choice(examples), rng, examples)


def read_one(target: Target, data: bytes, folder: Path, outcome: Outcome) -> None:
    """Read ``data``; anything but a result or a :class:`UserError` that names the file is raised."""
    started = time.process_time()
    try:
        target.read(data, folder)
    except UserError as error:
        message = str(error)
        assert target.named in message and "\n" not in message and len(message) < 3000, message
        outcome.refused += 1
    else:
        outcome.read += 1
    outcome.slowest = max(outcome.slowest, time.process_time() - started)
    assert outcome.slowest < SLOW_S, f"{outcome.slowest:.1f} s"


def fuzz(name: str, folder: Path, rounds: int, seed: int = 0, seconds: float = float("inf")) -> Outcome:
    """Read ``rounds`` corrupt examples, as many as ``seconds`` allow. A failure tells the seed that repeats it."""
    target, outcome, until = TARGETS[name], Outcome(), time.monotonic() + seconds
    for example in target.examples():
        target.read(example, folder)  # intact
    with bounded():
        for number in range(rounds):
            if time.monotonic() > until:
                break
            data = make(target, random.Random(f"{name} {seed} {number}"))
            try:
                read_one(target, data, folder, outcome)
            except Exception as error:
                raise AssertionError(f"example {number} of seed {seed} of {name}: {data[:300]!r}") from error
    return outcome
