"""Find the ground under the feet and when they touch it. Camera axes: x right, y down, z forward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..body.model import SMPL_NAMES as JOINTS
from . import landmarks
from .contact import contact_speeds, likely
from .landmarks import Observations

_INLIER = 0.03
"""Distance from the plane in m within which a point supports it."""
_BELOW = 0.08
"""Depth in m below the plane at which a point speaks against it."""
_STILL = 0.35
"""Speed in m/s below which a foot may stand."""
_ROLL, _PITCH, _LEAN = 2.5, 12.0, 7.0
"""Deviations in degrees: how level cameras are held, how far they look up or down, how far people lean on average."""
_CAMERA_HEIGHT, _HEIGHT_VARIES = 1.35, 0.5
"""How high cameras stand above the ground, and the width of the (Cauchy) distribution about it, in m."""
_SUPPORT = 12.0
"""What the support by all standing points is worth, in squared deviations."""
_MOST_POINTS = 3000
_CAMERA_UP = np.array([0.0, -1.0, 0.0])
_TRUNK = [JOINTS.index(name) for name in ("pelvis", "spine1", "spine3", "neck", "head")]
_LEGS = [JOINTS.index(f"{side}_{part}") for part in ("hip", "knee", "ankle") for side in ("left", "right")]
_ARMS = [JOINTS.index(f"{side}_{part}") for part in ("shoulder", "elbow", "wrist") for side in ("left", "right")]


@dataclass(frozen=True)
class Ground:
    """A plane: the points p with up · p = height."""

    up: np.ndarray
    """Unit normal in camera axes, shape (3,)."""
    height: float
    """In m."""


def find_ground(points: np.ndarray, joints: np.ndarray, observations: Observations) -> tuple[Ground, np.ndarray]:
    """Return the ground and how likely each of `landmarks.CONTACTS` touches it, (T, C).

    points: places of the contacts (T, C, 3), joints: (T, J, 3), both of the first pass in camera axes.
    """
    speed = contact_speeds(observations)
    ground = _plane(points[:, :4], speed[:, :4], _balance(points[:, :4], joints, speed[:, :4]))
    return ground, likely(speed, points @ ground.up - ground.height, observations.weight[:, landmarks.CONTACTS])


def _balance(feet: np.ndarray, joints: np.ndarray, speed: np.ndarray) -> np.ndarray | None:
    """Return the usual direction from the standing feet to the middle of the body, (3,), or None if they never stand.

    Whoever does not fall has the middle of the body above the feet, on average over time; a foot plane alone leaves
    its tilt open where the feet stay on a line.
    """
    standing = (speed < _STILL).astype(float)
    rows = standing.sum(axis=1) > 0
    if rows.sum() < 5:
        return None
    support = (feet * standing[..., None]).sum(axis=1)[rows] / standing.sum(axis=1)[rows, None]
    middle = 0.5 * joints[:, _TRUNK].mean(axis=1) + 0.35 * joints[:, _LEGS].mean(axis=1) \
        + 0.15 * joints[:, _ARMS].mean(axis=1)
    direction = np.median(middle[rows] - support, axis=0)
    return direction / np.linalg.norm(direction)


def _plane(feet: np.ndarray, speed: np.ndarray, balance: np.ndarray | None) -> Ground:
    """Search all tilts of the camera for the plane that most standing foot points lie on and few lie below.

    How level cameras are held and how people balance decide where the feet alone do not.
    """
    everything = _few(feet.reshape(-1, 3))
    standing = _few(feet[speed < _STILL])
    if len(standing) < 12:
        standing = everything
    pitch, roll = (angle.ravel() for angle in np.meshgrid(np.arange(-35.0, 36.0), np.arange(-15.0, 16.0)))
    ups = np.stack([np.sin(np.radians(roll)), -np.cos(np.radians(roll)) * np.cos(np.radians(pitch)),
                    np.cos(np.radians(roll)) * np.sin(np.radians(pitch))], axis=-1)
    heights = ups @ standing.T
    level = np.median(heights, axis=1)
    support = (np.abs(heights - level[:, None]) < _INLIER).mean(axis=1)
    support -= (ups @ everything.T - level[:, None] < -_BELOW).mean(axis=1)
    cost = (roll / _ROLL) ** 2 + (pitch / _PITCH) ** 2 - _SUPPORT * support
    cost += np.log1p(((level + _CAMERA_HEIGHT) / _HEIGHT_VARIES) ** 2)
    if balance is not None:
        cost += (np.degrees(np.arccos(np.clip(ups @ balance, -1, 1))) / _LEAN) ** 2
    up = ups[cost.argmin()]
    return Ground(up, float(np.percentile((feet @ up).min(axis=1), 20)))


def _few(points: np.ndarray) -> np.ndarray:
    """Return at most `_MOST_POINTS` of the points (N, 3), evenly."""
    return points[:: max(1, len(points) // _MOST_POINTS)]
