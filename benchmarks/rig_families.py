"""What the bones of known rigs are, and bodies built from the names of rig families: bone_maps.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from retarget import Skeleton, rotation
from retarget.roles import FINGERS, LIMBS, SIDES

TRUTH = Path(__file__).with_name("bone_maps.json")
_MIDDLE = {"Root": (0.0, 0.0, 0.0), "Hips": (0.0, 0.0, 1.0), "Head": (0.0, 0.0, 1.6)}
_SPINE, _NECK = ((0.0, 0.0, 1.1), (0.0, 0.02, 1.4)), ((0.0, 0.02, 1.5), (0.0, 0.01, 1.57))
_LEFT = {"Shoulder": (0.03, 0.0, 1.44), "UpperArm": (0.17, 0.02, 1.44), "LowerArm": (0.44, 0.03, 1.44),
         "Hand": (0.7, 0.02, 1.44), "UpperLeg": (0.09, 0.0, 0.95), "LowerLeg": (0.09, -0.01, 0.52),
         "Foot": (0.09, 0.02, 0.09), "Toes": (0.1, -0.1, 0.02),
         "Thumb1": (0.72, -0.02, 1.42), "Thumb2": (0.75, -0.05, 1.41), "Thumb3": (0.77, -0.07, 1.4)}
_LEFT |= {f"{finger}{i}": (0.77 + 0.03 * i, -0.03 + 0.02 * row, 1.44)
          for row, finger in enumerate(FINGERS[1:]) for i in (1, 2, 3)}
_ABOVE = {"UpperArm": "Shoulder", "LowerArm": "UpperArm", "Hand": "LowerArm", "LowerLeg": "UpperLeg",
          "Foot": "LowerLeg", "Toes": "Foot"}


@dataclass(frozen=True)
class Truth:
    """What the bones of a rig are."""

    joints: dict[str, str]
    """Role → bone, as LeftUpperArm → upper_arm.L."""
    spine: tuple[str, ...]
    """Bones between hips and neck, upwards."""
    neck: tuple[str, ...]
    """Bones between spine and head, upwards."""
    twists: dict[str, tuple[str, ...]]
    """Limb role → its twist bones, from near to far."""


@cache
def written() -> dict[str, dict[str, Any]]:
    """Read the file of truths."""
    return json.loads(TRUTH.read_text("utf-8"))


def rig_truths() -> dict[str, Truth]:
    """Return what the bones of each rig and clip are, by its file's name."""
    rigs = written()["rigs"]
    return {name: _truth(_resolved(rigs, name)) for name in rigs}


def families() -> dict[str, tuple[Truth, dict[str, Any]]]:
    """Return what the bones of each family are, and the family as written, for `body_of`."""
    return {name: (_truth(entry), entry) for name, entry in written()["families"].items()}


def _resolved(rigs: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """Return a rig's entry with what it shares with another."""
    entry = rigs[name]
    if "same" not in entry:
        return entry
    base = _resolved(rigs, entry["same"])
    joints = {role: bone for role, bone in base["joints"].items() if role not in entry.get("without", ())}
    return {**base, "joints": {**joints, **entry.get("joints", {})}}


def _truth(entry: dict[str, Any]) -> Truth:
    """Write the sides and numbers out."""
    joints: dict[str, str] = {}
    for role, bone in entry["joints"].items():
        if role in ("Spine", "Neck", "Root"):
            continue
        numbers = {f"{role}{i}": bone.replace("#", str(i)) for i in (1, 2, 3)} if "#" in bone else {role: bone}
        for numbered, name in numbers.items():
            if "*" not in name:
                joints[numbered] = name
                continue
            joints |= {side + numbered: name.replace("*", word)
                       for side, word in zip(SIDES, entry["sides"], strict=True)}
    twists = {side + role: tuple(bone.replace("*", word) for bone in bones) for role, bones in
              entry.get("twists", {}).items() for side, word in zip(SIDES, entry["sides"], strict=True)}
    return Truth(joints, tuple(entry["joints"].get("Spine", ())), tuple(entry["joints"].get("Neck", ())), twists)


def body_of(truth: Truth, entry: dict[str, Any] | None = None, sized: bool = True) -> Skeleton:
    """Build a T-posed body with a family's names. sized: with places in m, else all at the origin."""
    entry = entry or {}
    place, above = _plain_body(truth, entry.get("joints", {}).get("Root"))
    words = dict(zip(SIDES, entry.get("sides", ("", "")), strict=True))
    for name, under in entry.get("between", {}).items():
        before, share = under if isinstance(under, list) else (under, 0.5)
        for word in words.values() if "*" in name + before else ("",):
            bone, child = name.replace("*", word), before.replace("*", word)
            if bone not in place:
                start = place[above[child] or child]
                place[bone] = start + share * (place[child] - start)
                above[bone] = above[child]
            above[child] = bone
    for name, (parent, share) in entry.get("extra", {}).items():
        for word in words.values() if "*" in name else ("",):
            bone, over = name.replace("*", word), parent.replace("*", word)
            ends = [place[child] for child, up in above.items() if up == over] or [place[over]]
            place[bone], above[bone] = place[over] + share * (ends[0] - place[over]), over
    return _skeleton(place, above, sized)


def _plain_body(truth: Truth, root: str | None) -> tuple[dict[str, np.ndarray], dict[str, str | None]]:
    """Return where each joint lies and what it hangs on."""
    place: dict[str, np.ndarray] = {}
    above: dict[str, str | None] = {}
    trunk = [*((root,) if root else ()), truth.joints["Hips"], *truth.spine, *truth.neck, truth.joints["Head"]]
    chains = {bone: np.array(low) + (np.array(high) - low) * (i / max(len(bones) - 1, 1))
              for bones, (low, high) in ((truth.spine, _SPINE), (truth.neck, _NECK)) for i, bone in enumerate(bones)}
    chains |= {truth.joints[role]: np.array(_MIDDLE[role]) for role in ("Hips", "Head")}
    chains |= {root: np.array(_MIDDLE["Root"])} if root else {}
    for i, bone in enumerate(trunk):
        place[bone], above[bone] = chains[bone], trunk[i - 1] if i else None
    chest = truth.spine[-1] if truth.spine else truth.joints["Hips"]
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        for role, (x, y, z) in _LEFT.items():
            bone = truth.joints.get(side + role)
            if bone is None:
                continue
            place[bone] = np.array([sign * x, y, z])
            above[bone] = _limb_above(truth, side, role) or (chest if "Arm" in role or role == "Shoulder" else
                                                             truth.joints["Hips"])
    return place, above


def _limb_above(truth: Truth, side: str, role: str) -> str | None:
    """Return the bone of the nearest role above in the same limb."""
    up = f"{role[:-1]}{int(role[-1]) - 1}" if role[-1].isdigit() and role[-1] != "1" else (
        "Hand" if role[-1].isdigit() else _ABOVE.get(role))
    while up is not None and side + up not in truth.joints:
        up = _ABOVE.get(up) if up in LIMBS else "Hand"
    return truth.joints[side + up] if up else None


def _skeleton(place: dict[str, np.ndarray], above: dict[str, str | None], sized: bool) -> Skeleton:
    """Order the bones, parents first."""
    def depth(bone: str) -> int:
        parent = above[bone]
        return 0 if parent is None else 1 + depth(parent)

    names = sorted(place, key=depth)
    parents = np.array([names.index(parent) if (parent := above[name]) is not None else -1 for name in names])
    places = np.array([place[name] for name in names])
    offsets = places - np.where(parents[:, None] >= 0, places[parents], 0.0)
    return Skeleton(tuple(names), parents, offsets if sized else 0.0 * offsets,
                    np.tile(rotation.IDENTITY, (len(names), 1)))
