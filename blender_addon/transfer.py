"""A captured motion becomes an Action on one armature: map the bones, retarget, bake."""

from __future__ import annotations

from dataclasses import dataclass

import bpy

from retarget import Motion
from retarget.mapping import BoneMap, guess
from retarget.solve import retarget

from .armature import skeleton_of
from .bake import bake
from .errors import AddonError


@dataclass(frozen=True)
class Transfer:
    """What a transfer made."""

    action: bpy.types.Action
    bone_map: BoneMap
    """What drives what, and notes on what does not move."""


def transfer(armature: bpy.types.Object, motion: Motion, name: str, first_frame: int = 1,
             fps: float | None = None) -> Transfer:
    """Retarget the motion onto the armature and bake it as a new Action. Raise AddonError, RetargetError.

    fps: frames per second of the keys; the scene's if not given.
    """
    skeleton = skeleton_of(armature)
    bone_map = guess(motion.skeleton, skeleton)
    hips = next((pair.target for pair in bone_map.pairs if pair.role == "Hips"), None)
    on_rig = retarget(motion, skeleton_of(armature, hips), bone_map)
    driven = {pair.target for pair in bone_map.pairs}
    _check_free(armature, driven)
    return Transfer(bake(armature, on_rig, driven, name, first_frame, fps), bone_map)


def _check_free(armature: bpy.types.Object, bones: set[str]) -> None:
    """Raise AddonError where most of the bones follow controls, so that keys on them would have no effect."""
    held = [name for name in sorted(bones) if any(
        constraint.type == "COPY_TRANSFORMS" and constraint.influence > 0.5 and not constraint.mute
        for constraint in armature.pose.bones[name].constraints)]
    if len(held) > len(bones) / 2:
        raise AddonError(f"'{armature.name}' moves by its controls: keys on {', '.join(held[:3])}, … would have no "
                         "effect. Choose an armature whose bones are free, such as a Rigify rig's metarig.")
