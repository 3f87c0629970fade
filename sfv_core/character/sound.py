"""Check a character that comes from a file: engines crash, hang or blow up on numbers that no body has."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any

import numpy as np

from sfv_core.character.character import Character, Link, Shape
from sfv_core.errors import SfvError

NEEDED = ("pelvis", "spine3", "neck", *(f"{side}_{joint}" for side in ("left", "right")
                                       for joint in ("shoulder", "elbow", "ankle")))
"""Links that the learning looks at by name."""
MOST_LINKS = 64
HEAVIEST, LARGEST, STRONGEST = 1e4, 5.0, 1e6
"""Bounds of a shape's mass in kg, of lengths in m, and of gains and torques."""
_SIZES = {"sphere": 1, "capsule": 2, "box": 3}


def sound(character: Character) -> Character:
    """Return the character. Raise SfvError that says what is wrong if no engine could simulate it."""
    problem = next(_problems(character), None)
    if problem:
        raise SfvError(f"The character is damaged: {problem}. Train the policy again.")
    return character


def _problems(character: Character) -> Iterator[str]:
    links, skeleton = character.links, character.skeleton
    if not 1 <= len(links) <= min(MOST_LINKS, len(skeleton)):
        yield f"it has {len(links)} links for {len(skeleton)} joints, and may have 1 to {MOST_LINKS}"
    if not np.all(np.abs(skeleton.offsets) < LARGEST):
        yield f"a joint is farther than {LARGEST:g} m from its parent, or nowhere"
    missing = [name for name in NEEDED if name not in skeleton.names[: len(links)]]
    if missing:
        yield f"it has no {', '.join(missing)}"
    for i, link in enumerate(links):
        for problem in _link_problems(link, i):
            yield f"its link '{skeleton.names[i]}' has {problem}"
        if (link.name, link.parent) != (skeleton.names[i], skeleton.parents[i]):
            yield f"its link '{link.name}' is not the skeleton's joint '{skeleton.names[i]}'"


def _link_problems(link: Link, number: int) -> Iterator[str]:
    if not (link.parent == -1 if number == 0 else 0 <= link.parent < number):
        yield f"the parent {link.parent}, which does not come before it"
    if link.joint not in (("free",) if number == 0 else ("ball", "hinge")):
        yield f"a joint of the kind '{link.joint}'"
    if not (_numbers(link.axis, 3) and abs(np.linalg.norm(link.axis) - 1.0) < 1e-3):
        yield f"the axis {link.axis}, which is no direction"
    if not _numbers(link.limits, 2) or link.limits[0] > link.limits[1] or (
            link.joint == "hinge" and not -7.0 < link.limits[0] < link.limits[1] < 7.0):
        yield f"the limits {link.limits}"
    for name in ("stiffness", "damping", "torque", "weight"):
        if not _between(getattr(link, name), 0.0, STRONGEST):
            yield f"the {name} {getattr(link, name)!r}"
    if not link.shapes:
        yield "no shape"
    for shape in link.shapes:
        yield from _shape_problems(shape)


def _shape_problems(shape: Shape) -> Iterator[str]:
    if shape.kind not in _SIZES:
        yield f"a shape of the kind '{shape.kind}'"
    elif not _numbers(shape.size, _SIZES[shape.kind]) or not all(1e-4 <= edge < LARGEST for edge in shape.size):
        yield f"a {shape.kind} of the size {shape.size}"
    if not _between(shape.mass, 1e-6, HEAVIEST):
        yield f"a shape of {shape.mass!r} kg"
    if not (_numbers(shape.centre, 3) and max(map(abs, shape.centre)) < LARGEST):
        yield f"a shape at {shape.centre}"
    if not (_numbers(shape.direction, 3) and abs(np.linalg.norm(shape.direction) - 1.0) < 1e-3):
        yield f"a shape along {shape.direction}, which is no direction"


def _between(value: Any, low: float, high: float) -> bool:
    return isinstance(value, Real) and low <= float(value) <= high


def _numbers(values: Any, count: int) -> bool:
    return (isinstance(values, tuple) and len(values) == count
            and all(isinstance(value, Real) and np.isfinite(float(value)) for value in values))
