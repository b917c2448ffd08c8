"""Register MSTGT in a workspace of the VOT toolkit, so that the toolkit can run it.

    python tracking/vot_workspace.py W --config MSTGT-full-256
    vot initialize --workspace W vot2022/shorttermbox       # once: the experiments, and the download of the videos
    vot evaluate --workspace W MSTGT

Writes one section of W/trackers.ini and leaves the others as they are. The section names the checkpoint and the Python
interpreter that are found now. docs/vot.md is the manual.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mstgt.config.arguments import add_shared_arguments, user_path
from mstgt.utils.errors import UserError, run_command


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=user_path, help="the workspace's folder; made where there is none")
    add_shared_arguments(parser, "script", "config", "set", "checkpoint", "device", "save_dir")
    parser.add_argument("--name", default="MSTGT", help="what the toolkit calls it (default: MSTGT)")
    parser.add_argument("--overwrite", action="store_true", help="replace another tracker of that name")
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    from mstgt.config import find_experiment, load_config, load_paths
    from mstgt.config.paths import PROJECT_ROOT
    from mstgt.test.evaluation.vot_run import import_trax
    from mstgt.test.evaluation.vot_workspace import TrackerExistsError, add_tracker, tracker_entry
    from mstgt.test.tracker import find_checkpoint

    import_trax()
    cfg = load_config(args.script, args.config, args.overrides)
    config = find_experiment(args.script, args.config).stem
    checkpoint = args.checkpoint
    if checkpoint is None:
        save_dir = load_paths(None, args.save_dir, mode="test").save_dir
        checkpoint = find_checkpoint(args.script, config, cfg, save_dir)
    checkpoint = Path(checkpoint).absolute()
    command = [sys.executable, str(PROJECT_ROOT / "tracking" / "vot_tracker.py"), "--script", args.script,
               "--config", config, "--checkpoint", str(checkpoint)]
    if args.device:
        command += ["--device", args.device]
    for override in args.overrides:
        command += ["--set", override]
    path = args.workspace / "trackers.ini"
    entry = tracker_entry(args.name, config, command)
    try:
        changed = add_tracker(path, args.name, entry, args.overwrite)
    except TrackerExistsError as error:
        raise UserError(f"{error}; give --overwrite to replace it, or --name") from error
    print(f"{'wrote' if changed else 'nothing to change in'} {path}: tracker {args.name} is {config} with "
          f"{checkpoint}")
    if not (args.workspace / "config.yaml").is_file():
        print(f"next: vot initialize --workspace {args.workspace} vot2022/shorttermbox")
    print(f"then: vot evaluate --workspace {args.workspace} {args.name}")


if __name__ == "__main__":
    run_command(main)
