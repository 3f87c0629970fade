"""How alike two moments of a motion are, wherever the body is and whichever way it faces.

A moment is the cloud of the joints now, a tenth of a second before and a tenth after, so that its speed counts too; two
clouds are turned about the vertical and shifted over the ground until they fit best, which has a closed form.
Source: Kovar, Gleicher and Pighin, "Motion Graphs", 2002, §3.1; horizontal places are complex numbers here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retarget import kinematics
from retarget.motion import Motion

REACH = 0.1
"""Time in s from a moment to the earlier and to the later joints of its cloud."""
_BLOCK = 256
"""Moments that are compared at a time, which bounds the memory."""


@dataclass(frozen=True)
class Clouds:
    """The clouds of T moments, of P points each, scaled so that distances are weighted root mean squares."""

    ground: np.ndarray
    """x + i·y in m from the cloud's middle, complex of shape (T, P)."""
    height: np.ndarray
    """Height in m, shape (T, P)."""

    def __len__(self) -> int:
        return len(self.ground)

    def __getitem__(self, moments: slice) -> Clouds:
        """Select moments."""
        return Clouds(self.ground[moments], self.height[moments])

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return how far in m the joints of moments `a` and `b` are apart, root mean square. (N,), (N,) → (N,)."""
        apart = (np.sum(np.abs(self.ground[a]) ** 2 + np.abs(self.ground[b]) ** 2, -1)
                 - 2 * np.abs(self._fit(a, b)) + np.sum((self.height[a] - self.height[b]) ** 2, -1))
        return np.sqrt(np.maximum(apart, 0.0))

    def turn(self, a: np.ndarray, b: np.ndarray) -> float:
        """Return the mean turn about the vertical in rad from moments `a` to `b`, in (−π, π]. (N,), (N,)."""
        return float(np.angle(np.sum(self._fit(a, b))))

    def _fit(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.sum(np.conj(self.ground[a]) * self.ground[b], -1)

    def lags(self, longest: int) -> np.ndarray:
        """Return the distances between each moment and those after it, infinite past the end: (T, longest + 1)."""
        table = np.full((len(self), longest + 1), np.inf, np.float32)
        square = np.sum(np.abs(self.ground) ** 2 + self.height**2, -1)
        for first in range(0, len(self), _BLOCK):
            rows, columns = slice(first, first + _BLOCK), slice(first, first + _BLOCK + longest)
            apart = (square[rows, None] + square[None, columns]
                     - 2 * np.abs(np.conj(self.ground[rows]) @ self.ground[columns].T)
                     - 2 * self.height[rows] @ self.height[columns].T)
            column = np.arange(len(apart))[:, None] + np.arange(longest + 1)
            inside = column < apart.shape[1]
            near = np.take_along_axis(apart, np.minimum(column, apart.shape[1] - 1), 1)
            table[rows] = np.where(inside, np.sqrt(np.maximum(near, 0.0)), np.inf)
        return table


def clouds(motion: Motion, stride: int = 1) -> Clouds:
    """Return the clouds of every `stride`-th frame; joints at the ends of long bones weigh more, fingers little."""
    reach = round(REACH * motion.fps)
    weights = np.linalg.norm(motion.skeleton.offsets, axis=-1)
    weights[motion.skeleton.parents < 0] = 0.0
    weights /= max(3 * weights.sum(), 1e-9)
    frames = np.arange(0, len(motion), stride)
    places, _ = kinematics.world_poses(motion)
    moments = np.clip(frames[:, None] + np.array([-reach, 0, reach]), 0, len(motion) - 1)
    points = places[moments]
    middle = np.einsum("j,tsjk->tk", weights, points)[:, None, None]
    points = (points - middle * np.array([1.0, 1.0, 0.0])) * np.sqrt(weights)[:, None]
    points = points.reshape(len(frames), -1, 3)
    return Clouds(points[..., 0] + 1j * points[..., 1], points[..., 2])
