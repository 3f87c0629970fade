"""A captured motion becomes an Action on one armature: map the bones, retarget, bake."""

from __future__ import annotations

from dataclasses import dataclass, field

import bpy
import numpy as np

from retarget import Motion, Skeleton
from retarget.mapping import BoneMap, guess
from retarget.solve import Options, retarget

from .armature import Channels, channels_of, skeleton_of
from .bake import Baked, BakeOptions, check_writable, moved_joints, timed, write
from .controls import Controlled, Limbs, control_channels
from .deform import deform_skeleton, is_control_rig
from .following import Following, measure
from .locks import respect
from .standing import as_it_stands


@dataclass(frozen=True)
class Choices:
    """What a transfer is to do; the defaults suit most rigs."""

    retarget: Options = field(default_factory=Options)
    bake: BakeOptions = field(default_factory=BakeOptions)
    bone_map: BoneMap | None = None
    """Which joint drives which bone; guessed if not given."""
    limbs: Limbs = "auto"
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
    on_rig: Motion
    """The motion of the bones that the map names."""
    followed: dict[str, bool] = field(default_factory=dict)
    """Bones of a control rig that should follow its controls; see `controls.Controlled`."""


@dataclass(frozen=True)
class Transfer:
    """What a transfer made."""

    baked: Baked
    bone_map: BoneMap
    notes: tuple[str, ...]
    following: Following | None = None
    """How well a control rig follows its keys."""

    @property
    def action(self) -> bpy.types.Action:
        """The new Action."""
        return self.baked.action


def transfer(armature: bpy.types.Object, motion: Motion, name: str, choices: Choices | None = None) -> Transfer:
    """Retarget the motion onto the armature and bake it as a new Action. Raise AddonError, RetargetError."""
    choices = choices or Choices()
    shown = perform(armature, motion, choices)
    baked = write(armature, shown.channels, shown.frames, name, choices.bake)
    if not shown.followed or choices.bake.nla:
        return Transfer(baked, shown.bone_map, shown.notes + baked.notes)
    following = measure(armature, shown.on_rig, shown.frames, shown.followed)
    return Transfer(baked, shown.bone_map, shown.notes + baked.notes + following.notes, following)


def perform(armature: bpy.types.Object, motion: Motion, choices: Choices) -> Performance:
    """Retarget the motion onto the armature, in memory. Raise AddonError, RetargetError."""
    check_writable(armature)
    skeleton = skeleton_for(armature)
    given = choices.bone_map
    bone_map = given.fitted(motion.skeleton, skeleton) if given else guess(motion.skeleton, skeleton)
    hips = next((pair.target for pair in bone_map.pairs if pair.role == "Hips"), None)
    if hips in skeleton.names:
        skeleton = skeleton_for(armature, hips)
    skeleton, standing = as_it_stands(armature, skeleton, motion.skeleton, bone_map)
    on_rig, frames = timed(retarget(motion, skeleton, bone_map, choices.retarget), choices.bake)
    bones = {pair.target for pair in bone_map.pairs} | moved_joints(on_rig)
    if is_control_rig(armature):
        solved = control_channels(armature, on_rig, bones, choices.limbs)
    else:
        solved = Controlled(channels_of(armature, on_rig, bones))
    channels, lost = respect(armature, solved.channels)
    notes = bone_map.notes + standing + solved.notes + lost
    return Performance(channels, frames, bone_map, notes, on_rig, solved.followed)


def skeleton_for(armature: bpy.types.Object, root: str | None = None) -> Skeleton:
    """Return the skeleton that a motion is put on, whose bones a bone map names; of control rigs the deform bones."""
    return deform_skeleton(armature, root) if is_control_rig(armature) else skeleton_of(armature, root)
