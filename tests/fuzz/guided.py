"""Damage guided by coverage, with atheris (``pip install atheris``), which changes what reached new code.

    python -m tests.fuzz.guided coco -max_total_time=60       # the rest are options of libFuzzer

It stops at the first finding and writes its bytes to a file. Nothing here is needed without atheris.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["lib", "zipfile", "configparser", "yaml", "pickletools"]):
    from tests.fuzz.fuzz import Outcome, read_one
    from tests.fuzz.targets import TARGETS


def main() -> None:
    logging.disable(logging.CRITICAL)
    target, outcome = TARGETS[sys.argv[1]], Outcome()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, example in enumerate(target.examples()):
            (corpus / str(number)).write_bytes(example)
        atheris.Setup([sys.argv[0], *sys.argv[2:], str(corpus)],
                      lambda data: read_one(target, data, Path(folder), outcome))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
