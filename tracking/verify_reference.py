"""Compare the network with recorded numbers of the published one.

    python tracking/verify_reference.py FILE.npz

Builds the network that the file describes, loads its weights, replays its inputs and prints the largest absolute
difference of every output. Exit status 1 when one is above 1e-4.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mstgt.utils.errors import UserError, run_command

TOLERANCE = 1e-4


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE.npz",
                        help="recorded weights, inputs and outputs of the published network")
    args = parser.parse_args()
    if not Path(args.file).is_file():
        raise UserError(f"no file {args.file}: give a reference file (.npz)")

    # Imported here, because PyTorch takes seconds to load and --help does not need it.
    from mstgt.models.mstgt.reference import build_reference_model, read_reference, replay

    arrays = read_reference(args.file)
    model = build_reference_model(arrays, args.file)
    worst = 0.0
    for name, difference in replay(model, arrays):
        print(f"{name:28s} {difference:.2e}")
        if not difference <= worst:  # also true for NaN, which then stays the worst
            worst = difference
    passed = worst <= TOLERANCE
    print(f"largest difference {worst:.2e}: {'within' if passed else 'ABOVE'} {TOLERANCE:.0e}")
    return 0 if passed else 1


if __name__ == "__main__":
    run_command(main)
