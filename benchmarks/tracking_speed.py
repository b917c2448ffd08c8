"""How fast the tracker is, by runtime and threads, beside a plain tracker (``benchmarks/plain_tracker.py``) and rivals.

    python benchmarks/tracking_speed.py --config MSTGT-full-256 --threads 2
    python benchmarks/tracking_speed.py --config MSTGT-nano-128 --rows fp32 fp32_openvino fp32_openvino_threads1 --busy
    python benchmarks/tracking_speed.py --config MSTGT-nano-128 --rows fp32_openvino --nano_dir nanotrack \\
        --contrib_python contrib-venv/bin/python
    python benchmarks/tracking_speed.py --config MSTGT-full-256 --device cuda --rows plain fp32 bf16 bf16_graph_batch8

A row is a precision and, each behind an underscore, any of ``openvino``, ``compile``, ``graph`` (a CUDA graph),
``threadsN`` (a fixed number of threads; without it the engine chooses), ``narrow`` (frames whose narrow search crop is
enough, TEST.NARROW_SIZE) and ``batchN``, which is also N targets in one video. ``--nano_dir`` adds NanoTrack v2 in
OpenCV, ``--contrib_python`` CSRT and KCF (``benchmarks/rivals.py``). ``--busy`` measures a second time beside a process
that never rests, and prints what is left of the quiet speed.

Random weights, a 1280 x 720 image in memory. Every round runs all rows one after the other, so that what else the
machine does meets all of them; figures are medians over the rounds, and a ratio is the median of the rounds' ratios.
*Tracker* is crop, network and box; *network* the network alone. Rows of a batch give milliseconds per target and frame.
Before anything is measured, the boxes of every row are compared with those of the plain tracker over ten frames; an
fp32 row that is further from them than 0.001 px is not measured, and the status is 1. Compiling takes minutes a row.
The table is Markdown, for benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from rivals import CONTRIB, ContribTracker, nano_update

from mstgt.config import load_config
from mstgt.config.arguments import PRECISIONS, add_shared_arguments
from mstgt.test.tracker import Tracker, TrackerEngine
from mstgt.utils.device import resolve_device, set_up
from mstgt.utils.errors import UserError, run_command
from mstgt.utils.files import write_json
from mstgt.utils.progress import progress

# PyTorch and what needs it are imported inside functions, after the arguments have been checked.
if TYPE_CHECKING:
    import torch
    from plain_tracker import PlainTracker

IMAGE, BOX = (720, 1280), np.array([600.0, 300, 80, 100])
SAME_PX, CHECKED_FRAMES = 1e-3, 10


@dataclass(frozen=True)
class Kind:
    """A row: how the engine is made, and how many videos it tracks at once."""

    engine: dict[str, Any]
    batch: int = 1
    backend: str = "torch"
    narrow: bool = False

    @classmethod
    def named(cls, name: str) -> Kind:
        """A precision and what ``OPTIONS`` allows, each behind an underscore: bf16_compile_graph_batch8.

        Raises :class:`argparse.ArgumentTypeError` for another name.
        """
        precision, *others = name.split("_")
        engine: dict[str, Any] = {"precision": precision}
        backend = "torch"
        batch = 1
        narrow = False
        for word in others:
            if word in OPTIONS:
                engine[OPTIONS[word]] = True
            elif word == "openvino":
                backend = word
            elif word == "narrow":
                narrow = True
            elif word.startswith("threads") and word[7:].isdecimal() and int(word[7:]):
                engine["threads"] = int(word[7:])
            elif word.startswith("batch") and word[5:].isdecimal() and int(word[5:]):
                batch = int(word[5:])
            else:
                raise argparse.ArgumentTypeError(f"{name!r}: {word!r} is none of {', '.join(OPTIONS)}, batchN, "
                                                 "threadsN, openvino, narrow")
        if precision not in PRECISIONS:
            raise argparse.ArgumentTypeError(f"{name!r} begins with none of {', '.join((PLAIN, *PRECISIONS))}")
        if backend == "openvino" and ("compile" in engine or "cuda_graph" in engine):
            raise argparse.ArgumentTypeError(f"{name!r}: compile and graph are for PyTorch")
        return cls(engine, batch, backend, narrow)

    def build(self, network: Any, cfg: Any, device: torch.device) -> TrackerEngine:
        """The engine of the row."""
        if self.backend == "torch":
            from mstgt.test.tracker.torch_engine import TorchEngine

            return TorchEngine(network, cfg, device, **self.engine)
        from mstgt.export.openvino_convert import openvino_engine_of

        return openvino_engine_of(network, cfg, **self.engine)


PLAIN = "plain"
OPTIONS = {"compile": "compile", "graph": "cuda_graph"}
DEFAULT_ROWS = (PLAIN, "fp32", "bf16", "fp32_openvino", "fp32_openvino_threads1", "bf16_openvino",
                "fp32_openvino_batch2", "fp32_openvino_batch4", "fp32_openvino_batch8")


@dataclass(frozen=True)
class Row:
    """What is timed: one call of each is a frame of ``batch`` videos."""

    tracker: Callable[[], object]
    network: Callable[[], object] | None
    batch: int = 1


def main() -> int:
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s: %(message)s")
    args = parse_args()
    cfg = load_config("MSTGT", args.config)
    device_string = resolve_device(args.device)
    if not cfg.TEST.NARROW_SIZE and any(Kind.named(name).narrow for name in args.rows if name != PLAIN):
        raise UserError(f"{args.config} has no narrow search crops (TEST.NARROW_SIZE): leave out the rows with narrow")

    import torch

    from mstgt.models.mstgt import build_model
    from mstgt.profiling.frame_parts import main_products
    from mstgt.profiling.profile import describe_device, measure_cost, time_rounds
    from mstgt.test.tracker.torch_engine import TorchEngine

    if args.threads:
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(args.threads)
    device = torch.device(device_string)
    set_up(device)  # for the plain tracker, too
    torch.manual_seed(0)
    network = build_model(cfg).eval()
    rows = build_rows(args.rows, network, cfg, device)
    asked_rows = len(rows)
    rows |= rival_rows(args)
    products, product_flops = main_products(TorchEngine(network, cfg, device))
    works = {f"{name} {what}": work for name, row in rows.items()
             for what, work in (("tracker", row.tracker), ("network", row.network)) if work is not None}
    seconds = time_rounds(works | products, device, rounds=args.rounds)
    print(f"\n{args.config} on {describe_device(device)}, PyTorch {torch.__version__}, {args.rounds} rounds\n")
    report = table(rows, seconds)
    if args.busy:
        with busy_process():
            beside = time_rounds({name: work for name, work in works.items() if name.endswith("tracker")}, device,
                                 rounds=args.rounds)
        for name, row in rows.items():
            report[name]["busy_ms"] = float(np.median(beside[f"{name} tracker"])) / row.batch * 1e3
    print_table(report)
    rates = {name: product_flops / float(np.median(seconds[name])) for name in products}
    gflops = measure_cost(network).frame_flops / 1e9
    print_shares(report, rates, gflops)
    if args.json:
        write_json(args.json, {"config": args.config, "device": describe_device(device), "torch": torch.__version__,
                               "rounds": args.rounds, "frame_gflops": gflops, "product_flops": rates, "rows": report})
    return int(asked_rows < len({PLAIN, *args.rows}))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "config", "device", defaults={"config": "MSTGT-full-256", "device": "cpu"})
    parser.add_argument("--rows", nargs="+", type=row_name, default=DEFAULT_ROWS, metavar="ROW",
                        help=f"what to measure (default: {' '.join(DEFAULT_ROWS)})")
    parser.add_argument("--threads", type=int, help="threads of PyTorch and OpenCV")
    parser.add_argument("--rounds", type=int, default=20, help="of all rows in turn (default: %(default)s)")
    parser.add_argument("--busy", action="store_true", help="measure the trackers beside a busy process, too")
    parser.add_argument("--nano_dir", type=Path, metavar="DIR", help="folder of NanoTrack v2: adds the row nanotrack")
    parser.add_argument("--contrib_python", type=Path, metavar="FILE", help="a Python with "
                        "opencv-contrib-python-headless and numpy: adds the rows csrt and kcf")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    args = parser.parse_args()
    if args.rounds < 1 or (args.threads or 1) < 1:
        raise UserError("--rounds and --threads must be at least 1")
    if args.nano_dir and not args.nano_dir.is_dir():
        raise UserError(f"--nano_dir {args.nano_dir}: there is no such folder")
    if args.contrib_python and not args.contrib_python.is_file():
        raise UserError(f"--contrib_python {args.contrib_python}: there is no such file")
    return args


def row_name(name: str) -> str:
    if name != PLAIN:
        Kind.named(name)
    return name


def build_rows(names: list[str], network: Any, cfg: Any, device: torch.device) -> dict[str, Row]:
    """The rows by name, the plain tracker first, but for those in fp32 that do not give its boxes."""
    from plain_tracker import PlainTracker

    plain = PlainTracker(network.to(device), cfg)
    images = moving_images()
    expected = boxes(plain, images)
    rows = {PLAIN: plain_row(plain, images[0])}
    for name in progress([name for name in names if name != PLAIN], desc="engines"):
        kind = Kind.named(name)
        engine = kind.build(network, cfg, device)
        difference = float(np.abs(boxes(Tracker(engine), images) - expected).max())
        print(f"{name}: boxes within {difference:.2g} px of the plain tracker's", flush=True)
        if engine.precision == "fp32" and not difference <= SAME_PX:
            print(f"{name} does not compute what the plain tracker does: not measured", file=sys.stderr)
        else:
            rows[name] = engine_row(engine, images[0], kind)
    return rows


def moving_images() -> list[np.ndarray]:
    """An image with detail at all scales that moves a few pixels a frame."""
    rng = np.random.default_rng(0)
    height, width = IMAGE
    image = np.full((height + 60, width + 60, 3), 128, np.float32)
    for cells, strength in ((8, 50), (32, 40), (128, 25)):
        coarse = rng.standard_normal((cells, 2 * cells, 3)).astype(np.float32)
        image += strength * cv2.resize(coarse, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    image = np.clip(image, 0, 255).astype(np.uint8)
    return [np.ascontiguousarray(image[2 * t : 2 * t + height, 3 * t : 3 * t + width]) for t in range(CHECKED_FRAMES)]


def boxes(tracker: Any, images: list[np.ndarray]) -> np.ndarray:
    tracker.init(images[0], BOX)
    return np.array([tracker.update(image)[0] for image in images[1:]])


def plain_row(plain: PlainTracker, image: np.ndarray) -> Row:
    import torch

    plain.init(image, BOX)
    size = plain.network.search_size
    search, guidance = torch.zeros(1, 3, size, size, device=plain.template.device), None

    def frame() -> None:
        plain.box = BOX  # random weights would walk away from the image's middle
        plain.update(image)

    def network() -> None:
        with torch.no_grad():
            plain.step(plain.template, search, guidance)

    return Row(frame, network)


def rival_rows(args: argparse.Namespace) -> dict[str, Row]:
    """The rows of OpenCV's trackers."""
    images = moving_images()
    rows = {}
    if args.nano_dir:
        try:
            rows["nanotrack"] = Row(nano_update(args.nano_dir, images, BOX.tolist()), None)
        except FileNotFoundError as error:
            raise UserError(f"--nano_dir {args.nano_dir}: there is no {error}") from error
    if args.contrib_python:
        for name in CONTRIB:
            rows[name] = Row(ContribTracker(args.contrib_python, name, images, BOX.tolist(), args.threads or 1), None)
    return rows


@contextlib.contextmanager
def busy_process() -> Iterator[None]:
    """A process beside this one that computes without a pause."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def engine_row(engine: TrackerEngine, image: np.ndarray, kind: Kind) -> Row:
    import torch

    target = engine.start(image, BOX)
    if kind.narrow:
        target = replace(target, motion=0.0)
    batch, crop = kind.batch, engine.search_crop(target)
    images, targets = [image] * batch, [target] * batch
    searches = np.zeros((batch, crop.size, crop.size, 3), np.uint8)
    state = engine.cat_states([target.state] * batch)
    # With random weights a narrow crop's answer would be doubted, and the ordinary crop be looked at as well.
    tracker = (lambda: engine.locate(images, targets, [engine.search_crop(t) for t in targets])) if kind.narrow \
        else (lambda: engine.step(images, targets))
    return Row(tracker, torch.inference_mode()(lambda: engine.forward_frame(searches, state)), batch)


def table(rows: dict[str, Row], seconds: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Of every row: milliseconds a frame, frames a second, and how many times faster than the plain tracker."""
    report: dict[str, dict[str, float]] = {}
    for name, row in rows.items():
        figures = report[name] = {}
        for what in ("tracker", "network") if row.network else ("tracker",):
            taken = seconds[f"{name} {what}"] / row.batch
            figures[f"{what}_ms"] = float(np.median(taken)) * 1e3
            figures[f"{what}_ratio"] = float(np.median(seconds[f"{PLAIN} {what}"] / taken))
    return report


def print_table(report: dict[str, dict[str, float]]) -> None:
    busy = any("busy_ms" in row for row in report.values())
    print("| row | tracker ms | frames/s | ratio | network ms | ratio |" + " busy frames/s | of quiet |" * busy)
    print("|---|---|---|---|---|---|" + "---|---|" * busy)
    for name, r in report.items():
        network = f"{r['network_ms']:.1f} | {r['network_ratio']:.2f}" if "network_ms" in r else " | "
        beside = f" {1e3 / r['busy_ms']:.1f} | {100 * r['tracker_ms'] / r['busy_ms']:.0f} % |" if busy else ""
        print(f"| {name} | {r['tracker_ms']:.1f} | {1e3 / r['tracker_ms']:.1f} | {r['tracker_ratio']:.2f} | "
              f"{network} |{beside}")


def print_shares(report: dict[str, dict[str, float]], peaks: dict[str, float], gflops: float) -> None:
    """How near the networks in fp32 come to the product of matrices in the same rounds."""
    print(f"\nA frame is {gflops:.2f} GFLOPs. The product of stage 3's tokens with its widest matrix reaches "
          + ", ".join(f"{peak / 1e9:.1f} GFLOP/s {way}" for way, peak in peaks.items()) + ".")
    for name, figures in report.items():
        # The FLOPs are those of an ordinary search crop.
        if name.startswith("fp32") and "network_ms" in figures and not Kind.named(name).narrow:
            rate = gflops / figures["network_ms"] * 1e12
            shares = ", ".join(f"{100 * rate / peak:.0f} % of {way}" for way, peak in peaks.items())
            print(f"{name}: {rate / 1e9:.1f} GFLOP/s, {shares}")


if __name__ == "__main__":
    run_command(main)
