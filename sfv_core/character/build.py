"""Build a character: on the skeleton of any person, or one of the published ones.

The law of scaling. With s = size of the skeleton's trunk, legs and arms over the plan's: masses of limbs and their
shapes' lengths go with the segment's own length, all that is across it with s; trunk, head, hands and feet go with s.
So a body of twice the size weighs eight times as much. A wanted mass is reached by weight alone, at the same lengths:
limbs get thicker with its root. Gains and torques go with mass times s, the torque that gravity asks for, which leaves
what a body can do the same at any size.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from retarget.motion import Skeleton
from sfv_core.character.atlas import ATLAS
from sfv_core.character.character import Character, Link, Shape
from sfv_core.character.humanoid import DEEPMIMIC, Part, Plan, Triple
from sfv_core.character.measure import Measures, is_own, measure, middle, own_measures, segment, trunk_centre
from sfv_core.character.person import PERSON
from sfv_core.errors import SfvError

PlanName = Literal["person", "deepmimic", "atlas"]
_STRAIGHT = 0.1
"""Least sine of the angle between a limb at rest and the way it bends."""
_STOUT = 5.0
"""How many times as heavy or as light as usual a body of its size may be."""
_UP, _FORWARD = np.eye(3)[2], -np.eye(3)[1]


def character_for(skeleton: Skeleton, plan: PlanName = "person", mass: float | None = None) -> Character:
    """Build the character that performs motions of this skeleton.

    plan: "person" has this person's proportions, limbs straight at rest; on DeepMimic's own skeleton it is DeepMimic's
    humanoid. "deepmimic" and "atlas" are those bodies as published, whatever the skeleton: motions are fitted to them.
    mass: of the whole body in kg; not given: what an average person of that size weighs, or the published mass.
    Raise SfvError if the skeleton is no person's, or no body of its size has that mass.
    """
    if plan != "person":
        return published(plan, mass)
    measures = measure(skeleton)
    if is_own(DEEPMIMIC, measures):
        return published("deepmimic", mass)
    return _weighed(PERSON, measures, mass)


def published(plan: Literal["deepmimic", "atlas"], mass: float | None = None) -> Character:
    """Return DeepMimic's humanoid or Atlas as published; with a mass in kg every part is lighter or heavier alike."""
    table = {"deepmimic": DEEPMIMIC, "atlas": ATLAS}[plan]
    return _weighed(table, own_measures(table), mass)


def _weighed(plan: Plan, measures: Measures, mass: float | None) -> Character:
    """Build the character at its usual mass or at the given one."""
    usual = _built(plan, measures, 1.0)
    if mass is None:
        return usual
    if not (np.isfinite(mass) and usual.mass / _STOUT <= mass <= usual.mass * _STOUT):
        raise SfvError(f"A body of this size cannot weigh {mass:g} kg: it weighs about {usual.mass:.3g} kg. Ask for "
                       f"{usual.mass / _STOUT:.2g} to {usual.mass * _STOUT:.3g} kg.")
    return _built(plan, measures, mass / usual.mass)


def _built(plan: Plan, measures: Measures, ratio: float) -> Character:
    """Put the parts together; each mass is `ratio` times what the plan gives it at this size."""
    names = [part.name for part in plan.parts]
    links = [_link(plan, part, names, measures, ratio) for part in plan.parts]
    strength = sum(link.mass for link in links) / plan.mass * measures.scale
    strong = tuple(_with_strength(link, part, strength) for link, part in zip(links, plan.parts, strict=True))
    body = plan.skeleton()
    places = np.array([measures.offsets[name] for name in body.names])
    return Character(replace(body, offsets=places), strong)


def _link(plan: Plan, part: Part, names: list[str], measures: Measures, ratio: float) -> Link:
    """Give a part its shapes and its hinge."""
    way = segment(part.name, measures.offsets)
    length = float(np.linalg.norm(way))
    direction = way / length if length else _UP
    shapes = [_shape(plan, part, direction, length, measures, ratio)]
    axis, limits = np.array([1.0, 0.0, 0.0]), (0.0, 0.0)
    if part.joint == "hinge":
        axis = np.cross(direction, -_FORWARD if part.name.endswith("knee") else _FORWARD)
        if np.linalg.norm(axis) < _STRAIGHT:
            raise SfvError(f"At rest the {part.name} of this skeleton points along the way it bends; "
                           "give a skeleton at rest with straight limbs and facing −Y.")
        axis, limits = axis / np.linalg.norm(axis), (0.0, part.bend)
    if part.name.endswith("elbow"):
        shapes.append(Shape("sphere", (plan.hand_radius * measures.scale * _girth(plan, ratio) ** (2 / 3),),
                            plan.hand_mass * measures.scale**3 * ratio, _triple(way)))
    parent = names.index(part.parent) if part.parent else -1
    return Link(part.name, parent, part.joint, tuple(shapes), _triple(axis), limits)


def _shape(plan: Plan, part: Part, direction: np.ndarray, length: float, measures: Measures, ratio: float) -> Shape:
    """Scale a part's shape to its segment."""
    scale, girth = measures.scale, _girth(plan, ratio)
    radius = part.radius * scale * girth ** (2 / 3 if part.kind == "sphere" else 1)
    if part.kind == "box":
        size, centre = _foot(plan, measures.toes[part.name.partition("_")[0]], scale)
        return Shape("box", size, part.mass * scale**3 * ratio, centre)
    if part.across:
        return Shape("capsule", (radius, part.cylinder * scale), part.mass * scale**3 * ratio,
                     _triple(trunk_centre(part.name, measures.offsets)), (1.0, 0.0, 0.0))
    stretch = length / part.length if part.length else scale
    reach = part.centre * stretch
    if part.name == "neck" and measures.head is not None:
        reach = max(reach, measures.head)
    centre = direction * reach + _FORWARD * part.ahead * scale
    mass = part.mass * scale**2 * stretch * ratio
    if part.kind == "sphere":
        return Shape("sphere", (radius,), mass, _triple(centre))
    if part.name.endswith("hip"):
        centre = centre + _aside(part, measures.offsets, radius)
    return Shape("capsule", (radius, part.cylinder * stretch), mass, _triple(centre), _triple(direction))


def _girth(plan: Plan, ratio: float) -> float:
    """Return how much thicker limbs of a person are that weigh `ratio` times as much at the same length and density."""
    return float(np.sqrt(ratio)) if plan is PERSON else 1.0


def _aside(part: Part, offsets: dict[str, np.ndarray], radius: float) -> np.ndarray:
    """Return how far in m a thigh lies outside of its joint so that it does not stand in the other's way.

    Skeletons made for animation often have their hips nearer to each other than a body has.
    """
    hip = offsets[part.name] - middle(offsets)
    return np.array([np.sign(hip[0]) * max(1.05 * radius - abs(hip[0]), 0.0), 0.0, 0.0])


def _foot(plan: Plan, toe: np.ndarray | None, scale: float) -> tuple[Triple, Triple]:
    """Return size and centre of the foot's box in m.

    With a joint at the ball of the foot (`toe`, from the ankle) it reaches 5 cm past it and its sole is 2 cm below it.
    """
    length, height, breadth = (edge * scale for edge in plan.foot)
    ahead, above = (distance * scale for distance in plan.foot_centre)
    side, back, front = 0.0, ahead - length / 2, ahead + length / 2
    if toe is not None:
        side, front = toe[0] / 2, max(front, -toe[1] + 0.05 * scale)
        above = toe[2] - 0.02 * scale + height / 2
    return _triple(np.array([breadth, front - back, height])), _triple(np.array([side, -(front + back) / 2, above]))


def _with_strength(link: Link, part: Part, ratio: float) -> Link:
    stiffness = part.stiffness * ratio
    return replace(link, stiffness=stiffness, damping=stiffness / 10, torque=part.torque * ratio,
                   weight=part.weight / sum(other.weight for other in DEEPMIMIC.parts))


def _triple(v: np.ndarray) -> Triple:
    return float(v[0]), float(v[1]), float(v[2])
