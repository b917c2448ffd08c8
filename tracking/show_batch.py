"""Draw a training batch into a PNG file: the inputs of the network with their boxes.

    python tracking/show_batch.py --config MSTGT-nano-128 --set DA.imix=true --set DA.imix_interval=1 \\
        --epoch 41 --samples 6 --out batch.png

Each row is a sample: the template, the search crops with their boxes and, in epochs of feature mixing, the partner's
crops with its boxes and the search crops with the mixed cells outlined. Without --epoch, the first epoch with mixing is
used (epoch 1 if there is none). The samples are those that training draws in that epoch.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from mstgt.config import load_config, load_paths
from mstgt.config.arguments import add_shared_arguments, user_path
from mstgt.utils.errors import UserError, run_command

MIN_TILE = 192  # px; smaller crops are enlarged by a whole factor


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "script", "config", "set", "data_dir")
    parser.add_argument("--epoch", type=int, help="whose samples (default: the first that mixes features)")
    parser.add_argument("--samples", type=int, default=4, help="how many, from the epoch's first on (default: 4)")
    parser.add_argument("--out", type=user_path, default=Path("batch.png"),
                        help="the PNG file to write (default: batch.png)")
    args = parser.parse_args()
    if args.out.suffix.lower() != ".png":
        raise UserError(f"--out must end in .png, not {args.out}")
    for name, value in (("--epoch", args.epoch), ("--samples", args.samples)):
        if value is not None and value < 1:
            raise UserError(f"{name} must be at least 1, not {value}")
    return args


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    args = parse_args()

    from mstgt.data.readers import require_training_set

    cfg = load_config(args.script, args.config, args.overrides)
    paths = load_paths(args.data_dir, None, mode="train")
    for name in cfg.DATA.TRAIN.DATASETS_NAME:
        require_training_set(name, paths.dataset)

    # What could be refused without PyTorch has been checked by now.
    import cv2

    from mstgt.train.build import make_dataset
    from mstgt.train.data.loader import collate, mixing_active
    from mstgt.utils.files import write_bytes
    from mstgt.visualize.batch_sheet import draw_sheet

    epoch = args.epoch
    if epoch is None:
        epoch = next((e for e in range(1, cfg.TRAIN.EPOCH + 1) if mixing_active(e, cfg)), 1)
    samples = make_dataset(cfg, paths, "TRAIN")
    if args.samples > len(samples):
        raise UserError(f"--samples {args.samples}: an epoch has only {len(samples)} samples")
    batch = collate([samples[epoch, index] for index in range(args.samples)])
    for message in batch.unreadable:
        logging.warning("skipped: %s", message)
    zoom = -(-MIN_TILE // cfg.DATA.SEARCH.SIZE)
    sheet = draw_sheet(batch, cfg.DA.imix_occrate, zoom, cfg.MODEL.TEMPLATE_MASK)
    write_bytes(args.out, cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes())
    mixing = "features are mixed" if mixing_active(epoch, cfg) else "features are not mixed in this epoch"
    print(f"{args.out}: {args.samples} samples of epoch {epoch}; {mixing}")


if __name__ == "__main__":
    run_command(main)
