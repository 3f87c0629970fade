"""A body that was captured turning the wrong way round: the turn is taken out before the pins are led to.

A person who turns fast while the detector loses them may be captured turning by −180° instead of +180°. In the middle
of that the pose is half a turn wrong, before and after it is right: the correction has to go on to a whole turn, which
is none, instead of coming back.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from retarget import rotation
from retarget.motion import Motion

_SUSPECT = 1.75
"""Turn of the root by a pin in rad from which the other way round is tried."""
_WIDTHS_S = (0.2, 0.3, 0.4, 0.6, 0.8, 1.2)
"""How long the wrong turn may have taken, in s."""


def unwound(motion: Motion, start: int, stop: int, frames: np.ndarray, turns: np.ndarray) -> tuple[Motion, np.ndarray]:
    """Return the motion with a whole turn of its root added where that makes it calmer, and what pins turn it then.

    start, stop: the window; frames: the pinned frames; turns: the rotation vectors (P, 3) that take the captured root
    there to its pins. Calmer: with the pins met, the root is accelerated less.
    """
    root, rows = motion.skeleton.root, np.arange(start, stop)
    captured = motion.rotations[start:stop, root]
    worst = int(np.linalg.norm(turns, axis=1).argmax())
    angle = float(np.linalg.norm(turns[worst]))
    if angle < _SUSPECT or stop - start < 3:
        return motion, turns
    pinned = rotation.multiply(captured[frames - start], rotation.from_rotvec(turns))
    best, chosen = _restlessness(captured, rows, frames, turns), None
    for width, sense in product(_WIDTHS_S, (1.0, -1.0)):
        along = np.clip((rows - frames[worst]) / (width * motion.fps) + 0.5, 0.0, 1.0)
        turn = 2 * np.pi * along**2 * (3 - 2 * along)
        turn[0], turn[-1] = 0.0, 2 * np.pi
        wound = rotation.multiply(captured, rotation.from_rotvec(np.multiply.outer(turn, sense * turns[worst] / angle)))
        left = rotation.to_rotvec(rotation.multiply(rotation.inverse(wound[frames - start]), pinned))
        value = _restlessness(wound, rows, frames, left)
        if value < best:
            best, chosen = value, (wound, left)
    if chosen is None:
        return motion, turns
    rotations = motion.rotations.copy()
    rotations[start:stop, root] = chosen[0]
    return replace(motion, rotations=rotations), chosen[1]


def _restlessness(path: np.ndarray, rows: np.ndarray, frames: np.ndarray, turns: np.ndarray) -> float:
    """Return the summed squared acceleration of a path (N, 4) that is led through its pins linearly."""
    known = np.concatenate([[rows[0]], frames, [rows[-1]]])
    values = np.concatenate([np.zeros((1, 3)), turns, np.zeros((1, 3))])
    delta = np.stack([np.interp(rows, known, values[:, k]) for k in range(3)], axis=1)
    led = rotation.multiply(path, rotation.from_rotvec(delta))
    speed = rotation.to_rotvec(rotation.multiply(led[1:], rotation.inverse(led[:-1])))
    return float((np.diff(speed, axis=0) ** 2).sum())
