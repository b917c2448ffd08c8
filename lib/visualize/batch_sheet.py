"""A training batch as an image: what the network is given, with the boxes that it is to find.

    image = draw_sheet(batch, max_occlusion=0.5)          # (H, W, 3) uint8 RGB

Rows are samples. Columns: the template; the search crops with their boxes (green); and, if the batch has mix partners,
the partners' crops with their boxes (orange) and the search crops as mixing leaves them: the cells of the partner are
outlined and show its pixels (the network mixes normalized features; the cells are the same). The last line says what
the colors mean.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ..models.mstgt.backbones import STRIDE
from ..models.mstgt.mixing import MixPartner, mix_mask
from ..train.data.batch import Batch
from ..train.data.transforms import (
    augment_and_normalize_partner,
    augment_and_normalize_search,
    augment_and_normalize_template,
    flip_boxes,
)
from .draw import GROUND_TRUTH, TRACKED, LabeledBox, contact_sheet, draw_boxes, ink_on
from .text import Color, put_tag, tag_width

OWN, OTHER = GROUND_TRUTH, TRACKED  # RGB
MIXED, SKIPPED, TEXT, BACKGROUND = OTHER, (230, 60, 60), (255, 255, 255), (40, 40, 40)
GAP, CAPTION = 4, 18  # px between tiles, and of the line of text above each
IDENTITY = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # mean and standard deviation that leave images in [0, 1]


def draw_sheet(batch: Batch, max_occlusion: float, zoom: int = 1, template_mask_strength: float = 0.0) -> np.ndarray:
    """The sheet of a batch of the loader, on the CPU; DA.imix_occrate and MODEL.TEMPLATE_MASK are
    ``max_occlusion`` and ``template_mask_strength``."""
    search = augment_and_normalize_search(batch, *IDENTITY)
    template = augment_and_normalize_template(batch, *IDENTITY, template_mask_strength)
    boxes = flip_boxes(batch.boxes, batch.flip, search.shape[-1])
    partner = augment_and_normalize_partner(batch.partner, boxes, *IDENTITY, max_occlusion, "none")
    cells = None if partner is None else mix_mask(partner, search.shape[-1] // STRIDE)
    tiles: list[np.ndarray] = []
    for b, video in enumerate(batch.videos):
        frames = batch.frames[b]
        tiles.append(_template_tile(_pixels(template[b]), f"{video} {frames[0]}", search.shape[-1], zoom))
        for t, crop in enumerate(search[:, b]):
            boxed = _with_box(_enlarge(_pixels(crop), zoom), boxes[t, b], OWN)
            tiles.append(_captioned(boxed, f"frame {frames[t + 1]}"))
        if batch.partner is not None and partner is not None and cells is not None:
            tiles += _partner_tiles(search, partner, cells, b, batch.partner.videos[b], zoom)
    sheet = contact_sheet(tiles, len(tiles) // len(batch.videos), GAP, BACKGROUND)
    return np.concatenate([sheet, _legend(sheet.shape[1], partner is not None)])


def _legend(width: int, mixes: bool) -> np.ndarray:
    """A line that explains the colors, (H, width, 3); as many lines as the width needs."""
    entries = [("box of the target", OWN)]
    if mixes:
        entries += [("box and cells of the mix partner", OTHER), ("partner not mixed in", SKIPPED)]
    lines = [np.full((CAPTION + GAP, width, 3), BACKGROUND, np.uint8)]
    x = GAP
    for text, color in entries:
        needed = tag_width(text, CAPTION) + 2 * GAP
        if x > GAP and x + needed > width:
            lines.append(np.full((CAPTION + GAP, width, 3), BACKGROUND, np.uint8))
            x = GAP
        put_tag(lines[-1], text, (x, 0), CAPTION, ink_on(color), color)
        x += needed
    return np.concatenate(lines)


def _partner_tiles(search: torch.Tensor, partner: MixPartner, cells: torch.Tensor, b: int, video: str,
                   zoom: int) -> list[np.ndarray]:
    others, mixed = [], []
    for t, crop in enumerate(partner.searches[:, b]):
        other = _enlarge(_pixels(crop), zoom)
        own = _enlarge(_pixels(search[t, b]), zoom)
        others.append(_captioned(_with_box(other, partner.boxes[t, b], OTHER), f"partner {video}"))
        mask = np.kron(cells[t, b].numpy(), np.ones((STRIDE * zoom,) * 2, bool))
        own[mask] = other[mask]
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(own, outlines, -1, MIXED, 1)
        text = f"{int(cells[t, b].sum())} cells mixed" if mask.any() else "not mixed"
        mixed.append(_captioned(_with_box(own, partner.own[t, b], OWN), text, TEXT if mask.any() else SKIPPED))
    return others + mixed


def _pixels(crop: torch.Tensor) -> np.ndarray:
    """(3, S, S) in [0, 1] -> (S, S, 3) uint8."""
    return (crop * 255).round().byte().permute(1, 2, 0).numpy()


def _enlarge(image: np.ndarray, zoom: int) -> np.ndarray:
    return image.repeat(zoom, axis=0).repeat(zoom, axis=1)


def _with_box(image: np.ndarray, box_cxcywh: torch.Tensor, color: Color) -> np.ndarray:
    """A copy with a box that is given as shares of the image's side."""
    cx, cy, w, h = (box_cxcywh * image.shape[0]).tolist()
    return draw_boxes(image, [LabeledBox(np.array([cx - w / 2, cy - h / 2, w, h]), color)], line=1)


def _template_tile(image: np.ndarray, text: str, size: int, zoom: int) -> np.ndarray:
    """A captioned tile of the search crops' size with the smaller template in its center."""
    image = _enlarge(image, zoom)
    canvas = np.zeros((size * zoom, size * zoom, 3), np.uint8)
    top, left = ((size * zoom - side) // 2 for side in image.shape[:2])
    canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return _captioned(canvas, text)


def _captioned(image: np.ndarray, text: str, color: Color = TEXT) -> np.ndarray:
    """The image with a line of text above it."""
    line = np.zeros((CAPTION, image.shape[1], 3), np.uint8)
    put_tag(line, text, (0, 0), CAPTION, color, (0, 0, 0))
    return np.concatenate([line, image])
