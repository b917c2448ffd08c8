"""The MSTGT network (Pan et al., *Multi-Scale Spatio-Temporal Guidance for Visual Tracking*, Neurocomputing 657,
2025, doi 10.1016/j.neucom.2025.131583).

    model = MSTGT(BACKBONES["hivit_base"], template_size=128, search_size=256)
    state = model.init_state(template)                    # once a sequence
    prediction, state = model.forward_frame(search, state)    # once a frame
    prediction = model(template, searches)           # training: the same steps over T frames, gradients through all

The recurrent state is the value ``TrackState``; the network keeps nothing between calls, so a batch may hold
unrelated sequences.

Parameters: MSTGT-full-256 holds 73.86 M. The published layout counts 74.03 M: it also has ``absolute_pos_embed``
(1, 196, C), from which both position embeddings start, and ``pos_embed_d`` (1, 144, C) of a dynamic template that is
never cut; neither gets a gradient, and neither exists here (``UNUSED_PUBLISHED`` in ``checkpoint`` names them).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import nn

from ...config.backbones import HiViTSpec, LiteSpec
from ..layers.block import NORM_EPS
from .guidance import GuidanceEncoder
from .head import CenterHead, Prediction
from .hivit import STRIDE, HiViT
from .lite import LiteViT
from .mixing import MixPartner, mix
from .visual_cue import VisualCueEncoder

INITS: dict[str, Callable[[torch.Tensor], object]] = {
    "published": partial(nn.init.trunc_normal_, std=0.02),
    "xavier": nn.init.xavier_uniform_,  # Glorot and Bengio, AISTATS 2010
}


class TrackState(NamedTuple):
    """All that a sequence carries from frame to frame (first axis: the batch).

    template  (B, Nz, C) template tokens, position included; constant
    cue       (B, Nc, C) multi-scale visual cues; constant
    guidance  (B, Nz, C) the spatio-temporal guidance, renewed by every frame

    What is compiled makes a new one by its name: of ``_replace`` torch.compile of PyTorch 2.11 makes an empty tuple.
    """

    template: torch.Tensor
    cue: torch.Tensor
    guidance: torch.Tensor


class MSTGT(nn.Module):
    """Sizes in px, multiples of 16 with search = 2 x template; see :mod:`mstgt.models.mstgt.hivit` for ``spec``.

    Pictures are (B, 3, S, S), RGB, ImageNet-normalised. ``init`` names the linear layers' initialisation:
    ``published``, or ``xavier``, which learns far faster from scratch in narrow networks.
    """

    def __init__(self, spec: HiViTSpec, template_size: int, search_size: int, head_channels: int = 256,
                 attention: str = "grouped", prior_prob: float = 0.0, drop_path: float = 0.0,
                 init: str = "published"):
        super().__init__()
        if template_size % STRIDE or search_size % STRIDE:
            raise ValueError(f"template {template_size} px and search {search_size} px must be multiples of {STRIDE}")
        self.spec, self.template_size, self.search_size = spec, template_size, search_size
        grid_z, self.grid = template_size // STRIDE, search_size // STRIDE
        if attention == "grouped" and (2 * grid_z**2 + self.grid**2) % 3:
            raise ValueError(f"grouped attention cannot cut {2 * grid_z**2 + self.grid**2} tokens into three runs; "
                             "take a search region of twice the template's size")
        backbone = LiteViT if isinstance(spec, LiteSpec) else HiViT
        self.backbone = backbone(spec, grid_z, self.grid, drop_path)
        self.cue = VisualCueEncoder(spec.dim, template_size)
        self.guidance = GuidanceEncoder(spec.dim, spec.num_heads, grid_z, attention)
        self.norm = nn.LayerNorm(spec.dim, eps=NORM_EPS)
        self.head = CenterHead(spec.dim, head_channels, prior_prob)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                INITS[init](module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def init_state(self, template: torch.Tensor) -> TrackState:
        """The state before the first frame. template (B, 3, T, T)."""
        z = self.backbone.forward_stem(template).flatten(1, 2) + self.backbone.pos_embed_z
        return TrackState(template=z, cue=self.cue(template), guidance=z)

    def forward_frame(self, search: torch.Tensor, state: TrackState) -> tuple[Prediction, TrackState]:
        """One frame: search (B, 3, S, S) and the state before it -> what is seen and the state after it."""
        x = self.embed_search(self.backbone.forward_stem(search))
        prompt = self.guidance.prompt(state.guidance)
        return self.decode(state, prompt, x), self.update_state(x, state)

    def forward(self, template: torch.Tensor, searches: torch.Tensor, partner: MixPartner | None = None) -> Prediction:
        """Run :meth:`forward_frame` over T frames: template (B, 3, T, T), searches (T, B, 3, S, S) -> (T * B, ...).

        Outputs are frame-major: frame 0's batch first. Only the guidance goes from frame to frame, so everything
        else runs once over all T * B search regions; the head's batch statistics are those of all of them.
        With a ``partner`` its targets are written into the search maps as distractors (:mod:`mixing`).
        """
        frames, batch = searches.shape[:2]
        if partner is None:
            cells = self.backbone.forward_stem(searches.flatten(0, 1))
        else:
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
        prompts = []
        for t in range(frames):
            prompts.append(self.guidance.prompt(state.guidance))
            if t + 1 < frames:  # nobody reads the state after the last frame
                state = self.update_state(x[t], state)
        constant = TrackState(state.template.repeat(frames, 1, 1), state.cue.repeat(frames, 1, 1), state.guidance)
        return self.decode(constant, torch.cat(prompts), x.flatten(0, 1))

    def decode(self, state: TrackState, prompt: torch.Tensor, x: torch.Tensor) -> Prediction:
        """Main stage and head over [cue, prompt, template, search]; the guidance comes in through the prompt."""
        tokens = torch.cat([state.cue, prompt, state.template, x], dim=1)
        return self.predict_head(self.backbone.forward_blocks(tokens, query_slice=slice(-x.shape[1], None)))

    def predict_head(self, x: torch.Tensor) -> Prediction:
        """Search tokens (B, G * G, C) as the main stage leaves them -> prediction."""
        return self.head(self.norm(x).transpose(1, 2).unflatten(2, (self.grid, self.grid)))
