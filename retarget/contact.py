"""When a point touches the ground, and how a foot must move so that what touches stays where it is."""

from __future__ import annotations

import numpy as np

from .smoothing import rising

NEAR, FAR = 0.12, 0.35
"""Height of a foot or hand over the floor, in hip heights, up to which the floor binds it, and from which on it is
free."""
_BEGINS = (0.25, 0.05)
_LASTS = (0.4, 0.08)
"""Speed in m/s and height in m below which a contact begins, and up to which it lasts, for hips 0.9 m above the
floor; heights count from the point's own lowest. Two thresholds, so that a contact does not flicker."""
_HIPS = 0.9
LOWEST = 2.0
"""Percentile of a point's height that counts as the ground under it."""
_SHORTEST_S, _GAP_S = 0.1, 0.07
"""Shorter contacts are none, shorter gaps are bridged, in s."""
_FADE_S = 0.2
"""Time in s in which a correction fades before and after a contact."""
SLIDES = 0.2
"""Way in hip heights beyond which a foot that moves during a contact is meant to slide, and is left to."""


def bound(heights: np.ndarray, hip_height: float) -> np.ndarray:
    """Return how much the floor binds what is that high over it, 1 near it, 0 far from it. heights: (...) m."""
    return 1.0 - rising((heights / hip_height - NEAR) / (FAR - NEAR))


def touching(places: np.ndarray, fps: float, hip_height: float) -> np.ndarray:
    """Return when points touch the ground, (T, P) bool: slow and low, with hysteresis. places: (T, P, 3) m, z up."""
    if len(places) < 2:
        return np.zeros(places.shape[:2], bool)
    size = hip_height / _HIPS
    speed = np.linalg.norm(np.gradient(places, 1.0 / fps, axis=0), axis=-1) / size
    height = (places[..., 2] - np.percentile(places[..., 2], LOWEST, axis=0)) / size
    begins, lasts = ((speed < v) & (height < h) for v, h in (_BEGINS, _LASTS))
    out = np.zeros(lasts.shape, bool)
    for point in range(lasts.shape[1]):
        for first, last in runs(lasts[:, point]):
            out[first:last, point] = begins[first:last, point].any()
        _steady(out[:, point], fps)
    return out


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and the past-the-last index of each unbroken run of true values. (T,) bool."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _steady(flags: np.ndarray, fps: float) -> None:
    """Bridge short gaps and drop short contacts, in place. (T,) bool."""
    for value, shortest in ((False, _GAP_S), (True, _SHORTEST_S)):
        for first, last in runs(flags == value):
            if last - first < round(shortest * fps) and first > 0 and last < len(flags):
                flags[first:last] = not value


def held(points: np.ndarray, wanted: np.ndarray, touches: np.ndarray, fps: float, slides: float) -> np.ndarray:
    """Return how far a foot has to move, (T, n) m, so that its touching points move as they are wanted to.

    points, wanted: (T, P, n) m where the foot's points are and how they should move, only their steps count;
    touches: (T, P) bool; slides: way in m beyond which the foot is left alone during that contact. While one point
    or another touches the foot rolls over it; between contacts the correction fades.
    """
    both = touches[1:] & touches[:-1]
    slip = np.diff(points, axis=0) - np.diff(wanted, axis=0)
    count = both.sum(axis=1)
    step = np.einsum("tp,tpn->tn", both, slip) / np.maximum(count, 1)[:, None]
    way = np.concatenate([np.zeros((1, step.shape[1])), -np.cumsum(step, axis=0)])
    move, spans = np.zeros_like(way), []
    for first, last in runs(touches.any(axis=1)):
        part = way[first:last] - way[first:last].mean(axis=0)
        if np.linalg.norm(part, axis=1).max() < slides:
            move[first:last] = part
            spans.append((first, last))
    _fade(move, spans, max(1, round(_FADE_S * fps)))
    return move


def _fade(move: np.ndarray, spans: list[tuple[int, int]], frames: int) -> None:
    """Let corrections fade smoothly within `frames` before and after the spans that have them, in place. (T, n)."""
    edges = [0, *(edge for span in spans for edge in span), len(move)]
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if last <= first or not spans:
            continue
        reach = min(frames, last - first + 1)
        place = np.arange(1, last - first + 1)[:, None] / reach
        before = move[first - 1] * _falling(place) if first > 0 else 0.0
        after = move[last] * _falling(place)[::-1] if last < len(move) else 0.0
        move[first:last] = before + after


def _falling(x: np.ndarray) -> np.ndarray:
    """Fall smoothly from 1 at 0 to 0 at 1 and beyond."""
    x = np.minimum(x, 1.0)
    return 1.0 - x * x * (3.0 - 2.0 * x)
