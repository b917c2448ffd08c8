"""MSTGT for the VOT toolkit, which starts this command itself and talks to it over the TraX protocol.

    python tracking/vot_tracker.py --config MSTGT-nano-128 --checkpoint MSTGT_ep0300.pth.tar

Nothing is to be gained by starting it by hand: ``tracking/vot_workspace.py`` writes it into a workspace, then
``vot evaluate --workspace W MSTGT`` runs it. Standard output belongs to the protocol. docs/vot.md is the manual.
"""

from __future__ import annotations

import argparse

from mstgt.test.evaluation.vot_run import Connection
from mstgt.test.tracker import load_tracker
from mstgt.utils.errors import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracker_name", "--script", default="MSTGT", help="folder under experiments/")
    parser.add_argument("--tracker_param", "--config", required=True, help="name of the YAML file in it")
    parser.add_argument("--checkpoint", help="a checkpoint file; default: the run's one of epoch TEST.EPOCH")
    parser.add_argument("--device", help="cpu, cuda, cuda:1, …; default: a GPU where there is one")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    args = parser.parse_args()
    connection = Connection(args.tracker_param)
    tracker = load_tracker(args.tracker_param, args.tracker_name, args.checkpoint, args.overrides, args.device)
    with connection:
        connection.serve(tracker)


if __name__ == "__main__":
    run_command(main)
