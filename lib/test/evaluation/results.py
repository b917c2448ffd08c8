"""Result files: where they are, and how they are written, read and found.

    <save_dir>/test/tracking_results/<tracker>/<config>/<dataset>/
        benchmark.json        the manifest: which benchmark, its folder where it is a folder benchmark, and what made
                              the results (mstgt.test.evaluation.provenance)
        <video>.txt           one box per frame: x,y,w,h in pixels
        <video>_time.txt      seconds per frame
        <video>_score.txt     the tracker's confidence per frame, in [0, 1]
        <video>.sha256        checksums of these three files, in the format of sha256sum

Every file is written atomically, and the manifest holds a checksum of itself. A file that differs from its checksum is
an error that names the file; files without a checksum (of other projects) are accepted as they are. Numbers may be
separated by commas, semicolons, tabs or spaces, and a file may be <video>/<video>_001.txt as the GOT-10k toolkit names
it, or <video>.csv, so raw results of other projects can be read. A bad number or row is an error with file and line.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...data.readers.annotation import MAX_BYTES, parse_rows
from ...data.video import Video
from ...untrusted.limits import check_name, refuse_size
from ...utils.errors import UserError, explain_os_error
from ...utils.files import write_json, write_text
from .benchmarks import Benchmark

MANIFEST = "benchmark.json"
BOX_SOURCES = ("{0}.txt", "{0}/{0}_001.txt", "{0}.csv")
_COMPANIONS = ("_time.txt", "_score.txt")
_CHECKSUMS = ".sha256"
_MAX_MANIFEST_BYTES = 16 << 20
_AGAIN = "track its videos again"
# With another entry, a manifest was changed by hand or written by a later version whose meaning is not known here.
_ENTRIES = {"benchmark", "root", "tracker", "config", "checkpoint", "checkpoint_sha256", "settings", "precision",
            "backend", "compile", "cuda_graph", "exported", "made_by"}


class ManifestError(UserError):
    """A manifest is corrupt."""


@dataclass(frozen=True)
class ResultSet:
    """The results of one tracker under one config on one benchmark.

    root  the folder of a folder benchmark; None for a benchmark with a name
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
    """The name of a run of ``config`` whose results are kept apart under ``run``; "" for a run without a name.

    Raises :class:`UserError` for a name that cannot be part of a folder's name.
    """
    return f"{config}_{check_name(run, 'the name of the run')}" if run else config


def result_folder(save_dir: str | Path, tracker: str, config: str, benchmark: str) -> Path:
    """The folder with the results of one tracker on one benchmark."""
    return results_root(save_dir) / tracker / config / benchmark


def write_manifest(folder: Path, benchmark: Benchmark, tracker: str, config: str, **more: Any) -> None:
    """Write the manifest of ``folder``: which benchmark its results belong to, so that they can be scored later.

    ``more`` is what else describes the run (checkpoint, hashes); it must be JSON.
    """
    root = None if benchmark.root is None else str(benchmark.root)
    content = {"benchmark": benchmark.name, "root": root, "tracker": tracker, "config": config, **more}
    write_json(folder / MANIFEST, {**content, "sha256": _digest(content)})


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a result folder; None where it has none. Raises :class:`ManifestError` for a corrupt one."""
    path = folder / MANIFEST
    if not os.path.lexists(path):
        return None
    try:
        # Before reading: results folders may come from anybody.
        refuse_size(path.stat().st_size, str(path), _MAX_MANIFEST_BYTES)
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestError(f"cannot read the manifest {path}: {error}; {_AGAIN}") from error
    if not _has_manifest_types(manifest):
        raise ManifestError(f'{path}: not a manifest with "benchmark" and "root"; {_AGAIN}')
    # Manifests of early versions have no checksum of themselves.
    checksum = manifest.pop("sha256", None)
    unknown = sorted(manifest.keys() - _ENTRIES)
    if unknown:
        raise ManifestError(f"the manifest {path} is not as it was written (unknown entry {unknown[0]!r}); {_AGAIN}")
    if checksum is not None and checksum != _digest(manifest):
        raise ManifestError(f"the manifest {path} is not as it was written (its SHA-256 differs); {_AGAIN}")
    # The benchmark's name becomes part of the names of folders that are written.
    check_name(manifest["benchmark"], f"{path}: the benchmark")
    if "\0" in (manifest.get("root") or ""):
        raise ManifestError(f"{path}: the root is not a path; {_AGAIN}")
    # Early versions did not write these entries. They are filled in here, once for all readers.
    manifest.setdefault("root", None)
    manifest["made_by"] = manifest.get("made_by") or []
    manifest["exported"] = manifest.get("exported") or {}
    return manifest


def _has_manifest_types(value: Any) -> bool:
    """Whether ``value`` is a mapping whose entries have the types that the readers of a manifest rely on."""
    if not isinstance(value, dict) or not isinstance(value.get("benchmark"), str):
        return False
    made_by = value.get("made_by")
    if not isinstance(made_by, list | None) or not all(isinstance(entry, dict) for entry in made_by or ()):
        return False
    return isinstance(value.get("root"), str | None) and isinstance(value.get("exported"), dict | None)


def write_result(folder: Path, video: str, boxes_xywh: np.ndarray, seconds: np.ndarray, scores: np.ndarray) -> None:
    """Write the boxes (N, 4), seconds (N,) and scores (N,) of one video, and the checksums of these files."""
    if not (len(boxes_xywh) == len(seconds) == len(scores)) or np.shape(boxes_xywh)[1:] != (4,):
        raise ValueError(f"{video}: boxes {np.shape(boxes_xywh)}, {len(seconds)} times, {len(scores)} scores")
    times_text = "".join(f"{value:.6f}\n" for value in seconds)
    scores_text = "".join(f"{value:.6f}\n" for value in scores)
    boxes_text = "".join(",".join(f"{value:.4f}" for value in box) + "\n" for box in boxes_xywh)
    files = {f"{video}_time.txt": times_text, f"{video}_score.txt": scores_text, f"{video}.txt": boxes_text}
    # Of the text in memory, not of the file: what the disk changes while writing is noticed as well.
    checksums = "".join(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n" for name, text in files.items())
    write_text(folder / f"{video}_time.txt", times_text)
    write_text(folder / f"{video}_score.txt", scores_text)
    write_text(folder / f"{video}{_CHECKSUMS}", checksums)
    # The boxes last: a video counts as done when its boxes are there, so the other files must be there before.
    write_text(folder / f"{video}.txt", boxes_text)


def verify_checksums(folder: Path, video: str) -> str | None:
    """Which of the result files of ``video`` differs from its checksum, in words.

    None where all agree, or where there are no checksums.
    """
    try:
        for name in _read_checksums(folder, video):
            read_result_file(folder / name, video)
    except UserError as error:
        return str(error)
    return None


def read_result_file(path: Path, video: str) -> bytes:
    """The bytes of one of the result files of ``video``.

    Raises :class:`UserError` where they differ from the file's checksum. Files without a checksum are accepted.
    """
    data = _read_bytes(path)
    checksums = _read_checksums(path.parent, video)
    if path.name in checksums and checksums[path.name] != hashlib.sha256(data).hexdigest():
        raise UserError(f"{path} is not as it was written (its SHA-256 is not that in {video}{_CHECKSUMS}): track the "
                        f"video again, or remove {video}{_CHECKSUMS} if the change was intended")
    return data


def _read_checksums(folder: Path, video: str) -> dict[str, str]:
    """The checksums of the result files of ``video`` by file name; {} where there are none."""
    path = folder / f"{video}{_CHECKSUMS}"
    if not os.path.lexists(path):
        return {}
    checksums = {}
    for line in _read_bytes(path).decode(errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        checksums[name] = digest
    # A list with a line missing would silently protect fewer files.
    if checksums.keys() != {f"{video}{ending}" for ending in (".txt", *_COMPANIONS)}:
        raise UserError(f"{path} is not as it was written: track the video again")
    return checksums


def find_file(folder: Path, sources: Sequence[str], video: str) -> Path:
    """The file of a video in the first of the layouts ``sources`` that has one; if none has, the path in the first."""
    paths = [folder / source.format(video) for source in sources]
    return next((path for path in paths if path.is_file()), paths[0])


def read_boxes(folder: Path, video: str) -> np.ndarray:
    """The boxes of one video, (rows, 4), every number finite and no side negative. The first line may be a header."""
    path = find_file(folder, BOX_SOURCES, video)
    boxes_xywh = parse_rows(read_result_file(path, video), str(path), columns=(4,), header=True)
    # Sides of 0 are let through: benchmarks have a rule for predictions without area.
    bad = np.flatnonzero(~np.isfinite(boxes_xywh).all(axis=1) | (boxes_xywh[:, 2:] < 0).any(axis=1))
    if bad.size:
        raise UserError(f"{path}, line {bad[0] + 1}: not a box: {', '.join(f'{v:g}' for v in boxes_xywh[bad[0]])}")
    return boxes_xywh


def present_rows(rows: np.ndarray, video: Video) -> np.ndarray:
    """The rows of the frames that are there, where a result also has rows for frames that are missing here."""
    if video.missing_rows and len(rows) == len(video) + len(video.missing_rows):
        return np.delete(rows, video.missing_rows, axis=0)
    return rows


def read_seconds(folder: Path, video: str) -> np.ndarray | None:
    """The seconds per frame of one video, (rows,); None where there is no such file."""
    return _column(folder / f"{video}_time.txt", video)


def read_scores(folder: Path, video: str) -> np.ndarray | None:
    """The confidences of one video, (rows,); None where there is no such file."""
    return _column(folder / f"{video}_score.txt", video)


def remove_results(folder: Path, videos: Iterable[str]) -> None:
    """Remove the result files of ``videos``."""
    for video in videos:
        # The boxes first: without them a video does not count as done.
        for ending in (".txt", *_COMPANIONS, _CHECKSUMS):
            path = folder / f"{video}{ending}"
            with explain_os_error(f"cannot remove {path}"):  # a folder of that name, for instance
                path.unlink(missing_ok=True)


def has_result(folder: Path, video: str) -> bool:
    """Whether the boxes of ``video`` have been written."""
    return find_file(folder, BOX_SOURCES, video).is_file()


def find_results(save_dir: str | Path) -> list[ResultSet]:
    """All result folders under ``save_dir``: those with a manifest or at least one file of boxes."""
    found = []
    for folder in sorted(results_root(save_dir).glob("*/*/*")):
        if not folder.is_dir():
            continue
        manifest = read_manifest(folder)
        if manifest is None:
            if not any(is_result_file(path) for path in folder.iterdir()):
                continue
            # Results of other projects have no manifest. Their folder is named after the benchmark.
            manifest = {"benchmark": folder.name, "root": None}
        root = None if manifest["root"] is None else Path(manifest["root"])
        found.append(ResultSet(folder.parts[-3], folder.parts[-2], manifest["benchmark"], folder, root))
    return found


def is_result_file(path: Path) -> bool:
    """Whether ``path`` is a file of boxes by its name."""
    return path.suffix == ".txt" and not path.name.startswith(".") and not path.name.endswith(_COMPANIONS)


def _column(path: Path, video: str) -> np.ndarray | None:
    if not os.path.lexists(path):
        return None
    return parse_rows(read_result_file(path, video), str(path), columns=(1,))[:, 0]


def _read_bytes(path: Path) -> bytes:
    with explain_os_error(f"cannot read {path}"):
        refuse_size(path.stat().st_size, str(path), MAX_BYTES)
        return path.read_bytes()
