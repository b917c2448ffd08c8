"""Run MSTGT over a benchmark, or over any folder of videos.

    python tracking/test.py --tracker_param MSTGT-full-256 --dataset lasot --threads 8 --num_gpus 2
    python tracking/test.py --tracker_param MSTGT-full-256 --dataset lasot --batch 8 --shard 1/4
    torchrun --nproc_per_node 4 tracking/test.py --tracker_param MSTGT-full-256 --dataset lasot
    python tracking/test.py --tracker_param MSTGT-nano-128 --dataset_dir /my/videos

Writes one result file a video to <save_dir>/test/tracking_results/mstgt/<config>/<dataset>/ as they are done; a
re-run does the videos that are left. The boxes do not depend on --workers or --shard, nor but for the last bits on
--batch. Exit status 1 when a video failed, a worker died, or videos of the benchmark are not on disk.
Then: python tracking/analysis_results.py
"""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mstgt.config import dump_config, find_experiment, load_config, load_paths, script_name
from mstgt.config.arguments import add_shared_arguments
from mstgt.export.onnx_engine import OnnxFiles, export_folder, exported_origin, load_onnx_engine
from mstgt.test.evaluation.benchmarks import Benchmark, folder_benchmark, load_benchmark
from mstgt.test.evaluation.provenance import RunProvenance, prepare_results_dir
from mstgt.test.evaluation.results import result_folder, run_name
from mstgt.test.evaluation.runner import Failure, WorkerSetup, frame_counts, run_videos
from mstgt.test.evaluation.shard import Shard, choose_shard
from mstgt.test.tracker import TrackerEngine, find_checkpoint, load_engine
from mstgt.test.tracker.load import resolve_backend
from mstgt.utils.errors import UserError, one_line, run_command
from mstgt.utils.files import file_sha256
from mstgt.utils.machine import device_name
from mstgt.utils.threads import given_threads

_log = logging.getLogger(__name__)
_MAX_CPU_WORKERS = 8  # by default, for each holds a network


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "script", "config", "set", "data_dir", "save_dir", "checkpoint", "epoch", "backend",
                         "precision")
    parser.add_argument("--dataset", help="a benchmark's name, such as lasot, got10k_test, otb, synthetic")
    parser.add_argument("--dataset_dir", help="a folder of videos with frames and a ground-truth file each")
    parser.add_argument("--sequence", action="append", help="only this video (may be given several times)")
    parser.add_argument("--workers", "--threads", type=int, metavar="N", help="worker processes (default: one per GPU; "
                        f"without a GPU one per core, at most {_MAX_CPU_WORKERS})")
    parser.add_argument("--num_gpus", type=int, help="GPUs to spread them over (default: all; 0: CPU)")
    parser.add_argument("--batch", type=int, default=1,
                        help="videos that a worker tracks side by side in one batch (default: 1)")
    parser.add_argument("--shard", metavar="i/n", help="only the i-th of n shares (torchrun: the rank's, by itself)")
    parser.add_argument("--allow_missing", action="store_true", help="videos that are not on disk are no failure")
    parser.add_argument("--compile", action="store_true", help="compile the network, which takes minutes")
    parser.add_argument("--cuda_graph", action="store_true", help="run a frame as one CUDA graph")
    parser.add_argument("--onnx_dir", type=Path, metavar="DIR", help="with --backend onnx: the files of "
                        "tracking/export.py (default: <save_dir>/export/<config>, else they are made and cached)")
    parser.add_argument("--run", default="", help="a name to keep this run's results apart: <config>_<run>")
    parser.add_argument("--overwrite", action="store_true", help="track videos again that have a result")
    args = parser.parse_args()
    if bool(args.dataset) == bool(args.dataset_dir):
        parser.error("give either --dataset NAME or --dataset_dir DIR")
    if min(args.batch, 1 if args.workers is None else args.workers) < 1 or (args.num_gpus or 0) < 0:
        raise UserError("--batch and --workers must be at least 1, --num_gpus at least 0")
    return args


def choose_devices(threads: int | None, num_gpus: int | None, shard: Shard) -> list[str]:
    """The device of every worker."""
    here = torch.cuda.device_count()
    gpus = here if num_gpus is None else min(num_gpus, here)
    if num_gpus and gpus < num_gpus:
        _log.warning("--num_gpus %d, but there are %d: using %s", num_gpus, here, f"{gpus}" if gpus else "the CPU")
    if threads is None:
        alone = gpus or min(len(os.sched_getaffinity(0)), _MAX_CPU_WORKERS)
        threads = 1 if shard.launched else alone
    return shard.devices(threads, gpus)


def choose_backend(args: argparse.Namespace, cfg: Any, config: str, save_dir: Path, device: str
                   ) -> tuple[Callable[[str], TrackerEngine], dict[str, Any]]:
    """What builds an engine from a device's name, and what the manifest says of it."""
    threads = given_threads() or 1  # it is workers that use the cores
    backend = resolve_backend(args.backend, device, args.precision, args.compile or args.cuda_graph)
    files = OnnxFiles(args.onnx_dir or export_folder(save_dir, config), config)
    if backend == "onnx" and (args.onnx_dir or files.step.is_file()):
        checkpoint = args.checkpoint
        if checkpoint is None and args.epoch:
            checkpoint = find_checkpoint(args.script, config, cfg, save_dir, args.epoch)
        return (partial(load_onnx_engine, cfg, files, threads=threads),
                {"backend": backend, **exported_origin(cfg, files, checkpoint)})
    checkpoint = args.checkpoint or find_checkpoint(args.script, config, cfg, save_dir, args.epoch)
    versions: dict[str, str] = {}
    if backend != "torch":
        # Built once here, before the workers start: the conversion is then in the cache, and it is known whether it
        # works and who runs the network in all of them.
        engine = load_engine(cfg, checkpoint, device, args.backend, args.precision, threads)
        backend = engine.backend
        versions = engine.runtime
    speed = {"precision": args.precision, "compile": args.compile, "cuda_graph": args.cuda_graph}
    build = partial(load_engine, cfg, checkpoint, backend=backend, threads=threads, **speed)
    return build, {"backend": backend, "checkpoint": Path(checkpoint), "checkpoint_sha256": file_sha256(checkpoint),
                   **speed, **versions}


def choose_videos(benchmark: Benchmark, wanted: Sequence[str] | None) -> list[str]:
    """The videos to track."""
    names = benchmark.videos.video_names
    unknown = set(wanted or ()) - set(names)
    if unknown:
        raise UserError(f"no video {sorted(unknown)[0]!r} in {benchmark.name}; it has {', '.join(names)}")
    return [name for name in names if not wanted or name in wanted]


def missing_videos(benchmark: Benchmark) -> str:
    """One line on the videos that are not there; "" where all are."""
    absent, names = benchmark.absent, benchmark.videos.missing
    if not absent:
        return ""
    known = f" ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})" if names else ""
    lack = "have no ground truth" if benchmark.root else "are not on disk"
    return f"{absent} of the {benchmark.expected} videos of {benchmark.name} {lack}{known}"


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    args = parse()
    shard = choose_shard(args.shard)
    cfg = load_config(args.script, args.config, args.overrides)
    script, config = script_name(args.script), find_experiment(args.script, args.config).stem
    paths = load_paths(args.data_dir, args.save_dir, mode="test")
    open_benchmark = (partial(folder_benchmark, args.dataset_dir) if args.dataset_dir
                      else partial(load_benchmark, args.dataset, paths.dataset))
    benchmark = open_benchmark()
    for note in benchmark.videos.notes:
        _log.warning("%s", one_line(note))
    devices = choose_devices(args.workers, args.num_gpus, shard)
    build_engine, made_from = choose_backend(args, cfg, config, paths.save_dir, devices[0])
    missing = "" if args.sequence else missing_videos(benchmark)
    lacking = missing and benchmark.root is None and not args.allow_missing
    if missing:
        _log.warning("%s; running the others", missing)
    provenance = RunProvenance(settings=dump_config(cfg), device=device_name(devices[0]), batch=args.batch, **made_from)
    counts = frame_counts(benchmark.videos, choose_videos(benchmark, args.sequence))
    names = shard.take(counts)
    run = run_name(config, args.run)
    folder = result_folder(paths.save_dir, script, run, benchmark.name)
    left = prepare_results_dir(folder, benchmark, script, run, provenance, names, args.overwrite)
    if len(left) < len(names):
        print(f"{len(names) - len(left)} videos have a result already (--overwrite tracks them again)")
    lengths, devices = {name: counts[name] for name in left}, devices[: max(1, len(left))]
    print(f"{script}/{run} on {benchmark.name}{f', shard {shard}' if shard.count > 1 else ''}: {len(left)} videos, "
          f"{sum(lengths.values())} frames, {len(devices)} worker(s) on {', '.join(sorted(set(devices)))}", flush=True)
    started = time.monotonic()
    failures = run_videos(WorkerSetup(open_benchmark, build_engine, folder, args.batch), lengths, devices)
    say_how_it_went(lengths, failures, time.monotonic() - started, folder)
    if missing:
        _log.warning("%s%s", missing, "; with --allow_missing that is no failure" if lacking else "")
    shard.wait_for_others()
    return 1 if failures or lacking else 0


def say_how_it_went(lengths: dict[str, int], failures: Sequence[Failure], seconds: float, folder: Path) -> None:
    """The failures, those of one reason in one line, and what was done."""
    videos: dict[str, list[str]] = {}
    for failure in failures:
        videos.setdefault(failure.reason, []).append(failure.video)
    for reason, names in videos.items():
        others = f" and {len(names) - 3} more" if len(names) > 3 else ""
        print(f"FAILED {', '.join(names[:3])}{others}: {reason}")
    done = lengths.keys() - {failure.video for failure in failures}
    frames = sum(lengths[name] for name in done)
    speed = f", {frames / seconds:.1f} frames/s" if frames else ""
    print(f"{len(done)} of {len(lengths)} videos done{speed}; results in {folder}", flush=True)


if __name__ == "__main__":
    run_command(main)
