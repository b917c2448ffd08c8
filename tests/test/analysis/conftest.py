"""A small report with all that images and the page can show, and names that try to do harm."""

import numpy as np
import pytest

from mstgt.data.video import Video
from mstgt.test.analysis.report import BenchmarkReport
from mstgt.test.analysis.score import STATIC_BOX, average, score_video
from mstgt.test.analysis.score_files import Problem
from mstgt.test.evaluation.absent_frames import DROP
from mstgt.test.evaluation.results import write_result
from mstgt.utils.errors import UserError

HOSTILE = "</script><script>window.harmed=1</script>\"'&\u2028 Ж追 $data"
FRAMES = 40


class Painted:
    """Frames of noise; none at all where ``there`` is false."""

    def __init__(self, there=True):
        self.there = there

    def __len__(self):
        return FRAMES

    def read(self, index, reduce=1):
        if not self.there:
            raise UserError(f"cannot read frame {index}")
        return np.random.default_rng(index).integers(0, 255, (120, 160, 3), dtype=np.uint8)

    def where(self, index):
        return f"frame {index}"


def make_sequence(number, attributes=(), there=True):
    """A target that drifts to the right; it is out of view in frames 20 to 24."""
    boxes = np.column_stack([10.0 + np.arange(FRAMES), np.full(FRAMES, 20.0 + number), np.full((FRAMES, 2), 30.0)])
    visible = np.ones(FRAMES, bool)
    visible[20:25] = False
    name = HOSTILE if number == 0 else f"video {number}"
    return Video(name, Painted(there), boxes, visible, attributes=tuple(attributes))


def tracked(sequence, quality, lost_from=FRAMES):
    """Boxes that are off by ``quality`` pixels, and far away from frame ``lost_from`` on."""
    boxes = sequence.boxes_xywh + [quality, 0, 0, 0]
    boxes[lost_from:] = [120, 80, 30, 30]
    return boxes


@pytest.fixture(scope="session")
def make_small_report(tmp_path_factory):
    """A maker of reports: (trackers, videos, attributes, with times, with images) -> report, tracker -> folder."""

    def make(names=("alpha", HOSTILE, "gamma"), videos=3, attributes=("blur", "occlusion", HOSTILE), times=True,
             images=True):
        folder = tmp_path_factory.mktemp("results")
        sequences = [make_sequence(i, attributes, images) for i in range(videos)]
        scores, folders = [], {}
        for i, name in enumerate(names):
            parts = []
            for n, sequence in enumerate(sequences):
                boxes = tracked(sequence, 2.0 * i + n, lost_from=8 if n == 1 else FRAMES)
                write_result(folder / str(i), f"{n}", boxes, np.full(FRAMES, 0.05), np.ones(FRAMES))
                seconds = np.full(FRAMES, 0.01 * (i + 1)) if times else None
                parts.append(score_video(boxes, sequence, DROP, seconds))
            scores.append(average(name, parts, videos))
            folders[name] = folder / str(i)
        given = [score_video(np.repeat(s.boxes_xywh[:1], FRAMES, 0), s, DROP) for s in sequences]
        static_box = average(STATIC_BOX, given, videos)
        problems = (Problem(f"{HOSTILE}: missing a.txt", missing=True), Problem("alpha: b.txt, line 3: not a box"))
        return BenchmarkReport("small", tuple(scores), static_box, problems, (f"note of {HOSTILE}",),
                      {s.name: s for s in sequences}), folders

    return make
