"""What the parts of the network are worth: train variants of it with the same budget, test them, print a table.

    python benchmarks/ablation.py --out output/ablation --seeds 3 --epochs 8 --samples 1120 --parallel 2
    python benchmarks/ablation.py --out output/ablation --variants grouped no-state

Trains the small network (MSTGT-demo-128) on the synthetic world, once a variant and seed, and tracks its test videos.
The runs of a seed see the same samples. Writes ablation.md and ablation.json to --out, and each run with its log to
<out>/<variant>/<seed>/. What is finished there is kept: the same command goes on where it was stopped, and seeds or
variants can be added later. A run that fails is named with the last line of its log, the others go on, and the exit
status is 1.

    grouped   the guidance state with grouped attention, as published; no feature mixing
    global    the guidance state with attention over all tokens; no feature mixing
    no-state  no state is carried, the prompt of every frame comes from the template; no feature mixing
    mixing    grouped, with feature mixing in every epoch
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mstgt.config import PROJECT_ROOT, dump_config, load_config, load_paths, script_name
from mstgt.config.paths import run_folder
from mstgt.data.readers import read_training_set
from mstgt.utils.device import device_name
from mstgt.utils.errors import UserError, run_command, unknown_name
from mstgt.utils.files import write_json, write_text
from mstgt.utils.progress import progress

SCRIPT, CONFIG, BENCHMARK = "MSTGT", "MSTGT-demo-128", "synthetic"
# four frames: what the state is for shows over time; fp32: the same on every machine
BASE = ("DATA.SEARCH.NUMBER=4", "TRAIN.NUM_WORKER=0", "TRAIN.PRECISION=fp32")
VARIANTS: dict[str, tuple[str, ...]] = {
    "grouped": ("MODEL.GUIDANCE.ATTENTION=grouped", "DA.imix=false"),
    "global": ("MODEL.GUIDANCE.ATTENTION=global", "DA.imix=false"),
    "no-state": ("MODEL.GUIDANCE.ATTENTION=none", "DA.imix=false"),
    "mixing": ("MODEL.GUIDANCE.ATTENTION=grouped", "DA.imix=true", "DA.imix_epoch=0", "DA.imix_interval=1"),
}
FIGURES = {"val_iou": ("validation IoU", 3), "auc": ("test AUC (%)", 1)}  # title, digits

Runner = Callable[[list[str], Path], int]  # runs a command, adds what it says to a log, gives its exit status
Score = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One training: the folder of all that it writes, and the settings it is made with."""

    variant: str
    seed: int
    epochs: int
    folder: Path
    settings: tuple[str, ...]
    data_dir: str | None

    @property
    def name(self) -> str:
        return f"{self.variant}, seed {self.seed}"

    def commands(self) -> list[list[str]]:
        """Train, track, score."""
        where = ["--save_dir", str(self.folder), *(["--data_dir", self.data_dir] if self.data_dir else [])]
        settings = [word for setting in self.settings for word in ("--set", setting)]
        return [
            _command("train.py", "--script", SCRIPT, "--config", CONFIG, *where, *settings),
            _command("test.py", "--tracker_name", SCRIPT, "--tracker_param", CONFIG, "--dataset", BENCHMARK,
                     "--overwrite", *where, *settings),
            _command("analysis_results.py", "--dataset", BENCHMARK, "--json", str(self.folder / "analysis.json"),
                     *where),
        ]

    def origin(self) -> dict[str, str]:
        """What a score is made from. A kept one stands only for the same."""
        return {"config": dump_config(load_config(SCRIPT, CONFIG, self.settings)),
                "data": str(load_paths(self.data_dir).dataset(BENCHMARK))}


def _command(script: str, *arguments: str) -> list[str]:
    return [sys.executable, str(PROJECT_ROOT / "tracking" / script), *arguments]


def plan(variants: Sequence[str], seeds: int, epochs: int, samples: int, out: Path, data_dir: str | None) -> list[Run]:
    """The runs, seed by seed, so that an early stop leaves whole comparisons."""
    for name in variants:
        if name not in VARIANTS:
            raise unknown_name("variant", name, VARIANTS)
    budget = (f"TRAIN.EPOCH={epochs}", f"DATA.TRAIN.SAMPLE_PER_EPOCH={samples}", f"TEST.EPOCH={epochs}")
    return [Run(name, seed, epochs, out / name / str(seed),
                (*BASE, *budget, f"TRAIN.SEED={seed}", *VARIANTS[name]), data_dir)
            for seed in range(seeds) for name in dict.fromkeys(variants)]


def run_logged(command: list[str], log: Path) -> int:
    """Run ``command`` on one CPU thread; all that it says goes to the end of ``log``."""
    with open(log, "a", encoding="utf-8") as file:
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                              env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False).returncode


def kept_score(run: Run) -> Score | None:
    """The score of a finished run; None where it is to be made. One made from something else is an error."""
    path = run.folder / "score.json"
    if not path.exists():
        return None
    score = _read_json(path)
    if score.get("origin") != run.origin():
        raise UserError(f"{run.folder} holds a run with other settings or data; choose another --out, or delete it")
    return score


def make_score(run: Run, runner: Runner) -> Score:
    """Make ``run`` and its score. Raises :class:`UserError` with the last line of what failed."""
    run.folder.mkdir(parents=True, exist_ok=True)
    log = run.folder / "log.txt"
    for command in run.commands():
        if runner(command, log):
            raise UserError(_last_line(log) or f"{Path(command[1]).name} failed without a word")
    analysis = _read_json(run.folder / "analysis.json")
    (metrics,) = analysis["trackers"].values()
    score = {"variant": run.variant, "seed": run.seed, "val_iou": validation_iou(run), "auc": metrics["success_auc"],
             "trivial_auc": analysis["trivial"]["success_auc"], "origin": run.origin()}
    write_json(run.folder / "score.json", score)
    return score


def make_scores(runs: Sequence[Run], runner: Runner, parallel: int) -> tuple[list[Score], dict[str, str]]:
    """The scores there are in the end, in the order of ``runs``, and by name what went wrong with the other runs."""
    scores = {run: score for run in runs if (score := kept_score(run)) is not None}
    failures: dict[str, str] = {}
    with progress(total=len(runs), initial=len(scores), desc="ablation", unit="run") as bar:
        pool = ThreadPoolExecutor(parallel)
        try:
            jobs = {pool.submit(make_score, run, runner): run for run in runs if run not in scores}
            for job in as_completed(jobs):
                run = jobs[job]
                try:
                    scores[run] = job.result()
                    bar.write(f"{run.name}: validation IoU {scores[run]['val_iou']:.3f}, AUC {scores[run]['auc']:.1f}")
                except UserError as error:
                    failures[run.name] = str(error)
                    bar.write(f"FAILED {run.name}: {error}")
                bar.update()
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C reaches the runs at work; the others do not begin
    return [scores[run] for run in runs if run in scores], failures


def validation_iou(run: Run) -> float:
    """The validation IoU of the last epoch."""
    from mstgt.train.trainers.state import METRICS  # these load PyTorch, which --help need not wait for
    from mstgt.visualize.training_curves import read_lines

    path = run_folder(run.folder, script_name(SCRIPT), CONFIG) / METRICS
    for line in reversed(read_lines(path)):
        if line["epoch"] == run.epochs and "val" in line:
            return line["val"]["iou"]
    raise UserError(f"{path} has no validation of epoch {run.epochs}")


def summarize(scores: Sequence[Score]) -> dict[str, dict[str, Any]]:
    """By variant: its seeds, and of each figure the mean and the sample standard deviation (None for one seed)."""
    table: dict[str, dict[str, Any]] = {}
    for variant in dict.fromkeys(score["variant"] for score in scores):
        rows = [score for score in scores if score["variant"] == variant]
        table[variant] = {"seeds": [row["seed"] for row in rows]}
        for figure in FIGURES:
            values = [row[figure] for row in rows]
            table[variant][figure] = {"mean": statistics.fmean(values),
                                      "std": statistics.stdev(values) if len(values) > 1 else None}
    return table


def as_markdown(table: dict[str, dict[str, Any]], failures: dict[str, str], trivial_auc: float, notes: str) -> str:
    """The table, with what one must know to read it."""
    lines = [f"# Ablation of {CONFIG}", "", f"{notes}.", "",
             "| variant | seeds | " + " | ".join(title for title, _ in FIGURES.values()) + " |",
             "|---|---|" + "---|" * len(FIGURES)]
    for variant, row in table.items():
        cells = [_spread(**row[figure], digits=digits) for figure, (_, digits) in FIGURES.items()]
        lines.append(f"| {variant} | {len(row['seeds'])} | {' | '.join(cells)} |")
    lines += ["", "Mean ± standard deviation over seeds. The static-box baseline has a test AUC of "
                  f"{trivial_auc:.1f} %."]
    lines += [f"Failed: {name}." for name in failures]
    return "\n".join([*lines, ""])


def _spread(mean: float, std: float | None, digits: int) -> str:
    return f"{mean:.{digits}f}" + ("" if std is None else f" ± {std:.{digits}f}")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path} ({error}); delete it and it is made again") from error
    if not isinstance(value, dict):
        raise UserError(f"cannot read {path} (a {type(value).__name__}); delete it and it is made again")
    return value


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the runs and the table go")
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), metavar="NAME",
                        help=f"which to compare (default: {' '.join(VARIANTS)})")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each variant (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=8, help="epochs of a training (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=1120, help="samples of an epoch (default: %(default)s)")
    parser.add_argument("--parallel", type=int, default=1, help="runs at once, each on one CPU thread")
    parser.add_argument("--data_dir", help="where the datasets lie")
    args = parser.parse_args(arguments)
    for name in ("seeds", "epochs", "samples", "parallel"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1")
    return args


def main(arguments: Sequence[str] | None = None, runner: Runner = run_logged) -> int:
    args = parse_args(arguments)
    out = args.out.absolute()
    runs = plan(args.variants, args.seeds, args.epochs, args.samples, out, args.data_dir)
    read_training_set("SYNTHETIC", load_paths(args.data_dir).dataset)  # said once where it is missing
    scores, failures = make_scores(runs, runner, args.parallel)
    if scores:
        import torch

        table = summarize(scores)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        notes = (f"{args.epochs} epochs of {args.samples} samples, {', '.join(BASE)}; {device_name(device)}, one CPU "
                 f"thread a run, PyTorch {torch.__version__}")
        text = as_markdown(table, failures, scores[0]["trivial_auc"], notes)
        figures = [{name: value for name, value in score.items() if name != "origin"} for score in scores]
        write_json(out / "ablation.json", {"variants": table, "runs": figures, "failures": failures})
        write_text(out / "ablation.md", text)
        print(text)
    if failures:
        raise UserError(f"{len(failures)} of {len(runs)} runs failed, named above; logs: "
                        f"{out}/<variant>/<seed>/log.txt; the same command tries them again")
    return 0


if __name__ == "__main__":
    run_command(main)
