"""The whole tour on one machine: make data, train, track held-out videos, score, draw, measure; then track a harder
clip with the network that comes with the project.

    python tracking/demo.py

Runs the project's own commands one after the other, prints each, and ends by naming the files to look at. A second run
keeps what is finished.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from mstgt.command_line import as_subcommands
from mstgt.config import load_paths
from mstgt.config.arguments import add_shared_arguments
from mstgt.utils.errors import UserError, run_command

HERE = Path(__file__).resolve().parent
CONFIG, SHIPPED = "MSTGT-demo-128", "MSTGT-nano"


def run(script: str, *arguments: str) -> None:
    """Run one of the project's commands; stop when it fails."""
    program, shown = [str(HERE / script)], f"python tracking/{script}"
    if sys.argv[0].startswith("mstgt "):
        shown = as_subcommands(shown)
        # Started as this command was, its messages name subcommands, too. What precedes "demo" is the console script.
        program = [*sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv)], shown.removeprefix("mstgt ")]
    print(f"\n$ {shown} {shlex.join(arguments)}", flush=True)
    started = time.monotonic()
    status = subprocess.run([sys.executable, *program, *arguments], check=False).returncode
    if status:
        raise UserError(f"{shown} ended with status {status}; its message is above")
    print(f"({time.monotonic() - started:.0f} s)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "data_dir", "save_dir")
    args = parser.parse_args()
    started = time.monotonic()
    paths = load_paths(args.data_dir, args.save_dir)
    where = ("--data_dir", str(paths.data_dir), "--save_dir", str(paths.save_dir))
    cores = str(min(4, os.cpu_count() or 1))
    run("make_synthetic.py", "--out", str(paths.dataset("synthetic")), "--workers", cores)
    run("train.py", "--script", "MSTGT", "--config", CONFIG, *where)
    run("test.py", "--tracker_param", CONFIG, "--dataset", "synthetic", "--threads", cores, *where)
    run("analysis_results.py", "--dataset", "synthetic", *where)
    run("draw_results.py", "--dataset", "synthetic", *where)
    run("profile_model.py", "--script", "MSTGT", "--config", CONFIG, "--seconds", "3")
    clip = paths.save_dir / "demo_clip"
    run("make_synthetic.py", "--out", str(clip), "--train", "0", "--val", "0", "--test", "1", "--frames", "90",
        "--size", "640x480", "--test_difficulty", "0.5", "0.5", "--seed", "8", "--workers", "1")
    video = clip / "test" / "SYN_Test_000001"
    box = video.joinpath("groundtruth.txt").read_text().split("\n")[0].split(",")
    tracked = paths.save_dir / "video_demo" / "demo_clip"
    run("video_demo.py", str(video), "--config", SHIPPED, "--out", str(tracked), "--init_box", *box)
    test = paths.save_dir / "test"
    print(f"\nThe whole tour took {(time.monotonic() - started) / 60:.1f} minutes. Look at")
    for path in sorted([*(test / "result_plots" / "synthetic").glob("*.png"),
                        *(test / "videos" / "mstgt" / CONFIG / "synthetic").iterdir(), *tracked.iterdir()]):
        print(f"  {path}")


if __name__ == "__main__":
    run_command(main)
