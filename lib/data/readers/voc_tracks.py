"""Videos in Pascal VOC's layout whose objects have a ``track_id``, such as FOD-A: one video per track.

    <root>/JPEGImages/000000.jpg, <root>/Annotations/000000.xml      numbered through, one recording after another

A track goes on as long as consecutive frames hold an object of its class and id, less than 1.5 times its own size away.
Its video is named after its class and its first frame: ``Bolt_001204``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from xml.etree import ElementTree

import numpy as np

from ...geometry.boxes import MAX_PX
from ...untrusted.xml import parse_xml
from ...utils.errors import UserError
from ...utils.progress import progress
from ..frame_names import image_keys
from ..store import FrameStore
from ..video import VideoSet
from .tracks import Track, tracks_set

ANNOTATIONS, FRAMES = "Annotations", "JPEGImages"
MIN_FRAMES = 4  # of a track
MAX_STEP = 1.5  # times the longer side of a box that its center may move between two frames
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_NAME = re.compile(r"[\w.-]{1,100}")

Found = tuple[tuple[str, str], np.ndarray]  # (class, track id), box x0, y0, x1, y1


@dataclass
class _Growing:
    """A track while it is read: the number of its last frame, keys, boxes (x0, y0, x1, y1)."""

    last: int
    keys: list[str] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)

    def continues(self, number: int, box: np.ndarray) -> bool:
        """Return whether an object at ``box`` in frame ``number`` is the same."""
        own = self.boxes[-1]
        moved = np.abs(own[:2] + own[2:] - box[:2] - box[2:]).max() / 2
        side = max((own[2:] - own[:2]).max(), (box[2:] - box[:2]).max())
        return number == self.last + 1 and moved < MAX_STEP * side


def voc_tracks(name: str, store: FrameStore) -> VideoSet | None:
    """Return the tracks; None if the store has another layout."""
    files = [file for file in store.list(ANNOTATIONS) if file.endswith(".xml")]
    if not files or not image_keys(store, FRAMES):
        return None
    states = [(ANNOTATIONS, store.mtime_key(ANNOTATIONS)), (FRAMES, store.mtime_key(FRAMES))]
    return tracks_set(store, name, states, partial(_parse, store, files))


def _parse(store: FrameStore, files: list[str]) -> list[Track]:
    key_of = {key.rpartition("/")[2].rpartition(".")[0]: key for key in image_keys(store, FRAMES)}
    stems = [file.removesuffix(".xml") for file in files]
    numbered = sorted((int(number[0]), stem) for stem in stems
                      if stem in key_of and (number := re.findall(r"\d+$", stem)))
    open_tracks: dict[tuple[str, str], _Growing] = {}
    done: list[Track] = []
    for number, stem in progress(numbered, unit="frame", desc="tracks of VOC annotations"):
        key = f"{ANNOTATIONS}/{stem}.xml"
        for identity, box in _objects(store.read(key), store.where(key)):
            track = open_tracks.get(identity)
            if track is None or not track.continues(number, box):
                if track is not None:
                    done += _finished(identity, track)
                track = open_tracks[identity] = _Growing(number)
            track.last = number
            track.keys.append(key_of[stem])
            track.boxes.append(box)
    for identity, track in open_tracks.items():
        done += _finished(identity, track)
    return sorted(done, key=lambda track: track.keys[0])


def _finished(identity: tuple[str, str], track: _Growing) -> list[Track]:
    if len(track.keys) < MIN_FRAMES:
        return []
    boxes = np.array(track.boxes)
    first = track.keys[0].rpartition("/")[2].rpartition(".")[0]
    name = "_".join((*identity[:1], first) if identity[1] == "0" else (identity[0], identity[1], first))
    return [Track(name, identity[0], track.keys, np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]))]


def _objects(data: bytes, where: str) -> list[Found]:
    """Return the objects of one frame that have a track id."""
    try:
        return [found for item in parse_xml(data, where).iter("object") if (found := _object(item)) is not None]
    except (ElementTree.ParseError, ValueError, TypeError) as error:
        raise UserError(f"{where}: not an annotation in VOC's format ({error}); export it again") from error


def _object(item: ElementTree.Element) -> Found | None:
    attributes = {a.findtext("name"): a.findtext("value") for a in item.iter("attribute")}
    name, track = item.findtext("name") or "", attributes.get("track_id")
    if track is None:
        return None
    box = np.array([float(item.findtext(f"bndbox/{side}") or "nan") for side in _SIDES])
    if not (np.abs(box) <= MAX_PX).all():
        raise ValueError(f"a box with the sides {box.tolist()}")
    if not _NAME.fullmatch(name) or not _NAME.fullmatch(track):
        raise ValueError(f"the name {name[:40]!r} or the track id {track[:40]!r}")
    return (name, track), box
