"""Write a trained network as ONNX files, for any ONNX runtime.

    python tracking/export.py --config MSTGT-full-256
    python tracking/export.py --config MSTGT-full-256 --checkpoint MSTGT_ep0148.pth.tar --out /models

Writes <config>_start.onnx and <config>_step.onnx to <save_dir>/export/<config>/. Each is run beside PyTorch first;
files that disagree are not written.
With --weights it writes <config>.safetensors instead, the weights alone in fp16, which any --checkpoint takes.
--mean_with makes those the mean of several checkpoints.
docs/export.md says what is in them and how to track with them. Here: python tracking/test.py --backend onnx …
Needs: pip install -e '.[onnx]'
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from mstgt.config import find_experiment, load_config, load_paths
from mstgt.config.arguments import add_shared_arguments, existing_checkpoint, user_path
from mstgt.utils.errors import UserError, run_command

# PyTorch and what needs it are imported inside functions, after the arguments and the paths have been checked.
if TYPE_CHECKING:
    from mstgt.export.onnx_engine import OnnxFiles
    from mstgt.models.mstgt import MSTGT


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "script", "config", "checkpoint", "epoch", "set", "save_dir")
    parser.add_argument("--out", type=user_path, help="the folder to write to (default: <save_dir>/export/<config>)")
    parser.add_argument("--weights", action="store_true", help="only <config>.safetensors, the weights in fp16")
    parser.add_argument("--mean_with", nargs="+", type=existing_checkpoint, default=[],
                        metavar="CHECKPOINT",
                        help="with --weights: the mean of the weights of --checkpoint and of these, which must have "
                             "begun their training at the same weights")
    parser.add_argument("--batch", type=int, metavar="N", help="fixed batch size (default: any, chosen at run time)")
    args = parser.parse_args()
    if args.batch is not None and args.batch < 1:
        raise UserError(f"--batch {args.batch}: give 1 or more")
    if args.mean_with and not args.weights:
        raise UserError("--mean_with is for --weights: give both")
    return args


def load_mean(network: MSTGT, checkpoints: list[str | Path]) -> None:
    """Give ``network`` the mean of the weights of ``checkpoints``. Their crops may have had other sizes."""
    import torch

    from mstgt.models.mstgt.checkpoint import load_network

    states = []
    for checkpoint in checkpoints:
        load_network(network, checkpoint, resize=len(checkpoints) > 1)
        states.append({key: value.clone() for key, value in network.state_dict().items()})
    network.load_state_dict({key: torch.stack([state[key] for state in states]).double().mean(0).to(value.dtype)
                             for key, value in states[0].items()})


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    args = parse_args()

    from mstgt.test.tracker.load import find_checkpoint

    cfg, name = load_config(args.script, args.config, args.overrides), find_experiment(args.script, args.config).stem
    save_dir = load_paths(None, args.save_dir, mode="test").save_dir
    checkpoint = args.checkpoint or find_checkpoint(args.script, name, cfg, save_dir, args.epoch, "--epoch")

    # What could be refused without PyTorch has been checked by now.
    from mstgt.export.onnx_engine import OnnxFiles, export_folder
    from mstgt.models.mstgt import build_model
    from mstgt.models.mstgt.checkpoint import WEIGHTS_SUFFIX, save_weights
    from mstgt.utils.files import file_sha256
    from mstgt.utils.progress import progress

    network = build_model(cfg)
    load_mean(network, [checkpoint, *args.mean_with])
    if args.weights:
        path = (args.out or export_folder(save_dir, name)) / f"{name}{WEIGHTS_SUFFIX}"
        hashes = ",".join(map(file_sha256, [checkpoint, *args.mean_with]))
        save_weights(network, path, {"config": name, "checkpoint_sha256": hashes})
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
        return
    from mstgt.export.onnx_export import about, export_network

    files = OnnxFiles(args.out or export_folder(save_dir, name), name)
    with progress(total=3, unit="step", desc="export") as bar:
        def on_stage(stage: str) -> None:
            bar.set_description(f"export: {stage}")
            bar.update()

        difference = export_network(network, about(cfg, name, checkpoint), files, args.batch, on_stage)
    say(difference, files)


def say(difference: float, files: OnnxFiles) -> None:
    """Print the files with their sizes, and how their boxes compare with PyTorch's."""
    for path in files.present:
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    print(f"onnxruntime against PyTorch: boxes differ by at most {difference:.1e} of the search region")


if __name__ == "__main__":
    run_command(main)
