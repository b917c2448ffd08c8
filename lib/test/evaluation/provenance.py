"""Records what made the results in a folder, and checks that new ones may be added to them.

    left = prepare_results_dir(folder, benchmark, "mstgt", "MSTGT-full-256", provenance, names, overwrite=False)

writes the folder's manifest and gives the videos that are left to track. There is one manifest per folder:

    benchmark, root               what was tracked
    tracker, config, checkpoint   by which tracker
    checkpoint_sha256, settings, precision, backend, compile, cuda_graph, exported
                                  what the numbers depend on: the same for all videos of the folder
    made_by                       a list: code, torch, device, batch (and onnxruntime or openvino, where that ran the
                                  network) of every kind of run that took part

Manifests of earlier versions lack some entries: these runs used the PyTorch backend, not compiled, without CUDA graphs.

Several commands (shards) may prepare a folder at the same time; a lock lets them do so one after the other.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...config import flatten
from ...config.load import parse_yaml_mapping
from ...utils.errors import UserError, explain_os_error
from ...utils.files import locked
from ...utils.version import code_version
from .benchmarks import Benchmark
from .results import (
    MANIFEST,
    ManifestError,
    has_result,
    read_manifest,
    remove_results,
    verify_checksums,
    write_manifest,
)
from .video_queue import is_locked

_log = logging.getLogger(__name__)
_LOCK = ".lock"
_DEFAULTS = {"backend": "torch", "compile": False, "cuda_graph": False}  # of entries that old manifests lack


class ResultsConflictError(UserError):
    """Results of another origin are in the way."""


@dataclass(frozen=True)
class RunProvenance:
    """What makes the results of a run.

    checkpoint         the file; its name alone where only exported files are there
    checkpoint_sha256  its SHA-256
    settings           the resolved configuration as YAML
    precision          number format of the network
    device             the name of the machine's device
    batch              videos in one batch of the network
    backend            what ran the network: torch, openvino, onnx
    compile            whether PyTorch's network was compiled
    cuda_graph         whether a frame was one CUDA graph
    exported           the files that the backend ran in place of the checkpoint, each with its SHA-256
    onnxruntime, openvino
                       the version of the runtime that ran the network; "" for the others
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
        """How the network was run: must be the same for all results of a folder."""
        # Device and batch size are left out: they change the last bits only, and the shards of a run may differ in
        # them.
        return {name: getattr(self, name) for name in ("precision", *_DEFAULTS)}

    @property
    def made_by(self) -> dict[str, Any]:
        """What may differ between the runs that fill a folder, and is written down for each of them."""
        import torch  # here: reading manifests must not load PyTorch

        made_by = {"code": code_version(), "torch": torch.__version__, "device": self.device, "batch": self.batch}
        for runtime, version in (("onnxruntime", self.onnxruntime), ("openvino", self.openvino)):
            if version:
                made_by[runtime] = version
        return made_by


def prepare_results_dir(folder: Path, benchmark: Benchmark, tracker: str, config: str, provenance: RunProvenance,
                        names: Sequence[str], overwrite: bool) -> list[str]:
    """Make ``folder`` ready for the results of a run; gives those of ``names`` that are left to track.

    ``overwrite`` removes the results that are to be tracked again, and all results where they have another origin.
    Raises :class:`ResultsConflictError` where results of another origin are there or are being written, and
    :class:`UserError` where the folder cannot be written.
    """
    with explain_os_error(f"cannot write {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / _LOCK):
        # Under the lock until the manifest is written: of two commands that both find an empty folder, one must see the
        # manifest of the other.
        try:
            manifest = read_manifest(folder)
        except UserError:
            if not overwrite:
                raise
            manifest = None  # it is corrupt, and about to be replaced
        done = {name for name in benchmark.videos.video_names if has_result(folder, name)}
        # A video that is being tracked has no result yet, but its result will stand under the same manifest.
        running = next((name for name in benchmark.videos.video_names if is_locked(folder, name)), None)
        differences = _differences(manifest, provenance, benchmark) if done or running else []
        if differences and running:
            # Its results would be added to ours under the manifest of this run.
            raise ResultsConflictError(f"another process is tracking {running} into {folder} with other settings "
                                       f"({'; '.join(differences)})")
        if differences and not overwrite:
            raise ResultsConflictError(f"{folder} holds {len(done)} results of another origin "
                                       f"({'; '.join(differences)})")
        if overwrite:
            # One manifest describes all results of the folder. If their origin is another, all of them are removed.
            to_remove = done if differences else done & set(names)
            remove_results(folder, to_remove)
            done -= to_remove
        # Before the list is made, so that this run tracks the corrupt ones again.
        done -= _remove_corrupt(folder, [name for name in names if name in done])
        left = [name for name in names if name not in done]
        # Where all results were removed, those who made them must not stay in the manifest.
        made_by = manifest["made_by"] if manifest and done else []
        if done:
            _warn_of_other_code(made_by)
        if left:
            if provenance.made_by not in made_by:
                made_by = [*made_by, provenance.made_by]
            # Absolute, because later commands may run in another folder. Of exported files alone, only the checkpoint's
            # name is known.
            checkpoint = provenance.checkpoint if provenance.exported else provenance.checkpoint.absolute()
            write_manifest(folder, benchmark, tracker, config, checkpoint=str(checkpoint),
                           checkpoint_sha256=provenance.checkpoint_sha256, settings=provenance.settings,
                           **provenance.compatibility_key, exported=dict(provenance.exported), made_by=made_by)
        return left


def backend_of_results(folder: Path, benchmark: Benchmark) -> str | None:
    """The runtime that made the results in ``folder``, or makes them now; None where there are none, or where their
    manifest is corrupt."""
    try:
        manifest = read_manifest(folder)
    except ManifestError:  # said by prepare_results_dir
        return None
    if manifest is None or not any(has_result(folder, name) or is_locked(folder, name)
                                   for name in benchmark.videos.video_names):
        return None
    return str(manifest.get("backend", _DEFAULTS["backend"]))


def _remove_corrupt(folder: Path, names: Sequence[str]) -> set[str]:
    """Remove the result files that differ from their checksums, with a warning each; gives their videos."""
    corrupt = set()
    for name in names:
        problem = verify_checksums(folder, name)
        if problem is not None:
            _log.warning("%s; tracking it again", problem.partition(": track the video again")[0])
            corrupt.add(name)
    remove_results(folder, corrupt)
    return corrupt


def _warn_of_other_code(made_by: Sequence[dict[str, Any]]) -> None:
    codes = [str(entry.get("code")) for entry in made_by]
    if code_version() not in codes:
        _log.warning("the results that are there were made by code %s, this is %s",
                     " and ".join(sorted(set(codes))) or "unknown", code_version())


def _differences(manifest: dict[str, Any] | None, provenance: RunProvenance, benchmark: Benchmark) -> list[str]:
    """How the origin of the results in a folder differs from ``provenance``; [] where it does not."""
    # Results without a manifest may come from anywhere.
    if manifest is None:
        return [f"there is no {MANIFEST}"]
    differences = []
    root = None if benchmark.root is None else str(benchmark.root)
    for key, now in {"root": root, **provenance.compatibility_key}.items():
        there = manifest.get(key, _DEFAULTS.get(key))
        if there != now:
            hint = f", --backend {there} goes on with it" if key == "backend" else ""
            differences.append(f"{key}: {there} there, {now} now{hint}")
    there_files = manifest["exported"]
    for name in sorted(there_files.keys() & provenance.exported.keys()):
        if there_files[name] != provenance.exported[name]:
            differences.append(f"{name}: SHA-256 {str(there_files[name])[:12]}… there, "
                               f"{provenance.exported[name][:12]}… now")
    there_sha256 = manifest.get("checkpoint_sha256")
    if there_sha256 != provenance.checkpoint_sha256:
        differences.append(f"checkpoint: {manifest.get('checkpoint')} with SHA-256 {str(there_sha256)[:12]}… there, "
                           f"{provenance.checkpoint_sha256[:12]}… now")
    there_settings = _relevant_settings(str(manifest.get("settings", "")))
    settings = _relevant_settings(provenance.settings)
    for key in sorted(there_settings.keys() | settings.keys()):
        if there_settings.get(key) != settings.get(key):
            differences.append(f"{key}: {there_settings.get(key)} there, {settings.get(key)} now")
    return differences


def _relevant_settings(yaml_text: str) -> dict[str, Any]:
    """The settings that a tracker's boxes depend on, under dotted names.

    Settings of training are left out: what they did to the weights is in the checkpoint's SHA-256.
    """
    settings = flatten(parse_yaml_mapping(yaml_text, MANIFEST), where=MANIFEST)
    # TEST.EPOCH only chooses the checkpoint, which its SHA-256 identifies.
    return {key: value for key, value in settings.items()
            if key.startswith(("MODEL.", "TEST.", "DATA.MEAN", "DATA.STD")) and key != "TEST.EPOCH"}
