"""A crowd of simulated characters searches for a way along the reference: one pass of sampling-based tracking.

Every tenth of a second those that did well are continued by many, those that did badly by none. Each follows feedback
with an offset of its own; what is judged is how far it got from the reference and what that will still cost.
Source: Liu et al. 2010, "Sampling-based contact-rich motion control"; the feedback and the look ahead are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from retarget import rotation
from sfv_core.character.character import Character
from sfv_core.imitate.posture import centre_of_mass, posture
from sfv_core.imitate.reference import Reference
from sfv_core.imitate.rules import SUBSTEPS
from sfv_core.physics.engine import Engine, State
from sfv_core.preview.deviation import goals
from sfv_core.preview.feedback import Experience, Feedback, act, deviations

WINDOW = 3
"""Control steps for which an offset lasts."""
LOST = 0.5
"""A character is lost when its links are this far from the reference's in the mean, in m."""
_ELITE = 4
"""One in so many characters is continued; with one in eight, crowds more often die out at once."""
_MEMORY = 0.7
"""Part of what earlier windows cost that counts in the choice."""
_LARGEST = 1.0
"""Largest offset in rad."""
_NEVER = 1e9
"""Cost of a character whose values are no numbers any more."""


@dataclass(frozen=True)
class Attempt:
    """One character's way through the pass."""

    states: State
    """State after each control step, (T, …); fewer than asked for where it got lost."""
    offsets: np.ndarray
    """Offsets from the reference's coordinates, which are LEAD ticks ahead, in rad, shape (T, C)."""
    deviations: np.ndarray
    """Deviation before each step, shape (T, D)."""
    cost: float
    """Sum over the windows."""

    def better_than(self, other: Attempt) -> bool:
        """Tell whether it came further, or as far at less cost."""
        return (len(self.offsets), -self.cost) > (len(other.offsets), -other.cost)


@dataclass(frozen=True)
class _Branch:
    """What one character did in one window, and whom it goes on from."""

    parent: _Branch | None
    states: tuple[State, ...]
    offsets: tuple[np.ndarray, ...]
    deviations: tuple[np.ndarray, ...]
    recent: float
    """Cost so far, of which earlier windows' counts less."""
    cost: float


def explore(engine: Engine, reference: Reference, start: tuple[int, State], feedback: Feedback,
            best: Attempt | None, noise: float, generator: np.random.Generator,
            step_done: Callable[[], None]) -> tuple[Attempt, list[Experience]]:
    """Search for a way through the steps that feedback is given for, from a tick and a state (1, …).

    best: the best earlier attempt: half of the crowd varies it, and one repeats it, so that none gets worse. noise:
    spread of the offsets in rad. step_done: called after each step. Returns the best way and what was seen in each
    step.
    """
    tick, state = start
    crowd = [_Branch(None, (state,), (), (), 0.0, 0.0)]
    everyone, parents = np.arange(engine.worlds), np.zeros(engine.worlds, int)
    seen: list[Experience] = []
    for first in range(0, len(feedback.gains), WINDOW):
        steps = range(first, min(first + WINDOW, len(feedback.gains)))
        engine.reset(everyone, _states([branch.states[-1] for branch in crowd])[parents])
        before = deviations(engine, reference, tick + first * SUBSTEPS, everyone)
        own = _own_offsets(engine, noise, generator)
        states = []
        for step in steps:
            offsets = _offsets(before, step, feedback, best, own)
            seen.append(act(engine, reference, tick + step * SUBSTEPS, everyone, before, offsets))
            before = seen[-1].after
            states.append(engine.read())
            step_done()
        cost, far = _cost(engine.character, states[-1], reference, tick + (steps[-1] + 1) * SUBSTEPS)
        recent = _MEMORY * np.array([branch.recent for branch in crowd])[parents] + cost
        promise = recent + np.nan_to_num(feedback.ahead(steps[-1] + 1, seen[-1].after), nan=_NEVER)
        chosen = _chosen(promise)
        window = seen[-len(steps):]
        crowd = [_Branch(crowd[parents[i]], tuple(s[i : i + 1] for s in states), tuple(e.offsets[i] for e in window),
                         tuple(e.before[i] for e in window), float(recent[i]), crowd[parents[i]].cost + float(cost[i]))
                 for i in chosen]
        parents = _resampled(promise[chosen], engine.worlds, generator)
        if far[chosen].min() > LOST:
            break
    return _attempt(min(crowd, key=lambda branch: branch.cost)), seen


def _own_offsets(engine: Engine, noise: float, generator: np.random.Generator) -> np.ndarray:
    """Draw each character's own offset, (N, C): none for the first, smaller ones for every fourth."""
    own = generator.normal(0.0, noise, (engine.worlds, engine.character.coordinates))
    own[3::4] *= 0.4
    own[0] = 0.0
    return own


def _offsets(before: np.ndarray, step: int, feedback: Feedback, best: Attempt | None, own: np.ndarray) -> np.ndarray:
    """Return the offsets (N, C) that feedback gives for deviations (N, D), half around the best earlier attempt."""
    offsets = feedback.offsets[step] + before @ feedback.gains[step].T
    if best is not None and step < len(best.offsets):
        around = best.offsets[step] + (before - best.deviations[step]) @ feedback.gains[step].T
        offsets[::2] = around[::2]
        offsets[0] = best.offsets[step]
    return np.clip(np.nan_to_num(offsets + own), -_LARGEST, _LARGEST)


def _cost(character: Character, state: State, reference: Reference, tick: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what a state (N, …) costs at a tick, and how far its links are from their places in m, each (N,)."""
    now, goal = posture(character, state), goals(reference, character, np.array([tick]))
    turns = rotation.angle(now.local, goal.local) ** 2
    away = np.sum((now.state.positions - goal.state.positions) ** 2, -1)
    middle = np.sum((centre_of_mass(character, now.state) - centre_of_mass(character, goal.state)) ** 2, -1)
    momentum = np.sum((now.momentum - goal.momentum) ** 2, -1)
    spin = np.sum((now.state.spins[:, 0] - goal.state.spins[:, 0]) ** 2, -1)
    cost = 3 * turns[:, 0] + turns[:, 1:].mean(1) + 20 * away.mean(1) + 40 * middle + 0.5 * momentum + 0.05 * spin
    broken = ~state.finite()
    return np.where(broken, _NEVER, cost), np.where(broken, _NEVER, np.sqrt(away).mean(1))


def _chosen(promise: np.ndarray) -> np.ndarray:
    """Return who is continued: first character 0, who repeats the best earlier attempt, then the best."""
    order = np.argsort(promise, kind="stable")[: max(len(promise) // _ELITE, 2)]
    return np.concatenate([[0], order[order != 0]])


def _resampled(promise: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Choose whom of those continued (M,) each of `count` goes on from: by promise, the first from the first.

    Systematic resampling: the number that goes on from each is its share, rounded up or down.
    """
    above = promise - promise.min()
    shares = np.exp(-above / max(np.median(above), 1e-3))
    points = (np.arange(count) + generator.random()) / count
    parents = np.searchsorted(np.cumsum(shares / shares.sum()), points).clip(0, len(promise) - 1)
    parents[0] = 0
    return parents


def _attempt(branch: _Branch) -> Attempt:
    """Follow a branch back to the start."""
    cost, path = branch.cost, []
    while branch.parent is not None:
        path.append(branch)
        branch = branch.parent
    path.reverse()
    return Attempt(_states([state for part in path for state in part.states]),
                   np.array([offset for part in path for offset in part.offsets]),
                   np.array([before for part in path for before in part.deviations]), cost)


def _states(states: list[State]) -> State:
    return State(*(np.concatenate([getattr(state, name) for state in states])
                   for name in ("positions", "rotations", "velocities", "spins")))
