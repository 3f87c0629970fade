"""How places of one body become places of another, over the floor that both stand on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .rest import Body, scale_between


@dataclass(frozen=True)
class Size:
    """How places of the source become places of the target, both in body axes."""

    axes: np.ndarray
    """The source's left, backward and up as columns, (3, 3)."""
    scale: float
    """Size of the target per size of the source."""
    stride: np.ndarray
    """What the way over the ground is multiplied by, (2, 2)."""
    origin: np.ndarray
    """The scaled place over the ground that stays where it is, (2,) m."""

    def of(self, places: np.ndarray) -> np.ndarray:
        """Return where places (..., 3) m in the source's world are on the target."""
        seen = places @ (self.axes * self.scale)
        if not np.array_equal(self.stride, np.eye(2)):
            seen[..., :2] = self.origin + (seen[..., :2] - self.origin) @ self.stride.T
        return seen


def size_between(ours: Body, theirs: Body, path: np.ndarray, stride: float) -> Size:
    """Return the size of one body per another; the stride scales the hips' path (T, 3) m along its main direction."""
    size = Size(ours.axes, scale_between(ours, theirs), np.eye(2), np.zeros(2))
    level = size.of(path)[:, :2]
    away = level - level.mean(axis=0)
    spread, main = np.linalg.eigh(away.T @ away)
    share = spread / spread[-1] if spread[-1] > 1e-12 else np.zeros(2)
    return replace(size, stride=np.eye(2) + (stride - 1.0) * (main * share) @ main.T, origin=level[0])
