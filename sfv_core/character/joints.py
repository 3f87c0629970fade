"""Find the joints of a person's skeleton that the humanoid is built from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retarget.motion import Skeleton
from sfv_core.errors import SfvError

_NAMES = {
    "pelvis": ("pelvis", "hips", "root"),
    "neck": ("neck",),
    "hip": ("hip", "upperleg", "upleg", "thigh"),
    "knee": ("knee", "lowerleg", "leg", "shin"),
    "ankle": ("ankle", "foot"),
    "shoulder": ("shoulder", "upperarm", "arm"),
    "elbow": ("elbow", "lowerarm", "forearm"),
    "wrist": ("wrist", "hand"),
}
"""What each joint is called, without its side: SMPL and DeepMimic first, then Blender's and Mixamo's humanoids."""

_TOES = ("toes", "toebase", "toe", "foot")


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
    """Find a person's joints by name; the chest by its place between pelvis (0) and neck (1).

    Raise SfvError that lists what is missing where the skeleton is no person's.
    """
    names = {name.rsplit(":", 1)[-1].lower().replace("_", "").replace(".", ""): j
             for j, name in enumerate(skeleton.names)}
    body: dict[str, int] = {}
    missing = []
    for part, words in _NAMES.items():
        sides = ("",) if part in ("pelvis", "neck") else ("left", "right")
        for side in sides:
            joint = _first(names, side, words)
            key = f"{side}_{part}" if side else part
            if joint is None:
                missing.append(key)
            else:
                body[key] = joint
    if missing:
        raise SfvError(f"The skeleton has no {', '.join(missing)}; physics needs a person with two arms and two legs. "
                       f"Its joints: {', '.join(skeleton.names)}.")
    spine = _path(skeleton, body["pelvis"], body["neck"])
    if len(spine) < 2:
        raise SfvError(f"The neck '{skeleton.names[body['neck']]}' must hang on a spine above the pelvis "
                       f"'{skeleton.names[body['pelvis']]}', with a joint between them.")
    body["spine3"] = spine[-1]
    reach = np.cumsum([np.linalg.norm(skeleton.offsets[j]) for j in (*spine[1:], body["neck"])])
    place = spine[1:][int(np.argmin(np.abs(reach[:-1] / reach[-1] - chest_fraction)))]
    toes = {side: _child_among(skeleton, body[f"{side}_ankle"], names, side) for side in ("left", "right")}
    head = names.get("head", body["neck"])
    return Sources(body, place, head, toes)


def _first(names: dict[str, int], side: str, words: tuple[str, ...]) -> int | None:
    for word in words:
        for spelling in (f"{side}{word}", f"{side[:1]}{word}", f"{word}{side[:1]}") if side else (word,):
            if spelling in names:
                return names[spelling]
    return None


def _path(skeleton: Skeleton, top: int, bottom: int) -> list[int]:
    """Return the joints from `top` to the parent of `bottom`; empty where `bottom` does not hang on `top`."""
    path = []
    joint = int(skeleton.parents[bottom])
    while joint >= 0:
        path.append(joint)
        if joint == top:
            return path[::-1]
        joint = int(skeleton.parents[joint])
    return []


def _child_among(skeleton: Skeleton, ankle: int, names: dict[str, int], side: str) -> int | None:
    """Return the toe joint below the ankle."""
    children = set(np.flatnonzero(skeleton.parents == ankle).tolist())
    toes = [_first(names, side, (word,)) for word in _TOES]
    return next((joint for joint in toes if joint is not None and joint in children), None)
