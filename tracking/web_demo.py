"""Track objects in a browser: one page on this computer. Drop a video, draw boxes, watch, download the results.

    python tracking/web_demo.py                          # then open the address that it prints
    python tracking/web_demo.py --port 9000 --max_mb 500 --max_frames 10000

The page is served to this computer only, and nothing leaves it. What visitors upload is kept in a temporary folder
(under TMPDIR), which is removed when the server ends; what a killed server left is removed at the next start.
Needs: pip install 'mstgt[web]'
"""

from __future__ import annotations

import argparse
import logging

from mstgt.apps.web_demo import load_server
from mstgt.config import load_config
from mstgt.config.arguments import add_shared_arguments
from mstgt.utils.errors import UserError, run_command


def parse_args() -> argparse.Namespace:
    """The command line, checked before PyTorch is loaded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "script", "config", "set", "checkpoint", "save_dir", "device", "backend",
                         defaults={"config": "MSTGT-nano"})
    parser.add_argument("--port", type=int, default=8765, help="port; 0: any free one (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1,
                        help="videos tracked at the same time; others wait (default: %(default)s)")
    parser.add_argument("--max_mb", type=float, default=200, help="size of a video file in MiB (default: %(default)s)")
    parser.add_argument("--max_frames", type=int, default=3000, help="frames of a video (default: %(default)s)")
    parser.add_argument("--max_videos", type=int, default=8, help="videos kept at the same time (default: %(default)s)")
    args = parser.parse_args()
    for name in ("jobs", "max_mb", "max_frames", "max_videos"):
        if not 0 < getattr(args, name) < 1e9:
            raise UserError(f"--{name} {getattr(args, name)}: give more than 0 and less than a billion")
    load_config(args.script, args.config, args.overrides)
    return args


def main() -> None:
    """Serve until the process is told to end."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    args = parse_args()
    server = load_server()
    from mstgt.test.tracker import MultiTracker, given_checkpoint, load_tracker

    engine = load_tracker(args.config, args.script, given_checkpoint(args), args.overrides, args.device,
                          backend=args.backend).engine
    limits = server.Limits(int(args.max_mb * server.MIB), args.max_frames, args.max_videos)
    settings = server.Settings(args.config, engine.device_name, args.port, args.jobs, limits)
    server.serve(settings, lambda: MultiTracker(engine), say)


def say(url: str) -> None:
    print(f"Open {url} in a browser; Ctrl-C ends.", flush=True)


if __name__ == "__main__":
    run_command(main)
