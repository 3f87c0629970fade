"""Find people in a picture, wherever they are: MediaPipe's person detector on pictures, turned or cut as asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from .network import Network
from .region import Region, crop

_STRIDES = ((8, 2), (16, 2), (32, 6))
"""Cell sizes in px of the detector's input and anchors in each cell (SSD, fixed anchor size)."""
_OVERLAP = 0.3
"""Intersection over union above which two boxes are one person."""
_ENLARGED = 1.25
"""How much larger than the body the region for the landmarks is."""


@dataclass(frozen=True)
class Found:
    """One person that the detector sees."""

    region: Region
    """Where to look for the landmarks: upright along the body."""
    score: float
    """The detector's confidence, 0 to 1."""


class Detector:
    """MediaPipe's person detector."""

    def __init__(self) -> None:
        self._network = Network("pose_detection")
        self._anchors = _anchors(self._network.size)

    def __call__(self, rgb: np.ndarray, least: float = 0.5, within: Region | None = None) -> list[Found]:
        """Return the people in the picture (H, W, 3) uint8, or in a part of it, surest first, scores from `least`."""
        height, width = rgb.shape[:2]
        part = within or Region((width / 2, height / 2), float(max(height, width)))
        raw, logits = self._network(crop(rgb, part, self._network.size) * 2.0 - 1.0)
        scores = expit(logits[:, 0].astype(float))
        kept = np.flatnonzero(scores >= least)
        raw, scores, anchors = raw[kept] / self._network.size, scores[kept], self._anchors[kept]
        centre, sides = raw[:, :2] + anchors, raw[:, 2:4]
        points = raw[:, 4:].reshape(len(kept), 4, 2) + anchors[:, None]
        boxes = np.concatenate([centre - sides / 2, centre + sides / 2], axis=1)
        return [Found(upright(*part.to_picture(place[:2])), float(score))
                for place, score in _suppressed(boxes, points, scores)]


def upright(hips: np.ndarray, reach: np.ndarray) -> Region:
    """Return the region around the middle of the hips (2,) that reaches to a point above the head (2,), in px."""
    x, y = reach - hips
    return Region((float(hips[0]), float(hips[1])), float(2.0 * np.hypot(x, y)) * _ENLARGED,
                  float(np.pi / 2 - np.arctan2(-y, x)))


def overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the intersection over union of a box (4,) = (x0, y0, x1, y1) with boxes (N, 4). → (N,)."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.prod(np.maximum(sides, 0.0), axis=1)
    union = np.prod(box[2:] - box[:2]) + np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) - shared
    return shared / np.maximum(union, 1e-9)


def _anchors(size: int) -> np.ndarray:
    """Return the middle of every anchor, 0 to 1, in the order of the network's outputs. (2254, 2)."""
    rows = []
    for stride, count in _STRIDES:
        places = (np.arange(size // stride) + 0.5) / (size // stride)
        y, x = np.meshgrid(places, places, indexing="ij")
        rows.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), count, axis=0))
    return np.concatenate(rows)


def _suppressed(boxes: np.ndarray, points: np.ndarray, scores: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Return (points (4, 2), score) of each person: overlapping boxes count as one, averaged by score."""
    people = []
    left = np.argsort(-scores)
    while len(left):
        same = overlap(boxes[left[0]], boxes[left]) > _OVERLAP
        same[0] = True
        weights = scores[left[same]]
        people.append((np.average(points[left[same]], axis=0, weights=weights), float(weights[0])))
        left = left[~same]
    return people
