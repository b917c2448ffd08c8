"""How each benchmark treats frames without a usable ground truth: target absent, hidden, or its box without area.

One-pass evaluation gives three numbers per frame: overlap, center error, normalized center error. In a frame without
ground truth each of them is a ``miss`` (stays in the denominator and never counts), a ``hit`` (stays and always counts)
or is dropped (``drop``). Which one it is depends on each benchmark's own evaluation code, and published numbers depend
on it:

``LASOT``    all three a miss: the target's absence flags make a frame a failure (LaSOT toolkit, and PyTracking
             for "lasot"; the extension is read in the same way).
``GOT10K``   all dropped, where ``cover`` is 0 and only there; boxes are cut to the image first, and a prediction
             without area stays as it is (GOT-10k toolkit).
``OTB``      overlap and center error a miss, normalized error a hit (PyTracking's default for every other set, whose
             normalized error of such a frame is -1, and -1 is below every threshold).
``UAV``      overlap a miss, both center errors a hit (OTB's original toolkit and PyTracking for "uav": error -1).
``DROP``     all dropped: our own sets, where nothing published has to be met.

In all of them the first frame's prediction is replaced by the given box; in all but GOT-10k a prediction without area
by the one before it (OTB toolkit).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Treatment = Literal["miss", "hit", "drop"]


@dataclass(frozen=True)
class AbsentFramePolicy:
    """What a frame without usable ground truth counts as, per metric; ``as_got10k``: read boxes as its toolkit does."""

    overlap: Treatment
    center: Treatment
    normalized: Treatment
    as_got10k: bool = False


LASOT = AbsentFramePolicy("miss", "miss", "miss")
GOT10K = AbsentFramePolicy("drop", "drop", "drop", as_got10k=True)
OTB = AbsentFramePolicy("miss", "miss", "hit")
UAV = AbsentFramePolicy("miss", "hit", "hit")
DROP = AbsentFramePolicy("drop", "drop", "drop")
