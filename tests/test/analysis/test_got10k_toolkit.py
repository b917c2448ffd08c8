"""AO and SR against the GOT-10k toolkit itself (pip install got10k six): its own report on a made-up validation set."""

import logging

import numpy as np
import pytest

from mstgt.test.analysis.report import make_report
from mstgt.test.analysis.score import average, score_video
from mstgt.test.evaluation import absent_frames
from mstgt.test.evaluation.benchmarks import load_benchmark
from tests.test.analysis.helpers import sequence

metrics = pytest.importorskip("got10k.utils.metrics")

SIZE = (320, 240)


def trajectory(rng, frames):
    """Boxes that wander, also out of the image, and predictions near them, some of them far off or without area."""
    truth = np.concatenate([rng.uniform(-40, 300, (frames, 2)), rng.uniform(1, 120, (frames, 2))], axis=1).round(2)
    predicted = truth + rng.normal(0, 12, (frames, 4)).round(2)
    far = rng.random(frames) < 0.2
    predicted[far] = rng.uniform(-100, 400, (far.sum(), 4)).round(2)
    predicted[:, 2:] = predicted[:, 2:].clip(0)
    return truth, predicted, rng.integers(0, 9, frames)


@pytest.mark.parametrize("seed", range(20))
def test_overlaps_are_those_of_the_toolkit(seed):
    rng = np.random.default_rng(seed)
    videos, overlaps = [], []
    for name in "abc":
        truth, predicted, cover = trajectory(rng, int(rng.integers(2, 60)))
        cover[-1] = 8
        video = sequence(truth, name, visible_ratio=cover / 8, size_wh=SIZE)
        videos.append(score_video(predicted, video, absent_frames.GOT10K))
        theirs = metrics.rect_iou(predicted[1:].copy(), truth[1:].copy(), bound=SIZE)
        overlaps.append(theirs[cover[1:] > 0])
        np.testing.assert_allclose(videos[-1].frame_overlap[1:][cover[1:] > 0], overlaps[-1], atol=1e-6)
    overlaps = np.concatenate(overlaps)
    score = average("t", videos, 3)
    assert score.ao == pytest.approx(100 * overlaps.mean(), abs=1e-9)
    assert score.sr50 == pytest.approx(100 * (overlaps > 0.5).mean(), abs=1e-9)
    assert score.sr75 == pytest.approx(100 * (overlaps > 0.75).mean(), abs=1e-9)


def test_ao_and_sr_are_those_of_the_toolkits_own_report(tmp_path):
    experiments = pytest.importorskip("got10k.experiments")
    rng, names = np.random.default_rng(1), [f"GOT-10k_Val_{i:06d}" for i in range(1, 6)]
    for name in names:
        folder, results = tmp_path / "got10k" / "val" / name, tmp_path / "results" / "GOT-10k" / "T" / name
        for path in (folder, results, tmp_path / "ours"):
            path.mkdir(parents=True, exist_ok=True)
        truth, predicted, cover = trajectory(rng, 40)
        cover[0] = 8
        np.savetxt(folder / "groundtruth.txt", truth, fmt="%.4f", delimiter=",")
        np.savetxt(folder / "cover.label", cover, fmt="%d")
        np.savetxt(folder / "absence.label", cover == 0, fmt="%d")
        np.savetxt(folder / "cut_by_image.label", cover * 0, fmt="%d")
        (folder / "meta_info.ini").write_text(f"[METAINFO]\nresolution: {SIZE}\n")
        for i in range(40):
            (folder / f"{i + 1:08d}.jpg").touch()
        for path in (results / f"{name}_001.txt", tmp_path / "ours" / f"{name}.txt"):
            np.savetxt(path, predicted, fmt="%.4f", delimiter=",")
        np.savetxt(results / f"{name}_time.txt", np.full(40, 0.05), fmt="%.4f")
    (tmp_path / "got10k" / "val" / "list.txt").write_text("\n".join(names) + "\n")
    toolkit = experiments.ExperimentGOT10k(str(tmp_path / "got10k"), "val", str(tmp_path / "results"),
                                           str(tmp_path / "reports"))
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    theirs = toolkit.report(["T"])["T"]["overall"]
    report = make_report(load_benchmark("got10k_val", lambda _: tmp_path / "got10k"), {"T": tmp_path / "ours"})
    ours = report.scores[0]
    assert (ours.videos, ours.ao) == (5, pytest.approx(100 * theirs["ao"], abs=1e-9))
    assert ours.sr50 == pytest.approx(100 * theirs["sr"], abs=1e-9)
    assert ours.sr75 == pytest.approx(100 * theirs["succ_curve"][75], abs=1e-9)
