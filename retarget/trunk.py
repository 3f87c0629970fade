"""Hips, spine, neck and head: where the limbs meet, what lies between, and what goes on above the arms."""

from __future__ import annotations

import numpy as np

from .facing import SIDES
from .limb_names import ARM
from .structure import Structure
from .tree import Tree

_TIP = 1.2
"""A last bone so much longer than the one before it reaches from the head to its top, and ends with no joint."""


def find_head(tree: Tree, joints: dict[str, int], named: list[int], structure: Structure) -> dict[str, int]:
    """Return the head: as named, else the top of the spine or neck by name, else what goes on above the arms."""
    arms = _arms(joints)
    chest = tree.meeting(arms) if len(arms) == 2 else -1
    fits = [j for j in named if j not in joints.values() and (chest < 0 or tree.below(chest, j))]
    if fits:
        return {"Head": fits[0]}
    middle = [j for j, name in tree.words.items()
              if name.side is None and {*name.forms, *name.loose_forms} & {"spine", "neck"}]
    fits = [j for j in middle if chest >= 0 and tree.below(chest, j)]
    if fits:
        return {"Head": max(fits, key=tree.depth)}
    return {} if chest < 0 or structure.arms is None else _head_by_place(tree, chest, arms)


def _head_by_place(tree: Tree, chest: int, arms: list[int]) -> dict[str, int]:
    """Follow the middle line above the chest to where the face begins, or to before the tip."""
    across = tree.places[arms[0]] - tree.places[arms[1]]
    across = across / max(float(np.linalg.norm(across)), 1e-9)
    middle = [j for j in tree.children[chest] if not tree.words[j].foreign and not set(arms) & set(tree.subtree(j))
              and abs((tree.places[j] - tree.places[chest]) @ across) < 0.03 * tree.size]
    if not middle:
        return {}
    line = list(tree.line(max(middle, key=lambda j: tree.reach[j] + tree.length((chest, j)))))
    while len(line) > 1 and tree.length(line[-2:]) < 1e-3 * tree.size:
        line.pop()
    face = next((i for i, j in enumerate(line) if len(tree.children[j]) > 1), None)
    if face is not None:
        doubled = face > 0 and tree.length(line[face - 1 : face + 1]) < 1e-3 * tree.size
        return {"Head": line[face - doubled]}
    if len(line) > 2 and tree.length(line[-2:]) > _TIP * tree.length(line[-3:-1]):
        line = line[:-1]
    return {"Head": line[-1]}


def find_hips(tree: Tree, joints: dict[str, int], named: list[int]) -> tuple[dict[str, int], list[str]]:
    """Keep the named hips where they carry legs and head; otherwise take the joint that does."""
    parts = ("LeftUpperLeg", "RightUpperLeg", "Head", *_arm_roles(joints))
    carried = [joints[role] for role in parts if role in joints]
    meeting = tree.meeting(carried) if len(carried) >= 2 and "LeftUpperLeg" in joints else -1
    free = [j for j in named if j not in joints.values()]
    if meeting < 0:
        return _hips_without_legs(tree, joints, free), []
    above = [j for j in free if j == meeting or tree.below(j, meeting)]
    hips = max(above, key=tree.depth, default=meeting)
    below = [j for j in free if tree.below(meeting, j)]
    if not below or above:
        return {**joints, "Hips": hips}, []
    return {**joints, "Hips": hips}, [f"'{tree.names[below[0]]}' does not carry both legs and the head; "
                                      f"'{tree.names[hips]}' does and is taken as the hips."]


def _hips_without_legs(tree: Tree, joints: dict[str, int], named: list[int]) -> dict[str, int]:
    """Return the named hips of half a body, else the first joint of its spine."""
    arms = _arms(joints)
    chest = tree.meeting(arms) if len(arms) == 2 else -1
    fits = [j for j in named if chest < 0 or j == chest or tree.below(j, chest)]
    if fits:
        return {**joints, "Hips": fits[0]}
    path = tree.paths[chest] if chest >= 0 else ()
    spine = [j for j in path if tree.words[j].base not in ("root", "armature", "master")]
    return {**joints, "Hips": spine[0]} if len(spine) > 1 else joints


def find_trunk(tree: Tree, joints: dict[str, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the joints of spine and neck between hips and head; they part where the arms begin."""
    hips, head, arms = joints.get("Hips"), joints.get("Head"), _arms(joints)
    if hips is None or (head is None and not arms):
        return (), ()
    upper = [*arms, head] if head is not None else arms
    chest = tree.meeting(upper) if len(upper) > 1 else int(tree.parents[upper[0]])
    spine = _down(tree, hips, chest)
    neck = _down(tree, chest, head) if head is not None else ()
    return spine, neck[:-1]


def _down(tree: Tree, ancestor: int, joint: int) -> tuple[int, ...]:
    """Return the joints from below one down to another; none where the one is not above the other."""
    if joint < 0 or ancestor < 0 or not tree.below(ancestor, joint):
        return ()
    return (*tree.between(ancestor, joint), joint)


def _arm_roles(joints: dict[str, int]) -> list[str]:
    """Return the role of the first joint of each arm."""
    firsts = [[side + role for role in ARM if side + role in joints] for side in SIDES]
    return [first[0] for first in firsts if first]


def _arms(joints: dict[str, int]) -> list[int]:
    """Return the first joint of each arm."""
    return [joints[role] for role in _arm_roles(joints)]
