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
    """Choose the keys that all channels of one bone share, as few as the tolerance allows.

    mode: the bone's rotation mode; unit: metres per unit of its location. The lines between the keys are Blender's:
    straight in each channel, quaternions normalised afterwards.
    """
    moving = [channel for channel in channels if len(channel.values) > 1]
    frames = max((len(channel.values) for channel in moving), default=1)
    goals = [_meaning(channel, channel.values, mode, unit) for channel in moving]

    def errors(keys: np.ndarray) -> list[np.ndarray]:
        """Measure each channel at every frame, in its own unit, (T,) each."""
        lines = [_between(channel.values, keys) for channel in moving]
        return [_distance(channel, _meaning(channel, line, mode, unit), goal)
                for channel, line, goal in zip(moving, lines, goals, strict=True)]

    def share(keys: np.ndarray) -> np.ndarray:
        """Return the largest error per what is allowed, (T,)."""
        return np.max([error / _allowed(c, tolerance) for c, error in zip(moving, errors(keys), strict=True)], axis=0)

    keys = np.array([0])
    if moving and share(keys).max() > 1:
        keys = _merged(_split(frames, share), share)
    worst = [float(error.max()) for error in errors(keys)]
    by_kind = {kind: max((error for channel, error in zip(moving, worst, strict=True) if _kind(channel) == kind),
                         default=0.0) for kind in ("rotation", "location")}
    return Kept(keys, by_kind["rotation"], by_kind["location"])


def _split(frames: int, share: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Add a key where each span is worst until none is too bad: Douglas and Peucker 1973, all spans at once."""
    keys = np.array([0, frames - 1])
    while True:
        wrong = share(keys)
        worst = [first + int(np.argmax(wrong[first:last])) for first, last in pairwise(keys)]
        new = [frame for frame in worst if wrong[frame] > 1]
        if not new:
            return keys
        keys = np.union1d(keys, new)


def _merged(keys: np.ndarray, share: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Take out keys that the later ones have made needless: every second one is tried, in turns."""
    turn, idle = 0, 0
    while idle < 2:
        tried = np.arange(1 + turn, len(keys) - 1, 2)
        wrong = share(np.delete(keys, tried))
        needless = [i for i in tried if wrong[keys[i - 1]:keys[i + 1]].max() <= 1]
        keys = np.delete(keys, needless)
        turn, idle = 1 - turn, 0 if needless else idle + 1
    return keys


def _between(values: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Draw straight lines between the keys, (T, C)."""
    frames = np.arange(len(values))
    return np.stack([np.interp(frames, keys, column[keys]) for column in values.T], axis=-1)


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


def _distance(channel: Channels, shown: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the difference at each frame, in rad, m or the channel's unit, (T,)."""
    if _kind(channel) == "rotation":
        return rotation.angle(shown, wanted)
    return np.linalg.norm(shown - wanted, axis=-1)
