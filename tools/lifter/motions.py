"""Motions to learn from: CMU's mocap and PyBullet's clips on the stand-in body, recombined far beyond walking.

Everything is in this project's axes (x left, −y forward, z up) at 30 frames per second.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mocap import read_folder
from scipy.ndimage import gaussian_filter1d
from stage_clip import onto_body, repeat

from retarget import rotation
from retarget.kinematics import forward
from retarget.motion import other_side
from sfv_core.body.model import SMPL_NAMES, Body, skeleton_of
from sfv_core.character import deepmimic

FPS = 30
HELD_OUT_CLIPS = ("walk", "spinkick", "backflip", "cartwheel", "dance_a")
"""Clips of PyBullet that the benchmarks report on: never seen, neither in training nor in choosing."""
VALIDATION = ("dance_b", "kick", "01_05", "01_09", "02_05", "02_07", "03_01", "03_02", "03_03", "03_04")
"""Clips and takes on which weights are chosen."""

_LOWER = [SMPL_NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("hip", "knee", "ankle", "foot")]
_UPPER = [joint for joint in range(1, len(SMPL_NAMES)) if joint not in _LOWER]
_SWING = {"hip": 0.5, "knee": 0.7, "ankle": 0.25, "foot": 0.1, "spine1": 0.12, "spine2": 0.12, "spine3": 0.12,
          "neck": 0.15, "head": 0.25, "collar": 0.12, "shoulder": 0.8, "elbow": 0.8, "wrist": 0.25}
"""Standard deviation of the wildest random swing of each joint in rad."""
_HINGES = {"left_knee": (1.0, 0.0, 0.0), "right_knee": (1.0, 0.0, 0.0),
           "left_elbow": (0.0, 0.0, -1.0), "right_elbow": (0.0, 0.0, 1.0)}
"""Axis about which these bend, in rest axes; they never bend backwards."""
_MOST_BENT = 2.5


@dataclass(frozen=True)
class Take:
    """A recorded motion of SMPL's joints."""

    name: str
    root_pos: np.ndarray
    """Pelvis in m, shape (T, 3)."""
    rotations: np.ndarray
    """Local rotations, shape (T, 24, 4) wxyz."""


def takes(mocap: Path, body: Body) -> list[Take]:
    """Return all takes of the mocap folder and all clips of PyBullet but the held-out ones."""
    found = [Take(name, *arrays) for name, arrays in read_folder(mocap, FPS, skeleton_of(body.joint_template)).items()]
    for name in deepmimic.clip_names():
        if name not in HELD_OUT_CLIPS:
            times = 2 if name in ("run", "roll", "jump") else 1
            motion = onto_body(repeat(deepmimic.load_clip(name, FPS), times), body)
            found.append(Take(name, motion.root_pos, motion.rotations))
    return found


def sample(source: list[Take], frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a new motion: a warped piece, perhaps with another one's arms, joints swung, the whole body tumbled.

    Return root positions (frames, 3) m and local rotations (frames, 24, 4).
    """
    weights = np.array([np.sqrt(min(len(take.rotations), 600)) for take in source])
    first, second = rng.choice(len(source), 2, p=weights / weights.sum())
    root_pos, rotations = _piece(source[first], frames, rng)
    if rng.random() < 0.5:
        rotations[:, _UPPER] = _piece(source[second], frames, rng)[1][:, _UPPER]
    if rng.random() < 0.75:
        rotations = _swung(rotations, rng.uniform() ** 1.5, rng)
    kind = rng.random()
    if kind < 0.15:
        root_pos, rotations = _tumbled(root_pos, rotations, rng)
    elif kind < 0.4:
        lean = rotation.from_rotvec(rng.normal(0, rng.choice([0.2, 1.2], p=[0.7, 0.3]), 3))
        rotations[:, 0] = rotation.multiply(lean, rotations[:, 0])
    if rng.random() < 0.5:
        root_pos, rotations = mirrored(root_pos, rotations)
    yaw = rotation.from_rotvec(np.array([0.0, 0.0, rng.uniform(-np.pi, np.pi)]))
    rotations[:, 0] = rotation.multiply(yaw, rotations[:, 0])
    return rotation.rotate(yaw, root_pos - root_pos.mean(axis=0)), rotations


def plain(take: Take, frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a piece of a take as it was recorded, seen from anywhere."""
    start = int(rng.integers(0, max(len(take.rotations) - frames, 0) + 1))
    index = np.minimum(np.arange(start, start + frames), len(take.rotations) - 1)
    yaw = rotation.from_rotvec(np.array([0.0, 0.0, rng.uniform(-np.pi, np.pi)]))
    root_pos, rotations = take.root_pos[index], take.rotations[index].copy()
    rotations[:, 0] = rotation.multiply(yaw, rotations[:, 0])
    return rotation.rotate(yaw, root_pos - root_pos.mean(axis=0)), rotations


def mirrored(root_pos: np.ndarray, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Swap left and right."""
    return root_pos * [-1, 1, 1], rotations[:, other_side(SMPL_NAMES)] * [1, 1, -1, -1]


def joints(body: Body, betas: np.ndarray, root_pos: np.ndarray, rotations: np.ndarray
           ) -> tuple[np.ndarray, np.ndarray]:
    """Return the joints' places (T, 24, 3) m and world rotations (T, 24, 4) on a body of these betas."""
    return forward(skeleton_of(body.joints(betas)), root_pos, rotations)


def _piece(take: Take, frames: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cut a piece out, played faster, slower or backwards; a short take goes to and fro."""
    step = rng.uniform(0.6, 1.5)
    length = len(take.rotations) - 1
    place = rng.uniform(0, max(length - step * frames, 0)) + step * np.arange(frames)
    place = length - np.abs(np.mod(place, 2 * length) - length)
    if rng.random() < 0.3:
        place = place[::-1]
    below = np.minimum(place.astype(int), length - 1)
    share = (place - below)[:, None]
    root_pos = take.root_pos[below] * (1 - share) + take.root_pos[below + 1] * share
    a, b = take.rotations[below], take.rotations[below + 1]
    b = np.where((a * b).sum(-1, keepdims=True) < 0, -b, b)
    return root_pos, rotation.normalize(a * (1 - share[..., None]) + b * share[..., None])


def _swung(rotations: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Add random swings that are smooth in time; hinges stay hinges."""
    rotations = rotations.copy()
    for joint, name in enumerate(SMPL_NAMES):
        amount = strength * _SWING.get(name.split("_")[-1], 0.0)
        if not amount:
            continue
        swing = amount * _wander(len(rotations), 3, rng)
        if name in _HINGES:
            axis = np.array(_HINGES[name])
            bend = rotation.to_rotvec(rotations[:, joint])
            angle = bend @ axis
            wanted = np.clip(angle + 1.5 * swing[:, 0], 0.0, _MOST_BENT)
            rotations[:, joint] = rotation.from_rotvec(bend + (wanted - angle)[:, None] * axis)
        else:
            rotations[:, joint] = rotation.multiply(rotations[:, joint], rotation.from_rotvec(swing))
    return rotations


def _tumbled(root_pos: np.ndarray, rotations: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Turn the whole body about an axis through its pelvis, as in a flip, a cartwheel or a spin."""
    axis = rng.normal(0, 1, 3)
    axis /= np.linalg.norm(axis)
    speed = gaussian_filter1d(np.abs(_wander(len(rotations), 1, rng)[:, 0]), 5) * rng.uniform(2, 9) / FPS
    turn = rotation.from_rotvec(np.cumsum(speed)[:, None] * axis + rng.normal(0, 1, 3))
    rotations = rotations.copy()
    rotations[:, 0] = rotation.multiply(turn, rotations[:, 0])
    return root_pos, rotations


def _wander(frames: int, values: int, rng: np.random.Generator) -> np.ndarray:
    """Return smooth random curves of mean 0 and deviation 1, shape (frames, values)."""
    sigma = rng.uniform(4, 16)
    pad = int(4 * sigma)
    noise = gaussian_filter1d(rng.normal(0, 1, (frames + 2 * pad, values)), sigma, axis=0)[pad : pad + frames]
    return noise * np.sqrt(2 * sigma * np.sqrt(np.pi))
