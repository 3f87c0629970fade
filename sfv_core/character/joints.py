"""Find the joints of a person's skeleton that the humanoid is built from, and the rest pose that it stands in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from retarget import rotation
from retarget.motion import Skeleton
from retarget.rest import Body
from retarget.roles import Roles, find_roles
from sfv_core.errors import SfvError

_ROLES = {"hip": "UpperLeg", "knee": "LowerLeg", "ankle": "Foot", "shoulder": "UpperArm", "elbow": "LowerArm",
          "wrist": "Hand"}
SIDES = ("left", "right")
CHEST_FRACTION = 0.236151 / (0.236151 + 0.223894)
"""Where between pelvis (0) and neck (1) the trunk bends; DeepMimic's."""
_ASKEW = np.radians(20.0)
"""How far in rad a body at rest may be turned away from standing upright and facing −Y before it is turned there."""
_UPRIGHT = 0.5
"""Rise of a person's trunk at rest from hips to neck by its length; an animal's lies level."""


@dataclass(frozen=True)
class Sources:
    """Indices of the joints in the skeleton that a person was captured on, and the skeleton at rest."""

    body: dict[str, int]
    """Joint of each of the humanoid's joints and wrists by the humanoid's name; `spine3` moves the shoulders."""
    chest_place: int
    """The joint that stands where the humanoid bends its chest."""
    head: int
    """The joint that turns the head."""
    toes: dict[str, int | None]
    """The ball of the foot for 'left' and 'right', where the skeleton has one."""
    places: np.ndarray
    """Places of all joints at rest in m, the body standing upright and facing −Y, shape (J, 3)."""
    turns: np.ndarray
    """Rotations of all joints in the world at rest, shape (J, 4)."""


def find_joints(skeleton: Skeleton) -> Sources:
    """Find a person's joints. Raise SfvError that says what is wrong where the skeleton is not one person's."""
    roles = find_roles(skeleton)
    wanted = {"pelvis": "Hips", "neck": "Head"}
    wanted |= {f"{side}_{joint}": f"{side.title()}{role}" for side in SIDES for joint, role in _ROLES.items()}
    missing = [name for name, role in wanted.items() if role not in roles.joints]
    if not missing and not roles.spine:
        missing = ["spine"]
    if missing:
        raise SfvError(f"The skeleton has no {', '.join(missing)}; physics needs a person with two arms and two legs. "
                       f"Its joints: {', '.join(skeleton.names)}.")
    body = {name: roles.joints[role] for name, role in wanted.items()}
    _only_one(skeleton, body["pelvis"])
    body["spine3"] = roles.spine[-1]
    head = body["neck"]
    body["neck"] = roles.neck[0] if roles.neck else head
    reach = np.cumsum([np.linalg.norm(skeleton.offsets[j]) for j in (*roles.spine, body["neck"])])
    place = roles.spine[int(np.argmin(np.abs(reach[:-1] - CHEST_FRACTION * reach[-1])))]
    places, turns = _standing(skeleton, roles, body)
    return Sources(body, place, head, {side: roles.joints.get(f"{side.title()}Toes") for side in SIDES}, places, turns)


def _standing(skeleton: Skeleton, roles: Roles, body: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rest pose, turned so that it stands upright and faces −Y where it does not."""
    rest = Body(skeleton, tuple(roles.joints.values()), roles.joints, body["pelvis"])
    places, turns = rest.pose
    upright = rotation.inverse(rotation.from_matrix(rest.axes))
    if rotation.angle(upright, rotation.IDENTITY) > _ASKEW:
        places, turns = rotation.rotate(upright, places), rotation.multiply(upright, turns)
    trunk = places[body["neck"]] - 0.5 * (places[body["left_hip"]] + places[body["right_hip"]])
    if trunk[2] < _UPRIGHT * np.linalg.norm(trunk):
        raise SfvError("The trunk of this skeleton lies level at rest, as an animal's does, or hangs upside down; "
                       "physics needs a person. Give a skeleton that stands upright at rest.")
    return places, turns


def _only_one(skeleton: Skeleton, pelvis: int) -> None:
    """Raise SfvError if another person with arms and legs is left when this one is taken away."""
    own = np.zeros(len(skeleton), bool)
    for joint, parent in enumerate(skeleton.parents):
        own[joint] = joint == pelvis or (parent >= 0 and own[parent])
    rest = np.flatnonzero(~own)
    if len(rest) < len(_ROLES):
        return
    number = np.full(len(skeleton) + 1, -1)
    number[rest] = np.arange(len(rest))
    other = replace(skeleton, names=tuple(skeleton.names[j] for j in rest), parents=number[skeleton.parents[rest]],
                    offsets=skeleton.offsets[rest], rest_rotations=skeleton.rest_rotations[rest], root=0)
    found = find_roles(other).joints
    if {f"{side.title()}{role}" for side in SIDES for role in ("UpperLeg", "LowerLeg", "Foot")} <= found.keys():
        raise SfvError(f"The skeleton is of more than one person: beside '{skeleton.names[pelvis]}' there is "
                       f"'{other.names[found['LeftUpperLeg']]}'. Give a motion of one person.")
