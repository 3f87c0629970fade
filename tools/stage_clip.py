"""Put a known motion on the stand-in body, its feet on the ground, and a camera where it sees all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter1d

from retarget import kinematics, rotation
from retarget.motion import Motion, Skeleton
from sfv_core.body.model import SMPL_NAMES, Body, pose_vertices, skeleton_of
from sfv_core.reconstruct.camera import Camera

_SHARES = {"spine1": ("chest", 1 / 3), "spine2": ("chest", 1 / 3), "spine3": ("chest", 1 / 3),
           "neck": ("neck", 1 / 2), "head": ("neck", 1 / 2)}
"""Joint of the body → joint of DeepMimic's humanoid, and the part of its rotation; all others go by their names."""

_ARMS_DOWN = {side: rotation.from_rotvec(np.array([0.0, turn, 0.0]))
              for side, turn in (("left", np.pi / 2), ("right", -np.pi / 2))}
"""From the T-pose's arms to DeepMimic's, which hang down at rest."""


def repeat(motion: Motion, times: int) -> Motion:
    """Play a looping motion several times over, each time going on from where the last one ended."""
    covered = (motion.root_pos[-1] - motion.root_pos[0]) * [1.0, 1.0, 0.0]
    again = range(1, times)
    root_pos = np.concatenate([motion.root_pos, *(motion.root_pos[1:] + k * covered for k in again)])
    rotations = np.concatenate([motion.rotations, *(motion.rotations[1:] for _ in again)])
    return replace(motion, root_pos=root_pos, rotations=rotation.continuous(rotations), loop=False)


def smooth(motion: Motion, seconds: float) -> Motion:
    """Even out the motion by a Gaussian of that standard deviation."""
    sigma = seconds * motion.fps
    turns = rotation.continuous(motion.rotations)
    return replace(motion, root_pos=gaussian_filter1d(motion.root_pos, sigma, axis=0, mode="nearest"),
                   rotations=gaussian_filter1d(turns, sigma, axis=0, mode="nearest"))


def onto_body(clip: Motion, body: Body, betas: np.ndarray | None = None) -> Motion:
    """Transfer a clip of DeepMimic's humanoid to the body, joint by joint, its size from its legs.

    betas: the body's shape, (B,); the mean shape if not given.

    Both bodies branch alike, so each joint turns as its counterpart does; only the arms rest in another direction.
    """
    skeleton = skeleton_of(body.joint_template if betas is None else body.joints(betas))
    source = clip.skeleton
    rotations = np.tile(rotation.IDENTITY, (len(clip), len(skeleton), 1))
    for joint, name in enumerate(SMPL_NAMES):
        counterpart, share = _SHARES.get(name, (name, 1.0))
        if counterpart in source.names:
            turn = clip.rotations[:, source.index(counterpart)]
            turn = turn if share == 1.0 else rotation.from_rotvec(share * rotation.to_rotvec(turn))
            before = _rest(SMPL_NAMES[skeleton.parents[joint]]) if joint else rotation.IDENTITY
            rotations[:, joint] = rotation.multiply(rotation.multiply(rotation.inverse(before), turn), _rest(name))
    hips = [skeleton.index("left_hip"), skeleton.index("right_hip")]
    pelvis_over_hips = -skeleton.offsets[hips].mean(axis=0)
    root_pos = clip.root_pos * (_leg(skeleton) / _leg(source)) + rotation.rotate(rotations[:, 0], pelvis_over_hips)
    return Motion(skeleton, clip.fps, root_pos, rotations)


def touches_ground(clip: Motion) -> np.ndarray:
    """Say in which frames a foot or a hand of DeepMimic's humanoid is on the ground, shape (T,) bool."""
    height = kinematics.world_poses(clip)[0][..., 2]
    feet, hands = ([clip.skeleton.index(f"{side}_{part}") for side in ("left", "right")] for part in ("ankle", "wrist"))
    return np.any(height[:, feet] < 0.13, axis=1) | np.any(height[:, hands] < 0.08, axis=1)


def stand_on_ground(motion: Motion, touching: np.ndarray, body: Body, betas: np.ndarray | None = None
                    ) -> tuple[Motion, np.ndarray]:
    """Lift or lower the motion so that its lowest point stands at z = 0; return it and its skin (T, V, 3).

    The height is set in the frames in which the body touches the ground, (T,) bool, and runs on evenly through flight.
    Nothing goes below the ground; the price is that soles hover by millimetres where the height has to change quickly.
    """
    skin = pose_vertices(body, np.zeros(body.shapedirs.shape[2]) if betas is None else betas, motion)
    low = skin[..., 2].min(axis=1).astype(float)
    frames = np.arange(len(low))
    needed = np.maximum(np.interp(frames, frames[touching], -low[touching]), -low)
    reach = 2
    highest = sliding_window_view(np.pad(needed, 2 * reach, mode="edge"), 2 * reach + 1).max(axis=-1)
    lift = sliding_window_view(highest, 2 * reach + 1).mean(axis=-1)
    root_pos = motion.root_pos + lift[:, None] * [0.0, 0.0, 1.0]
    return replace(motion, root_pos=root_pos), skin + np.float32(lift[:, None, None] * [0.0, 0.0, 1.0])


def place_camera(skin: np.ndarray, size: int, azimuth: float = np.pi / 6, height: float = 1.3,
                 focal: float = 1.25) -> Camera:
    """Return a camera that sees all of the skin (T, V, 3) in every frame, 4.2 m from its middle or further.

    azimuth: from −Y towards +X in rad; height: in m; focal: length in picture widths. It looks at 0.9 m above ground.
    """
    lowest, highest = skin.min(axis=(0, 1)), skin.max(axis=(0, 1))
    middle = np.array([*(lowest + highest)[:2] / 2, 0.9])
    away = np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])
    for distance in np.arange(3.36 * focal, 30.0, 0.1):
        position = middle + distance * away
        position[2] = height
        camera = Camera(focal * size, np.full(2, size / 2), (size, size), _look(middle - position), position)
        seen = camera.project(skin[:, ::7])
        if seen.min() > 0.03 * size and seen.max() < 0.97 * size:
            return camera
    raise ValueError("The motion covers too much ground for a camera that stands still.")


def _look(direction: np.ndarray) -> np.ndarray:
    """Return the rotation from camera to world axes of a level camera that looks along `direction` (3,). → (4,)."""
    z = direction / np.linalg.norm(direction)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    return rotation.from_matrix(np.stack([x, np.cross(z, x), z], axis=-1))


def _rest(name: str) -> np.ndarray:
    """Return how the body's joint is turned, from its T-pose, when DeepMimic's humanoid rests."""
    side, _, part = name.partition("_")
    return _ARMS_DOWN[side] if part in ("shoulder", "elbow", "wrist", "hand") else rotation.IDENTITY


def _leg(skeleton: Skeleton) -> float:
    """Return the length of thigh and shin in m."""
    return sum(float(np.linalg.norm(skeleton.offsets[skeleton.index(f"left_{part}")])) for part in ("knee", "ankle"))
