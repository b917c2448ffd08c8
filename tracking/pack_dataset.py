"""Pack a dataset's folder into one file, which every reader takes in the folder's place.

    python tracking/pack_dataset.py data/got10k data/got10k.zip
    python tracking/pack_dataset.py data/lasot data/lasot.lmdb --include '*.jpg' '*.txt'

``data/got10k.zip`` (or ``.lmdb``) serves as the dataset where there is no folder ``data/got10k``. Images are stored as
they are, texts are compressed in a zip. The folder is only read. The archive gets its name when it is complete.
"""

from __future__ import annotations

import argparse

from mstgt.config.arguments import user_path
from mstgt.utils.errors import UserError, WouldOverwriteError, run_command


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=user_path, help="folder of the dataset")
    parser.add_argument("out", type=user_path, help="the archive: a name that ends in .zip or .lmdb")
    parser.add_argument("--include", nargs="+", default=(), metavar="GLOB",
                        help="pack only files whose path in the folder matches one of these (* crosses slashes)")
    parser.add_argument("--overwrite", action="store_true", help="replace an archive that is there")
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    # Imported here, because OpenCV and LMDB take a while to load and --help does not need them.
    from mstgt.data.packing import pack

    try:
        report = pack(args.source, args.out, args.include, args.overwrite)
    except WouldOverwriteError as error:
        raise UserError(f"{error}, or --overwrite where it is a file") from error
    print(f"{args.out}: {report.files} files, {report.source_bytes / 1e6:.1f} MB in "
          f"{report.packed_bytes / 1e6:.1f} MB, {report.wall_s:.1f} s")


if __name__ == "__main__":
    run_command(main)
