"""Slow noise on actions: what takes differ by, and what policies learn to bear once they stay up.

Quick noise would only make the character tremble; slow noise bends its joints for a while, as a motor that errs does.
"""

from __future__ import annotations

import numpy as np

from sfv_core.imitate.rules import CONTROL_RATE

SECONDS = 0.25
"""Time over which the noise changes."""


class Sway:
    """Numbers of standard deviation 1 that change slowly: an autoregressive process, one step per control step."""

    _KEEP = float(np.exp(-1 / (SECONDS * CONTROL_RATE)))

    def __init__(self, shape: tuple[int, ...], generator: np.random.Generator, still: bool = False) -> None:
        """Begin anywhere, or `still`, at 0."""
        self._generator = generator
        self._value = np.zeros(shape) if still else generator.normal(size=shape)

    def __call__(self) -> np.ndarray:
        """Return the next values."""
        fresh = self._generator.normal(size=self._value.shape)
        self._value = self._KEEP * self._value + np.sqrt(1 - self._KEEP**2) * fresh
        return self._value
