"""How many training samples a second one core can make.

    python benchmarks/data_pipeline.py [--size 256] [--searches 4] [--seconds 10]

Writes textured JPEG videos of 1280 x 720 px and about 390 KB a frame to a temporary folder and draws samples from
them in this process, on one thread: sampling, decoding, cropping; what the device does (flip, color, normalizing)
is not in it. Prints a table: samples a second, and the processor time of a sample, which other work on the machine
disturbs less. Rows: without and with the partner of feature mixing, and, for comparison, decoding the same number of
frames in full and nothing else (a sample needs less: fewer rows, and often at a half or a quarter of the size).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from mstgt.data.store import FolderStore
from mstgt.data.video import StoredFrames, Video, VideoSet
from mstgt.train.data.processing import CropSettings, Processing
from mstgt.train.data.sampler import CausalSampler
from mstgt.utils.device import device_name
from mstgt.utils.errors import UserError, run_command

WIDTH, HEIGHT, FRAME_BYTES = 1280, 720, 390_000
VIDEOS, FRAMES = 6, 24
SIDES = (40, 320)  # px, shortest and longest mean side of a target; drawn evenly on a log scale


def textured(rng: np.random.Generator) -> np.ndarray:
    """An image with detail at all scales."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.float32)
    for cells, strength in ((4, 60), (16, 40), (64, 22), (256, 14)):
        coarse = rng.standard_normal((cells * HEIGHT // WIDTH + 2, cells, 3)).astype(np.float32)
        image += strength * cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + 8 * rng.standard_normal(image.shape), 0, 255).astype(np.uint8)


def encode(image: np.ndarray) -> np.ndarray:
    """JPEG bytes nearest to ``FRAME_BYTES``."""
    options = (cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, q])[1] for q in range(60, 98))
    return min(options, key=lambda data: abs(data.size - FRAME_BYTES))


def write_videos(root: Path, rng: np.random.Generator) -> VideoSet:
    """A few videos of a target that wanders; their frames are shifts of one image each."""
    store, videos = FolderStore(root), []
    for v in range(VIDEOS):
        (root / f"{v}").mkdir()
        data = [encode(textured(rng)).tobytes() for _ in range(2)]
        keys = tuple(f"{v}/{f:08d}.jpg" for f in range(FRAMES))
        for f, key in enumerate(keys):
            (root / key).write_bytes(data[f % 2])
        side, shape = np.exp(rng.uniform(*np.log(SIDES))), np.exp(rng.normal(0, 0.3))
        size = np.array([side * shape, side / shape])
        start, end = (rng.uniform(0, 1, 2) * (np.array([WIDTH, HEIGHT]) - size) for _ in range(2))
        corner = start + (end - start) * np.linspace(0, 1, FRAMES)[:, None]
        boxes = np.concatenate([corner, np.tile(size, (FRAMES, 1))], axis=1)
        videos.append(Video(f"{v}", StoredFrames(store, keys), boxes, np.ones(FRAMES, bool)))
    table = {video.name: video for video in videos}
    return VideoSet("benchmark", tuple(table), table.__getitem__)


def measure(work: Callable[[int], object], seconds: float) -> tuple[float, float]:
    """Samples a second, and milliseconds of processor time a sample."""
    for i in range(3):
        work(i)
    count, wall, processor = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        work(count)
        count += 1
    return count / (time.perf_counter() - wall), 1e3 * (time.process_time() - processor) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side of the search crop; the template has half of it")
    parser.add_argument("--searches", type=int, default=4, help="search frames a sample")
    parser.add_argument("--seconds", type=float, default=10.0, help="to measure each row")
    args = parser.parse_args()
    if args.size < 32 or args.searches < 1 or not args.seconds > 0:
        raise UserError("--size must be at least 32, --searches at least 1, and --seconds more than 0")

    from mstgt.train.data.loader import TrackingDataset  # loads PyTorch

    cv2.setNumThreads(1)
    processing = Processing(CropSettings(args.size // 2, 2.0, 0, 0), CropSettings(args.size, 4.0, 3.5, 0.5),
                            (2.0, 6.0), border_prob=0.05)
    with tempfile.TemporaryDirectory() as folder:
        videos = write_videos(Path(folder), np.random.default_rng(0))
        sampler = CausalSampler([videos], [1], args.searches, 200, partners=True)

        def samples(mixes: bool) -> Callable[[int], object]:
            made = TrackingDataset(sampler, processing, 1 << 30, 1, seed=0, mixes=lambda _epoch: mixes)
            return lambda i: made[1, i]

        def decode(frames: int) -> Callable[[int], object]:
            return lambda i: [videos[i % VIDEOS].frames.read((i + f) % FRAMES) for f in range(frames)]

        alone, mixed = 1 + args.searches, 1 + 2 * args.searches
        rows = {"sample": samples(False), "sample with partner": samples(True),
                f"decoding {alone} frames in full": decode(alone), f"decoding {mixed} frames in full": decode(mixed)}
        kilobytes = np.mean([p.stat().st_size for p in Path(folder).rglob("*.jpg")]) / 1e3
        print(f"{device_name('cpu')}, one thread, OpenCV {cv2.__version__}; JPEGs of {WIDTH} x {HEIGHT} px, "
              f"{kilobytes:.0f} KB; 1 template + {args.searches} search frames at {args.size} px\n")
        print("| what | samples/s | CPU ms/sample |\n|---|---|---|")
        for name, work in rows.items():
            rate, cost = measure(work, args.seconds)
            print(f"| {name} | {rate:.1f} | {cost:.1f} |", flush=True)


if __name__ == "__main__":
    run_command(main)
