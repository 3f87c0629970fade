"""A Motion becomes an Action: a new one each time; what the user had stays as it was."""

from __future__ import annotations

import bpy
import numpy as np

from retarget import Motion, rotation

from .armature import Channels, channels_of
from .errors import AddonError

LINEAR = 1
"""Blender's number for linear interpolation between keys."""
MOVED = 1e-4
"""Angle in rad that a joint must turn away from rest to count as moved."""


def bake(armature: bpy.types.Object, motion: Motion, bones: set[str], name: str, first_frame: int = 1,
         fps: float | None = None) -> bpy.types.Action:
    """Write the motion, on the armature's own skeleton, as a new Action that the armature then plays.

    bones: those to key; joints of the motion that leave their rest pose are keyed as well.
    fps: frames per second of the keys; the scene's if not given. The Action that was assigned is kept with a fake user.
    """
    check_writable(armature)
    motion = motion.resample(fps or scene_fps(bpy.context.scene))
    channels = channels_of(armature, motion, bones | moved_joints(motion))
    action, bag = _new_action(armature, name)
    frames = first_frame + np.arange(len(motion), dtype=np.float32)
    for channel in channels:
        _write(bag, channel, frames)
    return action


def scene_fps(scene: bpy.types.Scene) -> float:
    """Return the scene's frames per second."""
    return scene.render.fps / scene.render.fps_base


def moved_joints(motion: Motion) -> set[str]:
    """Name the joints that leave their rest rotation at any time."""
    turned = rotation.angle(motion.rotations, motion.skeleton.rest_rotations).max(axis=0)
    return {name for name, angle in zip(motion.skeleton.names, turned, strict=True) if angle > MOVED}


def check_writable(armature: bpy.types.Object) -> None:
    """Raise AddonError with what to do if no Action can be assigned to the object now."""
    if armature.type != "ARMATURE":
        raise AddonError(f"'{armature.name}' is a {armature.type.lower()}. Choose an armature.")
    if armature.library:
        raise AddonError(f"'{armature.name}' is linked from another file. Make a library override of it first.")
    if armature.mode == "EDIT":
        raise AddonError(f"'{armature.name}' is in Edit Mode. Leave Edit Mode first.")
    if armature.animation_data and armature.animation_data.use_tweak_mode:
        raise AddonError(f"'{armature.name}' is tweaking an NLA strip. Leave tweak mode (Tab in the NLA editor) first.")


def _new_action(armature: bpy.types.Object, name: str) -> tuple[bpy.types.Action, object]:
    """Create and assign an Action; return it and what holds its curves (a channel bag, or the Action before 4.4)."""
    animation = armature.animation_data_create()
    if animation.action:
        animation.action.use_fake_user = True
    action = bpy.data.actions.new(name)
    action.use_fake_user = True
    animation.action = action
    if not hasattr(action, "slots"):
        return action, action
    slot = action.slots.new(id_type="OBJECT", name=armature.name)
    strip = action.layers.new("Layer").strips.new(type="KEYFRAME")
    animation.action_slot = slot
    return action, strip.channelbag(slot, ensure=True)


def _write(bag: object, channel: Channels, frames: np.ndarray) -> None:
    """Write one property's curves, all keys at once: several hundred times faster than keyframe_insert."""
    path = f'pose.bones["{bpy.utils.escape_identifier(channel.bone)}"].{channel.property}'
    group = bag.groups.get(channel.bone) or bag.groups.new(channel.bone)
    count = len(channel.values)
    keys = np.empty((count, 2), np.float32)
    keys[:, 0] = frames[:count]
    for index in range(channel.values.shape[1]):
        curve = bag.fcurves.new(path, index=index)
        curve.group = group
        keys[:, 1] = channel.values[:, index]
        curve.keyframe_points.add(count)
        curve.keyframe_points.foreach_set("co", keys.ravel())
        curve.keyframe_points.foreach_set("interpolation", np.full(count, LINEAR, np.uint8))
        curve.update()
