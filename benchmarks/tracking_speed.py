"""How fast the tracker is, side by side with the same tracker without any trick (``benchmarks/plain_tracker.py``).

    python benchmarks/tracking_speed.py --config MSTGT-full-256 --threads 2
    python benchmarks/tracking_speed.py --config MSTGT-nano-128 --rows plain fp32 bf16 --rounds 50
    python benchmarks/tracking_speed.py --config MSTGT-full-256 --device cuda --rows plain fp32 bf16 bf16_graph_batch8

A row is a precision and, each behind an underscore, any of ``compile``, ``graph`` (a CUDA graph) and ``batchN``.
Random weights, a 1280 x 720 picture in memory. Every round runs all rows one after the other, so that what else the
machine does meets all of them; figures are medians over the rounds, and a ratio is the median of the rounds' ratios.
*Tracker* is crop, network and box; *network* the network alone. Rows of a batch give milliseconds a video's frame.
Before anything is measured, the boxes of every row are compared with those of the plain tracker over ten frames; an
fp32 row that is further from them than 0.001 px is not measured, and the status is 1. Compiling takes minutes a row.
The table is Markdown, for benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from plain_tracker import PlainTracker

from mstgt.config import load_config
from mstgt.models.mstgt import build_model
from mstgt.profiling.frame_parts import main_products
from mstgt.profiling.profile import device_name, measure_cost, time_rounds
from mstgt.test.tracker import Target, Tracker
from mstgt.test.tracker.inference import PRECISIONS
from mstgt.test.tracker.torch_engine import TorchEngine
from mstgt.utils.errors import UserError, run_command
from mstgt.utils.files import write_json
from mstgt.utils.machine import set_up
from mstgt.utils.progress import progress

PICTURE, BOX = (720, 1280), np.array([600.0, 300, 80, 100])
SAME_PX, CHECKED_FRAMES = 1e-3, 10


@dataclass(frozen=True)
class Kind:
    """A row: how the engine is made, and how many videos it tracks at once."""

    engine: dict[str, Any]
    batch: int = 1

    @classmethod
    def named(cls, name: str) -> Kind:
        """A precision and what ``OPTIONS`` allows, each behind an underscore: bf16_compile_graph_batch8.

        Raises :class:`argparse.ArgumentTypeError` for another name.
        """
        precision, *others = name.split("_")
        engine: dict[str, Any] = {"precision": precision}
        batch = 1
        for word in others:
            if word in OPTIONS:
                engine[OPTIONS[word]] = True
            elif word.startswith("batch") and word[5:].isdecimal() and int(word[5:]):
                batch = int(word[5:])
            else:
                raise argparse.ArgumentTypeError(f"{name!r}: {word!r} is none of {', '.join(OPTIONS)}, batchN")
        if precision not in PRECISIONS:
            raise argparse.ArgumentTypeError(f"{name!r} begins with none of {', '.join((PLAIN, *PRECISIONS))}")
        return cls(engine, batch)


PLAIN = "plain"
OPTIONS = {"compile": "compile", "graph": "cuda_graph"}
DEFAULT_ROWS = (PLAIN, "fp32", "fp32_compile", "bf16", "fp32_batch2", "fp32_batch4", "fp32_batch8")


@dataclass(frozen=True)
class Row:
    """What is timed: one call of each is a frame of ``batch`` videos."""

    tracker: Callable[[], object]
    network: Callable[[], object]
    batch: int = 1


def main() -> int:
    logging.basicConfig(level=logging.ERROR, format="%(levelname)s: %(message)s")
    args = parse()
    if args.threads:
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(args.threads)
    device = torch.device(args.device)
    set_up(device)  # for the plain tracker, too
    cfg = load_config("MSTGT", args.config)
    torch.manual_seed(0)
    network = build_model(cfg).eval()
    rows = build_rows(args.rows, network, cfg, device)
    products, product_flops = main_products(TorchEngine(network, cfg, device))
    works = {f"{name} {what}": work for name, row in rows.items()
             for what, work in (("tracker", row.tracker), ("network", row.network))}
    seconds = time_rounds(works | products, device, rounds=args.rounds)
    print(f"\n{args.config} on {device_name(device)}, PyTorch {torch.__version__}, {args.rounds} rounds\n")
    report = table(rows, seconds)
    print_table(report)
    rates = {name: product_flops / float(np.median(seconds[name])) for name in products}
    gflops = measure_cost(network).frame_flops / 1e9
    print_shares(report, rates, gflops)
    if args.json:
        write_json(args.json, {"config": args.config, "device": device_name(device), "torch": torch.__version__,
                               "rounds": args.rounds, "frame_gflops": gflops, "product_flops": rates, "rows": report})
    return int(len(rows) < len({PLAIN, *args.rows}))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="MSTGT-full-256", help="an experiment of MSTGT")
    parser.add_argument("--rows", nargs="+", type=row_name, default=DEFAULT_ROWS, metavar="ROW",
                        help=f"what to measure (default: {' '.join(DEFAULT_ROWS)})")
    parser.add_argument("--threads", type=int, help="threads of PyTorch and OpenCV")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--device", default="cpu", help="cpu or cuda; the plain tracker runs there too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    args = parser.parse_args()
    if args.rounds < 1 or (args.threads or 1) < 1:
        raise UserError("--rounds and --threads must be at least 1")
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"no device {args.device} here: leave --device out")
    return args


def row_name(name: str) -> str:
    if name != PLAIN:
        Kind.named(name)
    return name


def build_rows(names: list[str], network: Any, cfg: Any, device: torch.device) -> dict[str, Row]:
    """The rows by name, the plain tracker first, but for those in fp32 that do not give its boxes."""
    plain = PlainTracker(network.to(device), cfg)
    images = moving_pictures()
    expected = boxes(plain, images)
    rows = {PLAIN: plain_row(plain, images[0])}
    for name in progress([name for name in names if name != PLAIN], desc="engines"):
        kind = Kind.named(name)
        engine = TorchEngine(network, cfg, device, **kind.engine)
        difference = float(np.abs(boxes(Tracker(engine), images) - expected).max())
        print(f"{name}: boxes within {difference:.2g} px of the plain tracker's", flush=True)
        if engine.precision == "fp32" and not difference <= SAME_PX:
            print(f"{name} does not compute what the plain tracker does: not measured", file=sys.stderr)
        else:
            rows[name] = engine_row(engine, images[0], kind.batch)
    return rows


def moving_pictures() -> list[np.ndarray]:
    """A picture with detail at all scales that moves a few pixels a frame."""
    rng = np.random.default_rng(0)
    height, width = PICTURE
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
    plain.init(image, BOX)
    size = plain.network.search_size
    search, guidance = torch.zeros(1, 3, size, size, device=plain.template.device), None

    def frame() -> None:
        plain.box = BOX  # random weights would walk away from the picture's middle
        plain.update(image)

    def network() -> None:
        with torch.no_grad():
            plain.step(plain.template, search, guidance)

    return Row(frame, network)


def engine_row(engine: TorchEngine, image: np.ndarray, batch: int) -> Row:
    target = engine.start(image, BOX)
    targets: list[Target] = [target] * batch
    size = engine.settings.SEARCH_SIZE
    pictures = np.zeros((batch, size, size, 3), np.uint8)
    state = type(target.state)(*(torch.cat([tensor] * batch) for tensor in target.state))
    return Row(lambda: engine.step([image] * batch, targets),
               torch.inference_mode()(lambda: engine.forward_frame(pictures, state)), batch)


def table(rows: dict[str, Row], seconds: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Of every row: milliseconds a frame, frames a second, and how many times faster than the plain tracker."""
    report: dict[str, dict[str, float]] = {}
    for name, row in rows.items():
        figures = report[name] = {}
        for what in ("tracker", "network"):
            taken = seconds[f"{name} {what}"] / row.batch
            figures[f"{what}_ms"] = float(np.median(taken)) * 1e3
            figures[f"{what}_ratio"] = float(np.median(seconds[f"{PLAIN} {what}"] / taken))
    return report


def print_table(report: dict[str, dict[str, float]]) -> None:
    print("| row | tracker ms | frames/s | ratio | network ms | ratio |\n|---|---|---|---|---|---|")
    for name, r in report.items():
        print(f"| {name} | {r['tracker_ms']:.1f} | {1e3 / r['tracker_ms']:.1f} | {r['tracker_ratio']:.2f} | "
              f"{r['network_ms']:.1f} | {r['network_ratio']:.2f} |")


def print_shares(report: dict[str, dict[str, float]], peaks: dict[str, float], gflops: float) -> None:
    """How near the networks in fp32 come to the product of matrices in the same rounds."""
    print(f"\nA frame is {gflops:.2f} GFLOPs. The product of the main stage's tokens with its widest matrix reaches "
          + ", ".join(f"{peak / 1e9:.1f} GFLOP/s {way}" for way, peak in peaks.items()) + ".")
    for name, figures in report.items():
        if name.startswith("fp32"):
            rate = gflops / figures["network_ms"] * 1e12
            shares = ", ".join(f"{100 * rate / peak:.0f} % of {way}" for way, peak in peaks.items())
            print(f"{name}: {rate / 1e9:.1f} GFLOP/s, {shares}")


if __name__ == "__main__":
    run_command(main)
