"""Build the humanoid on the skeleton of any person.

Lengths are the skeleton's own. With s = length of a leg over the plan's: radii and the feet's breadth and height scale
with s, masses with s² times the segment's own length (s³ where a body has no segment), gains and torques with
mass times length (the torque that gravity asks for). On DeepMimic's skeleton this gives its table, 45 kg.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from retarget import kinematics, rotation
from retarget.motion import Skeleton
from sfv_core.character import humanoid
from sfv_core.character.character import Character, Link, Shape
from sfv_core.character.humanoid import FOOT, FOOT_CENTRE, PARTS, Part
from sfv_core.character.joints import Sources, find_joints
from sfv_core.errors import SfvError

_UP, _FORWARD, _BACK = np.eye(3)[2], -np.eye(3)[1], np.eye(3)[1]
CHEST_FRACTION = humanoid.SPINE / (humanoid.SPINE + humanoid.NECK)
"""Where between pelvis and neck the trunk bends."""


def character_for(skeleton: Skeleton) -> Character:
    """Build the humanoid with this person's proportions; limbs are straight at rest. Raise SfvError if it is none."""
    sources = find_joints(skeleton, CHEST_FRACTION)
    offsets = _offsets(skeleton, sources)
    leg = float(np.mean([np.linalg.norm(offsets[f"{side}_{joint}"]) for side in ("left", "right")
                         for joint in ("knee", "ankle")])) * 2
    if not 0.1 < leg < 10:
        raise SfvError(f"A leg of this skeleton is {leg:.3g} m long; a person's is about 0.8 m. "
                       "Give a motion in metres.")
    scale = leg / humanoid.LEG
    names = [part.name for part in PARTS]
    links = []
    for part in PARTS:
        segment = _segment(part, offsets)
        toe = None if part.kind != "box" else _toe(skeleton, sources, part.name[: part.name.index("_")])
        links.append(_link(part, names, segment, scale, toe))
    plan = sum(part.mass + _wrist(part) for part in PARTS)
    strength = sum(link.mass for link in links) / plan * scale
    strong = tuple(_with_strength(link, part, strength) for link, part in zip(links, PARTS, strict=True))
    wrists = ["left_wrist", "right_wrist"]
    parents = [link.parent for link in strong] + [names.index(f"{side}_elbow") for side in ("left", "right")]
    rest = np.tile(rotation.IDENTITY, (len(parents), 1))
    places = np.array([offsets[name] for name in names + wrists])
    return Character(Skeleton(tuple(names + wrists), np.array(parents), places, rest), strong)


def _offsets(skeleton: Skeleton, sources: Sources) -> dict[str, np.ndarray]:
    """Return each joint's place relative to its parent in the world at rest, limbs straightened."""
    rest, _ = kinematics.rest_pose(skeleton)
    place = {name: rest[j] for name, j in sources.body.items()}
    place["spine3"] = rest[sources.chest_place]
    offsets = {"pelvis": np.zeros(3), "spine3": place["spine3"] - place["pelvis"],
               "neck": place["neck"] - place["spine3"]}
    for side in ("left", "right"):
        offsets[f"{side}_hip"] = place[f"{side}_hip"] - place["pelvis"]
        offsets[f"{side}_shoulder"] = place[f"{side}_shoulder"] - place["spine3"]
        for top, middle, end in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
            upper = place[f"{side}_{middle}"] - place[f"{side}_{top}"]
            lower = place[f"{side}_{end}"] - place[f"{side}_{middle}"]
            if min(np.linalg.norm(upper), np.linalg.norm(lower)) < 0.01:
                raise SfvError(f"The {side} {top}, {middle} and {end} of this skeleton coincide; a limb needs length.")
            straight = (upper + lower) / np.linalg.norm(upper + lower)
            offsets[f"{side}_{middle}"] = np.linalg.norm(upper) * straight
            offsets[f"{side}_{end}"] = np.linalg.norm(lower) * straight
    return offsets


def _segment(part: Part, offsets: dict[str, np.ndarray]) -> np.ndarray:
    """Return the way from the part's joint to the next one in m, shape (3,)."""
    following = {"pelvis": "spine3", "spine3": "neck", "hip": "knee", "knee": "ankle", "shoulder": "elbow",
                 "elbow": "wrist"}
    side, _, joint = part.name.rpartition("_")
    following_joint = following.get(joint)
    if following_joint is None:
        return np.zeros(3)
    return offsets[f"{side}_{following_joint}" if side else following_joint]


def _toe(skeleton: Skeleton, sources: Sources, side: str) -> np.ndarray | None:
    """Return the way from the ankle to the ball of the foot at rest in m."""
    toe = sources.toes[side]
    if toe is None:
        return None
    rest, _ = kinematics.rest_pose(skeleton)
    return rest[toe] - rest[sources.body[f"{side}_ankle"]]


def _wrist(part: Part) -> float:
    return humanoid.WRIST_MASS if part.name.endswith("elbow") else 0.0


def _link(part: Part, names: list[str], segment: np.ndarray, scale: float, toe: np.ndarray | None) -> Link:
    """Give a part its shapes and its hinge."""
    length = float(np.linalg.norm(segment))
    stretch = length / part.length if part.length else scale
    direction = segment / length if length else _UP
    shapes = [_shape(part, direction, stretch, scale, toe)]
    axis, limits = np.array([1.0, 0.0, 0.0]), (0.0, 0.0)
    if part.joint == "hinge":
        axis = np.cross(direction, _BACK if part.name.endswith("knee") else _FORWARD)
        if np.linalg.norm(axis) < 0.1:
            raise SfvError(f"At rest the {part.name} of this skeleton points along the way it bends; "
                           "give a skeleton at rest with straight limbs and facing −Y.")
        axis, limits = axis / np.linalg.norm(axis), (0.0, float(np.pi))
    if _wrist(part):
        shapes.append(Shape("sphere", (humanoid.WRIST_RADIUS * scale,), humanoid.WRIST_MASS * scale**3,
                            _triple(segment)))
    parent = names.index(part.parent) if part.parent else -1
    return Link(part.name, parent, part.joint, tuple(shapes), _triple(axis), limits)


def _shape(part: Part, direction: np.ndarray, stretch: float, scale: float, toe: np.ndarray | None) -> Shape:
    """Scale a part's shape."""
    mass = part.mass * scale**2 * stretch
    centre = _triple(direction * part.centre * stretch)
    if part.kind == "sphere":
        return Shape("sphere", (part.radius * scale,), mass, centre)
    if part.kind == "capsule":
        return Shape("capsule", (part.radius * scale, part.cylinder * stretch), mass, centre, _triple(direction))
    size, centre = _foot(toe, scale)
    return Shape("box", size, mass, centre)


def _foot(toe: np.ndarray | None, scale: float) -> tuple[tuple[float, ...], tuple[float, float, float]]:
    """Return size and centre of the foot's box in m.

    With a joint at the ball of the foot (`toe`, from the ankle) it reaches 5 cm past it and its sole is 2 cm below it.
    """
    length, height, breadth = (edge * scale for edge in FOOT)
    ahead, above = (distance * scale for distance in FOOT_CENTRE)
    side, back, front = 0.0, ahead - length / 2, ahead + length / 2
    if toe is not None:
        side, front = toe[0] / 2, max(front, -toe[1] + 0.05 * scale)
        above = toe[2] - 0.02 * scale + height / 2
    return _triple(np.array([breadth, front - back, height])), _triple(np.array([side, -(front + back) / 2, above]))


def _with_strength(link: Link, part: Part, ratio: float) -> Link:
    stiffness = part.stiffness * ratio
    weight = part.weight / sum(other.weight for other in PARTS)
    return replace(link, stiffness=stiffness, damping=stiffness / 10, torque=part.torque * ratio, weight=weight)


def _triple(v: np.ndarray) -> tuple[float, float, float]:
    return float(v[0]), float(v[1]), float(v[2])
