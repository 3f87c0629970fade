"""What a search found becomes a take: every control step is done again, many at a time, with a look halfway."""

from __future__ import annotations

import numpy as np

from sfv_core.imitate.posture import posture
from sfv_core.imitate.reference import Reference
from sfv_core.imitate.reward import reward
from sfv_core.imitate.rules import CONTROL_RATE, SUBSTEPS
from sfv_core.physics.engine import PHYSICS_RATE, Engine, State
from sfv_core.preview.deviation import goals
from sfv_core.preview.explore import LOST
from sfv_core.preview.feedback import LEAD
from sfv_core.preview.search import Performance
from sfv_core.takes.disturbed import RECORD_RATE, STRIDE, torques
from sfv_core.takes.take import Take, fallen

_LOOKS = SUBSTEPS // STRIDE
"""Frames of a take in a control step."""


def replay(engine: Engine, reference: Reference, performance: Performance) -> Take:
    """Return the performance at 60 frames per second, with what touches the ground and how hard the joints work."""
    character, steps = engine.character, len(performance.offsets)
    frames = steps * _LOOKS + 1
    seen = State(*(np.zeros((frames, *a.shape[1:])) for a in _arrays(performance.states)))
    contacts, shares = np.zeros((frames, len(character.links)), bool), np.zeros((frames, len(character.links)))
    rows, _ = reference.lookup(performance.ticks[:-1] + LEAD)
    targets = reference.coordinates[rows] + performance.offsets
    for first in range(0, steps, engine.worlds):
        chosen = np.arange(first, min(first + engine.worlds, steps))
        ids = np.arange(len(chosen))
        engine.reset(ids, performance.states[chosen])
        asked = np.zeros((engine.worlds, character.coordinates))
        asked[ids] = targets[chosen]
        for look in range(1, _LOOKS + 1):
            engine.step(asked, STRIDE, ids)
            now, at = engine.read()[ids], chosen * _LOOKS + look
            for whole, part in zip(_arrays(seen), _arrays(now), strict=True):
                whole[at] = part
            contacts[at], shares[at] = engine.contacts()[ids], torques(character, now, targets[chosen])
    for whole, kept in zip(_arrays(seen), _arrays(performance.states), strict=True):
        whole[::_LOOKS] = kept
    contacts[0], shares[0] = contacts[1], shares[1]
    return _take(engine, reference, seen, contacts, shares)


def _take(engine: Engine, reference: Reference, state: State, contacts: np.ndarray, shares: np.ndarray) -> Take:
    """Set the frames (T, …) beside the reference."""
    character, ticks = engine.character, STRIDE * np.arange(len(contacts))
    goal = goals(reference, character, ticks)
    rewards = reward(posture(character, state), goal, character)[_LOOKS::_LOOKS]
    away = np.linalg.norm(state.positions - goal.state.positions, axis=-1).mean(axis=1)
    lost = np.flatnonzero(away[_LOOKS::_LOOKS] > LOST)
    down = np.flatnonzero(fallen(state, goal.state, character))
    return Take(state, goal.state, ticks / PHYSICS_RATE, contacts, shares, rewards,
                float(lost[0] + 1) / CONTROL_RATE if len(lost) else None,
                float(down[0]) / RECORD_RATE if len(down) else None)


def _arrays(state: State) -> tuple[np.ndarray, ...]:
    return state.positions, state.rotations, state.velocities, state.spins
