"""Make a synthetic tracking data set in GOT-10k's layout: textured objects that move, turn, hide and come back.

    python tracking/make_synthetic.py                                   # data/synthetic: 400 / 20 / 20 videos
    python tracking/make_synthetic.py --out DIR --train 1000 --difficulty 0 1 --test_difficulty 0.2 1 --seed 7
    python tracking/make_synthetic.py --out DIR --style still_sets --frames 4 --size 160x160 --train 12000

By default the videos are easy (difficulty 0 to 0.4), from which a small network learns in minutes: conspicuous
targets, faint backgrounds, few other objects. At 1 there are look-alikes, clutter, occlusion, fast motion and blur.
``--style still_sets`` makes sets of a few images in which the same objects are arranged anew.

The same arguments give the same bytes on any number of workers; a run that was stopped continues where it was.
The docstring of ``lib/synthetic`` describes what the videos show.
"""

from __future__ import annotations

import argparse
import os
import re
from functools import partial

from mstgt.config import load_paths
from mstgt.config.arguments import add_shared_arguments, user_path
from mstgt.synthetic.set_spec import SPLITS, STYLES, SetSpec
from mstgt.synthetic.writer import write_set
from mstgt.utils.errors import UserError, WouldOverwriteError, run_command

DEFAULT_FRAMES = {"train": 36, "val": 60, "test": 60}


def parse_size(text: str) -> tuple[int, int]:
    """``320x240`` as (320, 240)."""
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text, re.ASCII)
    if not match:
        raise UserError(f"--size {text}: give width x height in pixels, as in 320x240")
    return int(match[1]), int(match[2])


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=user_path, help="folder of the set (default: synthetic in the data folder)")
    add_shared_arguments(parser, "data_dir")
    for split, count in zip(SPLITS, (400, 20, 20), strict=True):
        parser.add_argument(f"--{split}", type=int, default=count, metavar="N",
                            help=f"videos in {split} (default: %(default)s)")
    parser.add_argument("--frames", type=int, metavar="N",
                        help="frames of every video (default: 36 in train, 60 in val and test)")
    parser.add_argument("--size", default="320x240", help="width x height in pixels (default: %(default)s)")
    parser.add_argument("--style", default="videos", metavar="STYLE",
                        help=f"{' or '.join(STYLES)} (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other videos (default: 0)")
    parser.add_argument("--difficulty", type=float, nargs=2, default=(0.0, 0.4), metavar=("FIRST", "LAST"),
                        help="train: from the first video to the last (default: 0 0.4)")
    parser.add_argument("--test_difficulty", "--test-difficulty", type=float, nargs=2, default=(0.0, 0.4),
                        metavar=("FIRST", "LAST"), help="the same for val and test (default: 0 0.4)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace a set made with other arguments")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    spec = SetSpec(
        videos={split: getattr(args, split) for split in SPLITS},
        frames={split: args.frames if args.frames is not None else DEFAULT_FRAMES[split] for split in SPLITS},
        size_wh=parse_size(args.size), seed=args.seed,
        difficulty={split: tuple(args.difficulty if split == "train" else args.test_difficulty) for split in SPLITS},
        style=args.style)
    out = args.out or load_paths(args.data_dir).dataset("synthetic")
    # Each process first makes textures, or a stock of objects, which takes half a minute for still sets.
    start = (f"{out}: {sum(spec.videos.values())} videos of {args.size} px with {args.workers} "
             f"{'process' if args.workers == 1 else 'processes'}; the first ones take longer, because "
             f"{'a stock of objects is' if args.style == 'still_sets' else 'textures are'} made before them")
    try:
        report = write_set(out, spec, args.workers, args.overwrite, on_start=partial(print, start, flush=True))
    except WouldOverwriteError as error:
        raise UserError(f"{error}, or --overwrite to replace it") from error
    print(f"{out}: {report.written} videos written, {report.skipped} already there")
    if report.frames:
        print(f"{report.frames} frames in {report.wall_s:.1f} s: {report.frames / report.wall_s:.0f} frames/s, "
              f"{report.frames / report.busy_s:.0f} frames/s a worker")


if __name__ == "__main__":
    run_command(main)
