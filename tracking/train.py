"""Train MSTGT.

    python tracking/train.py --script MSTGT --config MSTGT-nano-128                     # one process, CPU or GPU
    python tracking/train.py --script MSTGT --config MSTGT-full-256 --save_dir ./output --mode multiple \\
        --nproc_per_node 2 --use_wandb 0                                                # two GPUs of this machine
    python tracking/train.py --script MSTGT --config MSTGT-full-256 --mode multi_node --nnodes 2 \\
        --rdzv_endpoint node0:29500 --nproc_per_node 8                                  # on each of two machines
    torchrun --nproc_per_node 2 tracking/train.py --script MSTGT --config MSTGT-full-256   # the launcher itself
    python tracking/train.py --config MSTGT-nano --photos /my/photos                    # on photographs with boxes

Writes checkpoints, config.yaml, metrics.jsonl and training.png to <save_dir>/checkpoints/train/mstgt/<config>/ and
continues from the newest checkpoint there unless told otherwise (--resume). SIGTERM saves and ends with status 143.
More in docs/training.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mstgt.config import find_experiment, load_config, load_paths, script_name
from mstgt.config.arguments import add_shared_arguments, user_path
from mstgt.config.paths import run_folder
from mstgt.train.launch import Launch, check_group_device, check_training, launch, launched, restarted
from mstgt.train.trainers.interruption import CheckpointInterval, TrainingInterrupted
from mstgt.train.trainers.loggers import tensorboard_logger, wandb_logger
from mstgt.utils.device import resolve_device
from mstgt.utils.errors import UserError, run_command
from mstgt.utils.threads import TRAINING_SPIN_COUNT, limit_spinning

# PyTorch and what needs it are imported inside main, after the arguments and the paths have been checked.

STOPPED = 143  # 128 + SIGTERM


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "script", "config", "set", "data_dir", "save_dir")
    parser.add_argument("--resume", default="auto", metavar="auto|none|PATH",
                        help="auto: from the newest checkpoint of this run; none: a new run, the folder of the earlier "
                        "one is renamed; PATH: from that checkpoint (default: auto)")
    parser.add_argument("--checkpoint_every", default="30m", metavar="STEPS|TIME|never",
                        help="save within an epoch as well, every 500 (steps), 90s, 15m, 2h (default: 30m)")
    parser.add_argument("--use_wandb", type=int, choices=[0, 1], default=0, help="log to Weights & Biases")
    parser.add_argument("--use_tensorboard", type=int, choices=[0, 1], default=0, help="log to TensorBoard")
    parser.add_argument("--videos", type=user_path, metavar="DIR",
                        help="train on the videos in DIR; every tenth of them is held out for validation")
    parser.add_argument("--photos", type=user_path, metavar="DIR",
                        help="train and validate on samples composed of the photographs in DIR (docs/photos.md)")
    add_shared_arguments(parser, "device")
    several = parser.add_argument_group("several processes", "Each process takes its own GPU of the machine, or with "
                                        "--device cpu its share of the cores; --device cuda:1 is for one process.")
    several.add_argument("--mode", choices=["single", "multiple", "multi_node"], default="single",
                         help="one process, several on this machine, or several machines (default: single)")
    several.add_argument("--nproc_per_node", type=int, default=1,
                         help="processes (GPUs) of this machine (default: 1)")
    several.add_argument("--max_restarts", "--max-restarts", type=int, default=0,
                         help="start again this often after a process has failed; goes on from the newest checkpoint")
    several.add_argument("--nnodes", "--world_size", "--world-size", default="2",
                         help="machines with --mode multi_node, or MIN:MAX (default: 2)")
    several.add_argument("--rdzv_endpoint", "--rdzv-endpoint", metavar="HOST:PORT",
                         help="where the machines meet: one of them, and a free port there")
    several.add_argument("--ip", help="the HOST of --rdzv_endpoint")
    several.add_argument("--port", type=int, default=29500,
                         help="the PORT of --rdzv_endpoint (default: %(default)s)")
    several.add_argument("--rank", type=int, help="which machine this is, from 0 (default: by arrival)")
    args = parser.parse_args()
    if args.mode != "single" or launched():
        check_group_device(args.device)
    return args


def data_overrides(videos: Path | None, photos: Path | None) -> list[str]:
    """The settings that ``--videos`` and ``--photos`` stand for: a part of the folder is held out for validation."""
    if videos is not None and photos is not None:
        raise UserError("give --videos or --photos, not both; DATA.TRAIN.DATASETS_NAME takes several sets")
    folder = videos or photos
    if folder is None:
        return []
    names = {"TRAIN": "FOLDER_train", "VAL": "FOLDER_val"} if videos else {"TRAIN": "PHOTOS", "VAL": "PHOTOS_val"}
    path = os.path.abspath(folder)
    overrides = []
    for mode, name in names.items():
        sets = json.dumps([f"{name}:{path}"], ensure_ascii=False)
        overrides += [f"DATA.{mode}.DATASETS_NAME={sets}", f"DATA.{mode}.DATASETS_RATIO=[1]"]
    return overrides


def hold_out_videos(cfg: Any, overrides: Sequence[str]) -> None:
    """Validate on a part of the training folder if ``--set`` names one ``FOLDER:`` to train on and no validation set.

    Otherwise the validation set would stay that of the experiment, which has nothing to do with the user's videos.
    """
    from mstgt.data.readers import FOLDER_PREFIX, HOLD_OUT_EVERY

    is_given = any(override.replace(" ", "").startswith("DATA.VAL.DATASETS_NAME=") for override in overrides)
    names = cfg.DATA.TRAIN.DATASETS_NAME
    if is_given or len(names) != 1 or not names[0].startswith(FOLDER_PREFIX) or not cfg.DATA.VAL.DATASETS_NAME:
        return
    if not any("DATA.TRAIN.DATASETS_NAME" in override for override in overrides):
        return
    path = names[0].removeprefix(FOLDER_PREFIX)
    cfg.DATA.TRAIN.DATASETS_NAME = [f"FOLDER_train:{path}"]
    cfg.DATA.VAL.DATASETS_NAME = [f"FOLDER_val:{path}"]
    cfg.DATA.VAL.DATASETS_RATIO = [1.0]
    if not launched():
        print(f"validation: every {HOLD_OUT_EVERY}th video of {path} is held out", flush=True)


def how_to_launch(args: argparse.Namespace) -> Launch:
    """torchrun's settings from the flags."""
    if args.nproc_per_node < 1 or args.max_restarts < 0:
        raise UserError("--nproc_per_node must be at least 1 and --max_restarts at least 0")
    if args.mode == "multiple":
        return Launch(args.nproc_per_node, max_restarts=args.max_restarts)
    endpoint = args.rdzv_endpoint or (f"{args.ip}:{args.port}" if args.ip else "")
    host, _, port = endpoint.rpartition(":")
    if not (host and port.isdigit()):
        raise UserError(f"--mode multi_node needs --rdzv_endpoint HOST:PORT, the same on every machine; got "
                        f"{endpoint or 'none'}")
    return Launch(args.nproc_per_node, args.nnodes, endpoint, args.rank, args.max_restarts)


def main() -> int:
    limit_spinning(TRAINING_SPIN_COUNT)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    args = parse_args()
    cfg = load_config(args.script, args.config, data_overrides(args.videos, args.photos) + args.overrides)
    hold_out_videos(cfg, args.overrides)
    paths = load_paths(args.data_dir, args.save_dir, mode="train")
    try:
        every = CheckpointInterval.parse(args.checkpoint_every)
    except UserError as error:
        raise UserError(f"--checkpoint_every: {error}") from error
    config_name = find_experiment(args.script, args.config).stem
    folder = run_folder(paths.save_dir, script_name(args.script), config_name)
    how = how_to_launch(args) if args.mode != "single" and not launched() else None
    check_training(cfg, paths, args.resume)
    if args.device is not None:
        resolve_device(args.device)  # one that is not there is told before anything is loaded

    # What could be refused without PyTorch has been checked by now.
    from mstgt.train.build import make_dataset, make_network, run_training
    from mstgt.train.distributed import process_group
    from mstgt.train.trainers.state import ResumeError, list_resumable

    if how is not None:
        # Report wrong weights and datasets once, here, and not from every process.
        make_network(cfg, paths)
        make_dataset(cfg, paths, "TRAIN")
        return launch(os.path.abspath(__file__), sys.argv[1:], how, args.device)
    resume = "auto" if restarted() and list_resumable(folder) else args.resume
    with process_group(args.device) as group:
        loggers = []
        if group.is_main_process and args.use_wandb:
            loggers.append(wandb_logger(config_name, cfg, folder))
        if group.is_main_process and args.use_tensorboard:
            loggers.append(tensorboard_logger(folder))
        try:
            run_training(cfg, paths, folder, resume, group, loggers, every)
        except KeyboardInterrupt as interrupt:  # or SIGTERM before the first step, which has a status of its own
            interrupt.args = (how_to_continue(list_resumable(folder), args.resume),)
            raise
        except TrainingInterrupted as stopped:
            if group.is_main_process:
                print(f"{stopped}; {continuing(args.resume)} from there", flush=True)
            return STOPPED
        except ResumeError as error:
            raise UserError(f"{error}; --resume none starts a new run and keeps the old one") from error
    return 0


def how_to_continue(checkpoints: Sequence[Path], resume: str) -> str:
    """What becomes of a run that was interrupted, for the last line of the command; ``resume`` is its --resume."""
    if not checkpoints:
        start = "anew" if resume in ("auto", "none") else f"from {resume} again"
        return f"no checkpoint was written yet, so the same command starts {start} (--checkpoint_every 5m writes more)"
    return f"{continuing(resume)} from {checkpoints[-1]}"


def continuing(resume: str) -> str:
    """Which command continues a run that was begun with this --resume."""
    return "the same command continues" if resume == "auto" else "the same command, but with --resume auto, continues"


if __name__ == "__main__":
    run_command(main)
