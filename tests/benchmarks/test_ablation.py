"""The ablation harness, with a stand-in for the commands that it starts."""

from __future__ import annotations

import json
import statistics
import sys
import threading
from pathlib import Path

import pytest
from ablation import VARIANTS, main, run_logged, summarize
from hypothesis import given
from hypothesis import strategies as st

from mstgt.config import load_config
from mstgt.utils.errors import UserError


class Commands:
    """Writes what train.py and analysis_results.py write; fails where ``fails`` says so. Knows what it was asked."""

    def __init__(self, fails: str = "", at: str = "train.py"):
        self.fails, self.at = fails, at
        self.asked: list[tuple[str, str]] = []  # script, <variant>/<seed>
        self.settings: dict[str, list[str]] = {}

    def __call__(self, command: list[str], log: Path) -> int:
        assert command[0] == sys.executable and Path(command[1]).is_file()
        script, run = Path(command[1]).name, Path(command[command.index("--save_dir") + 1])
        name = "/".join(run.parts[-2:])
        self.asked.append((script, name))
        if self.fails and self.fails in name and script == self.at:
            log.write_text("Traceback\nerror: no luck today\n\n")
            return 1
        if script == "train.py":
            self._train(command, run, name)
        if script == "analysis_results.py":
            values = {"trackers": {"mstgt/MSTGT-demo-128": {"success_auc": 60.0 + int(run.name)}},
                      "trivial": {"success_auc": 31.0}}
            Path(command[command.index("--json") + 1]).write_text(json.dumps(values))
        return 0

    def _train(self, command: list[str], run: Path, name: str) -> None:
        self.settings[name] = [b for a, b in zip(command, command[1:], strict=False) if a == "--set"]
        folder = run / "checkpoints" / "train" / "mstgt" / "MSTGT-demo-128"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [{"epoch": e, "at": float(e), "val": {"iou": 0.1 * e + 0.01 * int(run.name)}} for e in (1, 2)]
        (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))


@pytest.fixture
def arguments(tmp_path) -> list[str]:
    """The least data set there is, and two seeds of two epochs."""
    video = tmp_path / "data" / "synthetic" / "train" / "V"
    video.mkdir(parents=True)
    (video / "groundtruth.txt").write_text("1,2,3,4\n")
    return ["--out", str(tmp_path / "out"), "--data_dir", str(tmp_path / "data"), "--seeds", "2", "--epochs", "2",
            "--samples", "16"]


def test_the_table_has_mean_and_deviation_of_every_variant(arguments, tmp_path):
    assert main([*arguments, "--parallel", "3"], Commands()) == 0
    text = (tmp_path / "out" / "ablation.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and "0." in line]
    assert rows == [f"| {name} | 2 | 0.205 ± 0.007 | 60.5 ± 0.7 |" for name in VARIANTS]
    assert "31.0 %" in text and "2 epochs of 16 samples" in text
    found = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert len(found["runs"]) == 2 * len(VARIANTS) and not found["failures"]
    assert found["variants"]["global"]["auc"]["mean"] == pytest.approx(60.5)


def test_runs_differ_in_nothing_but_variant_and_seed(arguments):
    commands = Commands()
    main(arguments, commands)
    configs = {name: load_config("MSTGT", "MSTGT-demo-128", s) for name, s in commands.settings.items()}
    assert len(configs) == 2 * len(VARIANTS)
    assert all((c.TRAIN.EPOCH, c.TEST.EPOCH, c.DATA.TRAIN.SAMPLE_PER_EPOCH, c.DATA.SEARCH.NUMBER) == (2, 2, 16, 4)
               for c in configs.values())
    assert {n: c.MODEL.GUIDANCE.ATTENTION for n, c in configs.items() if c.TRAIN.SEED == 1} == {
        "grouped/1": "grouped", "global/1": "global", "no-state/1": "none", "mixing/1": "grouped"}
    assert [n for n, c in configs.items() if c.DA.imix] == ["mixing/0", "mixing/1"]
    for config in configs.values():
        config.TRAIN.SEED = config.MODEL.GUIDANCE.ATTENTION = None
        del config["DA"]
    assert all(config == configs["grouped/0"] for config in configs.values())


def test_finished_runs_are_kept_and_others_added(arguments):
    first, again, more = Commands(), Commands(), Commands()
    main([*arguments, "--variants", "grouped"], first)
    assert first.asked == [(script, f"grouped/{seed}") for seed in (0, 1)
                           for script in ("train.py", "test.py", "analysis_results.py")]
    main([*arguments, "--variants", "grouped"], again)
    assert again.asked == []
    main([*arguments, "--variants", "grouped", "mixing", "--seeds", "1"], more)
    assert {name for _, name in more.asked} == {"mixing/0"}


@pytest.mark.parametrize("script", ["train.py", "test.py", "analysis_results.py"])
def test_a_failed_run_is_named_and_the_others_go_on(arguments, tmp_path, capsys, script):
    with pytest.raises(UserError, match="1 of 4 runs failed"):
        main([*arguments, "--variants", "grouped", "global"], Commands("global/0", script))
    assert "FAILED global, seed 0: error: no luck today" in capsys.readouterr().out
    text = (tmp_path / "out" / "ablation.md").read_text()
    assert "| grouped | 2 |" in text and "| global | 1 | 0.210 | 61.0 |" in text and "Failed: global, seed 0." in text
    assert not (tmp_path / "out" / "global" / "0" / "score.json").exists()
    again = Commands()
    assert main([*arguments, "--variants", "grouped", "global"], again) == 0
    assert {name for _, name in again.asked} == {"global/0"}
    assert "Failed" not in (tmp_path / "out" / "ablation.md").read_text()


def test_without_any_score_there_is_no_table(arguments, tmp_path):
    with pytest.raises(UserError, match="2 of 2 runs failed"):
        main([*arguments, "--variants", "global"], Commands("global"))
    assert not list((tmp_path / "out").glob("ablation.*"))


def test_a_run_that_was_not_validated_at_its_end_has_failed(arguments, capsys):
    with pytest.raises(UserError, match="2 of 2 runs failed"):
        main([*arguments, "--variants", "global", "--epochs", "3"], Commands())
    assert "no validation of epoch 3" in capsys.readouterr().out


def test_scores_of_another_budget_are_refused(arguments, tmp_path):
    main([*arguments, "--variants", "grouped"], Commands())
    before = (tmp_path / "out" / "ablation.md").read_bytes()
    commands = Commands()
    with pytest.raises(UserError, match="grouped/0 holds a run with other settings"):
        main([*arguments, "--samples", "32"], commands)
    assert commands.asked == [] and (tmp_path / "out" / "ablation.md").read_bytes() == before


@pytest.mark.parametrize(("more", "words"), [(["--variants", "groupd"], "did you mean 'grouped'"),
                                             (["--data_dir", "/nowhere"], "no dataset 'synthetic'")])
def test_what_is_wrong_is_said_before_any_run(arguments, tmp_path, more, words):
    commands = Commands()
    with pytest.raises(UserError, match=words):
        main([*arguments, *more], commands)
    assert commands.asked == [] and not (tmp_path / "out").exists()


def test_as_many_runs_as_asked_for_are_at_work_at_once(arguments):
    commands, meeting = Commands(), threading.Barrier(2, timeout=30)

    def runner(command: list[str], log: Path) -> int:
        if command[1].endswith("train.py"):
            meeting.wait()  # breaks when the other run does not come
        return commands(command, log)

    assert main([*arguments, "--variants", "grouped", "--parallel", "2"], runner) == 0


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5))
def test_the_summary_is_mean_and_sample_deviation(values):
    row = summarize([{"variant": "a", "seed": i, "val_iou": v, "auc": 100 * v} for i, v in enumerate(values)])["a"]
    assert row["val_iou"]["mean"] == pytest.approx(sum(values) / len(values), abs=1e-9)
    squares = sum((v - statistics.fmean(values)) ** 2 for v in values)
    assert row["auc"]["std"] ** 2 == pytest.approx(1e4 * squares / (len(values) - 1), abs=1e-6)


def test_commands_write_to_the_log_on_one_thread(tmp_path):
    code = "import os, sys; print(os.environ['OMP_NUM_THREADS']); sys.exit('the end')"
    assert run_logged([sys.executable, "-c", code], tmp_path / "log.txt") == 1
    assert (tmp_path / "log.txt").read_text().split("\n")[:2] in (["1", "the end"], ["the end", "1"])
