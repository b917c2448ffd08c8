"""What docs/training.md says can be done: its keys are keys, its commands parse, its reader reads."""

from __future__ import annotations

import re
import shlex
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from mstgt.config import load_config
from mstgt.config.arguments import SHARED
from mstgt.config.paths import DATASET_FOLDERS
from mstgt.config.schema import SCHEMA
from mstgt.data.index import indexed
from mstgt.data.readers import TRAINING_SETS
from mstgt.data.store import FolderStore
from mstgt.train.build import FREE

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_keys_in_it_exist():
    named = set(re.findall(r"\b(?:DA|MODEL|TRAIN|DATA|TEST)(?:\.[A-Za-z]\w*)+", TEXT))
    assert len(named) > 15 and not named - SCHEMA.keys()
    paragraph = re.search(r"Free to change.*?\n\n", TEXT, re.DOTALL)[0]
    assert set(re.findall(r"TRAIN\.\w+", paragraph)) == FREE


def test_its_table_lists_every_training_set():
    rows = re.findall(r"^\| (`[A-Z].*?`) \| `(\w+)` \|", TEXT, re.MULTILINE)
    table = {name: folder for names, folder in rows for name in re.findall(r"`(\w+)`", names)}
    assert table == {name: DATASET_FOLDERS[key] for name, (key, _) in TRAINING_SETS.items()}


def commands() -> list[list[str]]:
    lines = [line for block in blocks("bash") for line in block.replace("\\\n", " ").splitlines()]
    found = [re.search(r"\b(tracking|benchmarks)/\w+\.py.*", line) for line in lines]
    return [shlex.split(match[0], comments=True) for match in found if match]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_the_flags_in_it_exist(words):
    known = re.findall(r'"(--[\w-]+)"', (ROOT / words[0]).read_text(encoding="utf-8"))
    known += [spelling for spellings, _ in SHARED.values() for spelling in spellings]
    assert len(words) > 1 and {word for word in words if word.startswith("--")} <= set(known)


def test_the_settings_in_it_are_accepted():
    for words in commands():
        if words[0] == "tracking/train.py":
            settings = [b for a, b in zip(words, words[1:], strict=False) if a == "--set"]
            load_config("MSTGT", words[words.index("--config") + 1], settings)


def test_its_example_of_a_reader_works(tmp_path):
    module = types.ModuleType("mine")
    exec(blocks("python")[0], module.__dict__)
    (tmp_path / "mine" / "a" / "frames").mkdir(parents=True)
    for number in (1, 2):
        image = np.full((8, 9, 3), 40 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"mine/a/frames/{number:08d}.png"), image)
    (tmp_path / "mine" / "a" / "boxes.txt").write_text("1,2,3,4\n2,2,3,4\n")
    videos = indexed(module.mine("MINE", FolderStore(tmp_path / "mine")), tmp_path / "mine")
    assert [len(video) for video in videos] == [2]
    assert videos[0].boxes_xywh.tolist() == [[1, 2, 3, 4], [2, 2, 3, 4]]
    assert videos[0].frames.read(1).mean() == 80
