"""Run MSTGT for the VOT toolkit, which starts this command itself and talks to it over the TraX protocol.

    python tracking/vot_tracker.py --config MSTGT-nano-128 --checkpoint MSTGT_ep0300.pth.tar

It is not meant to be started by hand: ``tracking/vot_workspace.py`` registers it in a workspace, then
``vot evaluate --workspace W MSTGT`` runs it. Standard output belongs to the protocol. docs/vot.md is the manual.
"""

from __future__ import annotations

import argparse

from mstgt.config import load_config
from mstgt.config.arguments import add_shared_arguments
from mstgt.utils.errors import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shared_arguments(parser, "script", "config", "set", "checkpoint", "device")
    args = parser.parse_args()
    load_config(args.script, args.config, args.overrides)

    from mstgt.test.evaluation.vot_run import Connection
    from mstgt.test.tracker import load_tracker

    connection = Connection(args.config)
    tracker = load_tracker(args.config, args.script, args.checkpoint, args.overrides, args.device)
    with connection:
        connection.serve(tracker)


if __name__ == "__main__":
    run_command(main)
