"""Where episodes start: functions that choose reference ticks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sfv_core.imitate.reference import Reference
from sfv_core.physics.engine import PHYSICS_RATE

Start = Callable[[Reference, int, np.random.Generator], np.ndarray]
"""(reference, number N of episodes, generator) → ticks (N,)."""


def fixed(reference: Reference, count: int, generator: np.random.Generator) -> np.ndarray:
    """Start at the motion's first moment."""
    return np.zeros(count, int)


def anywhere(reference: Reference, count: int, generator: np.random.Generator) -> np.ndarray:
    """Start at any moment with equal chance: reference-state initialisation (DeepMimic §6.1).

    A clip that ends leaves at least an eighth of a second to act in.
    """
    stop = reference.last if reference.loop else reference.last - PHYSICS_RATE // 8
    return generator.integers(0, stop, count)


def beginning(reference: Reference, count: int, generator: np.random.Generator) -> np.ndarray:
    """Start within the first quarter of a second (a tenth of a short clip), once exactly at the first moment."""
    ticks = generator.integers(0, max(min(PHYSICS_RATE // 4, reference.last // 10), 1), count)
    ticks[:1] = 0
    return ticks
