"""What rewards and observations look at: a state of the character, taken apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retarget import rotation
from sfv_core.character.character import Character
from sfv_core.physics.engine import State, local_motion


@dataclass(frozen=True)
class Posture:
    """A state of N characters and what follows from it."""

    state: State
    local: np.ndarray
    """Rotations in the parents' frames, shape (N, L, 4)."""
    local_spins: np.ndarray
    """Spins against the parents in the links' frames in rad/s, shape (N, L, 3)."""
    ends: np.ndarray
    """Ankles and wrists in the world in m, shape (N, 4, 3)."""
    momentum: np.ndarray
    """Velocity of the whole body's centre of mass in m/s, shape (N, 3)."""

    @property
    def root(self) -> np.ndarray:
        """Place of the root in the world in m, shape (N, 3)."""
        return self.state.positions[:, 0]


def posture(character: Character, state: State,
            local: tuple[np.ndarray, np.ndarray] | None = None) -> Posture:
    """Take a state (N, …) apart; `local` saves work where local rotations and spins are known."""
    rotations, spins = local_motion(character, state) if local is None else local
    masses = np.array([link.mass for link in character.links]) / character.mass
    momentum = np.einsum("l,nlk->nk", masses, state.velocities)
    elbows = [character.index(f"{side}_elbow") for side in ("left", "right")]
    ankles = [character.index(f"{side}_ankle") for side in ("left", "right")]
    arms = character.skeleton.offsets[len(character.links):]
    wrists = state.positions[:, elbows] + rotation.rotate(state.rotations[:, elbows], arms)
    ends = np.concatenate([state.positions[:, ankles], wrists], axis=1)
    return Posture(state, rotations, spins, ends, momentum)


def centre_of_mass(character: Character, state: State) -> np.ndarray:
    """Return the place of the whole body's centre of mass in the world in m. (N, …) → (N, 3)."""
    masses = np.array([link.mass for link in character.links]) / character.mass
    centres = state.positions + rotation.rotate(state.rotations, character.centres)
    return np.einsum("l,nlk->nk", masses, centres)
