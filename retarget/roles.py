"""What each joint of a skeleton is: canonical roles, found by the joints' names, their places and their tree.

Names are trusted where they are known and hang together (limb_names.py, presets/*.json); geometry fills what they leave
open and tells left from right where they do not (structure.py, limbs.py, facing.py). Hips, spine and neck follow from
where the limbs meet, because rigs number and name their spines in too many ways (trunk.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from .facing import SIDES, cues, facing
from .fingers import FINGERS, find_fingers
from .limb_names import ARM, LEG, Named, best_named
from .limbs import segment_arm, segment_leg
from .motion import Skeleton
from .names import parse_name, preset
from .structure import Structure, find_structure
from .tree import Tree, read_tree
from .trunk import find_head, find_hips, find_trunk
from .twists import find_twists

__all__ = ["FINGERS", "LIMBS", "SIDES", "SPINE", "Roles", "find_roles", "parse_name", "path_down"]

LIMBS = (*ARM, *LEG)
SPINE = ("Spine", "Chest", "UpperChest")
KNOWN, WORD, PLACE, DOUBTFUL = 1.0, 0.9, 0.65, 0.5
"""Confidence in a known scheme's name, a general word, the place alone, and a name that its place speaks against."""

_ENOUGH, _ENOUGH_ALONE = 4, 6
"""Limb joints that names must reveal before they count, in lines of two or more or with hips and head; fewer are
chance."""
_PLAIN = 0.3
"""Facing from which on places alone tell left from right."""
_LIMB_ROLES = {"Arm": ARM, "Leg": LEG}
_OTHER = {"Left": "Right", "Right": "Left"}


@dataclass(frozen=True)
class Roles:
    """Which joint plays which part."""

    scheme: str
    """Name of the preset that explains the most joints; "structure" where places told, not names."""
    joints: dict[str, int]
    """Joint of each one-joint role, as Hips, Head, LeftUpperArm, LeftThumb1."""
    spine: tuple[int, ...] = ()
    """Joints between the hips and the neck, upwards; the last carries the shoulders."""
    neck: tuple[int, ...] = ()
    """Joints between the spine and the head, upwards."""
    notes: tuple[str, ...] = field(default=())
    """What was doubtful."""
    twists: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """By limb role, as LeftLowerArm: the bones that share the limb's length, from near to far."""
    confidence: dict[str, float] = field(default_factory=dict)
    """How sure each role is, 0 to 1; also "Spine", "Neck"."""


def find_roles(skeleton: Skeleton) -> Roles:
    """Find the role of each joint that names, places and tree reveal."""
    tree = read_tree(skeleton)
    structure = find_structure(tree)
    first, notes = _first_sides(tree, structure)
    named = best_named(tree, _sides(tree, structure, first))
    trusted = _trusted(named)
    joints, confidence = _limbs(tree, structure, first, named if trusted else None)
    if not joints:
        return Roles(named.scheme, {}, notes=(*notes, *_why_nothing(tree, structure)))
    notes += _controls(tree, named, joints) if trusted else []
    joints, crossed = _uncrossed(tree, joints)
    joints, confidence, swapped = _true_sides(tree, joints, confidence)
    for side in SIDES:
        if side + "Hand" in joints:
            found = find_fingers(tree, joints[side + "Hand"], side, preset(named.scheme))
            joints |= {side + finger: j for finger, j in found.items() if j not in joints.values()}
    sure = confidence.get("LeftUpperArm", next(iter(confidence.values())))
    joints |= find_head(tree, joints, named.heads if trusted else [], structure)
    joints, hips_notes = find_hips(tree, joints, named.hips if trusted else [])
    spine, neck = find_trunk(tree, joints)
    for role in ("Hips", "Head", "Spine", "Neck", *joints):
        confidence.setdefault(role, _of_hand(role, confidence) or sure)
    scheme = named.scheme if trusted else "structure"
    if structure.limbs:
        notes += [f"{note[0].upper()}{note[1:]}." for note in structure.notes[:3]]
    notes += [*crossed, *swapped, *hips_notes]
    return Roles(scheme, joints, spine, neck, tuple(notes), find_twists(tree, joints), confidence)


def _trusted(named: Named) -> bool:
    """Say whether names reveal more than chance would."""
    alone = sum(map(len, named.limbs.values())) + bool(named.hips) + bool(named.heads)
    whole = any(len(limb) > 2 for limb in named.limbs.values())
    return whole or named.count >= _ENOUGH or alone >= _ENOUGH_ALONE


def path_down(parents: np.ndarray, ancestor: int, joint: int) -> tuple[int, ...] | None:
    """Return the joints from below `ancestor` down to `joint`; None where one is not above the other."""
    path: list[int] = []
    while joint >= 0 and joint != ancestor:
        path.insert(0, joint)
        joint = int(parents[joint])
    return tuple(path) if joint == ancestor else None


def _first_sides(tree: Tree, structure: Structure) -> tuple[dict[str, str], list[str]]:
    """Return which side the first of each pair of limbs is: as named, else as the body faces; none where unknown."""
    votes = {kind: sum((tree.words[j].side == "Left") - (tree.words[j].side == "Right") for j in tree.subtree(first[0]))
             - sum((tree.words[j].side == "Left") - (tree.words[j].side == "Right") for j in tree.subtree(second[0]))
             for kind, limbs in structure.limbs.items() for first, second in [limbs.lines]}
    faces = facing(tree.places, _by_place(tree, structure))
    if any(votes.values()):
        named = {kind: vote or sum(votes.values()) for kind, vote in votes.items()}
        return {kind: "Left" if vote > 0 else "Right" for kind, vote in named.items() if vote}, []
    if abs(faces) >= _PLAIN:
        return dict.fromkeys(votes, "Left" if faces > 0 else "Right"), []
    return {}, ["Neither names nor feet, knees, elbows or thumbs tell left from right: arms and legs were left out. "
                "Pair one by hand."] if votes else []


def _by_place(tree: Tree, structure: Structure) -> dict[str, int]:
    """Return limbs and fingers as geometry alone has them, the first of each pair as left."""
    joints: dict[str, int] = {}
    for kind, limbs in structure.limbs.items():
        for side, line in zip(SIDES, limbs.lines, strict=True):
            segments = segment_arm(tree, line) if kind == "Arm" else segment_leg(tree, line)
            joints |= {side + role: j for role, j in segments.items()}
            if "Hand" in segments:
                fingers = find_fingers(tree, segments["Hand"], None, preset("general"))
                joints |= {side + role: j for role, j in fingers.items()}
    return joints


def _sides(tree: Tree, structure: Structure, first: dict[str, str]) -> dict[int, str | None]:
    """Return each joint's side: its name's, else that of the limb which it belongs to."""
    sides = {j: name.side for j, name in tree.words.items()}
    for kind, limbs in structure.limbs.items():
        for side, line in zip((first.get(kind), _OTHER.get(first.get(kind, ""))), limbs.lines, strict=True):
            for j in tree.subtree(line[0]):
                sides[j] = sides[j] or side
    return sides


def _limbs(tree: Tree, structure: Structure, first: dict[str, str], named: Named | None
           ) -> tuple[dict[str, int], dict[str, float]]:
    """Put limbs together from names and places, with the confidence of each role."""
    joints: dict[str, int] = {}
    confidence: dict[str, float] = {}
    for kind in _LIMB_ROLES:
        limbs = structure.limbs.get(kind)
        for side in SIDES:
            line = None
            if limbs is not None and kind in first:
                line = limbs.lines[0 if first[kind] == side else 1]
            limb = named.limbs[side, kind] if named else {}
            found, sure = _limb(tree, kind, line, limb, named)
            joints |= {side + role: j for role, j in found.items()}
            confidence |= {side + role: value for role, value in sure.items()}
    return joints, confidence


def _limb(tree: Tree, kind: str, line: tuple[int, ...] | None, limb: dict[str, int], named: Named | None
          ) -> tuple[dict[str, int], dict[str, float]]:
    """Complete one limb's named joints by place; without any, take it by place whole."""
    segment = segment_arm if kind == "Arm" else segment_leg
    if not limb:
        if line is None or _speaks_against(tree, kind, line, named):
            return {}, {}
        found = segment(tree, line)
        return found, dict.fromkeys(found, PLACE)
    inside = set(tree.subtree(line[0])) if line else set(limb.values())
    words = {j: KNOWN if named and j in named.own and named.scheme != "general" else WORD for j in limb.values()}
    sure = {role: words[j] if j in inside else 0.8 for role, j in limb.items()}
    missing = [role for role in (ARM[1:] if kind == "Arm" else LEG[:3]) if role not in limb]
    if missing and line and set(limb.values()) <= set(line):
        filled = segment(tree, line, limb)
        more = {role: filled[role] for role in missing if role in filled and filled[role] not in limb.values()}
    else:
        more = _between(tree, limb, missing)
    if line and kind == "Leg" and "Toes" not in limb and limb.get("Foot") in line[:-1]:
        after = line[line.index(limb["Foot"]) + 1]
        more |= {} if tree.words[after].tip or tree.length((limb["Foot"], after)) < 1e-6 else {"Toes": after}
    order = {role: i for i, role in enumerate(_LIMB_ROLES[kind])}
    complete = dict(sorted({**limb, **more}.items(), key=lambda item: order[item[0]]))
    return complete, {**sure, **dict.fromkeys(more, PLACE)}


def _between(tree: Tree, limb: dict[str, int], missing: list[str]) -> dict[str, int]:
    """Take the only joint between two known ones of a limb."""
    ends = {"LowerArm": ("UpperArm", "Hand"), "LowerLeg": ("UpperLeg", "Foot")}
    found = {}
    for role in missing:
        if role in ends and set(ends[role]) <= limb.keys():
            between = tree.between(limb[ends[role][0]], limb[ends[role][1]])
            if len(between) == 1:
                found[role] = between[0]
    return found


def _speaks_against(tree: Tree, kind: str, line: tuple[int, ...], named: Named | None) -> bool:
    """Say whether names say that a line is another limb."""
    other = "Leg" if kind == "Arm" else "Arm"
    others = {j for side in SIDES for j in (named.limbs[side, other].values() if named else ())}
    return bool(others & set(line))


def _controls(tree: Tree, named: Named, joints: dict[str, int]) -> list[str]:
    """Note limb joints that are named but hang elsewhere, as feet that are IK controls do."""
    notes = []
    words = preset(named.scheme)
    for side in SIDES:
        for kind in (ARM, LEG):
            for above, role in pairwise(kind):
                if side + role in joints or side + above not in joints:
                    continue
                astray = [j for word in words[role] for j, exact in tree.spelt.get(word, ())
                          if exact and tree.words[j].side == side and j not in joints.values()
                          and not tree.below(joints[side + above], j) and not tree.below(j, joints[side + above])]
                notes += [f"'{tree.names[j]}' is not below '{tree.names[joints[side + above]]}', as a control is: "
                          "left out." for j in astray[:1]]
    return notes


def _uncrossed(tree: Tree, joints: dict[str, int]) -> tuple[dict[str, int], list[str]]:
    """Leave out the arms where their left is the legs' right, or the legs where their feet say that they are wrong."""
    if not {side + role for side in SIDES for role in ("UpperLeg", "UpperArm")} <= joints.keys():
        return joints, []
    legs, arms = (tree.places[joints["Left" + role]] - tree.places[joints["Right" + role]]
                  for role in ("UpperLeg", "UpperArm"))
    if legs @ arms >= -0.5 * np.linalg.norm(legs) * np.linalg.norm(arms) or tree.size < 1e-9:
        return joints, []
    faces = facing(tree.places, {role: j for role, j in joints.items() if role.endswith(LEG)})
    wrong, right = ("arms", "legs") if faces >= 0 else ("legs", "arms")
    roles = ARM if wrong == "arms" else LEG
    note = f"By name the left of the {wrong} is the right of the {right}: the {wrong} were left out. Pair them by hand."
    return {role: j for role, j in joints.items() if not role.endswith(roles)}, [note]


def _true_sides(tree: Tree, joints: dict[str, int], confidence: dict[str, float]
                ) -> tuple[dict[str, int], dict[str, float], list[str]]:
    """Exchange left and right where the toes show that the names are meant from the viewer's side."""
    if cues(tree.places, joints).get("foot", 0.0) > -1.5 or facing(tree.places, joints) > -0.5:
        return joints, confidence, []

    def swap(role: str) -> str:
        return re.sub("^(Left|Right)", lambda m: _OTHER[m.group()], role)

    note = "The toes show that 'left' in the names is the character's right: sides exchanged."
    return {swap(role): j for role, j in joints.items()}, {swap(role): c for role, c in confidence.items()}, [note]


def _of_hand(role: str, confidence: dict[str, float]) -> float | None:
    """Return the confidence of the hand that a finger belongs to."""
    side = next((side for side in SIDES if role.startswith(side)), "")
    return confidence.get(side + "Hand") if side else None


def _why_nothing(tree: Tree, structure: Structure) -> list[str]:
    """Say why places revealed nothing."""
    if tree.size < 1e-6 or structure.limbs:
        return []
    return [f"Its bones show no body with arms or legs: {reason}." for reason in structure.notes[:1]]
