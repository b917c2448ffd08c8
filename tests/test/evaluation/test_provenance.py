"""Which results may stay: those of the same weights, settings, precision and folder."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from mstgt.config import dump_config, load_config
from mstgt.test.evaluation import provenance as origin_module
from mstgt.test.evaluation.benchmarks import folder_benchmark
from mstgt.test.evaluation.provenance import (
    ResultsConflictError,
    RunProvenance,
    backend_of_results,
    prepare_results_dir,
)
from mstgt.test.evaluation.results import (
    ManifestError,
    has_result,
    read_boxes,
    read_manifest,
    read_scores,
    read_seconds,
    write_result,
)
from mstgt.test.evaluation.video_queue import VideoLocks
from mstgt.utils.errors import UserError


def settings(*overrides: str) -> str:
    return dump_config(load_config("MSTGT", "MSTGT-demo-128", overrides))


@pytest.fixture
def origin(tmp_path) -> RunProvenance:
    return RunProvenance(tmp_path / "a.pth.tar", "ab" * 32, settings(), "fp32", "a machine", 1)


@pytest.fixture
def take(videos, tmp_path):
    """take(origin, "a", "b", overwrite=…) claims the result folder of three videos for some of them."""
    benchmark = folder_benchmark(videos(a=1, b=1, c=1))

    def run(origin: RunProvenance, *names: str, overwrite: bool = False) -> list[str]:
        return prepare_results_dir(tmp_path / "results", benchmark, "mstgt", "nano", origin,
                                   names or ("a", "b", "c"), overwrite)
    return run


def finish(tmp_path, *names: str) -> None:
    for name in names:
        write_result(tmp_path / "results", name, np.ones((1, 4)), np.ones(1), np.ones(1))


def test_finished_videos_are_skipped(take, origin, tmp_path):
    assert take(origin) == ["a", "b", "c"]
    finish(tmp_path, "b")
    assert take(origin) == ["a", "c"] and take(origin, "b") == []
    manifest = read_manifest(tmp_path / "results")
    assert manifest["checkpoint_sha256"] == "ab" * 32 and manifest["settings"] == origin.settings
    assert manifest["precision"] == "fp32" and manifest["root"] == str(tmp_path / "mine")
    [made_by] = manifest["made_by"]
    assert made_by.keys() == {"code", "torch", "device", "batch"} and made_by["device"] == "a machine"


@pytest.mark.parametrize(("change", "words"), [
    ({"checkpoint_sha256": "cd" * 32}, "checkpoint: .*abababababab… there, cdcdcdcdcdcd… now"),
    ({"precision": "fp16"}, "precision: fp32 there, fp16 now"),
    ({"compile": True}, "compile: False there, True now"),
    ({"cuda_graph": True}, "cuda_graph: False there, True now"),
    ({"backend": "onnx"}, "backend: torch there, onnx now, --backend torch goes on with it"),
    ({"settings": settings("TEST.SEARCH_FACTOR=4.5")}, r"TEST.SEARCH_FACTOR: 4.0 there, 4.5 now"),
])
def test_results_of_another_origin_are_named_and_refused(take, origin, tmp_path, change, words):
    take(origin)
    finish(tmp_path, "a", "b")
    before = (tmp_path / "results" / "benchmark.json").read_text()
    with pytest.raises(ResultsConflictError, match=words) as error:
        take(replace(origin, **change))
    assert "\n" not in str(error.value) and (tmp_path / "results" / "benchmark.json").read_text() == before
    assert take(replace(origin, **change), "a", overwrite=True) == ["a"]
    assert not has_result(tmp_path / "results", "b")  # one manifest speaks for all


def test_the_runtime_of_results_is_that_of_their_manifest(take, origin, videos, tmp_path):
    benchmark, results = folder_benchmark(videos(a=1, b=1, c=1)), tmp_path / "results"
    assert backend_of_results(results, benchmark) is None
    take(replace(origin, backend="onnx"))
    assert backend_of_results(results, benchmark) is None, "a manifest without results: any runtime will do"
    finish(tmp_path, "b")
    assert backend_of_results(results, benchmark) == "onnx"
    (results / "benchmark.json").write_text("{")
    assert backend_of_results(results, benchmark) is None


def test_results_in_a_manifest_that_does_not_say_how_they_were_run_may_be_gone_on_with(take, origin, tmp_path):
    take(origin)
    finish(tmp_path, "a")
    path = tmp_path / "results" / "benchmark.json"
    entries = json.loads(path.read_text())
    assert (entries["compile"], entries["cuda_graph"]) == (False, False)
    path.write_text(json.dumps({k: v for k, v in entries.items() if k not in ("compile", "cuda_graph", "sha256")}))
    with pytest.raises(UserError, match="compile: False there, True now"):
        take(replace(origin, compile=True))
    assert take(origin) == ["b", "c"] and read_manifest(tmp_path / "results")["compile"] is False


def test_another_onnxruntime_is_written_down_beside_the_first(take, origin, tmp_path):
    one, two = (replace(origin, backend="onnx", onnxruntime=version) for version in ("1.2", "1.3"))
    take(one)
    finish(tmp_path, "a")
    assert take(two) == ["b", "c"]
    assert [m["onnxruntime"] for m in read_manifest(tmp_path / "results")["made_by"]] == ["1.2", "1.3"]


def test_settings_of_training_do_not_matter(take, origin, tmp_path):
    take(origin)
    finish(tmp_path, "a")
    assert take(replace(origin, settings=settings("TRAIN.LR=0.5", "TEST.EPOCH=3"))) == ["b", "c"]


def test_overwriting_with_the_same_origin_keeps_the_others(take, origin, tmp_path):
    take(origin)
    finish(tmp_path, "a", "b")
    assert take(origin, "a", overwrite=True) == ["a"] and has_result(tmp_path / "results", "b")


def test_other_code_is_a_warning_and_is_kept_in_the_manifest(take, origin, tmp_path, monkeypatch, caplog):
    take(origin)
    finish(tmp_path, "a")
    take(origin)
    assert not caplog.messages
    old = read_manifest(tmp_path / "results")["made_by"][0]["code"]
    monkeypatch.setattr(origin_module, "code_version", lambda: "newer")
    assert take(origin) == ["b", "c"]
    assert [old in m and "newer" in m for m in caplog.messages] == [True]
    assert [m["code"] for m in read_manifest(tmp_path / "results")["made_by"]] == [old, "newer"]


def test_results_without_a_manifest_are_not_ours(take, origin, tmp_path):
    finish(tmp_path, "a")
    with pytest.raises(UserError, match=r"there is no benchmark\.json"):
        take(origin)
    assert take(origin, overwrite=True) == ["a", "b", "c"]


def test_a_broken_manifest_can_be_overwritten(take, origin, tmp_path):
    take(origin)
    finish(tmp_path, "a")
    (tmp_path / "results" / "benchmark.json").write_text("{")
    with pytest.raises(ManifestError, match="track its videos again"):
        take(origin)
    assert take(origin, overwrite=True) == ["a", "b", "c"]
    assert read_manifest(tmp_path / "results")["precision"] == "fp32"


@pytest.mark.parametrize("ending", [".txt", "_time.txt", "_score.txt", ".sha256"])
def test_a_result_that_is_not_as_it_was_written_is_named_and_left_to_do(take, origin, tmp_path, caplog, ending):
    take(origin)
    finish(tmp_path, "a", "b")
    file = tmp_path / "results" / f"a{ending}"
    file.write_bytes(file.read_bytes().replace(b"1", b"3", 1))
    with pytest.raises(UserError, match=rf"a{ending} is not as it was|not that in a{ending}"):
        read_boxes(tmp_path / "results", "a"), read_seconds(tmp_path / "results", "a"), \
            read_scores(tmp_path / "results", "a")
    assert take(origin) == ["a", "c"]
    assert [f"a{ending}" in m and "tracking it again" in m for m in caplog.messages] == [True]
    assert sorted(p.name for p in (tmp_path / "results").glob("[ab]*.*")) == [
        "b.sha256", "b.txt", "b_score.txt", "b_time.txt", "benchmark.json"]


def test_a_changed_manifest_is_refused(take, origin, tmp_path):
    take(origin)
    path = tmp_path / "results" / "benchmark.json"
    whole = path.read_text()
    for old, new in (('"nano"', '"mano"'), ('"sha256"', '"sha257"'), ("a machine", "a Machine")):
        assert whole.count(old) == 1
        path.write_text(whole.replace(old, new))
        with pytest.raises(ManifestError, match=r"benchmark\.json is not as it was written.*track its videos again"):
            take(origin)


def test_shards_that_replace_old_results_do_not_remove_each_others(take, origin, tmp_path):
    take(origin)
    finish(tmp_path, "a", "b", "c")
    new = replace(origin, checkpoint_sha256="cd" * 32)

    def shard(name: str) -> list[str]:
        left = take(new, name, overwrite=True)
        finish(tmp_path, name)
        return left

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(shard, "abc")) == [["a"], ["b"], ["c"]]
    assert all(has_result(tmp_path / "results", name) for name in "abc")


def test_a_folder_that_another_process_writes_into_is_not_taken_over(take, origin, tmp_path):
    take(origin)
    locks = VideoLocks(tmp_path / "results")
    assert locks.acquire("b")
    changed = replace(origin, precision="fp16")
    for overwrite in (False, True):
        with pytest.raises(ResultsConflictError, match="another process is tracking b .*precision: fp32 there"):
            take(changed, overwrite=overwrite)
    assert take(origin) == ["a", "b", "c"]  # the same origin may work beside it
    locks.release("b")
    assert take(changed) == ["a", "b", "c"]
