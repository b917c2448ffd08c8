"""A disk that is full: one line says which file could not be written, nothing half-written is left under its name, and
with room again the same command comes to the end that it would have had."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.faults.commands import end_state
from tests.faults.seeds import announce, cases, chance

WRITERS = ("train", "test", "synthetic", "index", "score", "pack_zip", "pack_lmdb", "submit")
NOT_NEEDED = {"index": "the index is not kept", "score": "scores are not kept"}  # caches: a warning will do
FULL = ("No space left on device", "File too large", "is the disk full?")


@cases(WRITERS, nightly=5, always=("train", "test", "pack_zip", "pack_lmdb"))
def test_no_file_may_grow_past_a_limit(lab, name, seed):
    calm, random = lab.calm(name), chance("limit", name, seed)
    here = lab.fresh(name)
    before = sizes(here)
    written = {f: size for f, size in sizes(calm.here).items() if f not in before and size}
    limit = random.randrange(max(written.values()))
    announce(seed, f"no file may be larger than {limit} bytes")
    run = lab.start(name, largest_file=limit)
    assert_full(lab.finish(run), run.said(), here, name, calm.end)
    assert all(size <= limit for f, size in sizes(here).items() if f not in before)
    assert_the_end(lab, name)


@pytest.fixture(scope="session")
def small_disk(tmp_path_factory):
    """A file system of 16 KiB and more, as large as one likes."""
    place = tmp_path_factory.mktemp("disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", place], capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@cases(WRITERS, nightly=3)
def test_a_file_system_without_room(lab, small_disk, name, seed):
    calm, random = lab.calm(name), chance("disk", name, seed)
    here = lab.fresh(name)
    held, wanted = (4096 * sum(-(-size // 4096) + 1 for size in sizes(place).values()) for place in (here, calm.here))
    room = held + random.randrange(max(4096, wanted - held))
    announce(seed, f"{room - held} bytes of room for {wanted - held}")
    shutil.move(here, small_disk / name)
    here.symlink_to(small_disk / name)
    try:
        resize(small_disk, room)
        run = lab.start(name)
        assert_full(lab.finish(run), run.said(), here, name, calm.end)
        resize(small_disk, 64 << 20)
        assert_the_end(lab, name)
    finally:
        resize(small_disk, 64 << 20)
        here.unlink()
        shutil.rmtree(small_disk / name)


def resize(place: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)


def sizes(here: Path) -> dict[str, int]:
    return {str(p.relative_to(here)): p.stat().st_size for p in here.rglob("*") if p.is_file()}


def assert_full(status: int, said: str, here: Path, name: str, wanted: dict[str, Any]) -> None:
    """It was refused in a line that names a file, or what could not be written was not needed."""
    assert "Traceback" not in said, said
    assert not [p for p in here.rglob(".*.part-*")]
    if status == 0:
        assert end_state(here) == wanted or NOT_NEEDED[name] in said, said
        return
    told = [line for line in said.splitlines() if line.startswith(("error: ", "FAILED "))]
    assert told and any(str(here) in line and any(word in line for word in FULL) for line in told), said


def assert_the_end(lab, name) -> None:
    run = lab.start(name)
    assert lab.finish(run) == 0, run.said()
    assert end_state(lab.base / name) == lab.calm(name).end, run.said()
