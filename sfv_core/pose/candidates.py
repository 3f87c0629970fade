"""Choose among several detections of the same person in the same picture, and merge those that agree."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

LIMBS = np.array([11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28])
"""Shoulders, elbows, wrists, hips, knees and ankles among MediaPipe's 33 landmarks."""
_HIPS = np.array([23, 24])
_SAME_POSE = 0.10
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


def choose(candidates: list[list[Candidate]]) -> list[Candidate | None]:
    """Follow one pose through the pictures and merge the detections that agree on it.

    The path minimises jumps of place and pose between pictures plus disagreement within a picture (Viterbi); pictures
    without a candidate stay None.
    """
    candidates = [_agreed(options) for options in candidates]
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


def _agreed(options: list[Candidate]) -> list[Candidate]:
    """Merge two detections at once where they agree, which spares the search."""
    agree = len(options) == 2 and distance(*options) < _SAME_POSE
    return [_merged(options[0], options)] if agree else options


def _own_cost(options: list[Candidate]) -> np.ndarray:
    """Return each candidate's disagreement with the others and lack of visibility. (N,)."""
    apart = np.array([np.median([min(distance(a, b), 0.5) for b in options]) for a in options])
    hidden = 1.0 - np.array([a.visibility[LIMBS].mean() for a in options])
    return apart + 0.2 * hidden


def _jump_cost(before: list[Candidate], now: list[Candidate]) -> np.ndarray:
    """Return how far place and pose move between all pairs. (N, M)."""
    return np.array([[min(distance(a, b), 1.0) + min(float(np.linalg.norm(a.centre - b.centre)) / a.size, 1.0)
                      for b in now] for a in before])


def _merged(best: Candidate, options: list[Candidate]) -> Candidate:
    same = [option for option in options if distance(best, option) < _SAME_POSE]
    if len(same) < 2:
        return best
    return Candidate(np.median([c.xy for c in same], axis=0), np.median([c.xyz for c in same], axis=0),
                     np.mean([c.visibility for c in same], axis=0))
