"""Submissions to benchmark servers with hidden ground truth: one zip of result files, checked before it is written.

    server = server_of("got10k")
    members, problems = collect(benchmark, folder, server)     # {name in the zip: bytes}, [one line per problem]
    write_zip("got10k.zip", members)

GOT-10k       <video>/<video>_001.txt, one box x,y,w,h per frame, and <video>/<video>_time.txt, seconds per frame
TrackingNet   <video>.txt, one box x,y,w,h per frame

A source folder holds <video>.txt and <video>_time.txt as this project writes them, or GOT-10k's own layout, with or
without its folders. Numbers may be separated by commas, semicolons, tabs or spaces; their digits are copied to the zip
unchanged. The same results give the same bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...data.readers.annotation import TO_SPACES, parse_rows
from ...data.video import StoredFrames, Video
from ...utils.errors import UserError, shortened, unknown_name
from ...utils.files import atomic_path, decode_text
from ...utils.progress import progress
from .benchmarks import ALIASES, Benchmark
from .results import BOX_SOURCES, find_file, read_result_file

FIRST_BOX_PX = 1.0  # the largest difference of any number of the first box from the given one
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed time, the earliest that a zip can store

Check = Callable[[np.ndarray, Video], Iterable[tuple[int, str]]]  # rows, video -> line numbers and problems

_BOX_SOURCES = (*BOX_SOURCES, "{0}_001.txt")
TIME_SOURCES = ("{0}_time.txt", "{0}/{0}_time.txt")


@dataclass(frozen=True)
class Server:
    """The names of a video's files in the zip of a server; ``times`` is None if it takes none."""

    boxes: str
    times: str | None = None


SERVERS: dict[str, Server] = {
    "got10k_test": Server("{0}/{0}_001.txt", "{0}/{0}_time.txt"),
    "trackingnet": Server("{0}.txt"),
}


def server_of(name: str) -> Server:
    """The server of the benchmark ``name``. Raises :class:`UserError` if there is none."""
    name = ALIASES.get(name, name)
    if name not in SERVERS:
        raise unknown_name("benchmark to submit to", name, SERVERS)
    return SERVERS[name]


def collect(benchmark: Benchmark, folder: Path, server: Server) -> tuple[dict[str, bytes], list[str]]:
    """The zip's members and every problem with the result files in ``folder``.

    Videos of the benchmark that are not on disk do not count as problems: see :func:`absent_videos`.
    """
    members: dict[str, bytes] = {}
    problems: list[str] = []
    for name in progress(benchmark.videos.video_names, unit="video", desc="checking"):
        video = benchmark.videos.load(name)
        if not len(video):
            problems.append(f"{name} has no frames and no boxes on disk: fetch the dataset again")
            continue
        if isinstance(video.frames, StoredFrames) and not video.frames.store.exists(video.frames.keys[0]):
            problems.append(f"{video.frames.where(0)}: the frames of {name} are not on disk, so it is unknown how many "
                            "rows its result needs")
            continue
        kinds: list[tuple[str, tuple[str, ...], int, Check]] = [(server.boxes, _BOX_SOURCES, 4, _box_problems)]
        if server.times:
            kinds.append((server.times, TIME_SOURCES, 1, _time_problems))
        for wanted, sources, columns, check in kinds:
            members[wanted.format(name)], found = _checked(find_file(folder, sources, name), columns, video, check)
            problems += found
    return members, problems


def absent_videos(benchmark: Benchmark) -> str | None:
    """One line about the videos of the complete benchmark that are not on disk; None if all are."""
    if not benchmark.absent:
        return None
    missing = benchmark.videos.missing
    names = f": {shortened(missing)} not there" if missing else ""
    return f"only {len(benchmark.videos)} of the {benchmark.expected} videos of {benchmark.name} are on disk{names}"


def unexpected_files(benchmark: Benchmark, folder: Path) -> list[str]:
    """The text files in ``folder`` that belong to none of the packed videos."""
    known = {source.format(name) for name in benchmark.videos.video_names
             for source in (*_BOX_SOURCES, *TIME_SOURCES, "{0}_score.txt")}
    there = {str(path.relative_to(folder)) for pattern in ("*.txt", "*/*.txt") for path in folder.glob(pattern)}
    return sorted(there - known)


def write_zip(path: str | Path, members: Mapping[str, bytes]) -> None:
    """Write ``members`` to the zip ``path`` atomically, sorted by name and with a fixed time."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in progress(sorted(members), unit="file", desc="packing"):
            info = zipfile.ZipInfo(name, _ZIP_EPOCH)
            info.create_system = 3  # Unix: without it the file modes below are ignored
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, members[name])


def _checked(path: Path, columns: int, video: Video, check: Check) -> tuple[bytes, list[str]]:
    """The content of a file in the server's format, and its problems."""
    if not path.exists():
        return b"", [f"{path}: {video.name} has no such file"]
    try:
        data = read_result_file(path, video.name)
    except UserError as error:
        return b"", [str(error)]
    lines = decode_text(data, errors="replace").rstrip().splitlines()
    try:
        rows = parse_rows(data, str(path), columns=(columns,))
        faults: dict[int, str] = {}
    except UserError as error:
        # parse_rows stops at the first bad line. All of them are listed at once, because servers limit the uploads.
        rows, faults = _parse_each_line(lines, columns)
        if not faults:  # the error is not in a single line
            return b"", [str(error)]
    # A line that is no row counts as such, not as the NaN that stands for it here.
    faults = dict(check(rows, video)) | faults
    problems = [f"{path}, line {number}: {text}" for number, text in sorted(faults.items())]
    if len(rows) != len(video):
        problems.append(f"{path}, line {min(len(rows), len(video)) + 1}: {len(rows)} rows for the {len(video)} frames "
                        f"of {video.name}")
    # The text of the numbers is kept: formatting them again could change the last digit of what was evaluated here.
    packed = [",".join(line.translate(TO_SPACES).split()) for line in lines]
    return "".join(f"{line}\n" for line in packed).encode(), problems


def _parse_each_line(lines: list[str], columns: int) -> tuple[np.ndarray, dict[int, str]]:
    """Parse each line on its own: the rows, NaN for invalid lines, and the problems by line number."""
    rows = np.full((len(lines), columns), np.nan)
    faults: dict[int, str] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = parse_rows(line.encode(), "", columns=(columns,))
        except UserError as error:
            faults[number] = str(error).partition(": ")[2]
            continue
        if len(row):
            rows[number - 1] = row[0]
        else:
            faults[number] = "an empty line"
    return rows, faults


def _box_problems(rows: np.ndarray, video: Video) -> Iterator[tuple[int, str]]:
    for index in np.flatnonzero(~np.isfinite(rows).all(axis=1)):
        yield index + 1, f"not finite: {_format_row(rows[index])}"
    for index in np.flatnonzero((rows[:, 2:] < 0).any(axis=1)):
        yield index + 1, f"a side below zero: {_format_row(rows[index])}"
    given = video.boxes_xywh[0]
    if len(rows) and np.abs(rows[0] - given).max() > FIRST_BOX_PX:
        yield 1, f"the first box is {_format_row(rows[0])}, but the one given with the video is {_format_row(given)}"


def _time_problems(rows: np.ndarray, _video: Video) -> Iterator[tuple[int, str]]:
    for index in np.flatnonzero(~(np.isfinite(rows[:, 0]) & (rows[:, 0] >= 0))):
        yield index + 1, f"not a time in seconds: {_format_row(rows[index])}"


def _format_row(row: np.ndarray) -> str:
    return ",".join(f"{value:g}" for value in row)
