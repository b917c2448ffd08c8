"""Where results come from, and whether those in a folder may stand beside new ones.

    left = prepare_results_dir(folder, benchmark, "mstgt", "MSTGT-full-256", provenance, names, overwrite=False)

writes the folder's manifest and gives the videos that are left to track. One manifest speaks for the whole folder:

    benchmark, root               what was tracked
    tracker, config, checkpoint   by what
    checkpoint_sha256, settings, precision, backend, compile, cuda_graph, exported
                                  what the numbers depend on: one of each for all videos
    made_by                       a list: code, torch, device, batch (and onnxruntime or openvino, where that ran the
                                  network) of every kind of run that took part

An older manifest says nothing of some of these: that is the PyTorch backend, not compiled, without a CUDA graph.

Several commands may prepare a folder at once (shards); they take turns.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ...config import flatten
from ...config.yaml_text import parse_yaml_mapping
from ...utils.errors import UserError
from ...utils.files import locked
from ...utils.version import code_version
from .benchmarks import Benchmark
from .results import MANIFEST, has_result, read_manifest, remove_results, verify_checksums, write_manifest

_log = logging.getLogger(__name__)
_LOCK = ".lock"
_UNSAID = {"backend": "torch", "compile": False, "cuda_graph": False}  # what a manifest that does not say it means


@dataclass(frozen=True)
class RunProvenance:
    """What makes the results of a run.

    checkpoint  the file, and its SHA-256; its name alone where only exported files are there
    settings    the resolved configuration as YAML
    precision   what the network computes in
    device      the name of the machine's device
    batch       videos in one batch of the network
    backend     what ran the network: torch, openvino, onnx
    compile     whether PyTorch's network was compiled
    cuda_graph  whether a frame was one CUDA graph
    exported    the files that the backend ran in place of the checkpoint, each with its SHA-256
    onnxruntime, openvino  the version of the runtime that ran the network; "" for the others
    """

    checkpoint: Path
    checkpoint_sha256: str
    settings: str
    precision: str
    device: str
    batch: int
    backend: str = "torch"
    compile: bool = False
    cuda_graph: bool = False
    exported: Mapping[str, str] = field(default_factory=dict)
    onnxruntime: str = ""
    openvino: str = ""

    @property
    def compatibility_key(self) -> dict[str, Any]:
        """How the network was run, as far as all results of a folder must have been made in the same way."""
        return {name: getattr(self, name) for name in ("precision", *_UNSAID)}

    @property
    def made_by(self) -> dict[str, Any]:
        made_by = {"code": code_version(), "torch": torch.__version__, "device": self.device, "batch": self.batch}
        runtimes = {"onnxruntime": self.onnxruntime, "openvino": self.openvino}
        return made_by | {name: version for name, version in runtimes.items() if version}


def prepare_results_dir(folder: Path, benchmark: Benchmark, tracker: str, config: str, provenance: RunProvenance,
                        names: Sequence[str], overwrite: bool) -> list[str]:
    """Make ``folder`` ready for results of ``provenance``; gives those of ``names`` that are left to track.

    ``overwrite`` removes what is to be tracked again, and everything where the rest has another origin.
    Raises :class:`UserError` where results of another origin are in the way.
    """
    with _alone(folder):
        manifest = _read(folder, overwrite)
        done = {name for name in benchmark.videos.video_names if has_result(folder, name)}
        others = _differences(manifest, provenance, benchmark) if done else []
        if others and not overwrite:
            raise UserError(f"{folder} holds {len(done)} results of another origin ({'; '.join(others)}); give "
                            "--overwrite to replace them or --run NAME to keep both")
        if overwrite:
            gone = done if others else done & set(names)
            remove_results(folder, gone)
            done -= gone
        done -= _remove_damaged(folder, [name for name in names if name in done])
        left = [name for name in names if name not in done]
        made_by = manifest["made_by"] if manifest and done else []
        if done:
            _say_other_code(made_by)
        if left:
            made_by = made_by + [provenance.made_by] * (provenance.made_by not in made_by)
            checkpoint = provenance.checkpoint if provenance.exported else provenance.checkpoint.absolute()
            write_manifest(folder, benchmark, tracker, config, checkpoint=str(checkpoint),
                           checkpoint_sha256=provenance.checkpoint_sha256, settings=provenance.settings,
                           **provenance.compatibility_key, exported=dict(provenance.exported), made_by=made_by)
        return left


def _remove_damaged(folder: Path, names: Sequence[str]) -> set[str]:
    """The videos whose result files are not as they were written; these files are removed, and that is said."""
    damaged = {name: found for name in names if (found := verify_checksums(folder, name))}
    for found in damaged.values():
        _log.warning("%s; tracking it again", found.partition(": track the video again")[0])
    remove_results(folder, damaged)
    return set(damaged)


def _read(folder: Path, overwrite: bool) -> dict[str, Any] | None:
    try:
        return read_manifest(folder)
    except UserError:
        if not overwrite:
            raise
        return None  # broken, and about to be replaced


def _say_other_code(made_by: Sequence[dict[str, Any]]) -> None:
    codes = [str(entry.get("code")) for entry in made_by]
    if code_version() not in codes:
        _log.warning("the results that are there were made by code %s, this is %s; --overwrite tracks them again",
                     " and ".join(sorted(set(codes))) or "unknown", code_version())


def _differences(manifest: dict[str, Any] | None, provenance: RunProvenance, benchmark: Benchmark) -> list[str]:
    """In what the origin of the results in a folder is another one; [] where it is the same."""
    if manifest is None:
        return [f"there is no {MANIFEST}"]
    found = []
    root = None if benchmark.root is None else str(benchmark.root)
    for what, now in {"root": root, **provenance.compatibility_key}.items():
        there = manifest.get(what, _UNSAID.get(what))
        if there != now:
            found.append(f"{what}: {there} there, {now} now")
    files = manifest["exported"]
    found += [f"{name}: SHA-256 {str(files[name])[:12]}… there, {provenance.exported[name][:12]}… now"
              for name in sorted(files.keys() & provenance.exported.keys()) if files[name] != provenance.exported[name]]
    if manifest.get("checkpoint_sha256") != provenance.checkpoint_sha256:
        found.append(f"checkpoint: {manifest.get('checkpoint')} with SHA-256 "
                     f"{str(manifest.get('checkpoint_sha256'))[:12]}… there, {provenance.checkpoint_sha256[:12]}… now")
    there, now = (_that_matter(parse_yaml_mapping(str(text), MANIFEST))
                  for text in (manifest.get("settings", ""), provenance.settings))
    found += [f"{key}: {there.get(key)} there, {now.get(key)} now"
              for key in sorted(there.keys() | now.keys()) if there.get(key) != now.get(key)]
    return found


def _that_matter(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that a tracker's boxes depend on, under dotted names. What trained the weights is their hash's."""
    return {key: value for key, value in flatten(settings, where=MANIFEST).items()
            if key.startswith(("MODEL.", "TEST.", "DATA.MEAN", "DATA.STD")) and key != "TEST.EPOCH"}


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let only one command at a time look through ``folder``; without effect where files cannot be locked."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
    with locked(folder / _LOCK):
        yield
