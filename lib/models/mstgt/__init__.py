"""MSTGT and its parts: the network is :class:`MSTGT`, its weights come through :mod:`checkpoint`."""

from __future__ import annotations

from typing import Any

from ...utils.errors import UserError, unknown_name
from .head import Prediction
from .hivit import HIVIT, HiViTSpec
from .lite import LiteSpec
from .mstgt import MSTGT, TrackState

__all__ = ["HIVIT", "MSTGT", "HiViTSpec", "LiteSpec", "Prediction", "TrackState", "build_model"]

# Backbones with a convolutional stem, in the table of the others.
HIVIT["lite_nano"] = LiteSpec(192, (0, 0, 4), 4)
HIVIT["lite_mini"] = LiteSpec(192, (0, 0, 8), 4)


def build_model(cfg: Any) -> MSTGT:
    """The network that a configuration describes, with fresh weights."""
    kind = cfg.MODEL.BACKBONE.TYPE
    if kind not in HIVIT:
        raise unknown_name("MODEL.BACKBONE.TYPE", kind, HIVIT)
    try:
        return MSTGT(
            HIVIT[kind],
            template_size=cfg.DATA.TEMPLATE.SIZE,
            search_size=cfg.DATA.SEARCH.SIZE,
            head_channels=cfg.MODEL.HEAD.NUM_CHANNELS,
            attention=cfg.MODEL.GUIDANCE.ATTENTION,
            prior_prob=cfg.MODEL.HEAD.PRIOR_PROB,
            drop_path=cfg.TRAIN.DROP_PATH_RATE,
            init=cfg.MODEL.INIT,
        )
    except ValueError as error:
        raise UserError(f"cannot build the configured network: {error}") from error
