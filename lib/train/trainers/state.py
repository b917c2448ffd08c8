"""A run's folder: checkpoints written atomically, found again, and refused by name when torn.

    <save_dir>/checkpoints/train/mstgt/<config>/
        config.yaml             the resolved configuration
        metrics.jsonl           a line a report
        MSTGT_ep0001.pth.tar    net, optimizer, epoch, random states, configuration
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from lib.models.mstgt.checkpoint import load_file
from lib.utils.errors import UserError
from lib.utils.files import atomic_path
from lib.utils.runs import list_checkpoints

_log = logging.getLogger(__name__)
_REQUIRED = ("net", "optimizer", "epoch", "rng", "config")


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically."""
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint of this project. Raises :class:`UserError` when it is torn or something else."""
    content = load_file(path)
    lacking = [k for k in _REQUIRED if not isinstance(content, dict) or k not in content]
    if lacking:
        raise UserError(f"{path} cannot be resumed: it lacks {', '.join(lacking)}")
    return content


def newest_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The content of the newest readable checkpoint; torn ones are named and passed over."""
    for path in reversed(list_checkpoints(folder)):
        try:
            content = read_checkpoint(path)
        except UserError as error:
            _log.warning("%s; trying the one before it", error)
            continue
        return content
    return None
