"""Slow noise on actions: what takes differ by, and what policies learn to bear once they stay up.

Quick noise would only make the character tremble; slow noise bends its joints for a while, as a motor that errs does.
"""

from __future__ import annotations

import numpy as np

from sfv_core.imitate.rules import CONTROL_RATE

SECONDS = 0.25
"""Time over which the noise changes."""
_KEEP = float(np.exp(-1 / (SECONDS * CONTROL_RATE)))


class Sway:
    """Numbers for each of N worlds that wander about 0 with standard deviation 1: an autoregressive process."""

    def __init__(self, worlds: int, coordinates: int) -> None:
        """Begin at 0."""
        self._values = np.zeros((worlds, coordinates))

    def restart(self, ids: np.ndarray) -> None:
        """Begin at 0 in the worlds `ids` (K,)."""
        self._values[ids] = 0.0

    def step(self, generator: np.random.Generator) -> np.ndarray:
        """Go on by one control step; return the values, (N, C)."""
        fresh = generator.normal(size=self._values.shape)
        self._values = _KEEP * self._values + np.sqrt(1 - _KEEP**2) * fresh
        return self._values
