"""The switches of Rigify's limbs between FK and IK, by the custom properties that its rigs have had since 2.8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np

from .probing import Probe
from .stage import Setting

SWITCH, POLE = "IK_FK", "pole_vector"
INNER = ("ORG-", "MCH-", "DEF-", "VIS_", "WGT-")
"""How Rigify begins the names of bones that are no controls."""


@dataclass(frozen=True)
class Switch:
    """What moves one limb."""

    bone: str
    """Bone that holds the properties; it lies at the limb's first joint."""
    fk: Setting
    ik: Setting
    always: tuple[Setting, ...]
    """What must be set for the keyed controls to act as they are solved."""


def switches(armature: bpy.types.Object) -> list[Switch]:
    """Find the limbs that can be moved by FK or IK controls."""
    found = []
    for bone in armature.pose.bones:
        if SWITCH in bone:
            always = (Setting(bone.name, POLE, 1.0),) if POLE in bone else ()
            found.append(Switch(bone.name, Setting(bone.name, SWITCH, 1.0), Setting(bone.name, SWITCH, 0.0), always))
    return found


def is_control(name: str, limbs: Sequence[Switch]) -> bool:
    """Say whether a bone may be a control: all may but Rigify's inner bones and its tweaks, which stay as they are."""
    return not limbs or not (name.startswith(INNER) or "tweak" in name)


def switch_of(limbs: Sequence[Switch], bone: str, seen: Probe) -> Switch | None:
    """Return the switch that lies at a limb's first bone."""
    place = seen.rest.shift[seen.bones[bone]]
    at = [switch for switch in limbs
          if np.linalg.norm(seen.rest.shift[seen.bones[switch.bone]] - place) < 0.01 * seen.size]
    return at[0] if at else None
