"""Follow everybody through the pictures: regions carried on in time, newcomers found by the detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..video import Frame
from .candidates import distance
from .detector import Found
from .landmarker import Seen
from .region import Region
from .tracklet import Sight, Tracklet, ahead, colours, covered

Look = Callable[[np.ndarray, list[Region]], list[tuple[Seen, Region] | None]]
"""Takes a picture and regions; returns what was seen in each and the region in which it was seen."""
Detect = Callable[[np.ndarray, bool], list[Found]]
"""Takes a picture and whether to look closely; returns the people in it."""
_PRESENT = 0.5
"""Presence from which a region shows a person; MediaPipe's own."""
_SEARCH_EVERY = 0.25
"""Seconds between two looks at the whole picture while everybody is in sight."""
_THOROUGH_EVERY = (0.5, 1.0)
"""Seconds between two close looks at the picture while there is nobody, or somebody."""
_SAME = 0.10
"""Median limb distance in person sizes below which two regions show the same person."""
_NEAR = 0.12
"""Distance of region centres in region sizes below which the detector found somebody who is followed already."""
_CROWDED, _ALONE = 0.3, 0.15
"""Shares of a covered box at which a tracklet counts as crowded, and no longer."""
_JUMP = 0.3
"""Distance in person sizes between where a person should be and is, above which it may be another one."""
_SMALLEST = 0.35
"""Part of the largest person's size below which people are background."""
_MISSED_FOR = 1.5
"""Seconds for which somebody lost is looked for where they should be by now."""
_MISSED_EVERY = 0.1
"""Seconds between two such looks."""
_STRAY = 0.5
"""Distance in region sizes from where the missed person should be at which it is somebody else."""
_MOST = 12
"""People followed at a time at most."""


class Tracker:
    """Everybody in the pictures so far, as runs without a break."""

    def __init__(self, look: Look, detect: Detect) -> None:
        self._look, self._detect = look, detect
        self._live: list[Tracklet] = []
        self._missed: list[Tracklet] = []
        self._searched = self._missing = self._thorough = -np.inf
        self.tracklets: list[Tracklet] = []
        """All runs, also those that have ended."""

    def __call__(self, frame: Frame) -> list[Sight]:
        """Look at the next picture and return who is in it."""
        before = len(self._live)
        sights = self._followed(frame)
        lost = len(self._live) < before
        if self._missed and frame.time_s - self._missing >= _MISSED_EVERY:
            self._missing = frame.time_s
            sights += self._returned(frame, sights)
        if lost or not self._live or frame.time_s - self._searched >= _SEARCH_EVERY:
            self._searched = frame.time_s
            sights += self._newcomers(frame, sights, lost)
        if len(sights) > 1:
            shares = covered(sights)
            sights = [replace(sight, crowded=float(share)) for sight, share in zip(sights, shares, strict=True)]
        self._extend(sights)
        return sights

    def _followed(self, frame: Frame) -> list[Sight]:
        """Look where everybody should be; drop who is not there, and one of two runs that see the same person."""
        results = self._look(frame.rgb, [track.expected(frame.time_s) for track in self._live])
        kept: list[tuple[Tracklet, Sight]] = []
        for track, result in zip(self._live, results, strict=True):
            if result is not None and result[0].presence >= _PRESENT:
                kept.append((track, _sight(frame, *result)))
            else:
                self._missed.append(track)
        self._live, sights = [], []
        for number, (track, sight) in enumerate(kept):
            same = [other for other, (_, there) in enumerate(kept) if other != number
                    and distance(sight.seen.candidate, there.seen.candidate) < _SAME]
            if any(_surprise(*kept[other]) < _surprise(track, sight) for other in same):
                self._missed.append(track)
                continue
            self._live.append(Tracklet() if same or _surprise(track, sight) > _JUMP else track)
            sights.append(sight)
        return sights

    def _newcomers(self, frame: Frame, sights: list[Sight], lost: bool) -> list[Sight]:
        """Search the whole picture for people who are not followed yet."""
        waited = frame.time_s - self._thorough >= _THOROUGH_EVERY[bool(sights)]
        thorough = waited or (lost and not sights)
        self._thorough = frame.time_s if thorough else self._thorough
        largest = max((sight.seen.region.size for sight in sights), default=0.0)
        regions = [found.region for found in self._detect(frame.rgb, thorough)
                   if found.region.size > _SMALLEST * largest and not _known(found.region, sights)]
        fresh: list[Sight] = []
        for result in self._look(frame.rgb, regions[:max(_MOST - len(sights), 0)]):
            if result is not None and _new(result, sights + fresh):
                fresh.append(_sight(frame, *result))
        self._live += [Tracklet() for _ in fresh]
        return fresh

    def _returned(self, frame: Frame, sights: list[Sight]) -> list[Sight]:
        """Look for those who were lost a moment ago where they should be by now."""
        self._missed = [run for run in self._missed if frame.time_s - run.end.time_s < _MISSED_FOR]
        places = [replace(run.end.seen.region, centre=tuple(ahead(run, frame.time_s))) for run in self._missed]
        back: list[Sight] = []
        for run, place, result in zip(list(self._missed), places, self._look(frame.rgb, places), strict=True):
            if result is not None and _new(result, sights + back) and _apart(place, result[0].region) < _STRAY:
                back.append(_sight(frame, *result))
                self._missed.remove(run)
        self._live += [Tracklet() for _ in back]
        return back

    def _extend(self, sights: list[Sight]) -> None:
        """Add the sights to the live runs; begin new ones where people come into each other's way or leave it."""
        for number, (track, sight) in enumerate(zip(self._live, sights, strict=True)):
            crowded = sight.crowded > (_ALONE if track.crowded else _CROWDED)
            if track.sights and crowded != track.crowded:
                track = self._live[number] = _Continued(track)
            if not track.sights:
                track.crowded = crowded
                self.tracklets.append(track)
            track.sights.append(sight)


class _Continued(Tracklet):
    """A new run that still knows how the one before it moved."""

    def __init__(self, before: Tracklet) -> None:
        super().__init__()
        self._before = before.end

    def expected(self, time_s: float) -> Region:
        """Return where the person should be, from the last run while this one is one sight long."""
        if len(self.sights) == 1:
            return Tracklet([self._before, self.end]).expected(time_s)
        return super().expected(time_s)


def _sight(frame: Frame, seen: Seen, looked: Region) -> Sight:
    return Sight(frame.index, frame.time_s, seen, looked, colours(frame.rgb, seen.candidate))


def _surprise(track: Tracklet, sight: Sight) -> float:
    """Return how far the person is from where it should be, in person sizes."""
    there, here = track.expected(sight.time_s).centre, sight.seen.region.centre
    return float(np.hypot(here[0] - there[0], here[1] - there[1])) / max(sight.seen.candidate.size, 1.0)


def _known(region: Region, sights: list[Sight]) -> bool:
    return any(_apart(region, sight.seen.region) < _NEAR for sight in sights)


def _new(result: tuple[Seen, Region], sights: list[Sight]) -> bool:
    """Tell whether the look shows a person who is not among the sights."""
    seen = result[0]
    return seen.presence >= _PRESENT and all(distance(seen.candidate, other.seen.candidate) > _SAME
                                             for other in sights)


def _apart(a: Region, b: Region) -> float:
    """Return the distance of the centres in sizes of the larger region."""
    return float(np.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1])) / max(a.size, b.size, 1.0)
