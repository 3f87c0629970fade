"""Bodies and motions that the tests of this part share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from retarget import Motion, Skeleton, rotation
from retarget.kinematics import local_rotations, rest_pose, world_poses

SMPL = {
    "pelvis": ("", 0.0, 0.0, 0.95), "spine1": ("pelvis", 0.0, 0.0, 1.06), "spine2": ("spine1", 0.0, 0.02, 1.2),
    "spine3": ("spine2", 0.0, 0.02, 1.26), "neck": ("spine3", 0.0, 0.03, 1.48), "head": ("neck", 0.0, 0.0, 1.57),
    "left_hip": ("pelvis", 0.08, 0.0, 0.88), "left_knee": ("left_hip", 0.09, 0.01, 0.48),
    "left_ankle": ("left_knee", 0.09, 0.03, 0.08), "left_foot": ("left_ankle", 0.1, -0.1, 0.02),
    "left_collar": ("spine3", 0.07, 0.02, 1.4), "left_shoulder": ("left_collar", 0.18, 0.02, 1.42),
    "left_elbow": ("left_shoulder", 0.44, 0.02, 1.42), "left_wrist": ("left_elbow", 0.69, 0.02, 1.42),
    "left_hand": ("left_wrist", 0.78, 0.02, 1.42),
}
MIXAMO = {
    "Hips": ("", 0.0, 0.0, 1.04), "Spine": ("Hips", 0.0, 0.01, 1.14), "Spine1": ("Spine", 0.0, 0.02, 1.26),
    "Spine2": ("Spine1", 0.0, 0.03, 1.4), "Neck": ("Spine2", 0.0, 0.04, 1.56), "Head": ("Neck", 0.0, 0.02, 1.65),
    "LeftUpLeg": ("Hips", 0.1, 0.0, 0.98), "LeftLeg": ("LeftUpLeg", 0.1, 0.0, 0.54),
    "LeftFoot": ("LeftLeg", 0.1, 0.04, 0.1), "LeftToeBase": ("LeftFoot", 0.11, -0.09, 0.03),
    "LeftShoulder": ("Spine2", 0.06, 0.03, 1.5), "LeftArm": ("LeftShoulder", 0.18, 0.04, 1.5),
    "LeftForeArm": ("LeftArm", 0.46, 0.04, 1.5), "LeftHand": ("LeftForeArm", 0.74, 0.04, 1.5),
}


def human(table: dict[str, tuple[str, float, float, float]] | None = None, prefix: str = "") -> Skeleton:
    """Build a T-posed body from a table of its middle and left: name → parent and place in m; right mirrored."""
    table = table or SMPL
    full = dict(table)
    for name, (parent, x, y, z) in table.items():
        if name.lower().startswith("left"):
            full[_other(name)] = (_other(parent), -x, y, z)
    names = list(full)
    parents = [names.index(full[name][0]) if full[name][0] else -1 for name in names]
    place = np.array([full[name][1:] for name in names])
    offsets = place - np.where(np.array(parents)[:, None] >= 0, place[parents], 0.0)
    return Skeleton(tuple(prefix + name for name in names), np.array(parents), offsets,
                    np.tile(rotation.IDENTITY, (len(names), 1)))


def rerolled(skeleton: Skeleton, seed: int = 0) -> Skeleton:
    """Return the same body with every joint's axes turned at random."""
    axes = _random_rotations(np.random.default_rng(seed), len(skeleton))
    place, world = rest_pose(skeleton)
    return from_world(skeleton, place, rotation.multiply(world, axes))


def from_world(skeleton: Skeleton, place: np.ndarray, world: np.ndarray) -> Skeleton:
    """Build a skeleton of the same tree from world places (J, 3) m and rotations (J, 4) at rest."""
    offsets = place.copy()
    child = skeleton.parents >= 0
    above = skeleton.parents[child]
    offsets[child] = rotation.rotate(rotation.inverse(world[above]), place[child] - place[above])
    return replace(skeleton, offsets=offsets, rest_rotations=local_rotations(skeleton, world))


def arms_lowered(skeleton: Skeleton, degrees: float, upper_arms: tuple[str, str]) -> Skeleton:
    """Return the same body resting with its arms turned down about the forward axis, left arm first."""
    _, world = rest_pose(skeleton)
    for name, sign in zip(upper_arms, (1.0, -1.0), strict=True):
        turn = rotation.from_rotvec(np.array([0.0, sign * np.radians(degrees), 0.0]))
        for j in range(len(skeleton)):
            if hangs_on(skeleton, skeleton.index(name), j):
                world[j] = rotation.multiply(turn, world[j])
    return replace(skeleton, rest_rotations=local_rotations(skeleton, world))


def hangs_on(skeleton: Skeleton, ancestor: int, joint: int) -> bool:
    """Say whether a joint is another or below it."""
    while joint >= 0 and joint != ancestor:
        joint = int(skeleton.parents[joint])
    return joint == ancestor


def moving(skeleton: Skeleton, frames: int = 40, seed: int = 1, swing: float = 0.5, still: tuple[str, ...] = ()
           ) -> Motion:
    """Let every joint but the `still` ones swing smoothly by up to about `swing` rad, and the root travel."""
    rng = np.random.default_rng(seed)
    time = np.linspace(0.0, 2.0 * np.pi, frames)[:, None, None]
    waves = rng.normal(size=(3, 1, len(skeleton), 3))
    turns = swing * (waves[0] * np.sin(time) + waves[1] * np.cos(2.0 * time)) / 2.0
    turns[:, [skeleton.index(name) for name in still]] = 0.0
    rotations = rotation.multiply(skeleton.rest_rotations, rotation.from_rotvec(turns))
    path = rest_pose(skeleton)[0][skeleton.root] + 0.3 * np.sin(time[:, 0] * rng.uniform(0.5, 1.5, 3))
    return Motion(skeleton, 30.0, path, rotation.continuous(rotations))


def mirrored(motion: Motion) -> Motion:
    """Reflect a motion on a symmetric body in the plane x = 0."""
    names = motion.skeleton.names
    swap = [names.index(_other(name)) if _other(name) in names else j for j, name in enumerate(names)]
    return replace(motion, root_pos=motion.root_pos * [-1.0, 1.0, 1.0],
                   rotations=motion.rotations[:, swap] * [1.0, 1.0, -1.0, -1.0])


def places(motion: Motion) -> np.ndarray:
    """Return the world positions of all joints, (T, J, 3) m."""
    return world_poses(motion)[0]


def _other(name: str) -> str:
    for a, b in (("left", "right"), ("Left", "Right")):
        if a in name:
            return name.replace(a, b)
        if b in name:
            return name.replace(b, a)
    return name


def _random_rotations(rng: np.random.Generator, count: int) -> np.ndarray:
    return rotation.normalize(rng.normal(size=(count, 4)))
