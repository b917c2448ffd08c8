"""The MSTGT network (Pan et al., *Multi-Scale Spatio-Temporal Guidance for Visual Tracking*, Neurocomputing 657,
2025, doi 10.1016/j.neucom.2025.131583).

    model = MSTGT(BACKBONES["hivit_base"], template_size=128, search_size=256)
    state = model.init_state(template)                       # once per video
    prediction, state = model.forward_frame(search, state)   # once per frame
    prediction = model(template, searches)                   # training: the same over T frames, with gradients

Two encoders give it its name: :class:`VisualCueEncoder`, multi-scale visual cues that are computed from the template
once per video, and :class:`GuidanceEncoder`, the recurrent spatio-temporal guidance. :class:`FrameStep` is what a
tracker runs for a frame, and what is exported: the network from the crop's pixels to the box.

The recurrent state is an explicit value, ``TrackState``. The network stores nothing between calls, so a batch may hold
unrelated videos.

Parameters: MSTGT-full-256 has 73.86 M. The published layout counts 74.03 M: it also has ``absolute_pos_embed``
(1, 196, C), from which both position embeddings are initialized, and ``pos_embed_d`` (1, 144, C) of a dynamic template
that is never used. Neither of them gets a gradient, and neither exists here (``UNUSED_PUBLISHED`` in ``checkpoint``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from ...config.backbones import BACKBONES, HiViTSpec, LiteSpec
from ...utils.errors import UserError, unknown_name
from ..layers.transformer import ATTENTIONS, NORM_EPS, AttentionBlock
from .backbones import STRIDE, HiViT, LiteViT
from .head import HEADS, Prediction
from .mixing import MixPartner, mix

PATCHES = (18, 16, 14)  # px, in the order of the tokens; the published weights depend on it
POOL = 3
INITS: dict[str, Callable[[torch.Tensor], object]] = {
    "published": partial(nn.init.trunc_normal_, std=0.02),
    "xavier": nn.init.xavier_uniform_,  # Glorot and Bengio, AISTATS 2010
}


class VisualCueEncoder(nn.Module):
    """A few tokens that represent the template at several patch sizes; runs once per video.

    (B, 3, T, T) template -> (B, n, C); n = 4 + 4 + 9 = 17 at 128 px. Three patch embeddings of 14, 16 and 18 px, each
    averaged over 3x3 neighbors, then a linear layer.
    """

    def __init__(self, dim: int, template_size: int):
        super().__init__()
        # The largest patches give the smallest map, which must still hold one pooling window.
        if template_size // max(PATCHES) < POOL:
            raise ValueError(f"a template of {template_size} px is too small: "
                             f"{POOL} patches of {max(PATCHES)} px need {POOL * max(PATCHES)}")
        self.embeddings = nn.ModuleDict({str(p): nn.Conv2d(3, dim, kernel_size=p, stride=p) for p in PATCHES})
        self.proj = nn.Linear(dim, dim, bias=False)

    def forward(self, template: torch.Tensor) -> torch.Tensor:
        # Pooling keeps a few tokens per scale: they join every frame's attention, so their number counts.
        maps = (F.avg_pool2d(self.embeddings[str(p)](template), POOL) for p in PATCHES)
        return self.proj(torch.cat([m.flatten(2) for m in maps], dim=2).transpose(1, 2))


class GuidanceEncoder(nn.Module):
    """Computes guidance tokens from the state (``prompt``), and the next state (``update``).

    The state S has the shape (B, Nz, C): tokens on the grid of the template. Before the first frame it equals the
    template. The module itself stores no state.

    grid_z     side of the template's grid
    attention  ``grouped`` (as published), ``global``, or ``none``: the state stays the template and there is no block
               (an ablation that measures the value of the recurrence)
    """

    def __init__(self, dim: int, num_heads: int, grid_z: int, attention: str = "grouped"):
        super().__init__()
        self.grid = grid_z
        self.prompts = (grid_z // 2) ** 2  # number of guidance tokens
        self.recurrent = attention != "none"
        if self.recurrent:
            self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
            self.block = AttentionBlock(dim, num_heads, mlp_ratio=4.0, attention=ATTENTIONS[attention])
        self.proj = nn.Linear(dim, dim, bias=False)

    def prompt(self, state: torch.Tensor) -> torch.Tensor:
        """The guidance tokens for the attention blocks: S averaged over 2x2 cells.

        (B, Nz, C) -> (B, g * g, C) with g = floor(sqrt(Nz) / 2): an odd last row and column are left out.
        """
        grid = state.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        return self.proj(F.avg_pool2d(grid, 2).flatten(2).transpose(1, 2))

    def update(self, template: torch.Tensor, search: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """The state after a frame, from the template, the frame's search tokens and the state before it.

        (B, Nz, C), (B, Nx, C), (B, Nz, C) -> (B, Nz, C).
        """
        if not self.recurrent:
            return state
        # The order matters: the first Nz output tokens become the state, and grouped attention groups tokens by
        # their position.
        tokens = self.norm(torch.cat([template, search, state], dim=1))
        # Only the new state's tokens are computed in full; the others serve as keys and values.
        return self.block(tokens, query_slice=slice(template.shape[1]))


class TrackState(NamedTuple):
    """Everything that is carried from frame to frame (first axis: the batch). What a frame changes comes last.

    template  (B, Nz, C) template tokens with position embedding; constant
    context   what the attention blocks know of the target beside this: (B, Nc, C) multi-scale visual cues, constant;
              with asymmetric attention (B, Nc + Nz + Np, blocks * 2 C), the keys and values of cues, template and
              guidance tokens, the last Np of which follow the guidance
    guidance  (B, Nz, C) the spatio-temporal guidance, updated by every frame whose whole search region was looked at

    Do not use ``_replace`` under torch.compile: PyTorch 2.11 returns an empty tuple.
    """

    template: torch.Tensor
    context: torch.Tensor
    guidance: torch.Tensor

    def changed_since(self, before: TrackState) -> dict[str, torch.Tensor]:
        """By name, what a frame has changed: the tensors that are not those of ``before``."""
        pairs = zip(self._fields, self, before, strict=True)
        return {name: new for name, new, old in pairs if new is not old}


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
    asymmetric     in the attention blocks, cue and template tokens attend to one another only, guidance tokens to these
                   and to one another, search tokens to all (after Cui et al., *MixFormer*, CVPR 2022). What does not
                   depend on the frame is then computed once, not in every frame. Not part of the published network.

    Images are (B, 3, S, S), RGB, normalized per channel. Raises :class:`ValueError` for sizes that do not fit.
    """

    def __init__(self, spec: HiViTSpec, template_size: int, search_size: int, head_channels: int = 256,
                 attention: str = "grouped", prior_prob: float = 0.0, drop_path: float = 0.0,
                 init: str = "published", head: str = "CENTER", asymmetric: bool = False):
        super().__init__()
        if template_size % STRIDE or search_size % STRIDE:
            raise ValueError(f"template {template_size} px and search {search_size} px must be multiples of {STRIDE}")
        self.spec = spec
        self.asymmetric = asymmetric
        self.template_size = template_size
        self.search_size = search_size
        grid_z = template_size // STRIDE  # "z" is the template and "x" the search region, as in SiamFC
        self.grid = search_size // STRIDE
        if attention == "grouped" and (2 * grid_z**2 + self.grid**2) % 3:
            raise ValueError(f"grouped attention cannot divide {2 * grid_z**2 + self.grid**2} tokens by 3; use a "
                             "search region of twice the template's size")
        rest = grid_z, self.grid, drop_path
        self.backbone = LiteViT(spec, *rest) if isinstance(spec, LiteSpec) else HiViT(spec, *rest)
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
        context = self.cue(template)
        if self.asymmetric:
            context = self._with_prompt(self.backbone.encode_context(torch.cat([context, z], dim=1)), guidance=z)
        # Before anything has been seen, the guidance is the template itself.
        return TrackState(template=z, context=context, guidance=z)

    def forward_frame(self, search: torch.Tensor, state: TrackState) -> tuple[Prediction, TrackState]:
        """One frame: search (B, 3, S, S) and the state before it -> the prediction and the state after it.

        The guidance of this frame comes from the frames before it; the frame itself only affects later ones.
        """
        # The update uses the frame's stem tokens only, so it does not wait for the prediction.
        x = self.embed_search(self.backbone.forward_stem(search))
        prediction = self.decode(state, x)
        # A narrow region is searched where little changes. Its frames need no new guidance.
        return prediction, self.update_state(x, state) if x.shape[1] == self.grid**2 else state

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
        """Stem output (B, g, g, C) -> search tokens (B, g * g, C).

        g is the side of the position embedding's grid, G, or smaller: then the image shows the middle of the search
        region (:func:`middle`).
        """
        position: torch.Tensor = self.backbone.pos_embed_x
        if cells.shape[1] != self.grid:
            position = middle(position.unflatten(1, (self.grid, self.grid)), cells.shape[1]).flatten(1, 2)
        return cells.flatten(1, 2) + position

    def update_state(self, x: torch.Tensor, state: TrackState) -> TrackState:
        """The state after the frame whose search tokens are x."""
        guidance = self.guidance.update(state.template, x, state.guidance)
        context = state.context
        if self.asymmetric and self.guidance.recurrent:
            context = self._with_prompt(context[:, :-self.guidance.prompts], guidance)
        return TrackState(state.template, context, guidance)

    def _with_prompt(self, context: torch.Tensor, guidance: torch.Tensor) -> torch.Tensor:
        """The context of cue and template, and behind it that of the guidance tokens."""
        return torch.cat([context, self.backbone.encode_context(self.guidance.prompt(guidance), context)], dim=1)

    def forward_sequence(self, state: TrackState, x: torch.Tensor) -> Prediction:
        """Search tokens (T, B, Nx, C) of consecutive frames -> frame-major prediction (T * B, ...)."""
        # Only this loop is sequential. The guidance block is small beside the attention blocks.
        states = [state]
        for tokens in x[:-1]:  # the state after the last frame is not used
            states.append(self.update_state(tokens, states[-1]))
        return self.decode(TrackState(*map(torch.cat, zip(*states, strict=True))), x.flatten(0, 1))

    def decode(self, state: TrackState, x: torch.Tensor) -> Prediction:
        """Attention blocks and head: search tokens (B, Nx, C) and the state before the frame -> prediction."""
        return self.predict_head(self.attend(state, x))

    def attend(self, state: TrackState, x: torch.Tensor) -> torch.Tensor:
        """Attention blocks: search tokens (B, Nx, C) and the state before the frame -> (B, Nx, C)."""
        if self.asymmetric:
            return self.backbone.forward_blocks(x, context=state.context)
        # The paper's order of tokens. Only the search tokens go on to the head.
        prompt = self.guidance.prompt(state.guidance)
        tokens = torch.cat([state.context, prompt, state.template, x], dim=1)
        return self.backbone.forward_blocks(tokens, query_slice=slice(-x.shape[1], None))

    def predict_head(self, x: torch.Tensor) -> Prediction:
        """Norm and head: search tokens (B, g * g, C) after the attention blocks -> prediction."""
        grid = math.isqrt(x.shape[1])
        prediction = self.head(self.norm(x).transpose(1, 2).unflatten(2, (grid, grid)))
        if grid == self.grid:
            return prediction
        # The tokens show the target as large as those of the whole region do; only the region is smaller.
        return prediction._replace(size=prediction.size * (self.grid / grid))


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
            asymmetric=cfg.MODEL.ASYMMETRIC_ATTENTION,
        )
    except ValueError as error:
        raise UserError(f"cannot build the configured network: {error}") from error


def hann_window(grid: int) -> torch.Tensor:
    """(grid, grid) outer product of 0.5 (1 - cos(2 pi k / (grid + 1))), k = 1 … grid."""
    # Without the two ends, which are 0: a target at the border of the search region can still win.
    line = torch.hann_window(grid + 2, periodic=False, dtype=torch.float64)[1:-1]
    return torch.outer(line, line).float()


def middle(grids: torch.Tensor, side: int) -> torch.Tensor:
    """The ``side`` x ``side`` cells in the middle of (B, G, G, ...); G - side must be even."""
    first = (grids.shape[1] - side) // 2
    return grids[:, first:first + side, first:first + side]


class FrameStep(nn.Module):
    """(B, S, S, 3) uint8 search crops and the state before -> (B, 5) cx, cy, w, h as fractions of the crop's side,
    and score; and the state after. ``dtype`` is what the network computes in."""

    window: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, network: MSTGT, window: torch.Tensor, mean: Sequence[float], std: Sequence[float],
                 dtype: torch.dtype):
        super().__init__()
        self.network, self.dtype = network, dtype
        # Buffers on the network's device: compiled steps take them for constants, and no frame copies them from the
        # host.
        self.register_buffer("window", window)
        self.register_buffer("mean", torch.tensor(mean, device=window.device))
        self.register_buffer("std", torch.tensor(std, device=window.device))

    def forward(self, searches: torch.Tensor, state: TrackState) -> tuple[torch.Tensor, TrackState]:
        prediction, state = self.network.forward_frame(self.input(searches), state)
        # Decoded on the device: five numbers per target are copied back, not the maps.
        boxes, scores = prediction.decode_boxes(middle(self.window[None], prediction.score.shape[-1])[0])
        return torch.cat([boxes, scores[:, None]], dim=1), state

    def input(self, crops: torch.Tensor) -> torch.Tensor:
        """(B, S, S, 3) uint8 RGB -> (B, 3, S, S), normalized per channel: what the network takes."""
        # Normalized in fp32, so that the values are rounded to the network's precision once.
        normalized = (crops.float() - self.mean * 255) / (self.std * 255)
        return normalized.movedim(-1, -3).contiguous().to(self.dtype)
