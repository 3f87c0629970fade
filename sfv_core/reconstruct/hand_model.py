"""A hand at rest and how its joints bend: the left hand of a T-pose, palm down; the right one is its mirror image.

Axes as everywhere: the fingers point to +X, the thumb forward to −Y, the palm faces −Z. Lengths are fractions of the
hand's length: bones after Buchholz, Armstrong & Goldstein 1992, breadth and the hand's share of the forearm after
Drillis & Contini 1966. All joint frames are at rest parallel to the world's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retarget import rotation

FINGERS = ("index", "middle", "pinky", "ring", "thumb")
"""In the order of SMPL-H."""
JOINTS = tuple(f"{finger}{i}" for finger in FINGERS for i in (1, 2, 3))
"""The 15 joints of one hand in SMPL-H's order; each side puts its name before them, as left_index1."""
HAND_PER_FOREARM = 0.74
_KNUCKLES = {"index": (0.455, -0.125, 0.0), "middle": (0.446, -0.01, 0.01), "ring": (0.41, 0.09, 0.005),
             "pinky": (0.365, 0.18, -0.01)}
_THUMB_ROOT = (0.09, -0.12, -0.05)
_BONES = {"index": (0.245, 0.143, 0.097), "middle": (0.266, 0.170, 0.108), "ring": (0.244, 0.165, 0.107),
          "pinky": (0.204, 0.117, 0.093), "thumb": (0.251, 0.196, 0.158)}
_THUMB = np.array([0.72, -0.62, -0.31]) / np.linalg.norm([0.72, -0.62, -0.31])
"""Direction of the thumb at rest."""
_PALMWARD = np.array([0.35, 0.55, -0.75])
THUMB_AXIS = np.cross(_THUMB, _PALMWARD) / np.linalg.norm(np.cross(_THUMB, _PALMWARD))
"""Axis about which the thumb bends across the palm."""
ANGLES = tuple(f"{finger}_{part}" for finger in ("index", "middle", "ring", "pinky")
               for part in ("spread", "1", "2", "3")) + ("thumb_x", "thumb_y", "thumb_z", "thumb_2", "thumb_3")
"""A hand's 21 angles in rad: spread (towards the little finger) and bends; for the thumb's root a rotation vector."""
_FINGER_LIMITS = ((-0.4, 1.6), (-0.1, 1.95), (-0.2, 1.4))
_SPREAD_LIMITS = {"index": (-0.45, 0.25), "middle": (-0.3, 0.3), "ring": (-0.2, 0.35), "pinky": (-0.2, 0.6)}
_THUMB_LIMITS = ((-0.9, 0.9), (-0.7, 0.7), (-0.8, 0.8), (-0.4, 1.1), (-0.4, 1.4))
LIMITS = np.array([limit for finger in ("index", "middle", "ring", "pinky")
                   for limit in (_SPREAD_LIMITS[finger], *_FINGER_LIMITS)] + list(_THUMB_LIMITS))
"""Smallest and largest value of each angle in rad, shape (21, 2)."""
RELAXED = np.array([-0.05, 0.30, 0.45, 0.22, 0.0, 0.38, 0.52, 0.26, 0.04, 0.42, 0.52, 0.26, 0.10, 0.45, 0.48, 0.24,
                    0.0, 0.0, 0.0, 0.12, 0.20])
"""Angles of a hand that hangs loosely, shape (21,)."""
_ORDER = ("thumb", "index", "middle", "ring", "pinky")
PALM = [0, 1, 5, 9, 13, 17]
"""The landmarks that do not bend: wrist, root of the thumb, knuckles."""


@dataclass
class HandShape:
    """How a person's hand differs from the table, in fractions of the hand's length."""

    log_scale: Tensor
    """Logarithm of its size over `size`, shape (S, 1)."""
    log_bones: Tensor
    """Logarithms of the length factors of the finger bones, in the order of the landmarks, shape (S, 5, 3)."""
    shifts: Tensor
    """How far the landmarks of `PALM` lie from the table's, shape (S, 6, 3)."""

    @classmethod
    def mean(cls, sides: int) -> HandShape:
        """Return the table's hand."""
        return cls(torch.zeros(sides, 1), torch.zeros(sides, 5, 3), torch.zeros(sides, 6, 3))


def rest_offsets(length: float) -> np.ndarray:
    """Return the places of a left hand's 15 joints in their parents' frames in m, shape (15, 3). length: m."""
    offsets = []
    for finger in FINGERS:
        along = _THUMB if finger == "thumb" else np.array([1.0, 0.0, 0.0])
        start = np.array(_THUMB_ROOT if finger == "thumb" else _KNUCKLES[finger])
        offsets += [start, _BONES[finger][0] * along, _BONES[finger][1] * along]
    return length * np.array(offsets)


def landmarks(angles: Tensor, shape: HandShape, length: float) -> Tensor:
    """Return the network's 21 landmarks in the palm's frame in m. angles: (S, T, 21) → (S, T, 21, 3)."""
    palm, bones = (torch.tensor(part, dtype=angles.dtype) for part in _tables())
    palm = palm + shape.shifts
    bones = bones * torch.exp(shape.log_bones)
    steps = torch.cat([_thumb(angles)[:, :, None], _fingers(angles)], dim=2) * bones[:, None, :, :, None]
    tips = palm[:, None, 1:, None] + torch.cumsum(steps, dim=3)
    roots = palm[:, None, 1:, None].expand(-1, angles.shape[1], -1, -1, -1)
    chains = torch.cat([roots, tips], dim=3).flatten(2, 3)
    wrist = palm[:, None, :1].expand(-1, angles.shape[1], -1, -1)
    return torch.cat([wrist, chains], dim=2) * (length * torch.exp(shape.log_scale))[:, None, None]


def joint_rotations(angles: np.ndarray) -> np.ndarray:
    """Return the local rotations of a left hand's 15 joints. angles: (..., 21) → (..., 15, 4)."""
    y, z = np.eye(3)[1], np.eye(3)[2]
    at = {name: angles[..., i, None] for i, name in enumerate(ANGLES)}
    turns = {}
    for finger in FINGERS[:-1]:
        turns[f"{finger}1"] = rotation.multiply(rotation.from_rotvec(at[f"{finger}_spread"] * z),
                                                rotation.from_rotvec(at[f"{finger}_1"] * y))
        for i in (2, 3):
            turns[f"{finger}{i}"] = rotation.from_rotvec(at[f"{finger}_{i}"] * y)
    turns["thumb1"] = rotation.from_rotvec(angles[..., 16:19])
    for i in (2, 3):
        turns[f"thumb{i}"] = rotation.from_rotvec(at[f"thumb_{i}"] * THUMB_AXIS)
    return np.stack([turns[name] for name in JOINTS], axis=-2)


def mirrored(q: np.ndarray) -> np.ndarray:
    """Return rotations seen in a mirror across x. (..., 4) wxyz."""
    return np.asarray(q, float) * np.array([1.0, 1.0, -1.0, -1.0])


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Return the palm's landmarks (6, 3) and the finger bones (5, 3) in the landmarks' order."""
    palm = np.array([(0.0, 0.0, 0.0), _THUMB_ROOT, *(_KNUCKLES[finger] for finger in _ORDER[1:])])
    return palm, np.array([_BONES[finger] for finger in _ORDER])


def _fingers(angles: Tensor) -> Tensor:
    """Return the directions of the four fingers' bones, (S, T, 4, 3, 3)."""
    four = angles[..., :16].unflatten(-1, (4, 4))
    spread, bend = four[..., :1], torch.cumsum(four[..., 1:], dim=-1)
    return torch.stack([torch.cos(spread) * torch.cos(bend), torch.sin(spread) * torch.cos(bend), -torch.sin(bend)],
                       dim=-1)


def _thumb(angles: Tensor) -> Tensor:
    """Return the directions of the thumb's bones, (S, T, 3, 3)."""
    along = torch.tensor(_THUMB, dtype=angles.dtype)
    across = torch.tensor(np.cross(THUMB_AXIS, _THUMB), dtype=angles.dtype)
    bend = torch.cumsum(torch.nn.functional.pad(angles[..., 19:21], (1, 0)), dim=-1)[..., None]
    straight = torch.cos(bend) * along + torch.sin(bend) * across
    return rotated(angles[..., None, 16:19], straight)


def rotated(rotvec: Tensor, v: Tensor) -> Tensor:
    """Turn vectors by rotation vectors (Rodrigues). (..., 3), (..., 3) → (..., 3)."""
    squared = (rotvec * rotvec).sum(dim=-1, keepdim=True) + 1e-12
    angle = torch.sqrt(squared)
    rotvec, v = torch.broadcast_tensors(rotvec, v)
    turned = torch.linalg.cross(rotvec, v)
    return v + torch.sinc(angle / torch.pi) * turned + (1 - torch.cos(angle)) / squared * torch.linalg.cross(
        rotvec, turned)
