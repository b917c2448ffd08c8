"""Write this machine's paths: ``local.py`` for training and ``local.py`` for tests.

    python tracking/create_default_local_file.py --workspace_dir . --data_dir ./data --save_dir ./output

Both files hold plain assignments to edit by hand where a dataset lies elsewhere. A file that is already there and
differs is kept beside the new one as ``local.py.bak``. Without these files the folders ``data``, ``output`` and
``pretrained_networks`` of the project are used.
"""

from __future__ import annotations

import argparse

from mstgt.config.paths import LOCAL_FILES, local_values, write_local_file
from mstgt.utils.errors import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace_dir", default=".", help="the project; holds pretrained_networks (default: .)")
    parser.add_argument("--data_dir", default="./data", help="the folder with the datasets (default: ./data)")
    parser.add_argument("--save_dir", default="./output", help="checkpoints, logs and results (default: ./output)")
    args = parser.parse_args()
    values = local_values(args.workspace_dir, args.data_dir, args.save_dir)
    for path in LOCAL_FILES.values():
        backup = write_local_file(path, values)
        if backup is not None:
            print(f"kept the old file as {backup}")
        print(f"wrote {path}")
    for name, value in values.items():
        print(f"  {name} = {value}")


if __name__ == "__main__":
    run_command(main)
