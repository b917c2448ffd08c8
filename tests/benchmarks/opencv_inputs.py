"""Videos and network files for the tests of the comparison with OpenCV."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from opencv_environment import NETWORK_TRACKERS

FRAMES, SIZE_WH = 5, (160, 120)


def put_video(folder: Path, truth: str, rows: list[str], frames: int = FRAMES) -> None:
    (folder / "img").mkdir(parents=True)
    rng = np.random.default_rng(len(str(folder)))
    ground = cv2.GaussianBlur(rng.integers(0, 256, (SIZE_WH[1], SIZE_WH[0] + frames, 3), np.uint8), (9, 9), 2)
    for t in range(frames):
        cv2.imwrite(str(folder / "img" / f"{t + 1:04d}.jpg"), ground[:, t : t + SIZE_WH[0]])
    (folder / truth).write_text("".join(row + "\n" for row in rows))


def network_files(folder: Path, name: str) -> Path:
    for file in NETWORK_TRACKERS[name].files.values():
        (folder / file).write_bytes(b"onnx")
    return folder
