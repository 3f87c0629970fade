"""Fewer keys for the same motion: those that the lines between the others already say, to a stated error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from retarget import rotation

from .armature import Channels
from .channels import rotations_of


@dataclass(frozen=True)
class Tolerance:
    """How far the shown motion may be from the baked one, at any frame, for each bone in its parent."""

    radians: float
    metres: float
    other: float = 1e-3
    """For channels that are neither rotation nor location."""


@dataclass(frozen=True)
class Kept:
    """Which keys a bone's channels keep, and what that costs."""

    keys: np.ndarray
    """Ascending indices of the frames that keep their key, shape (K,)."""
    radians: float
    """Largest error of the rotation, measured on what Blender makes of the remaining keys."""
    metres: float
    """Largest error of the location."""


def reduced(channels: Sequence[Channels], mode: str, unit: float, tolerance: Tolerance) -> Kept:
    """Choose the keys that all channels of one bone share, each as far from the one before as the tolerance allows.

    mode: the bone's rotation mode; unit: metres per unit of its location. The lines between the keys are Blender's:
    straight in each channel, quaternions normalised afterwards.
    """
    moving = [channel for channel in channels if len(channel.values) > 1]
    frames = max((len(channel.values) for channel in moving), default=1)
    goals = [_meaning(channel, channel.values, mode, unit) for channel in moving]

    def errors(first: int, last: int) -> list[float]:
        """Measure each channel between two keys, in its own unit."""
        way = np.linspace(0.0, 1.0, last - first + 1)[:, None]
        lines = [c.values[first] + way * (c.values[last] - c.values[first]) for c in moving]
        return [_distance(channel, _meaning(channel, line, mode, unit), goal[first:last + 1])
                for channel, line, goal in zip(moving, lines, goals, strict=True)]

    def within(found: list[float]) -> bool:
        return all(error <= _allowed(channel, tolerance) for channel, error in zip(moving, found, strict=True))

    worst = [_distance(channel, goal[:1], goal) for channel, goal in zip(moving, goals, strict=True)]
    keys = [0]
    if not within(worst):
        keys = _farthest(frames, lambda first, last: within(errors(first, last)))
        worst = np.max([errors(first, last) for first, last in pairwise(keys)], axis=0).tolist()
    by_kind = {kind: max((error for channel, error in zip(moving, worst, strict=True) if _kind(channel) == kind),
                         default=0.0) for kind in ("rotation", "location")}
    return Kept(np.array(keys), by_kind["rotation"], by_kind["location"])


def _farthest(frames: int, fits: Callable[[int, int], bool]) -> list[int]:
    """Return keys from the first to the last frame, each found by doubling steps and then halving them."""
    keys = [0]
    while keys[-1] < frames - 1:
        here, far, step = keys[-1], keys[-1] + 1, 1
        while far + step < frames and fits(here, far + step):
            far, step = far + step, 2 * step
        while step > 1:
            step //= 2
            if far + step < frames and fits(here, far + step):
                far += step
        keys.append(far)
    return keys


def _kind(channel: Channels) -> str:
    return "rotation" if channel.property.startswith("rotation_") else (
        "location" if channel.property == "location" else "other")


def _allowed(channel: Channels, tolerance: Tolerance) -> float:
    return {"rotation": tolerance.radians, "location": tolerance.metres, "other": tolerance.other}[_kind(channel)]


def _meaning(channel: Channels, values: np.ndarray, mode: str, unit: float) -> np.ndarray:
    """Turn channel values into what is compared: rotations (T, 4), places in m (T, 3), or the values."""
    kind = _kind(channel)
    if kind == "rotation":
        return rotations_of(mode, values)
    return values * unit if kind == "location" else values


def _distance(channel: Channels, shown: np.ndarray, wanted: np.ndarray) -> float:
    """Return the largest difference over the frames, in rad, m or the channel's unit."""
    if _kind(channel) == "rotation":
        return float(rotation.angle(shown, wanted).max())
    return float(np.linalg.norm(shown - wanted, axis=-1).max())
