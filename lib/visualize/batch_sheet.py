"""A training batch as a picture: what the network is given, with the boxes that it is to find.

    picture = draw_sheet(batch, max_occlusion=0.5)          # (H, W, 3) uint8 RGB

Rows are samples. Columns: the template; the search crops with their boxes (green); and, where the batch has partners,
the partners' crops with theirs (orange) and the search crops as mixing leaves them: the partner's cells outlined, with
the partner's pixels in them to look at (the network mixes features, normalised; the cells are the same).
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ..models.mstgt.hivit import STRIDE
from ..models.mstgt.mixing import MixPartner, mix_mask
from ..train.data.batch import Batch
from ..train.data.transforms import (
    augment_and_normalize_partner,
    augment_and_normalize_search,
    augment_and_normalize_template,
    flip_boxes,
)

OWN, OTHER, SKIPPED, TEXT = (60, 200, 60), (255, 140, 30), (230, 60, 60), (255, 255, 255)  # RGB
GAP, CAPTION = 4, 18  # px between tiles, and of the line of text above each
PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # mean and deviation that leave pictures in 0..1


def draw_sheet(batch: Batch, max_occlusion: float, zoom: int = 1, template_mask_strength: float = 0.0) -> np.ndarray:
    """The sheet of a batch of the loader, on the CPU; DA.imix_occrate and MODEL.TEMPLATE_MASK are
    ``max_occlusion`` and ``template_mask_strength``."""
    search = augment_and_normalize_search(batch, *PLAIN)
    template = augment_and_normalize_template(batch, *PLAIN, template_mask_strength)
    boxes = flip_boxes(batch.boxes, batch.flip, search.shape[-1])
    partner = augment_and_normalize_partner(batch.partner, boxes, *PLAIN, max_occlusion, "none")
    cells = None if partner is None else mix_mask(partner, search.shape[-1] // STRIDE)
    rows = []
    for b, video in enumerate(batch.videos):
        frames = batch.frames[b]
        tiles = [_tile(_pixels(template[b]), f"{video} {frames[0]}", search.shape[-1], zoom)]
        for t, picture in enumerate(search[:, b]):
            framed = _with_box(_enlarge(_pixels(picture), zoom), boxes[t, b], OWN)
            tiles.append(_captioned(framed, f"frame {frames[t + 1]}"))
        if partner is not None:
            tiles += _partner_tiles(search, partner, cells, b, batch.partner.videos[b], zoom)
        rows.append(_beside(tiles, axis=1))
    return _beside(rows, axis=0)


def _partner_tiles(search: torch.Tensor, partner: MixPartner, cells: torch.Tensor, b: int, video: str,
                   zoom: int) -> list[np.ndarray]:
    others, mixed = [], []
    for t, picture in enumerate(partner.searches[:, b]):
        other = _enlarge(_pixels(picture), zoom)
        own = _enlarge(_pixels(search[t, b]), zoom)
        others.append(_captioned(_with_box(other, partner.boxes[t, b], OTHER), f"partner {video}"))
        mask = np.kron(cells[t, b].numpy(), np.ones((STRIDE * zoom,) * 2, bool))
        own[mask] = other[mask]
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(own, outlines, -1, OTHER, 1)
        text = f"{int(cells[t, b].sum())} cells mixed" if mask.any() else "not mixed"
        mixed.append(_captioned(_with_box(own, partner.own[t, b], OWN), text, TEXT if mask.any() else SKIPPED))
    return others + mixed


def _pixels(picture: torch.Tensor) -> np.ndarray:
    return (picture * 255).round().byte().permute(1, 2, 0).numpy()


def _enlarge(picture: np.ndarray, zoom: int) -> np.ndarray:
    return picture.repeat(zoom, axis=0).repeat(zoom, axis=1)


def _with_box(picture: np.ndarray, box_cxcywh: torch.Tensor, colour: tuple[int, int, int]) -> np.ndarray:
    cx, cy, w, h = (box_cxcywh * picture.shape[0]).tolist()
    if w > 0 and h > 0:
        corners = ((round(cx + i * w / 2), round(cy + i * h / 2)) for i in (-1, 1))
        picture = cv2.rectangle(np.ascontiguousarray(picture), *corners, colour, 1)
    return picture


def _tile(picture: np.ndarray, text: str, size: int, zoom: int) -> np.ndarray:
    """A captioned tile of the search crops' size, with a smaller picture in its middle."""
    picture = _enlarge(picture, zoom)
    canvas = np.zeros((size * zoom, size * zoom, 3), np.uint8)
    top, left = ((size * zoom - side) // 2 for side in picture.shape[:2])
    canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return _captioned(canvas, text)


def _captioned(picture: np.ndarray, text: str, colour: tuple[int, int, int] = TEXT) -> np.ndarray:
    line = np.zeros((CAPTION, picture.shape[1], 3), np.uint8)
    cv2.putText(line, text, (3, CAPTION - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.38, colour, 1, cv2.LINE_AA)
    return np.concatenate([line, picture])


def _beside(pictures: list[np.ndarray], axis: int) -> np.ndarray:
    shape = list(pictures[0].shape)
    shape[axis] = GAP
    gap = np.full(shape, 40, np.uint8)
    return np.concatenate([part for p in pictures for part in (p, gap)][:-1], axis)
