"""A pose that somebody gave the target, carried back to the skeleton that the motion came from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from . import rotation
from .kinematics import forward, local_rotations, world_poses
from .mapping import BoneMap
from .motion import Motion, Skeleton
from .rest import Body, facing_between, scale_between
from .solve import Options, bodies_of, retarget

_UNTURNED = 1e-4
"""Turn in rad and shift in m below which a bone counts as where the motion put it."""
_EXACT = 1e-11
"""Turn in rad and shift in m that no longer counts."""
_AROUND_S = 2.0
"""Time in s before and after a frame that has a say in where its feet and hips come to be."""
_ROUNDS = 100
"""Feet that follow the source's make the way back a matter of a few rounds; each leaves about a fifth."""


@dataclass(frozen=True)
class Pose:
    """One pose of a skeleton."""

    root_pos: np.ndarray
    """Place of the root joint in the world in m, shape (3,)."""
    rotations: np.ndarray
    """Local rotations, shape (J, 4) wxyz."""


def pose_back(motion: Motion, frame: int, target: Skeleton, bone_map: BoneMap, posed: Pose,
              options: Options | None = None) -> Pose:
    """Return the pose of the source that would be retargeted to `posed` on the target.

    The motion's frame is what was posed over; joints without a pair, and those whose bones were left alone, keep its
    rotations. Exact where one joint drives one bone and the source's legs can reach as far; of spines and necks of
    different length the ends are exact. target: as `retarget` is given it, its root the bone that the hips drive.
    """
    near = min(frame, round(_AROUND_S * motion.fps))
    around = motion.slice(frame - near, frame + round(_AROUND_S * motion.fps) + 1)
    ours, theirs = bodies_of(motion.skeleton, target, bone_map)
    turns, shift = _posed_over(retarget(motion, target, bone_map, options).slice(frame, frame + 1), posed)
    root, world = _shown(around, near, target, bone_map, options)
    goal, wanted = root + shift, rotation.multiply(turns, world)
    best = pose = Pose(motion.root_pos[frame], motion.rotations[frame])
    least = np.inf
    for _ in range(_ROUNDS):
        root, world = _shown(_with(around, near, pose), near, target, bone_map, options)
        miss = rotation.multiply(wanted, rotation.inverse(world))[list(theirs.joints)]
        left = max(rotation.angle(miss, rotation.IDENTITY).max(), np.abs(goal - root).max())
        if left < least:
            best, least = pose, left
        if left < _EXACT or left > 10 * least:
            break
        pose = _turned(pose, motion.skeleton, (ours, theirs), miss, goal - root)
    return _kept(best, motion.slice(frame, frame + 1))


def _shown(motion: Motion, frame: int, target: Skeleton, bone_map: BoneMap, options: Options | None
           ) -> tuple[np.ndarray, np.ndarray]:
    """Return the target's root in m (3,) and its bones' world rotations (J, 4) at a frame of the motion."""
    baked = retarget(motion, target, bone_map, options).slice(frame, frame + 1)
    return baked.root_pos[0], world_poses(baked)[1][0]


def _with(motion: Motion, frame: int, pose: Pose) -> Motion:
    """Return the motion with another pose at one frame."""
    root_pos, rotations = motion.root_pos.copy(), motion.rotations.copy()
    root_pos[frame], rotations[frame] = pose.root_pos, pose.rotations
    return replace(motion, root_pos=root_pos, rotations=rotations)


def _posed_over(baked: Motion, posed: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each bone was turned (J, 4) and the root was moved (3,) in the world from where it was baked."""
    _, world_posed = forward(baked.skeleton, posed.root_pos, posed.rotations)
    turns = rotation.multiply(world_posed, rotation.inverse(world_poses(baked)[1][0]))
    turns[rotation.angle(turns, rotation.IDENTITY) < _UNTURNED] = rotation.IDENTITY
    shift = posed.root_pos - baked.root_pos[0]
    return turns, shift if np.linalg.norm(shift) > _UNTURNED else np.zeros(3)


def _turned(pose: Pose, skeleton: Skeleton, bodies: tuple[Body, Body], miss: np.ndarray, gap: np.ndarray) -> Pose:
    """Turn the source's joints by what their bones miss, (P, 4), and move its root by what the target's misses."""
    facing = facing_between(*bodies)
    _, world = forward(skeleton, pose.root_pos, pose.rotations)
    by_joint = dict(zip(bodies[0].joints, miss, strict=True))
    new = np.empty_like(world)
    for joint, parent in enumerate(skeleton.parents):
        above = new[parent] if parent >= 0 else rotation.IDENTITY
        new[joint] = rotation.multiply(above, pose.rotations[joint])
        if joint in by_joint:
            turn = rotation.multiply(rotation.inverse(facing), rotation.multiply(by_joint[joint], facing))
            new[joint] = rotation.multiply(turn, world[joint])
    step = rotation.rotate(rotation.inverse(facing), gap) / scale_between(*bodies)
    return Pose(pose.root_pos + step, local_rotations(skeleton, new))


def _kept(pose: Pose, frame: Motion) -> Pose:
    """Give joints and a root that hardly moved the frame's own values."""
    local, root = pose.rotations.copy(), pose.root_pos
    kept = rotation.angle(local, frame.rotations[0]) < _UNTURNED
    local[kept] = frame.rotations[0, kept]
    return Pose(root if np.linalg.norm(root - frame.root_pos[0]) > _UNTURNED else frame.root_pos[0], local)
