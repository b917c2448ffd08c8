"""Commands answer --help without loading PyTorch, which takes seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mstgt.command_line import PROGRAMS
from tests.processes import environment

# they import PyTorch at the top
LOAD_IT = {"export", "make_photos", "pretrain", "profile_model", "show_batch", "train", "verify_reference"}
ROOT = Path(__file__).resolve().parents[1]
ASK = """
import contextlib, importlib, io, sys
for name in sys.argv[1:]:
    module = importlib.import_module(f"tracking.{name}")
    sys.argv = [name, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
        module.main()
    loaded = {"torch", "torchvision", "matplotlib", "wandb"} & set(sys.modules)
    print(name, "usage: " in text.getvalue(), ",".join(sorted(loaded)), sep=";")
    if loaded:  # what follows would be blamed for it
        break
"""


def test_help_is_answered_without_pytorch():
    programs = sorted({module for module, _ in PROGRAMS.values()} - LOAD_IT)
    done = subprocess.run([sys.executable, "-c", ASK, *programs], capture_output=True, text=True, check=False,
                          cwd=ROOT, env=environment(PYTHONPATH=str(ROOT)))
    assert done.stdout.split() == [f"{name};True;" for name in programs], done.stdout + done.stderr
