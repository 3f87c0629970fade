"""Cut a cycle out of a motion so that it can go on for ever: its end leads on to its start, pose and speed alike.

The frames before the cut's start belong before its end as well, since there the motion was the same: over a few frames
one blends into the other. A slight turn in each cycle is straightened, as a cycle that is repeated can only move on.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from retarget import rotation
from retarget.motion import Motion
from sfv_core.cycles.loop import Loop
from sfv_core.errors import SfvError

BLEND = 0.2
"""Time in s over which the seam is blended; a quarter of a shorter cycle."""
LARGEST_TURN = 20.0
"""Turn in degrees in one cycle that is straightened; a larger one would change the motion."""
LARGEST_CLIMB = 0.05
"""Height in m that a cycle may gain or lose; more is a slope or stairs."""
WORST_SEAM = 20.0
"""Distance in cm at the seam from which there is nothing to blend."""


def make_loop(motion: Motion, loop: Loop) -> Motion:
    """Cut the cycle out and close its seam; the way over the ground in a cycle stays. Raise SfvError if it cannot be.

    The result has loop set; its last frame is its first one, moved on.
    """
    obstacle = _obstacle(motion, loop)
    if obstacle:
        raise SfvError(f"The cycle from {loop.start / motion.fps:.2f} to {loop.end / motion.fps:.2f} s cannot be "
                       f"repeated: {obstacle} Choose another one with --start and --end, or perform the motion once.")
    return _closed(_straightened(motion, loop), loop)


def _obstacle(motion: Motion, loop: Loop) -> str:
    """Return why a cycle cannot be repeated; empty where it can."""
    climb = motion.root_pos[loop.end, 2] - motion.root_pos[loop.start, 2]
    if abs(loop.turn_deg) > LARGEST_TURN:
        return f"it turns by {loop.turn_deg:.0f}°, and a cycle may turn by {LARGEST_TURN:.0f}°."
    if abs(climb) > LARGEST_CLIMB:
        return f"it ends {100 * climb:+.0f} cm above its start; on a slope or stairs no cycle is flat."
    if loop.seam_cm > WORST_SEAM:
        return f"the body at its end is {loop.seam_cm:.0f} cm from that at its start, too far to be blended."
    return ""


def _straightened(motion: Motion, loop: Loop) -> Motion:
    """Turn every frame back by its share of the cycle's turn, so that the cycle's end faces as its start does."""
    shares = (np.arange(len(motion)) - loop.start) / (loop.end - loop.start)
    turns = _about_vertical(-np.radians(loop.turn_deg) * shares)
    halfway = _about_vertical(-np.radians(loop.turn_deg) * 0.5 * (shares[1:] + shares[:-1]))
    steps = rotation.rotate(halfway, np.diff(motion.root_pos, axis=0))
    places = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    rotations = motion.rotations.copy()
    top = motion.skeleton.parents < 0
    rotations[:, top] = rotation.multiply(turns[:, None], rotations[:, top])
    return replace(motion, rotations=rotations, root_pos=places + motion.root_pos[loop.start] - places[loop.start])


def _about_vertical(angles: np.ndarray) -> np.ndarray:
    return rotation.from_rotvec(angles[:, None] * np.array([0.0, 0.0, 1.0]))


def _closed(motion: Motion, loop: Loop) -> Motion:
    """Cut the cycle and blend whichever of its ends has frames beyond it into their counterparts a cycle away."""
    start, end = loop.start, loop.end
    way = (motion.root_pos[end] - motion.root_pos[start]) * np.array([1.0, 1.0, 0.0])
    frames = max(min(round(BLEND * motion.fps), (end - start) // 4), 1)
    before, after = min(frames, start), min(frames, len(motion) - 1 - end)
    if max(before, after) < 2:
        return _bent(motion.slice(start, end + 1), way, frames)
    if before >= after:
        own = np.arange(end - before, end + 1)
        other, weights, shift = own - (end - start), _rising(len(own)), way
    else:
        own = np.arange(start, start + after + 1)
        other, weights, shift = own + (end - start), _rising(len(own))[::-1], -way
    mixed = _mixed(motion, own, other, weights, shift).slice(start, end + 1)
    return replace(mixed, rotations=rotation.continuous(mixed.rotations), loop=True)


def _mixed(motion: Motion, own: np.ndarray, other: np.ndarray, weights: np.ndarray, shift: np.ndarray) -> Motion:
    """Blend the frames `own` (N,) into the frames `other`, moved by `shift`, with weights 0 to 1."""
    root, rotations = motion.root_pos.copy(), motion.rotations.copy()
    root[own] += weights[:, None] * (motion.root_pos[other] + shift - motion.root_pos[own])
    rotations[own] = rotation.slerp(motion.rotations[own], motion.rotations[other], weights[:, None])

    def mix(a: np.ndarray | None) -> np.ndarray | None:
        if a is None:
            return None
        a = np.asarray(a, float).copy()
        a[own] += weights[:, None] * (a[other] - a[own])
        return a

    return replace(motion, root_pos=root, rotations=rotations, confidence=mix(motion.confidence),
                   contacts=mix(motion.contacts))


def _bent(cycle: Motion, way: np.ndarray, frames: int) -> Motion:
    """Bend a cycle with nothing around it: half of what its ends are apart goes to each of them."""
    count = len(cycle)
    weights = np.zeros(count)
    ramp = 0.5 * _rising(frames + 1)
    weights[-len(ramp):] += ramp
    weights[: len(ramp)] -= ramp[::-1]
    gap = cycle.root_pos[0] + way - cycle.root_pos[-1]
    turn = rotation.to_rotvec(rotation.multiply(rotation.inverse(cycle.rotations[-1]), cycle.rotations[0]))
    rotations = rotation.multiply(cycle.rotations, rotation.from_rotvec(weights[:, None, None] * turn))
    return replace(cycle, root_pos=cycle.root_pos + weights[:, None] * gap,
                   rotations=rotation.continuous(rotations), loop=True)


def _rising(count: int) -> np.ndarray:
    """Return a smooth rise from 0 to 1 in `count` steps."""
    u = np.linspace(0.0, 1.0, count)
    return u * u * (3.0 - 2.0 * u)
