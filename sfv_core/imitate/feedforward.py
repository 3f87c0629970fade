"""What motors must be asked for so that they would perform the reference if nothing disturbed them.

A PD motor that is asked for the reference lags behind it by Kd/Kp, a tenth of a second, and sags under load. It is
asked for more: q* = q + (Kd q̇ + τ) / Kp, with the torques τ that inverse dynamics finds for the motion and the ground
under it. The policy then learns what is left: balance, and what the reference gets wrong.
"""

from __future__ import annotations

import numpy as np

from sfv_core.aid.dynamics import find_effort
from sfv_core.character.character import Character
from sfv_core.imitate.reference import Reference
from sfv_core.imitate.states import reduce
from sfv_core.physics.engine import PHYSICS_RATE

_STRIDE = 4
"""Ticks between the moments at which torques are found."""


def asked_for(reference: Reference, character: Character) -> np.ndarray:
    """Return the joint coordinates in rad to ask motors for at each tick of the reference, (K + 1, C)."""
    links = [character.links[i] for i in character.owners]
    stiffness, damping, torque = (np.array([getattr(link, name) for link in links])
                                  for name in ("stiffness", "damping", "torque"))
    needed = np.clip(damping * reduce(character, reference.state).rates + _torques(reference, character),
                     -torque, torque)
    return reference.coordinates + needed / stiffness


def _torques(reference: Reference, character: Character) -> np.ndarray:
    """Return the torques in N·m behind the joint coordinates at each tick, (K + 1, C); a cycle's amid repetitions."""
    last, state = reference.last, reference.state
    places, turns = state.positions, state.rotations
    if reference.loop:
        places = np.concatenate([places[:-1] + k * reference.cycle for k in (-1, 0, 1)])
        turns = np.concatenate([turns[:-1]] * 3)
    moments = np.arange(0, len(places), _STRIDE)
    effort = find_effort(character, places[moments], turns[moments], PHYSICS_RATE / _STRIDE)
    balls = effort.torques[:, character.balls].reshape(len(moments), -1)
    hinges = np.sum(effort.torques[:, character.hinges] * character.axes, -1)
    ticks = np.arange(last + 1) + (last if reference.loop else 0)
    return np.stack([np.interp(ticks, moments, column) for column in np.concatenate([balls, hinges], 1).T], axis=1)
