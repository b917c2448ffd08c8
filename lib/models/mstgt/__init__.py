"""MSTGT and its parts: the network is :class:`MSTGT`, its weights come through :mod:`checkpoint`."""

from __future__ import annotations

from typing import Any

from ...config.backbones import BACKBONES, HiViTSpec, LiteSpec
from ...utils.errors import UserError, unknown_name
from .head import Prediction
from .mstgt import MSTGT, TrackState

__all__ = ["BACKBONES", "MSTGT", "HiViTSpec", "LiteSpec", "Prediction", "TrackState", "build_model"]


def build_model(cfg: Any) -> MSTGT:
    """The network that a configuration describes, with fresh weights."""
    kind = cfg.MODEL.BACKBONE.TYPE
    if kind not in BACKBONES:
        raise unknown_name("MODEL.BACKBONE.TYPE", kind, BACKBONES)
    try:
        return MSTGT(
            BACKBONES[kind],
            template_size=cfg.DATA.TEMPLATE.SIZE,
            search_size=cfg.DATA.SEARCH.SIZE,
            head=cfg.MODEL.HEAD.TYPE,
            head_channels=cfg.MODEL.HEAD.NUM_CHANNELS,
            attention=cfg.MODEL.GUIDANCE.ATTENTION,
            prior_prob=cfg.MODEL.HEAD.PRIOR_PROB,
            drop_path=cfg.TRAIN.DROP_PATH_RATE,
            init=cfg.MODEL.INIT,
        )
    except ValueError as error:
        raise UserError(f"cannot build the configured network: {error}") from error
