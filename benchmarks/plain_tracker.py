"""The same tracker without optimizations, to measure against: plain eager PyTorch in fp32.

    tracker = PlainTracker(network, cfg)            # the weights are those of ``network``
    tracker.init(image, box_xywh)
    box_xywh, score = tracker.update(image)

Written as the paper's figures read. Every frame pads the image where the crop reaches past it, runs the template
through the network again, writes the attention's softmax out, and computes every token of every block; batch norm is a
layer of its own. ``benchmarks/tracking_speed.py`` asserts that the boxes are those of ``mstgt.test.tracker``.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import torch

from mstgt.geometry.boxes import clip_box
from mstgt.models.layers.transformer import Attention, AttentionBlock, GroupedAttention
from mstgt.models.mstgt import MSTGT
from mstgt.train.data.transforms import mask_background


def padded_crop(image: np.ndarray, box_xywh: np.ndarray, factor: float, size: int) -> tuple[np.ndarray, float]:
    """Cut, pad with black, resize: (size, size, 3), and crop pixels per image pixel."""
    x, y, w, h = box_xywh
    side = max(1, math.ceil(math.sqrt(w * h) * factor))
    left, top = round(x + w / 2 - side / 2), round(y + h / 2 - side / 2)
    height, width = image.shape[:2]
    inside = image[max(0, top) : max(0, top + side), max(0, left) : max(0, left + side)]
    rows = max(0, -top), max(0, top + side - height)
    columns = max(0, -left), max(0, left + side - width)
    padded = np.pad(inside, (rows, columns, (0, 0)))[:side, :side]
    return cv2.resize(padded, (size, size)), size / side


def attention(layer: Attention, x: torch.Tensor, sees: torch.Tensor | None) -> torch.Tensor:
    """Multi-head attention in separate steps; the grouped kind is written like this in the model itself.

    sees  (N, N) bool, which tokens (columns) each token (row) attends to; None: to all
    """
    if isinstance(layer, GroupedAttention):
        return layer(x)
    b, n, c = x.shape
    q, k, v = layer.qkv(x).reshape(b, n, 3, layer.num_heads, c // layer.num_heads).permute(2, 0, 3, 1, 4)
    scores = (q @ k.transpose(-2, -1)) * (c // layer.num_heads) ** -0.5
    if sees is not None:
        scores = scores.masked_fill(~sees, -math.inf)
    weights = scores.softmax(dim=-1)
    return layer.proj((weights @ v).transpose(1, 2).reshape(b, n, c))


def block(layer: AttentionBlock, x: torch.Tensor, sees: torch.Tensor | None = None) -> torch.Tensor:
    """A residual block over all tokens."""
    x = x + attention(layer.attn, layer.norm1(x), sees)
    return x + layer.mlp(layer.norm2(x))


class PlainTracker:
    """Tracks one target, where ``network`` is; it is used as it is, in evaluation mode."""

    def __init__(self, network: MSTGT, cfg: Any):
        self.network, self.cfg = network.eval(), cfg
        line = 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, network.grid + 1) / (network.grid + 1)))
        device = network.norm.weight.device
        self.window = torch.from_numpy(np.outer(line, line)).float().to(device)
        self.mean, self.std = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (cfg.DATA.MEAN, cfg.DATA.STD))

    @torch.no_grad()
    def init(self, image: np.ndarray, box_xywh: np.ndarray) -> None:
        self.box = np.array(box_xywh, np.float64)
        size = self.cfg.TEST.TEMPLATE_SIZE
        crop, scale = padded_crop(image, self.box, self.cfg.TEST.TEMPLATE_FACTOR, size)
        inside = np.array([(size - 1) / 2] * 2 + list(self.box[2:] * scale)) / size
        marked = mask_background(torch.from_numpy(crop), torch.from_numpy(inside), self.cfg.MODEL.TEMPLATE_MASK)
        self.template = self.input(marked.round().numpy())
        self.guidance: torch.Tensor | None = None
        self.mean_score, self.motion = 1.0, math.inf
        self.size_factors = np.ones(2)
        if self.cfg.TEST.CALIBRATE_SIZE:
            self.size_factors = self.calibrate(image)

    def calibrate(self, image: np.ndarray) -> np.ndarray:
        """The factors of width and height that bring the network's box in the first image to the size of the given one.

        Of both boxes the part inside the image counts. 1 where they hardly overlap. At most 1.6 and at least 1 / 1.6.
        """
        center, sides, _, _ = self.locate(image)
        height, width = image.shape[:2]
        found = clip_box(np.concatenate([center - sides / 2, sides]), width, height)
        given = clip_box(self.box, width, height)
        x1, y1 = np.maximum(found[:2], given[:2])
        x2, y2 = np.minimum(found[:2] + found[2:], given[:2] + given[2:])
        shared = max(x2 - x1, 0) * max(y2 - y1, 0)
        union = found[2] * found[3] + given[2] * given[3] - shared
        if shared / union <= 0.3:
            return np.ones(2)
        return np.clip(given[2:] / found[2:], 1 / 1.6, 1.6)

    @torch.no_grad()
    def update(self, image: np.ndarray) -> tuple[np.ndarray, float]:
        test = self.cfg.TEST
        found = None
        if test.NARROW_SIZE and self.mean_score >= test.NARROW_ABOVE and self.motion <= test.NARROW_MOTION:
            found = self.locate(image, test.NARROW_SIZE)
            if found[2] < test.NARROW_ABOVE or self.moved(found[0]) > test.NARROW_MOTION:
                found = None
        if found is None:
            found = self.locate(image)
            if max(self.mean_score, found[2]) < test.WIDEN_BELOW:
                found = self.relocate(image) or found
        center, sides, score, self.guidance = found
        self.motion = self.moved(center)
        sides = sides * self.size_factors
        smoothing = self.cfg.TEST.SIZE_SMOOTHING
        if smoothing:
            sides = self.box[2:] + (1 - smoothing) * score * (sides - self.box[2:])
        self.box = clip_box(np.concatenate([center - sides / 2, sides]), image.shape[1], image.shape[0])
        self.mean_score = (self.mean_score + score) / 2
        return self.box, score

    def moved(self, center: np.ndarray) -> float:
        """How far ``center`` lies from that of the last box on either axis, as a share of its mean side."""
        return float(np.abs(center - self.box[:2] - self.box[2:] / 2).max() / np.sqrt(self.box[2] * self.box[3]))

    def relocate(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, torch.Tensor] | None:
        """A lost target, seen in the wide region and found again in the ordinary one there."""
        test, found = self.cfg.TEST, None
        center, sides, score, _ = self.locate(image, wider=test.WIDEN_BY)
        if score >= test.WIDEN_BELOW:
            box = clip_box(np.concatenate([center - sides / 2, sides]), image.shape[1], image.shape[0])
            found = self.locate(image, box=box)
        return found if found and found[2] >= test.WIDEN_BELOW else None

    def locate(self, image: np.ndarray, size: int | None = None, wider: float = 1.0, box: np.ndarray | None = None
               ) -> tuple[np.ndarray, np.ndarray, float, torch.Tensor]:
        """Center and sides of the network's box in ``image``, in its pixels; the score; the guidance after it.

        size   of the search crop in px, at the scale of the ordinary one; by default that one
        wider  the region is that of the ordinary one times this
        box    to search around; by default the last one
        """
        test = self.cfg.TEST
        full = test.SEARCH_SIZE
        size, box = size or full, self.box if box is None else box
        crop, scale = padded_crop(image, box, test.SEARCH_FACTOR * wider * size / full, size)
        score, offset, wh, guidance = self.step(self.template, self.input(crop), self.guidance)
        grid = score.shape[-1]
        border = (self.network.grid - grid) // 2
        window = self.window[border : border + grid, border : border + grid]
        best = int((score[0, 0] * window).argmax())
        row, column = divmod(best, grid)
        offset, wh = (maps[0, :, row, column].double().cpu().numpy() for maps in (offset, wh))
        center = (np.array([column, row]) + offset) / grid * size
        center = box[:2] + box[2:] / 2 + (center - (size - 1) / 2) / scale
        # Sides are shares of the ordinary crop, whatever the size of this one.
        return center, wh * full / scale, float(score.flatten()[best]), guidance

    def input(self, crop: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(crop).to(self.mean.device).float().permute(2, 0, 1)[None] / 255
        return (tensor - self.mean) / self.std

    def step(self, template: torch.Tensor, search: torch.Tensor, guidance: torch.Tensor | None
             ) -> tuple[torch.Tensor, ...]:
        """Score, offset and size maps, and the guidance for the next frame; None stands for the first one's."""
        net = self.network
        z = net.backbone.forward_stem(template).flatten(1, 2) + net.backbone.pos_embed_z
        cells = net.backbone.forward_stem(search)
        grid = cells.shape[1]
        border = (net.grid - grid) // 2
        positions = net.backbone.pos_embed_x.reshape(1, net.grid, net.grid, -1)
        x = cells + positions[:, border : border + grid, border : border + grid]
        x = x.reshape(1, grid * grid, -1)
        guidance = z if guidance is None else guidance
        cue, prompt = net.cue(template), net.guidance.prompt(guidance)
        tokens = torch.cat([cue, prompt, z, x], dim=1)
        sees = None
        if net.asymmetric:
            # Cues and template see themselves, the guidance tokens these as well, the search tokens everything.
            levels = torch.cat([torch.full((part.shape[1],), level, device=x.device)
                                for part, level in ((cue, 0), (prompt, 1), (z, 0), (x, 2))])
            sees = levels[:, None] >= levels
        for layer in net.backbone.blocks[net.backbone.stem_length :]:
            tokens = block(layer, tokens, sees)
        features = net.norm(tokens)[:, -x.shape[1] :].transpose(1, 2).reshape(1, -1, grid, grid)
        prediction = net.head(features)
        if net.guidance.recurrent and grid == net.grid:  # narrow crops leave the state as it is
            guided = block(net.guidance.block, net.guidance.norm(torch.cat([z, x, guidance], dim=1)))
            guidance = guided[:, : z.shape[1]]
        return prediction.score, prediction.offset, prediction.size, guidance
