"""Closed-form inverse kinematics of two-bone legs on a whole motion."""

from __future__ import annotations

import numpy as np

from retarget import rotation

_STRETCH = 0.999
"""Largest share of its length that a leg is stretched to."""


def bend_leg(places: np.ndarray, turns: np.ndarray, ankle: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    """Return world rotations of thigh and shin, (T, 2, 4), that bring the ankle to its target.

    places: hip, knee and ankle (T, 3, 3) m; turns: world rotations of thigh and shin (T, 2, 4); ankle: target (T, 3)
    m, brought within reach; hinge: the direction (3,) in the thigh's frame towards which a straight knee would bend.
    The leg swings along with the line from hip to ankle, so the knee keeps its direction and the bones their twist.
    """
    hip, knee, old = places[:, 0], places[:, 1], places[:, 2]
    thigh, shin = np.linalg.norm(knee - hip, axis=-1), np.linalg.norm(old - knee, axis=-1)
    line = ankle - hip
    length = np.clip(np.linalg.norm(line, axis=-1), np.abs(thigh - shin) + 1e-3, _STRETCH * (thigh + shin))
    along = _unit(line)
    swing = rotation.between(old - hip, line)
    bent = _across(rotation.rotate(swing, knee - hip), along)
    straight = np.maximum(0.02 - np.linalg.norm(bent, axis=-1, keepdims=True), 0.0)
    out_of_line = _unit(bent + straight * _across(rotation.rotate(swing, rotation.rotate(turns[:, 0], hinge)), along))
    ahead = (thigh**2 - shin**2 + length**2) / (2 * length)
    aside = np.sqrt(np.maximum(thigh**2 - ahead**2, 0.0))
    new_knee = hip + ahead[:, None] * along + aside[:, None] * out_of_line
    bones = (rotation.rotate(swing, knee - hip), rotation.rotate(swing, old - knee))
    wanted = (new_knee - hip, hip + length[:, None] * along - new_knee)
    return np.stack([rotation.multiply(rotation.between(bone, new), rotation.multiply(swing, turns[:, k]))
                     for k, (bone, new) in enumerate(zip(bones, wanted, strict=True))], axis=1)


def lowering(hip: np.ndarray, ankle: np.ndarray, leg: float) -> np.ndarray:
    """Return how far hips (T, 3) must come down in m so that legs of this length reach the ankles (T, 3), (T,)."""
    aside = np.linalg.norm(hip[:, :2] - ankle[:, :2], axis=-1)
    up = np.sqrt(np.maximum((_STRETCH * leg) ** 2 - aside**2, 0.0))
    return np.maximum(hip[:, 2] - ankle[:, 2] - up, 0.0)


def tip_foot(hip: np.ndarray, pivot: np.ndarray, ankle: np.ndarray, leg: float) -> np.ndarray:
    """Return the ankles turned about the pivots, towards the hips, until legs of this length reach. (T, 3) m each.

    Found by projecting to the two spheres, around hip and pivot, in turn.
    """
    foot = np.linalg.norm(ankle - pivot, axis=-1, keepdims=True)
    for _ in range(8):
        line = ankle - hip
        far = np.linalg.norm(line, axis=-1, keepdims=True)
        near = hip + line * np.minimum(1.0, 0.998 * _STRETCH * leg / np.maximum(far, 1e-9))
        ankle = np.where(far > _STRETCH * leg, pivot + foot * _unit(near - pivot), ankle)
    return ankle


def _across(v: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Return the part of v across a unit direction."""
    return v - (v * along).sum(-1, keepdims=True) * along


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)
