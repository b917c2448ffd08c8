"""Track with OpenVINO in place of PyTorch's network: faster on x86 CPUs, and ready without importing torch.

    engine = load_openvino_engine(cfg, checkpoint)
    tracker = Tracker(engine)

The network is converted once for every checkpoint and configuration (:mod:`.openvino_convert`) and kept in the cache
(:mod:`.runtime_cache`); later processes read it from there.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import logging
import platform
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..test.tracker.engine import ArrayEngine, ArrayState, search_sizes, with_changes
from ..utils.errors import UserError, one_line, unknown_name
from ..utils.files import file_sha256
from ..utils.threads import ThreadChoice, given_threads, quiet_threads
from .runtime_cache import CacheError, cached_entry, discard_entry, network_code, network_settings

FORMAT = "3"  # increase it when the graphs' inputs or outputs change
PRECISION_HINTS = {"fp32": "f32", "bf16": "bf16"}
INIT_FILE = "init.xml"
FRAME_INPUTS = ("search", "template", "context", "guidance")
_log = logging.getLogger(__name__)


def frame_file(size: int) -> str:
    """The file of the graph for search crops of ``size`` px."""
    return f"frame_{size}.xml"


def is_openvino_available() -> bool:
    """Whether OpenVINO is installed on an x86 CPU, for which it is the faster runtime."""
    return platform.machine().lower() in ("x86_64", "amd64") and importlib.util.find_spec("openvino") is not None


def import_openvino() -> ModuleType:
    """The module ``openvino``. Raises :class:`UserError` with the command that installs it where it is missing."""
    # Importing openvino sends usage data to its makers through openvino_telemetry, without asking. A tracker must not
    # do that; where that package is missing, openvino goes on without it.
    hides_telemetry = "openvino" not in sys.modules and "openvino_telemetry" not in sys.modules
    if hides_telemetry:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise UserError(f"OpenVINO cannot be used here ({one_line(error)}): run `python -m pip install openvino`, or "
                        "take --backend torch") from error
    finally:
        if hides_telemetry:
            sys.modules.pop("openvino_telemetry", None)


class _SignalStack(ctypes.Structure):
    """``stack_t`` of signal.h on Linux."""

    _fields_ = [("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


def new_core(openvino: ModuleType) -> Any:
    """An ``openvino.Core`` whose CPU plugin is loaded.

    On Linux the plugin gives the calling thread an alternate signal stack of the smallest size that the kernel allows.
    Python's signal handlers run on it and overflow it: Ctrl-C would end the process with a segmentation fault. The
    thread therefore gets its own stack back.
    """
    if not sys.platform.startswith("linux"):
        return openvino.Core()
    libc, before = ctypes.CDLL(None), _SignalStack()
    libc.sigaltstack(None, ctypes.byref(before))
    core = openvino.Core()
    core.get_property("CPU", "FULL_DEVICE_NAME")  # loads the plugin
    libc.sigaltstack(ctypes.byref(before), None)
    return core


class CompiledNetwork:
    """A graph compiled for the CPU. It may be called from several threads: each call has an infer request of its own.

    OpenVINO shares no buffers between requests, and a request that is done is used again.
    """

    def __init__(self, core: Any, model: Any, config: dict[str, Any]):
        self._compiled = core.compile_model(model, "CPU", config)
        self._outputs = len(self._compiled.outputs)
        self._tensor = import_openvino().Tensor
        self._requests: deque[Any] = deque()

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs as arrays of their own."""
        try:
            request = self._requests.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            # Inputs are read where they are; infer(inputs) would take a few tenths of a millisecond to find out how.
            for number, array in enumerate(inputs):
                request.set_input_tensor(number, self._tensor(array, shared_memory=True))
            request.infer(share_outputs=True)
            # Outputs lie in the request's memory, which its next call overwrites.
            return [request.get_output_tensor(number).data.copy() for number in range(self._outputs)]
        finally:
            self._requests.append(request)


class OpenVinoEngine(ArrayEngine):
    """A :class:`TrackerEngine` that runs the network of a cache entry. ``cfg`` gives TEST.*.

    precision  fp32, or bf16 where the CPU has instructions for it
    threads    how many threads compute one call; default: OMP_NUM_THREADS, else what is fastest at the moment
               (:class:`mstgt.utils.threads.ThreadChoice`). The boxes do not depend on it.

    Raises ``RuntimeError`` from OpenVINO where the files are corrupt.
    """

    backend = "openvino"

    def __init__(self, folder: Path, cfg: Any, precision: str = "fp32", threads: int | None = None,
                 keep_files: bool = True):
        super().__init__(cfg, "cpu", precision)
        if precision not in PRECISION_HINTS:
            raise unknown_name("precision of OpenVINO", precision, PRECISION_HINTS)
        openvino = import_openvino()
        self.runtime = {"openvino": openvino.__version__}
        sizes = search_sizes(cfg)
        network_bytes = (folder / frame_file(sizes[0])).with_suffix(".bin").stat().st_size
        fixed = threads or given_threads()
        options = (fixed,) if fixed else (quiet_threads(network_bytes), 1)
        self._choices = {size: ThreadChoice(*options) for size in sizes}
        core = new_core(openvino)
        # Weights are mapped from the file unless it is about to be removed.
        core.set_property({"ENABLE_MMAP": keep_files})
        self._core = core
        self._graphs = {size: core.read_model(folder / frame_file(size)) for size in sizes}
        self._compile_config = {
            "INFERENCE_PRECISION_HINT": PRECISION_HINTS[precision],  # left alone, it takes bf16 where the CPU has it
            "NUM_STREAMS": 1,
            # A pinned thread waits for its core while another process has it, although the other core is free.
            "ENABLE_CPU_PINNING": False,
        }
        self._init = CompiledNetwork(core, core.read_model(folder / INIT_FILE),
                                     self._compile_config | {"INFERENCE_PRECISION_HINT": "f32"})
        self._networks: dict[tuple[int, int, bool], CompiledNetwork] = {}
        self._compiling = threading.Lock()
        self._network(sizes[0], options[0], single=True)

    def _network(self, size: int, threads: int, single: bool) -> CompiledNetwork:
        """The graph for crops of ``size`` px, compiled for this many threads, for one target or any number of them.

        Compiled when first needed, which takes about half a second: all of them at the start would delay the first box
        by two seconds.
        """
        key = (size, threads, single)
        if key not in self._networks:
            with self._compiling:
                if key not in self._networks:
                    graph = _for_one_target(self._graphs[size]) if single else self._graphs[size]
                    self._networks[key] = CompiledNetwork(
                        self._core, graph, self._compile_config | {"INFERENCE_NUM_THREADS": threads})
        return self._networks[key]

    def warm_up(self, batch: int = 1) -> None:
        for size, choice in self._choices.items():
            for threads in choice.options:
                self._network(size, threads, batch == 1)
        super().warm_up(batch)

    def init_state(self, templates: np.ndarray) -> ArrayState:
        template, context = self._init([templates])
        return template, context, template.copy()

    def forward_frame(self, searches: np.ndarray, state: ArrayState) -> tuple[list[list[float]], ArrayState]:
        count, size = searches.shape[:2]
        choice = self._choices[size]
        threads = choice.current()
        network = self._network(size, threads, count == 1)
        started = time.perf_counter()
        rows, *changed = network([searches, *state])
        choice.record(threads, (time.perf_counter() - started) / count)
        return rows.tolist(), with_changes(state, changed)


def _for_one_target(graph: Any) -> Any:
    """``graph`` with a batch of one, which is a tenth faster than one of any size."""
    single = graph.clone()
    single.reshape({port: [1, *_static_shape(port)[1:]] for port in single.inputs})
    return single


def _static_shape(port: Any) -> list[int]:
    """The lengths of a port's axes; 0 for the batch, which is dynamic."""
    return [axis.get_length() if axis.is_static else 0 for axis in port.partial_shape]


def load_openvino_engine(cfg: Any, checkpoint: str | Path, precision: str = "fp32", threads: int | None = None
                         ) -> OpenVinoEngine:
    """The engine of a checkpoint, converted when it is used for the first time.

    Raises :class:`UserError` where OpenVINO is missing, cannot convert the network, or where its boxes would not be
    PyTorch's.
    """
    if precision not in PRECISION_HINTS:
        raise unknown_name("precision of OpenVINO", precision, PRECISION_HINTS)
    version = import_openvino().__version__

    def build(folder: Path) -> None:
        from .openvino_convert import convert_checkpoint  # imported here: it needs torch, a cached network does not

        _log.warning("preparing %s for OpenVINO, once, which takes about ten seconds; with --backend torch this is not "
                     "needed", Path(checkpoint).name)
        convert_checkpoint(cfg, checkpoint, folder)

    made_from = {"format": FORMAT, "weights": file_sha256(checkpoint), "network": network_settings(cfg),
                 "code": network_code(), "openvino": version}
    try:
        entry = cached_entry(made_from, build)
    except CacheError as error:
        # Without a cache it still works, at the price of a conversion in every process.
        _log.warning("%s", error)
        with tempfile.TemporaryDirectory() as folder:
            build(Path(folder))
            return OpenVinoEngine(Path(folder), cfg, precision, threads, keep_files=False)
    try:
        return OpenVinoEngine(entry, cfg, precision, threads)
    except RuntimeError as error:
        _log.warning("%s is corrupt (%s); preparing it again", entry, one_line(error)[:200])
        discard_entry(entry)
        return OpenVinoEngine(cached_entry(made_from, build), cfg, precision, threads)
