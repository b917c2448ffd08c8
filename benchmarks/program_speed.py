"""How fast the programs are on a CPU, as commands, alone and beside a process that never rests.

    python benchmarks/program_speed.py
    python benchmarks/program_speed.py --config MSTGT-nano --programs library test --rounds 5

library    a Python program with load_tracker, on the frames of a video in memory
demo       tracking/video_demo.py on a folder of frames: decodes, tracks, writes the film and the table
test       tracking/test.py with two workers on six videos: decodes, tracks, writes the results
train      tracking/train.py, batches of 8 samples with 2 search frames each

Renders its videos first. A rate is that of the work alone: every command runs with little and with more work, and the
difference of the work is divided by the difference of the times, so starting is not in it. Every round runs each
program alone and then beside the busy process; figures are medians over the rounds. The table is Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tracking_speed import busy_process

from mstgt.config import load_config
from mstgt.config.arguments import add_shared_arguments
from mstgt.utils.device import device_name
from mstgt.utils.errors import UserError, run_command
from mstgt.utils.progress import progress

PROJECT = Path(__file__).resolve().parent.parent
FRAMES = 400  # of a video
BATCH = 8
LIBRARY = """
import sys
from pathlib import Path
import cv2
from mstgt import load_tracker
frames = [cv2.imread(str(path))[:, :, ::-1].copy() for path in sorted(Path(sys.argv[2]).glob("*.jpg"))]
tracker = load_tracker(sys.argv[1])
tracker.init(frames[0], [float(value) for value in sys.argv[3].split(",")])
for number in range(int(sys.argv[4])):
    tracker.update(frames[number % len(frames)])
"""


def main() -> None:
    args = parse_args()
    load_config("MSTGT", args.config)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(["make_synthetic.py", "--out", f"{folder}/synthetic", "--train", "8", "--val", "1", "--test", "6",
             "--frames", str(FRAMES), "--size", "640x360"])
        programs = {name: PROGRAMS[name] for name in args.programs}
        rates: dict[tuple[str, bool], list[float]] = {(name, busy): [] for name in programs for busy in (False, True)}
        with progress(total=args.rounds * len(rates), unit="run", desc="programs") as bar:
            for _ in range(args.rounds):
                for name, program in programs.items():
                    rates[name, False].append(program(args.config, folder))
                    bar.update()
                    with busy_process():
                        rates[name, True].append(program(args.config, folder))
                    bar.update()
    print(f"\n{args.config} on {device_name('cpu')}, {args.rounds} rounds\n")
    print("| program | alone | beside a busy process | share |\n|---|--:|--:|--:|")
    for name in programs:
        alone, beside = (statistics.median(rates[name, busy]) for busy in (False, True))
        unit = "samples/s" if name == "train" else "frames/s"
        print(f"| {name} | {alone:.1f} {unit} | {beside:.1f} | {100 * beside / alone:.0f} % |")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "config", defaults={"config": "MSTGT-nano-128"})
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS), help="(default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    args = parser.parse_args()
    if args.rounds < 1:
        raise UserError(f"--rounds {args.rounds}: give 1 or more")
    return args


def library(config: str, folder: Path) -> float:
    video = folder / "synthetic/test/SYN_Test_000001"
    return rate(lambda frames: [sys.executable, "-c", LIBRARY, config, str(video), first_box(video), str(frames)],
                300, 1500)


def demo(config: str, folder: Path) -> float:
    video = folder / "synthetic/test/SYN_Test_000001"
    return rate(lambda frames: ["video_demo.py", str(video), "--init_box", first_box(video), "--config", config,
                                "--device", "cpu", "--frames", str(frames), "--out", f"{folder}/demo"], 50, FRAMES)


def test(config: str, folder: Path) -> float:
    def command(frames: int) -> list[str]:
        videos = str(folder / f"{frames // FRAMES} videos")
        output = tempfile.mkdtemp(dir=folder)  # an empty one: finished videos would not be tracked again
        return ["test.py", "--config", config, "--dataset_dir", videos, "--num_gpus", "0", "--workers", "2",
                "--save_dir", output]

    videos = sorted((folder / "synthetic/test").glob("SYN_*"))
    for count in (2, 6):
        (folder / f"{count} videos").mkdir(exist_ok=True)
        for video in videos[:count]:
            with contextlib.suppress(FileExistsError):
                (folder / f"{count} videos" / video.name).symlink_to(video)
    return rate(command, 2 * FRAMES, 6 * FRAMES)


def train(config: str, folder: Path) -> float:
    def command(samples: int) -> list[str]:
        settings = {"DATA.TRAIN.DATASETS_NAME": "[SYNTHETIC]", "DATA.TRAIN.DATASETS_RATIO": "[1]", "TRAIN.EPOCH": 1,
                    "DATA.VAL.DATASETS_NAME": "[SYNTHETIC_val]",
                    "DATA.TRAIN.SAMPLE_PER_EPOCH": samples, "TRAIN.BATCH_SIZE": BATCH, "TRAIN.NUM_WORKER": 1,
                    "TRAIN.VAL_EPOCH_INTERVAL": 1000, "MODEL.PRETRAIN_FILE": "''"}
        return ["train.py", "--config", config, "--data_dir", str(folder), "--device", "cpu", "--save_dir",
                tempfile.mkdtemp(dir=folder), *(f"--set={key}={value}" for key, value in settings.items())]

    return rate(command, 4 * BATCH, 24 * BATCH)


PROGRAMS: dict[str, Callable[[str, Path], float]] = {"library": library, "demo": demo, "test": test, "train": train}


def rate(command: Callable[[int], list[str]], little: int, more: int) -> float:
    """Units of work a second, between ``little`` and ``more`` units."""
    return (more - little) / (run(command(more)) - run(command(little)))


def run(command: list[str]) -> float:
    """Run a command, one of ``tracking`` by its file name; return the seconds that it takes."""
    if command[0].endswith(".py"):
        command = [sys.executable, str(PROJECT / "tracking" / command[0]), *command[1:]]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or "nothing").splitlines()[-1]
        raise UserError(f"{' '.join(command[1:3])} ended with status {done.returncode}: {said}")
    return time.perf_counter() - started


def first_box(video: Path) -> str:
    return (video / "groundtruth.txt").read_text("utf-8").split()[0]


if __name__ == "__main__":
    run_command(main)
