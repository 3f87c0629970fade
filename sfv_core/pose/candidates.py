"""Choose among several detections of the same picture.

A tracking network is steady but stays wrong once its region of interest is lost (flips); detecting afresh in each
picture recovers at once but jumps between people. So two trackers watch, one of them in a mirror; where they
disagree or the person moves fast, the picture is detected afresh, and one person's path is chosen through all
candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

LIMBS = np.array([11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28])
"""Shoulders, elbows, wrists, hips, knees and ankles among MediaPipe's 33 landmarks."""
_HIPS = np.array([23, 24])
_APART_2D = 0.03
"""Median limb distance in person sizes above which two detections disagree; agreeing ones stay below 0.02."""
_APART_3D = 0.2
"""Mean limb distance in m above which two detections disagree; agreeing ones stay below 0.12."""
_FAST = 3.5
"""Mean limb speed relative to the hips in m/s above which a tracker's region of interest lags."""
_MARGIN = 1
"""Pictures before and after a doubtful one that are doubted too."""
_TRACKED_COST = 0.1
"""What choosing a tracked detection costs where there are fresh ones; a jump to another person costs more."""
_SAME_PERSON = 0.10
"""Median limb distance in person sizes within which detections are merged."""


@dataclass(frozen=True)
class Candidate:
    """One detection of one person in one picture."""

    xy: np.ndarray
    """Landmarks in px of the upright picture, shape (K, 2)."""
    xyz: np.ndarray
    """Landmarks relative to the hips in m in camera axes, shape (K, 3)."""
    visibility: np.ndarray
    """The network's own confidence, 0 to 1, shape (K,)."""
    fresh: bool = False
    """Found without knowing the picture before."""

    @property
    def size(self) -> float:
        """Length of 1.7 m at the person's distance in px."""
        return 1.7 * float(self.xy.std(axis=0).mean()) / max(float(self.xyz[:, :2].std(axis=0).mean()), 1e-3)

    @property
    def centre(self) -> np.ndarray:
        """Middle of the hips in px, shape (2,)."""
        return self.xy[_HIPS].mean(axis=0)


def distance(a: Candidate, b: Candidate) -> float:
    """Return the median distance of the limb landmarks in person sizes."""
    apart = np.linalg.norm(a.xy[LIMBS] - b.xy[LIMBS], axis=-1)
    return float(np.median(apart)) / max(a.size, b.size, 1.0)


def disagree(a: Candidate, b: Candidate) -> bool:
    """Tell whether two detections of one picture show different poses."""
    depth = float(np.linalg.norm(a.xyz[LIMBS] - b.xyz[LIMBS], axis=-1).mean())
    return distance(a, b) > _APART_2D or depth > _APART_3D


def doubtful(first: list[Candidate | None], second: list[Candidate | None], times: list[float]) -> np.ndarray:
    """Mark the pictures in which two trackers disagree or find nobody, or limbs move fast. → (T,) bool."""
    doubt = np.array([a is None or b is None or disagree(a, b) for a, b in zip(first, second, strict=True)])
    for (i, a), (j, b) in pairwise((i, a) for i, a in enumerate(first) if a is not None):
        apart = float(np.linalg.norm(a.xyz[LIMBS] - b.xyz[LIMBS], axis=-1).mean())
        doubt[[i, j]] |= apart > _FAST * max(times[j] - times[i], 1e-3)
    return np.convolve(doubt, np.ones(2 * _MARGIN + 1))[_MARGIN:len(doubt) + _MARGIN] > 0


def choose(candidates: list[list[Candidate]]) -> list[Candidate | None]:
    """Follow one person through the pictures and merge the detections that agree on that person.

    The path minimises jumps of place and pose between pictures plus disagreement within a picture (Viterbi); pictures
    without a candidate stay None.
    """
    filled = [index for index, options in enumerate(candidates) if options]
    chosen: list[Candidate | None] = [None] * len(candidates)
    if not filled:
        return chosen
    cost = _own_cost(candidates[filled[0]])
    back: list[np.ndarray] = []
    for before, now in pairwise(filled):
        step = cost[:, None] + _jump_cost(candidates[before], candidates[now]) / (now - before)
        back.append(step.argmin(axis=0))
        cost = step.min(axis=0) + _own_cost(candidates[now])
    pick = int(cost.argmin())
    for position in range(len(filled) - 1, -1, -1):
        options = candidates[filled[position]]
        chosen[filled[position]] = _merged(options[pick], options)
        pick = int(back[position - 1][pick]) if position else pick
    return chosen


def _own_cost(options: list[Candidate]) -> np.ndarray:
    """Return each candidate's disagreement with the others and lack of visibility. (N,)."""
    apart = np.array([np.median([min(distance(a, b), 0.5) for b in options]) for a in options])
    hidden = 1.0 - np.array([a.visibility[LIMBS].mean() for a in options])
    tracked = np.array([not a.fresh for a in options]) & any(a.fresh for a in options)
    return apart + 0.2 * hidden + _TRACKED_COST * tracked


def _jump_cost(before: list[Candidate], now: list[Candidate]) -> np.ndarray:
    """Return how far place and pose move between all pairs. (N, M)."""
    return np.array([[min(distance(a, b), 1.0) + min(float(np.linalg.norm(a.centre - b.centre)) / a.size, 1.0)
                      for b in now] for a in before])


def _merged(best: Candidate, options: list[Candidate]) -> Candidate:
    same = [option for option in options if option.fresh == best.fresh and distance(best, option) < _SAME_PERSON]
    if len(same) < 2:
        return best
    return Candidate(np.median([c.xy for c in same], axis=0), np.median([c.xyz for c in same], axis=0),
                     np.mean([c.visibility for c in same], axis=0), best.fresh)
