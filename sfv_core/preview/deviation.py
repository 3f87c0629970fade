"""How far characters are from the reference, in as few numbers as they have freedoms: what feedback acts on.

A deviation has D = 2·(6 + C) numbers: the root's place and turn, the joints' coordinates, and the velocities of all
of these. It is 0 at the reference.
"""

from __future__ import annotations

import numpy as np

from retarget import rotation
from sfv_core.character.character import Character
from sfv_core.imitate.posture import Posture, posture
from sfv_core.imitate.reference import Reference
from sfv_core.imitate.states import compose, reduce
from sfv_core.physics.engine import State


def goals(reference: Reference, character: Character, ticks: np.ndarray) -> Posture:
    """Return the reference at ticks (N,) since its first moment, where its cycles have carried it."""
    rows, shift = reference.lookup(ticks)
    at = reference.state[rows]
    state = State(at.positions + shift[:, None], at.rotations, at.velocities, at.spins)
    return posture(character, state, (reference.local[rows], reference.local_spins[rows]))


def spread(character: Character, place: float, turn: float, joints: float, velocity: float, spin: float,
           rates: float) -> np.ndarray:
    """Return one number for each of a deviation's, shape (D,): for places in m, turns in rad, joints in rad, …"""
    count = character.coordinates
    parts = ((place, 3), (turn, 3), (joints, count), (velocity, 3), (spin, 3), (rates, count))
    return np.concatenate([np.full(size, value) for value, size in parts])


def deviation(character: Character, now: Posture, goal: Posture) -> np.ndarray:
    """Return how far characters are from their goals. (N, …) and (N or 1, …) → (N, D)."""
    turn = rotation.multiply(now.state.rotations[:, 0], rotation.inverse(goal.state.rotations[:, 0]))
    bend = rotation.multiply(rotation.inverse(goal.local), now.local)
    rates = now.local_spins - goal.local_spins
    return np.concatenate([
        now.root - goal.root, rotation.to_rotvec(turn), character.to_coordinates(bend),
        now.state.velocities[:, 0] - goal.state.velocities[:, 0], now.state.spins[:, 0] - goal.state.spins[:, 0],
        rates[:, character.balls].reshape(len(rates), -1), np.sum(rates[:, character.hinges] * character.axes, -1),
    ], axis=-1)


def deviate(character: Character, goal: State, by: np.ndarray) -> State:
    """Return the states (N, …) that deviate from others by (N, D), to first order in the root's velocity."""
    at, count = reduce(character, goal), character.coordinates
    place, turn, joints, velocity, spin, rates = np.split(by, np.cumsum([3, 3, count, 3, 3]), axis=-1)
    local = rotation.multiply(character.to_rotations(at.coordinates), character.to_rotations(joints))
    return compose(character, type(at)(
        at.place + place, rotation.multiply(rotation.from_rotvec(turn), at.turn), character.to_coordinates(local),
        at.velocity + velocity, at.spin + spin, at.rates + rates))
