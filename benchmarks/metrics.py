"""How captured motions are compared with references: pure functions on arrays."""

from __future__ import annotations

import numpy as np

from retarget.kinematics import world_poses
from retarget.motion import Motion
from retarget.rotation import rotate
from sfv_core.body.model import SMPL_NAMES
from sfv_core.reconstruct import landmarks

LIMBS = tuple(f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
              for side in ("left", "right"))
SMPL_LIMBS = [SMPL_NAMES.index(name) for name in LIMBS]
_HIPS = [LIMBS.index("left_hip"), LIMBS.index("right_hip")]
SOLES = landmarks.CONTACTS[:4]
"""Landmarks of left and right heel, left and right toe."""
SOLE_JOINTS = landmarks.CONTACT_JOINTS[:4]
"""The joints that carry them: left and right ankle, left and right foot."""
_TOUCHING_HEIGHT, _TOUCHING_SPEED = 0.035, 0.4
"""A heel or toe of a true motion touches the ground below this height in m and this speed in m/s."""


def centred(limbs: np.ndarray) -> np.ndarray:
    """Move the middle of the hips to the origin. (T, 12, 3) → (T, 12, 3)."""
    return limbs - limbs[:, _HIPS].mean(axis=1, keepdims=True)


def joint_errors(estimate: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the joint distances in mm after moving the middles of the hips together. (T, 12, 3) m each → (T, 12)."""
    return np.linalg.norm(centred(estimate) - centred(truth), axis=-1) * 1e3


def aligned_errors(estimate: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the joint distances in mm after the best similarity transform of each frame. (T, K, 3) m → (T, K)."""
    a = estimate - estimate.mean(axis=1, keepdims=True)
    b = truth - truth.mean(axis=1, keepdims=True)
    u, s, vt = np.linalg.svd(np.einsum("tki,tkj->tij", b, a))
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    scale = (s * sign).sum(axis=1) / (a**2).sum(axis=(1, 2))
    fitted = scale[:, None, None] * np.einsum("tij,tj,tjk,tnk->tni", u, sign, vt, a)
    return np.linalg.norm(fitted - b, axis=-1) * 1e3


def acceleration_error(estimate: np.ndarray, truth: np.ndarray, fps: float) -> float:
    """Return the mean difference of accelerations relative to the hips in m/s². (T, 12, 3) m each."""
    error = np.diff(centred(estimate) - centred(truth), 2, axis=0)
    return float(np.linalg.norm(error, axis=-1).mean() * fps**2)


def bone_length_variation(limbs: np.ndarray) -> float:
    """Return the coefficient of variation in % of upper arms, forearms, thighs and shins, on average. (T, 12, 3)."""
    pairs = [(LIMBS.index(f"{side}_{a}"), LIMBS.index(f"{side}_{b}")) for side in ("left", "right")
             for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))]
    lengths = np.stack([np.linalg.norm(limbs[:, a] - limbs[:, b], axis=-1) for a, b in pairs])
    return float((lengths.std(axis=1) / lengths.mean(axis=1)).mean() * 100)


def soles(motion: Motion) -> np.ndarray:
    """Return the places of heels and toes in the world in m, (T, 4, 3)."""
    places, turns = world_poses(motion)
    joints = landmarks.JOINTS[list(SOLES)]
    return places[:, joints] + rotate(turns[:, joints], landmarks.OFFSETS[list(SOLES)])


def speeds(points: np.ndarray, fps: float) -> np.ndarray:
    """Return the speeds from each frame to the next in m/s. (T, K, 3) → (T − 1, K)."""
    return np.linalg.norm(np.diff(points, axis=0), axis=-1) * fps


def true_contacts(truth: Motion) -> np.ndarray:
    """Say which heels and toes of a true motion stand on the ground: low and slow. → (T, 4) bool."""
    points = soles(truth)
    height = points[..., 2] - landmarks.CONTACT_HEIGHTS[:4]
    speed = np.linalg.norm(np.gradient(points, axis=0), axis=-1) * truth.fps
    return (height < _TOUCHING_HEIGHT) & (speed < _TOUCHING_SPEED)


def contacts_of(motion: Motion) -> np.ndarray:
    """Return which heels and toes a captured motion says are standing, (T, 4) bool."""
    assert motion.contacts is not None
    return motion.contacts[:, SOLE_JOINTS] > 0.5


def by_foot(contacts: np.ndarray) -> np.ndarray:
    """Join heel and toe: a foot stands when either does. (T, 4) → (T, 2)."""
    return contacts[:, :2] | contacts[:, 2:]


def f1(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Return the harmonic mean of precision and recall of bool arrays."""
    return float(2 * (estimate & truth).sum() / max(estimate.sum() + truth.sum(), 1))


def speed_in_contact(points: np.ndarray, contacts: np.ndarray, fps: float) -> float:
    """Return the mean speed in cm/s between frames that both have contact. points: (T, K, 3) m, contacts: (T, K)."""
    standing = contacts[1:] & contacts[:-1]
    return float(speeds(points, fps)[standing].mean() * 100) if standing.any() else 0.0


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    """Return the angle in degrees between two unit vectors (3,)."""
    return float(np.degrees(np.arccos(np.clip(a @ b, -1.0, 1.0))))
