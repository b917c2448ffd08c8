"""Split the videos over several commands, on one machine or many, that write into the same results folder.

    shard = choose_shard("2/8")                   # or None; under torchrun the shard of this process's rank
    names = shard.take({"bear-2": 1200, …})       # its videos

Shards are balanced by frames. They are the same on every machine that has the same videos.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from ...utils.errors import UserError


@dataclass(frozen=True)
class Shard:
    """Shard ``index`` (from 0) of ``count``; ``launched``: torchrun started one process for each of them."""

    index: int = 0
    count: int = 1
    launched: bool = False

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"

    def take(self, lengths: Mapping[str, int]) -> list[str]:
        """The videos of this shard, from the frames of every video.

        Greedy balancing: the longest video first, each to the shard that has the fewest frames so far. Every shard
        computes the whole split, so they need not talk to each other.
        """
        frames = [0] * self.count
        own = set()
        for name in sorted(lengths, key=lambda name: (-lengths[name], name)):
            lightest = frames.index(min(frames))
            # At least 1, so that videos that cannot be read do not all fall to one shard.
            frames[lightest] += max(1, lengths[name])
            if lightest == self.index:
                own.add(name)
        # In the benchmark's order, as without shards.
        return [name for name in lengths if name in own]

    def devices(self, workers: int, gpus: int) -> list[str]:
        """The device of each of ``workers`` workers, where ``gpus`` may be used.

        Under torchrun a process uses the one GPU of its local rank.
        """
        if not gpus:
            return ["cpu"] * workers
        if self.launched:
            return [f"cuda:{int(os.environ['LOCAL_RANK']) % gpus}"] * workers
        return [f"cuda:{i % gpus}" for i in range(workers)]

    def wait_for_others(self) -> None:
        """Under torchrun, return when all shards are done: torchrun ends all processes when the first one fails."""
        if self.launched and self.count > 1:
            import torch.distributed as dist  # here: a shard is chosen before PyTorch is loaded

            # The default timeout of 30 minutes is shorter than the longest shard may take.
            dist.init_process_group("gloo", timeout=timedelta(days=30))
            dist.barrier()
            dist.destroy_process_group()


def choose_shard(text: str | None) -> Shard:
    """The shard that ``text`` (``i/n``, from 1) or torchrun asks for; all videos where neither does.

    Raises :class:`UserError` for another text, and where both ask.
    """
    launched = all(name in os.environ for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
    if launched and text:
        raise UserError("a shard cannot be chosen under torchrun: there the rank is the shard")
    if launched:
        return Shard(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), launched=True)
    if text is None:
        return Shard()
    match = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", text, re.ASCII)
    if not match or int(match[1]) > int(match[2]):
        raise UserError(f"a shard is i/n with i from 1 to n, such as 2/8, not {text!r}")
    return Shard(int(match[1]) - 1, int(match[2]))
