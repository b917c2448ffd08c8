"""Locks on the videos of a results folder, so that two commands that write into it do not track the same video.

    locks = VideoLocks(folder)
    if locks.acquire("bear-2"):          # False: another process is tracking it
        ...
        locks.release("bear-2")

A lock is an advisory lock (``flock``) on the file ``.<video>.lock`` in the results folder. The operating system drops
it when the process that holds it ends, however it ends, so a killed run never blocks a later one. On file systems
without locks every video can be acquired.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from ...utils.errors import UserError


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
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Everybody may write, as far as the umask allows: users of one group may share a results folder.
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise UserError(f"cannot lock {path}: {error.strerror or error}") from error


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
