"""Two bones that bring their end to a goal, in closed form: legs and arms."""

from __future__ import annotations

import numpy as np

from . import rotation
from .smoothing import rising

_STRAIGHT = 0.25
"""Sine of a limb's bend below which it may count as bent the wrong way, and its joint's own axis helps out."""
_PASSED = 0.15
"""By how much in rad a limb that is bent back must bend to have passed the straight: on the way its end misses its
goal by as little as a bent-back limb is short."""
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
    bend = _bend(upper, lower, distance)
    move = np.abs(bend - _bend(upper, lower, now))
    axis, back = _bend_axis(line, middle - start, end - middle, upper * lower, hinge, move)
    passed = rising(move / _PASSED)
    bend = np.where(back, passed * bend - (1.0 - passed) * _bend(upper, lower, now), bend)
    distance = np.where(back, np.sqrt(upper**2 + lower**2 + 2.0 * upper * lower * np.cos(bend)), distance)
    swing = rotation.between(line, wanted)
    axis, along = rotation.rotate(swing, axis), wanted / np.maximum(far, 1e-12)[:, None]
    corner = _corner(upper, distance, lower) * np.where(bend < 0, -1.0, 1.0)
    knee = upper[:, None] * (np.cos(corner)[:, None] * along + np.sin(corner)[:, None] * np.cross(along, axis))
    still = np.abs(distance - now) < _SAME
    turns = []
    for bone, new in ((middle - start, knee), (end - middle, along * distance[:, None] - knee)):
        bone = rotation.rotate(swing, bone)
        turns.append(rotation.multiply(rotation.between(bone, np.where(still[:, None], bone, new)), swing))
    return turns[0], turns[1], start + along * distance[:, None]


def _bend(upper: np.ndarray, lower: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Return by how much in rad the limb is bent, 0 where it is straight, from the distance of its ends. (T,) each."""
    cosine = (distance**2 - upper**2 - lower**2) / np.maximum(2.0 * upper * lower, 1e-12)
    return np.arccos(np.clip(cosine, -1.0, 1.0))


def _corner(near: np.ndarray, distance: np.ndarray, opposite: np.ndarray) -> np.ndarray:
    """Return the angle in rad between a bone and the line from start to end, by the law of cosines. (T,) each."""
    cosine = (near**2 + distance**2 - opposite**2) / np.maximum(2.0 * near * distance, 1e-12)
    return np.arccos(np.clip(cosine, -1.0, 1.0))


def _bend_axis(line: np.ndarray, upper: np.ndarray, lower: np.ndarray, scale: np.ndarray, hinge: np.ndarray,
               move: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit axis (T, 3) at right angles to the limb about which it bends, and whether it is bent back, (T,).

    The plane in which the limb lies decides; where it is nearly straight its hinge does, the more the farther it has
    to bend: move (T,) in rad.
    """
    bend = np.cross(upper, lower) / np.maximum(scale, 1e-12)[:, None]
    along = line / np.maximum(_length(line), 1e-12)[:, None]
    level = hinge - np.sum(hinge * along, axis=-1, keepdims=True) * along
    back = (np.sum(bend * hinge, axis=-1) < 0) & (_length(bend) < _STRAIGHT)
    weight = move * (1.0 - rising(_length(bend) / _STRAIGHT))
    axis = bend * np.where(back, -1.0, 1.0)[:, None] + weight[:, None] * level
    return axis / np.maximum(_length(axis), 1e-12)[:, None], back


def _length(v: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("...i,...i->...", v, v))
