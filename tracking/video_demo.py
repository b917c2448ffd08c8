"""Track anything in a video of your own.

    python tracking/video_demo.py holiday.mp4 --init_box 210 95 60 80      # x y w h in px, from the top-left
    python tracking/video_demo.py holiday.mp4                              # draw the box with the mouse
    python tracking/video_demo.py frames/ --init_box 210 95 60 80          # or 'frames/*.jpg'; or 0, a webcam
    python tracking/video_demo.py holiday.mp4 --correct 120 300 80 40 60   # track again from frame 120 on

Writes to --out (default: <save_dir>/video_demo/<name of the video>): film.mp4 with the box, its score and the region
that was searched; boxes.csv with a row a frame; sheet.png, frames side by side. Says in which frames the target is
probably lost: its score has been below --lost_score for a while. Frames count from 0.

--correct without --init_box goes on with the boxes.csv that is there: the rows before the first correction stay. With
--init_box the whole video is tracked, beginning anew at each correction. Ctrl-C leaves everything as it was; a webcam's
recording it ends and saves, as q in the window of --show does with any.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from mstgt.apps.video_demo.record import ROWS, Recording, record, spans
from mstgt.apps.video_demo.rows import replay, rows_before
from mstgt.apps.video_demo.source import Source, open_source
from mstgt.apps.video_demo.track import LOST_SCORE, Tracked, track
from mstgt.apps.video_demo.webcam import Webcam
from mstgt.apps.video_demo.window import draw_box, has_display, watched
from mstgt.config import load_paths
from mstgt.test.tracker import load_tracker
from mstgt.test.tracker.inference import PRECISIONS
from mstgt.utils.errors import UserError, run_command

_log = logging.getLogger(__name__)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", help="a video file, a folder or glob of pictures, or the number of a webcam")
    parser.add_argument("--init_box", type=float, nargs=4, metavar=("X", "Y", "W", "H"), help="the target at --start")
    parser.add_argument("--correct", type=float, nargs=5, metavar=("FRAME", "X", "Y", "W", "H"), action="append",
                        default=[], help="the target at a later frame (may be given several times)")
    parser.add_argument("--config", default="MSTGT-nano-128", help="an experiment's name (default: %(default)s)")
    parser.add_argument("--checkpoint", help="a checkpoint file; default: the config's own")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, … (default: a GPU where there is one)")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="fp16: on a GPU only")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where film, rows and sheet go")
    parser.add_argument("--start", type=int, metavar="FRAME", help="where to begin (default: 0)")
    parser.add_argument("--frames", type=int, metavar="N", help="how many frames the film has (default: to the end)")
    parser.add_argument("--lost_score", type=float, metavar="T", default=LOST_SCORE,
                        help="a mean score below this means lost (default: %(default)s)")
    parser.add_argument("--show", action="store_true", help="show it in a window, too; q ends it")
    args = parser.parse_args()
    if (args.start or 0) < 0 or (args.frames is not None and args.frames < 1) or not 0 <= args.lost_score <= 1:
        raise UserError("--start must be at least 0, --frames at least 1, --lost_score from 0 to 1")
    if any(not frame.is_integer() or frame < 0 for frame, *_ in args.correct):
        raise UserError("--correct FRAME x y w h: FRAME is a whole number, counted from 0")
    return args


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is half-written is removed
    args = parse()
    with open_source(args.video) as source:
        out = args.out or load_paths(mode="test").save_dir / "video_demo" / source.name
        recording = record(seen(args, source, out), out, source.fps, source.size_wh, total(args, source))
        report(recording, source, args)
    return 0


def seen(args: argparse.Namespace, source: Source, out: Path) -> Iterable[Tracked]:
    """The track that the arguments ask for."""
    corrections = {int(frame): box for frame, *box in args.correct}
    start, kept = args.start or 0, []
    if isinstance(source, Webcam) and (corrections or start):
        raise UserError("a webcam cannot be wound back or forth: --correct and --start are for files")
    if corrections and not args.init_box:
        start = min(corrections)
        kept = rows_before(out / ROWS, start)
        if args.start is not None:
            raise UserError(f"leave --start out: without --init_box, the rows of {out / ROWS} are kept")
    box = args.init_box or corrections.get(start) or ask(source, start)
    if args.frames is not None and args.frames <= len(kept):
        raise UserError(f"--frames {args.frames} ends before the first correction, at frame {start}")
    frames = None if args.frames is None else args.frames - len(kept)
    tracker = load_tracker(args.config, checkpoint=args.checkpoint, device=args.device, precision=args.precision)
    tracked = track(source, tracker, box, start, frames, args.lost_score, corrections)
    if args.show and has_display():
        tracked = watched(tracked, source.fps)
    elif args.show:
        _log.warning("--show: there is no display here (DISPLAY is not set); the film is written all the same")
    return chain(replay(source, kept), until_interrupted(tracked) if isinstance(source, Webcam) else tracked)


def ask(source: Source, start: int) -> tuple[float, float, float, float]:
    """A box drawn on the frame ``start``."""
    if not has_display():
        raise UserError("say what to track with --init_box x y w h: there is no display here to draw it on")
    _, image = next(iter(source.read(start)), (start, None))
    if image is None:
        raise UserError(f"{source.name} has no frame {start} that can be read: choose another --start")
    return draw_box(image)


def until_interrupted(tracked: Iterable[Tracked]) -> Iterator[Tracked]:
    """``tracked``, which Ctrl-C ends after a frame; a second Ctrl-C is as usual."""
    pressed = []

    def press(*_: object) -> None:
        pressed.append(True)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, press)
    try:
        for item in tracked:
            yield item
            if pressed:
                break
    finally:
        signal.signal(signal.SIGINT, before)


def total(args: argparse.Namespace, source: Source) -> int | None:
    """How many frames there will be, as far as is known."""
    known = [n for n in (args.frames, source.frames and source.frames - (args.start or 0)) if n is not None]
    return min(known, default=None)


def report(recording: Recording, source: Source, args: argparse.Namespace) -> None:
    count = recording.last - recording.first + 1
    print(f"{source.name}: frames {recording.first} to {recording.last}, {count / recording.seconds:.0f} a second with "
          "reading, drawing and writing")
    if recording.unreadable:
        print(f"cannot be read, the last box was kept: frames {spans(recording.unreadable)}")
    if args.frames is None and source.frames is not None and recording.last + 1 < source.frames:
        print(f"it ends after {recording.last + 1} of the {source.frames} frames that it promises" +
              ("" if args.show else ": the file is damaged or cut short"))
    if recording.lost:
        print(f"probably lost (mean score below {args.lost_score:g}): frames {spans(recording.lost)}")
        print("put it right from one of them on with --correct FRAME x y w h")
    for path in recording.files:
        print(path)


if __name__ == "__main__":
    run_command(main)
