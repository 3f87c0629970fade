"""A Motion becomes an Action: a new one each time; what the user had stays as it was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import bpy
import numpy as np

from retarget import Motion, rotation

from .armature import Channels, channels_of, placement
from .errors import AddonError
from .keys import new_action, write_keys
from .locks import respect
from .reduce import Tolerance, reduced

MOVED = 1e-4
"""Angle in rad that a joint must turn away from rest to count as moved."""


@dataclass(frozen=True)
class BakeOptions:
    """How a motion becomes keys."""

    start_frame: int = 1
    """Frame of the timeline on which the first key lies."""
    frames: tuple[int | None, int | None] = (None, None)
    """First and last frame of the motion to bake, counted from 0, both included; None: its own."""
    seconds: tuple[float | None, float | None] = (None, None)
    """The same in s from the motion's beginning."""
    fps: float | None = None
    """Frames per second of the timeline; the scene's if not given."""
    every_frame: bool = False
    """Give each frame of the motion a frame of the timeline, whatever their rates: faster or slower, none between."""
    reduce_deg: float = 0.0
    """Leave out keys as long as no bone is further than this from the motion, in degrees; 0 keeps all."""
    reduce_mm: float = 1.0
    """The same for locations, in mm; counts where `reduce_deg` does."""
    nla: bool = False
    """Put the Action on an NLA track of its own instead of assigning it."""


@dataclass(frozen=True)
class Baked:
    """What a bake wrote."""

    action: bpy.types.Action
    keys: int
    """Number of keys in all curves."""
    all_keys: int
    """Number of keys before the reduction."""
    error_deg: float = 0.0
    """Largest error of a bone's rotation that the reduction made."""
    error_mm: float = 0.0
    """Largest error of a location that the reduction made."""
    notes: tuple[str, ...] = ()
    """What the user should know."""


def bake(armature: bpy.types.Object, motion: Motion, bones: set[str], name: str,
         options: BakeOptions | None = None) -> Baked:
    """Write the motion, on the armature's own skeleton, as a new Action that the armature then plays.

    bones: those to key; joints of the motion that leave their rest pose are keyed as well.
    """
    options = options or BakeOptions()
    check_writable(armature)
    motion, frames = timed(motion, options)
    channels, notes = respect(armature, channels_of(armature, motion, bones | moved_joints(motion)))
    baked = write(armature, channels, frames, name, options)
    return replace(baked, notes=notes + baked.notes)


def timed(motion: Motion, options: BakeOptions) -> tuple[Motion, np.ndarray]:
    """Cut the motion and bring it to the timeline's rate; return it with its frames of the timeline, (T,)."""
    motion = _cut(motion, options)
    if not options.every_frame:
        motion = motion.resample(options.fps or scene_fps(bpy.context.scene))
    return motion, options.start_frame + np.arange(len(motion))


def write(armature: bpy.types.Object, channels: Sequence[Channels], frames: np.ndarray, name: str,
          options: BakeOptions) -> Baked:
    """Write channels as a new Action and have the armature play it; if that fails, nothing has changed.

    frames: frame of the timeline of each row, (T,). The Action that was assigned is kept with a fake user.
    """
    _check_numbers(armature, channels)
    kept, baked = _thinned(armature, channels, options)
    animated = armature.animation_data is not None
    action, bag, slot = new_action(armature, name)
    try:
        keys = sum(write_keys(bag, channel, frames[at]) for channel, at in kept)
        notes = _play(armature, action, slot, frames, options)
    except BaseException:
        bpy.data.actions.remove(action)
        if not animated:
            armature.animation_data_clear()
        raise
    return replace(baked, action=action, keys=keys, notes=notes)


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
        raise AddonError(f"'{armature.name}' is linked from '{armature.library.filepath}', so its animation belongs "
                         "to that file. Make a library override of it first (Object > Library Override > Make).")
    if armature.override_library and armature.override_library.is_system_override:
        raise AddonError(f"'{armature.name}' is an override that may not be edited. Make it editable first "
                         "(Outliner > Library Override > Make Editable).")
    if armature.mode == "EDIT":
        raise AddonError(f"'{armature.name}' is in Edit Mode. Leave Edit Mode first.")
    if armature.animation_data and armature.animation_data.use_tweak_mode:
        raise AddonError(f"'{armature.name}' is tweaking an NLA strip. Leave tweak mode (Tab in the NLA editor) first.")


def _check_numbers(armature: bpy.types.Object, channels: Sequence[Channels]) -> None:
    """Raise AddonError where a value is no number, before anything is written."""
    bad = sorted({channel.bone for channel in channels if not np.isfinite(channel.values).all()})
    if bad:
        raise AddonError(f"'{armature.name}' gets values that are not numbers (NaN) on {', '.join(bad[:5])}. Look for "
                         "bones of size 0, or scaled to 0, and choose other bones for these joints.")


def _cut(motion: Motion, options: BakeOptions) -> Motion:
    """Return the part of the motion that is asked for."""
    last = len(motion) - 1
    bounds = [0, last]
    for side, (frame, second) in enumerate(zip(options.frames, options.seconds, strict=True)):
        if frame is not None or second is not None:
            bounds[side] = frame if frame is not None else round(second * motion.fps)
    first, end = bounds
    if not 0 <= first <= end or first > last:
        raise AddonError(f"The motion has the frames 0 to {last} ({motion.duration:.2f} s); there are none from "
                         f"{first} to {end}. Choose other frames.")
    return motion.slice(first, min(end, last) + 1)


def _thinned(armature: bpy.types.Object, channels: Sequence[Channels], options: BakeOptions
             ) -> tuple[list[tuple[Channels, np.ndarray]], Baked]:
    """Return each channel with the rows that keep their keys, and what is known of the bake so far."""
    everything = sum(len(c.values) * (c.values.shape[1] - len(c.locked)) for c in channels)
    baked = Baked(None, everything, everything)  # type: ignore[arg-type]
    if not options.reduce_deg > 0:
        return [(channel, np.arange(len(channel.values))) for channel in channels], baked
    tolerance = Tolerance(math.radians(options.reduce_deg), options.reduce_mm / 1000)
    unit, found, worst = placement(armature)[1], [], [0.0, 0.0]
    for bone in dict.fromkeys(channel.bone for channel in channels):
        own = [channel for channel in channels if channel.bone == bone]
        kept = reduced(own, armature.pose.bones[bone].rotation_mode, unit, tolerance)
        worst = [max(worst[0], kept.radians), max(worst[1], kept.metres)]
        for channel in own:
            at = kept.keys if len(channel.values) > 1 else np.array([0])
            found.append((replace(channel, values=channel.values[at]), at))
    return found, replace(baked, error_deg=math.degrees(worst[0]), error_mm=1000 * worst[1])


def _play(armature: bpy.types.Object, action: bpy.types.Action, slot: object, frames: np.ndarray,
          options: BakeOptions) -> tuple[str, ...]:
    """Assign the Action, or put it on a track of its own; return what the user should know."""
    animation = armature.animation_data_create()
    before = animation.action
    if before:
        before.use_fake_user = True
    if not options.nla:
        animation.action = action
        if slot is not None:
            animation.action_slot = slot
        return ()
    track = animation.nla_tracks.new()
    track.name = action.name
    strip = track.strips.new(action.name, int(frames[0]), action)
    if slot is not None:
        strip.action_slot = slot
    if before is None:
        return ()
    return (f"'{before.name}' stays assigned and plays over the new strip. Push it down or unlink it in the NLA editor "
            "to see the strip.",)
