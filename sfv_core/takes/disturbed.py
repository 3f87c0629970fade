"""Worlds in which takes happen: an Engine around an engine that pushes, is late, and notes what happens.

The Environment acts through it as through any engine and knows of none of this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from retarget import rotation
from sfv_core.character.character import Character
from sfv_core.imitate.observation import heading
from sfv_core.physics.engine import PHYSICS_RATE, Engine, State, local_motion

RECORD_RATE = 60
"""Frames per second of a take: feet that land and leave look soft at the 30 Hz of control."""
STRIDE = PHYSICS_RATE // RECORD_RATE


@dataclass(frozen=True)
class Shove:
    """A force on one link of each of N characters, from tick `first` up to, not including, tick `stop` of a take."""

    link: int
    first: int
    stop: int
    force: np.ndarray
    """Force in N, shape (N, 3)."""
    turns: bool = True
    """The force is seen from the character as it faces when the push begins, else along the engine's axes."""


@dataclass(frozen=True)
class Note:
    """The worlds at one moment of a take."""

    state: State
    contacts: np.ndarray
    """Which links touch the ground, bool (N, L)."""
    torques: np.ndarray
    """Largest torque of each joint about its axes, as a share of its limit, (N, L)."""


@dataclass
class Disturbed:
    """N worlds with a common clock. All is as in the engine where nothing is asked for."""

    engine: Engine
    shoves: tuple[Shove, ...] = ()
    latency: int = 0
    """Ticks until a command arrives; until the first one does, the joints hold the pose that they start in."""
    noting: bool = False
    """Take a note 60 times a second."""
    unsettle: Callable[[State], State] = lambda state: state
    """Changes the states that episodes start in."""
    notes: list[Note] = field(default_factory=list)
    clock: int = 0
    """Ticks since the take's start."""
    broken: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    """In which worlds the physics gave values that are no numbers, so that the environment put it right, bool (N,)."""

    def __post_init__(self) -> None:
        self.character: Character = self.engine.character
        self.worlds = self.engine.worlds
        self._commands: list[tuple[int, np.ndarray]] = []
        self._forces: dict[int, np.ndarray] = {}
        self._last = np.zeros((self.worlds, self.character.coordinates))

    def begin(self) -> None:
        """Start a take from the state that the worlds are in."""
        self.clock, self.notes, self._commands, self._forces = 0, [], [], {}
        self.broken = np.zeros(self.worlds, bool)
        self._last = self.character.to_coordinates(local_motion(self.character, self.engine.read())[0])
        self._note()

    def reset(self, ids: np.ndarray, state: State) -> None:
        """Put the characters of the worlds `ids` (K,) into a state (K, …), unsettled but where a take goes on."""
        if self.clock:
            self.broken[ids] = True
        self.engine.reset(ids, state if self.clock else self.unsettle(state))

    def step(self, targets: np.ndarray, substeps: int, ids: np.ndarray | None = None,
             forces: np.ndarray | None = None) -> None:
        """Simulate as Engine.step; what changes within, changes at its very tick."""
        self._commands.append((self.clock + self.latency, targets.copy()))
        end = self.clock + substeps
        while self.clock < end:
            while self._commands and self._commands[0][0] <= self.clock:
                self._last = self._commands.pop(0)[1]
            pushed = self._pushed()
            stop = min([end, *(tick for tick in self._changes() if tick > self.clock)])
            if forces is not None:
                pushed = forces if pushed is None else pushed + forces
            self.engine.step(self._last, stop - self.clock, ids, pushed)
            self.clock = stop
            if self.clock % STRIDE == 0:
                self._note()

    def read(self) -> State:
        """Return the state of all worlds; a copy."""
        return self.engine.read()

    def contacts(self) -> np.ndarray:
        """Tell which links touch the ground, bool of shape (N, L)."""
        return self.engine.contacts()

    def close(self) -> None:
        """Free the worlds."""
        self.engine.close()

    def _changes(self) -> list[int]:
        """Return the next ticks at which a command, a push or a note is due."""
        ticks = [tick for shove in self.shoves for tick in (shove.first, shove.stop)]
        ticks += [tick for tick, _ in self._commands]
        return [*ticks, (self.clock // STRIDE + 1) * STRIDE] if self.noting else ticks

    def _pushed(self) -> np.ndarray | None:
        """Return the forces of the pushes at this tick, (N, L, 3) N; None where there are none."""
        forces = None
        for number, shove in enumerate(self.shoves):
            if not shove.first <= self.clock < shove.stop:
                continue
            if number not in self._forces:
                facing = rotation.inverse(heading(self.engine.read().rotations[:, 0]))
                self._forces[number] = rotation.rotate(facing, shove.force) if shove.turns else shove.force
            if forces is None:
                forces = np.zeros((self.worlds, len(self.character.links), 3))
            forces[:, shove.link] += self._forces[number]
        return forces

    def _note(self) -> None:
        if self.noting:
            state = self.engine.read()
            self.notes.append(Note(state, self.engine.contacts(), torques(self.character, state, self._last)))


def torques(character: Character, state: State, targets: np.ndarray) -> np.ndarray:
    """Return what the joints' PD controllers ask for, clamp(Kp (target − q) − Kd q̇, ±limit), as a share of the limit.

    state: (N, …); targets: (N, C) rad → (N, L), of a ball joint the largest of its three axes, 0 for the root.
    """
    local, spins = local_motion(character, state)
    error = targets - character.to_coordinates(local)
    hinge_speed = np.sum(spins[:, character.hinges] * character.axes, -1)
    speed = np.concatenate([spins[:, character.balls].reshape(len(spins), -1), hinge_speed], axis=1)
    stiffness, damping, limit = (np.array([getattr(link, name) for link in character.links])[character.owners]
                                 for name in ("stiffness", "damping", "torque"))
    share = np.clip(np.abs(stiffness * error - damping * speed) / np.maximum(limit, 1e-9), 0.0, 1.0)
    shares = np.zeros((len(spins), len(character.links)))
    for column, link in enumerate(character.owners):
        shares[:, link] = np.maximum(shares[:, link], share[:, column])
    return shares
