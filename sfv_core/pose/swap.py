"""Undo left and right taken for each other for a few frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import median_filter

from .keypoints import Keypoints

_WINDOW = 9
"""Frames of the median that a frame is compared with."""
_CLEARLY = 0.6
"""The swapped cost must fall below this share of the unswapped one."""
_LEGS = ("hip", "knee", "ankle", "heel", "foot_index")
_ARMS = ("shoulder", "elbow", "wrist", "index", "pinky", "thumb")


def repair(keypoints: Keypoints, passes: int = 2) -> tuple[Keypoints, int]:
    """Return the keypoints with swapped legs and arms put right, and how many were.

    A frame's legs (or arms) are swapped when that brings them clearly closer to the median of their neighbours in
    time: 3D distance in m plus twice the 2D distance in person sizes.
    """
    found = np.flatnonzero(keypoints.detected)
    if keypoints.xyz is None or len(found) < 3:
        return keypoints, 0
    xyz, xy = keypoints.xyz[found].copy(), keypoints.xy[found].copy()
    confidence = keypoints.confidence[found].copy()
    size = np.maximum(keypoints.person_size()[found], 1.0)
    count = 0
    for _ in range(passes):
        middle_xyz = median_filter(xyz, size=(_WINDOW, 1, 1), mode="nearest")
        middle_xy = median_filter(xy, size=(_WINDOW, 1, 1), mode="nearest")
        for left, right in (_sides(keypoints.names, _LEGS), _sides(keypoints.names, _ARMS)):
            here, there = np.concatenate([left, right]), np.concatenate([right, left])
            straight = _apart(xyz[:, here], middle_xyz[:, here]) + 2 * _apart(xy[:, here], middle_xy[:, here]) / size
            crossed = _apart(xyz[:, there], middle_xyz[:, here]) + 2 * _apart(xy[:, there], middle_xy[:, here]) / size
            rows = np.flatnonzero(crossed < _CLEARLY * straight)[:, None]
            for array in (xyz, xy, confidence):
                array[rows, here] = array[rows, there]
            count += len(rows)
    out_xyz, out_xy, out_confidence = keypoints.xyz.copy(), keypoints.xy.copy(), keypoints.confidence.copy()
    out_xyz[found], out_xy[found], out_confidence[found] = xyz, xy, confidence
    return replace(keypoints, xyz=out_xyz, xy=out_xy, confidence=out_confidence), count


def _apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the mean distance of the landmarks per frame. (T, n, d), (T, n, d) → (T,)."""
    return np.linalg.norm(a - b, axis=-1).mean(axis=1)


def _sides(names: tuple[str, ...], parts: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    there = [part for part in parts if f"left_{part}" in names and f"right_{part}" in names]
    return (np.array([names.index(f"left_{part}") for part in there], int),
            np.array([names.index(f"right_{part}") for part in there], int))
