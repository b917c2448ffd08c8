"""A file's name cannot control the terminal: commands are given names that try to."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import tracking
from mstgt.command_line import main

NAME = "v\x1b]0;owned\x07\x1b[2J\r\u009b31m"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline


@pytest.fixture
def folder(tmp_path) -> Path:
    """Videos in a folder of such a name: one that is whole, one with a bad row, one without an image."""
    root = tmp_path / NAME
    for video, rows in ((NAME, "1,2,3,4\n" * 2), (f"bad{NAME}", "1,2,3,4\nx\x1b[2J\n"), (f"bare{NAME}", "1,2,3,4\n")):
        (root / video).mkdir(parents=True)
        (root / video / "groundtruth.txt").write_text(rows)
        for number in range(0 if video.startswith("bare") else 2):
            image = cv2.imencode(".jpg", np.full((40, 50, 3), 90, np.uint8))[1].tobytes()
            (root / video / f"{number + 1:04d}.jpg").write_bytes(image)
    (root / f"{NAME}.txt").write_text("1,2,3,4\n")
    (root / f"{NAME}.jpg").write_bytes(b"torn")
    return root


@pytest.mark.parametrize("words", [
    ["analyze", "--dataset_dir", "{root}", "--results", "A={root}", "--save_dir", "{out}"],
    ["compare", "A", NAME, "--dataset_dir", "{root}", "--results", "A={root}", "--save_dir", "{out}"],
    ["draw", "--dataset_dir", "{root}", "--results", "A={root}", "--save_dir", "{out}"],
    ["pack_dataset", "{root}", "{out}/x.zip"],
    ["pack_dataset", "{root}", "{root}"],
    ["pack_submission", "--dataset", NAME, "--tracker_param", NAME],
    ["make_photos", "{root}", "--out", "{out}", "--train", "1", "--val", "0", "--workers", "1"],
    ["train", "--config", NAME], ["train", "--config", "MSTGT-nano", "--videos", "{root}/absent"],
    ["train", "--config", "MSTGT-nano", "--set", NAME], ["train", "--config", "MSTGT-nano", NAME],
    ["test", "--config", "MSTGT-nano", "--dataset_dir", "{root}", "--sequence", NAME + "x"],
    ["test", "--config", "MSTGT-nano", "--dataset", NAME], ["export", "--config", "MSTGT-nano", "--checkpoint", NAME],
    ["track", "{root}/x.mp4"], ["track", "{root}/{name}.jpg", "--init_box", NAME], ["track", "{root}/{name}.jpg"],
    ["verify_reference", "{root}"], [NAME]], ids=lambda words: " ".join(words[:2]).replace(NAME, "NAME"))
def test_a_name_does_not_control_the_terminal(words, folder, tmp_path, monkeypatch, capfd, caplog):
    monkeypatch.setitem(sys.modules, "mstgt.tracking", tracking)  # as an installation has it
    places = {"{root}": str(folder), "{out}": str(tmp_path / "out"), "{name}": NAME}
    for mark, place in places.items():
        words = [word.replace(mark, place) for word in words]
    monkeypatch.setattr(sys, "argv", ["mstgt", *words])
    with pytest.raises(SystemExit):
        main()
    printed = "".join(capfd.readouterr())
    assert printed + caplog.text and not CONTROL.search(printed), printed
    assert not any(CONTROL.search(message) for message in caplog.messages)
