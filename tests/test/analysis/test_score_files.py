"""Scoring folders of result files: what is wrong with them, processes, and what is kept between runs."""

import errno
import logging
import os

import numpy as np
import pytest

from mstgt.test.analysis import score_files as module
from mstgt.test.analysis.cache import ScoreCache
from mstgt.test.analysis.score_files import score_folders
from mstgt.test.evaluation import absent_frames
from mstgt.test.evaluation.results import write_result
from mstgt.utils.errors import UserError
from tests.test.analysis.helpers import BOX, benchmark, sequence

GOOD = "10,10,10,10\n"
FAULTS = {  # the text of a result file of three frames, and what is said of it
    "gone": (None, "missing {file}"),
    "empty": ("", "{file}: too short: 0 rows for 3 frames"),
    "short": (2 * GOOD, "{file}: too short: 2 rows for 3 frames"),
    "long": (4 * GOOD, "{file}: too long: 4 rows for 3 frames"),
    "words": (GOOD + "x,y,w,h\n" + GOOD, "{file}, line 2: 'x' is not a finite number or NaN"),
    "text": (GOOD + "10,ten,10,10\n" + GOOD, "{file}, line 2: 'ten' is not a finite number or NaN"),
    "nan": (2 * GOOD + "10,nan,10,10\n", "{file}, line 3: not a box: 10, nan, 10, 10"),
    "infinite": (2 * GOOD + "10,inf,10,10\n", "{file}, line 3: 'inf' is not a finite number or NaN"),
    "negative": (GOOD + "10,10,-1,10\n" + GOOD, "{file}, line 2: not a box: 10, 10, -1, 10"),
    "narrow": (3 * "10,10,10\n", "{file}, line 1: expected 4 numbers, found '10,10,10'"),
    "ragged": (2 * GOOD + "10,10,10,10,0.9\n", "{file}, line 3: expected 4 numbers, found '10,10,10,10,0.9'"),
    "hole": (GOOD + "\n" + 2 * GOOD, "{file}, line 2: expected 4 numbers, found an empty line"),
    "binary": (b"\xff\xfe\x00", "{file}: not a text file of numbers"),
}


def write(folder, name, text):
    if text is not None:
        (folder / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        (folder / f"{name}.sha256").unlink(missing_ok=True)


def figures(scores):
    return [(s.tracker, s.auc, s.precision, s.norm_precision, s.ao, s.sr50, s.sr75, s.fps,
             [(v.name, v.counted, v.overlap_totals, v.frame_overlap.tolist()) for v in s.video_scores])
            for s in scores]


@pytest.fixture
def world(tmp_path):
    """Two trackers on six videos; the second wanders."""
    rng = np.random.default_rng(0)
    videos = [sequence([BOX] * 20, f"v{i}") for i in range(6)]
    for tracker in ("a", "b"):
        for video in videos:
            boxes = np.array([BOX] * 20) + (rng.normal(0, 2, (20, 4)) if tracker == "b" else 0)
            write_result(tmp_path / tracker, video.name, boxes.clip(0), np.full(20, 0.1), np.ones(20))
    return tmp_path, {t: tmp_path / t for t in "ab"}, *benchmark(*videos)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_result_excludes_its_video_alone_and_is_named_with_file_and_line(tmp_path, workers):
    bench, videos = benchmark(*(sequence([BOX] * 3, name) for name in ("good", *FAULTS)))
    write(tmp_path, "good", 3 * GOOD)
    for name, (text, _) in FAULTS.items():
        write(tmp_path, name, text)
    (score,), problems = score_folders({"t": tmp_path}, bench, videos, workers=workers)
    assert score.label == f"t (1 of {len(FAULTS) + 1} videos)" and score.op50 == 100
    assert [p.missing for p in problems] == [name == "gone" for name in FAULTS]
    for problem, (name, (_, said)) in zip(problems, FAULTS.items(), strict=True):
        assert problem.message.startswith("t: " + said.format(file=tmp_path / f"{name}.txt"))


@pytest.mark.parametrize(("times", "said"), [(2 * "0.1\n", "too short: 2 rows for 3 frames"),
                                             (4 * "0.1\n", "too long"), ("0.1\nfast\n0.1\n", "line 2: 'fast'")])
def test_times_that_do_not_fit_are_a_fault_and_the_boxes_are_scored(tmp_path, times, said):
    bench, videos = benchmark(sequence([BOX] * 3))
    write(tmp_path, "v", 3 * GOOD)
    (tmp_path / "v_time.txt").write_text(times)
    for _ in range(2):  # the second time with what is kept
        (score,), (problem,) = score_folders({"t": tmp_path}, bench, videos, tmp_path / "cache")
        assert f"{tmp_path / 'v_time.txt'}" in problem.message and said in problem.message
        assert score.videos == 1 and score.op50 == 100 and score.fps is None
        assert problem.missing, "--allow_missing accepts it"


def test_fps_leaves_out_the_first_frame_and_needs_the_times_of_all(tmp_path):
    bench, videos = benchmark(sequence([BOX] * 3), sequence([BOX] * 3, "w"))
    for name in "vw":
        write_result(tmp_path, name, np.array([BOX] * 3), np.array([9, 0.1, 0.1]), np.ones(3))
    (score,), problems = score_folders({"t": tmp_path}, bench, videos)
    assert score.fps == pytest.approx(10) and problems == [] and score.label == "t"
    (tmp_path / "w_time.txt").unlink()
    assert score_folders({"t": tmp_path}, bench, videos)[0][0].fps is None


def test_processes_and_cache_change_no_score(world, monkeypatch):
    tmp_path, folders, bench, videos = world
    alone, _ = score_folders(folders, bench, videos, workers=1)
    shared, _ = score_folders(folders, bench, videos, tmp_path / "cache", workers=2)
    monkeypatch.setattr(module, "read_boxes", None)  # nothing may be read now
    kept, _ = score_folders(folders, bench, videos, tmp_path / "cache", workers=1)
    assert figures(alone) == figures(shared) == figures(kept) and len(alone) == 2 and alone[0].auc > alone[1].auc


def test_processes_start_by_themselves_where_there_is_much_to_read(world, monkeypatch):
    _, folders, bench, videos = world
    alone, _ = score_folders(folders, bench, videos, workers=1)
    monkeypatch.setattr(module, "PARALLEL_FROM_BYTES", 1)
    assert figures(score_folders(folders, bench, videos)[0]) == figures(alone)


def test_a_changed_file_annotation_or_rule_is_scored_again(world, monkeypatch):
    tmp_path, folders, bench, videos = world
    read = []
    plain = module.read_boxes
    monkeypatch.setattr(module, "read_boxes",
                        lambda folder, name: read.append((folder.name, name)) or plain(folder, name))

    def read_again(bench=bench, videos=videos):
        read.clear()
        score_folders(folders, bench, videos, tmp_path / "cache", workers=1)
        return sorted(read)

    assert len(read_again()) == 12 and read_again() == []
    write(folders["a"], "v1", 20 * GOOD)
    assert read_again() == [("a", "v1")]
    state = (folders["b"] / "v2.txt").stat()
    os.utime(folders["b"] / "v2.txt", ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    (folders["b"] / "v3_time.txt").unlink()
    assert read_again() == [("b", "v2"), ("b", "v3")] and read_again() == []
    other = benchmark(*(sequence([BOX] * 19 + [[11, 10, 10, 10]], n) if n == "v4" else s for n, s in videos.items()))
    assert read_again(*other) == [("a", "v4"), ("b", "v4")]
    assert len(read_again(*benchmark(*videos.values(), rule=absent_frames.LASOT))) == 12


def test_a_fault_is_not_kept_and_does_not_outlive_its_file(world):
    tmp_path, folders, bench, videos = world
    good = (folders["a"] / "v0.txt").read_text()
    for text, faults in ((good, 0), ("x\n", 1), (good, 0)):
        write(folders["a"], "v0", text)
        assert [len(score_folders(folders, bench, videos, tmp_path / "cache")[1]) for _ in range(2)] == [faults] * 2


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"no archive",
                                    lambda data: data[:300] + bytes(64) + data[364:]])
def test_a_corrupt_cache_is_said_and_made_anew(world, damage, caplog):
    tmp_path, folders, bench, videos = world
    first, _ = score_folders(folders, bench, videos, tmp_path / "cache")
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(damage(file.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert figures(score_folders(folders, bench, videos, tmp_path / "cache")[0]) == figures(first)
    assert caplog.text.count("are corrupt") == 2
    caplog.clear()
    assert figures(score_folders(folders, bench, videos, tmp_path / "cache")[0]) == figures(first) and not caplog.text


def test_a_cache_that_cannot_be_written_is_said(world, caplog):
    tmp_path, folders, bench, videos = world
    (tmp_path / "cache").write_text("a file")
    scores, problems = score_folders(folders, bench, videos, tmp_path / "cache")
    assert len(scores) == 2 and problems == [] and "scores are not kept" in caplog.text


def test_other_code_makes_other_scores(world, monkeypatch):
    tmp_path, folders, bench, videos = world
    score_folders(folders, bench, videos, tmp_path / "cache")
    assert len(ScoreCache(tmp_path / "cache", bench.absent_policy, videos).load("a", folders["a"])) == 6
    monkeypatch.setattr("mstgt.test.analysis.cache._maker", lambda: "changed")
    assert ScoreCache(tmp_path / "cache", bench.absent_policy, videos).load("a", folders["a"]) == {}


def test_a_full_dev_shm_is_a_user_error(world, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    _, folders, bench, videos = world
    monkeypatch.setattr(module, "ProcessPoolExecutor", full)
    with pytest.raises(UserError, match="they need room in /dev/shm, --workers 1 needs none: No space left on device"):
        score_folders(folders, bench, videos, workers=2)


def test_a_killed_worker_is_a_user_error(world, monkeypatch):
    _, folders, bench, videos = world
    monkeypatch.setattr(module, "_score_in_worker", _die)
    with pytest.raises(UserError, match="score with one process"):
        score_folders(folders, bench, videos, workers=2)


def _die(job):
    os._exit(9)
