"""Writing, reading and finding result files."""

import numpy as np
import pytest

from mstgt.test.analysis.result_folders import external_folder
from mstgt.test.evaluation import results
from mstgt.test.evaluation.benchmarks import folder_benchmark
from mstgt.utils.errors import UserError

BOXES = np.array([[1.23456, 2, 3, 4], [5, 6, 7.5, 8]])


def test_round_trip_keeps_four_decimals(tmp_path):
    results.write_result(tmp_path, "v", BOXES, np.array([0.5, 0.25]), np.array([1, 0.125]))
    assert (tmp_path / "v.txt").read_text() == "1.2346,2.0000,3.0000,4.0000\n5.0000,6.0000,7.5000,8.0000\n"
    np.testing.assert_allclose(results.read_boxes(tmp_path, "v"), BOXES, atol=5e-5)
    assert results.read_seconds(tmp_path, "v").tolist() == [0.5, 0.25]
    assert results.read_scores(tmp_path, "v").tolist() == [1, 0.125]
    assert results.has_result(tmp_path, "v") and results.read_seconds(tmp_path, "other") is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["v.sha256", "v.txt", "v_score.txt", "v_time.txt"]


def test_rows_that_do_not_match_are_a_defect(tmp_path):
    with pytest.raises(ValueError, match="v: boxes"):
        results.write_result(tmp_path, "v", BOXES, np.zeros(1), np.zeros(2))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("separator", [",", "\t", " "])
def test_separators_of_other_projects(tmp_path, separator):
    (tmp_path / "v.txt").write_text(separator.join("1234"))
    assert results.read_boxes(tmp_path, "v").tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("row", ["nan,1,2,3", "1,2,-3,4", "1,2,3", "1,2,3,four"])
def test_a_bad_row_is_named_with_file_and_line(tmp_path, row):
    (tmp_path / "v.txt").write_text(f"1,2,3,4\n{row}\n")
    with pytest.raises(UserError, match=r"v\.txt, line 2"):
        results.read_boxes(tmp_path, "v")


def test_results_are_found_with_and_without_manifest(tmp_path):
    truth = tmp_path / "mine" / "a" / "groundtruth.txt"
    truth.parent.mkdir(parents=True)
    truth.write_text("1,2,3,4\n")
    with_manifest = results.result_folder(tmp_path, "mstgt", "full", "mine")
    results.write_manifest(with_manifest, folder_benchmark(tmp_path / "mine"), "mstgt", "full", checkpoint="abc")
    without = results.result_folder(tmp_path, "other", "x", "lasot")
    results.write_result(without, "v", BOXES, np.zeros(2), np.zeros(2))
    results.result_folder(tmp_path, "other", "x", "empty").mkdir()
    found = {r.name: r for r in results.find_results(tmp_path)}
    assert set(found) == {"mstgt/full", "other/x"}
    assert found["mstgt/full"].root == tmp_path / "mine" and found["mstgt/full"].benchmark == "mine"
    assert found["other/x"].root is None and found["other/x"].benchmark == "lasot"
    assert results.read_manifest(with_manifest)["checkpoint"] == "abc"
    assert results.find_results(tmp_path / "nowhere") == []


@pytest.mark.parametrize("text", ["{", "[]", '{"benchmark": 3}', '{"benchmark": "a", "root": 1}'])
def test_a_broken_manifest_is_named(tmp_path, text):
    (tmp_path / "benchmark.json").write_text(text)
    with pytest.raises(UserError, match="benchmark.json"):
        results.read_manifest(tmp_path)


def test_results_as_other_projects_lay_them_out(tmp_path):
    truth = tmp_path / "set" / "v" / "groundtruth.txt"
    truth.parent.mkdir(parents=True)
    truth.write_text("1,2,3,4\n")
    benchmark = folder_benchmark(tmp_path / "set")
    for place, file in (("flat", "v.txt"), ("named/set", "v.txt"), ("deep/ostrack/vitb_256/set", "v.txt"),
                        ("got10k", "v/v_001.txt"), ("sheets", "v.csv")):
        path = tmp_path / place / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x\ty\tw\th\n1\t2\t3\t4\n")
        folder = external_folder(tmp_path / place.partition("/")[0], benchmark)
        assert folder == tmp_path / place and results.read_boxes(folder, "v").tolist() == [[1, 2, 3, 4]]
    several = r"several folders below .*: (flat|got10k|named/set|sheets).*; give one of them"
    with pytest.raises(UserError, match=several):
        external_folder(tmp_path, benchmark)
    (tmp_path / "empty").mkdir()
    assert external_folder(tmp_path / "empty", benchmark) == tmp_path / "empty"
