"""Packing: deterministic, whole or not at all, and only what lies in the folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from mstgt.data import packing
from mstgt.data.packing import pack
from mstgt.data.store import open_store
from mstgt.utils.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]
kinds = pytest.mark.parametrize("suffix", ["zip", "lmdb"])


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "src"
    (root / "b").mkdir(parents=True)
    (root / "b" / "2.jpg").write_bytes(b"\xff" * 5000)
    (root / "b" / "groundtruth.txt").write_text("1,2,3,4\n" * 500)
    (root / "a.txt").write_text("a")
    (root / ".hidden").write_text("no")
    return root


@kinds
def test_pack_and_read(source, tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(packing, "_BATCH_BYTES", 4000)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in source.rglob("*") if p.is_file()}
    report = pack(source, tmp_path / f"out.{suffix}")
    assert (report.files, report.source_bytes) == (3, 9001)
    store = open_store(tmp_path / f"out.{suffix}", "x")
    assert store.list() == ["a.txt", "b"] and store.read("b/2.jpg") == b"\xff" * 5000 and len(store) == 3
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in before} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"out.{suffix}", "src"]


@kinds
def test_the_same_files_give_the_same_bytes(source, tmp_path, suffix):
    pack(source, tmp_path / f"one.{suffix}")
    os.utime(source / "a.txt", (1, 1))
    pack(source, tmp_path / f"two.{suffix}")
    assert (tmp_path / f"one.{suffix}").read_bytes() == (tmp_path / f"two.{suffix}").read_bytes()


def test_images_are_stored_and_texts_deflated(source, tmp_path):
    pack(source, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        methods = {info.filename: info.compress_type for info in archive.infolist()}
        assert archive.testzip() is None
    assert methods == {"a.txt": zipfile.ZIP_DEFLATED, "b/2.jpg": zipfile.ZIP_STORED,
                       "b/groundtruth.txt": zipfile.ZIP_DEFLATED}


def test_include_picks_files(source, tmp_path):
    assert pack(source, tmp_path / "out.zip", ["*.jpg", "a.*"]).files == 2
    with pytest.raises(UserError, match=r"nothing to pack in .* that matches \*\.png"):
        pack(source, tmp_path / "no.zip", ["*.png"])


def test_an_existing_file_is_kept(source, tmp_path):
    target = tmp_path / "out.zip"
    target.write_bytes(b"precious")
    with pytest.raises(UserError, match="is there already"):
        pack(source, target)
    assert target.read_bytes() == b"precious"
    pack(source, target, overwrite=True)
    assert open_store(target, "x").exists("a.txt")


@kinds
def test_a_file_that_goes_away_leaves_nothing(source, tmp_path, suffix, monkeypatch):
    found = list(packing._files(source))
    (source / "b" / "2.jpg").unlink()
    monkeypatch.setattr(packing, "_files", lambda _source: iter(found))
    with pytest.raises(UserError, match=r"cannot read .*b/2\.jpg"):
        pack(source, tmp_path / f"out.{suffix}")
    assert [p.name for p in tmp_path.iterdir()] == ["src"]


def test_links_out_of_the_folder_are_refused(source, tmp_path):
    (source / "inside.txt").symlink_to(source / "a.txt")
    pack(source, tmp_path / "fine.zip")
    assert open_store(tmp_path / "fine.zip", "x").read("inside.txt") == b"a"
    (tmp_path / "secret").write_text("s")
    (source / "out.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="out.txt is a link out of"):
        pack(source, tmp_path / "no.zip")
    (source / "out.txt").unlink()
    (source / "loop").symlink_to(source)
    with pytest.raises(UserError, match="loop is a link to a folder"):
        pack(source, tmp_path / "no.zip")
    assert not (tmp_path / "no.zip").exists()


def test_wrong_arguments_are_named(source, tmp_path):
    for out, says in ((tmp_path / "x.tar", r"ends in \.zip or \.lmdb"), (source / "x.zip", "is inside")):
        with pytest.raises(UserError, match=says):
            pack(source, out)
    with pytest.raises(UserError, match="there is no folder"):
        pack(tmp_path / "gone", tmp_path / "x.zip")
    (source / "back\\slash").touch()
    with pytest.raises(UserError, match="a backslash in the name"):
        pack(source, tmp_path / "x.zip")


def test_a_name_too_long_for_lmdb_is_named(source, tmp_path):
    deep = source / ("d" * 200) / ("e" * 200) / ("f" * 200)
    deep.mkdir(parents=True)
    (deep / "x").touch()
    with pytest.raises(UserError, match="up to 511 bytes; make a .zip"):
        pack(source, tmp_path / "x.lmdb")


def test_the_command(source, tmp_path):
    command = [sys.executable, str(REPOSITORY / "tracking" / "pack_dataset.py"), str(source), str(tmp_path / "o.zip")]
    for status, out in ((0, "3 files"), (1, "error: ")):
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
                              check=False)
        assert done.returncode == status and out in done.stdout + done.stderr and "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1
