"""MediaPipe's networks as an estimator: everybody is followed, one person is looked at in both views."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import SfvError
from ..progress import Progress
from ..video import Video
from .candidates import Candidate, choose
from .identify import Identified, identify
from .keypoints import Keypoints
from .landmarker import NAMES
from .watch import Watched, watch, watch_mirrored, watchers

_MIN_DETECTED = 5


@dataclass(frozen=True)
class MediaPipeEstimator:
    """Follow one person in the picture and in its mirror image.

    Mirrored pictures give landmarks whose errors differ, so the mean is better and agreement means something.
    """

    person: int | None = None
    """Number of the person, 1 being the most prominent, who is also taken if none is given."""

    def __call__(self, video: Video, start: float, end: float | None, progress: Progress) -> Keypoints:
        """Return the landmarks of one person; report as stage "detect".

        Raise SfvError where nobody is found, or not this person.
        """
        with watchers() as networks:
            watched = watch(video, start, end, progress, networks)
            number, people = _chosen(video, start, end, watched, self.person)
            chosen = people[number - 1]
            alone = {sight.index for sight in chosen.sights} & set(watched.mirrored)
            missing = [sight for sight in chosen.sights if sight.index not in alone]
            mirrored = watch_mirrored(video, missing, progress, networks)
        candidates: list[list[Candidate]] = [[] for _ in watched.times]
        for sight in chosen.sights:
            other = mirrored.get(sight.index) or watched.mirrored.get(sight.index)
            candidates[sight.index] = [sight.seen.candidate] + ([] if other is None else [other])
        others = _boxes(people[: number - 1] + people[number:], len(watched.times))
        return replace(_keypoints(video, watched.times, choose(candidates), chosen, number), others=others)


def _chosen(video: Video, start: float, end: float | None, watched: Watched, person: int | None
            ) -> tuple[int, list[Identified]]:
    """Return the person's number and everybody; raise SfvError where there is nobody to choose."""
    if not len(watched.times):
        raise SfvError(f"No picture of '{video.path}' lies between {start:g} s and "
                       f"{'the end' if end is None else f'{end:g} s'}. Choose a longer span.")
    people = identify(watched.tracklets)
    if not people:
        raise SfvError(f"No person found in '{video.path}' ({len(watched.times)} pictures searched). "
                       "Use a video that shows one whole body, not too small.")
    number = person or 1
    if number > len(people):
        there = ", ".join(str(n + 1) for n in range(len(people)))
        raise SfvError(f"No person {number} in '{video.path}'. People: {there} (1 is the most prominent). "
                       "`sfv people` shows them.")
    chosen = people[number - 1]
    if len(chosen.sights) < _MIN_DETECTED:
        raise SfvError(f"A person was found in only {len(chosen.sights)} of {len(watched.times)} pictures of "
                       f"'{video.path}'; at least {_MIN_DETECTED} are needed. Use a longer or clearer video.")
    return number, people


def _boxes(people: list[Identified], count: int) -> np.ndarray:
    """Return where everybody is in px, zeros where unseen, (T, P, 4)."""
    boxes = np.zeros((count, len(people), 4))
    for column, person in enumerate(people):
        boxes[[sight.index for sight in person.sights], column] = [sight.box for sight in person.sights]
    return boxes


def _keypoints(video: Video, times: np.ndarray, chosen: list[Candidate | None], person: Identified, number: int
               ) -> Keypoints:
    detected = np.array([candidate is not None for candidate in chosen])
    xy, xyz = np.zeros((len(times), len(NAMES), 2)), np.zeros((len(times), len(NAMES), 3))
    confidence, identity = np.zeros((len(times), len(NAMES))), np.zeros(len(times))
    for index, candidate in enumerate(chosen):
        if candidate is not None:
            xy[index], xyz[index], confidence[index] = candidate.xy, candidate.xyz, candidate.visibility
    identity[[sight.index for sight in person.sights]] = person.identity
    return Keypoints(NAMES, xy, xyz, confidence, times, detected, (video.width, video.height), number, identity)
