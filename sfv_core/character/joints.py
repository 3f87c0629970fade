"""Find the joints of a person's skeleton that the humanoid is built from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retarget.motion import Skeleton
from retarget.roles import find_roles
from sfv_core.errors import SfvError

_ROLES = {"hip": "UpperLeg", "knee": "LowerLeg", "ankle": "Foot", "shoulder": "UpperArm", "elbow": "LowerArm",
          "wrist": "Hand"}
SIDES = ("left", "right")


@dataclass(frozen=True)
class Sources:
    """Indices of the joints in the skeleton that a person was captured on."""

    body: dict[str, int]
    """Joint of each of the humanoid's joints and wrists by the humanoid's name; `spine3` moves the shoulders."""
    chest_place: int
    """The joint that stands where the humanoid bends its chest."""
    head: int
    """The joint that turns the head."""
    toes: dict[str, int | None]
    """The ball of the foot for 'left' and 'right', where the skeleton has one."""


def find_joints(skeleton: Skeleton, chest_fraction: float) -> Sources:
    """Find a person's joints; the chest's by its place between pelvis (0) and neck (1).

    Raise SfvError that lists what is missing where the skeleton is no person's.
    """
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
    body["spine3"] = roles.spine[-1]
    head = body["neck"]
    body["neck"] = roles.neck[0] if roles.neck else head
    reach = np.cumsum([np.linalg.norm(skeleton.offsets[j]) for j in (*roles.spine, body["neck"])])
    place = roles.spine[int(np.argmin(np.abs(reach[:-1] / reach[-1] - chest_fraction)))]
    return Sources(body, place, head, {side: roles.joints.get(f"{side.title()}Toes") for side in SIDES})
