"""MSTGT and its parts: the network is :class:`MSTGT`, its weights come through :mod:`checkpoint`."""

from ...config.backbones import BACKBONES, HiViTSpec, LiteSpec
from .head import Prediction
from .mstgt import MSTGT, FrameStep, TrackState, build_model, hann_window

__all__ = ["BACKBONES", "MSTGT", "FrameStep", "HiViTSpec", "LiteSpec", "Prediction", "TrackState", "build_model",
           "hann_window"]
