"""What MSTGT costs: parameters, FLOPs, and frames a second on this machine.

    python tracking/profile_model.py --script MSTGT --config MSTGT-full-256

Needs no weights and no data. The network runs in fp32, one frame at a time.
"""

from __future__ import annotations

import argparse
import logging

import torch

from lib.config import load_config
from lib.models.mstgt import build_model
from lib.test.profiling import device_name, measure_cost, network_fps, tracker_fps
from lib.test.tracker import TrackerEngine
from lib.utils.errors import UserError, run_command


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", default="MSTGT", help="folder under experiments/")
    parser.add_argument("--config", required=True, help="name of the YAML file in it")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, …; default: a GPU where there is one")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to measure each figure")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    args = parser.parse_args()
    cfg = load_config(args.script, args.config, args.overrides)
    device = choose_device(args.device)
    network = build_model(cfg)
    cost = measure_cost(network)
    print(f"{args.config}: template {network.template_size} px, search {network.search_size} px")
    print(f"parameters        {cost.parameters / 1e6:.2f} M "
          f"({cost.published_parameters / 1e6:.2f} M in the published layout, which keeps two unused tables)")
    print(f"a frame           {cost.frame_flops / 1e9:.1f} GFLOPs ({cost.frame_flops / 2e9:.1f} G multiply-adds)")
    print(f"the template      {cost.template_flops / 1e9:.1f} GFLOPs, once a sequence")
    print(f"as published      {cost.published_flops / 1e9:.1f} GFLOPs ({cost.published_flops / 2e9:.1f} G "
          "multiply-adds; template and whole guidance block in every frame)")
    print(f"  thop's figure   {cost.thop_macs / 1e9:.1f} G multiply-adds (without the products inside attention)")
    print(f"device            {device_name(device)}")
    print(f"network           {network_fps(network, device, args.seconds):.1f} frames/s (fp32, one at a time)")
    print(f"whole tracker     {tracker_fps(TrackerEngine(network, cfg, device), args.seconds):.1f} frames/s "
          "(1280 x 720 pictures in memory)")


def choose_device(name: str | None) -> torch.device:
    """The device called ``name``, or the best one here."""
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise UserError(f"unknown device {name!r}: give cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"no device {name}: this machine has {torch.cuda.device_count()} GPUs")
    return device


if __name__ == "__main__":
    run_command(main)
