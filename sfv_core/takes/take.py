"""A take: what one character did, frame by frame, beside what the reference asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from retarget import kinematics, rotation
from retarget.motion import Motion
from sfv_core.character.character import Character
from sfv_core.imitate.environment import FARTHEST_LINK
from sfv_core.imitate.reference import Reference
from sfv_core.physics.engine import PHYSICS_RATE, State
from sfv_core.takes.disturbed import RECORD_RATE, STRIDE, Note

_TRUNK = ("pelvis", "spine3", "neck")
_DOWN, _CLEAR = 0.02, 0.15
"""A character has fallen when its trunk is this near the ground in m while the reference's is this far from it, …"""
_SUNK = 0.5
"""… or when its pelvis is lower than this share of the reference's height, or of its legs where the reference jumps, …
"""
_OFF = 0.15
"""… and its links are further than this from the reference's in m on average: who rolls or crawls lies right."""


@dataclass(frozen=True)
class Take:
    """What one character did at 60 frames per second, the start included, on level ground."""

    state: State
    """Frames (T, …); the character started where the reference starts."""
    goal: State
    """The reference at the same moments, (T, …)."""
    times: np.ndarray
    """Time of the reference since its first frame in s, cycles counted on, (T,)."""
    contacts: np.ndarray
    """Which links touch the ground, bool (T, L)."""
    torques: np.ndarray
    """Torques as shares of the joints' limits, (T, L)."""
    rewards: np.ndarray
    """Reward of each control step, 0 after the motion was lost, (S,)."""
    lost: float | None
    """When its pose was first as far from the reference's as ends an episode of training, in s; None if never."""
    fell: float | None
    """When it first lay on the ground, in s; None if never."""

    def __len__(self) -> int:
        return len(self.times)

    @property
    def seconds(self) -> float:
        """Length in s."""
        return (len(self) - 1) / RECORD_RATE

    @property
    def nr(self) -> float:
        """Normalised return: the mean reward, 0 to 1."""
        return float(self.rewards.mean())


def take_of(world: int, notes: list[Note], rewards: np.ndarray, start: int, reference: Reference,
            character: Character) -> Take:
    """Make the take of one world. rewards: (S,); start: the reference's tick at the start."""
    ticks = start + STRIDE * np.arange(len(notes))
    rows, shift = reference.lookup(ticks)
    goal = moved(reference.state[rows], shift)
    origin = reference.state.positions[start, 0] * np.array([1.0, 1.0, 0.0])
    parts = ("positions", "rotations", "velocities", "spins")
    state = moved(State(*(np.stack([getattr(note.state, part)[world] for note in notes]) for part in parts)),
                  np.tile(origin, (len(notes), 1)))
    far = (state.positions - state.positions[:, :1]) - (goal.positions - goal.positions[:, :1])
    gone = np.linalg.norm(far, axis=-1).max(axis=1) > FARTHEST_LINK
    return Take(state, goal, ticks / PHYSICS_RATE, np.stack([note.contacts[world] for note in notes]),
                np.stack([note.torques[world] for note in notes]), rewards, _first(gone),
                _first(fallen(state, goal, character)))


def _first(flags: np.ndarray) -> float | None:
    """Return the time in s of the first frame that is flagged. (T,) bool."""
    frames = np.flatnonzero(flags)
    return float(frames[0]) / RECORD_RATE if len(frames) else None


def fallen(state: State, goal: State, character: Character) -> np.ndarray:
    """Tell which characters (N, …) lie on the ground where the reference does not, bool (N,)."""
    trunk = [i for i, link in enumerate(character.links) if link.name in _TRUNK]
    body = replace(character, links=tuple(character.links[i] for i in trunk))
    now, then = (body.lowest(s.positions[:, trunk], s.rotations[:, trunk]).min(axis=1) for s in (state, goal))
    legs = sum(float(np.linalg.norm(character.offsets[character.index(f"left_{end}")])) for end in ("knee", "ankle"))
    height = np.minimum(goal.positions[:, 0, 2], legs)
    off = np.linalg.norm(state.positions - goal.positions, axis=-1).mean(axis=1) > _OFF
    return off & (((now < _DOWN) & (then > _CLEAR)) | (state.positions[:, 0, 2] < _SUNK * height))


def motion_of(take: Take, reference: Reference, character: Character) -> Motion:
    """Return the take as a motion of the character's skeleton; the wrists, which physics holds stiff, move as asked."""
    skeleton, count = character.skeleton, len(character.links)
    rows, _ = reference.lookup(np.round(take.times * PHYSICS_RATE).astype(int))
    local = reference.motion.at(rows / PHYSICS_RATE, RECORD_RATE).rotations.copy()
    world = np.tile(rotation.IDENTITY, (len(take), len(skeleton), 1))
    world[:, :count] = take.state.rotations
    local[:, :count] = kinematics.local_rotations(skeleton, world)[:, :count]
    contacts = np.zeros((len(take), len(skeleton)))
    contacts[:, :count] = take.contacts
    return Motion(skeleton, RECORD_RATE, take.state.positions[:, 0], rotation.continuous(local), contacts=contacts)


def with_motion(take: Take, motion: Motion, character: Character) -> Take:
    """Return the take with the links where a motion of the character's skeleton has them."""
    places, turns = (a[:, : len(character.links)] for a in kinematics.world_poses(motion))
    return replace(take, state=replace(take.state, positions=places, rotations=turns))


def moved(state: State, by: np.ndarray) -> State:
    """Shift a state (N, …) in the world by (N, 3) m."""
    return replace(state, positions=state.positions + by[:, None])
