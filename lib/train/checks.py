"""What can be said of a training before PyTorch is loaded: a set, weights or a checkpoint that is not there.

    check_training(cfg, paths, resume="auto")      # UserError naming what is missing

Only the places are looked at. What is in them is read when the training is built (:mod:`.build`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..config import Paths
from ..data.readers import require_training_set
from ..utils.errors import UserError


def check_training(cfg: Any, paths: Paths, resume: str) -> None:
    """Raise :class:`UserError` where the checkpoint to resume, the weights to start from or a dataset is missing."""
    if resume not in ("auto", "none") and not Path(resume).is_file():
        raise UserError(f"--resume {resume}: there is no such file; give a checkpoint, auto or none")
    if cfg.MODEL.PRETRAIN_FILE:
        paths.pretrained(cfg.MODEL.PRETRAIN_FILE)  # raises where it is missing
    for name in (*cfg.DATA.TRAIN.DATASETS_NAME, *cfg.DATA.VAL.DATASETS_NAME):
        require_training_set(name, paths.dataset)
