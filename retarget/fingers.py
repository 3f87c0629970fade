"""Fingers: by their names where a hand's bones have any, otherwise as the short lines below a hand."""

from __future__ import annotations

import numpy as np

from .tree import Tree

FINGERS = ("Thumb", "Index", "Middle", "Ring", "Little")
_MOST = 5
"""Lines below a hand that can be fingers; more are something else."""


def find_fingers(tree: Tree, hand: int, side: str | None, scheme: dict[str, dict[str, int]]) -> dict[str, int]:
    """Find up to three joints of each finger below a hand, outwards: Thumb1, Thumb2, … → joint."""
    below = [j for j in _of_hand(tree, hand) if tree.words[j].side in (side, None)]
    found: dict[str, int] = {}
    for finger in FINGERS:
        numbered = _numbered_in(tree, scheme[finger])
        named = sorted((j for j in below if j in numbered or tree.words[j].finger == finger), key=tree.depth)
        found |= _numbered(tree, hand, finger, _chain(tree, named))
    return found or fingers_by_place(tree, hand)


def _of_hand(tree: Tree, hand: int) -> list[int]:
    """Return the joints below a hand, and those beside it that bear names of fingers, as below several palms."""
    beside = [j for j in tree.children[int(tree.parents[hand])] if j != hand] if tree.parents[hand] >= 0 else []
    more = [j for top in beside for j in tree.subtree(top) if tree.words[j].finger]
    return [*tree.subtree(hand)[1:], *more]


def _numbered_in(tree: Tree, words: dict[str, int]) -> set[int]:
    """Return the joints that a scheme names finger by number, as Finger0 or finger1-1."""
    return {j for word in words if any(letter.isdigit() for letter in word) or not word.isascii()
            for j, exact in tree.spelt.get(word, ()) if exact}


def _chain(tree: Tree, joints: list[int]) -> list[int]:
    """Keep joints that hang on each other, from the first one down."""
    chain: list[int] = []
    for j in joints:
        if not chain or tree.below(chain[-1], j):
            chain.append(j)
    return chain


def _numbered(tree: Tree, hand: int, finger: str, chain: list[int]) -> dict[str, int]:
    """Give a line's joints their numbers; a bone of the palm before a finger's own has none."""
    if finger != "Thumb" and len(chain) > 3 and _starts_in_palm(tree, hand, chain):
        chain = chain[1:]
    return {f"{finger}{i}": j for i, j in enumerate(chain[:3], 1)}


def _starts_in_palm(tree: Tree, hand: int, chain: list[int]) -> bool:
    """Say whether a line of four joints begins with a bone of the palm rather than ends with a tip."""
    if tree.size < 1e-9:
        return tree.words[chain[0]].digits.lstrip("0") == "" != tree.words[chain[0]].digits
    start = np.linalg.norm(tree.places[chain[0]] - tree.places[hand])
    return bool(start < 0.8 * tree.length(chain[:2]))


def fingers_by_place(tree: Tree, hand: int) -> dict[str, int]:
    """Name three to five lines below a hand by where they start: the thumb apart, the others across the palm."""
    lines = [line for line in _lines(tree, hand) if tree.length(line) > 1e-6 and len(line) > 1]
    if not 2 < len(lines) <= _MOST:
        return {}
    thumb = _thumb(tree, hand, lines)
    if thumb is None:
        return {}
    first = tree.places[lines[thumb][0]]
    others = [line for i, line in enumerate(lines) if i != thumb]
    others.sort(key=lambda line: _across(tree, hand, line, first))
    found = {f"Thumb{i}": j for i, j in enumerate(lines[thumb][:3], 1)}
    for finger, line in zip(FINGERS[1:], others, strict=False):
        found |= _numbered(tree, hand, finger, list(line))
    return found


def _lines(tree: Tree, joint: int) -> list[list[int]]:
    """Return the lines of joints from below a joint to each end, each joint in one line; foreign names left out."""
    lines: list[list[int]] = []
    for child in tree.children[joint]:
        if tree.words[child].foreign:
            continue
        line, at = [child], child
        while len(tree.children[at]) == 1:
            at = tree.children[at][0]
            line.append(at)
        lines.extend(_lines(tree, at) if tree.children[at] else [line])
    return lines


def _thumb(tree: Tree, hand: int, lines: list[list[int]]) -> int | None:
    """Return which line is the thumb: it ends nearest to the wrist and points away from the rest."""
    ways = np.array([tree.places[line[-1]] - tree.places[line[0]] for line in lines])
    ways = ways / np.linalg.norm(ways, axis=1, keepdims=True).clip(1e-9)
    tips = np.array([np.linalg.norm(tree.places[line[-1]] - tree.places[hand]) for line in lines])
    apart = np.array([1.0 - ways[i] @ _unit(np.delete(ways, i, axis=0).sum(axis=0)) for i in range(len(lines))])
    score = apart + 2.0 - 2.0 * tips / max(tips.max(), 1e-9)
    order = np.argsort(-score)
    return int(order[0]) if score[order[0]] > score[order[1]] + 0.05 else None


def _across(tree: Tree, hand: int, line: list[int], thumb: np.ndarray) -> float:
    """Return how far across the palm from the thumb a line starts, in m."""
    out = _unit(tree.places[line[0]] - tree.places[hand])
    way = tree.places[line[0]] - thumb
    return float(np.linalg.norm(way - (way @ out) * out))


def _unit(way: np.ndarray) -> np.ndarray:
    return way / max(float(np.linalg.norm(way)), 1e-9)
