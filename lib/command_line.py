"""The console command ``mstgt``: every program of ``tracking/`` as a subcommand.

    mstgt track video.mp4 --init_box 210 95 60 80
    mstgt train --script MSTGT --config MSTGT-nano-128
    mstgt train --help

To add one: ``tracking/<name>.py`` with ``main()``, whose docstring is the text of ``--help`` and which imports no
PyTorch before the arguments have been parsed, and a line in ``PROGRAMS``.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Callable

from .utils.errors import UserError, run_command

# subcommand: the module in tracking/ and one line of help
PROGRAMS: dict[str, tuple[str, str]] = {
    "track": ("video_demo", "track an object in a video file, a folder of images, a stream or a webcam"),
    "web": ("web_demo", "the same in the browser"),
    "train": ("train", "train a tracker"),
    "pretrain": ("pretrain", "make weights to start a training from"),
    "test": ("test", "run a tracker on a benchmark or on a folder of annotated videos"),
    "analyze": ("analysis_results", "score result files: tables, plots, HTML report"),
    "compare": ("compare", "compare two trackers with a paired bootstrap over videos"),
    "draw": ("draw_results", "draw result files onto the videos"),
    "pack_submission": ("pack_submission", "pack results for the GOT-10k and TrackingNet servers"),
    "profile": ("profile_model", "parameters, FLOPs and frames per second"),
    "export": ("export", "write ONNX files or a weights file"),
    "demo": ("demo", "the whole tour: make data, train, test, score, draw"),
    "make_synthetic": ("make_synthetic", "render a synthetic dataset"),
    "make_photos": ("make_photos", "compose a dataset of photographs"),
    "pack_dataset": ("pack_dataset", "pack a dataset into a zip archive or an LMDB"),
    "show_batch": ("show_batch", "draw a training batch"),
    "verify_reference": ("verify_reference", "compare the network with recorded outputs"),
    "vot_tracker": ("vot_tracker", "answer the VOT toolkit, which starts it"),
    "vot_workspace": ("vot_workspace", "register a tracker in a workspace of the VOT toolkit"),
    "create_default_local_file": ("create_default_local_file", "write the folders of data and results to local.py"),
}


def usage() -> str:
    """The list of subcommands."""
    width = max(map(len, PROGRAMS))
    lines = [f"  {name:{width}}  {help_text}" for name, (_, help_text) in PROGRAMS.items()]
    lines = ["usage: mstgt COMMAND [arguments]", "", "commands:", *lines, "", "mstgt COMMAND --help explains it"]
    return "\n".join(lines)


def main() -> None:
    """Run the subcommand that ``sys.argv`` names. Exit status 2 for an unknown one."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help", "help"):
        run_command(lambda: print(usage()))
    name = sys.argv[1]
    if name not in PROGRAMS:
        near = difflib.get_close_matches(name, PROGRAMS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        print(f"mstgt: unknown command {name!r}{hint} (mstgt --help lists the commands)", file=sys.stderr)
        sys.exit(2)
    # argparse takes the program's name from here
    sys.argv = [f"mstgt {name}", *sys.argv[2:]]
    # imported now and not before: each program loads only what it needs
    module = importlib.import_module(f"mstgt.tracking.{PROGRAMS[name][0]}")
    module.__doc__ = as_subcommands(module.__doc__ or "")  # the text of --help
    run_command(lambda: _run(module.main))


def _run(main: Callable[[], int | None]) -> int | None:
    try:
        return main()
    except UserError as error:
        raise UserError(as_subcommands(str(error))) from error


def as_subcommands(text: str) -> str:
    """``text`` with ``mstgt test`` in place of ``python tracking/test.py``: an installed package has no such file."""
    names = {module: name for name, (module, _) in PROGRAMS.items()}
    return re.sub(rf"\bpython tracking/({'|'.join(names)})\.py", lambda found: f"mstgt {names[found[1]]}", text)
