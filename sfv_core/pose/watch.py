"""Run the networks over a video on two threads while a third one decodes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from ..progress import Progress
from ..video import Frame, Video, ahead, frames
from .candidates import Candidate
from .detector import Detector, Found
from .landmarker import Landmarker, Seen
from .region import Region
from .tracker import Tracker
from .tracklet import Sight, Tracklet

THREADS = 2
_WAITING = 4
"""Pictures held in memory at most while the networks work."""
_HIGHEST_RATE = 62.0
"""Pictures per second that are looked at, at most; of a faster video only some are."""
_SETTLED = (0.03, 0.06, 0.1)
"""Move in region sizes, log of the change of size and turn in rad up to which a region lay right."""
_LOOKS = 3
"""Looks in one picture at most, each in the region that the one before found."""
_SMALL = 0.35
"""Part of the picture's longer side that somebody's region fills below which others may be overlooked."""
_ROOM = 2.0
"""Sizes of the largest region to which a closer look is cut then."""
_WORTH_SEEKING = 2.0
"""Seconds of video that are skipped rather than read."""
_TURNS = (np.pi, np.pi / 2, -np.pi / 2)
"""How else the picture is turned for the detector where nobody is found upright."""
_PARTS = (2, 4)
"""Into how many parts the longer side is cut for a closer look."""


@dataclass(frozen=True)
class Watched:
    """What was seen in a video."""

    times: np.ndarray
    """Time of each picture in s, shape (T,)."""
    tracklets: list[Tracklet]
    """Everybody, as runs without a break."""
    mirrored: dict[int, Candidate]
    """Number of a picture → the only person in it, seen in a mirror."""


class Watchers:
    """The networks, one set for each thread; use inside `with watchers()`."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool, self._own = pool, threading.local()

    def look(self, rgb: np.ndarray, regions: list[Region]) -> list[tuple[Seen, Region] | None]:
        """Return what is seen around each region of the picture, and the region in which it lay right."""
        return list(self._pool.map(lambda region: self._settled(rgb, region), regions))

    def detect(self, rgb: np.ndarray, thorough: bool) -> list[Found]:
        """Return the people in the picture; if it matters and there are none, in the turned picture and closer up.

        Where all are small, the closer look may find more.
        """
        return self._pool.submit(self._search, rgb, thorough).result()

    def mirror(self, rgb: np.ndarray, region: Region) -> Future[Seen | None]:
        """Begin to look at the region in a mirror."""
        return self._pool.submit(lambda: self._landmarker(rgb, replace(region, mirrored=True)))

    def _settled(self, rgb: np.ndarray, region: Region) -> tuple[Seen, Region] | None:
        for number in range(_LOOKS):
            seen = self._landmarker(rgb, region)
            if seen is None:
                return None
            if number == _LOOKS - 1 or _close(region, seen.region):
                return seen, region
            region = seen.region
        return None

    def _search(self, rgb: np.ndarray, thorough: bool) -> list[Found]:
        height, width = rgb.shape[:2]
        whole = Region((width / 2, height / 2), float(max(height, width)))
        found = self._detector(rgb, within=whole)
        if thorough and not found:
            turned = [Region(whole.centre, whole.size, turn) for turn in _TURNS]
            for closer in (turned, *(_tiles(width, height, part) for part in _PARTS)):
                found = [one for region in closer for one in self._detector(rgb, within=region)]
                if found:
                    break
        largest = max((one.region.size for one in found), default=whole.size)
        if thorough and largest < _SMALL * whole.size:
            parts = min(int(np.ceil(whole.size / (_ROOM * largest))), max(_PARTS))
            found += [one for tile in _tiles(width, height, parts) for one in self._detector(rgb, within=tile)]
        return found

    @property
    def _landmarker(self) -> Landmarker:
        if not hasattr(self._own, "landmarker"):
            self._own.landmarker = Landmarker()
        return self._own.landmarker

    @property
    def _detector(self) -> Detector:
        if not hasattr(self._own, "detector"):
            self._own.detector = Detector()
        return self._own.detector


@contextmanager
def watchers() -> Iterator[Watchers]:
    """Yield the networks on two threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        yield Watchers(pool)


def watch(video: Video, start: float, end: float | None, progress: Progress, networks: Watchers,
          mirrors: bool = True) -> Watched:
    """Follow everybody through the video; where one person is alone in the picture, look in a mirror too."""
    times: list[float] = []
    mirrored: dict[int, Candidate] = {}
    waiting: deque[tuple[int, Future[Seen | None]]] = deque()
    tracker = Tracker(networks.look, networks.detect)
    span = (video.duration if end is None else min(end, video.duration or end)) - start
    expected = max(round(span * min(video.fps, _HIGHEST_RATE)), 1)
    for frame in pictures(video, start, end):
        sights = tracker(replace(frame, index=len(times)))
        if mirrors and len(sights) == 1:
            waiting.append((len(times), networks.mirror(frame.rgb, sights[0].looked)))
        while len(waiting) > _WAITING:
            _collect(*waiting.popleft(), mirrored)
        times.append(frame.time_s)
        if len(times) % 10 == 0:
            progress("detect", len(times), max(expected, len(times)))
    while waiting:
        _collect(*waiting.popleft(), mirrored)
    return Watched(np.array(times), tracker.tracklets, mirrored)


def watch_mirrored(video: Video, sights: list[Sight], progress: Progress, networks: Watchers
                   ) -> dict[int, Candidate]:
    """Look again at one person's sights in a mirror. → number of the picture → what was seen."""
    wanted = {round(sight.time_s, 6): sight for sight in sights}
    mirrored: dict[int, Candidate] = {}
    waiting: deque[tuple[int, Future[Seen | None]]] = deque()
    for first, last in _spans(np.array([sight.time_s for sight in sights])):
        for frame in pictures(video, first, last):
            sight = wanted.get(round(frame.time_s, 6))
            if sight is not None:
                waiting.append((sight.index, networks.mirror(frame.rgb, sight.looked)))
            while len(waiting) > _WAITING:
                _collect(*waiting.popleft(), mirrored)
            if sight is not None and sight.index % 10 == 0:
                progress("detect", len(mirrored), len(sights))
    while waiting:
        _collect(*waiting.popleft(), mirrored)
    return mirrored


def _spans(times: np.ndarray) -> list[tuple[float, float]]:
    """Return first and last of the rising times in s, without the long gaps. (N,)."""
    cuts = np.flatnonzero(np.diff(times) > _WORTH_SEEKING)
    return [(float(a), float(b)) for a, b in zip(times[[0, *(cuts + 1)]], times[[*cuts, -1]], strict=True)
            ] if len(times) else []


def pictures(video: Video, start: float, end: float | None) -> Iterator[Frame]:
    """Yield the frames, the next one decoded meanwhile, at most about 60 for each second."""
    last = -np.inf
    for frame in ahead(frames(video, start, end)):
        if frame.time_s - last >= 1.0 / _HIGHEST_RATE:
            last = frame.time_s
            yield frame


def _collect(index: int, job: Future[Seen | None], into: dict[int, Candidate]) -> None:
    seen = job.result()
    if seen is not None:
        into[index] = seen.candidate


def _close(a: Region, b: Region) -> bool:
    turn = abs((a.angle - b.angle + np.pi) % (2 * np.pi) - np.pi)
    move = np.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1]) / a.size
    return bool(move < _SETTLED[0] and abs(np.log(max(b.size, 1e-3) / a.size)) < _SETTLED[1] and turn < _SETTLED[2])


def _tiles(width: int, height: int, parts: int) -> list[Region]:
    """Return squares that overlap by half and cover the picture; `parts` of them would span the longer side."""
    side = max(width, height) / parts
    across, down = (np.linspace(side / 2, length - side / 2, max(2 * round(length / side) - 1, 1))
                    if length > side else np.array([length / 2]) for length in (width, height))
    return [Region((float(x), float(y)), side) for y in down for x in across]
