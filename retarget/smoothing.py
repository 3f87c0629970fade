"""Curves over time without jumps."""

from __future__ import annotations

import numpy as np


def rising(x: np.ndarray) -> np.ndarray:
    """Rise smoothly from 0 at 0 to 1 at 1."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def smooth(x: np.ndarray, frames: float) -> np.ndarray:
    """Average with a bell of that standard deviation, the ends held. (T, n)."""
    radius = min(int(3 * frames), 4 * len(x))
    if radius < 1:
        return x
    bell = np.exp(-0.5 * (np.arange(-radius, radius + 1) / frames) ** 2)
    padded = np.pad(x, ((radius, radius), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, bell / bell.sum(), mode="valid") for column in padded.T], axis=1)


def at_least(need: np.ndarray, frames: int) -> np.ndarray:
    """Return a smooth curve that is nowhere below `need` (T,), within that many frames of it."""
    if not need.any() or frames < 1:
        return need
    padded = np.pad(need, frames, mode="edge")
    highest = np.lib.stride_tricks.sliding_window_view(padded, 2 * frames + 1).max(axis=1)
    width = np.hanning(2 * frames + 3)[1:-1]
    return np.convolve(np.pad(highest, frames, mode="edge"), width / width.sum(), mode="valid")
