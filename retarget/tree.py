"""The joints of a skeleton that may have roles: how they hang together, where they rest, what their names say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .kinematics import rest_pose
from .motion import Skeleton
from .names import Name, read_name, without_common_parts

_RIGIFY = ("pelvis", "thigh", "shin", "foot", "toe", "shoulder", "upper_arm", "forearm", "hand", "palm", "thumb",
           "f_index", "f_middle", "f_ring", "f_pinky", "breast")
"""Deform bones of Rigify's limbs, without DEF- and side."""
_RIGIFY_ABOVE = {"thigh": "spine", "pelvis": "spine", "shin": "thigh", "foot": "shin", "toe": "foot",
                 "upper_arm": "shoulder", "forearm": "upper_arm", "hand": "forearm", "palm": "hand", "thumb": "palm",
                 "f_index": "palm", "f_middle": "palm", "f_ring": "palm", "f_pinky": "palm"}


@dataclass(frozen=True)
class Tree:
    """The joints that may have roles."""

    names: tuple[str, ...]
    """The skeleton's names, length J."""
    parents: np.ndarray
    """Index of each joint's parent among the joints that count, −1 for none, shape (J,)."""
    places: np.ndarray
    """Where the joints rest in the world in m, shape (J, 3)."""
    words: dict[int, Name]
    """What the name of each joint that counts says."""

    @cached_property
    def paths(self) -> dict[int, tuple[int, ...]]:
        """The joints from the top of the tree down to each joint that counts, itself included."""
        found: dict[int, tuple[int, ...]] = {-1: ()}

        def path(j: int) -> tuple[int, ...]:
            if j not in found:
                found[j] = (*path(int(self.parents[j])), j)
            return found[j]

        return {j: path(j) for j in self.words}

    @cached_property
    def children(self) -> dict[int, list[int]]:
        """The joints that hang directly on each joint that counts; on −1 those that hang on none."""
        found: dict[int, list[int]] = {j: [] for j in (-1, *self.words)}
        for j in self.words:
            found[int(self.parents[j])].append(j)
        return found

    @cached_property
    def spelt(self) -> dict[str, list[tuple[int, bool]]]:
        """The joints whose names may be spelt in a way, and whether exactly so."""
        found: dict[str, list[tuple[int, bool]]] = {}
        for j, name in self.words.items():
            exact = dict.fromkeys(name.forms)
            for form in exact:
                found.setdefault(form, []).append((j, True))
            for form in dict.fromkeys(name.loose_forms):
                if form not in exact:
                    found.setdefault(form, []).append((j, False))
        return found

    @cached_property
    def size(self) -> float:
        """Diagonal in m of the box around the joints; 0 where the skeleton has no geometry."""
        places = self.places[list(self.words)]
        return float(np.linalg.norm(np.ptp(places, axis=0)))

    @cached_property
    def reach(self) -> dict[int, float]:
        """The longest way in m from each joint outwards, bones of foreign names left out."""
        found = dict.fromkeys(self.words, 0.0)
        for j in sorted(self.words, key=self.depth, reverse=True):
            above = int(self.parents[j])
            if above >= 0 and not self.words[j].foreign:
                bone = float(np.linalg.norm(self.places[j] - self.places[above]))
                found[above] = max(found[above], found[j] + bone)
        return found

    def line(self, joint: int) -> tuple[int, ...]:
        """Return the joints of the longest way from a joint outwards, itself first."""
        line = [joint]
        while True:
            at = line[-1]
            below = [j for j in self.children[at] if not self.words[j].foreign]
            if not below:
                return tuple(line)
            line.append(max(below, key=lambda j: self.reach[j] + self.length((at, j))))

    def below(self, ancestor: int, joint: int) -> bool:
        """Say whether a joint hangs below another; every joint hangs below −1."""
        return joint != ancestor and (ancestor < 0 or ancestor in self.paths[joint])

    def between(self, ancestor: int, joint: int) -> tuple[int, ...]:
        """Return the joints from below `ancestor` down to above `joint`."""
        path = self.paths[joint]
        return path[path.index(ancestor) + 1 if ancestor >= 0 else 0 : -1]

    def subtree(self, joint: int) -> list[int]:
        """Return a joint and all that hang below it."""
        found = [joint]
        for j in found:
            found.extend(self.children[j])
        return found

    def depth(self, joint: int) -> int:
        """Count the joints from the top of the tree."""
        return len(self.paths[joint])

    def length(self, joints: Iterable[int]) -> float:
        """Return the length in m of the way through the joints."""
        places = self.places[list(joints)]
        return float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())

    def meeting(self, joints: Iterable[int]) -> int:
        """Return the lowest joint that carries all of the joints; −1 where there is none."""
        common = -1
        for level in zip(*(self.paths[j] for j in joints), strict=False):
            if len(set(level)) > 1:
                break
            common = level[0]
        return common


def read_tree(skeleton: Skeleton) -> Tree:
    """Read the names; in a generated Rigify rig only deform bones count, joined past the bones that move them."""
    names = skeleton.names
    words = {j: read_name(name) for j, name in enumerate(without_common_parts(names))}
    places = rest_pose(skeleton)[0]
    deform = _deform_bones(skeleton)
    if not deform:
        return Tree(names, skeleton.parents, places, words)
    parents = skeleton.parents.copy()
    for bare, j in deform.items():
        parents[j] = _deform_parent(skeleton, deform, j)
        if parents[j] < 0:
            parents[j] = _rigify_parent(deform, bare, j)
    counting = {j: words[j] for j in deform.values()}
    return Tree(names, _without_rings(parents, counting), places, counting)


def counting(skeleton: Skeleton) -> set[int]:
    """Return the joints that may be driven: all, or a generated Rigify rig's deform bones."""
    return set(_deform_bones(skeleton).values()) or set(range(len(skeleton)))


def _deform_bones(skeleton: Skeleton) -> dict[str, int]:
    """Return a generated Rigify rig's deform bones by their names without DEF-; none of any other rig."""
    deform = {name.removeprefix("DEF-"): j for j, name in enumerate(skeleton.names) if name.startswith("DEF-")}
    return deform if len(deform) >= 10 else {}


def _deform_parent(skeleton: Skeleton, deform: dict[str, int], j: int) -> int:
    """Return the deform bone above a deform bone, or the twin of the ORG bone above it; −1 where there is none."""
    above = int(skeleton.parents[j])
    while above >= 0:
        name = skeleton.names[above]
        twin = above if name.startswith("DEF-") else deform.get(name.removeprefix("ORG-"), j)
        if twin != j:
            return twin
        above = int(skeleton.parents[above])
    return -1


def _rigify_parent(deform: dict[str, int], bare: str, j: int) -> int:
    """Return what a deform bone hangs on by Rigify's names, for rigs that lost the bones between; −1 if unknown."""
    word, _, rest = bare.partition(".")
    spine = sorted(name for name in deform if name.partition(".")[0] == "spine")
    if word == "spine":
        return deform[spine[spine.index(bare) - 1]] if spine.index(bare) else -1
    if word not in _RIGIFY:
        return -1
    side = next((part for part in rest.split(".") if part in ("L", "R")), "")
    if word in ("shoulder", "breast"):
        return deform[spine[min(3, len(spine) - 1)]] if spine else -1
    above = _RIGIFY_ABOVE[word]
    fits = [name for name in deform if name == above or (name.startswith(f"{above}.") and f".{side}" in name)]
    fits = [name for name in fits if deform[name] != j]
    return deform[fits[-1] if above != "spine" and above != "palm" else fits[0]] if fits else -1


def _without_rings(parents: np.ndarray, words: dict[int, Name]) -> np.ndarray:
    """Cut what would hang on itself."""
    for j in words:
        seen, above = {j}, int(parents[j])
        while above >= 0 and above not in seen:
            seen.add(above)
            above = int(parents[above])
        if above == j:
            parents[j] = -1
    return parents
