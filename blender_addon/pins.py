"""Pins: poses that the animator gave the target, kept in the scene in terms of the captured motion."""

from __future__ import annotations

import json
from typing import Any

import bpy
import numpy as np

from retarget import Motion, rotation
from retarget.back import Pose, pose_back
from retarget.kinematics import local_rotations
from retarget.mapping import BoneMap
from retarget.motion import Skeleton
from retarget.solve import Options

from . import maps
from .armature import placement
from .bake import check_writable, scene_fps
from .errors import AddonError
from .retargeting import choices
from .transfer import skeleton_for

FORMAT_VERSION = 1
BETWEEN = 1e-3
"""Share of a frame by which the scene's frame may lie beside the motion's and still count as it."""


def pin(scene: bpy.types.Scene, selected: bool) -> str:
    """Pin the pose that the target has now, of all bones or of the selected ones; return what was pinned, in words.

    Between two frames of the motion both are pinned, so that the frame between them shows the pose.
    """
    target = scene.sfv.target
    check_writable(target)
    motion = Motion.load(scene.sfv.captured.motion)
    frames = motion_frames(scene, motion)
    bone_map = maps.mapped(scene, motion.skeleton, target)
    bones = _chosen(target, bone_map) if selected else None
    options = choices(scene, motion, target).retarget
    for frame in frames:
        entry = _entry(target, motion, frame, bone_map, bones, options)
        store(scene, added(held(scene), entry))
    what = "pose" if bones is None else f"{len(bones)} bone{'s' if len(bones) > 1 else ''}"
    return f"Pinned the {what} at frame {scene.frame_current}"


def held(scene: bpy.types.Scene) -> list[dict[str, Any]]:
    """Return the scene's pins, as docs/protocol.md describes them."""
    return json.loads(scene.sfv.pins) if scene.sfv.pins else []


def store(scene: bpy.types.Scene, entries: list[dict[str, Any]]) -> None:
    """Keep the pins in the scene, where undo and saving find them; note their frames for the panel."""
    scene.sfv.pins = json.dumps(entries) if entries else ""
    scene.sfv.pinned = len({entry["frame"] for entry in entries})


def document(scene: bpy.types.Scene) -> dict[str, Any]:
    """Return the scene's pins as the content of a pins.json."""
    return {"format": FORMAT_VERSION, "pins": held(scene)}


def motion_frames(scene: bpy.types.Scene, motion: Motion) -> list[int]:
    """Return the frame of the motion that the scene shows, or the two that it lies between."""
    panel = scene.sfv.retarget
    rate = 1.0 if panel.every_frame else motion.fps / scene_fps(scene)
    first = panel.range_start if panel.use_range else 0
    now = (scene.frame_current_final - scene.sfv.first_frame) * rate + first
    if not -BETWEEN <= now <= len(motion) - 1 + BETWEEN:
        last = scene.sfv.first_frame + (len(motion) - 1 - first) / rate
        raise AddonError(f"Frame {scene.frame_current} is outside of the captured motion, which lasts from "
                         f"{scene.sfv.first_frame - first / rate:.0f} to {last:.0f}. Go to a frame of it.")
    near = round(now)
    return [near] if abs(now - near) <= BETWEEN else [int(now), int(now) + 1]


def added(entries: list[dict[str, Any]], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the pins with one more; at the same frame the newer one counts."""
    same = next((entry for entry in entries if entry["frame"] == new["frame"]), None)
    others = [entry for entry in entries if entry["frame"] != new["frame"]]
    if same is not None and "joints" in new:
        new = _onto(same, new)
    return sorted([*others, new], key=lambda entry: entry["frame"])


def _onto(same: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return a frame's pin with some joints pinned anew."""
    if "joints" in same:
        return {"frame": new["frame"], "joints": {**same["joints"], **new["joints"]}}
    pose = {**same["pose"], "rotations": dict(same["pose"]["rotations"])}
    for name, values in new["joints"].items():
        pose["rotations"][name] = values["rotation"]
        pose["root"] = values.get("position", pose["root"])
    return {"frame": new["frame"], "pose": pose}


def _chosen(target: bpy.types.Object, bone_map: BoneMap) -> set[str]:
    """Return the selected bones that the motion moves."""
    chosen = {bone.name for bone in target.pose.bones
              if (bone if hasattr(bone, "select") else bone.bone).select}  # Blender 5 keeps it in the pose
    moved = chosen & {pair.target for pair in bone_map.pairs}
    if not moved:
        raise AddonError("None of the selected bones is moved by the motion. Select some in Pose Mode, such as an arm."
                         if chosen else "No bone is selected. Select some in Pose Mode, or pin the whole pose.")
    return moved


def _entry(target: bpy.types.Object, motion: Motion, frame: int, bone_map: BoneMap, bones: set[str] | None,
           options: Options) -> dict[str, Any]:
    """Return the target's pose as a pin of one frame of the motion."""
    hips = next((pair.target for pair in bone_map.pairs if pair.role == "Hips"), None)
    rig = skeleton_for(target, hips)
    pose = pose_back(motion, frame, rig, bone_map, shown_pose(target, rig), options)
    names, root = motion.skeleton.names, motion.skeleton.names[motion.skeleton.root]
    if bones is None:
        rotations = {name: q.tolist() for name, q in zip(names, pose.rotations, strict=True)}
        return {"frame": frame, "pose": {"root": pose.root_pos.tolist(), "rotations": rotations}}
    joints: dict[str, Any] = {}
    for pair in bone_map.pairs:
        if pair.target in bones:
            joints[pair.source] = {"rotation": pose.rotations[motion.skeleton.index(pair.source)].tolist()}
            if pair.source == root:
                joints[root]["position"] = pose.root_pos.tolist()
    return {"frame": frame, "joints": joints}


def shown_pose(target: bpy.types.Object, rig: Skeleton) -> Pose:
    """Return the pose that the armature shows, keyed or not, on its skeleton in the world."""
    bpy.context.view_layer.update()
    matrices = np.array([target.pose.bones[name].matrix for name in rig.names], float)
    turn, scale = placement(target)
    axes = matrices[:, :3, :3] / np.linalg.norm(matrices[:, :3, :3], axis=1, keepdims=True)
    world = rotation.multiply(turn, rotation.from_matrix(axes))
    return Pose(rotation.rotate(turn, matrices[rig.root, :3, 3] * scale), local_rotations(rig, world))
