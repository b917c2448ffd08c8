"""Make a tracking data set out of photographs, in GOT-10k's layout.

    python tracking/make_photos.py --out data/photos --train 25000 /data/tiny-imagenet-200 /data/coco /data/DAVIS
    python tracking/make_photos.py --out data/mine --train 5000 /data/my_photos

The folders hold photographs with boxes (COCO, VOC, YOLO) or masks, cut-outs (PNG with alpha), videos with masks, or
plain photographs to paste on; docs/photos.md describes the layouts. The set is read as PHOTOS:<out> and
PHOTOS_val:<out>.

The same arguments give the same files on any number of workers; a run that was stopped continues where it was.
"""

from __future__ import annotations

import argparse
import logging
import os
import time

from mstgt.config import load_paths
from mstgt.config.arguments import add_shared_arguments, user_path
from mstgt.utils.errors import run_command


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=user_path, metavar="DIR", help="folders with material")
    parser.add_argument("--out", type=user_path, help="folder of the set (default: photos in the data folder)")
    add_shared_arguments(parser, "data_dir")
    parser.add_argument("--train", type=int, default=6000, metavar="N", help="samples in train (default: %(default)s)")
    parser.add_argument("--val", type=int, default=300, metavar="N",
                        help="samples in val, from material of their own (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=4, metavar="N", help="frames of a sample (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other samples (default: 0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    return parser.parse_args()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    args = parse_args()

    # Imported here, because OpenCV takes a while to load and --help does not need it.
    from mstgt.synthetic.photos.writer import PhotoSetSpec, write_set

    folders = tuple(os.path.abspath(folder) for folder in args.folders)
    spec = PhotoSetSpec({"train": args.train, "val": args.val}, args.frames, args.seed, folders)
    out = args.out or load_paths(args.data_dir).dataset("photos")
    start = time.perf_counter()
    written = write_set(out, spec, args.workers)
    seconds = time.perf_counter() - start
    if written:
        print(f"{out}: {written} samples written in {seconds:.1f} s ({written / seconds:.1f} per second)")
    else:
        print(f"{out}: the set is complete ({args.train + args.val} samples are there)")


if __name__ == "__main__":
    run_command(main)
