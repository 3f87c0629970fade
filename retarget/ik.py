"""Two bones that bring their end to a goal, in closed form: legs and arms."""

from __future__ import annotations

import numpy as np

from . import rotation

_STRAIGHT = 0.25
"""Sine of a limb's bend below which it may count as bent the wrong way, and its joint's own axis helps out."""
_HINGE = 0.05
"""Weight of the joint's own axis against the limb's bend."""
_SAME = 1e-9
"""Difference of reach in m below which a limb keeps its bend as it is."""


def reach(start: np.ndarray, middle: np.ndarray, end: np.ndarray, goal: np.ndarray, hinge: np.ndarray
          ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the world turns of the upper and the lower bone, (T, 4) each, and where the end then is, (T, 3) m.

    start, middle, end: hip, knee, ankle or shoulder, elbow, wrist, (T, 3) m; hinge: (T, 3) unit axis about which the
    lower bone turns when the limb bends as it should. The limb swings as a whole to the goal's direction, then bends in
    its own plane; a goal out of reach is approached. A limb that need not move is not moved.
    """
    line, wanted = end - start, goal - start
    upper, lower = _length(middle - start), _length(end - middle)
    now, far = _length(line), _length(wanted)
    distance = np.clip(far, np.abs(upper - lower), upper + lower)
    swing = rotation.between(line, wanted)
    axis, sign = _bend_axis(line, middle - start, end - middle, upper * lower, hinge)
    sign = np.where(np.abs(distance - now) < _SAME, sign, np.abs(sign))
    first = _corner(upper, distance, lower) * sign - _corner(upper, now, lower) * _sign_of(axis, line, middle - start)
    last = _corner(lower, distance, upper) * sign - _corner(lower, now, upper) * _sign_of(axis, line, middle - start)
    turns = [rotation.multiply(swing, rotation.from_rotvec(axis * angle[:, None])) for angle in (-first, last)]
    return turns[0], turns[1], start + wanted * (distance / np.maximum(far, 1e-12))[:, None]


def _corner(near: np.ndarray, distance: np.ndarray, opposite: np.ndarray) -> np.ndarray:
    """Return the angle in rad between a bone and the line from start to end, by the law of cosines. (T,) each."""
    cosine = (near**2 + distance**2 - opposite**2) / np.maximum(2.0 * near * distance, 1e-12)
    return np.arccos(np.clip(cosine, -1.0, 1.0))


def _bend_axis(line: np.ndarray, upper: np.ndarray, lower: np.ndarray, scale: np.ndarray, hinge: np.ndarray
               ) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit axis (T, 3) at right angles to the limb about which it bends, and −1 where it bends back, (T,).

    The plane in which the limb lies decides; the hinge does where the limb is straight.
    """
    bend = np.cross(upper, lower) / np.maximum(scale, 1e-12)[:, None]
    along = line / np.maximum(_length(line), 1e-12)[:, None]
    level = hinge - np.sum(hinge * along, axis=-1, keepdims=True) * along
    back = (np.sum(bend * hinge, axis=-1) < 0) & (_length(bend) < _STRAIGHT)
    sign = np.where(back, -1.0, 1.0)
    axis = bend * sign[:, None] + _HINGE * level
    return axis / np.maximum(_length(axis), 1e-12)[:, None], sign


def _sign_of(axis: np.ndarray, line: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Return +1 where the upper bone lies on the side of the line that a bend about the axis gives, else −1. (T,)."""
    return np.where(np.sum(np.cross(upper, line) * axis, axis=-1) < 0, -1.0, 1.0)


def _length(v: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("...i,...i->...", v, v))
