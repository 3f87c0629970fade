"""Forward kinematics and velocities."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from . import rotation
from .motion import Motion, Skeleton


def forward(skeleton: Skeleton, root_pos: np.ndarray, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return world positions (..., J, 3) m and rotations (..., J, 4) of all joints.

    root_pos: (..., 3) m position of the skeleton's root joint; rotations: (..., J, 4) local.
    """
    return _down(skeleton, rotations, root_pos)


def _down(skeleton: Skeleton, rotations: np.ndarray, root_pos: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Go down the tree level by level; without a place for the root it is where its offset puts it."""
    positions = np.empty((*rotations.shape[:-1], 3))
    world = np.empty(rotations.shape)
    for joints in skeleton.levels:
        above = skeleton.parents[joints]
        if above[0] < 0:
            positions[..., joints, :], world[..., joints, :] = skeleton.offsets[joints], rotations[..., joints, :]
        else:
            carrier = world[..., above, :]
            world[..., joints, :] = rotation.multiply(carrier, rotations[..., joints, :])
            positions[..., joints, :] = positions[..., above, :] + rotation.rotate(carrier, skeleton.offsets[joints])
        if root_pos is not None and skeleton.root in joints:
            positions[..., skeleton.root, :] = root_pos
    return positions, world


def world_poses(motion: Motion) -> tuple[np.ndarray, np.ndarray]:
    """Return the motion's world joint positions (T, J, 3) m and rotations (T, J, 4)."""
    return forward(motion.skeleton, motion.root_pos, motion.rotations)


def world_turns(motion: Motion, joints: Iterable[int]) -> dict[int, np.ndarray]:
    """Return the world rotations (T, 4) of some joints and of all that carry them, by joint."""
    parents = motion.skeleton.parents
    needed: set[int] = set()
    for joint in joints:
        while joint >= 0 and joint not in needed:
            needed.add(int(joint))
            joint = int(parents[joint])
    order = sorted(needed)
    local = dict(zip(order, np.ascontiguousarray(np.swapaxes(motion.rotations[:, order], 0, 1)), strict=True))
    turns: dict[int, np.ndarray] = {}
    for j in order:
        turns[j] = local[j] if parents[j] < 0 else rotation.multiply(turns[int(parents[j])], local[j])
    return turns


def rest_pose(skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Return world joint positions (J, 3) m and rotations (J, 4) at rest."""
    return _down(skeleton, skeleton.rest_rotations, None)


def local_rotations(skeleton: Skeleton, world: np.ndarray) -> np.ndarray:
    """Return the rotations in the parents' frames that give the world rotations (..., J, 4)."""
    local = np.array(world, float)
    child = np.flatnonzero(skeleton.parents >= 0)
    local[..., child, :] = rotation.multiply(rotation.inverse(world[..., skeleton.parents[child], :]),
                                             world[..., child, :])
    return local


def linear_velocity(positions: np.ndarray, fps: float) -> np.ndarray:
    """Return central differences in m/s along axis 0, one-sided at the ends. (T, ..., 3) → (T, ..., 3)."""
    if len(positions) < 2:
        return np.zeros_like(positions, dtype=float)
    return np.gradient(positions, 1.0 / fps, axis=0)


def angular_velocity(rotations: np.ndarray, fps: float) -> np.ndarray:
    """Return world angular velocity in rad/s of world rotations, central differences. (T, ..., 4) → (T, ..., 3)."""
    if len(rotations) < 2:
        return np.zeros((*rotations.shape[:-1], 3))
    before = np.concatenate([rotations[:1], rotations[:-1]])
    after = np.concatenate([rotations[1:], rotations[-1:]])
    steps = np.full(len(rotations), 2.0)
    steps[[0, -1]] = 1.0
    turn = rotation.to_rotvec(rotation.multiply(after, rotation.inverse(before)))
    return turn * fps / steps.reshape(-1, *[1] * (turn.ndim - 1))
