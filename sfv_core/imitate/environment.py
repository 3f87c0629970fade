"""Many characters that try to imitate one reference, each in a world of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_core.character.character import Character
from sfv_core.imitate.feedforward import asked_for
from sfv_core.imitate.observation import View, heading, observe
from sfv_core.imitate.posture import Posture, posture
from sfv_core.imitate.reference import Reference
from sfv_core.imitate.reward import reward
from sfv_core.imitate.rules import CONTROL_RATE as CONTROL_RATE
from sfv_core.imitate.rules import EPISODE, SUBSTEPS, Rules, Touch, allowed, middle
from sfv_core.imitate.rules import LEAD as LEAD
from sfv_core.imitate.start import Plain, Start, Starts
from sfv_core.imitate.states import unsettled
from sfv_core.imitate.sway import Sway
from sfv_core.physics.engine import Engine, State

FARTHEST_LINK, FARTHEST_ROOT = 0.5, 1.0
"""An episode fails when a link is this far in m from its place relative to the root, or in the world."""
_TRUNK = ("pelvis", "spine3", "neck", "left_shoulder", "right_shoulder")
_LOWEST = 0.12
"""It also fails when the trunk comes this close in m to the ground where the reference's is 25 cm higher."""


@dataclass(frozen=True)
class Outcome:
    """What one step brought, each of shape (N,)."""

    rewards: np.ndarray
    failed: np.ndarray
    """The episode ended in a fall or far from the reference; the reward is 0 from here on."""
    cut: np.ndarray
    """The episode ended by the clock or with the clip; it could have gone on."""

    @property
    def ended(self) -> np.ndarray:
        """Whether a new episode must start."""
        return self.failed | self.cut


class Environment:
    """N worlds; actions are offsets from the reference's joint coordinates (a residual policy) unless rules differ."""

    def __init__(self, engine: Engine, reference: Reference, generator: np.random.Generator,
                 rules: Rules | None = None, starts: Starts | None = None) -> None:
        """Start an episode in every world; `starts` says where episodes begin, anywhere if not given."""
        self.engine, self.reference, self.generator = engine, reference, generator
        self.character: Character = engine.character
        self.rules = rules or Rules()
        self.starts = starts or Plain(reference)
        self.limit = EPISODE
        """Longest episode in control steps; a learner sets it to rules.horizon(samples)."""
        self.unsettle = 0.0
        """Largest standard deviation in rad of noise on the joints of the states that episodes start in."""
        self.sway: float | np.ndarray = 0.0
        """Standard deviation of slow noise on the actions, of all worlds or (N, 1); whoever acts sets it."""
        self._middle = middle(self.character)
        self._targets = reference.coordinates
        if self.rules.feedforward and self.rules.action == "residual":
            self._targets = asked_for(reference, self.character)
        self._touches = Touch(self.character, ~allowed(reference, self.character))
        self.broken = 0
        """Worlds that had to be started anew because the physics gave values that are not numbers."""
        self._trunk = [self.character.index(name) for name in _TRUNK]
        self._noise = Sway(engine.worlds, self.character.coordinates)
        self._ticks = np.zeros(engine.worlds, int)
        self._steps = np.zeros(engine.worlds, int)
        self._origins = np.zeros((engine.worlds, 3))
        self.reset(np.arange(engine.worlds))

    def reset(self, ids: np.ndarray, start: Start | None = None) -> None:
        """Start new episodes in the worlds `ids` (K,), at the world's origin; `start` stands in for `starts`."""
        if start is None:
            ticks, state = self.starts.draw(len(ids), self.generator)
        else:
            ticks = start(self.reference, len(ids), self.generator)
            state = self.reference.state[ticks]
        if self.unsettle:
            state = unsettled(state, self.character, self.unsettle * self.generator.random((len(ids), 1)),
                              self.generator)
        self._ticks[ids], self._steps[ids] = ticks, 0
        self._noise.restart(ids)
        self._origins[ids] = -self.reference.state.positions[ticks, 0] * np.array([1.0, 1.0, 0.0])
        self.engine.reset(ids, _moved(state, self._origins[ids]))
        self._look(self.engine.read())

    def step(self, actions: np.ndarray, ids: np.ndarray | None = None) -> Outcome:
        """Act for 1/30 s in the worlds `ids` (all if not given); actions (N, C). Ended episodes wait for `reset`."""
        if np.any(self.sway):
            actions = actions + self.sway * self._noise.step(self.generator)
        self.engine.step(self._centres() + self.rules.action_scale * actions, SUBSTEPS, ids)
        moving = np.arange(self.engine.worlds) if ids is None else ids
        self._ticks[moving] += SUBSTEPS
        self._steps[moving] += 1
        state = self.engine.read()
        broken = np.flatnonzero(~state.finite())
        if len(broken):
            self._mend(broken)
            state = self.engine.read()
        self._look(state, moving)
        rewards = reward(self.now, self.goal, self.character, self.rules.reward)
        failed = self._fails()
        failed[broken] = True
        rewards[failed] = 0.0
        over = self._steps >= self.limit
        if not self.reference.loop:
            over |= self._ticks >= self.reference.last
        return Outcome(rewards, failed, over & ~failed)

    def observe(self) -> np.ndarray:
        """Return what the policy sees, float32 of shape (N, D)."""
        rows, _ = self.reference.lookup(self._ticks)
        error = self._ahead() - self.character.to_coordinates(self.now.local)
        to_heading = heading(self.now.state.rotations[:, 0])[:, None]
        return observe(View(self.character, self.now, self.goal, rows / self.reference.last, self.reference.loop, error,
                            to_heading), self.rules.observation)

    @property
    def ticks(self) -> np.ndarray:
        """Reference tick of each world since its first cycle's start, shape (N,)."""
        return self._ticks.copy()

    def remaining(self) -> np.ndarray:
        """Return how many steps each world's episode still has, shape (N,)."""
        steps = self.limit - self._steps
        if self.reference.loop:
            return steps
        return np.minimum(steps, -(-(self.reference.last - self._ticks) // SUBSTEPS))

    def _centres(self) -> np.ndarray:
        """Return the joint coordinates that an action of 0 asks for, (N, C) or (C,)."""
        return self._middle if self.rules.action == "absolute" else self._ahead()

    def _ahead(self) -> np.ndarray:
        """Return the joint coordinates that the reference asks for when the next action ends, (N, C)."""
        rows, _ = self.reference.lookup(self._ticks + self.rules.lead)
        return self._targets[rows]

    def _look(self, state: State, moved: np.ndarray | None = None) -> None:
        """Take in the state and the reference at this moment; `moved` are the worlds (K,) that made a step to it."""
        self.now: Posture = posture(self.character, state)
        if self.rules.sync_root and self.reference.loop and moved is not None:
            self._sync(moved[self._ticks[moved] % self.reference.last < SUBSTEPS])
        rows, shift = self.reference.lookup(self._ticks)
        state = _moved(self.reference.state[rows], self._origins + shift)
        self.goal: Posture = posture(self.character, state,
                                     (self.reference.local[rows], self.reference.local_spins[rows]))

    def _sync(self, ids: np.ndarray) -> None:
        """Move the reference under the characters of the worlds `ids`, over the ground."""
        rows, shift = self.reference.lookup(self._ticks[ids])
        place = self.reference.state.positions[rows, 0] + shift + self._origins[ids]
        self._origins[ids, :2] += self.now.root[ids, :2] - place[:, :2]

    def _mend(self, ids: np.ndarray) -> None:
        """Put worlds whose physics broke back onto the reference."""
        self.broken += len(ids)
        rows, shift = self.reference.lookup(self._ticks[ids])
        self.engine.reset(ids, _moved(self.reference.state[rows], self._origins[ids] + shift))

    def _fails(self) -> np.ndarray:
        """Tell which characters have fallen or are far from the reference, shape (N,)."""
        failed = np.zeros(self.engine.worlds, bool)
        if self.rules.terminate != "contact":
            failed |= self._deviates()
        if self.rules.terminate != "deviation":
            failed |= self._touches(self.now.state)
        return failed

    def _deviates(self) -> np.ndarray:
        """Tell which characters are far from the reference or lower than it, shape (N,)."""
        now, goal = self.now.state.positions, self.goal.state.positions
        far = np.linalg.norm(now - goal, axis=-1).max(1) > FARTHEST_ROOT
        bent = np.linalg.norm((now - now[:, :1]) - (goal - goal[:, :1]), axis=-1).max(1) > FARTHEST_LINK
        low = now[:, self._trunk, 2].min(1) < np.minimum(_LOWEST, goal[:, self._trunk, 2].min(1) - 0.25)
        return far | bent | low


def _moved(state: State, by: np.ndarray) -> State:
    """Shift a state (N, …) in the world by (N, 3) m."""
    return State(state.positions + by[:, None], state.rotations, state.velocities, state.spins)
