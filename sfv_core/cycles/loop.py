"""Whether a captured motion repeats itself, as steps of a walk do, and where its best cycle is.

A period is a lag after which the motion looks the same all through a cycle, where it looks different half a cycle
later. It must be seen nearly twice, and to be sure of it, it must fill most of the motion: whoever waves three times
in a clip performed a greeting, not a cycle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retarget import rotation
from retarget.motion import Motion
from sfv_core.cycles.similarity import Clouds, clouds
from sfv_core.errors import SfvError

SURE = 0.7
"""Confidence from which a motion counts as one that repeats."""
SHORTEST, LONGEST = 0.3, 5.0
"""Length in s that a cycle may have."""
FARTHEST = 1e5
"""A motion farther than this in m from the origin is none of a body."""
STILL = 0.03
"""A motion whose moments differ by less than this in m, root mean square over the body, stands still."""
_RATE = 30.0
"""Moments per second that are compared first."""
_SEEN = 0.8
"""Part of a cycle that must be seen again after it."""
_ALIKE = 0.4
"""Moments a period apart are alike below this share of how different moments within a cycle are."""


@dataclass(frozen=True)
class Loop:
    """A cycle of a motion: the pose at its last frame is the one at its first."""

    start: int
    """First frame."""
    end: int
    """Last frame; the next cycle's first."""
    seconds: float
    """Length of the cycle in s."""
    repetitions: float
    """How many cycles the part of the motion that repeats holds."""
    seam_cm: float
    """How far the bodies are apart at the seam before it is blended: root mean square over the joints, with those a
    tenth of a second before and after."""
    seam_deg: float
    """How far the joints' angles are apart there, mean over the joints but the root."""
    turn_deg: float
    """Turn about the vertical in one cycle, −180 to 180."""
    confidence: float
    """0 to 1: how alike the repetitions are, times the part of the motion that they fill."""


def find_loop(motion: Motion) -> Loop | None:
    """Return the best cycle of a motion that surely repeats; None for any other."""
    loop = best_loop(motion)
    return loop if loop is not None and loop.confidence >= SURE else None


def best_loop(motion: Motion) -> Loop | None:
    """Return the most cyclic part of a motion, however little that is; None if it is too short, still or nowhere."""
    if not np.all(np.abs(motion.root_pos) < FARTHEST):
        return None
    stride = max(round(motion.fps / _RATE), 1)
    coarse = clouds(motion, stride)
    rate = motion.fps / stride
    longest = min(int((len(coarse) - 1) / (1 + _SEEN)), round(LONGEST * rate))
    shortest = max(round(SHORTEST * rate), 2)
    if longest < shortest:
        return None
    table = _Table(coarse.lags(longest))
    found = _period(table, shortest)
    if found is None:
        return None
    lag, difference = found
    first, last = _stretch(table, lag)
    fine = clouds(motion)
    first, last = first * stride, min(last * stride, len(motion) - 1)
    period = _refine(fine, lag * stride, stride, first, last)
    start = _seam(fine, period, first, last)
    covered = (last - first) / (len(motion) - 1)
    return _describe(motion, fine, start, start + period, (last - first) / period,
                     (1.0 - difference) * covered)


def loop_between(motion: Motion, start: float, end: float) -> Loop:
    """Return the cycle between two moments in s that someone chose. Raise SfvError if it is none."""
    if not 0 <= start < start + SHORTEST <= end <= motion.duration + 0.5 / motion.fps:
        raise SfvError(f"No cycle lies between {start:g} and {end:g} s: the motion lasts {motion.duration:.2f} s and a "
                       f"cycle at least {SHORTEST} s. Choose others for --start and --end.")
    first, last = round(start * motion.fps), round(end * motion.fps)
    fine = clouds(motion)
    frames = np.arange(first, last + 1)
    unlike = float(np.mean(fine.distance(frames, np.full(len(frames), first))))
    seam = float(fine.distance(frames[:1], frames[-1:])[0])
    return _describe(motion, fine, first, last, 1.0, 1.0 - seam / max(unlike, 1e-9))


class _Table:
    """Distances between each moment and those after it, averaged over the parts that must repeat after a lag."""

    def __init__(self, distances: np.ndarray) -> None:
        """Take the table (T, lags) of Clouds.lags."""
        finite = np.where(np.isfinite(distances), distances, 0.0)
        self.moments, self.lags = distances.shape
        self._sums = np.zeros((self.moments + 1, self.lags + 1))
        self._sums[1:, 1:] = np.cumsum(np.cumsum(finite, axis=0), axis=1)

    def compare(self, lag: int) -> tuple[np.ndarray, np.ndarray]:
        """Return for each moment how different what follows is after the lag and within a cycle, in m; both (S,)."""
        return self._means(lag, lag, lag), self._means(lag, lag // 4, 3 * lag // 4)

    def _means(self, lag: int, low: int, high: int) -> np.ndarray:
        sums, window = self._sums[: self.moments - lag + 1], _window(lag)
        columns = sums[:, high + 1] - sums[:, low]
        return (columns[window:] - columns[:-window]) / (window * (high + 1 - low))


def _window(lag: int) -> int:
    """Return the number of moments that must repeat after a lag."""
    return max(round(_SEEN * lag), 1)


def _period(table: _Table, shortest: int) -> tuple[int, float] | None:
    """Return the lag of the motion's period, and how different its repetitions are as a share of the cycle's range."""
    ratios = []
    for lag in range(shortest, table.lags):
        different, unlike = table.compare(lag)
        ratios.append(np.min(np.where(unlike > STILL, different / np.maximum(unlike, 1e-9), np.inf)))
    ratios = np.array(ratios)
    if not np.isfinite(ratios).any():
        return None
    good = ratios <= 1.3 * ratios.min() + 0.02
    first = int(np.argmax(good))  # the first that is as good as any: later ones are multiples of it
    stop = first + int(np.argmin(np.append(good[first:], False)))
    best = first + int(np.argmin(ratios[first:stop]))
    return best + shortest, float(ratios[best])


def _stretch(table: _Table, lag: int) -> tuple[int, int]:
    """Return the first and the last moment of the longest part that moves and repeats after the lag."""
    different, unlike = table.compare(lag)
    alike = (different < _ALIKE * unlike) & (unlike > max(STILL, 0.5 * unlike.max()))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], alike, [False]]).astype(int)))
    beyond = _window(lag) + lag - 1
    if not len(edges):
        best = int(np.argmin(different / np.maximum(unlike, STILL)))
        return best, best + beyond
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    return int(starts[longest]), int(stops[longest] - 1 + beyond)


def _refine(fine: Clouds, lag: int, reach: int, first: int, last: int) -> int:
    """Return the lag in frames, of those within `reach`, after which the frames `first` to `last` look most alike."""
    lags = [n for n in range(lag - reach, lag + reach + 1) if first + n <= last]
    means = [fine.distance(np.arange(first, last - n + 1), np.arange(first + n, last + 1)).mean() for n in lags]
    return lags[int(np.argmin(means))]


def _seam(fine: Clouds, period: int, first: int, last: int) -> int:
    """Return the frame of the part that repeats whose surroundings look most alike a period later."""
    starts = np.arange(first, last - period + 1)
    apart = fine.distance(starts, starts + period)
    width = min(5, len(apart))
    padded = np.pad(apart, (width // 2, width - 1 - width // 2), mode="edge")
    return first + int(np.argmin(np.convolve(padded, np.ones(width) / width, "valid")))


def _describe(motion: Motion, fine: Clouds, start: int, end: int, repetitions: float, confidence: float) -> Loop:
    """Measure a cycle."""
    around = np.arange(max(-2, -start), min(2, len(motion) - 1 - end) + 1)
    turn = fine.turn(start + around, end + around)
    joints = motion.skeleton.parents >= 0
    angles = rotation.angle(motion.rotations[start, joints], motion.rotations[end, joints])
    seam = fine.distance(np.array([start]), np.array([end]))[0]
    return Loop(start, end, (end - start) / motion.fps, repetitions, float(100 * seam),
                float(np.degrees(angles.mean())) if len(angles) else 0.0, float(np.degrees(turn)),
                float(np.clip(confidence, 0.0, 1.0)))
