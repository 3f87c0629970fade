"""Find the face in the picture where the pose has eyes and mouth."""

from __future__ import annotations

import numpy as np

from .closeup import Part, Sight
from .hands import large_enough
from .keypoints import Keypoints
from .region import Region

SMALLEST = 70.0
"""Height in px that a face must have to be looked at; from 60 px on one that was large enough stays so."""
_STILL_LARGE = 60.0
_HEIGHT = 0.2
"""Height in m of the face of a person of 1.7 m, from chin to hair."""
_REGION = 0.30
"""Side in m of the first region around a face."""
_INPUT = 192.0
_NEEDED = ("left_eye", "right_eye", "mouth_left", "mouth_right")
PAIRS = ((33, 263), (133, 362), (130, 359), (70, 300), (105, 334), (55, 285), (129, 358), (61, 291), (234, 454),
         (127, 356), (93, 323), (58, 288))
"""Right and left landmarks of the network's 468: corners of the eyes (outer ones first), brows, nostrils, corners of
the mouth, edge of the face."""
MIDDLE = (10, 151, 9, 168, 6, 197, 195, 5, 4, 1, 2, 152, 175)
"""Landmarks on the plane of symmetry, from the forehead over the nose to the chin."""
POINTS = [i for pair in PAIRS for i in pair] + list(MIDDLE)
"""The landmarks that are kept, in this order."""


def face_part(keypoints: Keypoints, size: np.ndarray) -> Part | None:
    """Return how to follow the face; None where it is never large enough or the keypoints lack eyes and mouth.

    size: (T,) length in px of 1.7 m at the person's distance, per picture.
    """
    if not set(_NEEDED) <= set(keypoints.names):
        return None
    points = keypoints.xy[:, [keypoints.names.index(name) for name in _NEEDED]]
    inside = np.all((points > 0) & (points < np.array(keypoints.size)), axis=(1, 2))
    worth = large_enough(_HEIGHT * size / 1.7, SMALLEST, _STILL_LARGE) & keypoints.detected & inside
    if not worth.any():
        return None
    regions = [_region(points[row], float(size[row]) / 1.7) if worth[row] else None for row in range(len(keypoints))]
    return Part("face_landmark", regions, _read, around)


def around(xy: np.ndarray) -> Region:
    """Return the region around a face's `POINTS` (P, 2) px, eyes level."""
    across = xy[1] - xy[0]
    angle = float(np.arctan2(across[1], across[0]))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    own = xy @ turn.T
    low, high = own.min(axis=0), own.max(axis=0)
    centre = turn.T @ ((low + high) / 2)
    return Region((float(centre[0]), float(centre[1])), max(float(1.5 * (high - low).max()), 8.0), angle)


def _region(points: np.ndarray, metre: float) -> Region:
    """Return where the pose has the face: eyes above the mouth. points: (4, 2); metre: length of 1 m in px."""
    up = points[:2].mean(axis=0) - points[2:].mean(axis=0)
    centre = points.mean(axis=0)
    return Region((float(centre[0]), float(centre[1])), _REGION * metre, float(np.arctan2(up[1], up[0]) + np.pi / 2))


def _read(outputs: tuple[np.ndarray, ...], region: Region) -> Sight:
    """Take landmarks and presence from a region to the picture; depth has the scale of x and y, in px."""
    flat, presence = sorted(outputs, key=np.size, reverse=True)[:2]
    points = flat.reshape(-1, 3)[POINTS].astype(float)
    xy = region.to_picture(points[:, :2] / _INPUT)
    xyz = np.concatenate([xy - xy.mean(axis=0), points[:, 2:] * region.size / _INPUT], axis=1)
    return Sight(xy, xyz, float(1.0 / (1.0 + np.exp(-float(presence.ravel()[0])))))
