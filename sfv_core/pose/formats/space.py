"""Bring 3D keypoints of any unit and any axes into metres and the camera's axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import SfvError

_THIGH = (0.15, 0.9)
"""Shortest and longest thigh in m that a figure may have."""
_UPRIGHT = {
    (1, -1): np.eye(3),
    (1, 1): np.diag([1.0, -1.0, -1.0]),
    (2, 1): np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
}
"""Axis and sign that point up → the rotation to camera axes (x right, y down, z forward)."""


def in_metres(names: Sequence[str], xyz: np.ndarray) -> np.ndarray:
    """Scale (T, K, 3) from m, cm or mm by the length of the thigh and put the middle of the hips at the origin."""
    names = list(names)
    try:
        hips = [names.index(f"{side}_hip") for side in ("left", "right")]
        knees = [names.index(f"{side}_knee") for side in ("left", "right")]
    except ValueError as error:
        raise SfvError("its 3D landmarks have no hips and knees under the names left_hip, …") from error
    thigh = float(np.median(np.linalg.norm(xyz[:, hips] - xyz[:, knees], axis=-1)))
    for unit in (1.0, 0.01, 0.001):
        if _THIGH[0] <= thigh * unit <= _THIGH[1]:
            return (xyz - xyz[:, hips].mean(axis=1, keepdims=True)) * unit
    raise SfvError(f"its thighs are {thigh:.3g} long, which is right neither in m nor in cm nor in mm")


def camera_axes(names: Sequence[str], xyz: np.ndarray) -> np.ndarray:
    """Turn (T, K, 3) m so that the axis from the ankles to the shoulders is the camera's "up", by a quarter turn.

    Along x the figure lies, so the axes are taken for the camera's own.
    """
    def middle(part: str) -> np.ndarray:
        return xyz[:, [list(names).index(f"{side}_{part}") for side in ("left", "right")]].mean(axis=1)

    upwards = (middle("shoulder") - middle("ankle")).mean(axis=0)
    axis = int(np.abs(upwards).argmax())
    return xyz @ _UPRIGHT.get((axis, 1 if upwards[axis] > 0 else -1), np.eye(3)).T


def onto_picture(xyz: np.ndarray, xy: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Turn (T, K, 3) m by one rotation so that the figure lies best on (T, K, 2) px, seen from afar.

    Scaled orthography: the scale of each picture and the rotation of all are found in turn.
    """
    weight = (confidence > 0)[..., None] * 1.0
    count = np.maximum(weight.sum(axis=1, keepdims=True), 1.0)
    flat = (xy - (weight * xy).sum(axis=1, keepdims=True) / count) * weight
    deep = (xyz - (weight * xyz).sum(axis=1, keepdims=True) / count) * weight
    scale = np.ones(len(deep))
    rows = np.eye(3)[:2]
    for _ in range(10):
        scaled = deep * np.maximum(scale, 1e-3)[:, None, None]
        rows = _nearest_rows(np.linalg.lstsq(scaled.reshape(-1, 3), flat.reshape(-1, 2), rcond=None)[0].T)
        seen = deep @ rows.T
        scale = (seen * flat).sum(axis=(1, 2)) / np.maximum((seen**2).sum(axis=(1, 2)), 1e-9)
    return xyz @ np.concatenate([rows, np.cross(rows[0], rows[1])[None]]).T


def _nearest_rows(matrix: np.ndarray) -> np.ndarray:
    """Return the two orthonormal rows closest to the matrix (2, 3)."""
    u, _, vt = np.linalg.svd(matrix, full_matrices=False)
    return u @ vt
