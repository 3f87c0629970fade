"""A pose that somebody gave the target, carried back to the skeleton that the motion came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import rotation
from .kinematics import local_rotations, world_poses
from .mapping import BoneMap
from .motion import Motion, Skeleton
from .rest import facing_between, scale_between
from .solve import bodies_of, retarget

_UNTURNED = 1e-4
"""Turn in rad and shift in m below which a bone counts as where the motion put it."""


@dataclass(frozen=True)
class Pose:
    """One pose of a skeleton."""

    root_pos: np.ndarray
    """Place of the root joint in the world in m, shape (3,)."""
    rotations: np.ndarray
    """Local rotations, shape (J, 4) wxyz."""


def pose_back(frame: Motion, target: Skeleton, bone_map: BoneMap, posed: Pose) -> Pose:
    """Return the pose of the source that would be retargeted to `posed` on the target.

    frame: the motion's frame that was posed over, a motion of one frame; joints without a pair, and those whose bones
    were left alone, keep its rotations. Exact where one joint drives one bone; of spines and necks of different
    length the ends are exact. target: as `retarget` is given it, its root the bone that the hips drive.
    """
    ours, theirs = bodies_of(frame.skeleton, target, bone_map)
    facing = facing_between(ours, theirs)
    baked = retarget(frame, target, bone_map)
    _, world_baked = world_poses(baked)
    as_posed = Motion(baked.skeleton, frame.fps, posed.root_pos[None], posed.rotations[None])
    _, world_posed = world_poses(as_posed)
    _, world = world_poses(frame)
    new, local = np.empty_like(world[0]), frame.rotations[0].copy()
    driven = dict(zip(ours.joints, theirs.joints, strict=True))
    for joint, parent in enumerate(frame.skeleton.parents):
        above = new[parent] if parent >= 0 else rotation.IDENTITY
        new[joint] = rotation.multiply(above, local[joint])
        if joint in driven:
            bone = driven[joint]
            turn = rotation.multiply(world_posed[0, bone], rotation.inverse(world_baked[0, bone]))
            turn = rotation.multiply(rotation.inverse(facing), rotation.multiply(turn, facing))
            wanted = rotation.multiply(turn, world[0, joint])
            if rotation.angle(wanted, new[joint]) > _UNTURNED:
                new[joint] = wanted
    local = local_rotations(frame.skeleton, new)
    kept = rotation.angle(local, frame.rotations[0]) < _UNTURNED
    local[kept] = frame.rotations[0, kept]
    shift = posed.root_pos - baked.root_pos[0]
    shift = rotation.rotate(rotation.inverse(facing), shift) / scale_between(ours, theirs)
    root = frame.root_pos[0] + (shift if np.linalg.norm(shift) > _UNTURNED else 0.0)
    return Pose(root, local)
