"""What pushes a character back to the reference: linear models of its physics, and the best feedback for them.

For each control step the next deviation is modelled as A·deviation + B·offset + drift, where the offset is what is
added to the joints' targets. The models come from small experiments around given states, all steps' at once, and get
better by what later happens to whole crowds of characters. The linear-quadratic regulator then gives feedback for
every step, and the cost that a deviation will still bring: what lets a search over short windows look ahead.
Sources: Tassa, Mansard and Todorov 2014 for the backward pass; models from samples as in Levine and Abbeel 2014.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfv_core.character.character import Character
from sfv_core.imitate.posture import posture
from sfv_core.imitate.reference import Reference
from sfv_core.imitate.rules import SUBSTEPS
from sfv_core.physics.engine import Engine
from sfv_core.preview.deviation import deviate, deviation, goals, spread

LEAD = 24
"""Ticks by which targets are ahead of the reference: a joint's damping makes it late by 0.1 s."""
PAIRS = 64
"""Experiments of a step, each made with its opposite: what is even in a deviation cancels out."""
_OFFSET = 0.075
"""Spread of the experiments' offsets in rad."""
_FARTHEST = 0.6
"""Experience of a root that is further away than this in m or rad is not learnt from."""
_COST = {"place": 20.0, "turn": 5.0, "joints": 0.5, "velocity": 0.5, "spin": 0.05, "rates": 0.002}
"""Weights of squared deviations, see deviation.spread."""
_EFFORT = 1.0
"""Weight of squared offsets in rad² against that of deviations."""


@dataclass(frozen=True)
class Models:
    """Linear models of T control steps."""

    state: np.ndarray
    """Effect of a deviation on the next, shape (T, D, D)."""
    control: np.ndarray
    """Effect of the targets' offsets in rad, shape (T, D, C)."""
    drift: np.ndarray
    """The deviation that comes of none, shape (T, D)."""

    def __getitem__(self, steps: np.ndarray | slice) -> Models:
        """Select steps."""
        return Models(self.state[steps], self.control[steps], self.drift[steps])


@dataclass(frozen=True)
class Feedback:
    """The best linear feedback for T steps, and what deviations will cost."""

    gains: np.ndarray
    """Offset for a deviation, shape (T, C, D)."""
    offsets: np.ndarray
    """Offset without deviation in rad, shape (T, C)."""
    curvature: np.ndarray
    """Cost still to come is x·curvature·x + 2·slope·x of the deviation x, from step t on, shape (T + 1, D, D)."""
    slope: np.ndarray
    """See curvature, shape (T + 1, D)."""

    def ahead(self, step: int, deviations: np.ndarray) -> np.ndarray:
        """Return the cost still to come, less a constant. (N, D) → (N,)."""
        bent = np.einsum("ni,ij,nj->n", deviations, self.curvature[step], deviations)
        return bent + 2 * deviations @ self.slope[step]


@dataclass(frozen=True)
class Experience:
    """What happened to N characters in one step."""

    before: np.ndarray
    """Deviations, shape (N, D)."""
    offsets: np.ndarray
    """Offsets of the targets in rad, shape (N, C)."""
    after: np.ndarray
    """Deviations, shape (N, D)."""


def act(engine: Engine, reference: Reference, tick: int, ids: np.ndarray, before: np.ndarray,
        offsets: np.ndarray) -> Experience:
    """Do one control step in the worlds `ids` (N,) with offsets (N, C) in rad from the reference at `tick`.

    before: the characters' deviations (N, D) now.
    """
    character = engine.character
    rows, _ = reference.lookup(np.array([tick + LEAD]))
    targets = np.zeros((engine.worlds, character.coordinates))
    targets[ids] = reference.coordinates[rows] + offsets
    engine.step(targets, SUBSTEPS, ids)
    return Experience(before, offsets, deviations(engine, reference, tick + SUBSTEPS, ids))


def deviations(engine: Engine, reference: Reference, tick: int, ids: np.ndarray) -> np.ndarray:
    """Return how far the characters of the worlds `ids` (N,) are from the reference at a tick, (N, D)."""
    character = engine.character
    now = posture(character, engine.read()[ids])
    return deviation(character, now, goals(reference, character, np.array([tick])))


def experiment(engine: Engine, reference: Reference, tick: int, generator: np.random.Generator) -> Experience:
    """Let characters do one step from states around the reference at a tick; needs 2 · PAIRS worlds."""
    character, ids, spreads = engine.character, np.arange(2 * PAIRS), _spreads(engine.character)
    draw = generator.normal(size=(PAIRS, len(spreads) + character.coordinates))
    moved, offsets = np.split(np.concatenate([draw, -draw]), [len(spreads)], axis=1)
    around = goals(reference, character, np.full(len(ids), tick)).state
    engine.reset(ids, deviate(character, around, moved * spreads))
    return act(engine, reference, tick, ids, deviations(engine, reference, tick, ids), _OFFSET * offsets)


def together(experiences: list[Experience]) -> Experience:
    """Return several experiences as one."""
    return Experience(*(np.concatenate([getattr(seen, name) for seen in experiences])
                        for name in ("before", "offsets", "after")))


def no_models(character: Character, steps: int) -> Models:
    """Return models by which nothing changes."""
    size = 2 * (6 + character.coordinates)
    return Models(np.tile(np.eye(size), (steps, 1, 1)), np.zeros((steps, size, character.coordinates)),
                  np.zeros((steps, size)))


def learn(character: Character, models: Models, experiences: list[Experience], doubt: float) -> Models:
    """Return better models of the first steps, one for each experience; the other steps' stay.

    doubt: by how much a model has to explain more of what happened than the old one to leave it, in samples.
    """
    state, control, drift = models.state.copy(), models.control.copy(), models.drift.copy()
    spreads, size = _spreads(character), len(_spreads(character))
    for t, seen in enumerate(experiences):
        usable = np.all(np.isfinite(seen.after), axis=1) & (np.abs(seen.after[:, :6]).max(axis=1) < _FARTHEST)
        ones = np.ones((int(usable.sum()), 1))
        known = np.concatenate([seen.before[usable] / spreads, seen.offsets[usable] / _OFFSET, ones], axis=1)
        old = np.concatenate([state[t].T * spreads[:, None], control[t].T * _OFFSET, drift[t][None]])
        ridge = np.diag([doubt] * (known.shape[1] - 1) + [1e-2])
        new = old + np.linalg.solve(known.T @ known + ridge, known.T @ (seen.after[usable] - known @ old))
        state[t], control[t] = (new[:size] / spreads[:, None]).T, (new[size:-1] / _OFFSET).T
        drift[t] = new[-1]
    return Models(state, control, drift)


def regulate(character: Character, models: Models) -> Feedback:
    """Return the feedback that keeps the weighted squares of deviations and offsets least, by dynamic programming."""
    cost, effort = np.diag(spread(character, **_COST)), _EFFORT * np.eye(character.coordinates)
    curvature, slope = [cost], [np.zeros(len(cost))]
    gains, offsets = [], []
    for a, b, drift in zip(models.state[::-1], models.control[::-1], models.drift[::-1], strict=True):
        ahead, pull = curvature[-1], curvature[-1] @ drift + slope[-1]
        both = -np.linalg.solve(effort + b.T @ ahead @ b, b.T @ np.column_stack([ahead @ a, pull]))
        gain, offset = both[:, :-1], both[:, -1]
        kept, moved = a + b @ gain, b @ offset + drift
        slope.append(kept.T @ (ahead @ moved + slope[-1]) + effort[0, 0] * gain.T @ offset)
        bent = kept.T @ ahead @ kept + effort[0, 0] * gain.T @ gain + cost
        curvature.append((bent + bent.T) / 2)
        gains.append(gain)
        offsets.append(offset)
    return Feedback(*(np.array(values[::-1]) for values in (gains, offsets, curvature, slope)))


def _spreads(character: Character) -> np.ndarray:
    """Spread of the experiments' deviations, shape (D,)."""
    return spread(character, place=0.01, turn=0.03, joints=0.04, velocity=0.075, spin=0.2, rates=0.4)
