"""The interface to a physics engine: many copies of one character, in arrays with a leading axis of worlds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from retarget import rotation
from sfv_core.character.character import Character
from sfv_core.errors import SfvError

PHYSICS_RATE = 240
"""Physics steps per second."""
ENGINES = ("pybullet", "mujoco")
"""Names of the engines."""


@dataclass(frozen=True)
class State:
    """Where the links of N characters are and how they move, in the world."""

    positions: np.ndarray
    """Origins of the links' frames in m, shape (N, L, 3)."""
    rotations: np.ndarray
    """Rotations of the links' frames, shape (N, L, 4) wxyz."""
    velocities: np.ndarray
    """Velocities of the links' centres of mass in m/s, shape (N, L, 3)."""
    spins: np.ndarray
    """Angular velocities in rad/s, shape (N, L, 3)."""

    def __getitem__(self, ids: np.ndarray | slice) -> State:
        """Select characters."""
        return State(self.positions[ids], self.rotations[ids], self.velocities[ids], self.spins[ids])

    def finite(self) -> np.ndarray:
        """Tell which characters have only finite values, shape (N,)."""
        parts = (self.positions, self.rotations, self.velocities, self.spins)
        return np.all([np.all(np.isfinite(a), axis=(1, 2)) for a in parts], axis=0)


@dataclass(frozen=True)
class Conditions:
    """What the worlds are like."""

    gravity: tuple[float, float, float] = (0.0, 0.0, -9.8)
    """Gravity in m/s²; one that leans stands for a slope, on which z is away from the ground."""
    friction: float = 0.9
    """Friction of ground and body against each other, as a share of the force that presses them together."""


def local_motion(character: Character, state: State) -> tuple[np.ndarray, np.ndarray]:
    """Return rotations in the parents' frames (N, L, 4) and spins against the parents in the links' frames (N, L, 3).

    The root's are its own: its rotation in the world, its spin in its frame.
    """
    parents = character.parents[1:]
    local, spins = state.rotations.copy(), state.spins.copy()
    local[:, 1:] = rotation.multiply(rotation.inverse(state.rotations[:, parents]), state.rotations[:, 1:])
    spins[:, 1:] -= state.spins[:, parents]
    return local, rotation.rotate(rotation.inverse(state.rotations), spins)


def root_velocity(character: Character, state: State) -> np.ndarray:
    """Return the velocity of the root's origin in m/s; states have that of its centre of mass. (N, …) → (N, 3)."""
    arm = rotation.rotate(state.rotations[:, 0], character.centres[0])
    return state.velocities[:, 0] - np.cross(state.spins[:, 0], arm)


class Engine(Protocol):
    """N copies of a character, each in a world of its own with flat ground at z = 0, simulated at 240 Hz."""

    character: Character
    worlds: int
    """Number N of worlds."""

    def reset(self, ids: np.ndarray, state: State) -> None:
        """Put the characters of the worlds `ids` (K,) into a state (K, …)."""
        ...

    def step(self, targets: np.ndarray, substeps: int, ids: np.ndarray | None = None,
             forces: np.ndarray | None = None) -> None:
        """Simulate the worlds `ids` (all if not given) while PD controllers pull the joints to the targets.

        targets: (N, C) joint coordinates in rad, see Character.to_coordinates. forces: (N, L, 3) N in the world that
        push the links' centres of mass all the while; none if not given.
        """
        ...

    def read(self) -> State:
        """Return the state of all worlds; a copy."""
        ...

    def contacts(self) -> np.ndarray:
        """Tell which links touch the ground, bool of shape (N, L)."""
        ...

    def close(self) -> None:
        """Free the worlds."""
        ...


def open_engine(name: str, character: Character, worlds: int, conditions: Conditions | None = None,
                threads: int = 1) -> Engine:
    """Make the worlds of the engine called `name`; it is imported only here.

    threads: how many threads step the worlds, in engines that can (MuJoCo).
    """
    if known_engine(name) == "pybullet":
        from sfv_core.physics.pybullet import PyBullet

        return PyBullet(character, worlds, conditions)
    from sfv_core.physics.mujoco import Mujoco

    return Mujoco(character, worlds, conditions, threads)


def known_engine(name: str) -> str:
    """Return the name of an engine; raise SfvError for any other."""
    if name not in ENGINES:
        raise SfvError(f"No physics engine '{name}'. Engines: {', '.join(ENGINES)}.")
    return name
