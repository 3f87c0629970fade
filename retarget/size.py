"""How places of one body become places of another, over the floor that both stand on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .contact import LOWEST, NEAR
from .legs import legs_of
from .posing import Posing
from .rest import Body, scale_between


@dataclass(frozen=True)
class Size:
    """How places of the source become places of the target, both in body axes."""

    axes: np.ndarray
    """The source's left, backward and up as columns, (3, 3)."""
    scale: float
    """Size of the target per size of the source."""
    floors: tuple[float, float]
    """Heights in m at which the source's and the target's lowest joints stand, each at its own size."""
    stride: np.ndarray
    """What the way over the ground is multiplied by, (2, 2)."""
    origin: np.ndarray
    """The scaled place over the ground that stays where it is, (2,) m."""

    def of(self, places: np.ndarray) -> np.ndarray:
        """Return where places (..., 3) m in the source's world are on the target."""
        seen = places @ (self.axes * self.scale)
        seen[..., 2] += self.floors[1] - self.scale * self.floors[0]
        if not np.array_equal(self.stride, np.eye(2)):
            seen[..., :2] = self.origin + (seen[..., :2] - self.origin) @ self.stride.T
        return seen


def size_between(ours: Body, theirs: Body, source: Posing, stride: float) -> Size:
    """Return the size of one body per another; the stride scales the hips' path along its main direction.

    Where a body does not rest on the floor, the source's lowest feet tell where it is, if they come near it at all.
    """
    scale = scale_between(ours, theirs)
    own = _floor(ours, theirs, source) if ours.sole is None else ours.sole
    size = Size(ours.axes, scale, (own, scale * own if theirs.sole is None else theirs.sole), np.eye(2), np.zeros(2))
    level = size.of(source.place(ours.hips))[:, :2]
    away = level - level.mean(axis=0)
    spread, main = np.linalg.eigh(away.T @ away)
    share = spread / spread[-1] if spread[-1] > 1e-12 else np.zeros(2)
    return replace(size, stride=np.eye(2) + (stride - 1.0) * (main * share) @ main.T, origin=level[0])


def _floor(ours: Body, theirs: Body, source: Posing) -> float:
    """Return how high the source's lowest joint is while it stands, in m; 0 where its feet stay away from z = 0."""
    heights = [(leg.points(source) @ ours.up - leg.heights).min(axis=1) for leg, _ in legs_of(ours, theirs)]
    lowest = float(np.percentile(np.min(heights, axis=0), LOWEST)) if heights else 0.0
    return lowest if lowest < NEAR * ours.hip_height else 0.0
