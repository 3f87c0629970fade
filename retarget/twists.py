"""Bones that share a limb's length or twist: in line between two joints of the limb, or leaves beside it."""

from __future__ import annotations

from .tree import Tree

_LIMBS = (("UpperArm", "LowerArm"), ("LowerArm", "Hand"), ("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot"))
_SMALL = 3
"""Most joints in a twist bone's own subtree."""


def find_twists(tree: Tree, joints: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """Return by limb role, as LeftLowerArm, the bones that share its length, from near to far."""
    taken = set(joints.values())
    found: dict[str, tuple[int, ...]] = {}
    for side in ("Left", "Right"):
        for role, end in _LIMBS:
            if side + role not in joints or side + end not in joints:
                continue
            start, stop = joints[side + role], joints[side + end]
            if not tree.below(start, stop):
                continue
            inline = tree.between(start, stop)
            leaves = [j for above in (start, *inline) for j in tree.children[above]
                      if j != stop and j not in inline and _is_leaf_twist(tree, j)]
            leaves += [j for j in tree.children[int(tree.parents[start])] if int(tree.parents[start]) >= 0
                       and j != start and _is_leaf_twist(tree, j) and _same_limb(tree, j, start, stop)]
            bones = [j for j in (*inline, *leaves) if j not in taken]
            if bones:
                found[side + role] = tuple(sorted(bones, key=lambda j: (_along(tree, j, start, stop), tree.depth(j),
                                                                        tree.words[j].digits)))
                taken.update(bones)
    return found


def _is_leaf_twist(tree: Tree, joint: int) -> bool:
    return tree.words[joint].twist and len(tree.subtree(joint)) <= _SMALL


def _same_limb(tree: Tree, joint: int, start: int, stop: int) -> bool:
    """Say whether a twist bone beside a limb's joint is the limb's: named alike and lying along it."""
    ours, theirs = tree.words[joint], tree.words[start]
    if ours.side != theirs.side or not set(ours.words) & set(theirs.words):
        return False
    return tree.size < 1e-9 or 0.0 <= _along(tree, joint, start, stop) <= 1.0


def _along(tree: Tree, joint: int, start: int, stop: int) -> float:
    """Return how far along the limb a bone starts, 0 at its near end and 1 at its far one, to a hundredth."""
    way = tree.places[stop] - tree.places[start]
    length = float(way @ way)
    return round(float((tree.places[joint] - tree.places[start]) @ way) / length, 2) if length > 1e-12 else 0.0
