"""Pins made in Blender: what they say, and that what comes back holds them."""

from __future__ import annotations

import json
import os
import sys
import uuid
from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs
from bl_ext.user_default.sfv import pins, takes, tracking, watcher
from mathutils import Euler

from retarget import Motion, rotation

ARM = "mixamorig:LeftArm"
FPS = 30


@pytest.fixture
def captured(tmp_path):
    """A scene with a rig that plays a captured motion, at the motion's frame rate."""
    return capture(tmp_path, rigs.mixamo_like(seed=1))


def capture(folder: Path, armature: bpy.types.Object) -> bpy.types.Object:
    rigs.walk_in_place().save(folder / "motion.npz")
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = FPS, 1.0
    held = scene.sfv
    held.target, held.captured.motion, held.captured.name = armature, str(folder / "motion.npz"), "clip"
    held.captured.job = str(uuid.uuid4())
    bpy.ops.sfv.retarget()
    return armature


def pose(armature: bpy.types.Object, bone: str = ARM, frame: int = 20) -> None:
    """Turn a bone by hand, as an animator would, without a key."""
    bpy.context.scene.frame_set(frame)
    posed = armature.pose.bones[bone]
    posed.rotation_mode = "QUATERNION"
    posed.rotation_quaternion = posed.rotation_quaternion @ Euler((0.4, -0.3, 0.6)).to_quaternion()
    bpy.context.view_layer.update()


def select(armature: bpy.types.Object, *names: str) -> None:
    """Select just these bones; Blender 5 keeps that in the pose."""
    for bone in armature.pose.bones:
        (bone if hasattr(bone, "select") else bone.bone).select = bone.name in names


def shown_now(armature: bpy.types.Object) -> np.ndarray:
    """Return the rotations that the armature shows without evaluating its keys anew."""
    matrices = np.array([bone.matrix for bone in armature.pose.bones], float)[:, :3, :3]
    return rotation.from_matrix(matrices / np.linalg.norm(matrices, axis=1, keepdims=True))


def meet_pins(motion: Motion, entries: list) -> Motion:
    """Write whole poses into a motion as the backend does at the pinned frames, and nowhere else."""
    rotations, root = motion.rotations.copy(), motion.root_pos.copy()
    for entry in entries:
        for name, q in entry["pose"]["rotations"].items():
            rotations[entry["frame"], motion.skeleton.index(name)] = q
        root[entry["frame"]] = entry["pose"]["root"]
    return Motion(motion.skeleton, motion.fps, root, rotations)


def curves(armature: bpy.types.Object) -> dict:
    """Return every key of the Action that the armature plays."""
    found = {}
    for bag in rigs.bags(armature.animation_data.action):
        for curve in bag.fcurves:
            values = np.empty(2 * len(curve.keyframe_points))
            curve.keyframe_points.foreach_get("co", values)
            found[curve.data_path, curve.array_index] = values.reshape(-1, 2)
    return found


def test_an_untouched_pose_is_pinned_as_it_was_captured(captured):
    bpy.context.scene.frame_set(11)
    assert bpy.ops.sfv.pin_pose() == {"FINISHED"}
    (entry,) = pins.held(bpy.context.scene)
    motion = Motion.load(bpy.context.scene.sfv.captured.motion)
    assert entry["frame"] == 10
    named = np.array([entry["pose"]["rotations"][name] for name in motion.skeleton.names])
    assert np.degrees(rotation.angle(named, motion.rotations[10])).max() < 0.05
    assert np.allclose(entry["pose"]["root"], motion.root_pos[10], atol=1e-4)


@pytest.mark.parametrize("rig", [{"seed": 1}, {"scale": 0.01, "turn": (1.2, 0.3, 2.0)}, {"connected": True, "seed": 3}])
def test_a_pinned_pose_is_shown_again_by_the_motion_that_meets_it(tmp_path, rig):
    armature, scene = capture(tmp_path, rigs.mixamo_like(**rig)), bpy.context.scene
    before = curves(armature)
    pose(armature)
    armature.pose.bones["mixamorig:Hips"].location.x += 0.05 / armature.scale.x
    bpy.context.view_layer.update()
    wanted, hips = shown_now(armature), armature.pose.bones["mixamorig:Hips"].matrix.translation.copy()
    bpy.ops.sfv.pin_pose()
    met = meet_pins(Motion.load(scene.sfv.captured.motion), pins.held(scene))
    met.save(tmp_path / "refined.npz")
    tracking.job_begun(scene, scene.sfv.captured.job, "refine")
    tracking.job_refined(scene.sfv.captured.job, str(tmp_path / "refined.npz"))
    assert tracking.view_of(scene).state == "done", tracking.view_of(scene)
    scene.frame_set(20)
    assert np.degrees(rotation.angle(shown_now(armature), wanted)).max() < 0.1
    gap = armature.pose.bones["mixamorig:Hips"].matrix.translation - hips
    assert gap.length * armature.scale.x < 1e-3
    for key, values in curves(armature).items():
        others = values[:, 0] != 20
        assert np.allclose(values[others], before[key][others], atol=2e-5)


def test_between_two_frames_of_the_motion_both_are_pinned(captured):
    bpy.context.scene.render.fps = 24
    bpy.ops.sfv.retarget()
    pose(captured, frame=12)  # frame 13.75 of the motion
    bpy.ops.sfv.pin_pose()
    assert [entry["frame"] for entry in pins.held(bpy.context.scene)] == [13, 14]
    assert bpy.context.scene.sfv.pinned == 2


def test_only_selected_bones_are_pinned(captured):
    pose(captured)
    select(captured, ARM, "mixamorig:LeftForeArm")
    bpy.ops.sfv.pin_pose(selected=True)
    (entry,) = pins.held(bpy.context.scene)
    assert entry["joints"].keys() == {"left_shoulder", "left_elbow"}
    assert all(values.keys() == {"rotation"} for values in entry["joints"].values())


def test_a_frame_s_newer_pin_counts_and_bones_add_to_it(captured):
    pose(captured)
    bpy.ops.sfv.pin_pose()
    (first,) = pins.held(bpy.context.scene)
    pose(captured, "mixamorig:LeftForeArm")
    select(captured, "mixamorig:LeftForeArm")
    bpy.ops.sfv.pin_pose(selected=True)
    (second,) = pins.held(bpy.context.scene)
    old, new = first["pose"]["rotations"], second["pose"]["rotations"]
    assert [name for name in old if old[name] != new[name]] == ["left_elbow"]


def test_pins_are_cleared_and_go_with_a_new_capture(captured, tmp_path):
    scene = bpy.context.scene
    bpy.ops.sfv.pin_pose()
    bpy.ops.sfv.clear_pins()
    assert pins.document(scene) == {"format": 1, "pins": []} and scene.sfv.pinned == 0
    bpy.ops.sfv.pin_pose()
    takes.store(scene, "capture", "another", {"motion.npz": scene.sfv.captured.motion})
    assert pins.held(scene) == []


def test_pins_are_saved_with_the_file(captured, tmp_path):
    bpy.ops.sfv.pin_pose()
    held = pins.held(bpy.context.scene)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "file.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "file.blend"))
    assert held and pins.held(bpy.context.scene) == held


def test_what_cannot_be_pinned_is_said(captured):
    bpy.context.scene.frame_set(500)
    with pytest.raises(RuntimeError, match="outside of the captured motion"):
        bpy.ops.sfv.pin_pose()
    bpy.context.scene.frame_set(5)
    select(captured)
    with pytest.raises(RuntimeError, match="No bone is selected"):
        bpy.ops.sfv.pin_pose(selected=True)


def test_pinning_and_refining_need_a_capture():
    assert not bpy.ops.sfv.pin_pose.poll() and not bpy.ops.sfv.refine.poll()


@pytest.mark.skipif("SFV_PYTHON" not in os.environ, reason="SFV_PYTHON does not name a Python with the backend in it")
def test_refine_brings_the_pinned_pose_back_and_leaves_the_rest(captured, tmp_path, monkeypatch):
    scene = bpy.context.scene
    root = Path(__file__).resolve().parent.parent.parent
    monkeypatch.setenv("SFV_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHONPATH", str(root))
    job = finished_job(tmp_path / "data" / "jobs" / scene.sfv.captured.job, Path(scene.sfv.captured.motion))
    before = curves(captured)
    pose(captured, frame=20)
    wanted = shown_now(captured)
    bpy.ops.sfv.pin_pose()
    try:
        assert bpy.ops.sfv.refine(wait=True) == {"FINISHED"}, tracking.view_of(scene)
    finally:
        stop_server(tmp_path / "data")
    assert (job / "artifacts" / "motion.unrefined.npz").is_file()
    scene.frame_set(20)
    assert np.degrees(rotation.angle(shown_now(captured), wanted)).max() < 0.1
    for key, values in curves(captured).items():
        far = np.abs(values[:, 0] - 20) > 0.6 * FPS + 1
        assert far.any() and np.array_equal(values[far], before[key][far])


def finished_job(folder: Path, motion: Path) -> Path:
    """Write a job's folder as docs/protocol.md describes it, with its capture done."""
    (folder / "artifacts").mkdir(parents=True)
    (folder / "artifacts" / "motion.npz").write_bytes(motion.read_bytes())
    about = {"format": 1, "created": 0.0, "versions": {}, "config": {"stages": ["capture"], "video": "/gone.mp4"}}
    (folder / "job.json").write_text(json.dumps(about))
    (folder / "events.jsonl").write_text(json.dumps({"time": 0.0, "kind": "state", "state": "done"}) + "\n")
    return folder


def stop_server(data: Path) -> None:
    about = json.loads((data / "server.json").read_text())
    os.kill(about["pid"], 15)
    watcher.drain()


def test_the_panel_of_corrections_is_there():
    panels = sys.modules["bl_ext.user_default.sfv.panels"]
    assert panels.SFV_PT_pins.is_registered


def test_a_backend_elsewhere_simulates_the_refined_motion(captured):
    operators = sys.modules["bl_ext.user_default.sfv.operators"]
    scene, there = bpy.context.scene, operators.Access(url="http://127.0.0.1:9")
    bpy.ops.sfv.pin_pose()
    assert operators.config_for(scene, "simulate", there)["motion"] == f"job:{scene.sfv.captured.job}"
