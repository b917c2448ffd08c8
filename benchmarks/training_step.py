"""Time and memory of one training step: forward over T frames, loss, backward, clipping, AdamW.

    python benchmarks/training_step.py                                        # GPU where there is one
    python benchmarks/training_step.py --batch 16 --precision fp32 bf16 --compile both
    python benchmarks/training_step.py --device cpu --batch 1 --precision fp32 --compile off --threads 2

Prints the machine and a Markdown table, a row for every precision, eager and compiled; the times are medians over
--repeat steps after the first ones, in milliseconds. "speed" and "memory" compare with the first row: 2.00 is twice as
fast, 0.50 takes half the memory. Every row is measured in a process of its own, on random images that already lie on
the device. The peak is what torch has allocated on a GPU; on a CPU it is the resident memory of the process, Python and
torch with it. Compiling is not in the times; on a CPU it takes minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mstgt.config import load_config
from mstgt.config.arguments import add_shared_arguments
from mstgt.utils.device import device_name, resolve_device, set_up
from mstgt.utils.errors import UserError, run_command
from mstgt.utils.progress import progress

# PyTorch and what needs it are imported inside functions, after the arguments have been checked.
if TYPE_CHECKING:
    import torch

PRECISIONS = ("fp32", "bf16")
COMPILE = {"off": (False,), "on": (True,), "both": (False, True)}
WARM_UP = 3  # steps before the measured ones: allocation, and compiling of both passes
MAX_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, of getrusage's ru_maxrss


@dataclass(frozen=True)
class Row:
    """One line of the table: medians in ms, and the peak in bytes."""

    precision: str
    compiled: bool
    forward: float
    backward: float
    update: float
    step: float
    peak: int

    def line(self, first: Row) -> str:
        return (f"| {self.precision} | {'compiled' if self.compiled else 'eager'} | {self.forward:.1f} | "
                f"{self.backward:.1f} | {self.update:.1f} | {self.step:.1f} | {self.peak / 1e9:.2f} | "
                f"{first.step / self.step:.2f} | {self.peak / first.peak:.2f} |")


HEADER = ("| precision | mode | forward and loss | backward | clip and update | step | peak GB | speed | memory |\n"
          "|---|---|---|---|---|---|---|---|---|")


class Clock:
    """Marks moments of a device's work and gives the milliseconds between them."""

    def __init__(self, device: torch.device):
        self.on_gpu = device.type == "cuda"

    def mark(self) -> Any:
        if not self.on_gpu:
            return time.perf_counter()
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, first: Any, second: Any) -> float:
        if not self.on_gpu:
            return 1e3 * (second - first)
        second.synchronize()
        return first.elapsed_time(second)


def make_step(cfg: Any, batch: int, frames: int, precision: str, compiled: bool,
              device: torch.device) -> Callable[[Clock], list[Any]]:
    """A training step as the trainer does it; it returns the moments between its parts."""
    import torch

    from mstgt.models.mstgt import build_model
    from mstgt.train.build import freeze_stem
    from mstgt.train.losses import TrackingLoss
    from mstgt.train.optim import make_optimizer

    torch.manual_seed(0)
    set_up(device, cfg.TRAIN.TF32)
    network = build_model(cfg).to(device).train()
    freeze_stem(network, cfg)
    optimizer = make_optimizer(network, cfg)
    loss = TrackingLoss(cfg.TRAIN.GIOU_WEIGHT, cfg.TRAIN.L1_WEIGHT, cfg.TRAIN.FOCAL_WEIGHT)
    template = torch.randn(batch, 3, cfg.DATA.TEMPLATE.SIZE, cfg.DATA.TEMPLATE.SIZE, device=device)
    searches = torch.randn(frames, batch, 3, cfg.DATA.SEARCH.SIZE, cfg.DATA.SEARCH.SIZE, device=device)
    boxes = torch.rand(frames * batch, 4, device=device) * 0.4 + 0.2
    if compiled:
        network.compile()
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")

    def step(clock: Clock) -> list[Any]:
        moments = [clock.mark()]
        with autocast:
            prediction = network(template, searches)
        total = loss(prediction, boxes)["total"]
        moments.append(clock.mark())
        total.backward()
        moments.append(clock.mark())
        torch.nn.utils.clip_grad_norm_(network.parameters(), cfg.TRAIN.GRAD_CLIP_NORM or float("inf"))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return [*moments, clock.mark()]

    return step


def measure(cfg: Any, batch: int, frames: int, precision: str, compiled: bool, device: torch.device,
            repeat: int) -> Row:
    """Measure one row in this process."""
    import torch

    step, clock = make_step(cfg, batch, frames, precision, compiled, device), Clock(device)
    for _ in range(WARM_UP):
        step(clock)
    if clock.on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    steps = [step(clock) for _ in range(repeat)]
    parts = [[clock.between(*pair) for pair in zip(m, m[1:], strict=False)] for m in steps]
    peak = torch.cuda.max_memory_allocated(device) if clock.on_gpu \
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAX_RSS_UNIT
    forward, backward, update = (statistics.median(column) for column in zip(*parts, strict=True))
    return Row(precision, compiled, forward, backward, update, statistics.median(map(sum, parts)), peak)


def measure_apart(precision: str, compiled: bool) -> Row:
    """Measure one row in a process of its own, with the arguments of this one."""
    command = [sys.executable, __file__, *sys.argv[1:], "--row", precision, "compiled" if compiled else "eager"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise UserError(f"the row {precision} {'compiled' if compiled else 'eager'} failed: {last}")
    return Row(**json.loads(done.stdout.splitlines()[-1]))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "config", "device", defaults={"config": "MSTGT-full-256"})
    parser.add_argument("--batch", type=int, default=4, help="samples")
    parser.add_argument("--frames", type=int, default=4, help="search frames a sample")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=list(PRECISIONS))
    parser.add_argument("--compile", choices=COMPILE, default="both", help="torch.compile")
    parser.add_argument("--repeat", type=int, default=10, help="steps to measure, after the first ones")
    parser.add_argument("--threads", type=int, help="of the CPU (default: torch's choice)")
    parser.add_argument("--row", nargs=2, help=argparse.SUPPRESS)  # measure this row here and print it as JSON
    args = parser.parse_args()
    for name in ("batch", "frames", "repeat", "threads"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise UserError(f"--{name} {getattr(args, name)}: give 1 or more")
    return args


def main() -> None:
    args = parse_args()
    cfg = load_config("MSTGT", args.config)
    device_string = resolve_device(args.device)

    import torch

    device = torch.device(device_string)
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.row:
        row = measure(cfg, args.batch, args.frames, args.row[0], args.row[1] == "compiled", device, args.repeat)
        print(json.dumps(asdict(row)))
        return
    where = f"TF32 {'on' if cfg.TRAIN.TF32 else 'off'}" if device.type == "cuda" \
        else f"{torch.get_num_threads()} threads, load of the machine {os.getloadavg()[0]:.1f}"
    print(f"{device_name(device)}, {where}, torch {torch.__version__}; {args.config}, batch {args.batch} x "
          f"{args.frames} search frames; times in ms\n\n{HEADER}", flush=True)
    first: Row | None = None
    rows = [(precision, compiled) for precision in args.precision for compiled in COMPILE[args.compile]]
    for precision, compiled in progress(rows, desc="training step"):
        row = measure_apart(precision, compiled)
        first = first or row
        print(row.line(first), flush=True)


if __name__ == "__main__":
    run_command(main)
