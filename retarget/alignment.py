"""Limbs that rest in another direction, as in an A-pose against a T-pose: what brings a rest pose to the other's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from . import rotation
from .rest import Body
from .roles import FINGERS, SIDES

Segment = tuple[str, str]
"""The roles of a bone and of the one that it ends at."""

_LIMBS = (("UpperArm", "LowerArm", "Hand"), ("UpperLeg", "LowerLeg", "Foot"))
_KNUCKLE = (0.6, 1.3)
"""Distance of a knuckle from the wrist, as a share of the middle finger's, along the palm."""
_SPLAYED = float(np.radians(15.0))
"""Splay of a leg at rest, in rad, from which on its foot may have been rolled with it."""


def alignments(source: Body, target: Body, facing: np.ndarray) -> dict[int, np.ndarray]:
    """Return by target joint the world rotation (4,) that takes its rest to the pose the source rests in.

    Arms, legs and fingers are brought to the source's directions, hands to its palms'. Hips, spine and shoulders stay:
    where their joints sit in the body differs more between rigs than how they stand. Feet rest flat in nearly all
    rigs, whatever the legs do, and stay; a foot that was rolled outwards with its leg is put flat.
    """
    limbs = [(side, limb) for side in SIDES for limb in _LIMBS]
    swings = _swings(source, target, facing, [(side + a, side + b) for side, limb in limbs for a, b in pairwise(limb)])
    turns: dict[str, np.ndarray] = {}
    for side, (upper, lower, end) in limbs:
        turns[side + upper] = swings.get(side + upper, rotation.IDENTITY)
        turns[side + lower] = swings.get(side + lower, turns[side + upper])
        if end == "Hand":
            turns[side + end] = _palm_turn(source, target, facing, side, turns[side + lower])
    turns |= _fingers(source, target, facing, turns)
    for side in SIDES:
        roll = rotation.multiply(rotation.multiply(facing, _foot_roll(source, side)), rotation.inverse(facing))
        turns[side + "Foot"] = rotation.multiply(roll, rotation.inverse(_foot_roll(target, side)))
        turns[side + "Toes"] = turns[side + "Foot"]
    return {target.roles[role]: turn for role, turn in turns.items() if role in target.roles}


def _swings(source: Body, target: Body, facing: np.ndarray, segments: Sequence[Segment],
            carried: Mapping[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Return by role the smallest turn (4,) that brings a segment of the target to the source's direction.

    carried: by role, a turn (4,) of the target's that comes first. Segments that one of them lacks are left out.
    """
    both = [(start, source.direction(start, end), target.direction(start, end)) for start, end in segments]
    both = [(role, ours, theirs) for role, ours, theirs in both if ours is not None and theirs is not None]
    if not both:
        return {}
    ours, theirs = (np.array([row[i] for row in both]) for i in (1, 2))
    first = np.array([rotation.IDENTITY if carried is None else carried[row[0]] for row in both])
    turns = rotation.between(rotation.rotate(first, theirs), rotation.rotate(facing, ours))
    return dict(zip([row[0] for row in both], rotation.multiply(turns, first), strict=True))


def _fingers(source: Body, target: Body, facing: np.ndarray, turns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Bring fingers from where their hand's turn puts them to the source's directions; a last bone follows.

    Rigs rest with fingers straight or curled, so a bend since rest alone would curl some twice.
    """
    fingers = [side + finger for side in SIDES for finger in FINGERS]
    hands = {f"{side}{finger}{i}": turns[f"{side}Hand"] for side in SIDES for finger in FINGERS for i in (1, 2, 3)}
    bent = _swings(source, target, facing, [(f"{f}{i}", f"{f}{i + 1}") for f in fingers for i in (1, 2, 3)], hands)
    found: dict[str, np.ndarray] = {}
    for finger in fingers:
        turn = hands[f"{finger}1"]
        for i in (1, 2, 3):
            turn = found[f"{finger}{i}"] = bent.get(f"{finger}{i}", turn)
    return found


def _palm_turn(source: Body, target: Body, facing: np.ndarray, side: str, forearm: np.ndarray) -> np.ndarray:
    """Return what brings the target's palm to the source's; without fingers that tell, the hand goes with its arm."""
    ours, theirs = _palm(source, side), _palm(target, side)
    if ours is None or theirs is None:
        return forearm
    return rotation.from_matrix(rotation.to_matrix(facing) @ ours @ theirs.T)


def _palm(body: Body, side: str) -> np.ndarray | None:
    """Return the palm's axes at rest, along the middle finger, across the knuckles, and out of it, (3, 3) columns.

    None where the fingers that tell are not mapped. Across is from the index's knuckle to the outermost one that the
    body has, mapped or not.
    """
    roles = [f"{side}{name}" for name in ("Hand", "Middle1", "Index1")]
    if any(role not in body.roles for role in roles):
        return None
    hand, middle, index = (body.pose[0][body.roles[role]] for role in roles)
    length = float(np.linalg.norm(middle - hand))
    along = (middle - hand) / max(length, 1e-9)
    knuckles = body.pose[0][_knuckles(body, body.roles[roles[0]], along, length)] - index
    knuckles = np.append(knuckles, [middle - index], axis=0)
    outer = knuckles[np.argmax(knuckles @ (middle - index))]
    across = outer - np.dot(outer, along) * along
    width = float(np.linalg.norm(across))
    if width < 1e-6 or length < 1e-6:
        return None
    return np.stack([along, across / width, np.cross(along, across / width)], axis=1)


def _knuckles(body: Body, hand: int, along: np.ndarray, length: float) -> list[int]:
    """Return the first joint below the hand of each finger that lies about as far out as the middle one's."""
    found, parents = [], body.skeleton.parents
    for joint in np.flatnonzero(parents == hand).tolist():
        while (body.pose[0][joint] - body.pose[0][hand]) @ along < _KNUCKLE[0] * length:
            below = np.flatnonzero(parents == joint)
            if not len(below):
                break
            joint = int(below[0])
        if _KNUCKLE[0] * length <= (body.pose[0][joint] - body.pose[0][hand]) @ along <= _KNUCKLE[1] * length:
            found.append(joint)
    return found


def _foot_roll(body: Body, side: str) -> np.ndarray:
    """Return how far a foot was rolled outwards together with a splayed leg at rest, (4,).

    Skeletons from optical capture (CMU's) splay the legs at rest and keep the foot in the leg's own plane; a foot
    counts as rolled when it lies in the plane of shin and forward within one degree.
    """
    shin, foot = body.direction(side + "LowerLeg", side + "Foot"), body.direction(side + "Foot", side + "Toes")
    if shin is None or foot is None or body.left is None:
        return rotation.IDENTITY
    forward = np.cross(body.left, body.up)
    splayed = shin - np.dot(shin, forward) * forward
    roll = rotation.between(-body.up, splayed)
    across = np.cross(splayed, forward)
    out_of_plane = abs(np.dot(foot, across)) / max(np.linalg.norm(across), 1e-9)
    if rotation.angle(roll, rotation.IDENTITY) <= _SPLAYED or out_of_plane > np.sin(np.radians(1.0)):
        return rotation.IDENTITY
    return roll
