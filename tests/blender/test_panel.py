"""The buttons and panels of the installed extension, without a backend."""

from __future__ import annotations

import sys

import bpy
import pytest
import rigs
from bl_ext.user_default.sfv import operators, panels, takes, tracking

from retarget import Motion

LABELS = {"capture": "Capture", "retarget": "Retarget", "simulate": "Simulate", "cancel": "Cancel", "resume": "Resume",
          "start_backend": "Start"}


@pytest.fixture
def captured(tmp_path):
    """A scene with a rig and a captured motion file."""
    armature = rigs.mixamo_like(seed=1)
    motion = rigs.walk_in_place()
    motion.save(tmp_path / "motion.npz")
    held = bpy.context.scene.sfv
    held.target, held.captured.motion, held.captured.name = armature, str(tmp_path / "motion.npz"), "clip"
    return armature


def test_buttons_have_their_names_and_tooltips():
    for name, label in LABELS.items():
        kind = getattr(bpy.ops.sfv, name).get_rna_type()
        assert (kind.name, len(kind.description) > 20) == (label, True)


def test_the_tab_is_called_sfv():
    assert panels.SFV_PT_main.bl_category == "SFV" and panels.SFV_PT_main.is_registered


def test_the_bundled_retarget_is_used():
    import retarget

    assert ".local" in retarget.__file__ or "extensions" in retarget.__file__


def test_switching_off_and_on_leaves_nothing_behind_and_works_again():
    addon = sys.modules["bl_ext.user_default.sfv"]
    addon.unregister()
    assert not hasattr(bpy.types.Scene, "sfv") and not hasattr(bpy.types, "SFV_PT_main")
    assert not [handler for handler in bpy.app.handlers.load_post if "sfv" in handler.__module__]
    addon.register()
    assert hasattr(bpy.types.Scene, "sfv") and operators.SFV_OT_capture.is_registered


def test_retarget_bakes_an_action_with_the_clip_s_name(captured):
    assert bpy.ops.sfv.retarget() == {"FINISHED"}
    assert captured.animation_data.action.name == "SFV captured clip"


def test_retarget_keeps_the_action_that_was_there(captured):
    own = bpy.data.actions.new("My walk")
    captured.animation_data_create().action = own
    bpy.ops.sfv.retarget()
    assert captured.animation_data.action != own
    assert own.use_fake_user and own.name == "My walk"


def test_retarget_begins_on_the_first_frame_at_the_scene_s_rate(captured):
    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base, scene.sfv.first_frame = 24, 1.0, 101
    bpy.ops.sfv.retarget()
    motion = Motion.load(scene.sfv.captured.motion)
    first, last = captured.animation_data.action.frame_range
    assert (first, last) == (101, 101 + int(motion.duration * 24 + 1e-6))


def test_retarget_is_one_undo_step(captured):
    window = bpy.context.window_manager.windows[0]
    bpy.ops.ed.undo_push(message="before")
    with bpy.context.temp_override(window=window, screen=window.screen):
        bpy.ops.sfv.retarget("EXEC_DEFAULT", True)
        assert "SFV captured clip" in bpy.data.actions
        bpy.ops.ed.undo()
    assert "SFV captured clip" not in bpy.data.actions
    armature = bpy.data.objects["Rig"]
    assert armature.animation_data is None or armature.animation_data.action is None


@pytest.mark.parametrize(("spoil", "text"), [
    (lambda held, path: setattr(held.captured, "motion", str(path / "gone.npz")), "No motion file"),
    (lambda held, path: setattr(held.captured, "motion", str(path / "text.npz")), "not a motion file"),
    (lambda held, path: setattr(held.target, "scale", (1, 1, 3)), "Apply its scale"),
])
def test_retarget_says_what_is_wrong_and_makes_no_action(captured, tmp_path, spoil, text):
    (tmp_path / "text.npz").write_text("hello")
    spoil(bpy.context.scene.sfv, tmp_path)
    bpy.context.view_layer.update()
    with pytest.raises(RuntimeError, match=text):
        bpy.ops.sfv.retarget()
    assert not bpy.data.actions


def test_retarget_in_edit_mode_says_to_leave_it(captured):
    bpy.context.view_layer.objects.active = captured
    bpy.ops.object.mode_set(mode="EDIT")
    with pytest.raises(RuntimeError, match="Leave Edit Mode"):
        bpy.ops.sfv.retarget()


def test_capture_without_a_video_says_what_to_choose():
    with pytest.raises(RuntimeError, match="Choose a video"):
        bpy.ops.sfv.capture()
    bpy.context.scene.sfv.video = "/nowhere/a.mp4"
    with pytest.raises(RuntimeError, match="There is no video"):
        bpy.ops.sfv.capture()


def test_buttons_that_make_no_sense_yet_are_off():
    assert not bpy.ops.sfv.retarget.poll()
    assert not bpy.ops.sfv.simulate.poll()
    assert not bpy.ops.sfv.cancel.poll()
    assert not bpy.ops.sfv.resume.poll()


def test_a_motion_that_arrives_is_baked_onto_the_target(captured, tmp_path):
    scene = bpy.context.scene
    scene.sfv.clip = "dance"
    tracking.job_begun(scene, "some-id", "capture")
    tracking.job_event("some-id", {"kind": "progress", "stage": "detect", "done": 1, "total": 4, "eta_s": 30.0})
    assert tracking.view_of(scene).fraction == 0.25
    tracking.job_event("some-id", {"kind": "log", "text": "Train it longer.", "advice": True})
    tracking.job_arrived("some-id", {"motion.npz": str(tmp_path / "motion.npz")})
    assert captured.animation_data.action.name == "SFV captured dance"
    assert tracking.view_of(scene).state == "done"
    assert tracking.view_of(scene).advice == "Train it longer."


def test_a_result_that_cannot_be_baked_says_so_in_the_panel(captured, tmp_path):
    scene = bpy.context.scene
    (tmp_path / "broken.npz").write_bytes(b"PK")
    tracking.job_begun(scene, "some-id", "capture")
    tracking.job_arrived("some-id", {"motion.npz": str(tmp_path / "broken.npz")})
    assert "not a motion file" in tracking.view_of(scene).text


def test_an_undo_does_not_take_the_job_back(captured):
    window = bpy.context.window_manager.windows[0]
    bpy.ops.ed.undo_push(message="a")
    bpy.ops.ed.undo_push(message="b")
    tracking.job_begun(bpy.context.scene, "some-id", "capture")
    with bpy.context.temp_override(window=window, screen=window.screen):
        bpy.ops.ed.undo()
    assert bpy.context.scene.sfv.job == "some-id"
    assert tracking.busy(bpy.context.scene)


def test_take_survives_saving_and_opening(captured, tmp_path):
    held = takes.snapshot(bpy.context.scene)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "file.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "file.blend"))
    assert takes.snapshot(bpy.context.scene) == held
