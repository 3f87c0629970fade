"""A body at rest where a file's own rest pose is none, as where all bones lie along one axis."""

from __future__ import annotations

import numpy as np

from .errors import RetargetError
from .kinematics import world_poses
from .motion import Motion, Skeleton
from .rest import Body
from .roles import SIDES, find_roles

_LOOKED_AT = 400
"""Frames that are looked at for one in which the body stands."""
_ARMS = 0.2
"""What arms at right angles to or along the body count against how straight the body stands."""


def standing(motion: Motion, source: Body, target: Body, frame: int | None) -> Motion:
    """Return the motion with a rest pose that is a body: that of the frame, its own, or its best one's.

    Raise RetargetError where the frame is not there.
    """
    if frame is not None:
        if not -len(motion) <= frame < len(motion):
            raise RetargetError(f"There is no frame {frame} to take as the rest pose: the motion has {len(motion)} "
                                "frames, counted from 0.")
        return motion.with_rest(frame % len(motion))
    if source.stands or not target.stands:
        return motion
    return motion.with_rest(best_frame(motion, source.roles))


def standing_skeleton(motion: Motion) -> Skeleton:
    """Return a motion's skeleton, at rest as in its best frame where its own rest pose is no body.

    For targets: their bones and axes are the same, so a motion on it is one on the motion's own skeleton.
    """
    roles = find_roles(motion.skeleton).joints
    body = Body(motion.skeleton, tuple(roles.values()), roles, roles.get("Hips", motion.skeleton.root))
    if not roles or body.stands:
        return motion.skeleton
    return motion.with_rest(best_frame(motion, roles)).skeleton


def best_frame(motion: Motion, roles: dict[str, int]) -> int:
    """Return the frame in which the body stands most upright, with straight legs and arms beside it or stretched out.

    roles: joints by role. Raise RetargetError where it never stands.
    """
    frames = np.unique(np.linspace(0, len(motion) - 1, _LOOKED_AT).astype(int))
    picked = Motion(motion.skeleton, motion.fps, motion.root_pos[frames], motion.rotations[frames])
    place, _ = world_poses(picked)

    def way(start: str, end: str) -> np.ndarray | None:
        if start not in roles or end not in roles:
            return None
        d = place[:, roles[end]] - place[:, roles[start]]
        return d / np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-9)

    trunk = way("Hips", "Head")
    bones = [way(side + a, side + b) for side in SIDES for a, b in (("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot"))]
    score = np.zeros(len(frames)) if trunk is None else trunk[:, 2].copy()
    score += np.sum([-bone[:, 2] for bone in bones if bone is not None], axis=0)
    arms = [way(side + a, side + b) for side in SIDES for a, b in (("UpperArm", "LowerArm"), ("LowerArm", "Hand"))]
    score += _ARMS * np.sum([np.maximum(-arm[:, 2], 1.0 - np.abs(arm[:, 2])) for arm in arms if arm is not None],
                            axis=0)
    best = int(np.argmax(score))
    legs = [bone[best, 2] for bone in bones if bone is not None]
    if (np.mean(legs) > -0.5 if legs else trunk is not None and trunk[best, 2] < 0.5) or (
            trunk is not None and trunk[best, 2] < -0.3):
        raise RetargetError("The rest pose is not a body, and it stands in no frame of the motion. Name a frame that "
                            "can serve as its rest pose (reference frame).")
    return int(frames[best])
