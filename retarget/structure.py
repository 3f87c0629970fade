"""Arms and legs by rest geometry and tree alone: two lines of joints that mirror each other are a pair of limbs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from .tree import Tree

_LONG = 0.12
"""Least reach of a limb, as a share of the body's size."""
_MANY = 5
"""So many limbs alike on one joint are no body with sides: tentacles, spokes, a skirt."""
_SAMPLES = np.array([0.12, 0.25, 0.5, 0.75, 1.0])


@dataclass(frozen=True)
class Limbs:
    """Two limbs that mirror each other."""

    trunk: int
    """The joint that both hang on."""
    lines: tuple[tuple[int, ...], tuple[int, ...]]
    """The joints of each from the trunk outwards along its longest way; the first lies on the axis' side."""
    apart: np.ndarray
    """The mean way from the second to the first, (3,) m."""
    near: np.ndarray
    """The same where they first lie apart, (3,) m; limbs that cross further out keep their sides."""


@dataclass(frozen=True)
class Structure:
    """What geometry and tree say; which of the sides is left is open."""

    arms: Limbs | None = None
    legs: Limbs | None = None
    notes: tuple[str, ...] = ()
    """Why limbs were not found, or left alone."""

    @property
    def limbs(self) -> dict[str, Limbs]:
        """The limbs there are, by "Arm" and "Leg"."""
        return {kind: limbs for kind, limbs in (("Arm", self.arms), ("Leg", self.legs)) if limbs is not None}


def find_structure(tree: Tree) -> Structure:
    """Find arms and legs by mirrored lines, where they meet the trunk, and where they end."""
    if tree.size < 1e-6:
        return Structure(notes=("the bones have no lengths",))
    pairs, notes = _pairs(tree)
    axis = _axis(tree, pairs)
    if axis is None:
        return Structure(notes=(*notes, "no two limbs mirror each other"))
    pairs = [_oriented(pair, axis) for pair in pairs if abs(_unit(pair.apart) @ axis) >= 0.8]
    choices = _choices(pairs)
    scores = [_score(tree, legs, arms, axis) for legs, arms in choices]
    if max(scores) < 0.5:
        return Structure(notes=(*notes, "what mirrors each other looks neither like arms nor like legs"))
    whole = [i for i, (legs, arms) in enumerate(choices) if legs and arms and scores[i] > 0.5]
    best = max(whole or range(len(choices)), key=lambda i: scores[i])
    legs, arms = choices[best]
    return Structure(arms, legs, (*notes, *_others(tree, pairs, [pair for pair in (legs, arms) if pair])))


def _others(tree: Tree, pairs: list[Limbs], chosen: list[Limbs]) -> list[str]:
    """Name the pairs of limbs that are neither the arms nor the legs."""
    taken = {j for pair in chosen for line in pair.lines for j in (*tree.paths[line[0]], *tree.subtree(line[0]))}
    notes = []
    for pair in sorted(pairs, key=lambda pair: tree.depth(pair.trunk)):
        ends = [line[0] for line in pair.lines]
        if not taken & set(ends):
            taken.update(j for end in ends for j in tree.subtree(end))
            notes.append(f"'{tree.names[ends[0]]}' and '{tree.names[ends[1]]}' are one more pair of limbs: left alone")
    return notes


def _pairs(tree: Tree) -> tuple[list[Limbs], list[str]]:
    """Return every two lines that hang on one joint and mirror each other."""
    pairs, notes = [], []
    for trunk in tree.words:
        limbs = [j for j in tree.children[trunk]
                 if not tree.words[j].foreign and _far(tree, trunk, j) > _LONG * tree.size]
        crowd = _crowd(tree, trunk, limbs)
        if crowd:
            notes.append(f"{len(crowd)} limbs alike hang on '{tree.names[trunk]}', and nothing tells which of them are "
                         "arms or legs")
        for a, b in combinations([j for j in limbs if j not in crowd], 2):
            pair = _mirrored(tree, trunk, a, b)
            if pair is not None:
                pairs.append(pair)
    return pairs, notes


def _far(tree: Tree, trunk: int, joint: int) -> float:
    """Return a limb's reach in m from the joint that it hangs on."""
    return tree.reach[joint] + tree.length((trunk, joint))


def _crowd(tree: Tree, trunk: int, limbs: list[int]) -> set[int]:
    """Return limbs of one joint that are too many of one length to be told apart."""
    for j in limbs:
        alike = {k for k in limbs if 0.75 < _far(tree, trunk, k) / _far(tree, trunk, j) < 1.33}
        if len(alike) >= _MANY:
            return alike
    return set()


def _mirrored(tree: Tree, trunk: int, a: int, b: int) -> Limbs | None:
    """Return two limbs as a pair if they are alike in length, number of joints, and distance from the trunk."""
    counts = sorted(len(tree.subtree(j)) for j in (a, b))
    lines = (tree.line(a), tree.line(b))
    reach = sorted(_far(tree, trunk, j) for j in (a, b))
    if counts[0] < 0.6 * counts[1] or reach[0] < 0.8 * reach[1]:
        return None
    start = tree.places[trunk]
    ours, theirs = (_sampled(tree.places[[trunk, *line]]) for line in lines)
    apart = ours - theirs
    total, sizes = apart.mean(axis=0), np.linalg.norm(apart, axis=1)
    unlike = np.abs(np.linalg.norm(ours - start, axis=1) - np.linalg.norm(theirs - start, axis=1)).max()
    if sizes.mean() < 0.05 * reach[1] or np.linalg.norm(total) < 0.7 * sizes.mean() or unlike > 0.25 * reach[1]:
        return None
    return Limbs(trunk, lines, total, apart[int(np.argmax(sizes > 0.3 * sizes.mean()))])


def _sampled(points: np.ndarray) -> np.ndarray:
    """Return the points at even shares of a line's length. (n, 3) m → (5, 3) m."""
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return np.stack([np.interp(_SAMPLES * way[-1], way, points[:, i]) for i in range(3)], axis=-1)


def _axis(tree: Tree, pairs: list[Limbs]) -> np.ndarray | None:
    """Return the unit vector across the plane that best mirrors the whole body, (3,)."""
    best, score = None, 0.0
    joints = list(tree.words)
    for pair in pairs:
        across = _unit(pair.apart)
        rest = tree.places[joints] - tree.places[pair.trunk]
        image = rest - 2.0 * np.outer(rest @ across, across)
        miss = np.linalg.norm(image[:, None] - rest[None], axis=-1).min(axis=1)
        match = float(np.exp(-((miss / (0.03 * tree.size)) ** 2)).mean()) * float(np.linalg.norm(pair.apart)) ** 0.1
        if match > score:
            best, score = across, match
    return best


def _oriented(pair: Limbs, axis: np.ndarray) -> Limbs:
    """Put the limb on the axis' side first."""
    if pair.near @ axis > 0:
        return pair
    return Limbs(pair.trunk, (pair.lines[1], pair.lines[0]), -pair.apart, -pair.near)


def _choices(pairs: list[Limbs]) -> list[tuple[Limbs | None, Limbs | None]]:
    """Return every way to call pairs legs and arms."""
    both = [(legs, arms) for legs in pairs for arms in pairs if not set(legs.lines[0]) & set(arms.lines[0])
            and not set(legs.lines[0]) & set(arms.lines[1])]
    return [*both, *((pair, None) for pair in pairs), *((None, pair) for pair in pairs)]


def _score(tree: Tree, legs: Limbs | None, arms: Limbs | None, axis: np.ndarray) -> float:
    """Return how much a choice looks like a body."""
    score = 0.0
    for pair, is_leg in ((legs, True), (arms, False)):
        if pair is None:
            continue
        reach = _far(tree, pair.trunk, pair.lines[0][0]) / tree.size
        sign = 1.0 if is_leg else -1.0
        score += 0.3 + reach + sign * (0.8 * _lowness(tree, pair) - 0.4) - sign * 0.4 * _branching(tree, pair)
        score += (0.0 if is_leg else 0.5) * _head_above(tree, pair, axis)
        if legs is None or arms is None:
            return score + sign * 2.0 * _drop(tree, pair)
    assert legs is not None and arms is not None
    if legs.trunk != arms.trunk:
        score += 1.0 if tree.below(legs.trunk, arms.trunk) else -1.0
        trunk, way = tree.places[arms.trunk] - tree.places[legs.trunk], _middle(tree, legs) - tree.places[legs.trunk]
        score -= 0.7 * float(_unit(trunk) @ _unit(way))
    return score


def _middle(tree: Tree, pair: Limbs) -> np.ndarray:
    """Return the middle between two limbs' ends, (3,) m."""
    return np.mean([tree.places[line[-1]] for line in pair.lines], axis=0)


def _lowness(tree: Tree, pair: Limbs) -> float:
    """Return how near two limbs' ends are to the lowest joint, 1 there, 0 at the highest."""
    heights = tree.places[list(tree.words), 2]
    return 1.0 - float((_middle(tree, pair)[2] - heights.min()) / max(np.ptp(heights), 1e-9))


def _drop(tree: Tree, pair: Limbs) -> float:
    """Return how far limbs end below the trunk that they hang on, as a share of the body's height."""
    trunk = tree.places[list(tree.paths[pair.trunk]), 2]
    return float((np.median(trunk) - _middle(tree, pair)[2]) / max(np.ptp(tree.places[list(tree.words), 2]), 1e-9))


def _branching(tree: Tree, pair: Limbs) -> bool:
    """Say whether limbs end in hands: a joint with three or more lines of bones."""
    return any(sum(bool(tree.children[c]) for c in tree.children[j]) >= 3 for line in pair.lines for j in line)


def _head_above(tree: Tree, pair: Limbs, axis: np.ndarray) -> bool:
    """Say whether something goes on in the middle where the limbs hang."""
    for j in tree.children[pair.trunk]:
        way = tree.places[j] - tree.places[pair.trunk]
        level = abs(way @ axis) < 0.3 * max(float(np.linalg.norm(way)), 0.02 * tree.size)
        if level and j not in (pair.lines[0][0], pair.lines[1][0]) and not tree.words[j].foreign:
            return True
    return False


def _unit(way: np.ndarray) -> np.ndarray:
    return way / max(float(np.linalg.norm(way)), 1e-12)
