"""Look at parts of a person with networks of their own: hands and face, cut out of the full picture.

A part is first cut out where the pose says it is, then where its own landmarks say, and followed from picture to
picture as long as its network recognises it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from ..progress import Progress
from ..video import Video, frames
from .network import Network
from .region import Region, crop

_KEPT = 0.5
"""Score from which on a part is followed by its own landmarks."""
_PATIENCE = 3
"""After so many looks in vain only every third picture is tried."""
_RATE = 30.0
"""Pictures looked at per second at most; between them landmarks are interpolated."""


@dataclass(frozen=True)
class Sight:
    """What a network sees of a part in one picture."""

    xy: np.ndarray
    """Landmarks in px of the picture, shape (K, 2)."""
    xyz: np.ndarray
    """Landmarks in axes of a camera that looks straight at the part (x right, y down, z forward), shape (K, 3)."""
    score: float
    """How sure it is that this is the part, 0 to 1."""


@dataclass(frozen=True)
class Part:
    """How one part is found and read."""

    network: str
    """Name of its network."""
    regions: list[Region | None]
    """Where the pose says that it is, for each picture; None where it is not worth looking."""
    read: Callable[[tuple[np.ndarray, ...], Region], Sight]
    """Take the network's outputs for a region to the picture."""
    follow: Callable[[np.ndarray], Region]
    """Return the region around landmarks (K, 2) px."""


@dataclass(frozen=True)
class Closeup:
    """One part through T pictures; where nothing was seen the score is 0."""

    times: np.ndarray
    """Times of the pictures in s from the start of the video, shape (T,)."""
    xy: np.ndarray
    """Landmarks in px, shape (T, K, 2)."""
    xyz: np.ndarray
    """Landmarks in axes of a camera that looks straight at the part, shape (T, K, 3)."""
    score: np.ndarray
    """How sure the network is, 0 to 1, shape (T,)."""

    def at(self, times: np.ndarray) -> Closeup:
        """Interpolate at other times in s (N,); the score is 0 further than 1.5 pictures from any sight."""
        seen = np.flatnonzero(self.score > 0)
        if not len(seen):
            count, landmarks = len(times), self.xy.shape[1]
            return Closeup(times, np.zeros((count, landmarks, 2)), np.zeros((count, landmarks, 3)), np.zeros(count))
        step = max(float(np.median(np.diff(self.times))) if len(self.times) > 1 else 1.0, 1.0 / _RATE)
        there = self.times[seen]
        near = np.abs(there[:, None] - times).min(axis=0) < 1.5 * step

        def mix(a: np.ndarray) -> np.ndarray:
            flat = a[seen].reshape(len(seen), -1)
            return np.stack([np.interp(times, there, column) for column in flat.T], 1).reshape(-1, *a.shape[1:])

        return Closeup(times, mix(self.xy), mix(self.xyz), mix(self.score) * near)


@dataclass
class _Watch:
    """One part being followed."""

    part: Part
    network: Network
    region: Region | None = None
    sights: dict[int, Sight] = field(default_factory=dict)
    misses: int = 0
    """Looks in a row that found nothing."""

    def look(self, rgb: np.ndarray, row: int) -> None:
        """Look where the part was, or where the pose has it and then once more at what is there."""
        expected = self.part.regions[row]
        if expected is None:
            self.region = None
            return
        if self.misses >= _PATIENCE and row % _PATIENCE:
            return
        sight = None if self.region is None else self._see(rgb, self.region)
        if sight is None or sight.score < _KEPT:
            first = self._see(rgb, expected)
            again = self._see(rgb, self.part.follow(first.xy))
            sight = max((s for s in (sight, first, again) if s is not None), key=lambda s: s.score)
        self.sights[row] = sight
        found = sight.score >= _KEPT
        self.region = self.part.follow(sight.xy) if found else None
        self.misses = 0 if found else self.misses + 1

    def _see(self, rgb: np.ndarray, region: Region) -> Sight:
        return self.part.read(self.network(crop(rgb, region, self.network.size)), region)


def look_closer(video: Video, times: np.ndarray, parts: Sequence[Part], progress: Progress) -> list[Closeup]:
    """Return a close-up of each part at the pictures' times (T,) in s; report as stage "closeup".

    The video is read once, from the first to the last picture in which a part is worth looking at.
    """
    worth = _thinned(times, np.array([any(part.regions[row] is not None for part in parts)
                                      for row in range(len(times))]))
    rows = np.flatnonzero(worth)
    watches = [_Watch(part, Network(part.network)) for part in parts]
    if len(rows):
        half = 0.5 * float(np.median(np.diff(times))) if len(times) > 1 else 0.5
        with ThreadPoolExecutor(2) as pool:
            for frame in frames(video, max(float(times[rows[0]]) - 1e-4, 0.0), float(times[rows[-1]]) + 1e-4):
                row = int(np.abs(times - frame.time_s).argmin())
                if worth[row] and abs(times[row] - frame.time_s) <= half:
                    list(pool.map(lambda watch, rgb=frame.rgb, row=row: watch.look(rgb, row), watches))
                if row % 10 == 0:
                    progress("closeup", min(row - rows[0], len(rows)), len(rows))
    return [_collected(watch, times) for watch in watches]


def _thinned(times: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """Leave out pictures where there are more than `_RATE` in a second."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    every = max(1, int(1.0 / (_RATE * max(step, 1e-3)) + 0.3))
    return worth & (np.arange(len(times)) % every == 0)


def _collected(watch: _Watch, times: np.ndarray) -> Closeup:
    count = next((len(sight.xy) for sight in watch.sights.values()), 1)
    xy, xyz, score = np.zeros((len(times), count, 2)), np.zeros((len(times), count, 3)), np.zeros(len(times))
    for row, sight in watch.sights.items():
        if np.all(np.isfinite(sight.xy)) and np.all(np.isfinite(sight.xyz)):
            xy[row], xyz[row], score[row] = sight.xy, sight.xyz, sight.score
    return Closeup(times, xy, xyz, score)
