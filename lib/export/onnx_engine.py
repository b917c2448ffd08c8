"""A tracker engine that runs exported ONNX files with ONNX Runtime. Crops and boxes are those of ``TrackerEngine``.

    engine = load_onnx_engine(cfg, OnnxFiles(folder, "MSTGT-nano-128"), device="cpu")
    tracker = Tracker(engine)

tracking/export.py writes the files; docs/export.md describes them. The number of threads on a CPU is OMP_NUM_THREADS,
or else what is fastest for a small network.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..test.tracker.engine import ArrayEngine, ArrayState, with_changes
from ..utils.errors import UserError, first_line, one_line
from ..utils.files import file_sha256
from ..utils.threads import default_threads
from .runtime_cache import cached_entry, network_code, network_settings

FORMAT = "mstgt-onnx 1"  # raise the number when the inputs or outputs change
# Names in the files: another name would need another FORMAT.
START_INPUTS = ("picture",)
STATE = ("template", "context", "guidance")
OLDER_STATE = ("template", "cue", "guidance")  # of files that were written before there was asymmetric attention
ANSWERS = ("boxes", "scores")  # before the tensors of the state that the step changes, such as next_guidance
_log = logging.getLogger(__name__)
_REQUIRED = ("template_size", "search_size", "mean", "std", "precision", "batch", "checkpoint", "checkpoint_sha256")


@dataclass(frozen=True)
class OnnxFiles:
    """The paths of an exported network's files."""

    folder: Path
    name: str

    @property
    def start(self) -> Path:
        return self.folder / f"{self.name}_start.onnx"

    @property
    def step(self) -> Path:
        return self.folder / f"{self.name}_step.onnx"

    @property
    def narrow_step(self) -> Path:
        """The step for narrow search crops; networks of settings without them (TEST.NARROW_SIZE) have no such file."""
        return self.folder / f"{self.name}_step_narrow.onnx"

    @property
    def present(self) -> list[Path]:
        """The files that are there."""
        return [path for path in (self.start, self.step, self.narrow_step) if path.is_file()]


def export_folder(save_dir: Path, config: str) -> Path:
    """The default folder of the files of a configuration."""
    return save_dir / "export" / config


def optional_package(name: str) -> ModuleType:
    """The module called ``name``. Raises :class:`UserError` with the command that installs it where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"ONNX cannot be used here ({error}): run `python -m pip install onnx onnxruntime onnxscript`"
                        ) from error


class OnnxPair:
    """The steps of a network, from ONNX files. It maps arrays to arrays and stores no state of any video.

    narrow_step  is read where the metadata names a size of narrow search crops
    metadata     of the frame step's file
    any_batch    whether the batch is chosen at run time; else it is ``batch``
    """

    def __init__(self, start: Path, step: Path, narrow_step: Path | None = None, device: str = "cpu",
                 threads: int | None = None):
        load = partial(_session, device=device, threads=threads or default_threads())
        self._start, self._step = load(start), load(step)
        self._state = _check_signature(self._start, start, START_INPUTS, [STATE, OLDER_STATE])
        self._where = f"{start} and {step}"
        self._step_path = step
        self._step_outputs = self._check_step(self._step, step)
        self.metadata = _metadata(self._step, step)
        self._check_same_export(_metadata(self._start, start), start)
        # Older files do not say it.
        self.narrow_size = _parsed(self.metadata.get("narrow_size", "0")) if narrow_step else 0
        if narrow_step and self.narrow_size:
            self._narrow = load(narrow_step)
            self._narrow_outputs = self._check_step(self._narrow, narrow_step)
            self._check_same_export(_metadata(self._narrow, narrow_step), narrow_step)
            self._where += f" and {narrow_step}"
        self.any_batch = self.metadata["batch"] == "any"
        if not re.fullmatch(r"any|[1-9]\d{0,8}", self.metadata["batch"], re.ASCII):
            raise UserError(f"{step} says batch {self.metadata['batch'][:60]!r}, which is none; export again")
        self.batch = 1 if self.any_batch else int(self.metadata["batch"])

    def _check_step(self, session: Any, path: Path) -> tuple[str, ...]:
        """The outputs of a step's file: the answers, and behind them the last tensors of the state, or none."""
        following = [f"next_{name}" for name in self._state]
        outputs = [(*ANSWERS, *following[first:]) for first in range(len(following), -1, -1)]
        return _check_signature(session, path, (*START_INPUTS, *self._state), outputs)

    def _check_same_export(self, other: Mapping[str, str], path: Path) -> None:
        for key in other:
            if key != "precision" and other[key] != self.metadata.get(key):
                raise UserError(f"{path} and {self._step_path} come from different exports ({key[:60]!r}: "
                                f"{other[key][:60]!r}, {self.metadata.get(key, '')[:60]!r}); export again")

    def start(self, templates: np.ndarray) -> tuple[np.ndarray, ...]:
        """Template crops (B, T, T, 3) uint8 -> the state before the first frame."""
        return tuple(self._run(self._start, self._state, {START_INPUTS[0]: templates}))

    def step(self, searches: np.ndarray, state: Sequence[np.ndarray]
             ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
        """Search crops (B, S, S, 3) uint8 and the state before -> boxes (B, 4), scores (B,), the state after.

        Boxes are cx, cy, w, h as shares of the search region.
        """
        inputs = dict(zip((*START_INPUTS, *self._state), (searches, *state), strict=True))
        if searches.shape[1] == self.narrow_size:
            boxes, scores, *changed = self._run(self._narrow, self._narrow_outputs, inputs)
        else:
            boxes, scores, *changed = self._run(self._step, self._step_outputs, inputs)
        if boxes.shape != (len(searches), 4) or scores.shape != (len(searches),):
            raise UserError(f"{self._where} give boxes {boxes.shape} and scores {scores.shape} for {len(searches)} "
                            "crops; export again")
        return boxes, scores, with_changes(tuple(state), changed)

    def _run(self, session: Any, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        try:
            return session.run(outputs, inputs)
        except _faults() as error:
            raise UserError(f"{self._where} cannot be run ({first_line(error, 300)}); export again") from error


def _session(path: Path, device: str, threads: int) -> Any:
    """An onnxruntime session on ``device``. Raises :class:`UserError` for a file that it cannot load."""
    runtime = optional_package("onnxruntime")
    if not path.is_file():
        raise UserError(f"no exported network {path}; write it with `python tracking/export.py --config NAME`, or say "
                        "where it is with --onnx_dir")
    kind, _, index = device.partition(":")
    providers: list[Any] = ["CPUExecutionProvider"]
    if kind == "cuda":
        if "CUDAExecutionProvider" not in runtime.get_available_providers():
            raise UserError("this onnxruntime has no CUDA: give --num_gpus 0, or install onnxruntime-gpu in its place")
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": int(index or 0)}))
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # On a busy machine, a thread that spins while it waits takes the core from the thread that it waits for.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors
    try:
        return runtime.InferenceSession(path, options, providers=providers)
    except _faults() as error:
        raise UserError(f"{path} is corrupt, or no ONNX file that this onnxruntime {runtime.__version__} can run "
                        f"({first_line(error, 300)}); export again") from error


def _faults() -> tuple[type[Exception], ...]:
    """The exceptions that onnxruntime raises for a file that it cannot load or run."""
    errors = optional_package("onnxruntime").capi.onnxruntime_pybind11_state
    names = ("EPFail", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile",
             "NotImplemented", "RuntimeException")
    return (*(getattr(errors, name) for name in names), RuntimeError, ValueError, MemoryError)


@contextlib.contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Report names and metadata that are not UTF-8: onnxruntime decodes them only when they are asked for."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is corrupt: its names are not UTF-8; export again") from error


def _check_signature(session: Any, path: Path, inputs: tuple[str, ...], outputs: Sequence[tuple[str, ...]]
                     ) -> tuple[str, ...]:
    """The one of ``outputs`` that the file has. Raises :class:`UserError` where there is none, or for other inputs."""
    with _decoding(path):
        ends = [end.name for end in session.get_inputs()], [end.name for end in session.get_outputs()]
    for names in outputs:
        if set(ends[0]) == set(inputs) and set(ends[1]) == set(names):
            return names
    takes, gives = (one_line(", ".join(names)[:100]) for names in ends)
    raise UserError(f"{path} takes {takes} and gives {gives}, not {', '.join(inputs)} and {', '.join(outputs[0])}; "
                    "export again")


def _metadata(session: Any, path: Path) -> dict[str, str]:
    with _decoding(path):
        metadata = session.get_modelmeta().custom_metadata_map
    if metadata.get("format") != FORMAT:
        raise UserError(f"{path} says format {metadata.get('format', 'nothing')[:60]!r}, this code reads {FORMAT!r}; "
                        "export again")
    missing = [key for key in _REQUIRED if key not in metadata]
    if missing:
        raise UserError(f"{path} does not say its {', '.join(missing)}; export again")
    return metadata


class OnnxEngine(ArrayEngine):
    """A :class:`TrackerEngine` whose network is an :class:`OnnxPair`.

    ``cfg`` describes the crops. The sizes and the normalization in the files must agree with it; a :class:`UserError`
    names what does not.
    """

    backend = "onnx"

    def __init__(self, pair: OnnxPair, cfg: Any):
        expected = {"template_size": cfg.TEST.TEMPLATE_SIZE, "search_size": cfg.TEST.SEARCH_SIZE,
                    "narrow_size": cfg.TEST.NARROW_SIZE, "mean": list(cfg.DATA.MEAN), "std": list(cfg.DATA.STD)}
        for key, value in expected.items():
            said = pair.metadata.get(key, "0")  # files from before narrow crops do not say narrow_size
            if _parsed(said) != value:
                raise UserError(f"the exported network was made for {key} {said[:60]}, the configuration says {value}; "
                                "export it again with these settings")
        super().__init__(cfg, "cpu", pair.metadata["precision"])
        self.pair = pair
        self.runtime = {"onnxruntime": optional_package("onnxruntime").__version__}

    def init_state(self, templates: np.ndarray) -> ArrayState:
        count = len(templates)
        return tuple(array[:count] for array in self.pair.start(self._filled(templates)))

    def forward_frame(self, searches: np.ndarray, state: ArrayState) -> tuple[list[list[float]], ArrayState]:
        count = len(searches)
        boxes, scores, after = self.pair.step(self._filled(searches), [self._filled(array) for array in state])
        rows = np.concatenate([boxes, scores[:, None]], axis=1)[:count].tolist()
        return rows, tuple(array[:count] for array in after)

    def _filled(self, array: np.ndarray) -> np.ndarray:
        """The rows of a batch, the last one repeated up to the files' fixed batch."""
        missing = 0 if self.pair.any_batch else self.pair.batch - len(array)
        if missing < 0:
            raise UserError(f"the exported network takes a batch of {self.pair.batch}, not {len(array)}: give "
                            f"--batch {self.pair.batch}, or export it without a fixed batch")
        return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array


def _parsed(text: str) -> Any:
    """A JSON value; None for what is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def exported_origin(cfg: Any, files: OnnxFiles, checkpoint: str | Path | None) -> dict[str, Any]:
    """The entries of a manifest for exported files: ``checkpoint`` and its hash, ``precision``, the files with their
    hashes, and the version of ``onnxruntime``.

    Raises :class:`UserError` where they do not fit ``cfg``, or come from other weights than a given ``checkpoint``.
    """
    metadata = load_onnx_engine(cfg, files).pair.metadata
    if checkpoint is not None and file_sha256(checkpoint) != metadata["checkpoint_sha256"]:
        raise UserError(f"{files.step} was exported from other weights than {checkpoint} (SHA-256 "
                        f"{metadata['checkpoint_sha256'][:12]}…); export it again, or do not name a checkpoint")
    return {"checkpoint": Path(checkpoint or metadata["checkpoint"]),
            "checkpoint_sha256": metadata["checkpoint_sha256"], "precision": metadata["precision"],
            "exported": {path.name: file_sha256(path) for path in files.present},
            "onnxruntime": optional_package("onnxruntime").__version__}


def load_onnx_engine(cfg: Any, files: OnnxFiles, device: str = "cpu", threads: int | None = None) -> OnnxEngine:
    """The engine of exported files. Raises :class:`UserError` where they are missing or of other settings."""
    return OnnxEngine(OnnxPair(files.start, files.step, files.narrow_step, device, threads), cfg)


def load_cached_onnx_engine(cfg: Any, checkpoint: str | Path, device: str = "cpu", threads: int | None = None
                            ) -> OnnxEngine:
    """The engine of a checkpoint, exported to the cache when it is used for the first time.

    Raises :class:`UserError` where a package is missing or too old, or where the boxes would not be PyTorch's.
    """
    optional_package("onnxruntime")
    name = "network"

    def build(folder: Path) -> None:
        from .onnx_export import export_checkpoint  # imported here: it needs torch, a cached network does not

        _log.warning("preparing %s for ONNX Runtime, once, which may take minutes; with --backend torch this is not "
                     "needed", Path(checkpoint).name)
        export_checkpoint(cfg, checkpoint, OnnxFiles(folder, name))

    made_from = {"runtime": "onnx", "format": FORMAT, "weights": file_sha256(checkpoint),
                 "network": network_settings(cfg), "code": network_code(), "torch": version("torch")}
    return load_onnx_engine(cfg, OnnxFiles(cached_entry(made_from, build), name), device, threads)
