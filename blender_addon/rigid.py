"""Rigid movements: a rotation about the origin, then a shift, on arrays with any leading axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retarget import rotation


@dataclass(frozen=True)
class Rigid:
    """Where frames are, or how they move: x → rotate(turn, x) + shift."""

    turn: np.ndarray
    """(..., 4) wxyz."""
    shift: np.ndarray
    """(..., 3), in the armature's units."""

    def __getitem__(self, key: object) -> Rigid:
        """Choose along the leading axes."""
        return Rigid(self.turn[key], self.shift[key])


STILL = Rigid(rotation.IDENTITY, np.zeros(3))
"""The movement that leaves everything in place."""


def moved(movement: Rigid, points: np.ndarray) -> np.ndarray:
    """Move points. (..., 3) → (..., 3)."""
    return rotation.rotate(movement.turn, points) + movement.shift


def after(second: Rigid, first: Rigid) -> Rigid:
    """Move by `first`, then by `second`."""
    return Rigid(rotation.multiply(second.turn, first.turn), moved(second, first.shift))


def between(before: Rigid, now: Rigid) -> Rigid:
    """Return the movement that takes frames from where they were to where they are."""
    turn = rotation.multiply(now.turn, rotation.inverse(before.turn))
    return Rigid(turn, now.shift - rotation.rotate(turn, before.shift))


def from_matrices(matrices: np.ndarray) -> Rigid:
    """Read 4 × 4 matrices, without their scale. (..., 4, 4)."""
    matrices = np.asarray(matrices, float)
    axes = matrices[..., :3, :3]
    sizes = np.linalg.norm(axes, axis=-2, keepdims=True)
    return Rigid(rotation.from_matrix(axes / np.where(sizes > 0, sizes, 1.0)), matrices[..., :3, 3])
