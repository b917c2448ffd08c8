"""Draw a tracker's results on their videos: an MP4 and a sheet of frames a video.

    python tracking/draw_results.py                              # three videos of every result found
    python tracking/draw_results.py --dataset synthetic --sequence SYN_Test_000003

Green is the true box, orange the tracker's. Files go to <save_dir>/test/films/<tracker>/<config>/<dataset>/.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np

from mstgt.config import load_paths
from mstgt.config.arguments import add_shared_arguments
from mstgt.data.video import Video
from mstgt.test.evaluation.benchmarks import folder_benchmark, load_benchmark
from mstgt.test.evaluation.results import ResultSet, find_results, has_result, read_boxes, read_scores, results_root
from mstgt.utils.errors import UserError, run_command
from mstgt.visualize.result_video import write_film, write_sheet


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", help="only this benchmark's results")
    parser.add_argument("--sequence", action="append", help="only this video (may be given several times)")
    parser.add_argument("--limit", "--most", type=int, default=3, metavar="N",
                        help="videos per set of results, unless --sequence is given (default: %(default)s)")
    add_shared_arguments(parser, "config", "data_dir", "save_dir", defaults={"config": None})
    args = parser.parse_args()
    paths = load_paths(args.data_dir, args.save_dir, mode="test")
    found = [r for r in find_results(paths.save_dir)
             if args.dataset in (None, r.benchmark) and args.config in (None, r.config)]
    if not found:
        raise UserError(f"no such results in {results_root(paths.save_dir)}; make some with `python tracking/test.py`")
    for results in found:
        benchmark = folder_benchmark(results.root) if results.root else load_benchmark(results.benchmark, paths.dataset)
        names = [n for n in benchmark.videos.video_names if has_result(results.folder, n)]
        chosen = [n for n in names if n in args.sequence] if args.sequence else spread(names, args.limit)
        if not chosen:
            raise UserError(f"{results.folder} holds no result of {', '.join(args.sequence or ['any video'])}")
        out = paths.save_dir / "test" / "films" / results.tracker / results.config / results.benchmark
        for name in chosen:
            draw(results, benchmark.videos.load(name), out)


def spread(names: list[str], most: int) -> list[str]:
    """At most ``most`` of ``names``, evenly from the first to the last."""
    places = np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int)
    return [names[i] for i in places]


def draw(results: ResultSet, video: Video, out: Path) -> None:
    """One video's film and sheet."""
    boxes = read_boxes(results.folder, video.name)
    write_film(out / f"{video.name}.mp4", video, boxes, read_scores(results.folder, video.name))
    write_sheet(out / f"{video.name}.png", video, boxes)
    print(out / f"{video.name}.mp4")
    print(out / f"{video.name}.png")


if __name__ == "__main__":
    run_command(main)
