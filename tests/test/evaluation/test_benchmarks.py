"""Benchmarks by name and by folder."""

import pytest

from mstgt.test.evaluation.benchmarks import BENCHMARKS, folder_benchmark, load_benchmark
from mstgt.utils.errors import UserError


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_named_benchmark_knows_its_size_and_rule(tmp_path):
    write(tmp_path / "lasot/bear/bear-2/groundtruth.txt", "1,2,3,4\n")
    benchmark = load_benchmark("lasot", lambda key: tmp_path / key)
    assert (benchmark.name, benchmark.expected, len(benchmark.videos)) == ("lasot", 280, 1)
    assert benchmark.absent_policy.overlap == "miss" and benchmark.root is None and not benchmark.hidden_truth


def test_aliases_and_sets_without_public_truth(tmp_path):
    write(tmp_path / "got10k/test/a/groundtruth.txt", "1,2,3,4\n")
    benchmark = load_benchmark("got10k", lambda key: tmp_path / key)
    assert benchmark.name == "got10k_test" and benchmark.hidden_truth and benchmark.expected == 180


def test_folder_benchmark_is_named_after_its_folder(tmp_path):
    write(tmp_path / "mine/a/groundtruth.txt", "1,2,3,4\n")
    benchmark = folder_benchmark(tmp_path / "mine")
    assert (benchmark.name, benchmark.expected, benchmark.root) == ("mine", 1, tmp_path / "mine")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_an_absent_dataset_is_named(tmp_path, name):
    with pytest.raises(UserError, match=f"no folder {tmp_path}/.*data_dir"):
        load_benchmark(name, lambda key: tmp_path / key)


def test_an_unknown_name_lists_the_known(tmp_path):
    with pytest.raises(UserError, match="did you mean 'lasot'.*uav"):
        load_benchmark("lasott", lambda key: tmp_path / key)
