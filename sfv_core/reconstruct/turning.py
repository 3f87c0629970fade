"""What moves to meet pins, and how points of the body follow: corrections as one vector per frame, and Jacobians.

A correction δ has three numbers for each moving joint, q = q_captured · exp(δ), then three for the root's shift.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from retarget import rotation
from retarget.kinematics import forward
from retarget.motion import Motion, Skeleton

STIFFNESS = {"pelvis": 30.0, "spine": 10.0, "neck": 3.0, "collar": 4.0}
"""How much more reluctantly than a limb a joint turns, by the beginning of its name or of the part after its side."""
_TRAVEL = 30.0
"""The same for the root's shift in m against a limb's turn in rad."""


@dataclass(frozen=True)
class Moving:
    """Which joints turn, and whether the root travels."""

    skeleton: Skeleton
    joints: tuple[int, ...]
    travels: bool

    @property
    def columns(self) -> int:
        """Length of one frame's correction."""
        return 3 * len(self.joints) + 3 * self.travels

    @cached_property
    def carries(self) -> np.ndarray:
        """Which joints move when a moving joint turns, its own among them, shape (A, J) bool."""
        above = np.eye(len(self.skeleton), dtype=bool)
        for joint, parent in enumerate(self.skeleton.parents):
            if parent >= 0:
                above[:, joint] |= above[:, parent]
        return above[list(self.joints)]

    @cached_property
    def stiffness(self) -> np.ndarray:
        """How reluctantly each column moves, 1 for a limb, shape (n,)."""
        turning = [_stiffness(self.skeleton.names[joint]) for joint in self.joints]
        return np.concatenate([np.repeat(turning, 3), np.full(3 * self.travels, _TRAVEL)])

    def turns(self, delta: np.ndarray) -> np.ndarray:
        """Return the rotation vectors of corrections. (..., n) → (..., A, 3)."""
        return delta[..., : 3 * len(self.joints)].reshape(*delta.shape[:-1], -1, 3)

    def columns_of(self, joints: Iterable[int]) -> np.ndarray:
        """Return which columns turn these joints, shape (n,) bool."""
        wanted = set(joints)
        return np.concatenate([np.repeat([joint in wanted for joint in self.joints], 3),
                               np.zeros(3 * self.travels, bool)]).astype(bool)


@dataclass(frozen=True)
class Pose:
    """The corrected body in N frames."""

    moving: Moving
    root_pos: np.ndarray
    """Shape (N, 3) m."""
    rotations: np.ndarray
    """Local, shape (N, J, 4)."""
    places: np.ndarray
    """Joints in the world in m, shape (N, J, 3)."""
    world: np.ndarray
    """Rotations in the world, shape (N, J, 4)."""
    axes: np.ndarray
    """How the moving joints turn in the world per unit of δ, shape (N, A, 3, 3)."""

    def jacobian(self, points: np.ndarray, carriers: np.ndarray) -> np.ndarray:
        """Return how world points (N, K, 3) on the joints `carriers` (K,) follow δ, shape (N, K, 3, n)."""
        moving = self.moving
        out = np.zeros((*points.shape, moving.columns))
        for place, joint in enumerate(moving.joints):
            moved = np.flatnonzero(moving.carries[place, carriers])
            arm = points[:, moved] - self.places[:, None, joint]
            out[:, moved, :, 3 * place : 3 * place + 3] = -_skew(arm) @ self.axes[:, None, place]
        if moving.travels:
            out[..., -3:] = np.eye(3)
        return out


def posed(motion: Motion, moving: Moving, delta: np.ndarray) -> Pose:
    """Apply corrections (N, n) to the N frames of a motion."""
    rotations, root_pos, joints = motion.rotations, motion.root_pos, list(moving.joints)
    turns = moving.turns(delta)
    if joints:
        rotations = rotations.copy()
        rotations[:, joints] = rotation.multiply(rotations[:, joints], rotation.from_rotvec(turns))
    if moving.travels:
        root_pos = root_pos + delta[:, -3:]
    places, world = forward(motion.skeleton, root_pos, rotations)
    axes = rotation.to_matrix(world[:, joints]) @ _right_jacobian(turns)
    return Pose(moving, root_pos, rotations, places, world, axes)


def _right_jacobian(r: np.ndarray) -> np.ndarray:
    """Return how exp turns further when a rotation vector (..., 3) grows: exp(r + d) ≈ exp(r) · exp(J d)."""
    angle = np.linalg.norm(r, axis=-1)[..., None, None]
    small = angle < 1e-4
    safe = np.where(small, 1.0, angle)
    first = np.where(small, 0.5, (1 - np.cos(safe)) / safe**2)
    second = np.where(small, 1 / 6, (safe - np.sin(safe)) / safe**3)
    k = _skew(r)
    return np.eye(3) - first * k + second * (k @ k)


def _skew(v: np.ndarray) -> np.ndarray:
    """Return the matrices of v × …. (..., 3) → (..., 3, 3)."""
    out = np.zeros((*v.shape, 3))
    out[..., 0, 1], out[..., 0, 2], out[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    out[..., 1, 0], out[..., 2, 0], out[..., 2, 1] = v[..., 2], -v[..., 1], v[..., 0]
    return out


def _stiffness(name: str) -> float:
    part = name.split("_")[-1]
    return next((value for start, value in STIFFNESS.items() if part.startswith(start)), 1.0)
