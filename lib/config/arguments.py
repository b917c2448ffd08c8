"""The command-line flags that several programs share: each is defined and explained here, once.

    parser = argparse.ArgumentParser(...)
    add_shared_arguments(parser, "script", "config", "set", "save_dir", defaults={"config": "MSTGT-nano-128"})
    args = parser.parse_args()          # args.script, args.config, args.overrides, args.save_dir

Flags are spelled in snake_case. Spellings of earlier versions and of other trackers of the family are accepted as
aliases. Nothing here imports PyTorch: ``--help`` and wrong arguments are answered at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

PRECISIONS = ("fp32", "bf16", "fp16")
BACKENDS = ("auto", "torch", "openvino", "onnx")

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
        metavar="FILE", help="checkpoint to load (default: the one that training left, else the shipped one)")),
    "epoch": (("--epoch",), dict(
        type=int, metavar="N", help="load the checkpoint of this epoch (default: TEST.EPOCH)")),
    "data_dir": (("--data_dir",), dict(metavar="DIR", help="folder that holds the datasets (default: ./data)")),
    "save_dir": (("--save_dir",), dict(metavar="DIR", help="folder for checkpoints and results (default: ./output)")),
    "device": (("--device",), dict(
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
