"""The MSTGT network (Pan et al., *Multi-Scale Spatio-Temporal Guidance for Visual Tracking*, Neurocomputing 657,
2025, doi 10.1016/j.neucom.2025.131583).

    model = MSTGT(BACKBONES["hivit_base"], template_size=128, search_size=256)
    state = model.init_state(template)                       # once per video
    prediction, state = model.forward_frame(search, state)   # once per frame
    prediction = model(template, searches)                   # training: the same over T frames, with gradients

The recurrent state is an explicit value, ``TrackState``. The network stores nothing between calls, so a batch may hold
unrelated videos.

Parameters: MSTGT-full-256 has 73.86 M. The published layout counts 74.03 M: it also has ``absolute_pos_embed``
(1, 196, C), from which both position embeddings are initialized, and ``pos_embed_d`` (1, 144, C) of a dynamic template
that is never used. Neither of them gets a gradient, and neither exists here (``UNUSED_PUBLISHED`` in ``checkpoint``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from ...config.backbones import BACKBONES, HiViTSpec, LiteSpec
from ...utils.errors import UserError, unknown_name
from ..layers.block import NORM_EPS
from .encoders import GuidanceEncoder, VisualCueEncoder
from .head import HEADS, Prediction
from .hivit import STRIDE, HiViT
from .lite import LiteViT
from .mixing import MixPartner, mix

INITS: dict[str, Callable[[torch.Tensor], object]] = {
    "published": partial(nn.init.trunc_normal_, std=0.02),
    "xavier": nn.init.xavier_uniform_,  # Glorot and Bengio, AISTATS 2010
}


class TrackState(NamedTuple):
    """Everything that is carried from frame to frame (first axis: the batch).

    template  (B, Nz, C) template tokens with position embedding; constant
    cue       (B, Nc, C) multi-scale visual cues; constant
    guidance  (B, Nz, C) the spatio-temporal guidance, updated by every frame

    Do not use ``_replace`` under torch.compile: PyTorch 2.11 returns an empty tuple.
    """

    template: torch.Tensor
    cue: torch.Tensor
    guidance: torch.Tensor


class MSTGT(nn.Module):
    """The tracking network.

    spec           size of the backbone (:mod:`mstgt.config.backbones`)
    template_size, search_size  px, multiples of 16; grouped attention needs search = 2 x template
    head_channels  of the head's first convolution
    attention      of the guidance encoder: ``grouped``, ``global`` or ``none``
    prior_prob     initial center score (:class:`mstgt.models.mstgt.head.CenterHead`)
    drop_path      stochastic depth of the backbone's last block
    init           of linear layers: ``published``, or ``xavier``, which learns much faster from scratch in narrow
                   networks
    head           name in ``HEADS``

    Images are (B, 3, S, S), RGB, normalized per channel. Raises :class:`ValueError` for sizes that do not fit.
    """

    def __init__(self, spec: HiViTSpec, template_size: int, search_size: int, head_channels: int = 256,
                 attention: str = "grouped", prior_prob: float = 0.0, drop_path: float = 0.0,
                 init: str = "published", head: str = "CENTER"):
        super().__init__()
        if template_size % STRIDE or search_size % STRIDE:
            raise ValueError(f"template {template_size} px and search {search_size} px must be multiples of {STRIDE}")
        self.spec = spec
        self.template_size = template_size
        self.search_size = search_size
        grid_z = template_size // STRIDE  # "z" is the template and "x" the search region, as in SiamFC
        self.grid = search_size // STRIDE
        if attention == "grouped" and (2 * grid_z**2 + self.grid**2) % 3:
            raise ValueError(f"grouped attention cannot divide {2 * grid_z**2 + self.grid**2} tokens by 3; use a "
                             "search region of twice the template's size")
        backbone = LiteViT if isinstance(spec, LiteSpec) else HiViT
        self.backbone = backbone(spec, grid_z, self.grid, drop_path)
        self.cue = VisualCueEncoder(spec.dim, template_size)
        self.guidance = GuidanceEncoder(spec.dim, spec.num_heads, grid_z, attention)
        self.norm = nn.LayerNorm(spec.dim, eps=NORM_EPS)
        self.head = HEADS[head](spec.dim, head_channels, prior_prob)
        # Convolutions keep the initialization of their own modules.
        for module in self.modules():
            if isinstance(module, nn.Linear):
                INITS[init](module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def init_state(self, template: torch.Tensor) -> TrackState:
        """The state before the first frame, from the template (B, 3, T, T)."""
        # The stem sees every cell on its own, so the template's tokens hold for the whole video.
        z = self.backbone.forward_stem(template).flatten(1, 2) + self.backbone.pos_embed_z
        # Before anything has been seen, the guidance is the template itself.
        return TrackState(template=z, cue=self.cue(template), guidance=z)

    def forward_frame(self, search: torch.Tensor, state: TrackState) -> tuple[Prediction, TrackState]:
        """One frame: search (B, 3, S, S) and the state before it -> the prediction and the state after it.

        The guidance of this frame comes from the frames before it; the frame itself only affects later ones.
        """
        # The prompt comes from the state before this frame; the update below uses the frame's stem tokens only. The two
        # are independent of each other.
        x = self.embed_search(self.backbone.forward_stem(search))
        prompt = self.guidance.prompt(state.guidance)
        return self.decode(state, prompt, x), self.update_state(x, state)

    def forward(self, template: torch.Tensor, searches: torch.Tensor, partner: MixPartner | None = None) -> Prediction:
        """Run :meth:`forward_frame` over T frames: template (B, 3, T, T), searches (T, B, 3, S, S) -> (T * B, ...).

        Outputs are frame-major: frame 0's batch first. Only the guidance goes from frame to frame, so everything
        else runs once over all T * B search regions; the head's batch norm uses the statistics of all of them.
        With a ``partner``, its targets are copied into the search maps as distractors (:mod:`mixing`).
        """
        frames, batch = searches.shape[:2]
        if partner is None:
            cells = self.backbone.forward_stem(searches.flatten(0, 1))
        else:
            # One pass of the stem for both: fewer and larger operators.
            own, other = self.backbone.forward_stem(torch.cat([searches, partner.searches]).flatten(0, 1)).chunk(2)
            cells = mix(own, other, partner)
        return self.forward_sequence(self.init_state(template), self.embed_search(cells).unflatten(0, (frames, batch)))

    def embed_search(self, cells: torch.Tensor) -> torch.Tensor:
        """Stem output (B, G, G, C) -> search tokens (B, G * G, C)."""
        return cells.flatten(1, 2) + self.backbone.pos_embed_x

    def update_state(self, x: torch.Tensor, state: TrackState) -> TrackState:
        """The state after the frame whose search tokens are x."""
        return TrackState(state.template, state.cue, self.guidance.update(state.template, x, state.guidance))

    def forward_sequence(self, state: TrackState, x: torch.Tensor) -> Prediction:
        """Search tokens (T, B, Nx, C) of consecutive frames -> frame-major prediction (T * B, ...)."""
        frames = x.shape[0]
        # Only this loop is sequential. The guidance block is small beside the attention blocks.
        prompts = []
        for t in range(frames):
            prompts.append(self.guidance.prompt(state.guidance))
            if t + 1 < frames:  # the state after the last frame is not used
                state = self.update_state(x[t], state)
        # The template and the cues of every sample, repeated for every frame (frame-major).
        constant = TrackState(state.template.repeat(frames, 1, 1), state.cue.repeat(frames, 1, 1), state.guidance)
        return self.decode(constant, torch.cat(prompts), x.flatten(0, 1))

    def decode(self, state: TrackState, prompt: torch.Tensor, x: torch.Tensor) -> Prediction:
        """Attention blocks and head: search tokens (B, Nx, C) and guidance tokens ``prompt`` -> prediction."""
        # The paper's order of tokens. Only the search tokens go on to the head.
        tokens = torch.cat([state.cue, prompt, state.template, x], dim=1)
        return self.predict_head(self.backbone.forward_blocks(tokens, query_slice=slice(-x.shape[1], None)))

    def predict_head(self, x: torch.Tensor) -> Prediction:
        """Norm and head: search tokens (B, G * G, C) after the attention blocks -> prediction."""
        return self.head(self.norm(x).transpose(1, 2).unflatten(2, (self.grid, self.grid)))


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
