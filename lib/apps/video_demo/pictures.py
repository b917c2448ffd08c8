"""A video in single pictures: a folder of them, or those that a glob names, in the order of their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...data.images import decode_image
from ...data.readers.common import IMAGE_SUFFIXES
from ...data.readers.folder import FRAME_FOLDERS
from ...data.store import FolderStore
from ...utils.errors import UserError

FPS = 25.0


class Pictures:
    """The pictures at ``paths`` as a :class:`~mstgt.apps.video_demo.source.Source`, named after ``origin``."""

    def __init__(self, paths: Sequence[Path], origin: Path):
        self.paths = list(paths)
        origin = origin.absolute()
        if origin.is_dir() and origin.name in FRAME_FOLDERS:  # Car4/img
            origin = origin.parent
        self.name = origin.stem if origin.is_file() else origin.name or "pictures"
        self.fps, self.frames = FPS, len(self.paths)
        first = next((image for _, image in self if image is not None), None)
        if first is None:
            raise UserError(f"none of the {len(self.paths)} pictures of {origin} can be read: they are no images, or "
                            "cut short")
        self.size_wh = first.shape[1], first.shape[0]

    def read(self, start: int = 0) -> Iterator[tuple[int, np.ndarray | None]]:
        for index in range(start, len(self.paths)):
            yield index, _read(self.paths[index])

    def __iter__(self) -> Iterator[tuple[int, np.ndarray | None]]:
        return self.read()

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, *_error: object) -> None:
        pass


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of ``folder``, or of the ``img/``, ``frames/``, … in it. Raises :class:`UserError` without any."""
    for inner in ("", *FRAME_FOLDERS):
        try:
            found = [path for path in (folder / inner).iterdir() if is_picture(path) and path.is_file()]
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise UserError(f"cannot read the folder {folder / inner}: {error.strerror or error}") from error
        if found:
            return sorted(found, key=natural_order)
    raise UserError(f"no pictures ({', '.join(IMAGE_SUFFIXES)}) in the folder {folder}")


def is_picture(path: Path) -> bool:
    """By its ending; what systems hide (``._0001.jpg``) is none."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def natural_order(path: Path) -> list[str | int]:
    """A key that sorts 9.jpg before 10.jpg."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", str(path)))]


def _read(path: Path) -> np.ndarray | None:
    try:
        return decode_image(FolderStore(path.parent).read(path.name), str(path))
    except UserError:
        return None
