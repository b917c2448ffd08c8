"""ImageNet-VID (Russakovsky et al., IJCV 2015), training videos: one video a track, named ``<video>_<track id>``.

    Data/VID/train/<group>/<video>/000000.JPEG …            the frames, from 0
    Annotations/VID/train/<group>/<video>/000000.xml …      the objects in each: track id, class, box, occlusion

The root may also hold both in ``ILSVRC2015/``. A frame in which the track is not annotated, or flagged as occluded, is
not ``visible``. The class is a WordNet synset (``n02084071``).

The million XML files are parsed once and kept (``mstgt.data.index``) until the names in an annotation folder change. An
XML file that is edited in place is not noticed: delete the cache then.
"""

from __future__ import annotations

from functools import partial
from xml.etree import ElementTree

import numpy as np

from ...geometry.boxes import MAX_PX
from ...untrusted.xml import parse_xml
from ...utils.errors import UserError
from ...utils.progress import progress
from ..index import Arrays, cached_arrays, digests
from ..store import FrameStore, join
from ..video import Video, VideoSet, make_video, require_videos

ANNOTATIONS, FRAMES = "Annotations/VID/train", "Data/VID/train"
_SIDES = ("xmin", "ymin", "xmax", "ymax")
_KINDS = {"folders": "U1", "tracks": "i1", "classes": "U1", "lengths": "i1", "starts": "i1",
          "boxes_xywh": "f2", "occluded": "b1"}
_TEXT_LENGTH, _MAX_TRACK = 200, 1 << 31

Track = tuple[int, str, tuple[float, float, float, float], bool]  # id, class, box x, y, w, h, occluded


def imagenet_vid(name: str, store: FrameStore) -> VideoSet:
    """The tracks of the videos whose frames are there."""
    prefix = next((p for p in ("", "ILSVRC2015") if store.list(join(p, ANNOTATIONS))), "")
    annotations, frames = join(prefix, ANNOTATIONS), join(prefix, FRAMES)
    groups = store.list(annotations)
    folders = tuple(f"{group}/{video}" for group in groups for video in store.list(f"{annotations}/{group}"))
    states = digests((folder, store.mtime_key(f"{annotations}/{folder}")) for folder in folders)
    parse = partial(_parse, store, annotations, folders)
    kept = cached_arrays(store.root, name, states, parse, _KINDS, _fit) if folders else {}
    present = {f"{group}/{video}" for group in groups for video in store.list(f"{frames}/{group}")}
    rows, missing = {}, []
    for row, (folder, track) in enumerate(zip(kept["folders"].tolist(), kept["tracks"].tolist(), strict=True)
                                          if folders else ()):
        track_name = f"{folder.rpartition('/')[2]}_{track}"
        if folder in present:
            rows[track_name] = row
        else:
            missing.append(track_name)
    videos = VideoSet(name, tuple(rows), partial(_read_track, store, frames, kept, rows), tuple(missing),
                      class_of=partial(_class_of, kept, rows))
    return require_videos(videos, store, f"{ANNOTATIONS}/<group>/<video>/*.xml with {FRAMES}/<group>/<video>/*.JPEG")


def _fit(kept: Arrays) -> bool:
    """Whether every track has its part of the boxes."""
    tracks, rows = len(kept["tracks"]), len(kept["boxes_xywh"])
    return (all(len(kept[name]) == tracks for name in ("folders", "classes", "lengths", "starts"))
            and kept["boxes_xywh"].shape == (rows, 4) and len(kept["occluded"]) == rows
            and bool((kept["lengths"] >= 0).all() and (kept["starts"] >= 0).all()
                     and (kept["starts"] <= rows - kept["lengths"]).all()))


def _class_of(kept: Arrays, rows: dict[str, int], video: str) -> str:
    return str(kept["classes"][rows[video]])


def _read_track(store: FrameStore, frames: str, kept: Arrays, rows: dict[str, int], video: str) -> Video:
    row = rows[video]
    first, count, folder = kept["starts"][row], int(kept["lengths"][row]), str(kept["folders"][row])
    here = slice(first, first + count)
    keys = tuple([f"{frames}/{folder}/{n:06d}.JPEG" for n in range(count)])
    return make_video(video, store, keys, kept["boxes_xywh"][here].astype(np.float64), absent=kept["occluded"][here],
                         object_class=_class_of(kept, rows, video))


def _parse(store: FrameStore, annotations: str, folders: tuple[str, ...], _old: Arrays | None) -> Arrays:
    """All tracks: per track its folder, id, class and extent in the arrays of boxes."""
    names, tracks, classes, lengths, boxes, occluded = [], [], [], [], [np.empty((0, 4))], [np.empty(0, bool)]
    for folder in progress(folders, unit="video", desc="index of ImageNet-VID"):
        for track, (object_class, box, hidden) in sorted(_tracks(store, f"{annotations}/{folder}").items()):
            names.append(folder)
            tracks.append(track)
            classes.append(object_class)
            lengths.append(len(box))
            boxes.append(box.astype(np.float32))
            occluded.append(hidden)
    starts = np.cumsum([0, *lengths])[:-1]
    return {"folders": np.array(names, np.str_), "tracks": np.array(tracks, np.int64),
            "classes": np.array(classes, np.str_), "lengths": np.array(lengths, np.int64), "starts": starts,
            "boxes_xywh": np.concatenate(boxes).astype(np.float32), "occluded": np.concatenate(occluded)}


def _tracks(store: FrameStore, folder: str) -> dict[int, tuple[str, np.ndarray, np.ndarray]]:
    """Of each track in a video: class, (frames, 4) boxes with NaN where it is not, (frames,) occluded."""
    files = [n for n in store.list(folder) if n.endswith(".xml")]
    tracks: dict[int, tuple[str, np.ndarray, np.ndarray]] = {}
    for frame, file in enumerate(files):
        key = f"{folder}/{file}"
        if file != f"{frame:06d}.xml":
            raise UserError(f"{store.where(folder)}: expected {frame:06d}.xml, found {file}; fetch it again")
        for track, object_class, box, hidden in _objects(store.read(key), store.where(key)):
            if track not in tracks:
                tracks[track] = object_class, np.full((len(files), 4), np.nan), np.zeros(len(files), bool)
            tracks[track][1][frame], tracks[track][2][frame] = box, hidden
    return tracks


def _objects(data: bytes, where: str) -> list[Track]:
    """The objects annotated in one frame."""
    try:
        return [_object(item) for item in parse_xml(data, where).iter("object")]
    except (ElementTree.ParseError, ValueError, OverflowError) as error:
        raise UserError(f"{where}: not an annotation of ImageNet-VID ({error})") from error


def _object(item: ElementTree.Element) -> Track:
    left, top, right, bottom = sides = [float(_text(item, f"bndbox/{side}")) for side in _SIDES]
    if not all(abs(side) <= MAX_PX for side in sides):
        raise ValueError(f"a box with the sides {sides}")
    track = int(_text(item, "trackid"))
    if not 0 <= track < _MAX_TRACK:
        raise ValueError(f"the track id {track}")
    return (track, _text(item, "name"), (left, top, right - left, bottom - top),
            int(_text(item, "occluded")) != 0)


def _text(item: ElementTree.Element, path: str) -> str:
    text = item.findtext(path)
    if text is None or len(text) > _TEXT_LENGTH:
        raise ValueError(f"an object without {path}, or one that is too long")
    return text
