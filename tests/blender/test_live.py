"""The preview: what it shows, and that nothing of it stays."""

from __future__ import annotations

import json
import sys

import bpy
import control_rigs
import numpy as np
import pytest
import rigs
from bl_ext.user_default.sfv import live, maps
from bl_ext.user_default.sfv.bake import bake
from bl_ext.user_default.sfv.transfer import skeleton_for

from retarget import rotation

KNEE, HIPS, NAMES = "mixamorig:LeftLeg", "mixamorig:Hips", ("mixamorig:LeftUpLeg", "mixamorig:LeftLeg")
MODES = ("QUATERNION", "XYZ", "AXIS_ANGLE")


@pytest.fixture
def target(tmp_path):
    """A rig of mixed rotation modes in a pose of its own, with custom properties, and a captured motion."""
    armature = rigs.mixamo_like(seed=1)
    generator = np.random.default_rng(0)
    for number, bone in enumerate(armature.pose.bones):
        bone.rotation_mode = MODES[number % 3]
        bone.rotation_quaternion = generator.normal(size=4)
        bone.rotation_euler, bone.rotation_axis_angle = generator.normal(size=3), generator.normal(size=4)
        bone.location, bone["weight"] = generator.normal(size=3), float(generator.normal())
    rigs.walk_in_place().save(tmp_path / "motion.npz")
    held = bpy.context.scene.sfv
    held.target, held.captured.motion = armature, str(tmp_path / "motion.npz")
    bpy.context.scene.render.fps = 30
    bpy.context.scene.frame_set(1)
    return armature


def state(armature: bpy.types.Object) -> tuple:
    """Return everything of the armature and the file that a preview could change."""
    bones = {bone.name: (bone.rotation_mode, *map(tuple, (bone.rotation_quaternion, bone.rotation_euler,
                                                           bone.rotation_axis_angle, bone.location, bone.scale)),
                         dict(bone.items())) for bone in armature.pose.bones}
    data = {name: sorted(getattr(bpy.data, name).keys()) for name in ("actions", "objects", "armatures", "texts",
                                                                      "collections", "scenes")}
    animation = armature.animation_data
    return bones, data, animation and (animation.action, len(animation.nla_tracks)), bpy.context.scene.frame_current


def shown(armature: bpy.types.Object) -> np.ndarray:
    """Return the legs' rotations as Blender evaluates them now, without another change of frame."""
    bpy.context.view_layer.update()
    bones = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
    return np.array([bones[name].matrix.to_quaternion() for name in NAMES])


def test_the_preview_shows_what_a_bake_would_and_leaves_nothing(target):
    scene, before = bpy.context.scene, state(target)
    assert bpy.ops.sfv.preview() == {"FINISHED"} and live.running()
    seen = []
    for frame in (1, 12, 30):
        scene.frame_set(frame)
        seen.append(shown(target))
    assert not bpy.data.actions
    scene.frame_set(1)
    bpy.ops.sfv.preview()
    assert not live.running() and state(target) == before and not scene.sfv.retarget.preview_pose
    bpy.ops.sfv.retarget()
    for frame, pose in zip((1, 12, 30), seen, strict=True):
        scene.frame_set(frame)
        assert rotation.angle(shown(target), pose).max() < 1e-3


def test_frames_outside_of_the_motion_show_its_ends(target):
    scene = bpy.context.scene
    bpy.ops.sfv.preview()
    scene.frame_set(45)
    last = shown(target)
    scene.frame_set(90)
    np.testing.assert_allclose(shown(target), last, atol=1e-6)


def test_options_and_map_change_what_is_shown(target):
    scene, before = bpy.context.scene, state(target)
    bpy.ops.sfv.guess_map()
    bpy.ops.sfv.preview()
    scene.frame_set(12)
    first = shown(target)
    scene.sfv.first_frame = 5
    assert rotation.angle(shown(target), first).max() > 0.01
    row = next(pair for pair in maps.shown(scene).pairs if pair.joint == "left_knee")
    row.bone = ""
    assert live.running()
    knee = target.pose.bones[KNEE]
    assert tuple(knee.rotation_quaternion) == before[0][KNEE][1]
    scene.frame_set(1)
    bpy.ops.sfv.preview()
    assert state(target)[0] == before[0]


def test_what_cannot_be_solved_any_more_ends_the_preview_with_a_word(target):
    before = state(target)
    bpy.ops.sfv.preview()
    bpy.context.scene.sfv.retarget.range_start = 900
    bpy.context.scene.sfv.retarget.use_range = True
    assert not live.running() and "Choose other frames" in live.text and state(target) == before


def test_a_preview_that_cannot_begin_says_why(target):
    target.scale = (1, 1, 3)
    bpy.context.view_layer.update()
    with pytest.raises(RuntimeError, match="Apply its scale"):
        bpy.ops.sfv.preview()
    assert not live.running()


def test_an_action_that_is_assigned_plays_again_afterwards(target):
    scene = bpy.context.scene
    own = bake(target, rigs.wild_motion(skeleton_for(target), 40, 30), set(), "own").action
    scene.frame_set(20)
    expected = shown(target)
    scene.frame_set(1)
    before = state(target)
    bpy.ops.sfv.preview()
    scene.frame_set(20)
    assert rotation.angle(shown(target), expected).max() > 0.05
    bpy.ops.sfv.preview()
    assert rotation.angle(shown(target), expected).max() < 1e-4 and target.animation_data.action == own
    scene.frame_set(1)
    assert state(target)[1:] == before[1:]


def test_saving_ends_the_preview_and_the_file_holds_the_pose_of_before(target, tmp_path):
    before = state(target)[0]
    bpy.ops.sfv.preview()
    bpy.context.scene.frame_set(12)
    bpy.context.scene.frame_set(1)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "file.blend"))
    assert not live.running() and state(target)[0] == before
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "file.blend"))
    assert state(bpy.data.objects["Rig"])[0] == before


def test_a_file_that_was_saved_in_a_crash_gives_the_pose_back_when_it_is_opened(target, tmp_path):
    before = state(target)[0]
    bpy.ops.sfv.preview()
    bpy.app.handlers.save_pre.remove(live.on_end)
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "quit.blend"))
    finally:
        bpy.app.handlers.save_pre.append(live.on_end)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "quit.blend"))
    assert state(bpy.data.objects["Rig"])[0] == before and not live.running()


def test_no_undo_brings_the_previewed_pose_back(target):
    window = bpy.context.window_manager.windows[0]
    before = state(target)[0]
    bpy.ops.ed.undo_push(message="before")
    with bpy.context.temp_override(window=window, screen=window.screen):
        bpy.ops.sfv.preview("EXEC_DEFAULT", True)
        bpy.context.scene.sfv.first_frame = 3
        bpy.ops.ed.undo_push(message="an option")
        bpy.ops.sfv.preview("EXEC_DEFAULT", True)
        assert not live.running() and state(bpy.data.objects["Rig"])[0] == before
        for _ in range(3):
            bpy.ops.ed.undo()
            assert not live.running() and state(bpy.data.objects["Rig"])[0] == before
        for _ in range(3):
            bpy.ops.ed.redo()
            assert not live.running() and state(bpy.data.objects["Rig"])[0] == before


def test_baking_ends_the_preview_first(target):
    bpy.ops.sfv.preview()
    bpy.context.scene.frame_set(12)
    bpy.ops.sfv.retarget()
    assert not live.running() and not bpy.context.scene.sfv.retarget.preview_pose


def test_switching_the_add_on_off_ends_the_preview(target):
    before = state(target)[0]
    bpy.ops.sfv.preview()
    addon = sys.modules["bl_ext.user_default.sfv"]
    addon.unregister()
    try:
        assert state(target)[0] == before
        assert not [handler for handlers in (bpy.app.handlers.frame_change_post, bpy.app.handlers.save_pre)
                    for handler in handlers if "sfv" in handler.__module__]
    finally:
        addon.register()


def test_another_target_gets_the_preview_and_the_first_its_pose(target):
    before, other = state(target)[0], rigs.mixamo_like("Other", seed=2)
    bpy.ops.sfv.preview()
    bpy.context.scene.sfv.target = other
    assert live.running() and state(target)[0] == before
    kept = json.loads(bpy.context.scene.sfv.retarget.preview_pose)
    assert HIPS in kept["bones"] and bpy.context.scene.sfv.retarget.preview_target == other


def test_a_target_that_is_deleted_ends_the_preview_quietly(target):
    bpy.ops.sfv.preview()
    bpy.data.objects.remove(target)
    bpy.context.scene.frame_set(12)
    bpy.ops.sfv.preview()
    assert not live.running()


def test_a_control_rig_shows_the_motion_and_gets_its_switches_back(tmp_path):
    armature = control_rigs.opened(control_rigs.generate("human", tmp_path / "rig.blend"))
    rigs.walk_in_place().save(tmp_path / "motion.npz")
    scene = bpy.context.scene
    scene.sfv.target, scene.sfv.captured.motion, scene.render.fps = armature, str(tmp_path / "motion.npz"), 30
    scene.frame_set(1)

    def switches() -> dict:
        return {bone.name: ({name: value for name, value in bone.items() if isinstance(value, int | float | str)},
                            bone.ik_stretch) for bone in armature.pose.bones}

    def legs() -> np.ndarray:
        bpy.context.view_layer.update()
        bones = armature.evaluated_get(bpy.context.evaluated_depsgraph_get()).pose.bones
        return np.array([bones[name].matrix.translation for name in ("DEF-foot.L", "DEF-foot.R")])

    before, rest, data = switches(), legs(), state(armature)[1]
    bpy.ops.sfv.preview()
    moved = []
    for frame in (8, 24):
        scene.frame_set(frame)
        moved.append(legs())
    assert np.abs(moved[0] - moved[1]).max() > 0.1 and state(armature)[1] == data
    bpy.ops.sfv.preview()
    assert switches() == before
    np.testing.assert_allclose(legs(), rest, atol=1e-5)
    bpy.ops.sfv.retarget()
    scene.frame_set(8)
    np.testing.assert_allclose(legs(), moved[0], atol=1e-3)
