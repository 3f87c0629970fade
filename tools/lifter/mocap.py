"""Acclaim mocap as rotations of SMPL's joints: the body's bones point along the recorded ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retarget import amc, rotation
from retarget.kinematics import local_rotations, rest_pose, world_poses
from retarget.motion import Motion, Skeleton
from sfv_core.body.model import SMPL_NAMES

_RECORDED_FPS = 120
_BONES = {"hip": "femur", "knee": "tibia", "ankle": "foot", "foot": "toes", "collar": "clavicle",
          "shoulder": "humerus", "elbow": "radius", "wrist": "hand", "hand": "fingers"}
_TRUNK = {"pelvis": "root", "spine1": "lowerback", "spine2": "upperback", "spine3": "thorax", "neck": "lowerneck",
          "head": "head"}
_POINTS_TO = {"hip": "knee", "knee": "ankle", "ankle": "foot", "shoulder": "elbow", "elbow": "wrist", "wrist": "hand"}
_FORWARD = {"foot": "ankle", "hand": "wrist"}
"""Joints whose bone keeps its angle to the one before: where toes and fingers point at rest differs between bodies."""


def read_folder(folder: Path, fps: int, body: Skeleton) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return every take's pelvis (T, 3) m and SMPL's local rotations (T, 24, 4) by its name."""
    found = {}
    for path in sorted(folder.glob("*.amc")):
        motion = amc.load(path, fps=_RECORDED_FPS)
        step = _RECORDED_FPS // fps
        motion = motion.at(np.arange(0, len(motion), step, dtype=float) / _RECORDED_FPS, fps)
        found[path.stem] = motion.root_pos, _onto_body(motion, body)
    return found


def _onto_body(motion: Motion, body: Skeleton) -> np.ndarray:
    """Point the body's bones along the recorded ones. → (T, 24, 4) local."""
    theirs, mine = rest_pose(motion.skeleton)[0], rest_pose(body)[0]
    world = world_poses(motion)[1]
    out, aligned = [], {}
    for name in SMPL_NAMES:
        side, _, part = name.partition("_")
        source = motion.skeleton.index(_TRUNK.get(name) or f"{side[0]}{_BONES[part]}")
        if part in _POINTS_TO:
            child = int(np.flatnonzero(motion.skeleton.parents == source)[0])
            target = body.index(f"{side}_{_POINTS_TO[part]}")
            aligned[name] = rotation.between(mine[target] - mine[body.index(name)], theirs[child] - theirs[source])
        before = f"{side}_{_FORWARD[part]}" if part in _FORWARD else name
        out.append(rotation.multiply(world[:, source], aligned.get(before, rotation.IDENTITY)))
    return rotation.continuous(local_rotations(body, np.stack(out, axis=1)))
