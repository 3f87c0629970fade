"""A captured motion becomes an Action on one armature: map the bones, retarget, bake."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import bpy
import numpy as np

from retarget import Motion
from retarget.mapping import BoneMap, guess
from retarget.solve import Options, retarget

from .armature import Channels, channels_of, skeleton_of
from .bake import Baked, BakeOptions, check_writable, moved_joints, timed, write
from .errors import AddonError
from .locks import respect


@dataclass(frozen=True)
class Choices:
    """What a transfer is to do; the defaults suit most rigs."""

    retarget: Options = field(default_factory=Options)
    bake: BakeOptions = field(default_factory=BakeOptions)
    bone_map: BoneMap | None = None
    """Which joint drives which bone; guessed if not given."""
    limbs: Literal["auto", "fk", "ik"] = "auto"
    """Which controls of a control rig move arms and legs."""


@dataclass(frozen=True)
class Performance:
    """A motion on one armature, in memory: nothing of the scene has changed yet."""

    channels: list[Channels]
    frames: np.ndarray
    """Frame of the timeline of each row of the channels, (T,)."""
    bone_map: BoneMap
    """What drives what."""
    notes: tuple[str, ...]
    """What does not move, and what locks and limits cost."""


@dataclass(frozen=True)
class Transfer:
    """What a transfer made."""

    baked: Baked
    bone_map: BoneMap
    notes: tuple[str, ...]

    @property
    def action(self) -> bpy.types.Action:
        """The new Action."""
        return self.baked.action


def transfer(armature: bpy.types.Object, motion: Motion, name: str, choices: Choices | None = None) -> Transfer:
    """Retarget the motion onto the armature and bake it as a new Action. Raise AddonError, RetargetError."""
    choices = choices or Choices()
    shown = perform(armature, motion, choices)
    baked = write(armature, shown.channels, shown.frames, name, choices.bake)
    return Transfer(baked, shown.bone_map, shown.notes + baked.notes)


def perform(armature: bpy.types.Object, motion: Motion, choices: Choices) -> Performance:
    """Retarget the motion onto the armature, in memory. Raise AddonError, RetargetError."""
    check_writable(armature)
    skeleton = skeleton_of(armature)
    bone_map = choices.bone_map or guess(motion.skeleton, skeleton)
    hips = next((pair.target for pair in bone_map.pairs if pair.role == "Hips"), None)
    if hips in skeleton.names:
        skeleton = skeleton_of(armature, hips)
    on_rig, frames = timed(retarget(motion, skeleton, bone_map, choices.retarget), choices.bake)
    driven = {pair.target for pair in bone_map.pairs}
    _check_free(armature, driven)
    channels, notes = respect(armature, channels_of(armature, on_rig, driven | moved_joints(on_rig)))
    return Performance(channels, frames, bone_map, bone_map.notes + notes)


def _check_free(armature: bpy.types.Object, bones: set[str]) -> None:
    """Raise AddonError where most of the bones follow controls, so that keys on them would have no effect."""
    held = [name for name in sorted(bones) if any(
        constraint.type == "COPY_TRANSFORMS" and constraint.influence > 0.5 and not constraint.mute
        for constraint in armature.pose.bones[name].constraints)]
    if len(held) > len(bones) / 2:
        raise AddonError(f"'{armature.name}' moves by its controls: keys on {', '.join(held[:3])}, … would have no "
                         "effect. Choose an armature whose bones are free, such as a Rigify rig's metarig.")
