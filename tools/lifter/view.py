"""Cameras that look at a motion from anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class View:
    """A camera that stands still."""

    eye: np.ndarray
    """Place in the world in m, shape (3,)."""
    camera_from_world: np.ndarray
    """Rotation matrix to camera axes (x right, y down, z forward), shape (3, 3)."""
    focal: float
    """Focal length in px of its picture, whose centre is (0, 0)."""


def camera(marks: np.ndarray, rng: np.random.Generator) -> View:
    """Place a camera that looks roughly at the motion (T, L, 3), from any side, near or far, low or high."""
    middle = marks.mean(axis=(0, 1)) + rng.normal(0, [0.4, 0.4, 0.15])
    distance = np.exp(rng.uniform(np.log(2.6), np.log(8.0)))
    height = rng.choice([rng.uniform(0.2, 2.2), rng.uniform(1.0, 1.7), rng.uniform(2, 4)], p=[0.45, 0.45, 0.1])
    angle = rng.uniform(-np.pi, np.pi)
    eye = np.array([middle[0] + distance * np.sin(angle), middle[1] - distance * np.cos(angle), height])
    reach = np.linalg.norm(marks - eye, axis=-1).min()
    if reach < 1.8:
        eye[:2] += (eye[:2] - middle[:2]) / distance * (1.8 - reach + 0.2)
    z = (middle - eye) / np.linalg.norm(middle - eye)
    x = np.cross(z, [rng.normal(0, 0.05), 0.0, 1.0])
    x /= np.linalg.norm(x)
    return View(eye, np.stack([x, np.cross(z, x), z]), 1000.0)
