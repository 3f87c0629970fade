"""Limbs by name: the line of joints down the tree whose names fit a limb's roles in their order best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .names import PRESETS, preset
from .tree import Tree

ARM = ("Shoulder", "UpperArm", "LowerArm", "Hand")
LEG = ("UpperLeg", "LowerLeg", "Foot", "Toes")
SIDES = ("Left", "Right")
_WORTH = {"Shoulder": 0.6, "Toes": 0.6}
"""What an optional role counts beside a necessary one's 1, so that a lone shoulder is an upper arm."""
_GENERAL = 0.75
"""What a word of the general preset counts beside a scheme's own."""


@dataclass(frozen=True)
class Named:
    """What a scheme's words say."""

    scheme: str
    limbs: dict[tuple[str, str], dict[str, int]]
    """Roles found in the limb of a side, as ("Left", "Arm") → LowerArm → joint."""
    hips: list[int] = field(default_factory=list)
    """Joints that are named as hips, the best first."""
    heads: list[int] = field(default_factory=list)
    """Joints that are named as head, the best first."""
    score: float = 0.0
    own: frozenset[int] = frozenset()
    """Joints whose names are the scheme's own words rather than general ones."""

    @property
    def count(self) -> int:
        """Number of limb joints in lines of at least two; a lone familiar word is chance."""
        return sum(len(limb) for limb in self.limbs.values() if len(limb) > 1)


def best_named(tree: Tree, sides: Mapping[int, str | None]) -> Named:
    """Read the names by every scheme and return what explains most. sides: by joint, from name or place."""
    readings = [_read(tree, scheme, sides) for scheme in PRESETS]
    return max(readings, key=lambda named: named.score)


def _read(tree: Tree, scheme: str, sides: Mapping[int, str | None]) -> Named:
    """Read the names by one scheme, helped out by general words."""
    words = preset(scheme)
    fits = {role: _fits(tree, scheme, role) for role in ("Hips", "Head", *ARM, *LEG)}
    limbs, score = {}, 0.0
    for side in SIDES:
        for kind, roles in (("Arm", ARM), ("Leg", LEG)):
            worth, line = _best_line(tree, [{j: w for j, w in fits[role].items() if sides.get(j) == side}
                                                         for role in roles], roles)
            score += worth
            limbs[side, kind] = _first_toes(tree, line, fits["Toes"])
    middle = [sorted((j for j in fits[role] if sides.get(j) is None), key=lambda j: (-fits[role][j], tree.depth(j)))
              for role in ("Hips", "Head")]
    score += sum(0.5 * fits[role][found[0]] for role, found in zip(("Hips", "Head"), middle, strict=True) if found)
    own = frozenset(j for role in fits for j, worth in fits[role].items() if worth > _GENERAL)
    fingers = {j for finger in ("Thumb", "Index", "Middle", "Ring", "Little") for word in words[finger]
               for j, exact in tree.spelt.get(word, ()) if exact}
    return Named(scheme, limbs, middle[0], middle[1], score + 0.02 * min(len(fingers), 30), own)


def _first_toes(tree: Tree, line: dict[str, int], fits: dict[int, float]) -> dict[str, int]:
    """Take the first of several joints that are named as toes: the ball of the foot rather than the tips."""
    if not {"Foot", "Toes"} <= line.keys():
        return line
    return {**line, "Toes": next((j for j in tree.between(line["Foot"], line["Toes"]) if j in fits), line["Toes"])}


def _fits(tree: Tree, scheme: str, role: str) -> dict[int, float]:
    """Return how well each joint's name fits a role, 0 to 1."""
    found: dict[int, float] = {}
    schemes = ((scheme, 1.0), ("general", _GENERAL)) if scheme != "general" else ((scheme, _GENERAL),)
    for name, most in schemes:
        for word, rank in preset(name)[role].items():
            for j, exact in tree.spelt.get(word, ()):
                worth = most - 0.01 * rank - (0.0 if exact else 0.1)
                found[j] = max(found.get(j, 0.0), worth)
    return found


def _best_line(tree: Tree, fits: list[dict[int, float]], roles: tuple[str, ...]) -> tuple[float, dict[str, int]]:
    """Choose a joint for each role so that each hangs below the one before; the joints nearest to the top win ties."""
    best: list[tuple[float, dict[str, int]]] = [(0.0, {})]
    ends: list[tuple[int, float, dict[str, int]]] = []
    for role, fitting in zip(roles, fits, strict=True):
        added = []
        for j, worth in fitting.items():
            gain = worth * _WORTH.get(role, 1.0) - 1e-4 * tree.depth(j)
            above = [(score, line) for end, score, line in ends if tree.below(end, j)]
            score, line = max(above, key=lambda option: option[0], default=(0.0, {}))
            added.append((j, score + gain, {**line, role: j}))
        ends += added
        best += [(score, line) for _, score, line in added]
    score, line = max(best, key=lambda option: option[0])
    return (0.0, {}) if line.keys() <= _WORTH.keys() else (score, line)
