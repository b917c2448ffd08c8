"""Videos with one mask per frame, as in DAVIS (Perazzi et al., CVPR 2016): the box is that of the mask.

    <root>/JPEGImages/<size>/<video>/00000.jpg, <root>/Annotations/<size>/<video>/00000.png    DAVIS
    <root>/<video>/img/<frame>.jpg, <root>/<video>/mask/<frame>.png                            your own

All non-zero pixels of a mask are the target. Frames without a mask, and masks that are nearly empty, count as frames
without the target.
"""

from __future__ import annotations

from functools import partial
from pathlib import PurePosixPath

import cv2
import numpy as np

from ...utils.errors import UserError
from ...utils.progress import progress
from ..frame_names import image_keys
from ..images import decode_image
from ..store import FrameStore, join
from ..video import VideoSet
from .tracks import Track, tracks_set

MIN_PIXELS = 40  # of a mask that shows its target
SPECK = 0.02  # separate parts of a mask smaller than this share of the largest are errors of annotation


def mask_videos(name: str, store: FrameStore) -> VideoSet | None:
    """Return the videos; None if the store has another layout."""
    folders = video_folders(store)
    if not folders:
        return None
    states = [(video, store.mtime_key(images), store.mtime_key(masks)) for video, (images, masks) in folders.items()]
    return tracks_set(store, name, states, partial(_parse, store, folders))


def video_folders(store: FrameStore) -> dict[str, tuple[str, str]]:
    """Return name -> (folder of images, folder of masks)."""
    images, masks = "JPEGImages", "Annotations"
    videos = store.list(images)
    if not videos:
        return {video: (join(video, "img"), join(video, "mask")) for video in store.list()
                if image_keys(store, join(video, "mask")) and image_keys(store, join(video, "img"))}
    inside = store.list(join(images, videos[0]))
    if inside and store.list(join(images, videos[0], inside[0])):  # sorted by size first: 480p, 1080p
        images, masks, videos = join(images, videos[0]), join(masks, videos[0]), inside
    return {video: (join(images, video), join(masks, video)) for video in videos
            if image_keys(store, join(masks, video))}


def _parse(store: FrameStore, folders: dict[str, tuple[str, str]]) -> list[Track]:
    tracks = []
    for video, (images, masks) in progress(folders.items(), unit="video", desc="boxes of masks"):
        keys = list(image_keys(store, images))
        mask_of = {PurePosixPath(key).stem: key for key in image_keys(store, masks)}
        boxes = np.full((len(keys), 4), np.nan)
        for frame, key in enumerate(keys):
            mask_key = mask_of.get(PurePosixPath(key).stem)
            if mask_key is not None:
                mask = decode_image(store.read(mask_key), store.where(mask_key))
                if frame == 0:
                    check_mask_size(mask, decode_image(store.read(key), store.where(key)), store.where(mask_key))
                boxes[frame] = box_of_mask(cv2.cvtColor(mask, cv2.COLOR_RGB2GRAY))
        tracks.append(Track(video, video, keys, boxes))
    return tracks


def check_mask_size(mask: np.ndarray, image: np.ndarray, where: str) -> None:
    """Raise :class:`UserError` that names ``where`` unless the two have the same height and width."""
    if mask.shape[:2] != image.shape[:2]:
        raise UserError(f"{where}: the mask has {mask.shape[1]} x {mask.shape[0]} px and its image {image.shape[1]} x "
                        f"{image.shape[0]} px; give the mask the size of the image")


def box_of_mask(mask: np.ndarray) -> np.ndarray:
    """Return (x, y, w, h) of the non-zero pixels of a uint8 mask without specks; NaN if there are fewer than
    ``MIN_PIXELS``."""
    _, _, parts, _ = cv2.connectedComponentsWithStats(mask)
    parts = parts[1:]  # the first is the background
    if parts[:, cv2.CC_STAT_AREA].sum() < MIN_PIXELS:
        return np.full(4, np.nan)
    parts = parts[parts[:, cv2.CC_STAT_AREA] >= SPECK * parts[:, cv2.CC_STAT_AREA].max()]
    low = parts[:, :2].min(0)
    high = (parts[:, :2] + parts[:, 2:4]).max(0)
    return np.concatenate([low, high - low]).astype(np.float64)
