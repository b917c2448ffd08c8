"""Track objects in a video file, a folder or glob of images, a network stream or a webcam.

    python tracking/video_demo.py holiday.mp4 --init_box 210 95 60 80      # x y w h in pixels
    python tracking/video_demo.py holiday.mp4 --init_box 210,95,60,80 --init_box 20,30,50,50     # two targets
    python tracking/video_demo.py holiday.mp4 --init_box 210 95 60 80 --start 60 --both_ways     # and before frame 60
    python tracking/video_demo.py holiday.mp4 --correct 120 300 80 40 60   # correct it from frame 120 on
    python tracking/video_demo.py rtsp://camera.local/live                 # Ctrl-C ends and saves
    python tracking/video_demo.py 0                                        # a webcam; asks for a box

Writes film.mp4, boxes.csv and sheet.png to <save_dir>/video_demo/<name>/ (or --out) and says in which frames a
target is probably lost: its mean score has been below --lost_score for a while. Frames count from 0.

A box is four numbers, with spaces or commas, or a text file whose first row has them. Without --init_box, a window asks
for the box. --correct without --init_box continues the boxes.csv that is there: rows before the correction stay, and so
do other targets. Ctrl-C or SIGTERM leaves everything as it was, except for a webcam or stream, whose recording it ends
and saves, as a closed terminal or a full disk does; q in the window of --show does so with any video. Of streams and
webcams the newest frame is tracked; frames that arrive meanwhile are dropped and counted.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mstgt.apps.video_demo.boxes import BOX_FORMATS, join_numbers, parse_box, parse_correction
from mstgt.apps.video_demo.source import Source, check_source, is_live, open_source
from mstgt.apps.video_demo.track import LOST_SCORE, TrackedFrame, track
from mstgt.config import load_config, load_paths
from mstgt.config.arguments import add_shared_arguments, user_path
from mstgt.utils.errors import UserError, one_line, run_command, shortened

if TYPE_CHECKING:
    from mstgt.apps.video_demo.live import LiveSource
    from mstgt.apps.video_demo.record import Recording

_log = logging.getLogger(__name__)
FORMATS = ("csv", "mot", "json")
MAX_FRAMES = 10**9


def parse_args() -> argparse.Namespace:
    """The command line, checked as far as that goes without opening the video."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", help="a video file, a folder or glob of images, a stream (rtsp://, http://, https://, "
                        "udp://), or the number of a webcam")
    boxes = parser.add_argument_group("targets")
    boxes.add_argument("--init_box", metavar="BOX", action="append", default=[],
                       help="a target at the frame --start: x y w h in pixels, or a text file (repeat it for several "
                       "targets)")
    boxes.add_argument("--box_format", choices=BOX_FORMATS, default="xywh",
                       help="what the four numbers of a box are (default: %(default)s)")
    boxes.add_argument("--start", type=int, metavar="FRAME", help="the frame of --init_box (default: 0)")
    ways = boxes.add_mutually_exclusive_group()
    ways.add_argument("--both_ways", action="store_true", help="track backwards from --start as well, to the first "
                      "frame (default where --start is given without --frames)")
    ways.add_argument("--forward_only", action="store_true", help="do not track backwards from --start")
    boxes.add_argument("--correct", metavar="[TARGET:]FRAME BOX", action="append", default=[],
                       help="a target at a later frame, from which it is tracked anew (may be repeated)")
    boxes.add_argument("--frames", type=int, metavar="N", help="number of frames to track (default: to the end)")
    boxes.add_argument("--lost_score", type=float, metavar="T", default=LOST_SCORE,
                       help="a mean score below this means lost (default: %(default)s)")
    output = parser.add_argument_group("output")
    output.add_argument("--out", type=user_path, metavar="DIR",
                        help="folder for the results (default: <save_dir>/video_demo/<name>)")
    output.add_argument("--format", choices=FORMATS, action="append", default=[],
                        help="also write boxes.txt (MOTChallenge) or boxes.json (may be repeated)")
    output.add_argument("--show", action="store_true", help="also show it in a window; q ends it")
    output.add_argument("--reconnect", type=float, metavar="SECONDS",
                        help="how long a stream that breaks off is tried again (default: 10)")
    add_shared_arguments(output, "save_dir")
    network = parser.add_argument_group("network")
    add_shared_arguments(network, "script", "config", "set", "checkpoint", "device", "backend", "precision",
                         defaults={"config": "MSTGT-nano"})
    args, extra = parser.parse_known_args(join_numbers(sys.argv[1:], {"--init_box": 4, "--correct": 5}))
    if extra:
        refuse_extra(parser, extra)
    frames = 1 if args.frames is None else args.frames
    if (args.start or 0) < 0 or not 1 <= frames <= MAX_FRAMES or not 0 <= args.lost_score <= 1:
        raise UserError(f"--start must be at least 0, --frames from 1 to {MAX_FRAMES}, --lost_score from 0 to 1")
    if args.reconnect is not None and not 0 <= args.reconnect < 1e6:
        raise UserError("--reconnect must be at least 0 seconds")
    args.init_box = [parse_box(text, args.box_format) for text in args.init_box]
    args.correct = [parse_correction(text, args.box_format) for text in args.correct]
    if args.both_ways and not args.init_box and args.correct:
        raise UserError("--both_ways needs --init_box: without it, the rows before the correction are kept")
    args.both_ways |= bool(args.start) and args.frames is None and not args.forward_only
    check_source(args.video)
    load_config(args.script, args.config, args.overrides)  # what is misspelled is said before PyTorch is loaded
    return args


def refuse_extra(parser: argparse.ArgumentParser, extra: Sequence[str]) -> NoReturn:
    """End the command for arguments that no flag takes, with the remedy where what they are is known."""
    if all(map(os.path.exists, extra)):
        raise UserError(f"one video at a time: {shortened(extra)} would be more; of images name the folder, or put the "
                        "glob in quotes, such as 'holiday/*.jpg'")
    if all(re.fullmatch(r"[\d.,+-]+", text) for text in extra):
        raise UserError(f"{' '.join(extra[:8])} after the numbers of a box: for another target repeat --init_box, such "
                        "as --init_box 210 95 60 80 --init_box 20 30 50 50")
    parser.error(f"unrecognized arguments: {' '.join(extra)}")


def main() -> int:
    """Track, write the files, and report."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    args = parse_args()
    from mstgt.apps.video_demo.record import record

    # Before a stream is connected to: it would go on for the seconds that loading takes, between its first frame, which
    # has the box, and its second.
    tracker = make_tracker(args) if args.init_box and is_live(args.video) else None
    with open_source(args.video, args.reconnect) as source:
        for note in source.notes:
            print(one_line(note))
        out = args.out or load_paths(save_dir=args.save_dir, mode="test").save_dir / "video_demo" / source.name
        frames = tracked_frames(args, source, out, tracker)
        recording = record(frames, out, source, total(args, source), args.format)
        report(recording, source, args)
    if recording.failure:
        raise UserError(f"{recording.failure}; what was recorded until then is kept")
    return 0


def tracked_frames(args: argparse.Namespace, source: Source, out: Path, tracker: Any) -> Iterable[TrackedFrame]:
    """The track that the arguments ask for; ``tracker`` is made where it is None."""
    from mstgt.apps.video_demo.live import LiveSource
    from mstgt.apps.video_demo.results import FILES, rows_to_keep
    from mstgt.apps.video_demo.window import has_display, watched

    start, kept = args.start or 0, []
    if source.live and (args.correct or start or args.both_ways):
        raise UserError("a webcam or stream cannot be wound back or forth: --start, --correct and --both_ways are for "
                        "files")
    boxes: dict[int, dict[int, Any]] = {target: {start: box} for target, box in enumerate(args.init_box, 1)}
    if args.correct and not args.init_box:
        if args.start is not None:
            raise UserError(f"leave --start out: without --init_box, the rows of {out / FILES['csv']} are kept")
        corrected = {target: min(frame for other, frame, _ in args.correct if other == target)
                     for target, _, _ in args.correct}
        kept = rows_to_keep(out / FILES["csv"], corrected)
        boxes = {target: {} for target in corrected}
        if args.frames is not None and args.frames <= min(corrected.values()) - min((row.frame for row in kept),
                                                                                    default=0):
            raise UserError(f"--frames {args.frames} ends before the first correction, at frame "
                            f"{min(corrected.values())}")
    elif not args.init_box:
        boxes = {1: {start: ask(source, start)}}
    for target, frame, box in args.correct:
        if target not in boxes:
            raise UserError(f"--correct {target}:{frame}: there is no target {target}; --init_box gives {len(boxes)}")
        if frame < start and not args.both_ways:
            raise UserError(f"a box is given at frame {frame}, which is not among the frames from --start {start} on; "
                            "--both_ways tracks those before as well")
        boxes[target][frame] = box
    if tracker is None:
        tracker = make_tracker(args)
    frames = track(source, tracker, boxes, args.frames, args.lost_score, kept, args.both_ways)
    if isinstance(source, LiveSource) and not args.init_box and args.frames != 1:
        frames = wait_for_second(frames, source)
    if args.show and has_display():
        frames = watched(frames)
    elif args.show:
        _log.warning("--show: there is no display here (DISPLAY is not set); the video is written all the same")
    return until_interrupted(frames, source) if isinstance(source, LiveSource) else frames


def make_tracker(args: argparse.Namespace) -> Any:
    """The tracker of the arguments, for any number of targets."""
    from mstgt.test.tracker import MultiTracker, given_checkpoint

    tracker = MultiTracker(args.config, script=args.script, checkpoint=given_checkpoint(args),
                           overrides=args.overrides, device=args.device, backend=args.backend,
                           precision=args.precision)
    if is_live(args.video):
        tracker.engine.warm_up()  # a live source does not wait while a runtime compiles
    return tracker


def ask(source: Source, start: int) -> tuple[float, float, float, float]:
    """A box drawn with the mouse on the frame ``start``."""
    from mstgt.apps.video_demo.window import draw_box, has_display

    if not has_display():
        raise UserError("say what to track with --init_box x y w h: there is no display here to draw it on")
    frame = next(iter(source.read(start)), None)
    if frame is None or frame.image_rgb is None:
        raise UserError(f"{source.name} has no frame {start} that can be read: choose another --start")
    return draw_box(frame.image_rgb)


def wait_for_second(frames: Iterator[TrackedFrame], source: LiveSource) -> Iterator[TrackedFrame]:
    """``frames``, of which a second one is there: a stream may end while the user draws the box on the first.

    Raises :class:`UserError` where it has ended.
    """
    begin = list(islice(frames, 2))
    if len(begin) < 2 and not source.recording:
        raise UserError(f"{source.name} ended before a box was given: draw it while frames come, or say what to track "
                        "with --init_box x y w h")
    return chain(begin, frames)


def until_interrupted(frames: Iterable[TrackedFrame], source: LiveSource) -> Iterator[TrackedFrame]:
    """``frames``, which Ctrl-C, SIGTERM or a closed terminal (SIGHUP) ends after a frame, also while none arrives; a
    second Ctrl-C or SIGTERM acts as usual."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    on_terminal = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        # A terminal that closes sends it twice, the shell and the kernel: the second must not interrupt the saving.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def end(number: int, _: object) -> None:
        if number == signal.SIGHUP:  # what is still printed would be an error
            for descriptor in on_terminal:
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        source.stop()
        restore()

    for number in before:
        signal.signal(number, end)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: go on without a terminal
        signal.signal(signal.SIGHUP, end)
    try:
        yield from frames
    finally:
        restore()


def total(args: argparse.Namespace, source: Source) -> int | None:
    """How many frames there will be, as far as that is known."""
    start = 0 if args.both_ways else args.start or 0
    limit = None if args.both_ways else args.frames
    known = [n for n in (limit, source.frames and source.frames - start) if n is not None]
    return min(known, default=None)


def report(recording: Recording, source: Source, args: argparse.Namespace) -> None:
    """Print what came of the track."""
    from mstgt.apps.video_demo.record import spans

    rate = recording.count / recording.seconds
    print(f"{one_line(source.name)}: frames {recording.first} to {recording.last}, "
          f"{rate:.{0 if rate >= 9.5 else 1}f} a second with reading, drawing and writing")
    if source.live and not getattr(source, "recording", False):  # a recording waits while a frame is tracked
        dropped, reconnects = getattr(source, "dropped", 0), getattr(source, "reconnects", 0)
        print(f"{dropped} frames arrived while another was tracked and were dropped"
              + (f"; connected again {'once' if reconnects == 1 else f'{reconnects} times'}" if reconnects else ""))
    if recording.unreadable:
        print(f"cannot be read, the last box was kept: frames {spans(recording.unreadable)}")
    if args.frames is None and source.frames is not None and recording.last + 1 < source.frames:
        print(f"it ends after {recording.last + 1} of the {source.frames} frames that it promises" +
              ("" if args.show else ": the file is corrupt or truncated"))
    several = len(recording.lost) > 1
    for target, frames in recording.lost.items():
        if frames:
            name = f"target {target} is " if several else ""
            print(f"{name}probably lost (mean score below {args.lost_score:g}): frames {spans(frames)}")
    if any(recording.lost.values()) and not source.live:
        where = "TARGET:FRAME" if several else "FRAME"
        print(f"put it right from one of them on with --correct {where} x y w h")
    for path in recording.files:
        print(one_line(path))


if __name__ == "__main__":
    run_command(main)
