"""Small motions of a person that tests make themselves."""

from __future__ import annotations

import numpy as np

from retarget import rotation
from retarget.motion import Motion, Skeleton

_JOINTS = {  # SMPL's joints in our axes: parent and place in it in m, in a T-pose
    "pelvis": (None, (0, 0, 0)), "left_hip": ("pelvis", (0.06, 0.02, -0.08)),
    "right_hip": ("pelvis", (-0.06, 0.01, -0.09)), "spine1": ("pelvis", (0, 0.04, 0.12)),
    "left_knee": ("left_hip", (0.04, 0, -0.38)), "right_knee": ("right_hip", (-0.04, 0, -0.38)),
    "spine2": ("spine1", (0, -0.03, 0.14)), "left_ankle": ("left_knee", (-0.015, 0.037, -0.426)),
    "right_ankle": ("right_knee", (0.02, 0.035, -0.42)), "spine3": ("spine2", (0, 0, 0.056)),
    "left_foot": ("left_ankle", (0.04, -0.12, -0.06)), "right_foot": ("right_ankle", (-0.035, -0.13, -0.06)),
    "neck": ("spine3", (-0.01, 0.03, 0.21)), "left_collar": ("spine3", (0.07, 0.02, 0.114)),
    "right_collar": ("spine3", (-0.08, 0.02, 0.11)), "head": ("neck", (0.01, -0.05, 0.09)),
    "left_shoulder": ("left_collar", (0.12, 0.02, 0.045)), "right_shoulder": ("right_collar", (-0.11, 0.01, 0.047)),
    "left_elbow": ("left_shoulder", (0.255, 0.02, -0.016)), "right_elbow": ("right_shoulder", (-0.26, 0.03, -0.014)),
    "left_wrist": ("left_elbow", (0.266, 0.007, 0.013)), "right_wrist": ("right_elbow", (-0.27, 0.006, 0.007)),
    "left_hand": ("left_wrist", (0.087, 0.016, -0.01)), "right_hand": ("right_wrist", (-0.089, 0.01, -0.009)),
}


def smpl_skeleton() -> Skeleton:
    """Return a person of SMPL's 24 joints, standing in a T-pose and facing −Y."""
    names = tuple(_JOINTS)
    parents = np.array([names.index(parent) if parent else -1 for parent, _ in _JOINTS.values()])
    return Skeleton(names, parents, np.array([place for _, place in _JOINTS.values()], float),
                    np.tile(rotation.IDENTITY, (len(names), 1)))


def squatting(seconds: float = 2.0, fps: float = 30.0) -> Motion:
    """Return that person bending knees, hips and elbows a little, arms down, and standing up again."""
    skeleton = smpl_skeleton()
    frames = round(seconds * fps) + 1
    bend = 0.4 * (1 - np.cos(np.linspace(0, 2 * np.pi, frames))) / 2
    turns = {"left_hip": (-bend, 0), "right_hip": (-bend, 0), "left_knee": (2 * bend, 0), "right_knee": (2 * bend, 0),
             "left_ankle": (-bend, 0), "right_ankle": (-bend, 0), "left_shoulder": (1.2, 1),
             "right_shoulder": (-1.2, 1), "left_elbow": (-bend, 2), "right_elbow": (bend, 2)}
    rotations = np.tile(rotation.IDENTITY, (frames, len(skeleton), 1))
    for name, (angle, axis) in turns.items():
        rotations[:, skeleton.index(name)] = rotation.from_rotvec(np.multiply.outer(angle * np.ones(frames),
                                                                                    np.eye(3)[axis]))
    root = np.tile([0.3, -0.2, 0.95], (frames, 1))
    root[:, 2] -= 0.8 * (1 - np.cos(bend))
    return Motion(skeleton, fps, root, rotations)
