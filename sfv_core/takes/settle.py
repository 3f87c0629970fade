"""The last touch to a take: soles that stand stand still, and nothing is in the ground.

Contacts in physics engines are soft: soles creep by some cm/s, sink by some mm, and brush the ground when they land and
leave. Here a sole that stands is held where it stands on average, one that brushes along the ground is lifted just off
it, and what is in the ground is lifted onto it. Legs follow by bending; the rest of the body is as the physics had it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from retarget import kinematics, rotation
from retarget.contact import held, runs
from retarget.ik import reach
from retarget.motion import Motion
from retarget.smoothing import at_least
from sfv_core.character.character import Character
from sfv_core.takes.figures import NEAR, sole_corners, soles, state_of

STANDS = 0.3
"""Speed over the ground in m/s up to which a sole that touches it stands; a faster one brushes it."""
_CLEARANCE = NEAR + 0.001
"""Height in m to which a sole is lifted that brushes the ground."""
_SHORTEST_S = 0.05
"""Shorter stands are none, in s."""
_SOFT_S = 0.035
"""Time in s within which lifts begin and end."""
MOST = 0.03
"""Way in m beyond which a sole is not held: then it is meant to slide."""


@dataclass(frozen=True)
class Settled:
    """A motion whose feet stand."""

    motion: Motion
    moved: np.ndarray
    """How far each frame's feet and root were moved at most, in m, (T,)."""


def settle(motion: Motion, character: Character) -> Settled:
    """Hold the soles that stand and lift what is in the ground; motion: on the character's skeleton.

    The feet's contacts become the moments in which they stand; brushing the ground is none.
    """
    frames = max(round(_SOFT_S * motion.fps), 1)
    state = state_of(motion, character)
    corners = sole_corners(character, state.positions, state.rotations)
    feet = [_shift(corners[:, foot], motion.fps, frames) for foot in range(corners.shape[1])]
    shifts = np.stack([shift for shift, _ in feet], axis=1)
    bent = _bent(motion, character, shifts)
    lowest = state_of(bent, character)
    depth = np.maximum(-character.lowest(lowest.positions, lowest.rotations).min(axis=1), 0.0)
    lift = at_least(depth, frames) * (depth > 0).any()
    root = bent.root_pos + lift[:, None] * np.array([0.0, 0.0, 1.0])
    contacts = np.zeros(motion.rotations.shape[:2]) if motion.contacts is None else motion.contacts.copy()
    contacts[:, list(soles(character))] = np.stack([stands for _, stands in feet], axis=1)
    return Settled(replace(bent, root_pos=root, contacts=contacts), np.linalg.norm(shifts, axis=-1).max(axis=1) + lift)


def _shift(corners: np.ndarray, fps: float, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how far to move a foot, (T, 3) m, and when it stands, bool (T,). corners: (T, 4, 3) m of its sole."""
    path, stands, brushes = standing(corners, fps)
    shift = np.zeros((len(corners), 3))
    shift[:, :2] = held(path[:, None], np.zeros_like(path)[:, None], stands[:, None], fps, MOST)
    height = corners[..., 2].min(axis=1)
    wanted = np.where(brushes, _CLEARANCE, 0.0)
    shift[:, 2] = at_least(np.maximum(wanted - height, 0.0), frames)
    return shift, stands


def standing(corners: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how a sole creeps, (T, 2) m, when it stands and when it brushes the ground without standing, bool (T,).

    It creeps as the slowest of its corners that touch, since a foot turns about one while it rolls; it stands while
    that one is slow.
    """
    touches = corners[..., 2] < NEAR
    both = touches[1:] & touches[:-1]
    steps = np.diff(corners[..., :2], axis=0)
    ways = np.where(both, np.linalg.norm(steps, axis=-1), np.inf)
    slip = np.where(both.any(axis=1)[:, None], steps[np.arange(len(steps)), ways.argmin(axis=1)], 0.0)
    slow = ways.min(axis=1) * fps < STANDS
    stands = np.concatenate([slow, [False]]) | np.concatenate([[False], slow])
    for first, last in runs(stands):
        stands[first:last] = last - first > _SHORTEST_S * fps
    return np.concatenate([np.zeros((1, 2)), np.cumsum(slip, axis=0)]), stands, touches.any(axis=1) & ~stands


def _bent(motion: Motion, character: Character, shifts: np.ndarray) -> Motion:
    """Return the motion with its ankles moved by (T, F, 3) m in the world; feet keep their directions."""
    skeleton = character.skeleton
    places, turns = kinematics.world_poses(motion)
    for foot, ankle in enumerate(soles(character)):
        knee = int(skeleton.parents[ankle])
        hip = int(skeleton.parents[knee])
        hinge = rotation.rotate(turns[:, hip], np.array(character.links[knee].axis))
        goal = places[:, ankle] + shifts[:, foot]
        upper, lower, _ = reach(places[:, hip], places[:, knee], places[:, ankle], goal, hinge)
        turns[:, hip] = rotation.multiply(upper, turns[:, hip])
        turns[:, knee] = rotation.multiply(lower, turns[:, knee])
    return replace(motion, rotations=rotation.continuous(kinematics.local_rotations(skeleton, turns)))
