"""What MSTGT costs: parameters, FLOPs, frames per second on this machine, and where the time of a frame goes.

    python tracking/profile_model.py --script MSTGT --config MSTGT-full-256
    python tracking/profile_model.py --config MSTGT-full-256 --precision bf16 --json costs.json --plot frame.png

Needs no weights and no data. One frame at a time, with as many threads as OMP_NUM_THREADS says, or as the engine
chooses. The rates are those of ``--backend``; the table is PyTorch's, whose parts can be timed one by one. It compares
each part with the matrix product that dominates stage 3, measured in the same run: ``plain`` as PyTorch multiplies,
``packed`` with the weights in the layout that the tracker uses on x86 CPUs. Shares refer to the faster one.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mstgt.config import load_config
from mstgt.config.arguments import add_shared_arguments, user_path
from mstgt.utils.device import resolve_device
from mstgt.utils.errors import UserError, run_command

# PyTorch and what needs it are imported inside functions, after the arguments have been checked.
if TYPE_CHECKING:
    from mstgt.models.mstgt import MSTGT
    from mstgt.profiling.frame_parts import FrameProfile
    from mstgt.profiling.profile import Cost
    from mstgt.test.tracker import TrackerEngine


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    args = parse_args()

    from mstgt.test.tracker.load import resolve_backend

    cfg = load_config(args.script, args.config, args.overrides)
    device = resolve_device(args.device)
    backend = resolve_backend(args.backend, device, args.precision, args.compile or args.cuda_graph)

    # What could be refused without PyTorch has been checked by now.
    import torch

    from mstgt.models.mstgt import build_model
    from mstgt.profiling.frame_parts import profile_frame
    from mstgt.profiling.profile import describe_device, measure_cost, network_fps, tracker_fps
    from mstgt.test.tracker.torch_engine import TorchEngine
    from mstgt.utils.files import write_json

    network = build_model(cfg)
    cost = measure_cost(network)
    print(f"{args.config}: template {network.template_size} px, search {network.search_size} px")
    print_cost(cost)
    torch_engine = TorchEngine(network, cfg, device, args.precision, args.compile, args.cuda_graph)
    engine = torch_engine if backend == "torch" else other_engine(backend, network, cfg, device, args.precision)
    rates = {"network": network_fps(engine, args.seconds), "whole_tracker": tracker_fps(engine, args.seconds)}
    if cfg.TEST.NARROW_SIZE:
        rates["narrow"] = tracker_fps(engine, args.seconds, narrow=True)
    how = ", ".join([args.precision] + ["compiled"] * args.compile + ["CUDA graph"] * args.cuda_graph)
    print(f"device            {describe_device(device)}")
    print(f"network           {rates['network']:.1f} frames/s ({backend}, {how}, one at a time)")
    print(f"whole tracker     {rates['whole_tracker']:.1f} frames/s (1280 x 720 images in memory)")
    if "narrow" in rates:
        print(f"  narrow crop     {rates['narrow']:.1f} frames/s (of {cfg.TEST.NARROW_SIZE} px, while the target moves "
              "little)")
    profile = profile_frame(torch_engine, args.seconds)
    print_parts(profile, network)
    if args.plot:
        from mstgt.visualize.frame_parts import draw_parts  # loads matplotlib

        draw_parts(profile.parts, f"{args.config}, {args.precision}, {describe_device(device)}", args.plot)
    if args.json:
        write_json(args.json, {
            "config": args.config, "device": describe_device(device), "torch": torch.__version__,
            "backend": backend, "how": how,
            "cost": asdict(cost), "frames_per_second": rates, **asdict(profile)})


def other_engine(backend: str, network: MSTGT, cfg: Any, device: str, precision: str) -> TrackerEngine:
    """The engine of a network in memory for a runtime other than PyTorch."""
    if backend == "openvino":
        from mstgt.export.openvino_convert import openvino_engine_of

        return openvino_engine_of(network, cfg, precision)
    assert backend == "onnx", backend
    from mstgt.export.onnx_export import onnx_engine_of

    return onnx_engine_of(network, cfg, device)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "script", "config", "set", "device", "backend", "precision")
    parser.add_argument("--compile", action="store_true", help="compile the network, which takes minutes")
    parser.add_argument("--cuda_graph", action="store_true", help="run a frame as one CUDA graph")
    parser.add_argument("--seconds", type=float, default=5.0,
                        help="how long to measure each rate (default: %(default)s)")
    parser.add_argument("--json", type=user_path, metavar="FILE", help="write the measurements there as well")
    parser.add_argument("--plot", "--picture", type=user_path, metavar="FILE",
                        help="draw the parts of a frame as a bar (PNG, PDF, SVG)")
    args = parser.parse_args()
    if args.plot and args.plot.suffix not in (".png", ".pdf", ".svg"):
        raise UserError(f"--plot {args.plot}: the name must end in .png, .pdf or .svg")
    if not 0 < args.seconds < 1e6:
        raise UserError(f"--seconds {args.seconds:g}: give more than 0")
    return args


def print_cost(cost: Cost) -> None:
    print(f"parameters        {cost.parameters / 1e6:.2f} M "
          f"({cost.published_parameters / 1e6:.2f} M in the published layout, which keeps two unused tables)")
    print(f"a frame           {cost.frame_flops / 1e9:.1f} GFLOPs ({cost.frame_flops / 2e9:.1f} G multiply-adds)")
    print(f"the template      {cost.template_flops / 1e9:.1f} GFLOPs, once per video")
    print(f"as published      {cost.published_flops / 1e9:.1f} GFLOPs ({cost.published_flops / 2e9:.1f} G "
          "multiply-adds; template and every token of every block in every frame)")
    print(f"  thop's figure   {cost.thop_macs / 1e9:.1f} G multiply-adds (without the products inside attention)")


def print_parts(profile: FrameProfile, network: MSTGT) -> None:
    """Print the table, and the rate that its shares refer to."""
    from mstgt.profiling.frame_parts import NETWORK, Part

    parts, peaks = profile.parts, profile.product_rates
    peak = max(peaks.values())
    inside = [part for part in parts if part.name in NETWORK]
    together = Part("network", sum(part.seconds for part in inside), sum(part.flops for part in inside))
    total = sum(part.seconds for part in parts)
    print(f"\n{'a frame in parts':<17}{'ms':>9}{'share':>8}{'GFLOPs':>9}{'GFLOP/s':>9}{'of peak':>9}")
    rows: list[Any] = [*parts, together]
    for part in rows:
        counts = f"{part.flops / 1e9:>9.2f}{part.rate / 1e9:>9.1f}{100 * part.rate / peak:>7.1f} %"
        print(f"{part.name:<17}{part.seconds * 1e3:>9.3f}{100 * part.seconds / total:>6.1f} %"
              f"{counts if part.flops else ''}")
    width = network.spec.dim
    print(f"peak: stage 3's tokens x {width} x {4 * width} reach "
          + ", ".join(f"{rate / 1e9:.1f} GFLOP/s {name}" for name, rate in peaks.items()))


if __name__ == "__main__":
    run_command(main)
