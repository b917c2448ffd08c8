"""Run MSTGT over a benchmark, or over any folder of videos.

    python tracking/test.py --config MSTGT-full-256 --dataset lasot --workers 8 --num_gpus 2
    python tracking/test.py --config MSTGT-full-256 --dataset lasot --batch 8 --shard 1/4
    torchrun --nproc_per_node 4 tracking/test.py --config MSTGT-full-256 --dataset lasot
    python tracking/test.py --config MSTGT-nano-128 --dataset_dir /my/videos

Writes one result file per video to <save_dir>/test/tracking_results/mstgt/<config>/<dataset>/, each as soon as it is
done. Run the command again to track the videos that are left; several commands may work on one folder at the same time.
The boxes do not depend on --workers or --shard; --batch changes their last bits only. The exit status is 1 when a video
failed, a worker crashed, or videos of the benchmark are not on disk. Next: python tracking/analysis_results.py
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mstgt.config.arguments import add_shared_arguments, user_path
from mstgt.utils.errors import UserError, one_line, run_command, shortened
from mstgt.utils.threads import available_cores, given_threads

# PyTorch and what needs it are imported inside functions, after the arguments and the dataset have been checked: a
# mistyped name is answered at once.
if TYPE_CHECKING:
    from mstgt.data.video import Video
    from mstgt.test.evaluation.benchmarks import Benchmark
    from mstgt.test.evaluation.runner import Failure
    from mstgt.test.evaluation.video_queue import Shard
    from mstgt.test.tracker import TrackerEngine

_log = logging.getLogger(__name__)
_MAX_CPU_WORKERS = 8  # by default: each worker holds a network in memory
_MAX_NOTES = 5  # on the annotations of videos
_MAX_COUNT = 4096  # of workers, GPUs and videos in a batch: far more than any machine has


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "script", "config", "set", "data_dir", "save_dir", "checkpoint", "epoch", "backend",
                         "precision")
    parser.add_argument("--dataset", metavar="NAME", help="benchmark, such as lasot, got10k_test, otb, synthetic")
    parser.add_argument("--dataset_dir", metavar="DIR",
                        help="folder of videos with frames and a ground-truth file each")
    parser.add_argument("--sequence", action="append", metavar="VIDEO", help="only this video (may be repeated)")
    parser.add_argument("--workers", "--threads", type=int, metavar="N", help="worker processes (default: one per GPU; "
                        f"without a GPU one per core, at most {_MAX_CPU_WORKERS})")
    parser.add_argument("--num_gpus", type=int, metavar="N", help="GPUs to use (default: all; 0: the CPU)")
    parser.add_argument("--batch", type=int, default=1, metavar="N",
                        help="videos that a worker tracks side by side in one batch (default: %(default)s)")
    parser.add_argument("--shard", metavar="i/n", help="only shard i of n (under torchrun: the rank)")
    parser.add_argument("--allow_missing", action="store_true", help="exit with status 0 although videos are missing")
    parser.add_argument("--compile", action="store_true", help="compile the network; this takes minutes")
    parser.add_argument("--cuda_graph", action="store_true", help="replay each frame as one CUDA graph")
    parser.add_argument("--onnx_dir", type=user_path, metavar="DIR", help="with --backend onnx: the exported files "
                        "(default: <save_dir>/export/<config>, else they are made and cached)")
    parser.add_argument("--run", default="", metavar="NAME", help="keep the results apart, as <config>_<NAME>")
    parser.add_argument("--overwrite", action="store_true", help="track videos again that have a result")
    args = parser.parse_args()
    if bool(args.dataset) == bool(args.dataset_dir):
        parser.error("give either --dataset NAME or --dataset_dir DIR")
    for flag, value, least in (("--batch", args.batch, 1), ("--workers", args.workers, 1),
                               ("--num_gpus", args.num_gpus, 0)):
        if value is not None and not least <= value <= _MAX_COUNT:
            raise UserError(f"{flag} {value}: give a number from {least} to {_MAX_COUNT}")
    return args


def choose_devices(workers: int | None, num_gpus: int | None, shard: Shard) -> list[str]:
    """The device of every worker."""
    import torch

    available = torch.cuda.device_count()
    gpus = available if num_gpus is None else min(num_gpus, available)
    if num_gpus and gpus < num_gpus:
        _log.warning("--num_gpus %d, but there are %d: using %s", num_gpus, available, gpus or "the CPU")
    if workers is None:
        workers = 1 if shard.launched else gpus or min(available_cores(), _MAX_CPU_WORKERS)
    return shard.devices(workers, gpus)


def go_on_with_backend(args: argparse.Namespace, folder: Path, benchmark: Benchmark, device: str) -> None:
    """Let ``--backend auto`` stand for the runtime of the results in ``folder``, where it can run here.

    Results of two runtimes differ in their last digits, so a folder takes those of one alone.
    """
    from mstgt.test.evaluation.provenance import backend_of_results
    from mstgt.test.tracker.load import resolve_backend

    graph = args.compile or args.cuda_graph
    there = None if args.overwrite else backend_of_results(folder, benchmark)
    if args.backend != "auto" or there is None or there == resolve_backend("auto", device, args.precision, graph):
        return
    try:
        args.backend = resolve_backend(there, device, args.precision, graph)
    except UserError:
        return  # the difference is told when the results folder is prepared
    _log.info("the results in %s were made with --backend %s: going on with it (--run NAME for a run with another)",
              folder, there)


def choose_backend(args: argparse.Namespace, cfg: Any, config: str, save_dir: Path, device: str
                   ) -> tuple[Callable[[str], TrackerEngine], dict[str, Any]]:
    """What builds an engine from a device's name, and the entries of the manifest that describe it."""
    from mstgt.test.tracker import find_checkpoint, load_engine
    from mstgt.test.tracker.load import resolve_backend
    from mstgt.utils.files import file_sha256

    threads = given_threads() or 1  # the cores are used by several workers
    backend = resolve_backend(args.backend, device, args.precision, args.compile or args.cuda_graph)
    if backend == "onnx":
        from mstgt.export.onnx_engine import OnnxFiles, export_folder, exported_origin, load_onnx_engine

        files = OnnxFiles(args.onnx_dir or export_folder(save_dir, config), config)
        if args.onnx_dir or files.step.is_file():
            checkpoint = args.checkpoint
            if checkpoint is None and args.epoch:
                checkpoint = find_checkpoint(args.script, config, cfg, save_dir, args.epoch, "--epoch")
            build_onnx: Callable[[str], TrackerEngine] = partial(load_onnx_engine, cfg, files, threads=threads)
            return build_onnx, {"backend": backend, **exported_origin(cfg, files, checkpoint)}
    checkpoint = args.checkpoint or find_checkpoint(args.script, config, cfg, save_dir, args.epoch, "--epoch")
    versions: dict[str, str] = {}
    if backend != "torch":
        # Built once here, before the workers start: the conversion is then in the cache, and it is known whether it
        # works and which runtime all workers will use.
        engine = load_engine(cfg, checkpoint, device, args.backend, args.precision, threads)
        backend = engine.backend
        versions = engine.runtime
    options = {"precision": args.precision, "compile": args.compile, "cuda_graph": args.cuda_graph}
    origin = {"backend": backend, "checkpoint": Path(checkpoint), "checkpoint_sha256": file_sha256(checkpoint)}
    build = partial(load_engine, cfg, checkpoint, backend=backend, threads=threads, **options)
    return build, {**origin, **options, **versions}


def choose_videos(benchmark: Benchmark, wanted: Sequence[str] | None) -> list[str]:
    """The names of the videos to track."""
    names = benchmark.videos.video_names
    unknown = set(wanted or ()) - set(names)
    if unknown:
        raise UserError(f"no video {sorted(unknown)[0]!r} in {benchmark.name}; it has {shortened(names)}")
    return [name for name in names if not wanted or name in wanted]


def missing_videos(benchmark: Benchmark) -> str:
    """One line on the videos that are not there; "" where all are."""
    if not benchmark.absent:
        return ""
    examples = f" ({shortened(benchmark.videos.missing)})" if benchmark.videos.missing else ""
    reason = "have no ground truth" if benchmark.root else "are not on disk"
    return f"{benchmark.absent} of the {benchmark.expected} videos of {benchmark.name} {reason}{examples}"


def warn_of_notes(videos: Sequence[Video]) -> None:
    """Log what the readers noticed about the videos, the first few notes in full."""
    notes = [f"{video.name}: {note}" for video in videos for note in video.notes]
    for note in notes[:_MAX_NOTES]:
        _log.warning("%s", one_line(note))
    if len(notes) > _MAX_NOTES:
        _log.warning("%d more notes on videos; tracking/analysis_results.py lists them", len(notes) - _MAX_NOTES)


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    args = parse_args()

    from mstgt.config import dump_config, find_experiment, load_config, load_paths, script_name
    from mstgt.test.evaluation.benchmarks import folder_benchmark, load_benchmark, missing_frames
    from mstgt.test.evaluation.results import result_folder, run_name
    from mstgt.test.evaluation.video_queue import choose_shard

    shard = choose_shard(args.shard)
    cfg = load_config(args.script, args.config, args.overrides)
    script = script_name(args.script)
    config = find_experiment(args.script, args.config).stem
    run = run_name(config, args.run)
    paths = load_paths(args.data_dir, args.save_dir, mode="test")
    benchmark = folder_benchmark(args.dataset_dir) if args.dataset_dir else load_benchmark(args.dataset, paths.dataset)
    for note in benchmark.videos.notes:
        _log.warning("%s", one_line(note))
    names = choose_videos(benchmark, args.sequence)
    missing = "" if args.sequence else missing_videos(benchmark)
    incomplete = bool(missing) and benchmark.root is None and not args.allow_missing
    if missing:
        _log.warning("%s; running the others", one_line(missing))

    # What could be refused without PyTorch has been checked by now.
    from mstgt.test.evaluation.runner import WorkerSetup, load_videos, run_videos
    from mstgt.utils.device import device_name

    devices = choose_devices(args.workers, args.num_gpus, shard)
    folder = result_folder(paths.save_dir, script, run, benchmark.name)
    go_on_with_backend(args, folder, benchmark, devices[0])
    build_engine, origin = choose_backend(args, cfg, config, paths.save_dir, devices[0])
    videos, failures = load_videos(benchmark.videos, names)
    warn_of_notes(list(videos.values()))
    gaps = [missing_frames(video) for video in videos.values() if video.missing_names]
    for gap in gaps:
        _log.warning("%s; tracking the others", one_line(gap))
    incomplete |= bool(gaps) and not args.allow_missing
    # A video that cannot be read counts as 0 frames, so that every shard computes the same split.
    names = shard.take({name: len(videos.get(name, ())) for name in names})
    left = prepare_folder(args, folder, benchmark, script, run, names,
                          settings=dump_config(cfg), device=device_name(devices[0]), batch=args.batch, **origin)
    if len(left) < len(names):
        print(f"{len(names) - len(left)} videos have a result already (--overwrite tracks them again)")
    failures = [failure for failure in failures if failure.video in left]
    videos = {name: videos[name] for name in left if name in videos}
    lengths = {name: len(videos.get(name, ())) for name in left}
    devices = devices[: max(1, len(videos))]
    print(f"{script}/{run} on {benchmark.name}{f', shard {shard}' if shard.count > 1 else ''}: {len(left)} videos, "
          f"{sum(lengths.values())} frames, {len(devices)} worker(s) on {', '.join(sorted(set(devices)))}", flush=True)
    started = time.monotonic()
    failures += run_videos(WorkerSetup(build_engine, folder, args.batch), videos, devices)
    print_summary(lengths, failures, time.monotonic() - started, folder)
    if missing:
        hint = "; --allow_missing makes the exit status 0" if incomplete else ""
        _log.warning("%s%s", one_line(missing), hint)
    if gaps:
        _log.warning("frames of %d videos are missing, such as: %s", len(gaps), one_line(gaps[0]))
    shard.wait_for_others()
    return 1 if failures or incomplete else 0


def prepare_folder(args: argparse.Namespace, folder: Path, benchmark: Benchmark, script: str, run: str,
                   names: Sequence[str], **origin: Any) -> list[str]:
    """Write the manifest of the results folder; gives the videos that are left to track."""
    from mstgt.test.evaluation.provenance import ResultsConflictError, RunProvenance, prepare_results_dir
    from mstgt.test.evaluation.results import ManifestError

    try:
        return prepare_results_dir(folder, benchmark, script, run, RunProvenance(**origin), names, args.overwrite)
    except (ResultsConflictError, ManifestError) as error:
        raise UserError(f"{error}; give --overwrite to replace them or --run NAME to keep both") from error


def print_summary(lengths: Mapping[str, int], failures: Sequence[Failure], seconds: float, folder: Path) -> None:
    """Print the failures, one line per reason, and how much was done."""
    by_reason: dict[str, list[str]] = {}
    for failure in failures:
        by_reason.setdefault(failure.reason, []).append(failure.video)
    for reason, names in by_reason.items():
        print(one_line(f"FAILED {shortened(names)}: {reason}"))
    if not lengths:
        print(one_line(f"nothing left to track; results in {folder}"), flush=True)
        return
    done = lengths.keys() - {failure.video for failure in failures}
    frames = sum(lengths[name] for name in done)
    speed = f", {frames / seconds:.1f} frames/s" if frames else ""
    print(one_line(f"{len(done)} of {len(lengths)} videos done{speed}; results in {folder}"), flush=True)


if __name__ == "__main__":
    run_command(main)
