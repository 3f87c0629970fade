"""What each joint of a skeleton is: canonical roles, found by the joints' names and their places in the tree.

Limbs, head and fingers are known by name (presets/*.json); hips, spine and neck by where the limbs meet, because
rigs number and name their spines in too many ways.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from .kinematics import rest_pose
from .motion import Skeleton

LIMBS = ("Shoulder", "UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot", "Toes")
FINGERS = ("Thumb", "Index", "Middle", "Ring", "Little")
SIDES = ("Left", "Right")
SPINE = ("Spine", "Chest", "UpperChest")
PRESETS = ("smpl", "mixamo", "rigify", "unreal", "acclaim", "general")
"""Naming schemes in presets/, in the order in which they win a tie."""

_ENOUGH = 6
"""Joints that names must reveal before they count; fewer are chance."""
_PREFIXES = re.compile(r"^(.*[:|])?(mixamorig\d*_?|DEF-|CC_Base_|(ValveBiped\.)?Bip0*\d*[ _]+|J_(Bip|Adj|Sec)_(C_)?"
                       r"|b_|[mf]_avg_|(Armature|Skeleton|Rig)_)?")
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_COUNTED = re.compile(r"_\d+$|^_rootJoint$")
"""The number that some exporters append to every name."""
_SIDE_WORDS = {"left": "Left", "l": "Left", "lft": "Left", "right": "Right", "r": "Right", "rgt": "Right"}
_GLUED_SIDE = re.compile(r"^(left|right)(?=\w{3})|(?<=\w{3})(left|(?<!up)(?<!b)right)$"
                         r"|^[lr](?=(clavicle|humerus|radius|wrist|hand|fingers|thumb|femur|tibia|foot|toes)$)")


@dataclass(frozen=True)
class Roles:
    """Which joint plays which part."""

    scheme: str
    """Name of the preset that explains the most joints."""
    joints: dict[str, int]
    """Joint of each one-joint role, as Hips, Head, LeftUpperArm, LeftThumb1."""
    spine: tuple[int, ...] = ()
    """Joints between the hips and the neck, upwards; the last carries the shoulders."""
    neck: tuple[int, ...] = ()
    """Joints between the spine and the head, upwards."""
    notes: tuple[str, ...] = field(default=())
    """What was doubtful."""

    @property
    def certainty(self) -> float:
        """Trust in names: 1 for a known scheme, less for general words."""
        return 0.9 if self.scheme == "general" else 1.0


@dataclass(frozen=True)
class _Tree:
    """The joints that may have roles, and how they hang together."""

    names: tuple[str, ...]
    parents: np.ndarray
    words: dict[int, tuple[str | None, str, str]]
    """Side, words and digits of each joint's name."""
    notes: tuple[str, ...] = ()

    def below(self, ancestor: int, joint: int) -> bool:
        """Say whether a joint hangs below another."""
        return bool(path_down(self.parents, ancestor, joint))

    def highest(self, joints: list[int]) -> int:
        """Return the joint nearest to the top."""
        return min(joints, key=self.depth)

    def depth(self, joint: int) -> int:
        """Count the joints from the top of the tree."""
        return len(path_down(self.parents, -1, joint) or ())


@cache
def preset(name: str) -> dict[str, list[str]]:
    """Read the words of a naming scheme: role without side → words in order of preference."""
    return json.loads((Path(__file__).parent / "presets" / f"{name}.json").read_text("utf-8"))["roles"]


def parse_name(name: str) -> tuple[str | None, str, str]:
    """Split a joint's name into side ("Left", "Right" or None), its words joined in lower case, and its digits."""
    bare = _PREFIXES.sub("", name).removesuffix(".x") or name
    words = [word.lower() for word in _WORDS.findall(bare)]
    sides = [_SIDE_WORDS[word] for word in words if word in _SIDE_WORDS]
    base = "".join(word for word in words if not word.isdigit() and word not in _SIDE_WORDS)
    if not sides:
        glued = _GLUED_SIDE.search(base)
        if glued:
            sides, base = [_SIDE_WORDS[glued.group()]], base.replace(glued.group(), "", 1)
    side = sides[0] if len(set(sides)) == 1 else None
    return side, base, "".join(word for word in words if word.isdigit())


def find_roles(skeleton: Skeleton) -> Roles:
    """Find the role of each joint that names and tree reveal."""
    tree = _tree(skeleton)
    found = {name: _named(tree, preset(name)) for name in PRESETS}
    scheme = max(PRESETS, key=lambda name: len(found[name]))
    if len(found[scheme]) < _ENOUGH:
        return Roles(scheme, {}, notes=tree.notes)
    joints, notes = _consistent(tree, found[scheme])
    joints, swapped = _true_sides(skeleton, joints)
    joints.update(_fingers(tree, preset(scheme), joints))
    if "Head" not in joints:
        joints.update(_head_by_spine(tree, joints))
    joints, hips_notes = _hips(tree, joints)
    spine, neck = _trunk(tree, joints)
    return Roles(scheme, joints, spine, neck, (*tree.notes, *notes, *swapped, *hips_notes))


def path_down(parents: np.ndarray, ancestor: int, joint: int) -> tuple[int, ...] | None:
    """Return the joints from below `ancestor` down to `joint`; None where one is not above the other."""
    path: list[int] = []
    while joint >= 0 and joint != ancestor:
        path.insert(0, joint)
        joint = int(parents[joint])
    return tuple(path) if joint == ancestor else None


def _tree(skeleton: Skeleton) -> _Tree:
    """Read the names; in a generated Rigify rig only deform bones count, joined past the bones that move them."""
    names = skeleton.names
    if all(_COUNTED.search(name) for name in names):
        names = tuple(_COUNTED.sub("", name) for name in names)
    words = {j: parse_name(name) for j, name in enumerate(names)}
    deform = {name.removeprefix("DEF-"): j for j, name in enumerate(names) if name.startswith("DEF-")}
    if len(deform) < 10:
        return _Tree(names, skeleton.parents, words)
    parents = skeleton.parents.copy()
    for j in deform.values():
        while parents[j] >= 0 and (parents[j] == j or not names[parents[j]].startswith("DEF-")):
            above = deform.get(names[parents[j]].removeprefix("ORG-"), j)
            parents[j] = above if above != j else skeleton.parents[parents[j]]
    note = "This is a generated Rigify rig, whose controls move the bones; keys on the bones themselves have no effect."
    return _Tree(names, parents, {j: words[j] for j in deform.values()}, (note,))


def _named(tree: _Tree, words: dict[str, list[str]]) -> dict[str, int]:
    """Find hips, head and limbs by a scheme's words; the joint nearest to the top wins."""
    joints: dict[str, int] = {}
    wanted = [(role, None, role) for role in ("Hips", "Head")]
    wanted += [(f"{side}{role}", side, role) for side in SIDES for role in LIMBS]
    for key, side, role in wanted:
        for word in words[role]:
            fits = [j for j, (s, base, digits) in tree.words.items()
                    if s == side and word in (base, base + digits) and j not in joints.values()]
            if fits:
                joints[key] = tree.highest(fits)
                break
    return joints


def _consistent(tree: _Tree, joints: dict[str, int]) -> tuple[dict[str, int], list[str]]:
    """Drop limb joints that do not hang below the joint before them, as feet that are IK controls do not."""
    kept, notes = dict(joints), []
    for side in SIDES:
        for limb in (LIMBS[:4], LIMBS[4:]):
            above = None
            for role in limb:
                joint = kept.get(side + role)
                if joint is None:
                    continue
                if above is not None and not tree.below(above, joint):
                    del kept[side + role]
                    notes.append(f"'{tree.names[joint]}' is not below '{tree.names[above]}', as a control "
                                 "is: left out.")
                else:
                    above = joint
    return kept, notes


def _true_sides(skeleton: Skeleton, joints: dict[str, int]) -> tuple[dict[str, int], list[str]]:
    """Exchange left and right where the toes show that the names are meant from the viewer's side."""
    needed = [side + role for side in SIDES for role in ("UpperLeg", "Foot", "Toes")]
    if any(role not in joints for role in needed):
        return joints, []
    place = rest_pose(skeleton)[0]
    at = {role: place[joints[role]] for role in needed}
    forward = sum(at[side + "Toes"] - at[side + "Foot"] for side in SIDES)
    up = sum(at[side + "UpperLeg"] - at[side + "Foot"] for side in SIDES)
    left = at["LeftUpperLeg"] - at["RightUpperLeg"]
    lengths = np.linalg.norm(forward) * np.linalg.norm(up) * np.linalg.norm(left)
    if np.dot(np.cross(up, forward), left) >= -0.25 * lengths:
        return joints, []
    other = {"Left": "Right", "Right": "Left"}
    swapped = {re.sub("^(Left|Right)", lambda m: other[m.group()], role): joint for role, joint in joints.items()}
    return swapped, ["The toes show that 'left' in the names is the character's right: sides exchanged."]


def _fingers(tree: _Tree, words: dict[str, list[str]], joints: dict[str, int]) -> dict[str, int]:
    """Find up to three joints of each finger below its hand, outwards."""
    fingers: dict[str, int] = {}
    for side in SIDES:
        hand = joints.get(side + "Hand")
        if hand is None:
            continue
        for finger in FINGERS:
            fits = [j for j, (_, base, digits) in tree.words.items()
                    if {base, base + digits} & set(words[finger]) and tree.below(hand, j)]
            fits.sort(key=tree.depth)
            fingers.update({f"{side}{finger}{i + 1}": j for i, j in enumerate(fits[:3])})
    return fingers


def _meeting(tree: _Tree, joints: list[int]) -> int:
    """Return the lowest joint that carries all of the joints; −1 where there is none."""
    paths = [(path_down(tree.parents, -1, j) or ()) for j in joints]
    common = -1
    for level in zip(*paths, strict=False):
        if len(set(level)) > 1:
            break
        common = level[0]
    return common


def _arms(joints: dict[str, int]) -> list[int]:
    """Return the first joint of each arm."""
    firsts = [[joints[side + role] for role in LIMBS[:4] if side + role in joints] for side in SIDES]
    return [first[0] for first in firsts if first]


def _head_by_spine(tree: _Tree, joints: dict[str, int]) -> dict[str, int]:
    """Take the last joint called spine or neck above the shoulders as the head, as in Rigify."""
    arms = _arms(joints)
    chest = _meeting(tree, arms) if len(arms) == 2 else -1
    fits = [j for j, (side, base, _) in tree.words.items()
            if side is None and base in ("spine", "neck") and chest >= 0 and tree.below(chest, j)]
    return {"Head": max(fits, key=tree.depth)} if fits else {}


def _hips(tree: _Tree, joints: dict[str, int]) -> tuple[dict[str, int], list[str]]:
    """Keep the named hips where they carry legs and head; otherwise take the joint that does."""
    carried = [joints[role] for role in ("LeftUpperLeg", "RightUpperLeg", "Head") if role in joints]
    meeting = _meeting(tree, carried) if len(carried) >= 2 else -1
    named = joints.get("Hips")
    if meeting < 0 or named == meeting or (named is not None and tree.below(named, meeting)):
        return joints, []
    note = [] if named is None else [f"'{tree.names[named]}' does not carry both legs and the head; "
                                     f"'{tree.names[meeting]}' does and is taken as the hips."]
    return {**joints, "Hips": meeting}, note


def _trunk(tree: _Tree, joints: dict[str, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the joints of spine and neck between hips and head; they part where the arms begin."""
    hips, head, arms = joints.get("Hips"), joints.get("Head"), _arms(joints)
    if hips is None or (head is None and not arms):
        return (), ()
    upper = [*arms, head] if head is not None else arms
    chest = _meeting(tree, upper) if len(upper) > 1 else int(tree.parents[upper[0]])
    spine = path_down(tree.parents, hips, chest) or ()
    neck = path_down(tree.parents, chest, head) if head is not None else ()
    return spine, (neck or ())[:-1]
