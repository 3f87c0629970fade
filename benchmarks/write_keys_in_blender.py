# ruff: noqa: E402 (the path must be set before the imports)
"""Runs inside Blender: write the same keys in four ways and say how long each took, in s, after "SFV " as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path or ".").resolve() != ROOT / "benchmarks")]

import bpy
import numpy as np

from blender_addon.armature import Channels
from blender_addon.keys import new_action, write_keys

BONES = 60
FRAMES = int(sys.argv[-1])
REPEATS = 5
"""Runs of the add-on's way; the median counts. The slow ways run once."""


def rig() -> bpy.types.Object:
    """Build an armature of 60 bones in an empty scene."""
    bpy.ops.wm.read_homefile(use_empty=True)
    armature = bpy.data.objects.new("Rig", bpy.data.armatures.new("Rig"))
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for number in range(BONES):
        bone = armature.data.edit_bones.new(f"bone {number}")
        bone.head, bone.tail = (0, 0, number), (0, 0, number + 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.context.scene.frame_end = FRAMES
    return armature


def motion(armature: bpy.types.Object) -> list[Channels]:
    """Return smooth rotations of every bone."""
    generator, t = np.random.default_rng(0), np.linspace(0, 20, FRAMES)[:, None]
    q = [1.5 + 0.0 * t + np.sin(t + generator.uniform(0, 6, 4)) * [0.1, 1, 1, 1] for _ in armature.pose.bones]
    return [Channels(bone.name, "rotation_quaternion", values / np.linalg.norm(values, axis=1, keepdims=True))
            for bone, values in zip(armature.pose.bones, q, strict=True)]


def ours(armature: bpy.types.Object, channels: list[Channels], frames: np.ndarray) -> None:
    """Write as the add-on does, from an empty Action to an assigned one."""
    action, bag, slot = new_action(armature, "ours")
    for channel in channels:
        write_keys(bag, channel, frames)
    animation = armature.animation_data_create()
    animation.action = action
    if slot is not None:
        animation.action_slot = slot


def points_insert(armature: bpy.types.Object, channels: list[Channels], frames: np.ndarray) -> None:
    """Insert each key into its curve with the option FAST."""
    _, bag, _ = new_action(armature, "insert")
    for channel in channels:
        for index in range(4):
            curve = bag.fcurves.new(f'pose.bones["{channel.bone}"].{channel.property}', index=index)
            for frame, value in zip(frames, channel.values[:, index], strict=True):
                curve.keyframe_points.insert(frame, value, options={"FAST"})
            curve.update()


def keyframe_insert(armature: bpy.types.Object, channels: list[Channels], frames: np.ndarray) -> None:
    """Pose each bone and insert its keys, as most scripts do."""
    armature.animation_data_create().action = None
    for row, frame in enumerate(frames):
        for channel in channels:
            bone = armature.pose.bones[channel.bone]
            bone.rotation_quaternion = channel.values[row]
            bone.keyframe_insert("rotation_quaternion", frame=frame)


def nla_bake(armature: bpy.types.Object, channels: list[Channels], frames: np.ndarray) -> None:
    """Have Blender bake what it shows, rotations only where it can be told so."""
    bpy.context.view_layer.objects.active = armature
    armature.select_set(True)
    bpy.ops.object.mode_set(mode="POSE")
    bpy.ops.nla.bake(frame_start=1, frame_end=FRAMES, only_selected=False, visual_keying=True, bake_types={"POSE"},
                     channel_types={"ROTATION"})


def timed(way: Callable[..., None], *arguments: object) -> float:
    began = time.perf_counter()
    way(*arguments)
    return time.perf_counter() - began


def error(armature: bpy.types.Object, channels: list[Channels], frames: np.ndarray) -> float:
    """Compare what Blender shows at three frames with what was to be written."""
    worst = 0.0
    for row in (0, FRAMES // 2, FRAMES - 1):
        bpy.context.scene.frame_set(int(frames[row]))
        worst = max(worst, *(np.abs(np.array(armature.pose.bones[c.bone].rotation_quaternion) - c.values[row]).max()
                             for c in channels))
    return float(worst)


def run() -> dict[str, float]:
    """Measure all ways."""
    armature = rig()
    channels, frames = motion(armature), 1.0 + np.arange(FRAMES)
    seconds = {"ours": float(np.median([timed(ours, armature, channels, frames) for _ in range(REPEATS)]))}
    seconds["error"] = error(armature, channels, frames)
    for way in (nla_bake, points_insert, keyframe_insert):
        seconds[way.__name__] = timed(way, armature, channels, frames)
    return seconds


if __name__ == "__main__":
    sys.stdout.write(f"SFV {json.dumps(run())}\n")
    sys.stdout.flush()
    os._exit(0)  # Blender's static destructors can hang
