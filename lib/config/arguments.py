"""The command-line flags that several programs share: each is defined and explained here, once.

    parser = argparse.ArgumentParser(...)
    add_shared_arguments(parser, "script", "config", "set", "save_dir", defaults={"config": "MSTGT-nano-128"})
    args = parser.parse_args()          # args.script, args.config, args.overrides, args.save_dir

Programs that read result files have more in common: which benchmark, and whose results.

    add_benchmark_arguments(parser, required=False)      # --dataset, --dataset_dir
    add_results_argument(parser)                         # --results NAME=DIR
    add_scoring_arguments(parser)                        # --json, --allow_missing, --no_cache, --workers

Flags are spelled in snake_case. Spellings of earlier versions and of other trackers of the family are accepted as
aliases. Nothing here imports NumPy or PyTorch: ``--help`` and wrong arguments are answered at once.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..utils.device import check_device_name
from ..utils.errors import UserError

PRECISIONS = ("fp32", "bf16", "fp16")
BACKENDS = ("auto", "torch", "openvino", "onnx")


def user_path(text: str) -> Path:
    """The path that ``text`` names, also with ``~``, which a shell leaves in ``--out=~/x``. Raises
    :class:`argparse.ArgumentTypeError` for an empty text, such as that of a variable that is not set."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(os.path.expanduser(text))


def existing_checkpoint(path: str) -> str:
    """``path``. Raises :class:`UserError` where there is no such file: that is told before PyTorch is loaded."""
    path = os.path.expanduser(path)
    if not Path(path).is_file():
        raise UserError(f"no checkpoint {path}: name a file with --checkpoint, or leave it out")
    return path


# name: (spellings, keywords of add_argument)
SHARED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "script": (("--script", "--tracker_name"), dict(
        dest="script", default="MSTGT", help="folder of the experiment under experiments/ (default: %(default)s)")),
    "config": (("--config", "--tracker_param"), dict(
        dest="config", metavar="NAME",
        help="name of the experiment: a YAML file in that folder, such as MSTGT-nano-128")),
    "set": (("--set",), dict(
        dest="overrides", action="append", default=[], metavar="KEY=VALUE",
        help="override a setting of the experiment, such as TEST.SEARCH_FACTOR=4.5 (may be repeated)")),
    "checkpoint": (("--checkpoint",), dict(
        type=existing_checkpoint, metavar="FILE",
        help="checkpoint to load (default: the one that training left, else the shipped one)")),
    "epoch": (("--epoch",), dict(
        type=int, metavar="N", help="load the checkpoint of this epoch (default: TEST.EPOCH, else the newest)")),
    "data_dir": (("--data_dir",), dict(metavar="DIR", help="folder that holds the datasets (default: ./data)")),
    "save_dir": (("--save_dir",), dict(metavar="DIR", help="folder for checkpoints and results (default: ./output)")),
    "device": (("--device",), dict(
        type=check_device_name, metavar="DEVICE",
        help="cpu, cuda, cuda:1, mps (default: a GPU if there is one, else the CPU)")),
    "precision": (("--precision",), dict(
        choices=PRECISIONS, default="fp32", help="number format of the network; fp16 needs a GPU (default: fp32)")),
    "backend": (("--backend",), dict(
        choices=BACKENDS, default="auto",
        help="runtime of the network: PyTorch, OpenVINO, ONNX Runtime (default: auto, which is OpenVINO on an x86 CPU "
             "where it is installed, else PyTorch)")),
}


def add_shared_arguments(parser: argparse._ActionsContainer, *names: str,
                         defaults: Mapping[str, Any] | None = None) -> None:
    """Add the flags ``names`` (keys of ``SHARED``) to ``parser``.

    defaults  default values of this program, by name. ``config`` is a required flag unless it has one here.
    """
    defaults = defaults or {}
    for name in names:
        spellings, shared = SHARED[name]
        keywords = dict(shared)
        if name in defaults:
            keywords["default"] = defaults[name]
            if defaults[name] is not None:
                keywords["help"] += f" (default: {defaults[name]})"
        elif name == "config":
            keywords["required"] = True
        parser.add_argument(*spellings, **keywords)


def add_benchmark_arguments(parser: argparse.ArgumentParser, required: bool) -> None:
    """Add the choice of one benchmark, and where data and results are; ``required``: one must be chosen."""
    which = parser.add_mutually_exclusive_group(required=required)
    which.add_argument("--dataset", metavar="NAME", help="one benchmark by its name, such as lasot or otb")
    which.add_argument("--dataset_dir", type=user_path, metavar="DIR", help="one benchmark that is a folder of videos")
    add_shared_arguments(parser, "data_dir", "save_dir")


def add_results_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--results NAME=DIR``; ``args.results`` is a dict from names to folders."""
    parser.add_argument("--results", action=_AddResults, type=_name_and_folder, default={}, metavar="NAME=DIR",
                        help="also take the <video>.txt files in DIR or below it, under this name; may be repeated")


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of programs that score results."""
    parser.add_argument("--json", type=user_path, metavar="FILE", help="write the metrics as JSON")
    parser.add_argument("--allow_missing", action="store_true", help="exit with status 0 although videos are missing")
    parser.add_argument("--no_cache", action="store_true",
                        help="neither use nor keep the scores of earlier runs (<save_dir>/.cache/scores)")
    parser.add_argument("--workers", "--threads", type=_at_least_one, metavar="N",
                        help="processes to score with (default: one, or one per core where there is much to read)")


def require_benchmark(parser: argparse.ArgumentParser, args: argparse.Namespace, *flags: str) -> None:
    """End the command where one of ``flags`` is given without a benchmark that it is about."""
    if args.dataset or args.dataset_dir:
        return
    for flag in flags:
        if getattr(args, flag):
            parser.error(f"--{flag} needs --dataset or --dataset_dir, the benchmark that it is about")


class _AddResults(argparse.Action):
    """Collects NAME=DIR pairs in a dict; a name can be given once."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: str | Sequence[Any] | None, option_string: str | None = None) -> None:
        assert isinstance(values, tuple)
        name, folder = values
        given = getattr(namespace, self.dest)
        if name in given:
            parser.error(f"{option_string} {name}=… is given twice: a table can show each name once")
        # A new dict: the default is shared by all parsers.
        setattr(namespace, self.dest, {**given, name: folder})


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"give a whole number of at least 1, not {text!r}")
    return int(text)


def _name_and_folder(text: str) -> tuple[str, Path]:
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise argparse.ArgumentTypeError(f"expected NAME=DIR, not {text!r}")
    return name, user_path(folder)
