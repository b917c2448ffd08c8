"""The names in an archive, by folder, small enough for millions of them: 20 to 30 bytes per file.

    directory, order = Directory.of(keys)       # row i of the directory is keys[order[i]]
    directory.row("train/a/00000001.jpg")       # its row; None where there is none
    directory.list("train")                     # the names under a folder
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np

from ...untrusted.arrays import Arrays, ArraysError, check_arrays


class Directory:
    """Names sorted by (folder, name), in UTF-8 bytes.

    folders  (folders,) every folder that holds files; starts (folders + 1,) the first row of each
    names    (files,) the names without their folders
    """

    PARTS = {"folders": "S1", "starts": "i1", "names": "S1"}  # what the constructor takes, and of what kind

    def __init__(self, folders: np.ndarray, starts: np.ndarray, names: np.ndarray):
        """Raises :class:`ArraysError` for parts that do not fit."""
        check_arrays({"folders": folders, "starts": starts, "names": names}, self.PARTS)
        if not (len(starts) == len(folders) + 1 and starts[0] == 0 and starts[-1] == len(names)
                and (np.diff(starts) > 0).all()):
            raise ArraysError("the parts of a directory do not fit")
        self.folders, self.starts, self.names = folders, starts, names
        try:
            self._folder_rows = {folder: i for i, folder in enumerate(_decoded(folders))}
            _decoded(names)
        except UnicodeDecodeError as error:
            raise ArraysError("names that are no UTF-8") from error
        self._children: dict[str, set[str]] = {}
        for folder in self._folder_rows:
            while folder:
                parent, _, name = folder.rpartition("/")
                siblings = self._children.setdefault(parent, set())
                if name in siblings:
                    break
                siblings.add(name)
                folder = parent

    @classmethod
    def of(cls, keys: Sequence[str]) -> tuple[Directory, np.ndarray]:
        """The directory of ``keys`` (without doubles, without faults) and the order of its rows."""
        separated = [key.encode().rpartition(b"/") for key in keys]
        order = sorted(range(len(separated)), key=lambda i: (separated[i][0], separated[i][2]))
        folders: list[bytes] = []
        starts: list[int] = []
        for row, i in enumerate(order):
            if not folders or folders[-1] != separated[i][0]:
                folders.append(separated[i][0])
                starts.append(row)
        names = np.array([separated[i][2] for i in order], dtype=np.bytes_)
        directory = cls(np.array(folders, dtype=np.bytes_), np.array([*starts, len(order)], np.int64), names)
        return directory, np.array(order, np.int64)

    def __len__(self) -> int:
        return len(self.names)

    def keys(self) -> Iterator[str]:
        """All keys in the order of the rows."""
        for folder, i in self._folder_rows.items():
            for name in _decoded(self.names[self.starts[i]:self.starts[i + 1]]):
                yield f"{folder}/{name}" if folder else name

    def row(self, key: str) -> int | None:
        folder, _, name = key.rpartition("/")
        i = self._folder_rows.get(folder)
        if i is None:
            return None
        wanted = name.encode("utf-8", "surrogateescape")
        row = bisect_left(self.names, wanted, int(self.starts[i]), int(self.starts[i + 1]))
        return row if row < self.starts[i + 1] and self.names[row] == wanted else None

    def list(self, folder: str) -> list[str]:
        i = self._folder_rows.get(folder)
        files = [] if i is None else _decoded(self.names[self.starts[i]:self.starts[i + 1]])
        return sorted([*files, *self._children.get(folder, ())])

    def arrays(self) -> Arrays:
        """``PARTS`` by name."""
        return {part: getattr(self, part) for part in self.PARTS}


class DirectoryStore:
    """The part that stores with a directory share: what is there. They set ``_directory``."""

    _directory: Directory

    def __len__(self) -> int:
        return len(self._directory)

    def exists(self, key: str) -> bool:
        return self._directory.row(key) is not None

    def list(self, prefix: str = "") -> list[str]:
        return self._directory.list(prefix)


def _decoded(names: np.ndarray) -> list[str]:
    return [name.decode() for name in names.tolist()]
