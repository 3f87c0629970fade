"""Read videos upright with their true timestamps, and write them whole, through PyAV."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from retarget.whole import written_whole

from .errors import SfvError

log = logging.getLogger(__name__)
Item = TypeVar("Item")
_TICKS = 90_000
"""Time base of written videos in 1/s; MPEG's own, divisible by the usual frame rates."""

_LUMA_FIRST = ("yuv420p", "yuvj420p", "nv12", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "gray")
"""Pixel formats whose first plane is the brightness, a byte a pixel."""


@dataclass(frozen=True)
class Video:
    """What a video file says about itself; pictures are read by `frames`."""

    path: Path
    width: int
    """Width of the upright picture in px."""
    height: int
    """Height of the upright picture in px."""
    fps: float
    """Average frame rate; single frames may come at uneven times."""
    duration: float
    """Length in s, as the container states it."""
    frame_count: int
    """Estimate of the number of frames."""


@dataclass(frozen=True)
class Frame:
    """One upright picture."""

    index: int
    """Number of the frame among those read, from 0."""
    time_s: float
    """True presentation time in s from the start of the video."""
    rgb: np.ndarray
    """Picture (H, W, 3) uint8."""


def open_video(path: Path | str) -> Video:
    """Read the file's header and its first picture; raise SfvError for anything that is not a readable video."""
    path = Path(path)
    with _container(path) as container:
        stream = _stream(container, path)
        first = next(_decode(container, stream, path), None)
        if first is None:
            raise SfvError(f"No picture in '{path}' can be decoded. The file is damaged or incomplete; "
                           "export it again, e.g. as H.264 mp4.")
        width, height = first.width, first.height
        if _quarter_turns(first) % 2:
            width, height = height, width
        fps = float(stream.average_rate or stream.guessed_rate or 30)
        duration = _duration(container, stream)
        return Video(path, width, height, fps, duration, int(stream.frames or max(round(duration * fps), 1)))


def frames(video: Video, start: float = 0.0, end: float | None = None) -> Iterator[Frame]:
    """Yield the upright frames from `start` to `end` in s, one at a time.

    Damaged parts of the file are left out with a warning in the log; compare the times of neighbouring frames, and the
    last one's with `video.duration`.
    """
    for index, (time_s, picture) in enumerate(_pictures(video, start, end)):
        yield Frame(index, time_s, _upright(picture, video))


def grey_frames(video: Video, start: float = 0.0, end: float | None = None, every: int = 1
                ) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (time in s, upright grey picture (H, W) uint8) of every n-th picture; cheaper than `frames`."""
    for time_s, picture in islice(_pictures(video, start, end), 0, None, every):
        yield time_s, np.rot90(_luma(picture), _quarter_turns(picture))


def picture_times(video: Video, start: float = 0.0, end: float | None = None) -> np.ndarray:
    """Return the true times in s of the pictures that `frames` would yield, shape (T,)."""
    return np.array([time_s for time_s, _ in _pictures(video, start, end)])


def _pictures(video: Video, start: float, end: float | None) -> Iterator[tuple[float, Any]]:
    """Yield (time in s, decoded picture) from `start` to `end` in s."""
    _check_span(video, start, end)
    with _container(video.path) as container:
        stream = _stream(container, video.path)
        stream.thread_type = "AUTO"
        origin = stream.start_time or 0
        tick = float(stream.time_base or 1 / (1000 * video.fps))
        if start > 0:
            container.seek(origin + int(start / tick), stream=stream)
        last = -1.0
        for number, picture in enumerate(_decode(container, stream, video.path)):
            time_s = number / video.fps if picture.pts is None else (picture.pts - origin) * tick
            if end is not None and time_s > end + 1e-6:
                return
            if time_s >= start - 1e-6 and time_s > last:  # after damage the decoder may hand out old pictures
                last = time_s
                yield time_s, picture


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield what a generator yields, its next item being made in a thread meanwhile."""
    end = object()
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(next, items, end)
        try:
            while (item := coming.result()) is not end:
                coming = maker.submit(next, items, end)
                yield cast(Item, item)
        finally:
            wait([coming])
            if isinstance(items, Generator):
                items.close()


@contextmanager
def writer(path: Path | str, width: int, height: int, fps: float):
    """Write an H.264 mp4, whole or not at all: yields a function that takes (time_s, rgb (H, W, 3) uint8).

    Times must increase; they are kept to 1/90000 s. An odd row or column at the edge is cut off, as H.264 demands.
    """
    import av

    path = Path(path)
    with written_whole(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width // 2 * 2, height // 2 * 2, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, _TICKS)
        stream.options = {"preset": "superfast", "crf": "24", "threads": "2"}

        def write(time_s: float, rgb: np.ndarray) -> None:
            even = np.ascontiguousarray(rgb[:stream.height, :stream.width])
            picture = av.VideoFrame.from_ndarray(even, format="rgb24")
            picture.pts, picture.time_base = round(time_s * _TICKS), Fraction(1, _TICKS)
            container.mux(stream.encode(picture))

        yield write
        container.mux(stream.encode())


@contextmanager
def _container(path: Path):
    import av
    from av.error import FFmpegError

    if not path.exists():
        raise SfvError(f"No video file '{path}'. Give the path of a video, e.g. an .mp4 or .mov.")
    if path.is_dir():
        raise SfvError(f"'{path}' is a folder. Give the path of a video file in it.")
    if path.stat().st_size == 0:
        raise SfvError(f"'{path}' is empty (0 bytes). Copy or export the video again.")
    try:
        container = av.open(str(path))
    except (FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SfvError(f"'{path}' is not a video that can be read ({reason}). Give a complete video file, "
                       "e.g. an .mp4 with H.264.") from error
    with container:
        yield container


def _stream(container, path: Path):
    if not container.streams.video:
        there = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise SfvError(f"No video stream in '{path}'; it holds {there}. Give a file with pictures.")
    return container.streams.video[0]


def _decode(container, stream, path: Path):
    """Yield pictures until the end, without those in parts of the file that the decoder cannot pass."""
    from av.error import FFmpegError

    damaged = 0
    try:
        for packet in container.demux(stream):
            try:
                pictures = packet.decode()
            except FFmpegError as error:
                damaged += 1
                if damaged == 1:
                    log.warning("'%s' is damaged; what cannot be decoded is left out: %s", path, error)
                continue
            yield from pictures
    except (FFmpegError, EOFError) as error:
        log.warning("'%s' cannot be read to its end: %s", path, error)


def _duration(container, stream) -> float:
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration else 0.0


def _quarter_turns(picture) -> int:
    """Counterclockwise quarter turns that the display matrix asks for."""
    return round((picture.rotation or 0) / 90) % 4


def _luma(picture) -> np.ndarray:
    """Return the brightness (H, W) uint8 as it is stored; converted where it is not a plane of its own."""
    if picture.format.name not in _LUMA_FIRST:
        return picture.to_ndarray(format="gray")
    plane = picture.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    return rows[: picture.height, : picture.width].copy()


def _upright(picture, video: Video) -> np.ndarray:
    turns = _quarter_turns(picture)
    stored = (video.height, video.width) if turns % 2 else (video.width, video.height)
    rgb = picture.to_ndarray(format="rgb24", width=stored[0], height=stored[1])
    return np.ascontiguousarray(np.rot90(rgb, turns))


def _check_span(video: Video, start: float, end: float | None) -> None:
    if not (np.isfinite(start) and start >= 0):
        raise SfvError(f"The start is {start} s; it must be 0 or later.")
    if video.duration and start >= video.duration:
        raise SfvError(f"The start is {start:g} s, but '{video.path}' is {video.duration:.2f} s long. "
                       "Give an earlier start.")
    if end is not None and not end > start:
        raise SfvError(f"The end ({end:g} s) must be later than the start ({start:g} s).")
