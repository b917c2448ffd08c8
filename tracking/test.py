"""Run MSTGT over a benchmark, or over any folder of videos.

    python tracking/test.py --tracker_param MSTGT-full-256 --dataset lasot --threads 8 --num_gpus 2
    python tracking/test.py --tracker_param MSTGT-nano-128 --dataset_dir /my/videos

Writes one result file a video to <save_dir>/test/tracking_results/mstgt/<config>/<dataset>/ as they are done; a
re-run does the videos that are left. Then: python tracking/analysis_results.py
"""

from __future__ import annotations

import argparse
import logging
from functools import partial
from pathlib import Path

import torch

from lib.config import dump_config, find_experiment, load_config, load_paths, script_name
from lib.test.evaluation.benchmarks import Benchmark, folder_benchmark, load_benchmark
from lib.test.evaluation.results import has_result, read_manifest, remove_results, result_folder, write_manifest
from lib.test.evaluation.runner import Job, run_videos
from lib.test.tracker import find_checkpoint, load_engine
from lib.utils.errors import UserError, run_command
from lib.utils.files import file_sha256

_log = logging.getLogger(__name__)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracker_name", "--script", default="MSTGT", help="folder under experiments/")
    parser.add_argument("--tracker_param", "--config", required=True, help="name of the YAML file in it")
    parser.add_argument("--dataset", help="a benchmark's name, such as lasot, got10k_test, otb, synthetic")
    parser.add_argument("--dataset_dir", help="a folder of videos with frames and a ground-truth file each")
    parser.add_argument("--sequence", action="append", help="only this video (may be given several times)")
    parser.add_argument("--threads", type=int, default=1, help="worker processes")
    parser.add_argument("--num_gpus", type=int, default=None, help="GPUs to spread them over (default: all; 0: CPU)")
    parser.add_argument("--checkpoint", help="a checkpoint file; default: the run's one of epoch TEST.EPOCH")
    parser.add_argument("--epoch", type=int, help="the run's checkpoint of another epoch")
    parser.add_argument("--run", default="", help="a name to keep this run's results apart: <config>_<run>")
    parser.add_argument("--overwrite", action="store_true", help="track videos again that have a result")
    parser.add_argument("--data_dir", help="where the datasets lie")
    parser.add_argument("--save_dir", help="where checkpoints are found and results go")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    args = parser.parse_args()
    if bool(args.dataset) == bool(args.dataset_dir):
        parser.error("give either --dataset NAME or --dataset_dir DIR")
    return args


def choose_devices(threads: int, num_gpus: int | None) -> list[str]:
    """The device of every worker."""
    if threads < 1 or (num_gpus or 0) < 0:
        raise UserError("--threads must be at least 1 and --num_gpus at least 0")
    here = torch.cuda.device_count()
    gpus = here if num_gpus is None else min(num_gpus, here)
    if num_gpus and gpus < num_gpus:
        _log.warning("--num_gpus %d, but there are %d: using %s", num_gpus, here, f"{gpus}" if gpus else "the CPU")
    return [f"cuda:{i % gpus}" if gpus else "cpu" for i in range(threads)]


def choose_videos(benchmark: Benchmark, wanted: list[str] | None) -> list[str]:
    """The videos to track."""
    videos = benchmark.videos
    if videos.missing and not wanted:
        _log.warning("%s: %d of %d videos are not on disk (%s%s); running the others", benchmark.name,
                     len(videos.missing), benchmark.expected, ", ".join(videos.missing[:3]),
                     ", …" if len(videos.missing) > 3 else "")
    unknown = set(wanted or ()) - set(videos.video_names)
    if unknown:
        raise UserError(f"no video {sorted(unknown)[0]!r} in {benchmark.name}; it has {', '.join(videos.video_names)}")
    return [name for name in videos.video_names if not wanted or name in wanted]


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    args = parse()
    cfg = load_config(args.tracker_name, args.tracker_param, args.overrides)
    script, config = script_name(args.tracker_name), find_experiment(args.tracker_name, args.tracker_param).stem
    paths = load_paths(args.data_dir, args.save_dir, half="test")
    open_benchmark = (partial(folder_benchmark, args.dataset_dir) if args.dataset_dir
                      else partial(load_benchmark, args.dataset, paths.dataset))
    benchmark = open_benchmark()
    checkpoint = args.checkpoint or find_checkpoint(args.tracker_name, config, args.epoch or cfg.TEST.EPOCH,
                                                    paths.save_dir)
    run = f"{config}_{args.run}" if args.run else config
    folder = result_folder(paths.save_dir, script, run, benchmark.name)
    origin = {"checkpoint_sha256": file_sha256(checkpoint), "settings": dump_config(cfg)}
    names = choose_videos(benchmark, args.sequence)
    devices = choose_devices(args.threads, args.num_gpus)
    names = left_to_do(folder, names, benchmark, origin, args.overwrite)
    write_manifest(folder, benchmark, script, run, checkpoint=str(Path(checkpoint).absolute()), **origin)
    lengths = [len(benchmark.videos.load(name)) for name in names]
    print(f"{script}/{run} on {benchmark.name}: {len(names)} videos, {sum(lengths)} frames, "
          f"{len(devices)} worker(s) on {', '.join(sorted(set(devices)))}", flush=True)
    job = Job(open_benchmark, partial(load_engine, cfg, checkpoint), folder)
    failures = run_videos(job, names, lengths, devices) if names else []
    for failure in failures:
        print(f"FAILED {failure.video}: {failure.reason}")
    print(f"{len(names) - len(failures)} of {len(names)} videos done; results in {folder}")
    return 1 if failures else 0


def left_to_do(folder: Path, names: list[str], benchmark: Benchmark, origin: dict[str, str],
               overwrite: bool) -> list[str]:
    """The videos without a result. Results of other weights, settings or another folder of videos are an error.

    ``overwrite`` removes what is to be tracked again, and everything where the rest has another origin: one manifest
    speaks for the whole folder.
    """
    done = {name for name in benchmark.videos.video_names if has_result(folder, name)}
    if not done:
        return names
    manifest = read_manifest(folder) or {}
    wanted = origin | {"root": None if benchmark.root is None else str(benchmark.root)}
    other = [key for key, value in wanted.items() if manifest.get(key) != value]
    if overwrite:
        remove_results(folder, done if other else done & set(names))
        return names
    if other:
        raise UserError(f"{folder} holds results of another {' and '.join(other)}; "
                        "give --overwrite to replace them or --run NAME to keep both")
    done &= set(names)
    print(f"{len(done)} videos have a result already (--overwrite tracks them again)")
    return [name for name in names if name not in done]


if __name__ == "__main__":
    run_command(main)
