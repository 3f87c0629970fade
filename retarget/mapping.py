"""Which joint of one skeleton drives which bone of another, guessed: joints that play the same part are paired."""

from __future__ import annotations

from dataclasses import replace

from .bone_map import BoneMap, Pair
from .motion import Skeleton
from .roles import FINGERS, LIMBS, SIDES, SPINE, Roles, find_roles
from .tree import counting

__all__ = ["BoneMap", "Pair", "guess"]

_SAME_RIG = 10
"""Parts that must have the same names for two skeletons to be the same rig."""
_NAMESAKE = 0.9
"""Confidence in a pair of joints that have the same name and hang on joints that are paired."""


def guess(source: Skeleton, target: Skeleton) -> BoneMap:
    """Pair the joints that play the same part, by names first and then by place; never across sides."""
    here, there = find_roles(source), find_roles(target)
    there = _trunk_of(here, source, there, target)
    pairs: list[Pair] = []
    notes = [f"Source: {note}" for note in here.notes] + [f"Target: {note}" for note in there.notes]

    def add(role: str, joint: int, bone: int, share: float = 1.0, part: str | None = None) -> None:
        sure = min(roles.confidence.get(part or role, 1.0) for roles in (here, there)) * share
        pairs.append(Pair(source.names[joint], target.names[bone], role, round(sure, 3)))

    if "Hips" in here.joints and "Hips" in there.joints:
        add("Hips", here.joints["Hips"], there.joints["Hips"])
    for roles, ours, theirs in ((SPINE, here.spine, there.spine), (("Neck",), here.neck, there.neck)):
        places = _along(len(ours), len(theirs))
        even = 1.0 if len(ours) == len(theirs) else 0.8
        for i, (a, b) in enumerate(places):
            add(_chain_role(roles, i, len(places)), ours[a], theirs[b], even, roles[0])
        if len(ours) != len(theirs) and here.joints and there.joints:
            notes.append(f"{len(ours)} {roles[0].lower()} joints of the source drive {len(theirs)} of the target"
                         + (", spread by length." if ours and theirs else "."))
    for role in ("Head", *(side + limb for side in SIDES for limb in LIMBS), *_finger_roles(here, there)):
        if role in here.joints and role in there.joints:
            add(role, here.joints[role], there.joints[role])
            for i, (joint, bone) in enumerate(_twists(role, here, there), 1):
                add(f"{role}Twist{i}", joint, bone, part=role)
    pairs += _namesakes(source, target, pairs, here, there)
    return BoneMap(tuple(pairs), tuple(notes + _missing(source, target, here, there)))


def _trunk_of(here: Roles, source: Skeleton, there: Roles, target: Skeleton) -> Roles:
    """Give the target the source's spine and neck where it is the same rig by name, whatever hangs on what."""
    trunk = [source.names[j] for j in (*here.spine, *here.neck)]
    shared = here.joints.keys() & there.joints.keys()
    same = all(source.names[here.joints[role]] == target.names[there.joints[role]] for role in shared)
    own = {target.names[j] for j in (*there.spine, *there.neck)}
    if len(shared) < _SAME_RIG or not same or not own <= set(trunk) <= set(target.names):
        return there
    joints = [target.index(name) for name in trunk]
    return replace(there, spine=tuple(joints[:len(here.spine)]), neck=tuple(joints[len(here.spine):]))


def _twists(role: str, here: Roles, there: Roles) -> list[tuple[int, int]]:
    """Pair a limb's twist bones with the source's, or with its limb joint where the source has another number."""
    theirs = there.twists.get(role, ())
    ours = here.twists.get(role, ())
    return list(zip(ours if len(ours) == len(theirs) else [here.joints[role]] * len(theirs), theirs, strict=True))


def _namesakes(source: Skeleton, target: Skeleton, pairs: list[Pair], here: Roles, there: Roles) -> list[Pair]:
    """Pair other joints of one name, as tail and weapon, that hang on joints which are paired with each other."""
    ours, theirs = (here.joints.get("Hips"), there.joints.get("Hips"))
    if ours is None or theirs is None:
        return []
    match = {source.index(p.source): target.index(p.target) for p in reversed(pairs) if "Twist" not in p.role}
    match |= {source.index(p.source): target.index(p.target) for p in pairs
              if "Twist" in p.role and source.index(p.source) not in match}
    taken = {target.index(p.target) for p in pairs}
    place = {target.names[j]: j for j in counting(target)}
    free = counting(source) - set(match)
    found: list[Pair] = []
    for j, name in enumerate(source.names):
        bone = place.get(name)
        if bone is None or j not in free or bone in taken:
            continue
        above, over = (_nearest(s, k, known) for s, k, known in ((source, j, set(match)), (target, bone, taken)))
        if above >= 0 and match[above] == over:
            found.append(Pair(name, name, "", _NAMESAKE))
            match[j] = bone
            taken.add(bone)
    return found


def _nearest(skeleton: Skeleton, joint: int, known: set[int]) -> int:
    """Return the nearest joint above that is among the known ones; −1 if none is."""
    above = int(skeleton.parents[joint])
    while above >= 0 and above not in known:
        above = int(skeleton.parents[above])
    return above


def _along(count: int, other: int) -> list[tuple[int, int]]:
    """Pair two chains by order, one to one, ends with ends; a single joint goes with the upper end."""
    shorter = min(count, other)
    if shorter < 2:
        return [(count - 1, other - 1)] * shorter
    return [(round(i * (count - 1) / (shorter - 1)), round(i * (other - 1) / (shorter - 1))) for i in range(shorter)]


def _chain_role(roles: tuple[str, ...], place: int, count: int) -> str:
    """Name a place in a chain: the first, the last, and all between by the middle role."""
    if place == 0 or len(roles) == 1:
        return roles[0]
    return roles[2] if place == count - 1 and count > 2 else roles[1]


def _finger_roles(here: Roles, there: Roles) -> list[str]:
    """Return the finger joints that both skeletons have."""
    roles = [f"{side}{finger}{i}" for side in SIDES for finger in FINGERS for i in (1, 2, 3)]
    return [role for role in roles if role in here.joints and role in there.joints]


def _missing(source: Skeleton, target: Skeleton, here: Roles, there: Roles) -> list[str]:
    """Say which parts of the body one skeleton has and the other has not."""
    for side, roles in (("source", here), ("target", there)):
        if not roles.joints:
            return [f"No bone name of the {side} says what the bone is."]
    notes = []
    for role in ("Hips", "Head", *(side + limb for side in SIDES for limb in LIMBS)):
        if role in here.joints and role not in there.joints:
            notes.append(f"'{source.names[here.joints[role]]}' drives nothing: no target bone was recognised as "
                         f"{role}.")
        elif role in there.joints and role not in here.joints:
            notes.append(f"'{target.names[there.joints[role]]}' stays at rest: no source joint was recognised as "
                         f"{role}.")
    return notes
