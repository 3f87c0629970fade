"""Keys into an Action, all of a curve at once: several hundred times faster than keyframe_insert."""

from __future__ import annotations

import bpy
import numpy as np

from .armature import Channels

CONSTANT, LINEAR = 0, 1
"""Blender's numbers for no interpolation between keys, and for a linear one."""
AUTO_CLAMPED = 4
"""Blender's number for handles that it places itself, should the user turn the keys into Bézier ones."""


def new_action(armature: bpy.types.Object, name: str) -> tuple[bpy.types.Action, object, object]:
    """Create an Action for the object, not assigned to it yet.

    Return it, what holds its curves (a channel bag, or the Action before Blender 4.4) and its slot (None before 4.4).
    """
    action = bpy.data.actions.new(name)
    action.use_fake_user = True
    if not hasattr(action, "slots"):
        action.id_root = "OBJECT"
        return action, action, None
    slot = action.slots.new(id_type="OBJECT", name=armature.name)
    strip = action.layers.new("Layer").strips.new(type="KEYFRAME")
    return action, strip.channelbag(slot, ensure=True), slot


def write_keys(bag: object, channel: Channels, frames: np.ndarray) -> int:
    """Write the curves of one property of one bone and return the number of keys. frames: (T,), ascending.

    Neither `update` nor a handle's place is needed: the keys are in order, linear curves have no handles, and Blender
    places them when a key is edited. `co_ui` takes the handles along, so that they do not lie at the origin.
    """
    custom = channel.property.startswith("[")
    path = f'pose.bones["{bpy.utils.escape_identifier(channel.bone)}"]{"" if custom else "."}{channel.property}'
    group = bag.groups.get(channel.bone) or bag.groups.new(channel.bone)
    count, columns = channel.values.shape
    keys = np.empty((columns, count, 2), np.float32)
    keys[..., 0] = frames[:count]
    keys[..., 1] = channel.values.T
    between, clamped = np.full(count, CONSTANT if custom else LINEAR, np.uint8), np.full(count, AUTO_CLAMPED, np.uint8)
    written = [index for index in range(columns) if index not in channel.locked]
    for index in written:
        curve = bag.fcurves.new(path, index=index)
        curve.group = group
        points = curve.keyframe_points
        points.add(count)
        points.foreach_set("co_ui", keys[index].ravel())
        points.foreach_set("interpolation", between)
        points.foreach_set("handle_left_type", clamped)
        points.foreach_set("handle_right_type", clamped)
    return count * len(written)
