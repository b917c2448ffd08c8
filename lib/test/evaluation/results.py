"""Result files: where they lie, how they are written, read and found again.

    <save_dir>/test/tracking_results/<tracker>/<config>/<dataset>/
        benchmark.json        the manifest: which benchmark, its folder where it is a folder benchmark, and the
                              origin of the results (mstgt.test.evaluation.provenance)
        <video>.txt           one box a frame: x,y,w,h in pixels
        <video>_time.txt      seconds a frame
        <video>_score.txt     the tracker's confidence a frame, in [0, 1]
        <video>.sha256        the digests of these three, as sha256sum writes and checks them

Every file is written whole or not at all, and the manifest holds a digest of itself. What is not as it was written is
an error that names the file; files without a digest beside them (of other projects) are taken as they are. The readers
take commas, tabs and spaces, so raw results of other projects can be read; a bad number or row is an error with file
and line.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...data.readers.annotation import MAX_BYTES, parse_rows
from ...data.store import refuse_size
from ...utils.errors import UserError
from ...utils.files import write_json, write_text
from ...utils.names import check_name
from .benchmarks import Benchmark

MANIFEST = "benchmark.json"
_COMPANIONS = ("_time.txt", "_score.txt")
_CHECKSUMS = ".sha256"
_MAX_MANIFEST_BYTES = 16 << 20  # bytes
_ENTRIES = {"benchmark", "root", "tracker", "config", "checkpoint", "checkpoint_sha256", "settings", "precision",
            "backend", "compile", "cuda_graph", "exported", "made_by"}


@dataclass(frozen=True)
class ResultSet:
    """The results of one tracker under one config on one benchmark.

    root  the folder of a folder benchmark; None for a benchmark that goes by its name
    """

    tracker: str
    config: str
    benchmark: str
    folder: Path
    root: Path | None = None

    @property
    def name(self) -> str:
        """What tables and plots call it."""
        return f"{self.tracker}/{self.config}" if self.config else self.tracker


def results_root(save_dir: str | Path) -> Path:
    """The folder that holds the results of all trackers."""
    return Path(save_dir) / "test" / "tracking_results"


def run_name(config: str, run: str) -> str:
    """The name of a run of ``config`` whose results are kept apart under ``run``; "" is the run of no name.

    Raises :class:`UserError` for a name that could not be that of a folder.
    """
    return f"{config}_{check_name(run, '--run')}" if run else config


def result_folder(save_dir: str | Path, tracker: str, config: str, benchmark: str) -> Path:
    """Where the results of one tracker on one benchmark lie."""
    return results_root(save_dir) / tracker / config / benchmark


def write_manifest(folder: Path, benchmark: Benchmark, tracker: str, config: str, **more: Any) -> None:
    """Write down which benchmark the results in ``folder`` belong to, so that they can be scored by themselves.

    ``more`` is what else describes the run (checkpoint, hashes); it must be JSON.
    """
    content = {"benchmark": benchmark.name, "root": None if benchmark.root is None else str(benchmark.root),
               "tracker": tracker, "config": config, **more}
    write_json(folder / MANIFEST, {**content, "sha256": _digest(content)})


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a result folder; None where it has none."""
    path = folder / MANIFEST
    if not os.path.lexists(path):
        return None
    try:
        refuse_size(path.stat().st_size, str(path), _MAX_MANIFEST_BYTES)
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read the manifest {path}: {error}; run the tracker again with --overwrite") from error
    if not isinstance(value, dict) or not isinstance(value.get("benchmark"), str) \
            or not isinstance(value.get("root"), str | None) or not isinstance(value.get("made_by"), list | None) \
            or not all(isinstance(entry, dict) for entry in value.get("made_by") or ()) \
            or not isinstance(value.get("exported"), dict | None):
        raise UserError(f'{path}: not a manifest with "benchmark" and "root"; run the tracker again with --overwrite')
    stated = value.pop("sha256", None)
    unknown = sorted(value.keys() - _ENTRIES)
    if unknown or (stated is not None and stated != _digest(value)):
        why = f"it holds the unknown entry {unknown[0]!r}" if unknown else "its SHA-256 is another"
        raise UserError(f"the manifest {path} is not as it was written ({why}); run the tracker again with --overwrite")
    check_name(value["benchmark"], f"{path}: the benchmark")  # part of the names of folders that are written
    if "\0" in (value.get("root") or ""):
        raise UserError(f"{path}: the root is no path; run the tracker again with --overwrite")
    return {"root": None, **value, "made_by": value.get("made_by") or [], "exported": value.get("exported") or {}}


def write_result(folder: Path, video: str, boxes_xywh: np.ndarray, seconds: np.ndarray, scores: np.ndarray) -> None:
    """Write one video's boxes (N, 4), seconds (N,) and confidences (N,), and the digests of these files.

    The boxes are written last: where they are, the others are, and the video is done.
    """
    if not (len(boxes_xywh) == len(seconds) == len(scores)) or np.shape(boxes_xywh)[1:] != (4,):
        raise ValueError(f"{video}: boxes {np.shape(boxes_xywh)}, {len(seconds)} times, {len(scores)} scores")
    files = {f"{video}_time.txt": "".join(f"{s:.6f}\n" for s in seconds),
             f"{video}_score.txt": "".join(f"{s:.6f}\n" for s in scores),
             f"{video}.txt": "".join(",".join(f"{v:.4f}" for v in box) + "\n" for box in boxes_xywh)}
    checksums = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in files.items())
    boxes = files.popitem()
    for name, text in (*files.items(), (f"{video}{_CHECKSUMS}", checksums), boxes):
        write_text(folder / name, text)


def verify_checksums(folder: Path, video: str) -> str | None:
    """What is not as it was written of the result files of ``video``; None where all is, or where nobody knows."""
    try:
        for name in _read_checksums(folder, video):
            read_result_file(folder / name, video)
    except UserError as error:
        return str(error)
    return None


def read_result_file(path: Path, video: str) -> bytes:
    """The bytes of one of the result files of ``video``. Raises :class:`UserError` where they are not those that were
    written; where there is no digest of them they are taken as they are."""
    data, checksums = _bytes(path), _read_checksums(path.parent, video)
    if path.name in checksums and checksums[path.name] != hashlib.sha256(data).hexdigest():
        raise UserError(f"{path} is not as it was written (its SHA-256 is not that in {video}{_CHECKSUMS}): track the "
                        f"video again, or remove {video}{_CHECKSUMS} where the change was meant")
    return data


def _read_checksums(folder: Path, video: str) -> dict[str, str]:
    """The digests of the result files of ``video`` by name; {} where none were written down."""
    path = folder / f"{video}{_CHECKSUMS}"
    if not os.path.lexists(path):
        return {}
    lines = [line.partition("  ") for line in _bytes(path).decode(errors="replace").splitlines()]
    checksums = {name: digest for digest, _, name in lines}
    if checksums.keys() != {f"{video}{ending}" for ending in (".txt", *_COMPANIONS)}:
        raise UserError(f"{path} is not as it was written: track the video again")
    return checksums


def read_boxes(folder: Path, video: str) -> np.ndarray:
    """The boxes of one video, (rows, 4), every number finite and no side negative."""
    path = folder / f"{video}.txt"
    boxes_xywh = parse_rows(read_result_file(path, video), str(path), columns=(4,))
    bad = np.flatnonzero(~np.isfinite(boxes_xywh).all(axis=1) | (boxes_xywh[:, 2:] < 0).any(axis=1))
    if bad.size:
        raise UserError(f"{path}, line {bad[0] + 1}: not a box: {', '.join(f'{v:g}' for v in boxes_xywh[bad[0]])}")
    return boxes_xywh


def read_seconds(folder: Path, video: str) -> np.ndarray | None:
    """The seconds a frame of one video, (rows,); None where there is no such file."""
    return _column(folder / f"{video}_time.txt", video)


def read_scores(folder: Path, video: str) -> np.ndarray | None:
    """The confidences of one video, (rows,); None where there is no such file."""
    return _column(folder / f"{video}_score.txt", video)


def remove_results(folder: Path, videos: Iterable[str]) -> None:
    """Remove the files of ``videos``, the boxes first: without them a video is not done."""
    for video in videos:
        for ending in (".txt", *_COMPANIONS, _CHECKSUMS):
            path = folder / f"{video}{ending}"
            try:
                path.unlink(missing_ok=True)
            except OSError as error:  # a folder in its place
                raise UserError(f"cannot remove {path}: {error.strerror or error}") from error


def has_result(folder: Path, video: str) -> bool:
    """Whether the boxes of ``video`` have been written."""
    return (folder / f"{video}.txt").is_file()


def find_results(save_dir: str | Path) -> list[ResultSet]:
    """All result folders under ``save_dir``: those with a manifest or at least one file of boxes."""
    found = []
    for folder in sorted(p for p in results_root(save_dir).glob("*/*/*") if p.is_dir()):
        manifest = read_manifest(folder)
        if manifest is None and not any(is_result_file(p) for p in folder.iterdir()):
            continue
        manifest = manifest or {"benchmark": folder.name, "root": None}
        root = manifest.get("root")
        found.append(ResultSet(folder.parts[-3], folder.parts[-2], manifest["benchmark"], folder,
                               None if root is None else Path(root)))
    return found


def is_result_file(path: Path) -> bool:
    """Whether ``path`` is a file of boxes by its name."""
    return path.suffix == ".txt" and not path.name.startswith(".") and not path.name.endswith(_COMPANIONS)


def _column(path: Path, video: str) -> np.ndarray | None:
    if not os.path.lexists(path):
        return None
    return parse_rows(read_result_file(path, video), str(path), columns=(1,))[:, 0]


def _bytes(path: Path) -> bytes:
    try:
        refuse_size(path.stat().st_size, str(path), MAX_BYTES)
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
