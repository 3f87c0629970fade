"""The motion to imitate, sampled at the physics rate: what the character should be and do at every tick.

A motion that loops goes on for ever: its last frame is the first of the next cycle, moved on by the way that the
cycle covers over the ground. Any other clip ends; an episode that gets there is cut off, which is no failure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retarget import kinematics, rotation
from retarget.motion import Motion
from sfv_core.character.character import Character
from sfv_core.errors import SfvError
from sfv_core.physics.engine import PHYSICS_RATE, State, local_motion

SHORTEST, LONGEST = 0.2, 120.0
"""Length in s that a clip may have."""
_HALF_WINDOW = 4
"""Ticks to either side that velocities are measured over."""


@dataclass(frozen=True)
class Reference:
    """Tables over the ticks 0 … K of one cycle or clip, 240 per second."""

    motion: Motion
    """The motion on the character's skeleton."""
    state: State
    """World state of the links, (K + 1, …)."""
    local: np.ndarray
    """Rotations in the parents' frames, shape (K + 1, L, 4)."""
    local_spins: np.ndarray
    """Spins against the parents in the links' frames in rad/s, shape (K + 1, L, 3)."""
    coordinates: np.ndarray
    """Joint coordinates in rad, shape (K + 1, C)."""
    cycle: np.ndarray
    """Way over the ground in one cycle in m, shape (3,); 0 for a clip that ends."""

    @property
    def last(self) -> int:
        """The last tick K."""
        return len(self.coordinates) - 1

    @property
    def loop(self) -> bool:
        """Whether the motion goes on after its last tick."""
        return self.motion.loop

    def lookup(self, ticks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the table's rows for ticks since the first cycle's start, and how far the cycles moved on in m.

        ticks: (N,) ≥ 0 → (N,) and (N, 3). A clip that ends stays at its last tick.
        """
        if not self.loop:
            return np.minimum(ticks, self.last), np.zeros((len(ticks), 3))
        cycles, rows = np.divmod(ticks, self.last)
        return rows, cycles[:, None] * self.cycle


def check_length(motion: Motion) -> None:
    """Raise SfvError if a motion is too short or too long to be learnt."""
    if not SHORTEST <= motion.duration <= LONGEST:
        raise SfvError(f"The motion lasts {motion.duration:.3g} s; physics learns clips of {SHORTEST} to "
                       f"{LONGEST:.0f} s. Cut it or capture a longer one.")


def make_reference(motion: Motion, character: Character) -> Reference:
    """Sample a motion on the character's skeleton (see fit). Raise SfvError if it is too short or too long."""
    check_length(motion)
    last = round(motion.duration * PHYSICS_RATE)
    fine = motion.at(np.linspace(0.0, motion.duration, last + 1), PHYSICS_RATE)
    count = len(character.links)
    places, turns = (a[:, :count] for a in kinematics.world_poses(fine))
    centres = places + rotation.rotate(turns, character.centres)
    cycle = (places[-1, 0] - places[0, 0]) * np.array([1.0, 1.0, 0.0]) * motion.loop
    state = State(places, turns, *_motion(centres, turns, motion.loop))
    local, local_spins = local_motion(character, state)
    return Reference(motion, state, local, local_spins, character.to_coordinates(local), cycle)


def _motion(centres: np.ndarray, turns: np.ndarray, loop: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return velocities and spins (K + 1, L, 3) over the half windows to either side.

    Those of a cycle go on across its seam as its other end moves; that its ends do not quite meet is no motion.
    """
    last, h = len(centres) - 1, _HALF_WINDOW
    ticks = np.arange(last + 1)
    before, after = np.maximum(ticks - h, 0), np.minimum(ticks + h, last)
    if loop:
        tail, head = slice(last - h, last), slice(1, h + 1)
        into = rotation.multiply(rotation.inverse(turns[last]), turns[0])
        out = rotation.multiply(rotation.inverse(turns[0]), turns[last])
        centres = np.concatenate([centres[tail] - centres[last] + centres[0], centres,
                                  centres[head] - centres[0] + centres[last]])
        turns = np.concatenate([rotation.multiply(turns[tail], into), turns, rotation.multiply(turns[head], out)])
        before, after = ticks, ticks + 2 * h
    seconds = ((after - before) / PHYSICS_RATE)[:, None, None]
    turned = rotation.multiply(turns[after], rotation.inverse(turns[before]))
    return (centres[after] - centres[before]) / seconds, rotation.to_rotvec(turned) / seconds
