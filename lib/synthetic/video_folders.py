"""Writes sets of videos in GOT-10k's layout: what the rendered and the composed ones share.

    ROOT/<set>.json                      the parameters of the set
    ROOT/<split>/list.txt                the split's video names, written when all videos are complete
    ROOT/<split>/<video>/00000001.jpg    frames, 1-based
                        /groundtruth.txt      x,y,w,h per line
                        /absence.label        1 where the target is absent
                        /cover.label          0…8, visible share in eighths
                        /cut_by_image.label   1 where the target is partly outside the image
                        /meta_info.ini        class, resolution and others

A video is written into a hidden folder and renamed when it is complete: a folder with a video's name is a complete
video. Leftovers of a killed run are removed by the next one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..utils.errors import UserError, WouldOverwriteError, explain_os_error, explain_worker_start
from ..utils.files import locked, new_folder, write_json
from ..utils.progress import progress
from .annotate import Annotation

HIDDEN = ".unfinished-"


def prepare_root(root: Path, spec_file: str, spec: dict[str, Any], overwrite: bool = False) -> bool:
    """Prepare the folder ``root`` for the set that ``spec`` describes; return whether an old one must be removed first.

    Raises :class:`UserError` if ``root`` holds another set and ``overwrite`` is false, or something that is no set.
    """
    path = root / spec_file
    if not path.exists():
        if root.is_dir() and any(root.iterdir()):
            raise UserError(f"{root} is not empty and holds no {spec_file}: give another folder")
        if root.exists() and not root.is_dir():
            raise UserError(f"{root} is a file: give a folder")
        write_json(path, spec)
        return False
    with explain_os_error(f"cannot read {path}"):
        text = path.read_bytes()
    try:
        same = json.loads(text.decode("utf-8")) == spec
    except ValueError:
        same = False
    if not same and not overwrite:
        raise WouldOverwriteError(f"{root} holds a set made with other arguments (see {spec_file}): give another "
                                  "folder")
    return not same


@contextlib.contextmanager
def only_writer(root: Path) -> Iterator[None]:
    """Lock ``root`` against other runs."""
    with locked(root, wait_s=0) as alone:
        if not alone:
            raise UserError(f"another run is writing to {root}: wait for it, or give another folder")
        yield


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed run has left in ``folder``."""
    for leftover in folder.glob(HIDDEN + "*"):
        shutil.rmtree(leftover)


def write_videos(fills: Mapping[Path, Callable[[Path], object]], workers: int, unit: str, desc: str) -> float:
    """Make the folders in order with ``workers`` processes (1: this one); return the seconds that all of them took.

    fills  writes the files of a folder into the one that it is given; must be picklable

    Ctrl-C and SIGTERM wait for the folders that are being made.
    """
    workers = min(workers, len(fills))
    busy = 0.0
    with progress(total=len(fills), unit=unit, desc=desc) as bar:
        if workers <= 1:
            for folder, fill in fills.items():
                busy += _write_video(folder, fill)
                bar.update()
            return busy
        with explain_worker_start():
            pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin, (os.getpid(),))
        try:
            for done in as_completed([pool.submit(_write_video, folder, fill) for folder, fill in fills.items()]):
                busy += done.result()
                bar.update()
            return busy
        except BrokenProcessPool as error:
            raise UserError("a worker process was killed, perhaps for lack of memory: run again with fewer workers "
                            f"(every {unit} that is finished is kept)") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _write_video(folder: Path, fill: Callable[[Path], object]) -> float:
    """Write one video; return the seconds that it took."""
    start = time.perf_counter()
    cv2.setNumThreads(1)
    with explain_os_error(f"cannot write {folder}"), new_folder(folder, HIDDEN) as hidden:
        fill(hidden)
    return time.perf_counter() - start


def _begin(parent: int) -> None:
    """Begin a worker: it ends with its parent, also by SIGKILL, and leaves it to its parent to answer other signals."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def write_annotation(folder: Path, annotation: Annotation, meta_info: Mapping[str, object]) -> None:
    """Write all files of a video but its frames."""
    rows = "".join(",".join(f"{value:.4f}" for value in box) + "\n" for box in annotation.boxes_xywh)
    (folder / "groundtruth.txt").write_text(rows)
    for name, values in (("absence", annotation.absent), ("cover", annotation.cover), ("cut_by_image", annotation.cut)):
        (folder / f"{name}.label").write_text("".join(f"{int(value)}\n" for value in values))
    lines = "".join(f"{key}: {value}\n" for key, value in meta_info.items())
    (folder / "meta_info.ini").write_text("[METAINFO]\n" + lines, encoding="utf-8")


def write_frame(folder: Path, frame: int, image_rgb: np.ndarray, quality: int) -> None:
    """Write frame ``frame``, counted from 0, as a JPEG."""
    image = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError(f"cannot encode frame {frame} of {folder}")
    (folder / f"{frame + 1:08d}.jpg").write_bytes(data.tobytes())
