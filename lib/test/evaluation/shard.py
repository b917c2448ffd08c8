"""A share of the videos for each of several commands, on one machine or many, that write into the same folder.

    shard = choose_shard("2/8")                   # the flag --shard; under torchrun without it, the process's rank
    names = shard.take({"bear-2": 1200, …})       # its videos

The shares are balanced by frames and the same on every machine that has the same videos.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import torch.distributed as dist

from ...utils.errors import UserError


@dataclass(frozen=True)
class Shard:
    """Share ``index`` (from 0) of ``count``; ``launched``: torchrun started a process for each of them."""

    index: int = 0
    count: int = 1
    launched: bool = False

    def __str__(self) -> str:
        return f"{self.index + 1}/{self.count}"

    def take(self, lengths: Mapping[str, int]) -> list[str]:
        """The videos of this share: the longest first, each goes to the share that has fewest frames so far."""
        frames, own = [0] * self.count, set()
        for name in sorted(lengths, key=lambda name: (-lengths[name], name)):
            least = frames.index(min(frames))
            frames[least] += max(1, lengths[name])
            if least == self.index:
                own.add(name)
        return [name for name in lengths if name in own]

    def devices(self, threads: int, gpus: int) -> list[str]:
        """The device of each of ``threads`` workers where ``gpus`` may be used; torchrun gives a process one GPU."""
        if not gpus:
            return ["cpu"] * threads
        if self.launched:
            return [f"cuda:{int(os.environ['LOCAL_RANK']) % gpus}"] * threads
        return [f"cuda:{i % gpus}" for i in range(threads)]

    def wait_for_others(self) -> None:
        """Under torchrun: return when all shares are done, for torchrun ends all when the first one fails."""
        if self.launched and self.count > 1:
            dist.init_process_group("gloo", timeout=timedelta(days=30))
            dist.barrier()
            dist.destroy_process_group()


def choose_shard(text: str | None) -> Shard:
    """The share that ``text`` (``i/n``, from 1) or torchrun asks for; everything where neither does."""
    launched = all(name in os.environ for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
    if launched and text:
        raise UserError("--shard cannot be given under torchrun: there the rank is the shard")
    if launched:
        return Shard(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), launched=True)
    if text is None:
        return Shard()
    match = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", text, re.ASCII)
    if not match or int(match[1]) > int(match[2]):
        raise UserError(f"--shard is i/n with i from 1 to n, such as 2/8, not {text!r}")
    return Shard(int(match[1]) - 1, int(match[2]))
