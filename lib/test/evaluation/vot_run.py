"""Serve a tracker to the VOT toolkit over the TraX protocol: a box in, then a box and a confidence per frame.

    with Connection("MSTGT-full-256") as connection:    # greets the toolkit on standard output
        connection.serve(tracker)                       # until the toolkit says quit

The toolkit sends the names of the frames' files and turns polygons and masks into upright boxes. Boxes keep the
coordinates that the toolkit uses. The toolkit may initialize the tracker as often as it likes in one process, which is
how the experiments with restarts and with several starting points work. The reason of an error is sent before the
connection is closed.

TraX comes as the package ``vot-trax``, an optional part of this project: ``pip install -e '.[vot]'``.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.images import decode_image
from ...data.store import FolderStore
from ...utils.errors import UserError

if TYPE_CHECKING:
    from ..tracker import Tracker

CHANNEL = "color"


class Connection:
    """The tracker's end of a TraX connection. Raises :class:`UserError` where TraX is not installed."""

    def __init__(self, name: str):
        self.trax = import_trax()
        self.name = name
        self.server: Any = None

    def __enter__(self) -> Connection:
        trax = self.trax
        self.server = trax.Server([trax.Region.RECTANGLE], [trax.Image.PATH], image_channels=[CHANNEL],
                                  tracker_name=self.name)
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None,
                 _trace: TracebackType | None) -> None:
        # A TraX message is one line.
        reason = None if error is None else str(error).replace("\n", " ")
        # Where the connection is lost there is nobody to send the reason to.
        with contextlib.suppress(self.trax.TraxException):
            self.server.quit(reason)
        if isinstance(error, self.trax.TraxException):
            raise UserError("TraX connection lost; this command is started by the VOT toolkit, as "
                            f"docs/vot.md says ({reason})") from error

    def serve(self, tracker: Tracker) -> int:
        """Answer the toolkit's requests until it quits; the number of frames tracked."""
        status = self.trax.TraxStatus
        frames = 0
        while (request := self.server.wait()).type != status.QUIT:
            image = _read(request.image[CHANNEL].path())
            # This may come after any frame: the toolkit initializes the tracker again after a failure.
            if request.type == status.INITIALIZE:
                box_xywh = _one_box(request.objects)
                score = 1.0
                tracker.init(image, box_xywh)
            else:
                box_xywh, score = tracker.update(image)
                frames += 1
            region = self.trax.Rectangle.create(*map(float, box_xywh))
            self.server.status([(region, {"confidence": float(score)})])
        return frames


def import_trax() -> ModuleType:
    """The module ``trax``. Raises :class:`UserError` that says how to install it."""
    try:
        import trax
    except ImportError as error:
        raise UserError("the package vot-trax is not installed (no module 'trax'); "
                        "install it with: pip install -e '.[vot]'") from error
    return trax


def _one_box(objects: list[tuple[Any, dict[str, str]]]) -> np.ndarray:
    """The given box x, y, w, h. Raises :class:`UserError` for several targets."""
    if len(objects) != 1:
        raise UserError(f"the VOT toolkit gave {len(objects)} targets; this tracker tracks one: evaluate it in "
                        "bounding-box short-term experiments")
    return np.array(objects[0][0].bounds(), dtype=np.float64)


def _read(path: str) -> np.ndarray:
    file = Path(path)
    # Read and decoded as in every other evaluation, so that the same image gives the same box.
    return decode_image(FolderStore(file.parent).read(file.name), path)
