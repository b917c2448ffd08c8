"""MSTGT and its parts: the network is :class:`MSTGT`, its weights come through :mod:`checkpoint`."""

from ...config.backbones import BACKBONES, HiViTSpec, LiteSpec
from .head import Prediction
from .mstgt import MSTGT, TrackState, build_model

__all__ = ["BACKBONES", "MSTGT", "HiViTSpec", "LiteSpec", "Prediction", "TrackState", "build_model"]
