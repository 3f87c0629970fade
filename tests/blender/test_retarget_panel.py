"""The Retarget panel: sources, maps edited by hand, batches, and a motion taken from another armature."""

from __future__ import annotations

import math

import bpy
import numpy as np
import pytest
import rigs
from bl_ext.user_default.sfv import armature as armatures
from bl_ext.user_default.sfv import maps, pins, retargeting, sources, tracking
from bl_ext.user_default.sfv.bake import bake
from bl_ext.user_default.sfv.errors import AddonError
from bl_ext.user_default.sfv.sampled import sampled

from retarget import bvh, kinematics, rotation
from retarget.mapping import BoneMap

M = "mixamorig:"


@pytest.fixture
def target(tmp_path):
    """A rig, and a captured motion to put on it."""
    armature = rigs.mixamo_like(seed=1)
    rigs.walk_in_place().save(tmp_path / "motion.npz")
    held = bpy.context.scene.sfv
    held.target, held.captured.motion, held.captured.name = armature, str(tmp_path / "motion.npz"), "clip"
    return armature


@pytest.fixture
def files(tmp_path):
    """Three motion files, the last of them broken."""
    walk = rigs.walk_in_place()
    walk.save(tmp_path / "walk.npz")
    bvh.save(walk.slice(0, 20), tmp_path / "short.bvh")
    (tmp_path / "text.npz").write_text("this is no motion")
    return tmp_path


def add(folder, *names: str) -> set[str]:
    return bpy.ops.sfv.add_files(directory=str(folder), files=[{"name": name} for name in names])


def row(joint: str):
    """Return the shown map's row of a joint."""
    return next(pair for pair in maps.shown(bpy.context.scene).pairs if pair.joint == joint)


def test_every_button_explains_itself():
    for name in ("retarget", "preview", "bake_all", "add_files", "remove_file", "guess_map", "forget_map", "pick_bone",
                 "save_map", "load_map", "pin_pose", "clear_pins"):
        assert len(getattr(bpy.ops.sfv, name).get_rna_type().description) > 20


def test_files_are_listed_once_and_baked_by_their_names(target, files):
    assert add(files, "walk.npz", "short.bvh", "walk.npz") == {"FINISHED"}
    held = bpy.context.scene.sfv.retarget
    assert [entry.name for entry in held.files] == ["walk.npz", "short.bvh"] and held.source == "file"
    held.file = 1
    bpy.ops.sfv.retarget()
    assert target.animation_data.action.name == "short"
    bpy.ops.sfv.remove_file()
    assert [entry.name for entry in held.files] == ["walk.npz"] and held.file == 0


def test_files_that_are_no_motion_are_not_listed(target, files):
    (files / "notes.txt").write_text("")
    with pytest.raises(RuntimeError, match="None of these files is a motion"):
        add(files, "notes.txt")


def test_all_files_go_onto_all_selected_armatures_and_a_broken_one_stops_no_other(target, files):
    other = rigs.mixamo_like("Other", seed=2)
    for armature in (target, other):
        armature.select_set(True)
    add(files, "walk.npz", "text.npz", "short.bvh")
    assert bpy.ops.sfv.bake_all() == {"FINISHED"}
    assert sorted(action.name for action in bpy.data.actions) == ["short", "short.001", "walk", "walk.001"]
    assert all("text.npz" in note and " onto " in note for note in tracking.notes) and len(tracking.notes) == 2


def test_a_batch_is_one_step_at_a_time(target, files):
    add(files, "walk.npz", "short.bvh")
    steps = retargeting.bake_files(bpy.context.scene, ["Rig"])
    assert next(steps) == (1, 2, "") and len(bpy.data.actions) == 1
    assert list(steps) == [(2, 2, "")] and len(bpy.data.actions) == 2


def test_options_reach_the_motion(target):
    scene, held = bpy.context.scene, bpy.context.scene.sfv.retarget
    scene.render.fps, scene.sfv.first_frame = 30, 11
    held.use_range, held.range_start, held.range_end, held.nla = True, 5, 14, True
    held.use_reduce, held.reduce_deg, held.root = True, 1.0, "off"
    bpy.ops.sfv.retarget()
    (track,) = target.animation_data.nla_tracks
    assert (track.strips[0].frame_start, track.strips[0].frame_end) == (11, 20)
    choices = retargeting.choices(scene, rigs.walk_in_place(), target)
    assert (choices.bake.reduce_deg, choices.retarget.root, choices.bake.frames) == (1.0, "off", (5, 14))
    held.root = "in_place"
    assert retargeting.choices(scene, rigs.walk_in_place(), target).retarget.root == "in place"


def test_a_guess_is_shown_with_a_row_for_every_joint(target):
    assert bpy.ops.sfv.guess_map() == {"FINISHED"}
    held = maps.shown(bpy.context.scene)
    joints = rigs.walk_in_place().skeleton.names
    assert {pair.joint for pair in held.pairs} == set(joints) and held.target == target
    knee = row("left_knee")
    assert (knee.bone, knee.role) == (f"{M}LeftLeg", "LeftLowerLeg") and knee.confidence > 0.5
    assert f"{M}LeftLeg" in knee.name and "left_knee" in knee.name


def test_a_bone_chosen_by_hand_is_mirrored_and_taken_from_the_joint_that_had_it(target):
    bpy.ops.sfv.guess_map()
    row("left_knee").bone = f"{M}LeftFoot"
    assert (row("left_knee").bone, row("left_knee").confidence) == (f"{M}LeftFoot", 1.0)
    assert row("left_ankle").bone == "" and "was given to 'left_knee'" in row("left_ankle").why
    assert row("right_knee").bone == f"{M}RightFoot" and row("right_ankle").bone == ""
    bpy.context.scene.sfv.retarget.mirror = False
    row("left_ankle").bone = f"{M}LeftToeBase"
    assert row("right_ankle").bone == ""
    maps.bone_map(maps.shown(bpy.context.scene)).check(rigs.walk_in_place().skeleton, armatures.skeleton_of(target))


def test_a_bone_taken_away_is_taken_from_both_sides(target):
    bpy.ops.sfv.guess_map()
    row("right_elbow").bone = ""
    assert row("left_elbow").bone == "" and "by hand" in row("right_elbow").why
    bpy.ops.sfv.retarget()
    keyed = {group.name for bag in rigs.bags(target.animation_data.action) for group in bag.groups}
    assert f"{M}LeftForeArm" not in keyed and f"{M}LeftArm" in keyed


def test_the_map_is_used_by_takes_that_arrive_and_by_pins(target, tmp_path):
    bpy.ops.sfv.guess_map()
    row("left_elbow").bone = ""
    scene = bpy.context.scene
    tracking.job_begun(scene, "some-id", "capture")
    tracking.job_arrived("some-id", {"motion.npz": str(tmp_path / "motion.npz")})
    keyed = {group.name for bag in rigs.bags(target.animation_data.action) for group in bag.groups}
    assert f"{M}LeftForeArm" not in keyed
    assert maps.mapped(scene, rigs.walk_in_place().skeleton, target).target_of("left_elbow") is None
    pins.pin(scene, False)
    assert pins.held(scene)


def test_each_source_and_target_has_a_map_of_its_own(target, files):
    bpy.ops.sfv.guess_map()
    row("left_elbow").bone = ""
    scene, other = bpy.context.scene, rigs.mixamo_like("Other", seed=2)
    scene.sfv.target = other
    assert maps.shown(scene) is None
    bpy.ops.sfv.guess_map()
    assert row("left_elbow").bone == f"{M}LeftForeArm"
    scene.sfv.target = target
    assert row("left_elbow").bone == ""
    add(files, "walk.npz")
    assert row("left_elbow").bone == "", "a file with the same joints has the same map"
    bpy.ops.sfv.guess_map()
    assert row("left_elbow").bone == f"{M}LeftForeArm" and len(scene.sfv.retarget.maps) == 2
    bpy.ops.sfv.forget_map()
    assert maps.shown(scene) is None


def test_a_map_is_saved_loaded_and_undone(target, tmp_path):
    bpy.ops.sfv.guess_map()
    row("left_elbow").bone = ""
    bpy.ops.sfv.save_map(filepath=str(tmp_path / "map.json"))
    before = BoneMap.load(tmp_path / "map.json")
    bpy.ops.sfv.guess_map()
    assert bpy.ops.sfv.load_map(filepath=str(tmp_path / "map.json")) == {"FINISHED"}
    assert {(p.source, p.target) for p in maps.bone_map(maps.shown(bpy.context.scene)).pairs} == {
        (p.source, p.target) for p in before.pairs}


def test_a_map_survives_saving_and_a_new_name_of_its_target(target, tmp_path):
    bpy.ops.sfv.guess_map()
    row("left_elbow").bone = ""
    target.name = "Hero"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "file.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "file.blend"))
    assert row("left_elbow").bone == "" and maps.shown(bpy.context.scene).target.name == "Hero"


def test_a_map_with_bones_that_are_gone_says_so_and_leaves_them_out(target, tmp_path):
    bpy.ops.sfv.guess_map()
    bpy.ops.sfv.save_map(filepath=str(tmp_path / "map.json"))
    target.data.bones[f"{M}LeftForeArm"].name = "renamed"
    assert bpy.ops.sfv.load_map(filepath=str(tmp_path / "map.json")) == {"FINISHED"}
    assert f"not there, and leaves them out: {M}LeftForeArm" in maps.shown(bpy.context.scene).notes
    assert row("left_elbow").bone == ""
    for bone in target.data.bones:
        bone.name = f"x{bone.name}"
    with pytest.raises(RuntimeError, match="bone map is empty"):
        bpy.ops.sfv.load_map(filepath=str(tmp_path / "map.json"))


def test_a_kept_map_with_bones_that_are_gone_bakes_the_others_and_says_so(target):
    bpy.ops.sfv.guess_map()
    target.data.bones[f"{M}LeftForeArm"].name = "renamed"
    bpy.ops.sfv.retarget()
    assert any(f"{M}LeftForeArm" in note for note in tracking.notes)


def test_the_active_bone_is_picked_for_the_chosen_row(target):
    bpy.ops.sfv.guess_map()
    held = maps.shown(bpy.context.scene)
    held.active = [pair.joint for pair in held.pairs].index("left_elbow")
    target.data.bones.active = target.data.bones[f"{M}LeftHand"]
    assert bpy.ops.sfv.pick_bone() == {"FINISHED"}
    assert row("left_elbow").bone == f"{M}LeftHand" and row("right_elbow").bone == f"{M}RightHand"


def test_a_performer_s_animation_is_sampled_as_it_is_shown():
    performer = rigs.mixamo_like("Performer", seed=5, above=True)
    motion = rigs.wild_motion(armatures.skeleton_of(performer, f"{M}Hips"), 20)
    bake(performer, motion, set(), "wild")
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, 20
    scene.frame_set(7)
    seen = sampled(performer, scene)
    assert scene.frame_current == 7 and len(seen) == 20 and seen.fps == 24
    for ours, theirs in zip(kinematics.world_poses(seen), kinematics.world_poses(motion), strict=True):
        if ours.shape[-1] == 3:
            np.testing.assert_allclose(ours[:, 1:], theirs[:, 1:], atol=2e-4)
        else:
            assert rotation.angle(ours, theirs).max() < 1e-3


def test_a_performer_that_turns_and_travels_as_an_object_is_followed():
    performer = rigs.mixamo_like("Performer")
    performer.rotation_euler = (0, 0, 0)
    for frame, angle, x in ((1, 0.0, 2.0), (11, math.pi / 2, 5.0)):
        performer.rotation_euler[2], performer.location[0] = angle, x
        performer.keyframe_insert("rotation_euler", frame=frame)
        performer.keyframe_insert("location", frame=frame)
    seen = sampled(performer, bpy.context.scene, 1, 11)
    np.testing.assert_allclose(seen.root_pos[[0, -1]], [[0, 0, 1], [3, 0, 1]], atol=1e-4)
    assert rotation.angle(seen.rotations[-1, 0], seen.rotations[0, 0]) == pytest.approx(math.pi / 2, abs=1e-3)


def test_what_one_armature_performs_goes_onto_another(target):
    performer = rigs.mixamo_like("Performer", scale=0.01, turn=(math.pi / 2, 0, 0), seed=7)
    scene = bpy.context.scene
    bake(performer, rigs.wild_motion(armatures.skeleton_of(performer), 20), set(), "wild")
    scene.frame_end, scene.sfv.retarget.source, scene.sfv.retarget.performer = 20, "armature", performer
    assert bpy.ops.sfv.guess_map() == {"FINISHED"} and row(f"{M}LeftArm").bone == f"{M}LeftArm"
    bpy.ops.sfv.retarget()
    assert target.animation_data.action.name == "Performer wild"
    names = (f"{M}LeftHand", f"{M}RightFoot", f"{M}Head")
    turns = [rigs.shown(armature, names, 13)[1] for armature in (performer, target)]
    scene.frame_set(0)
    rests = [np.array([rotation.from_matrix(np.array(
        (a.matrix_world @ a.data.bones[n].matrix_local).to_3x3().normalized())) for n in names])
        for a in (performer, target)]
    deltas = [rotation.multiply(turn, rotation.inverse(rest)) for turn, rest in zip(turns, rests, strict=True)]
    assert rotation.angle(*deltas)[2] < 0.01


def test_the_sources_say_what_is_missing(target):
    scene = bpy.context.scene
    with pytest.raises(AddonError, match="No motion file is chosen"):
        sources.chosen(scene, "file")
    with pytest.raises(AddonError, match="No performer"):
        sources.chosen(scene, "armature")
    scene.sfv.retarget.performer = target
    with pytest.raises(AddonError, match="performer and target at once"):
        sources.chosen(scene, "armature")
    with pytest.raises(AddonError, match="no simulated motion"):
        sources.chosen(scene, "simulate")


@pytest.mark.parametrize(("every", "fps", "frame"), [(False, 30, 8), (False, 60, 15), (True, 24, 8)])
def test_a_pin_belongs_to_the_frame_that_is_shown(target, every, fps, frame):
    scene, held = bpy.context.scene, bpy.context.scene.sfv.retarget
    scene.render.fps, held.every_frame, held.use_range, held.range_start, held.stride = fps, every, True, 5, 0.5
    bpy.ops.sfv.retarget()
    scene.frame_set(frame)
    bpy.ops.sfv.pin_pose()
    (pin,) = pins.held(scene)
    motion = rigs.walk_in_place()
    assert pin["frame"] == 12
    turns = np.array([pin["pose"]["rotations"][name] for name in motion.skeleton.names])
    assert rotation.angle(turns, motion.rotations[12]).max() < 0.02
