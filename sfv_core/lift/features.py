"""What the lifter sees: the body from a camera that looks straight at its hips, whatever the real camera's zoom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, percentile_filter

from ..reconstruct.landmarks import BONES, HIPS, MIRROR, NAMES

FPS = 30.0
"""Frame rate that the network was trained at."""
WIDTH = 6 * len(NAMES) + 2
"""Number of values for each frame: 2D, 3D and confidence of each landmark, size, and whether there is 3D."""
_SPANS = np.array((*BONES, *((NAMES.index(f"{side}_shoulder"), NAMES.index(f"{side}_hip"))
                             for side in ("left", "right"))))
LENGTH = 3.73
"""Length of all these spans of the mean body together in m; bodies of other sizes are brought to it."""
_NEARBY = 31


@dataclass(frozen=True)
class Features:
    """What the network takes, and how to turn its answer back."""

    values: np.ndarray
    """Shape (T, WIDTH) float32."""
    base: np.ndarray
    """First guess in m, hip-centred, in axes that look at the hips, shape (T, L, 3); the network adds to it."""
    turns: np.ndarray
    """From the camera's axes to those that look at the hips, shape (T, 3, 3)."""


def features(rays: np.ndarray, xyz: np.ndarray | None, weight: np.ndarray) -> Features:
    """Prepare landmarks on a grid of `FPS`.

    rays: (px − centre) / focal, (T, L, 2); xyz: as the detector gives it, hip-centred, its axes look at the person,
    (T, L, 3) m; weight: confidence, (T, L).
    """
    turns = looking_at(rays[:, HIPS].mean(axis=1))
    ahead = np.einsum("tij,tlj->tli", turns, np.concatenate([rays, np.ones_like(rays[..., :1])], axis=-1))
    flat = ahead[..., :2] / np.maximum(ahead[..., 2:], 0.1)
    flat = flat - flat[:, HIPS].mean(axis=1, keepdims=True)
    size = _calm(_size_alone(flat) if xyz is None else _size_with(flat, xyz))
    flat = flat / size[:, None, None]
    base = np.concatenate([flat, np.zeros_like(flat[..., :1])], axis=-1) if xyz is None else xyz
    frames = len(rays)
    known = 0.0 if xyz is None else 1.0
    values = np.concatenate([flat.reshape(frames, -1), known * base.reshape(frames, -1), weight,
                             np.log(4.0 * size)[:, None], np.full((frames, 1), known)], axis=1)
    return Features(values.astype(np.float32), base.astype(np.float32), turns)


def mirrored(points: np.ndarray) -> np.ndarray:
    """Swap left and right of points or rays (..., L, 2 or 3)."""
    return points[..., MIRROR, :] * np.array([-1.0, 1.0, 1.0])[: points.shape[-1]]


def length(xyz: np.ndarray) -> np.ndarray:
    """Return how long the limbs and both sides of the trunk are together in m. (..., L, 3) → (...)."""
    return np.linalg.norm(xyz[..., _SPANS[:, 0], :] - xyz[..., _SPANS[:, 1], :], axis=-1).sum(axis=-1)


def looking_at(hips: np.ndarray) -> np.ndarray:
    """Return the smallest rotation that takes each ray (T, 2) to the optical axis, shape (T, 3, 3). Rodrigues."""
    ray = np.concatenate([hips, np.ones_like(hips[:, :1])], axis=1)
    x, y, z = (ray / np.linalg.norm(ray, axis=1, keepdims=True)).T
    k = 1.0 / (1.0 + z)
    return np.stack([np.stack([1 - k * x * x, -k * x * y, -x], axis=1),
                     np.stack([-k * x * y, 1 - k * y * y, -y], axis=1), np.stack([x, y, z], axis=1)], axis=1)


def _size_alone(flat: np.ndarray) -> np.ndarray:
    """Return 1 / distance in 1/m, from the longest that the bones look nearby in time. (T, L, 2) → (T,)."""
    seen = np.linalg.norm(flat[:, _SPANS[:, 0]] - flat[:, _SPANS[:, 1]], axis=-1).sum(axis=1)
    return percentile_filter(seen, 90, size=_NEARBY, mode="nearest") / LENGTH


def _size_with(flat: np.ndarray, xyz: np.ndarray) -> np.ndarray:
    """Return 1 / distance in 1/m that brings the 3D's x and y to the picture. (T, L, 2), (T, L, 3) → (T,)."""
    across = xyz[..., :2]
    return (flat * across).sum(axis=(1, 2)) / np.maximum((across**2).sum(axis=(1, 2)), 1e-3)


def _calm(size: np.ndarray) -> np.ndarray:
    return np.maximum(gaussian_filter1d(size, 5.0, mode="nearest"), 0.01)
