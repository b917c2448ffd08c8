"""Train MSTGT.

    python tracking/train.py --script MSTGT --config MSTGT-nano-128                     # one process, CPU or GPU
    python tracking/train.py --script MSTGT --config MSTGT-full-256 --save_dir ./output --mode multiple \
        --nproc_per_node 2 --use_wandb 0                                                # two GPUs of this machine
    torchrun --nproc_per_node 2 tracking/train.py --script MSTGT --config MSTGT-full-256   # the same

Writes checkpoints, config.yaml and metrics.jsonl to <save_dir>/checkpoints/train/mstgt/<config>/ and goes on from the
newest checkpoint there unless told otherwise (--resume).
"""

from __future__ import annotations

import argparse
import logging
import sys

from lib.config import find_experiment, load_config, load_paths, script_name
from lib.train.build import make_network, make_samples, put_aside, run_training
from lib.train.distributed import launch, launched, process_group
from lib.train.trainers.wandb_log import wandb_listener
from lib.utils.errors import UserError, run_command
from lib.utils.runs import run_folder


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", default="MSTGT", help="folder under experiments/")
    parser.add_argument("--config", required=True, help="name of the YAML file in it")
    parser.add_argument("--save_dir", help="where checkpoints and logs go")
    parser.add_argument("--data_dir", help="where the datasets lie")
    parser.add_argument("--mode", choices=["single", "multiple"], default="single")
    parser.add_argument("--nproc_per_node", type=int, default=1, help="processes (GPUs) with --mode multiple")
    parser.add_argument("--resume", default="auto", metavar="auto|none|PATH")
    parser.add_argument("--use_wandb", type=int, choices=[0, 1], default=0, help="log to Weights & Biases")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    return parser.parse_args()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    args = parse()
    cfg = load_config(args.script, args.config, args.overrides)
    paths = load_paths(args.data_dir, args.save_dir, half="train")
    config_name = find_experiment(args.script, args.config).stem
    folder = run_folder(paths.save_dir, script_name(args.script), config_name)
    if not launched() and args.mode == "multiple":
        if args.nproc_per_node < 1:
            raise UserError(f"--nproc_per_node must be at least 1, not {args.nproc_per_node}")
        make_network(cfg, paths)  # what is missing is said once, here, and not by every process
        make_samples(cfg, paths, "TRAIN")
        if args.resume == "none":
            put_aside(folder)
        launch(__file__, sys.argv[1:], args.nproc_per_node)
    with process_group() as group:
        if args.resume == "none" and not launched():
            put_aside(folder)
        listeners = [wandb_listener(config_name, cfg, folder)] if args.use_wandb and group.leads else []
        run_training(cfg, paths, folder, args.resume, group, listeners)


if __name__ == "__main__":
    run_command(main)
