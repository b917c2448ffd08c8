"""Track a target in a browser: one page on this computer. Drop a video, draw a box, watch, take the result home.

    python tracking/web_demo.py                          # then open the address that it prints
    python tracking/web_demo.py --port 9000 --max_mb 500 --max_frames 10000

The page is served to this computer only, and nothing leaves it. What visitors bring lies in a temporary folder (under
TMPDIR), which is removed when the server ends: by Ctrl-C, or when it is told to terminate.
Needs: pip install 'mstgt[web]'
"""

from __future__ import annotations

import argparse
import logging

from mstgt.apps.web_demo import load_server
from mstgt.config.arguments import add_shared_arguments
from mstgt.utils.errors import UserError, run_command


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "script", "config", "set", "checkpoint", "device", "backend",
                         defaults={"config": "MSTGT-nano-128"})
    parser.add_argument("--port", type=int, default=8765, help="0: any that is free (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="tracked at once; others wait (default: %(default)s)")
    parser.add_argument("--max_mb", type=float, default=200, help="MiB of a video file (default: %(default)s)")
    parser.add_argument("--max_frames", type=int, default=3000, help="frames of a video (default: %(default)s)")
    parser.add_argument("--max_videos", type=int, default=8, help="videos kept at once (default: %(default)s)")
    args = parser.parse_args()
    for name in ("jobs", "max_mb", "max_frames", "max_videos"):
        if not 0 < getattr(args, name) < 1e9:
            raise UserError(f"--{name} {getattr(args, name)}: give more than 0 and less than a billion")
    return args


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    args = parse()
    server = load_server()
    from mstgt.test.tracker import MultiTracker, load_tracker

    engine = load_tracker(args.config, args.script, args.checkpoint, args.overrides, args.device,
                          backend=args.backend).engine
    limits = server.Limits(int(args.max_mb * server.MIB), args.max_frames, args.max_videos)
    settings = server.Settings(args.config, engine.device_name, args.port, args.jobs, limits)
    server.serve(settings, lambda: MultiTracker(engine), say)


def say(url: str) -> None:
    print(f"Open {url} in a browser; Ctrl-C ends.", flush=True)


if __name__ == "__main__":
    run_command(main)
