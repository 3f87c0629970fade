"""Rotations as the values of a bone's rotation channels, without jumps between frames."""

from __future__ import annotations

import math

import numpy as np

from retarget import rotation

QUATERNION_PATH = "rotation_quaternion"
AXIS_ANGLE_PATH = "rotation_axis_angle"
EULER_PATH = "rotation_euler"


def rotation_channels(mode: str, q: np.ndarray) -> tuple[str, np.ndarray]:
    """Return the property that a bone of this rotation mode is keyed by, and its values.

    mode: Blender's name ("QUATERNION", "AXIS_ANGLE", "XYZ", …); q: (T, 4) wxyz → (T, 3 or 4).
    """
    q = rotation.continuous(q)
    if mode == "QUATERNION":
        return QUATERNION_PATH, q
    if mode == "AXIS_ANGLE":
        return AXIS_ANGLE_PATH, axis_angle(q)
    return EULER_PATH, euler(mode, q)


def rotations_of(mode: str, values: np.ndarray) -> np.ndarray:
    """Return the rotations that Blender makes of a bone's channels, (..., 3 or 4) → (..., 4) wxyz."""
    if mode == "QUATERNION":
        return rotation.normalize(values)
    if mode == "AXIS_ANGLE":
        length = np.linalg.norm(values[..., 1:], axis=-1, keepdims=True)
        return rotation.from_rotvec(values[..., :1] * values[..., 1:] / np.where(length > 0, length, 1.0))
    return rotation.from_euler(mode[::-1], values[..., ["XYZ".index(letter) for letter in reversed(mode)]])


def axis_angle(q: np.ndarray) -> np.ndarray:
    """Convert to Blender's angle (rad) and axis without sudden flips of the axis. (T, 4) → (T, 4)."""
    values = np.empty((len(q), 4))
    axis, angle = np.array([0.0, 1.0, 0.0]), 0.0
    for frame, turn in enumerate(rotation.to_rotvec(q)):
        length = float(np.linalg.norm(turn))
        if length > 1e-6:
            side = -1.0 if float(turn @ axis) < 0 else 1.0
            axis, length = turn * (side / length), length * side
        angle = _nearest_turn(length, angle)
        values[frame] = [angle, *axis]
    return values


def euler(order: str, q: np.ndarray) -> np.ndarray:
    """Convert to Blender's Euler angles in rad about x, y, z, each frame the nearest to the one before.

    Blender's "XYZ" turns about the fixed X first, which is the intrinsic order ZYX. (T, 4) → (T, 3).
    """
    places = ["XYZ".index(letter) for letter in reversed(order)]
    values = np.empty((len(q), 3))
    before = [0.0, 0.0, 0.0]
    for frame, angles in enumerate(rotation.to_euler(order[::-1], q).tolist()):
        before = min((_unwrapped(choice, before) for choice in _both_solutions(angles)),
                     key=lambda choice: sum(abs(a - b) for a, b in zip(choice, before, strict=True)))
        values[frame, places] = before
    return values


def _both_solutions(angles: list[float]) -> tuple[list[float], list[float]]:
    """Return the two triples of angles that make the same rotation."""
    first, middle, third = angles
    return angles, [first + math.pi, math.pi - middle, third + math.pi]


def _unwrapped(angles: list[float], before: list[float]) -> list[float]:
    """Add whole turns so that each angle is nearest to the one before."""
    return [_nearest_turn(angle, near) for angle, near in zip(angles, before, strict=True)]


def _nearest_turn(angle: float, near: float) -> float:
    """Add whole turns to `angle` (rad) until it is nearest to `near`."""
    return angle + math.tau * round((near - angle) / math.tau)
