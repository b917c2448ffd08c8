"""Which videos a command tracks: its shard of them, and of these, those that no other process is tracking.

    shard = choose_shard("2/8")                   # or None; under torchrun the shard of this process's rank
    names = shard.take({"bear-2": 1200, …})       # its videos
    queue = VideoQueue(folder, names)
    name = queue.take()                           # locked in the results folder; None when none is left
    queue.locks.release(name)                     # it has a result or has failed

Several commands, on one machine or many, may write into the same results folder. Shards are balanced by frames. They
are the same on every machine that has the same videos.

A lock is an advisory lock (``flock``) on the file ``.<video>.lock`` in the results folder. The operating system drops
it when the process that holds it ends, however it ends, so a killed run never blocks a later one. On file systems
without locks every video can be acquired.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from ...utils.errors import UserError, explain_os_error
from .results import has_result

_log = logging.getLogger(__name__)


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
        computes the whole split, so shards do not communicate.
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


class VideoQueue:
    """The videos that are to be tracked, given out one at a time. What is given out is locked in the results folder.

    done_elsewhere  videos for which another process wrote the result meanwhile
    """

    def __init__(self, folder: Path, names: Sequence[str]):
        self.folder = folder
        self.waiting = deque(names)
        self.locks = VideoLocks(folder)
        self.locked_elsewhere: list[str] = []
        self.done_elsewhere: list[str] = []

    def take(self) -> str | None:
        """The next video that no other process is tracking, locked; None when there is none."""
        while self.waiting:
            name = self.waiting.popleft()
            if not self.locks.acquire(name):
                self.locked_elsewhere.append(name)
            elif has_result(self.folder, name):
                # The list was made when this command began. Since then another process has tracked this video.
                self.locks.release(name)
                self.done_elsewhere.append(name)
            else:
                return name
        return None

    def put_back(self, name: str) -> None:
        """Return a video that was taken and not tracked."""
        self.locks.release(name)
        self.waiting.appendleft(name)

    def wait_for_others(self) -> list[str]:
        """Wait until the other processes have ended their videos; gives those that they left without a result."""
        if self.locked_elsewhere:
            _log.info("waiting for %d videos that another process is tracking", len(self.locked_elsewhere))
        left = []
        for name in self.locked_elsewhere:
            # The lock becomes free when its process is done or dead. Whether it left a result tells which.
            self.locks.acquire(name, wait=True)
            self.locks.release(name)
            if has_result(self.folder, name):
                self.done_elsewhere.append(name)
            else:
                left.append(name)
        return left


class VideoLocks:
    """The videos of one results folder that this process is tracking."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._handles: dict[str, int] = {}

    def acquire(self, video: str, wait: bool = False) -> bool:
        """Lock ``video``; False where another process holds it. With ``wait``, return only when it is locked.

        Raises :class:`UserError` where the lock file cannot be made.
        """
        path = self.path(video)
        while True:
            handle = self._open(path)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                os.close(handle)
                return False
            except OSError:
                # This file system has no locks: go on without them.
                self._handles[video] = handle
                return True
            # The process that held the lock before removes the file as it lets go. A lock on a removed file protects
            # nothing, because the next process makes a new file: try again on that one.
            if os.fstat(handle).st_nlink:
                self._handles[video] = handle
                return True
            os.close(handle)

    def release(self, video: str) -> None:
        """Unlock ``video`` and remove its lock file."""
        handle = self._handles.pop(video)
        # Remove first, unlock after: the other way round another process could lock the file in between.
        with contextlib.suppress(OSError):
            self.path(video).unlink(missing_ok=True)
        os.close(handle)

    def release_all(self) -> None:
        """Unlock every video that is still locked."""
        for video in list(self._handles):
            self.release(video)

    def path(self, video: str) -> Path:
        """The lock file of ``video``."""
        place = self.folder / video
        return place.with_name(f".{place.name}.lock")

    def _open(self, path: Path) -> int:
        with explain_os_error(f"cannot lock {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Everybody may write, as far as the umask allows: users of one group may share a results folder.
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def is_locked(folder: Path, video: str) -> bool:
    """Whether a process is tracking ``video`` for ``folder`` now."""
    locks = VideoLocks(folder)
    # To acquire the lock would make the file, in folders that are only looked at, too.
    if not locks.path(video).exists():
        return False
    if not locks.acquire(video):
        return True
    locks.release(video)
    return False
