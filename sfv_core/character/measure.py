"""Measure a person's skeleton: where its joints are with straight limbs, and how large it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retarget.motion import Skeleton
from sfv_core.character.humanoid import Plan
from sfv_core.character.joints import SIDES, Sources, find_joints
from sfv_core.character.person import PERSON
from sfv_core.errors import SfvError

LEGS = (0.1, 10.0)
"""Length in m that a person's leg may have."""
_SKULL = 0.08
"""Height in m of the head's middle above the joint that turns it, in a person of the plan's size."""


@dataclass(frozen=True)
class Measures:
    """The lengths that a character is built to."""

    offsets: dict[str, np.ndarray]
    """Place of each joint in its parent's frame in m, limbs straight, (3,)."""
    toes: dict[str, np.ndarray | None]
    """The way from the ankle to the ball of the foot in m, where the skeleton has one, by side."""
    head: float | None
    """Height in m of the head's middle above the neck's joint, where the skeleton tells it."""
    scale: float
    """Size over the plan's."""


def measure(skeleton: Skeleton) -> Measures:
    """Measure a person's skeleton against the average person. Raise SfvError if it is none."""
    sources = find_joints(skeleton)
    offsets = _offsets(sources)
    leg = float(np.mean([_length(offsets, f"{side}_{joint}") for side in SIDES for joint in ("knee", "ankle")])) * 2
    if not LEGS[0] < leg < LEGS[1]:
        raise SfvError(f"A leg of this skeleton is {leg:.3g} m long; a person's is about 0.8 m. "
                       "Give a motion in metres.")
    scale = _size(offsets) / _size(_own(PERSON))
    head = float(sources.places[sources.head, 2] - sources.places[sources.body["neck"], 2]) + _SKULL * scale
    return Measures(offsets, {side: _toe(sources, side) for side in SIDES}, head, scale)


def own_measures(plan: Plan) -> Measures:
    """Return the measures of the plan itself."""
    return Measures(_own(plan), dict.fromkeys(SIDES), None, 1.0)


def _own(plan: Plan) -> dict[str, np.ndarray]:
    """Return the plan's own joints' places."""
    body = plan.skeleton()
    return dict(zip(body.names, body.offsets, strict=True))


def is_own(plan: Plan, measures: Measures) -> bool:
    """Tell whether the skeleton is the plan's own."""
    feet = any(toe is not None for toe in measures.toes.values())
    return not feet and all(np.allclose(measures.offsets[name], place, atol=1e-4) for name, place in _own(plan).items())


def _length(offsets: dict[str, np.ndarray], name: str) -> float:
    return float(np.linalg.norm(offsets[name]))


def middle(offsets: dict[str, np.ndarray]) -> np.ndarray:
    """Return the point between the hips in the pelvis' frame in m."""
    return 0.5 * (offsets["left_hip"] + offsets["right_hip"])


def _size(offsets: dict[str, np.ndarray]) -> float:
    """Return the length in m of trunk, leg and arm together, the trunk's from hips to shoulders."""
    limbs = sum(_length(offsets, f"{side}_{joint}") for side in SIDES for joint in ("knee", "ankle", "elbow", "wrist"))
    shoulders = offsets["spine3"] + 0.5 * (offsets["left_shoulder"] + offsets["right_shoulder"])
    return 0.5 * limbs + float(np.linalg.norm(shoulders - middle(offsets)))


def _offsets(sources: Sources) -> dict[str, np.ndarray]:
    """Return each joint's place relative to its parent in the world at rest, limbs straightened."""
    place = {name: sources.places[j] for name, j in sources.body.items()}
    place["spine3"] = sources.places[sources.chest_place]
    offsets = {"pelvis": np.zeros(3), "spine3": place["spine3"] - place["pelvis"],
               "neck": place["neck"] - place["spine3"]}
    for side in SIDES:
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


def _toe(sources: Sources, side: str) -> np.ndarray | None:
    """Return the way from the ankle to the ball of the foot at rest in m."""
    toe = sources.toes[side]
    return None if toe is None else sources.places[toe] - sources.places[sources.body[f"{side}_ankle"]]


def segment(name: str, offsets: dict[str, np.ndarray]) -> np.ndarray:
    """Return the way from a part's joint to the next one in m, shape (3,); 0 where there is none."""
    following = {"pelvis": "spine3", "spine3": "neck", "hip": "knee", "knee": "ankle", "shoulder": "elbow",
                 "elbow": "wrist"}
    side, _, joint = name.rpartition("_")
    following_joint = following.get(joint)
    if following_joint is None:
        return np.zeros(3)
    return offsets[f"{side}_{following_joint}" if side else following_joint]


def trunk_centre(name: str, offsets: dict[str, np.ndarray]) -> np.ndarray:
    """Return the middle of the trunk's lower part, between hips and chest, or of its upper part, in its frame in m."""
    return 0.5 * (offsets["neck"] if name == "spine3" else middle(offsets) + offsets["spine3"])
