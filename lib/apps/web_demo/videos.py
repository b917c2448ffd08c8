"""The uploaded videos, each in a folder of its own with a random name that cannot be guessed.

    video = await videos.receive(request.content.iter_chunked(1 << 16), request.content_length)
    videos.get(video.id).frame_path(12)
    videos.remove(video.id)

Nothing that a visitor sends becomes part of a path: names of files stay in the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import simplejpeg
from aiohttp import ClientPayloadError, http_exceptions

from ...utils.errors import UserError
from ..video_demo.source import Source, open_source

if TYPE_CHECKING:
    from .jobs import Job

MIB = 1 << 20
MAX_SIDE = 4096  # px of an image
VIEW_SIDE = 960  # px, the longer side of the images that the page shows
VIEW_QUALITY = 80
UPLOAD_SILENCE_S = 30.0  # after which an upload that sends nothing is given up


@dataclass(frozen=True)
class Limits:
    """bytes of a file, frames of a video, videos held at once."""

    upload_bytes: int = 200 * MIB
    frames: int = 3000
    videos: int = 8


@dataclass
class Video:
    """One video on disk, what the page needs to know of it, and who tracks in it."""

    id: str
    folder: Path
    fps: float = 25.0
    frames: int | None = None
    size_wh: tuple[int, int] = (0, 0)
    first: int = 0  # the first readable frame
    job: Job | None = None
    gone: bool = False
    used: float = field(default_factory=time.monotonic)
    decoding: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def path(self) -> Path:
        return self.folder / "video"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def frame_path(self, frame: int) -> Path:
        return self.folder / "frames" / f"{frame:06d}.jpg"

    @contextlib.contextmanager
    def open(self) -> Iterator[Source]:
        """The images. Errors name the video, not its path on the server."""
        with self.plain_errors(), open_source(self.path) as source:
            yield source

    @contextlib.contextmanager
    def plain_errors(self) -> Iterator[None]:
        """Remove server paths from a user error."""
        try:
            yield
        except UserError as error:
            raise UserError(str(error).replace(f"{self.folder}/", "the ").replace(str(self.folder), "")) from error

    def keep_frame(self, frame: int, image_rgb: np.ndarray) -> None:
        """Keep a frame for the page, no larger than it is shown. Raises :class:`UserError` where the disk is full."""
        path = self.frame_path(frame)
        if path.exists():
            return
        zoom = min(1.0, VIEW_SIDE / max(image_rgb.shape[:2]))
        small = cv2.resize(image_rgb, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA) if zoom < 1 else image_rgb
        data = simplejpeg.encode_jpeg(np.ascontiguousarray(small), quality=VIEW_QUALITY)
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink()  # a part of an image would be shown from now on
            raise UserError(f"frame {frame} could not be kept: {error.strerror or error}") from error

    async def decode_frame(self, frame: int) -> None:
        """Decode a frame and keep it for the page; without effect for one that does not exist or cannot be read."""
        async with self.decoding:  # one after the other: each decodes the video from its start
            if not self.frame_path(frame).exists() and (self.frames is None or frame < self.frames):
                await asyncio.to_thread(self._decode_frame, frame)

    def _decode_frame(self, frame: int) -> None:
        with self.open() as source:
            found = next(source.read(frame), None)
            if found is not None and found.image_rgb is not None:
                self.keep_frame(frame, found.image_rgb)

    def free(self) -> None:
        """Nobody tracks in it any more."""
        self.job = None
        if self.gone:
            shutil.rmtree(self.folder, ignore_errors=True)

    def facts(self) -> dict[str, Any]:
        """What the page is told."""
        width, height = self.size_wh
        return {"id": self.id, "width": width, "height": height, "fps": self.fps, "frames": self.frames,
                "first": self.first}


class Videos:
    """All videos, in subfolders of ``folder``."""

    def __init__(self, folder: Path, limits: Limits):
        self.folder, self.limits = folder, limits
        self._videos: dict[str, Video] = {}
        self._arriving = 0

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._videos

    def get(self, video_id: str) -> Video:
        """Raises KeyError where there is none (any more)."""
        video = self._videos[video_id]
        video.used = time.monotonic()
        return video

    def remove(self, video_id: str) -> None:
        """Forget a video and stop tracking in it; its folder goes when nobody writes there any more."""
        video = self._videos.pop(video_id, None)
        if video is None:
            return
        video.gone = True
        if video.job is None:
            video.free()
        else:
            video.job.drop()

    async def receive(self, chunks: AsyncIterator[bytes], announced: int | None) -> Video:
        """Take a file in and look at it. What is refused or cut off leaves nothing behind.

        Raises :class:`UserError` for one that is too large, too long or no video.
        """
        self._check_bytes(announced or 0)
        self._make_room()
        video_id = secrets.token_urlsafe(16)
        video = Video(video_id, self.folder / video_id)
        self._arriving += 1
        try:
            video.folder.mkdir(mode=0o700)
            await self._write(video.path, chunks)
            await asyncio.to_thread(self._look, video)
            self._videos[video_id] = video
        except OSError as error:
            raise UserError(f"the video could not be kept: {error.strerror or error}") from error
        finally:
            self._arriving -= 1
            if video_id not in self:
                shutil.rmtree(video.folder, ignore_errors=True)
        return video

    async def _write(self, path: Path, chunks: AsyncIterator[bytes]) -> None:
        count = 0
        with path.open("wb") as file:
            while (chunk := await _next(chunks)) is not None:
                count += len(chunk)
                self._check_bytes(count)
                file.write(chunk)
        if not count:
            raise UserError("the file is empty; choose a video")

    def _check_bytes(self, count: int) -> None:
        most = self.limits.upload_bytes
        if count > most:
            raise UserError(f"the file is too large: {most / MIB:g} MiB are the most here; make it smaller, or start "
                            "the server with a higher --max_mb")

    def _look(self, video: Video) -> None:
        """Open the video, check its length and size, keep its first readable frame."""
        with video.open() as source:
            video.fps, video.frames, video.size_wh = source.fps, source.frames, source.size_wh
            most = self.limits.frames
            if video.frames is not None and video.frames > most:
                raise UserError(f"the video is too long: {video.frames} frames, {most} are the most here; cut it, or "
                                "start the server with a higher --max_frames")
            if max(video.size_wh) > MAX_SIDE:
                raise UserError(f"the video's images are too large: {video.size_wh[0]} × {video.size_wh[1]} px, "
                                f"at most {MAX_SIDE} px per side are possible; scale it down")
            for frame, image, _ in source.read():
                if image is not None:
                    video.first = frame
                    video.keep_frame(frame, image)
                    return

    def _make_room(self) -> None:
        """Let go of the video that has been left alone for longest. Raises :class:`UserError` when all are in use."""
        if len(self._videos) + self._arriving < self.limits.videos:
            return
        idle = [video for video in self._videos.values() if video.job is None]
        if not idle:
            tracked = len(self._videos)
            states = [f"{tracked} being tracked"] if tracked else []
            states += [f"{self._arriving} being uploaded"] if self._arriving else []
            raise UserError(f"this server holds at most {self.limits.videos} videos ({', '.join(states)}); try again "
                            "in a while, or start it with a higher --max_videos")
        self.remove(min(idle, key=lambda video: video.used).id)


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    """The next chunk, None at the end. Raises :class:`UserError` if none comes for a while or the body is malformed."""
    try:
        return await asyncio.wait_for(anext(chunks, None), UPLOAD_SILENCE_S)
    except (http_exceptions.HttpProcessingError, ClientPayloadError) as error:
        raise UserError("the upload was malformed; choose the video again") from error
    except (TimeoutError, asyncio.TimeoutError):
        raise UserError(f"the upload stopped for {UPLOAD_SILENCE_S:g} s and was given up; choose the video again"
                        ) from None
