"""A video given as single images: a folder of them, or those that a glob matches, in the order of their numbers.

Of a folder, the images whose names differ in a number are the frames, by the same rule as in datasets
(:mod:`mstgt.data.frame_names`); others, such as a ``cover.jpg`` or a second copy of each frame, are
ignored and named in ``notes``.

Images are turned upright as their EXIF orientation says, as every viewer does it. Images of 16 bits or floating point
are stretched to 8 bits over the range of the first readable one; the range stays fixed, so that brightness does not
flicker.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from ...data.frame_names import IMAGE_SUFFIXES, find_frames, missing_frames
from ...data.images import decode_full_depth, decode_image, may_be_deep, stretch, value_range
from ...data.readers.folder import FRAME_FOLDERS
from ...data.store import FolderStore
from ...utils.errors import UserError, explain_os_error, shortened
from .source import Frame, Source

FPS = 25.0
_EXIF_WITHIN = 1 << 17  # bytes from the start of a file in which its EXIF data begin


class ImageFiles(Source):
    """The images at ``paths`` as a source named after ``origin``."""

    def __init__(self, paths: Sequence[Path], origin: Path, ignored: Sequence[str] = ()):
        self.paths = list(paths)
        origin = Path(os.path.abspath(origin))  # of ".." the folder that it is: the name becomes that of a folder
        if origin.is_dir() and origin.name in FRAME_FOLDERS:  # Car4/img
            origin = origin.parent
        self.name = origin.stem if origin.is_file() else origin.name or "images"
        self.fps, self.frames = FPS, len(self.paths)
        self.notes: list[str] = []
        if ignored:
            self.notes.append(f"ignored, because their names do not fit the others: {len(ignored)} images "
                              f"({shortened(ignored)})")
        missing = missing_frames(tuple(path.name for path in self.paths), rows=0, first_only=True)[1]
        if missing:
            self.notes.append(f"missing between the others: {len(missing)} images ({shortened(missing)}); frames are "
                              "counted without them")
        self._range: tuple[float, float] | None = None  # of the first image with more than 8 bits
        self._fault = ""  # of the last image that cannot be read
        first = next((frame.image_rgb for frame in self.read() if frame.image_rgb is not None), None)
        if first is None:
            raise UserError(f"none of the {len(self.paths)} images of {origin} can be read: {self._fault}")
        self.size_wh = first.shape[1], first.shape[0]

    def read(self, start: int = 0) -> Iterator[Frame]:
        for index in range(start, len(self.paths)):
            yield Frame(index, self._load(self.paths[index]), index / self.fps)

    def _load(self, path: Path) -> np.ndarray | None:
        """(H, W, 3) uint8 RGB; None if it cannot be read."""
        try:
            data = FolderStore(path.parent).read(path.name)
            # decode_image is faster, but ignores the EXIF orientation and the depth
            decode = decode_full_depth if _needs_opencv(data) else decode_image
            image = decode(data, str(path))
        except UserError as error:
            self._fault = str(error)
            return None
        return image if image.dtype == np.uint8 else self._stretch(image)

    def _stretch(self, image: np.ndarray) -> np.ndarray:
        """Any depth -> uint8: the range of the first such image becomes 0 to 255."""
        if self._range is None:
            self._range = low, high = value_range(image)
            self.notes.append(f"{8 * image.dtype.itemsize}-bit images: values from {low:g} to {high:g}, the range of "
                              "the first image, are shown as 0 to 255")
        return stretch(image, *self._range)


def _needs_opencv(data: bytes) -> bool:
    """Whether an image may be rotated by EXIF or have more than 8 bits."""
    return may_be_deep(data) or any(word in data[:_EXIF_WITHIN] for word in (b"Exif", b"EXIF", b"eXIf"))


def open_folder(folder: Path) -> ImageFiles:
    """The images in ``folder``, or in its ``img/``, ``frames/``, …. Raises :class:`UserError` if there are none."""
    for inner in ("", *FRAME_FOLDERS):
        try:
            images = sorted(path.name for path in (folder / inner).iterdir() if is_image(path) and path.is_file())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise UserError(f"cannot read the folder {folder / inner}: {error.strerror or error}") from error
        if images:
            frames = find_frames(images)
            names = frames.names or images  # without numbers, all of them
            return ImageFiles([folder / inner / name for name in names], folder, frames.ignored if frames.names else ())
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir())
    others = f", but folders ({shortened(folders)}): name the one with the video" if folders else ""
    raise UserError(f"no images ({', '.join(IMAGE_SUFFIXES)}) in the folder {folder}{others}")


def open_image(path: Path) -> ImageFiles:
    """The image at ``path`` as a video of one frame. Raises :class:`UserError` for one that holds several."""
    with explain_os_error(f"cannot read {path}"), open(path, "rb") as file:
        head = file.read(_EXIF_WITHIN)
    is_animation = head[8:16] == b"WEBPVP8X" and b"ANIM" in head or head[12:16] == b"IHDR" and b"acTL" in head
    if is_animation or path.suffix.lower() in (".tif", ".tiff") and cv2.imcount(str(path)) > 1:
        raise UserError(f"{path} holds several images, of which only the first would be read; save them as a video or "
                        "as single images in a folder")
    return ImageFiles([path], path)


def is_image(path: Path) -> bool:
    """By its ending. Hidden files, such as the ``._0001.jpg`` that macOS leaves, are not images."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def in_frame_order(paths: Sequence[Path]) -> list[Path]:
    """Return ``paths`` folder by folder, each in the order of its frames; where not all are frames, 9.jpg before
    10.jpg."""
    folders: dict[Path, list[str]] = {}
    for path in sorted(paths, key=_natural_order):
        folders.setdefault(path.parent, []).append(path.name)
    ordered = []
    for folder, names in folders.items():
        frames = find_frames(names)
        ordered += [folder / name for name in (names if frames.ignored else frames.names)]
    return ordered


def _natural_order(path: Path) -> list[str | int]:
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", str(path)))]
