"""See one person's landmarks in a region of a picture: MediaPipe's landmark network with what its graph adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from retarget.motion import other_side

from .candidates import Candidate
from .detector import upright
from .network import Network
from .region import Region, crop

NAMES = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)
_MIRROR = other_side(NAMES)
_HIPS, _REACH = 33, 34
"""Auxiliary landmarks that say where the person is in the next picture."""
_KERNEL = np.stack(np.meshgrid(np.arange(-3, 4), np.arange(-3, 4)), axis=-1).reshape(-1, 2)
"""Cells of the heat map around a landmark that refine it: (column, row) offsets, (49, 2)."""
_HOT = 0.5
"""Largest value of these cells from which the heat map is believed."""


@dataclass(frozen=True)
class Seen:
    """What the landmark network sees in one region."""

    candidate: Candidate
    """The person's landmarks in px of the picture and in m."""
    region: Region
    """Where the same person should be looked for in the next picture, never mirrored."""
    presence: float
    """How sure the network is that there is a person in the region, 0 to 1."""


class Landmarker:
    """MediaPipe's pose landmark network, complexity 1."""

    def __init__(self) -> None:
        self._network = Network("pose_landmark")

    def __call__(self, rgb: np.ndarray, region: Region) -> Seen | None:
        """Return the person in the region of the picture (H, W, 3) uint8; None where numbers make no sense."""
        flat, presence, heat, world = self._network(crop(rgb, region, self._network.size))
        flat, world = flat.reshape(39, 5).astype(float), world.reshape(39, 3).astype(float)
        if not (np.all(np.isfinite(flat)) and np.all(np.isfinite(world))):
            return None
        places = region.to_picture(_refined(flat[:, :2] / self._network.size, heat))
        xyz = _turned(world[:33], region)
        xy, visibility = places[:33], expit(flat[:33, 3])
        if region.mirrored:
            xy, xyz, visibility = xy[_MIRROR], xyz[_MIRROR], visibility[_MIRROR]
        return Seen(Candidate(xy, xyz, visibility), upright(places[_HIPS], places[_REACH]), float(presence[0]))


def _refined(points: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Move the points (39, 2), 0 to 1, to the middle of the heat (rows, columns, 39 logits) around them."""
    rows, columns = heat.shape[:2]
    cells = (points * [columns, rows]).astype(int)
    around = cells[:, None] + _KERNEL
    inside = np.all((around >= 0) & (around < [columns, rows]), axis=-1)
    column, row = np.clip(around, 0, [columns - 1, rows - 1]).transpose(2, 0, 1)
    weight = inside * expit(heat[row, column, np.arange(len(points))[:, None]].astype(float))
    middle = (around * weight[..., None]).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)[:, None]
    believed = (weight.max(axis=1) >= _HOT) & np.all((cells >= 0) & (cells < [columns, rows]), axis=-1)
    return np.where(believed[:, None], middle / [columns, rows], points)


def _turned(xyz: np.ndarray, region: Region) -> np.ndarray:
    """Take hip-centred points of the region to the axes of the picture. (33, 3) → (33, 3)."""
    cos, sin = np.cos(region.angle), np.sin(region.angle)
    x, y = (-xyz[:, 0] if region.mirrored else xyz[:, 0]), xyz[:, 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y, xyz[:, 2]], axis=1)
