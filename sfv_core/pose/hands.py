"""Find hands in the picture where the pose has wrists, and judge which sights are to be trusted."""

from __future__ import annotations

import numpy as np

from .closeup import Closeup, Part, Sight
from .keypoints import Keypoints
from .region import Region

SIDES = ("left", "right")
LANDMARKS = ("wrist", *(f"{finger}{i}" for finger in ("thumb", "index", "middle", "ring", "pinky")
                        for i in (1, 2, 3, "_tip")))
"""The network's 21 landmarks: joints named as the finger bones that begin there, and finger tips."""
PALM = 0.09
"""Length in m from the wrist to the knuckles of a person of 1.7 m."""
SMALLEST = 40.0
"""Length in px that the palm must have to be looked at; from 32 px on a hand that was large enough stays so."""
_STILL_LARGE = 32.0
_REGION = 0.32
"""Side in m of the first region around a hand."""
_INPUT = 224.0
_BASE = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]
"""Landmarks without the outer finger joints; the region of the next picture is laid around them."""


def hand_part(keypoints: Keypoints, size: np.ndarray, side: str) -> Part | None:
    """Return how to follow one hand; None where it is never large enough or the keypoints have no wrists.

    size: (T,) length in px of 1.7 m at the person's distance, per picture.
    """
    if f"{side}_wrist" not in keypoints.names:
        return None
    worth = large_enough(PALM * size / 1.7, SMALLEST, _STILL_LARGE) & _visible(keypoints, side)
    if not worth.any():
        return None
    regions = [_region(keypoints, row, float(size[row]) / 1.7, side) if worth[row] else None
               for row in range(len(keypoints))]

    def read(outputs: tuple[np.ndarray, ...], region: Region) -> Sight:
        return _read(outputs, region, side)

    return Part("hand_landmark", regions, read, around)


def large_enough(length: np.ndarray, enough: float, still: float) -> np.ndarray:
    """Say where a length in px (T,) is large enough: from `enough` on, and then as long as it exceeds `still`."""
    out, inside = np.zeros(len(length), bool), False
    for row, value in enumerate(length):
        inside = bool(value >= (still if inside else enough))
        out[row] = inside
    return out


def agreement(hand: Closeup, keypoints: Keypoints, size: np.ndarray, side: str) -> np.ndarray:
    """Return how well the hand's wrist lies on the pose's, 0 to 1, shape (T,); size as in `hand_part`."""
    wrist = keypoints.xy[:, keypoints.names.index(f"{side}_wrist")]
    away = np.linalg.norm(hand.xy[:, 0] - wrist, axis=-1) / (PALM * size / 1.7)
    return np.exp(-np.maximum(away - 0.6, 0.0) ** 2 / 0.1)


def around(xy: np.ndarray) -> Region:
    """Return the region around a hand's landmarks (21, 2) px, fingers up, as MediaPipe's own graph lays it."""
    knuckles = (0.5 * (xy[5] + xy[13]) + xy[9]) / 2
    angle = _upward(knuckles - xy[0])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    own = xy[_BASE] @ turn.T
    low, high = own.min(axis=0), own.max(axis=0)
    centre = turn.T @ ((low + high) / 2 - [0.0, 0.1 * (high - low)[1]])
    return Region((float(centre[0]), float(centre[1])), max(float(2.0 * (high - low).max()), 8.0), angle)


def _region(keypoints: Keypoints, row: int, metre: float, side: str) -> Region:
    """Return where the pose has the hand. metre: length of 1 m at the person's distance in px."""
    xy, names = keypoints.xy[row], keypoints.names
    wrist = xy[names.index(f"{side}_wrist")]
    along = np.array([0.0, 1.0])
    if f"{side}_elbow" in names:
        along = wrist - xy[names.index(f"{side}_elbow")]
    centre = wrist + PALM * metre * along / max(float(np.linalg.norm(along)), 1e-6)
    if f"{side}_index" in names and f"{side}_pinky" in names:
        centre = (2 * xy[names.index(f"{side}_index")] + xy[names.index(f"{side}_pinky")]) / 3
        if np.linalg.norm(centre - wrist) > 0.3 * PALM * metre:
            along = centre - wrist
    return Region((float(centre[0]), float(centre[1])), _REGION * metre, _upward(along))


def _upward(along: np.ndarray) -> float:
    """Return the turn of a region in which a direction (2,) of the picture points up."""
    return float(np.arctan2(along[1], along[0]) + np.pi / 2)


def _visible(keypoints: Keypoints, side: str) -> np.ndarray:
    """Say where the wrist was seen and lies inside the picture, (T,)."""
    wrist = keypoints.names.index(f"{side}_wrist")
    inside = np.all((keypoints.xy[:, wrist] > 0) & (keypoints.xy[:, wrist] < keypoints.size), axis=-1)
    return keypoints.detected & inside & (keypoints.confidence[:, wrist] > 0.3)


def _read(outputs: tuple[np.ndarray, ...], region: Region, side: str) -> Sight:
    """Take landmarks, presence, rightness and landmarks in m from a region to the picture."""
    flat, presence, right, metres = outputs
    xy = region.to_picture(flat.reshape(21, 3)[:, :2].astype(float) / _INPUT)
    xyz = metres.reshape(21, 3).astype(float)
    cos, sin = np.cos(region.angle), np.sin(region.angle)
    xyz[:, :2] = xyz[:, :2] @ np.array([[cos, sin], [-sin, cos]])
    same = float(right[0]) if side == "right" else 1.0 - float(right[0])
    return Sight(xy, xyz, float(presence[0]) * float(np.clip((same - 0.2) / 0.4, 0.0, 1.0)))
