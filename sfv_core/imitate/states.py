"""Reduced coordinates of a character: the fewest numbers that say where it is and how it moves, and back to a state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retarget import kinematics, rotation
from retarget.motion import Skeleton
from sfv_core.character.character import Character
from sfv_core.physics.engine import State, local_motion, root_velocity


@dataclass(frozen=True)
class Reduced:
    """Poses and motion of N characters, without redundance but for the root's quaternion."""

    place: np.ndarray
    """Root in the world in m, shape (N, 3)."""
    turn: np.ndarray
    """The root's rotation in the world, shape (N, 4)."""
    coordinates: np.ndarray
    """Joint coordinates in rad, see Character.to_coordinates, shape (N, C)."""
    velocity: np.ndarray
    """Velocity of the root's origin in m/s, shape (N, 3)."""
    spin: np.ndarray
    """The root's angular velocity in the world in rad/s, shape (N, 3)."""
    rates: np.ndarray
    """Joints' angular velocities in the links' frames, of hinges about their axes, in rad/s, shape (N, C)."""


def reduce(character: Character, state: State) -> Reduced:
    """Take a state (N, …) apart; what the joints cannot do is left out."""
    local, spins = local_motion(character, state)
    hinges = np.sum(spins[:, character.hinges] * character.axes, -1)
    return Reduced(state.positions[:, 0], state.rotations[:, 0], character.to_coordinates(local),
                   root_velocity(character, state), state.spins[:, 0],
                   np.concatenate([spins[:, character.balls].reshape(len(spins), -1), hinges], -1))


def compose(character: Character, reduced: Reduced) -> State:
    """Return the state (N, …) that reduced coordinates describe, from the root outwards."""
    count, links = len(reduced.place), len(character.links)
    local = character.to_rotations(reduced.coordinates)
    split = 3 * len(character.balls)
    own = np.zeros((count, links, 3))
    own[:, character.balls] = reduced.rates[:, :split].reshape(count, -1, 3)
    own[:, character.hinges] = reduced.rates[:, split:, None] * character.axes
    places, turns = np.empty((count, links, 3)), np.empty((count, links, 4))
    speeds, spins = np.empty((count, links, 3)), np.empty((count, links, 3))
    places[:, 0], turns[:, 0], speeds[:, 0], spins[:, 0] = (
        reduced.place, reduced.turn, reduced.velocity, reduced.spin)
    for i in range(1, links):
        parent = character.parents[i]
        arm = rotation.rotate(turns[:, parent], character.offsets[i])
        places[:, i] = places[:, parent] + arm
        turns[:, i] = rotation.multiply(turns[:, parent], local[:, i])
        speeds[:, i] = speeds[:, parent] + np.cross(spins[:, parent], arm)
        spins[:, i] = spins[:, parent] + rotation.rotate(turns[:, i], own[:, i])
    centres = rotation.rotate(turns, character.centres)
    return State(places, turns, speeds + np.cross(spins, centres), spins)


def unsettled(state: State, character: Character, scale: np.ndarray, generator: np.random.Generator) -> State:
    """Return a state (N, …) with every joint but the root turned a little. scale: (N, 1) rad."""
    skeleton = _links_only(character)
    local = kinematics.local_rotations(skeleton, state.rotations)
    bend = character.to_coordinates(local)
    local[:, 1:] = character.to_rotations(bend + scale * generator.normal(size=bend.shape))[:, 1:]
    places, turns = kinematics.forward(skeleton, state.positions[:, 0], local)
    still = (scale == 0)[..., None]
    return State(np.where(still, state.positions, places), np.where(still, state.rotations, turns), state.velocities,
                 state.spins)


def _links_only(character: Character) -> Skeleton:
    """Return the skeleton without the joints that have no link."""
    s, count = character.skeleton, len(character.links)
    return Skeleton(s.names[:count], s.parents[:count], s.offsets[:count], s.rest_rotations[:count], s.root)
