"""The runs that a comparison consists of: one tracker on all videos, with results that are kept between calls.

    run = mstgt_run("MSTGT-nano", "nano.pth.tar", benchmark, threads=2)
    folder, failures = update_results(run, benchmark, cache)

A run's folder in the cache is named after the tracker and a digest of everything that its results depend on; beside the
results, ``made_by.json`` says what that was and which state each video had. So a changed checkpoint, version or video
is noticed, and only what it affects is tracked again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mstgt
from mstgt.config import flatten, load_config
from mstgt.test.evaluation.benchmarks import Benchmark
from mstgt.test.evaluation.results import has_result, remove_results
from mstgt.test.tracker import load_engine
from mstgt.utils.device import device_name
from mstgt.utils.errors import UserError
from mstgt.utils.files import file_sha256, locked, write_json
from mstgt.utils.threads import torch_threads

# PyTorch and what needs it are imported inside functions: the arguments of the command are checked first.
if TYPE_CHECKING:
    from mstgt.test.evaluation.runner import Failure

MADE_BY = "made_by.json"
# Under lib/: the code that MSTGT's boxes and times depend on.
NETWORK_CODE = ("models", "geometry", "export", "test/tracker", "test/evaluation/worker.py", "data/images.py")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrackerRun:
    """One run of a tracker on all videos.

    label      unique name of the run; the tracker's name unless it has several runs
    tracker    name of the tracker in tables and plots
    made_from  everything but the videos that the results depend on, as JSON
    track      ``track(folder, names)`` writes the results of these videos to ``folder`` and returns the failures
    note       what a reader of the table must know of the tracker: files, versions
    """

    label: str
    tracker: str
    made_from: dict[str, Any]
    track: Callable[[Path, Sequence[str]], list[Failure]]
    note: str


# Results that are kept


def update_results(run: TrackerRun, benchmark: Benchmark, cache: Path, overwrite: bool = False
                   ) -> tuple[Path, list[Failure]]:
    """Track the videos that have no valid result yet. Returns the folder of the results and the failures.

    overwrite  track all videos again

    Raises :class:`UserError` where the cache cannot be written.
    """
    folder = cache / f"{run.label.replace(' ', '_')}-{_digest(run.made_from)[:16]}"
    names = benchmark.videos.video_names
    states = {name: _video_state(benchmark, name) for name in names}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}; give another folder with --cache") \
            from error
    with locked(folder):
        known = _read_states(folder / MADE_BY)
        outdated = [name for name in names if overwrite or known.get(name) != states[name]]
        remove_results(folder, outdated)
        write_json(folder / MADE_BY, {**run.made_from, "videos": known | states})
        left = [name for name in names if not has_result(folder, name)]
        kept = f"; {len(names) - len(left)} have a result" if len(left) < len(names) else ""
        print(f"{run.label}: {len(left)} of {len(names)} videos to track{kept}", flush=True)
        failures = run.track(folder, left) if left else []
    return folder, failures


def _video_state(benchmark: Benchmark, name: str) -> str:
    """A digest that changes when a file of the video does."""
    fingerprint = benchmark.videos.fingerprint
    return _digest(fingerprint(name) if fingerprint else name)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _read_states(path: Path) -> dict[str, str]:
    """The states of the videos that the results in a folder were made from; empty if they are not known."""
    try:
        videos = json.loads(path.read_text(encoding="utf-8"))["videos"]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s is damaged (%s): tracking again", path, type(error).__name__)
        return {}
    return videos if isinstance(videos, dict) else {}


# MSTGT


def mstgt_run(config: str, checkpoint: str | Path, benchmark: Benchmark, threads: int, backend: str = "auto",
              label: str | None = None) -> TrackerRun:
    """A run of MSTGT in fp32 on the CPU, through the project's own evaluation.

    config   name of the experiment
    threads  how many threads compute a frame
    backend  runtime of the network (``mstgt.test.tracker.load_engine``)
    label    name of the run (default: ``config``)

    Raises :class:`UserError` where the checkpoint cannot be loaded.
    """
    import torch

    from mstgt.test.evaluation.runner import WorkerSetup, load_videos, run_videos

    cfg = load_config("MSTGT", config)
    label = label or config
    with evaluation_threads(threads):
        # Loaded here and not when tracking starts: only the engine knows which runtime "auto" has chosen.
        engine = load_engine(cfg, checkpoint, "cpu", backend, threads=threads)
    settings = {key: value for key, value in flatten(cfg).items()
                if key.startswith(("MODEL.", "TEST.", "DATA.MEAN", "DATA.STD"))}
    checksum = file_sha256(checkpoint)
    runtime = engine.runtime or {"torch": torch.__version__}
    made_from = {"tracker": "MSTGT", "config": config, "checkpoint_sha256": checksum, "settings": settings,
                 "precision": "fp32", "backend": engine.backend, "runtime": runtime, "code": _code_digest(),
                 **machine(threads)}
    versions = ", ".join(f"{package} {version}" for package, version in runtime.items())
    note = f"{label}: weights {Path(checkpoint).name} with SHA-256 {checksum[:12]}…, fp32, {versions}"

    def track(folder: Path, names: Sequence[str]) -> list[Failure]:
        videos, failures = load_videos(benchmark.videos, names)
        with evaluation_threads(threads):
            return failures + run_videos(WorkerSetup(lambda device: engine, folder), videos, ["cpu"])

    return TrackerRun(label, label, made_from, track, note)


def _code_digest() -> str:
    root = Path(mstgt.__file__ or "").parent
    digest = hashlib.sha256()
    for part in NETWORK_CODE:
        paths = [root / part] if part.endswith(".py") else sorted((root / part).rglob("*.py"))
        for path in paths:
            digest.update(path.read_bytes())
    return digest.hexdigest()


# The machine


def machine(threads: int) -> dict[str, Any]:
    """What speed depends on besides the tracker: the processor, its cores and the threads of a tracker."""
    return {"machine": device_name("cpu"), "cores": len(os.sched_getaffinity(0)), "threads": threads}


@contextlib.contextmanager
def evaluation_threads(count: int) -> Iterator[None]:
    """Let the evaluation compute with ``count`` threads: it follows OMP_NUM_THREADS, and uses one without it."""
    variable = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(count)
    try:
        with torch_threads(count):
            yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if variable is not None:
            os.environ["OMP_NUM_THREADS"] = variable
