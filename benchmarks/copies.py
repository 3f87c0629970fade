"""Copies of a skeleton that must take a motion over exactly: other axes, another rest pose, size or parents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from retarget import Motion, Skeleton, rotation
from retarget.kinematics import local_rotations, rest_pose, world_poses
from retarget.mapping import guess
from retarget.roles import find_roles
from retarget.solve import Options, retarget

A_POSE = 50.0
"""How far arms are lowered in degrees."""


def rerolled(skeleton: Skeleton, seed: int = 0) -> tuple[Skeleton, np.ndarray]:
    """Turn every joint's axes at random; return the copy and the turns (J, 4)."""
    axes = rotation.normalize(np.random.default_rng(seed).normal(size=(len(skeleton), 4)))
    place, world = rest_pose(skeleton)
    return standing(skeleton, skeleton.parents, place, rotation.multiply(world, axes)), axes


def reposed(skeleton: Skeleton) -> tuple[Skeleton, np.ndarray]:
    """Lower the arms from a T-pose to an A-pose."""
    _, world = rest_pose(skeleton)
    roles = find_roles(skeleton).joints
    for role, sign in (("LeftUpperArm", 1.0), ("RightUpperArm", -1.0)):
        turn = rotation.from_rotvec(np.array([0.0, sign * np.radians(A_POSE), 0.0]))
        below = [j for j in range(len(skeleton)) if _hangs_on(skeleton, roles[role], j)]
        world[below] = rotation.multiply(turn, world[below])
    return replace(skeleton, rest_rotations=local_rotations(skeleton, world)), _none(skeleton)


def rescaled(skeleton: Skeleton, scale: float = 0.013) -> tuple[Skeleton, np.ndarray]:
    """Make the whole body another size."""
    return replace(skeleton, offsets=skeleton.offsets * scale), _none(skeleton)


def reparented(skeleton: Skeleton) -> tuple[Skeleton, np.ndarray]:
    """Hang the shoulders and the legs on another bone of the trunk."""
    roles, parents = find_roles(skeleton), skeleton.parents.copy()
    for side in ("Left", "Right"):
        parents[roles.joints[f"{side}Shoulder"]] = roles.spine[0]
    return standing(skeleton, parents, *rest_pose(skeleton)), _none(skeleton)


COPIES = {"re-rolled": rerolled, "A-posed": reposed, "re-scaled": rescaled, "re-parented": reparented,
          "re-rolled and A-posed": lambda s: rerolled(reposed(s)[0])}


def copy_error(motion: Motion, copy: Skeleton, axes: np.ndarray, options: Options) -> float:
    """Return the largest angle in degrees between what a copy does in the world and the original, over all joints."""
    there = retarget(motion, copy, guess(motion.skeleton, copy), options)
    wanted = rotation.multiply(world_poses(motion)[1], axes)
    return float(np.degrees(rotation.angle(wanted, world_poses(there)[1]).max()))


def round_trip(motion: Motion, other: Skeleton, options: Options) -> float:
    """Return the largest angle in degrees that a way there and back leaves, over all joints."""
    there = retarget(motion, other, guess(motion.skeleton, other), options)
    back = retarget(there, motion.skeleton, guess(other, motion.skeleton), options)
    return float(np.degrees(rotation.angle(motion.rotations, back.rotations).max()))


def standing(skeleton: Skeleton, parents: np.ndarray, place: np.ndarray, world: np.ndarray) -> Skeleton:
    """Build a skeleton with these parents from world places (J, 3) m and rotations (J, 4) at rest."""
    offsets, child = place.copy(), np.flatnonzero(parents >= 0)
    above = parents[child]
    offsets[child] = rotation.rotate(rotation.inverse(world[above]), place[child] - place[above])
    bare = replace(skeleton, parents=parents, offsets=offsets)
    return replace(bare, rest_rotations=local_rotations(bare, world))


def _hangs_on(skeleton: Skeleton, ancestor: int, joint: int) -> bool:
    while joint >= 0 and joint != ancestor:
        joint = int(skeleton.parents[joint])
    return joint == ancestor


def _none(skeleton: Skeleton) -> np.ndarray:
    return np.tile(rotation.IDENTITY, (len(skeleton), 1))
