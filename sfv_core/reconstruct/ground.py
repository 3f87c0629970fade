"""Find the ground under the feet and when they touch it. Camera axes: x right, y down, z forward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from . import landmarks
from .landmarks import Observations

_TRIALS = 400
_INLIER = 0.03
"""Distance from the plane in m within which a point supports it."""
_BELOW = 0.08
"""Depth in m below the plane at which a point speaks against it."""
_LARGEST_TILT = np.deg2rad(25.0)
"""The camera is held level to within this."""
_STILL = 0.35
"""Speed in m/s below which a foot may stand."""
_CONTACT_SPEED, _CONTACT_HEIGHT = 0.45, 0.12
"""Speed in m/s and height in m at which contact is as likely as not."""
_CAMERA_UP = np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True)
class Ground:
    """A plane: the points p with up · p = height."""

    up: np.ndarray
    """Unit normal in camera axes, shape (3,)."""
    height: float
    """In m."""


def find_ground(places: np.ndarray, observations: Observations, seed: int = 0) -> tuple[Ground, np.ndarray]:
    """Return the ground and the contact weights (T, C) of `landmarks.CONTACTS`.

    places: landmarks of the first pass in camera axes (T, L, 3). Feet that stand still in the picture span the plane
    (RANSAC); contact is slow and low, both as smooth steps.
    """
    points = places[:, landmarks.CONTACTS]
    speed = _speeds(observations)
    ground = _plane(points[:, :4], speed[:, :4], np.random.default_rng(seed))
    above = points @ ground.up - ground.height - _CONTACT_HEIGHT - 1.2 * landmarks.CONTACT_HEIGHTS
    contact = _falling(speed - _CONTACT_SPEED, 0.08) * _falling(above, 0.03)
    return ground, contact * (observations.weight[:, landmarks.CONTACTS] > 0)


def _speeds(observations: Observations) -> np.ndarray:
    """Return the contacts' speeds in the picture as m/s at the person's distance, shape (T, C)."""
    xy = gaussian_filter1d(observations.xy[:, landmarks.CONTACTS], 1.0, axis=0, mode="nearest")
    step = np.linalg.norm(np.gradient(xy, axis=0), axis=-1)
    return step / observations.size[:, None] * 1.7 * observations.fps


def _plane(feet: np.ndarray, speed: np.ndarray, generator: np.random.Generator) -> Ground:
    """Fit the plane that most standing foot points lie on and few foot points lie below."""
    everything = feet.reshape(-1, 3)
    standing = feet[speed < _STILL]
    if len(standing) < 12:
        standing = everything
    best_up, best_score = _CAMERA_UP, -np.inf
    for _ in range(_TRIALS):
        a, b, c = standing[generator.choice(len(standing), 3, replace=False)]
        up = np.cross(b - a, c - a)
        length = np.linalg.norm(up)
        if length < 1e-3:
            continue
        up = up / length * (1.0 if up @ _CAMERA_UP > 0 else -1.0)
        tilt = np.arccos(np.clip(up @ _CAMERA_UP, -1, 1))
        if tilt > _LARGEST_TILT:
            continue
        score = float((np.abs((standing - a) @ up) < _INLIER).sum() - ((everything - a) @ up < -_BELOW).sum()
                      - 0.02 * len(standing) * (np.degrees(tilt) / 10) ** 2)
        if score > best_score:
            best_up, best_score = up, score
    return Ground(best_up, float(np.percentile((feet @ best_up).min(axis=1), 20)))


def _falling(x: np.ndarray, width: float) -> np.ndarray:
    """Step smoothly from 1 below 0 to 0 above it."""
    return 1.0 / (1.0 + np.exp(np.clip(x / width, -50, 50)))
