"""Limbs by geometry: which joints of a line from the trunk outwards are upper, lower and end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from .tree import Tree

ARM = ("Shoulder", "UpperArm", "LowerArm", "Hand")
LEG = ("UpperLeg", "LowerLeg", "Foot", "Toes")
_INSIDE = 0.15
"""Cost of a joint inside an upper or lower limb, or before its first, that has no role."""


def segment_leg(tree: Tree, line: tuple[int, ...], fixed: dict[str, int] | None = None) -> dict[str, int]:
    """Choose thigh, shin, foot and toes in a line of joints from the hips to the end; `fixed` are known ones."""
    line = _distinct(tree, line, keep=fixed)
    choices = []
    for upper, lower, foot in _triples(line, fixed, ("UpperLeg", "LowerLeg", "Foot")):
        rest = tree.length(line[foot:]) / max(tree.length(line[upper : foot + 1]), 1e-9)
        cost = _cost(tree, line, upper, lower, foot) + max(0.0, rest - 0.6) * 2.0
        turn = _turn(tree, line[lower], line[foot], line[-1]) if foot + 1 < len(line) else 0.0
        choices.append((cost - 0.5 * turn, upper, lower, foot))
    if not choices:
        return dict(zip(LEG, line, strict=False)) if not fixed else {}
    _, upper, lower, foot = min(choices)
    chosen = {"UpperLeg": line[upper], "LowerLeg": line[lower], "Foot": line[foot]}
    return chosen | ({"Toes": line[foot + 1]} if foot + 1 < len(line) else {})


def segment_arm(tree: Tree, line: tuple[int, ...], fixed: dict[str, int] | None = None) -> dict[str, int]:
    """Choose collarbone, upper arm, forearm and hand in a line of joints from the chest to the end."""
    line = _distinct(tree, line, keep=fixed)
    choices = []
    for upper, lower, hand in _triples(line, fixed, ARM[1:]):
        rest = tree.length(line[hand:]) / max(tree.length(line[lower : hand + 1]), 1e-9)
        cost = _cost(tree, line, upper, lower, hand, free=1) + max(0.0, rest - 0.9) * 2.0
        cost -= 0.25 * min(len(tree.children[line[hand]]) - 1, 2)
        if upper > 0:
            collar = tree.length(line[: upper + 1]) / max(tree.length(line[upper : lower + 1]), 1e-9)
            cost += max(0.0, collar - 1.0) - 0.2
        choices.append((cost, upper, lower, hand))
    if not choices:
        return dict(zip(ARM[1:], line, strict=False)) if not fixed else {}
    _, upper, lower, hand = min(choices)
    chosen = {"UpperArm": line[upper], "LowerArm": line[lower], "Hand": line[hand]}
    return ({"Shoulder": line[0]} if upper else {}) | chosen


def _triples(line: tuple[int, ...], fixed: dict[str, int] | None, roles: tuple[str, ...]
             ) -> Iterator[tuple[int, int, int]]:
    """Yield every choice of three places in a line that keeps the known joints."""
    known = {i: line.index(fixed[role]) for i, role in enumerate(roles) if fixed and fixed.get(role) in line}
    for places in combinations(range(min(len(line), 12)), 3):
        if all(places[i] == place for i, place in known.items()):
            yield places


def _cost(tree: Tree, line: tuple[int, ...], upper: int, lower: int, end: int, free: int = 0) -> float:
    """Return how little a choice looks like a limb: unequal halves, bends inside a half, joints passed over."""
    halves = [line[upper : lower + 1], line[lower : end + 1]]
    lengths = [max(tree.length(half), 1e-9) for half in halves]
    straight = [np.linalg.norm(tree.places[half[-1]] - tree.places[half[0]]) for half in halves]
    bent = sum(1.0 - s / length for s, length in zip(straight, lengths, strict=True))
    passed = max(0, upper - free) + (lower - upper - 1) + (end - lower - 1)
    before = max(0.0, tree.length(line[: upper + 1]) / sum(lengths) - 0.4)
    return abs(np.log(lengths[0] / lengths[1])) + 5.0 * bent + _INSIDE * passed + before


def _turn(tree: Tree, before: int, at: int, after: int) -> float:
    """Return 1 − cos of the turn at a joint."""
    ways = [tree.places[at] - tree.places[before], tree.places[after] - tree.places[at]]
    lengths = np.linalg.norm(ways[0]) * np.linalg.norm(ways[1])
    return float(1.0 - np.dot(*ways) / lengths) if lengths > 1e-9 else 0.0


def _distinct(tree: Tree, line: tuple[int, ...], keep: dict[str, int] | None) -> tuple[int, ...]:
    """Drop joints that lie where the one before lies, as helpers at an end do."""
    known = set((keep or {}).values())
    near = 1e-3 * tree.size
    return tuple(j for j, before in zip(line, (None, *line), strict=False)
                 if before is None or j in known or np.linalg.norm(tree.places[before] - tree.places[j]) > near)
