"""Feet that stand while a motion is corrected: they stay in place, wherever the correction has put them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retarget.motion import Motion

from .pins import Pin
from .turning import Moving, Pose, posed

FEET = ("_ankle", "_foot")
"""How the names of the joints end that stand."""
_SLIDE = 1 / 0.001**2
"""Weight of squared steps of a standing foot that it was not captured with, from frame to frame at 30 fps (1 mm)."""
_HEIGHT = 1 / 0.02**2
"""Weight of its squared change in height (unit 2 cm)."""
_MOVE = 1 / 0.2**2
"""Weight of its squared move over the ground (unit 20 cm): a capture errs in depth, so it may move as a whole."""
_TUNED_FPS = 30.0


@dataclass(frozen=True)
class Feet:
    """Which feet stand when, in N frames."""

    joints: np.ndarray
    """Shape (F,)."""
    captured: np.ndarray
    """Where they were captured, shape (N, F, 3) m."""
    raised: np.ndarray
    """How much higher pins have put them, shape (N, F) m."""
    weight: np.ndarray
    """How surely they stand, 0 to 1, shape (N, F)."""
    together: np.ndarray
    """Weight of each step between frames, from that into the first to that out of the last, shape (N + 1, F)."""

    def cost(self, pose: Pose) -> float:
        """Return the cost of the feet's moves."""
        moves, steps = self._moves(pose)
        return float((self._weights() * moves**2).sum() + (self.together[..., None] * steps**2).sum())

    def add(self, pose: Pose, square: np.ndarray, coupling: np.ndarray, slope: np.ndarray) -> None:
        """Add the cost's second and first derivatives to blocks per frame, between frames, and the slope."""
        moves, steps = self._moves(pose)
        count = len(moves)
        rows = pose.jacobian(pose.places[:, self.joints], self.joints).reshape(count, -1, slope.shape[1])
        alone, pairs = self._weights().reshape(count, -1), np.repeat(self.together, 3, axis=1)
        steps = steps.reshape(count + 1, -1) * pairs
        heavy = rows * (alone + pairs[:-1] + pairs[1:])[..., None]
        square += np.swapaxes(heavy, 1, 2) @ rows
        coupling -= np.swapaxes(rows[1:] * pairs[1:-1, :, None], 1, 2) @ rows[:-1]
        pull = alone * moves.reshape(count, -1) + steps[:-1] - steps[1:]
        slope += (np.swapaxes(rows, 1, 2) @ pull[..., None])[..., 0]

    def _moves(self, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        """Return how far the feet are from where they should stand (N, F, 3) and what they moved between frames."""
        moves = pose.places[:, self.joints] - self.captured
        still = np.zeros((1, *moves.shape[1:]))
        steps = np.diff(np.concatenate([still, moves, still]), axis=0)
        moves[..., 2] -= self.raised
        return moves, steps

    def _weights(self) -> np.ndarray:
        return self.weight[..., None] * np.array([_MOVE, _MOVE, _HEIGHT])


def standing(motion: Motion, start: int, moving: Moving, pins: dict[int, Pin], delta: np.ndarray) -> Feet | None:
    """Return the standing feet that a correction moves, in the frames from `start` on; None where there are none.

    pins: by frame from `start`; delta: a correction (N, n) that meets them.
    """
    joints = _moved_feet(moving)
    if motion.contacts is None or not len(joints):
        return None
    stop = start + len(delta)
    part = motion.slice(start, stop)
    captured = posed(part, moving, np.zeros_like(delta)).places[:, joints]
    higher = (posed(part, moving, delta).places[:, joints] - captured)[..., 2]
    around = np.zeros((len(delta) + 2, len(joints)))
    first, last = max(start - 1, 0), min(stop + 1, len(motion))
    around[first - start + 1 : last - start + 1] = motion.contacts[first:last, joints]
    weight = around[1:-1]
    raised = np.zeros_like(higher)
    pinned = np.zeros(weight.shape, bool)
    for row, pin in pins.items():
        pinned[row] = [_puts(pin, motion, joint) for joint in joints]
    for column, stands in enumerate((weight > 0.5).T):
        for run in np.split(np.arange(len(stands)), np.flatnonzero(np.diff(stands)) + 1):
            rows = run[pinned[run, column]]
            if stands[run[0]] and len(rows):
                raised[run, column] = np.interp(run, rows, higher[rows, column])
    together = _SLIDE * (motion.fps / _TUNED_FPS) ** 2 * around[1:] * around[:-1]
    return Feet(joints, captured, raised, weight, together)


def _moved_feet(moving: Moving) -> np.ndarray:
    """Return the joints of feet that a correction can move."""
    moved = np.any(moving.carries, axis=0) | moving.travels
    return np.array([j for j in np.flatnonzero(moved) if moving.skeleton.names[j].endswith(FEET)], int)


def _puts(pin: Pin, motion: Motion, joint: int) -> bool:
    """Tell whether a pin says where a joint is: by its place, or by a rotation above it."""
    if joint in pin.positions or joint in pin.pixels:
        return True
    above = motion.skeleton.parents[joint]
    while above >= 0 and above not in pin.rotations:
        above = motion.skeleton.parents[above]
    return bool(above >= 0)
