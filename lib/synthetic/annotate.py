"""The annotation of a video, measured on the rendered silhouettes of its objects.

The silhouette is where the target's unblurred coverage, at the middle of the exposure, is above one half. Its box is
the tight box of the silhouette's pixels inside the image, hidden or not: x, y of the first pixel and the number of
pixels in each direction; 0, 0, 0, 0 where none is inside. The visible share is the number of silhouette pixels inside
the image that nothing in front covers, over all of them, those outside the image included. Below ``ABSENT`` the
target counts as absent.

Attributes of a video, with the thresholds that define them:

    scale_change       largest over smallest √area of the whole silhouette's box > 1.5
    aspect_change      largest over smallest width/height of the whole silhouette's box > 1.5
    rotation           the target's turn spans more than 30°
    illumination       mean tone of mid gray spans a factor > 1.35
    motion_blur        blur of the target or of the background > 4 px × (short side / 240) in 3 frames or more
    fast_motion        a step between frames, both with the target present, > 0.35 √(w·h)
    distractors        at least one look-alike
    partial_occlusion  something in front covers more than 15 % of the silhouette inside the image in some frame
    full_occlusion     … more than 98 %
    out_of_view        no pixel of the silhouette inside the image in some frame
    camera_motion      the background at the image's center moves > 1 % of the short side per frame on average
    deformation        the outline wobbles, or the body is jointed
    low_resolution     √(w·h) of the whole silhouette's box < 10 % of the short side in some frame
    grey               the video has no color
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scene import Scene

ABSENT = 0.02
JOINTED = ("walker", "bird", "snake", "quadruped")
ATTRIBUTES = ("scale_change", "aspect_change", "rotation", "illumination", "motion_blur", "fast_motion",
              "distractors", "partial_occlusion", "full_occlusion", "out_of_view", "camera_motion", "deformation",
              "low_resolution", "grey")


@dataclass(frozen=True)
class Annotation:
    """boxes_xywh (N, 4) float64; visible_ratio (N,); absent (N,) bool; cut (N,) bool, partly outside the image."""

    boxes_xywh: np.ndarray
    visible_ratio: np.ndarray
    absent: np.ndarray
    cut: np.ndarray
    attributes: tuple[str, ...]

    @property
    def cover(self) -> np.ndarray:
        """(N,) int 0…8: the visible share in eighths, rounded to the nearest; 0 if and only if absent."""
        return np.where(self.absent, 0, np.clip(np.round(self.visible_ratio * 8), 1, 8)).astype(int)


def silhouette_extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, w, h of the true pixels; all 0 where there is none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)


def _frame(scene: Scene, frame: int) -> tuple[list[int], list[float], float, float, bool]:
    """Box inside the image, whole box (center x, y, w, h), visible share, covered share, cut by the image."""
    width, height = scene.size_wh
    target = scene.target
    patch = target.thing.silhouette(target.poses[frame], frame)
    whole = patch.alpha > 127
    x, y, w, h = silhouette_extent(whole)
    center = [patch.x0 + x + w / 2, patch.y0 + y + h / 2, float(w), float(h)]
    left, top = max(0, -patch.x0), max(0, -patch.y0)
    inside = whole[top:max(top, height - patch.y0), left:max(left, width - patch.x0)]
    total, count = int(whole.sum()), int(inside.sum())
    if not count:
        return [0, 0, 0, 0], center, 0.0, 0.0, False
    x0, y0 = patch.x0 + left, patch.y0 + top
    x, y, w, h = silhouette_extent(inside)
    seen = inside.copy()
    for actor in scene.front:
        other = actor.thing.silhouette_near(actor.poses[frame], frame, scene.size_wh)
        if other is not None:
            _cover(seen, x0, y0, other.alpha > 127, other.x0, other.y0)
    visible = int(seen.sum())
    return [x0 + x, y0 + y, w, h], center, visible / total, 1 - visible / count, count < total


def _cover(seen: np.ndarray, x0: int, y0: int, mask: np.ndarray, mx: int, my: int) -> None:
    """Clear the pixels of ``seen``, which lies at (x0, y0), that ``mask`` at (mx, my) covers."""
    left, top = max(x0, mx), max(y0, my)
    right, bottom = min(x0 + seen.shape[1], mx + mask.shape[1]), min(y0 + seen.shape[0], my + mask.shape[0])
    if right > left and bottom > top:
        seen[top - y0:bottom - y0, left - x0:right - x0] &= ~mask[top - my:bottom - my, left - mx:right - mx]


def annotate(scene: Scene) -> Annotation:
    """The annotation of every frame of ``scene``."""
    frames = [_frame(scene, t) for t in range(scene.frames)]
    boxes = np.array([f[0] for f in frames], np.float64)
    whole = np.array([f[1] for f in frames])
    visible = np.array([f[2] for f in frames])
    covered = np.array([f[3] for f in frames])
    absent = visible < ABSENT
    attributes = _attributes(scene, whole, boxes[:, 2] > 0, absent, covered)
    return Annotation(boxes, visible, absent, np.array([f[4] for f in frames]), attributes)


def _span(values: np.ndarray) -> float:
    return float(values.max() / max(values.min(), 1e-9))


def _attributes(scene: Scene, whole: np.ndarray, inside: np.ndarray, absent: np.ndarray,
                covered: np.ndarray) -> tuple[str, ...]:
    short = min(scene.size_wh)
    side = np.sqrt(whole[:, 2] * whole[:, 3])
    step = np.hypot(*np.diff(whole[:, :2], axis=0).T) if len(whole) > 1 else np.zeros(0)
    together = ~absent[1:] & ~absent[:-1]
    center = scene.camera.to_image(scene.camera.to_world(np.array(scene.size_wh) / 2, 0))
    drift = np.hypot(*np.diff(center, axis=0).T) if len(whole) > 1 else np.zeros(0)
    blur = np.hypot(*np.array([p.velocity for p in scene.target.poses]).T)
    ground = np.append(drift, 0) * scene.look.shutter
    turn = np.array([p.angle for p in scene.target.poses])
    tone = scene.look.gain * 0.5 ** scene.look.gamma
    present = {
        "scale_change": _span(side) > 1.5,
        "aspect_change": _span(whole[:, 2] / whole[:, 3]) > 1.5,
        "rotation": np.ptp(turn) > np.radians(30),
        "illumination": _span(tone) > 1.35,
        "motion_blur": (np.maximum(blur, ground) > 4 * short / 240).sum() >= 3,
        "fast_motion": bool(np.any(together & (step > 0.35 * np.minimum(side[1:], side[:-1])))),
        "distractors": scene.lookalikes > 0,
        "partial_occlusion": covered.max() > 0.15,
        "full_occlusion": covered.max() > 0.98,
        "out_of_view": bool(np.any(~inside)),
        "camera_motion": drift.size > 0 and drift.mean() > 0.01 * short,
        "deformation": scene.deforms or scene.object_class in JOINTED,
        "low_resolution": side.min() < 0.1 * short,
        "grey": scene.look.gray,
    }
    return tuple(name for name in ATTRIBUTES if present[name])
