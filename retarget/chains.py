"""Spines, necks and limbs with another number of bones: a turn is spread along the chain by rest length."""

from __future__ import annotations

import re

import numpy as np

from . import rotation
from .posing import Posing
from .rest import Body, chain_end, chain_fractions
from .roles import SPINE

Turns = dict[int, np.ndarray]
"""By joint, a rotation in the world in each frame, (T, 4)."""

_TWIST = re.compile(r"^(Left|Right)(UpperArm|LowerArm|UpperLeg|LowerLeg)Twist\d+$")
_ENDS = {"UpperArm": "LowerArm", "LowerArm": "Hand", "UpperLeg": "LowerLeg", "LowerLeg": "Foot"}


def spread_spine(ours: Body, theirs: Body, delta: Turns) -> Turns:
    """Spread the turn of a spine over one with another number of bones. delta: since rest, by joint of ours."""
    ends = [_top_of_spine(body) for body in (ours, theirs)]
    if ends[0] is None or ends[1] is None:
        return {}
    chains = [ours.path(ours.hips, ends[0]), theirs.path(theirs.hips, ends[1])]
    if not chains[0] or not chains[1] or len(chains[0]) == len(chains[1]):
        return {}
    along = [chain_fractions(body, chain, chain_end(body, chain[-1]))
             for body, chain in zip((ours, theirs), chains, strict=True) if chain]
    knots = [delta[ours.hips], *(delta[j] for j in chains[0])]
    spread = _spread(np.concatenate([[0.0], along[0]]), knots, along[1])
    spread[-1] = knots[-1]
    return dict(zip(chains[1], spread, strict=True))


def spread_neck(ours: Body, theirs: Body, delta: Turns) -> Turns:
    """Spread the turn between chest and head over a neck with another number of bones."""
    tops = [_top_of_spine(body) for body in (ours, theirs)]
    heads = [body.roles.get("Head") for body in (ours, theirs)]
    if tops[0] is None or tops[1] is None or heads[0] is None or heads[1] is None:
        return {}
    chains = [ours.path(tops[0], heads[0]), theirs.path(tops[1], heads[1])]
    if not chains[0] or not chains[1] or len(chains[0]) == len(chains[1]):
        return {}
    (*neck, head), bones = chains[0], chains[1][:-1]
    if not bones:
        return {}
    along = chain_fractions(theirs, bones, theirs.pose[0][chains[1][-1]])
    if not neck:
        share = np.arange(1, len(bones) + 1) / (len(bones) + 1)
        spread = _spread(np.array([0.0, 1.0]), [delta[tops[0]], delta[head]], share)
    else:
        knots = chain_fractions(ours, tuple(neck), ours.pose[0][head])
        spread = _spread(np.concatenate([[0.0], knots]), [delta[tops[0]], *(delta[j] for j in neck)], along)
    return dict(zip(bones, spread, strict=True))


def chain_joints(body: Body) -> tuple[int, ...]:
    """Return the joints from the hips to the head, whose turns a spine or neck of another length needs."""
    top = body.roles.get("Head", _top_of_spine(body))
    return (body.hips, *((body.path(body.hips, top) or ()) if top is not None else ()))


def is_twist(role: str) -> bool:
    """Say whether a role is that of a bone which shares a limb's twist."""
    return _TWIST.match(role) is not None


def share_twist(body: Body, posing: Posing) -> None:
    """Turn the bones along each limb by their share of its twist: a forearm's towards the hand, an upper arm's back
    towards the shoulder.

    A bone's share is that of the limb's length where it has its effect, from its own place halfway to the next's.
    """
    for limb, bones in _twist_bones(body).items():
        side, name = re.match("(Left|Right)(.*)", limb).groups()  # type: ignore[union-attr]
        if limb not in body.roles or side + _ENDS[name] not in body.roles:
            continue
        start, end = body.roles[limb], body.roles[side + _ENDS[name]]
        upper = name.startswith("Upper")
        free = [bone for bone in bones if bone not in posing.driven
                and not (upper and bone in body.between(start, end))]
        twist = _twist_since_rest(body, posing, start, end, not upper)
        for bone, share in zip(free, _shares(body, start, end, free), strict=True):
            turn = _scaled(twist, share - 1.0 if upper else share)
            rest = rotation.multiply(rotation.inverse(body.pose[1][start]), body.pose[1][bone])
            posing.turn_to(bone, rotation.multiply(rotation.multiply(posing.turn(start), turn), rest))


def _twist_bones(body: Body) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for role, joint in body.roles.items():
        if is_twist(role):
            found.setdefault(role[:role.index("Twist")], []).append(joint)
    return found


def _twist_since_rest(body: Body, posing: Posing, start: int, tip: int, at_end: bool) -> np.ndarray:
    """Return a limb's twist about its own length in its own frame, (T, 4): towards its end, or since its start."""
    rest = body.pose[1]
    other = tip if at_end else int(body.skeleton.parents[start])
    at_rest = rotation.multiply(rotation.inverse(rest[start]), rest[other] if other >= 0 else rotation.IDENTITY)
    now = rotation.multiply(rotation.inverse(posing.turn(start)), posing.turn(other))
    turn = rotation.multiply(now, rotation.inverse(at_rest))
    if not at_end:
        turn = rotation.inverse(turn)
    way = body.pose[0][tip] - body.pose[0][start]
    axis = rotation.rotate(rotation.inverse(rest[start]), way / max(float(np.linalg.norm(way)), 1e-9))
    return rotation.twist(turn, axis)


def _shares(body: Body, start: int, end: int, bones: list[int]) -> list[float]:
    """Return how far along the limb each bone has its effect, 0 to 1."""
    way = body.pose[0][end] - body.pose[0][start]
    along = [float((body.pose[0][b] - body.pose[0][start]) @ way / max(float(way @ way), 1e-12)) for b in bones]
    along = [min(max(place, 0.0), 1.0) for place in along]
    return [(place + min([p for p in along if p > place], default=1.0)) / 2.0 for place in along]


def _scaled(q: np.ndarray, share: float) -> np.ndarray:
    """Return the same turn by a share of its angle. (T, 4)."""
    return rotation.from_rotvec(rotation.to_rotvec(q) * share)


def _top_of_spine(body: Body) -> int | None:
    """Return the highest joint of the map's spine."""
    spine = [body.roles[role] for role in SPINE if role in body.roles]
    return max(spine, default=None)


def _spread(knots: np.ndarray, turns: list[np.ndarray], places: np.ndarray) -> list[np.ndarray]:
    """Interpolate rotations (T, 4) given at ascending knots at other places, by slerp."""
    spread = []
    for place in places:
        low = int(np.clip(np.searchsorted(knots, place, side="right") - 1, 0, len(knots) - 2))
        way = knots[low + 1] - knots[low]
        share = 1.0 if way < 1e-9 else float(np.clip((place - knots[low]) / way, 0.0, 1.0))
        spread.append(rotation.slerp(turns[low], turns[low + 1], share))
    return spread
