"""What a bake writes and leaves alone: ranges, rates, fewer keys, NLA, locks and limits, overrides, undo."""

from __future__ import annotations

import math

import bpy
import numpy as np
import pytest
import rigs
from bl_ext.user_default.sfv import armature as armatures
from bl_ext.user_default.sfv import transfer as transfers
from bl_ext.user_default.sfv.armature import Channels
from bl_ext.user_default.sfv.bake import BakeOptions, bake, write
from bl_ext.user_default.sfv.errors import AddonError
from bl_ext.user_default.sfv.transfer import Choices, transfer

from retarget import Motion, RetargetError, rotation

HIPS, ARM, LEG = "mixamorig:Hips", "mixamorig:LeftArm", "mixamorig:LeftUpLeg"


@pytest.fixture
def armature() -> bpy.types.Object:
    return rigs.mixamo_like(seed=1)


def wild(armature: bpy.types.Object, frames: int = 60) -> Motion:
    """Return a motion of every bone, at the scene's rate."""
    bpy.context.scene.render.fps = 24
    return rigs.wild_motion(armatures.skeleton_of(armature), frames)


def curves(action: bpy.types.Action) -> list[bpy.types.FCurve]:
    return [curve for bag in rigs.bags(action) for curve in bag.fcurves]


def state() -> tuple:
    """Return all that a refused bake must leave as it is."""
    return ([action.name for action in bpy.data.actions],
            {thing.name: (thing.animation_data is not None, thing.animation_data and thing.animation_data.action)
             for thing in bpy.data.objects})


@pytest.mark.parametrize(("options", "first", "last"), [
    (BakeOptions(), 1, 60),
    (BakeOptions(start_frame=-10), -10, 49),
    (BakeOptions(frames=(10, 19)), 1, 10),
    (BakeOptions(frames=(None, 4)), 1, 5),
    (BakeOptions(seconds=(1.0, None)), 1, 36),
    (BakeOptions(fps=12), 1, 30),
    (BakeOptions(fps=48), 1, 119),
    (BakeOptions(fps=48, every_frame=True), 1, 60),
    (BakeOptions(frames=(7, 7), start_frame=100), 100, 100),
])
def test_the_frames_that_were_asked_for_lie_where_they_were_asked_for(armature, options, first, last):
    action = bake(armature, wild(armature), set(), "a", options).action
    assert tuple(action.frame_range) == (first, last)


def test_a_range_shows_its_first_frame_first(armature):
    motion = wild(armature)
    bake(armature, motion, set(), "a", BakeOptions(start_frame=5, frames=(20, 30)))
    _, shown = rigs.shown(armature, motion.skeleton.names, 5)
    assert rotation.angle(shown, rotation_of(motion, 20)).max() < 1e-3


def rotation_of(motion: Motion, frame: int) -> np.ndarray:
    from retarget import kinematics

    return kinematics.world_poses(motion)[1][frame]


def test_a_range_outside_of_the_motion_is_refused_with_what_there_is(armature):
    before = state()
    with pytest.raises(AddonError, match=r"frames 0 to 59 .* from 70 to 80"):
        bake(armature, wild(armature), set(), "a", BakeOptions(frames=(70, 80)))
    assert state() == before


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ", "ZXY", "AXIS_ANGLE"])
@pytest.mark.parametrize("degrees", [0.5, 2.0])
def test_fewer_keys_show_the_same_to_the_stated_error(armature, mode, degrees):
    for bone in armature.pose.bones:
        bone.rotation_mode = mode
    motion = wild(armature, 200)
    full = bake(armature, motion, set(), "full")
    shown = [local_poses(armature, frame) for frame in range(1, 201)]
    made = bake(armature, motion, set(), "few", BakeOptions(reduce_deg=degrees, reduce_mm=2.0))
    assert made.all_keys == full.keys and made.keys < 0.6 * full.keys
    assert 0.3 * degrees < made.error_deg <= degrees and made.error_mm <= 2.0
    seen_deg = seen_mm = 0.0
    for frame, (turns, places) in enumerate(shown, start=1):
        now_turns, now_places = local_poses(armature, frame)
        seen_deg = max(seen_deg, math.degrees(rotation.angle(turns, now_turns).max()))
        seen_mm = max(seen_mm, 1000 * np.abs(places - now_places).max())
    assert seen_deg == pytest.approx(made.error_deg, abs=0.03)
    assert seen_mm <= made.error_mm + 0.05
    assert sum(len(curve.keyframe_points) for curve in curves(made.action)) == made.keys


def local_poses(armature: bpy.types.Object, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what Blender makes of each bone's own channels at a frame."""
    bpy.context.scene.frame_set(frame)
    bases = [bone.matrix_basis for bone in armature.pose.bones]
    return np.array([basis.to_quaternion() for basis in bases]), np.array([basis.translation for basis in bases])


def test_the_channels_of_a_bone_share_their_keys(armature):
    action = bake(armature, wild(armature, 100), set(), "a", BakeOptions(reduce_deg=1.0)).action
    times: dict[str, set] = {}
    for curve in curves(action):
        if len(curve.keyframe_points) > 1:
            times.setdefault(curve.group.name, set()).add(tuple(point.co[0] for point in curve.keyframe_points))
    assert times and all(len(found) == 1 for found in times.values())


def test_keys_have_groups_linear_lines_and_handles_at_hand(armature):
    action = bake(armature, wild(armature), set(), "a").action
    for curve in curves(action):
        assert curve.group.name in armature.pose.bones
        assert {point.interpolation for point in curve.keyframe_points} == {"LINEAR"}
    curve = next(curve for curve in curves(action) if len(curve.keyframe_points) > 10)
    for point in curve.keyframe_points:
        assert point.handle_left_type == point.handle_right_type == "AUTO_CLAMPED"
        assert tuple(point.handle_left) == pytest.approx(tuple(point.co))
        point.interpolation = "BEZIER"
    before = curve.evaluate(10)
    curve.update()
    assert curve.keyframe_points[5].handle_left[0] < curve.keyframe_points[5].co[0]
    assert curve.evaluate(10) == pytest.approx(before)


def test_an_nla_strip_leaves_the_assigned_action_assigned(armature):
    own = bpy.data.actions.new("My walk")
    armature.animation_data_create().action = own
    made = bake(armature, wild(armature), set(), "a", BakeOptions(start_frame=11, nla=True))
    animation = armature.animation_data
    assert animation.action == own and own.use_fake_user
    (track,) = animation.nla_tracks
    (strip,) = track.strips
    assert (track.name, strip.name, strip.action) == ("a", "a", made.action)
    assert (strip.frame_start, strip.frame_end) == (11, 70)
    assert "'My walk' stays assigned" in made.notes[0]


def test_an_nla_strip_shows_the_motion_where_nothing_is_assigned(armature):
    motion = wild(armature)
    made = bake(armature, motion, set(), "a", BakeOptions(nla=True))
    assert armature.animation_data.action is None and not made.notes
    _, shown = rigs.shown(armature, motion.skeleton.names, 31)
    assert rotation.angle(shown, rotation_of(motion, 30)).max() < 1e-3
    bake(armature, motion, set(), "b", BakeOptions(nla=True))
    assert [track.name for track in armature.animation_data.nla_tracks] == ["a", "b"]


def test_locked_rotations_get_no_keys_and_keep_their_value(armature):
    bone = armature.pose.bones[ARM]
    bone.rotation_mode, bone.rotation_euler = "XYZ", (0.0, 0.4, 0.0)
    bone.lock_rotation = (False, True, False)
    made = bake(armature, wild(armature), set(), "a")
    keyed = {curve.array_index for curve in curves(made.action) if ARM in curve.data_path}
    assert keyed == {0, 2}
    bpy.context.scene.frame_set(30)
    assert bone.rotation_euler[1] == pytest.approx(0.4)
    assert "Locked channels" in made.notes[0] and f"'{ARM}' (" in made.notes[0] and "°)" in made.notes[0]


@pytest.mark.parametrize(("four", "w", "keyed"), [(True, False, {0}), (True, True, set()), (False, False, set())])
def test_a_quaternion_locked_altogether_keeps_its_value(armature, four, w, keyed):
    bone = armature.pose.bones[ARM]
    bone.rotation_quaternion = (0.8, 0.6, 0, 0)
    bone.lock_rotation, bone.lock_rotations_4d, bone.lock_rotation_w = (True, True, True), four, w
    made = bake(armature, wild(armature), set(), "a")
    assert {curve.array_index for curve in curves(made.action) if ARM in curve.data_path} == keyed
    bpy.context.scene.frame_set(30)
    assert tuple(bone.rotation_quaternion)[1:] == pytest.approx((0.6, 0, 0))


def test_one_locked_angle_of_a_quaternion_keeps_its_angle(armature):
    bone = armature.pose.bones[ARM]
    bone.lock_rotations_4d, bone.lock_rotation = False, (True, False, False)
    bake(armature, wild(armature), set(), "a")
    for frame in (1, 20, 45):
        bpy.context.scene.frame_set(frame)
        assert bone.rotation_quaternion.to_euler("XYZ").x == pytest.approx(0, abs=1e-5)


def test_a_locked_location_keeps_its_value(armature):
    hips = armature.pose.bones[HIPS]
    hips.location, hips.lock_location = (0.1, 0.2, 0.3), (True, False, True)
    made = bake(armature, wild(armature), set(), "a")
    bpy.context.scene.frame_set(40)
    assert (hips.location[0], hips.location[2]) == pytest.approx((0.1, 0.3))
    assert {c.array_index for c in curves(made.action) if c.data_path.endswith("location")} == {1}
    assert f"'{HIPS}' (location, " in made.notes[0] and " mm)" in made.notes[0]


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ"])
def test_a_local_rotation_limit_is_kept_and_its_cost_is_told(armature, mode):
    bone = armature.pose.bones[ARM]
    bone.rotation_mode = mode
    limit = bone.constraints.new("LIMIT_ROTATION")
    limit.owner_space, limit.use_limit_x, limit.min_x, limit.max_x = "LOCAL", True, -0.2, 0.3
    made = bake(armature, wild(armature), set(), "a")
    for frame in range(1, 61, 7):
        bpy.context.scene.frame_set(frame)
        x = bone.matrix_basis.to_euler("XYZ").x
        assert -0.2001 < x < 0.3001
    assert "Limit Rotation constraints bound the motion" in made.notes[0] and f"'{ARM}' (" in made.notes[0]


def test_limits_that_are_muted_or_in_the_world_change_nothing(armature):
    for mute, space in ((True, "LOCAL"), (False, "WORLD")):
        limit = armature.pose.bones[ARM].constraints.new("LIMIT_ROTATION")
        limit.owner_space, limit.use_limit_x, limit.mute = space, True, mute
    assert not bake(armature, wild(armature), set(), "a").notes


def test_other_actions_and_bones_that_are_left_out_stay(armature):
    own = bake(armature, wild(armature), set(), "own").action
    before = {curve.data_path: [tuple(point.co) for point in curve.keyframe_points] for curve in curves(own)}
    transfer(armature, rigs.walk_in_place(), "walk")
    assert {c.data_path: [tuple(p.co) for p in c.keyframe_points] for c in curves(own)} == before
    assert own.use_fake_user and armature.animation_data.action.name == "walk"


def library(tmp_path, armature: bpy.types.Object) -> bpy.types.Object:
    """Save the armature as a library and link it into an empty file."""
    path = str(tmp_path / "library.blend")
    bpy.data.libraries.write(path, {armature})
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(path, link=True) as (there, here):
        here.objects = list(there.objects)
    (linked,) = here.objects
    bpy.context.scene.collection.objects.link(linked)
    return linked


def test_a_linked_armature_is_refused_with_what_to_do(armature, tmp_path):
    linked = library(tmp_path, armature)
    with pytest.raises(AddonError, match=r"linked from '.*library.blend'.*library override"):
        transfer(linked, rigs.walk_in_place(), "walk")
    assert not bpy.data.actions


@pytest.mark.parametrize("nla", [False, True])
def test_a_library_override_is_baked_saved_and_opened_again(armature, tmp_path, nla):
    override = library(tmp_path, armature).override_create(remap_local_usages=True)
    if override.name not in bpy.context.scene.objects:
        bpy.context.scene.collection.objects.link(override)
    made = transfer(override, rigs.walk_in_place(), "walk", Choices(bake=BakeOptions(fps=30, nla=nla)))
    keys, name = made.baked.keys, override.name
    _, before = rigs.shown(override, (LEG,), 10)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    again = next(thing for thing in bpy.data.objects if thing.override_library)
    animation = again.animation_data
    action = animation.nla_tracks[0].strips[0].action if nla else animation.action
    assert again.name == name and action.name == "walk"
    assert sum(len(curve.keyframe_points) for curve in curves(action)) == keys
    assert rotation.angle(before, rigs.shown(again, (LEG,), 10)[1]).max() < 1e-4


def test_values_that_are_no_numbers_are_refused_by_bone(armature):
    before = state()
    channels = [Channels(ARM, "location", np.zeros((3, 3))), Channels(LEG, "location", np.full((3, 3), np.nan))]
    with pytest.raises(AddonError, match=f"not numbers .* on {LEG}"):
        write(armature, channels, np.arange(3), "a", BakeOptions())
    assert state() == before


def test_what_fails_while_keys_are_written_leaves_nothing(armature, monkeypatch):
    module = transfers.write.__globals__
    written = []

    def broken(*arguments):
        written.append(arguments)
        if len(written) == 3:
            raise RuntimeError("out of memory")
        return module_write(*arguments)

    module_write = module["write_keys"]
    monkeypatch.setitem(module, "write_keys", broken)
    before = state()
    with pytest.raises(RuntimeError, match="out of memory"):
        transfer(armature, rigs.walk_in_place(), "walk")
    assert state() == before


def test_odd_rigs_and_motions_are_baked_or_refused_in_words():
    walk = rigs.walk_in_place()
    single = walk.slice(3, 4)
    armature = rigs.mixamo_like()
    assert tuple(transfer(armature, single, "still").action.frame_range) == (1, 1)
    with pytest.raises(RetargetError, match="at least one frame"):
        walk.slice(3, 3)
    with pytest.raises(RetargetError, match="not numbers"):
        Motion(walk.skeleton, 30, np.full_like(walk.root_pos, np.nan), walk.rotations)
    before = state()
    armature.scale = (-1, 1, 1)
    bpy.context.view_layer.update()
    with pytest.raises(AddonError, match="mirrored"):
        transfer(armature, walk, "walk")
    with pytest.raises(AddonError, match="has no bones"):
        transfer(bpy.data.objects.new("Empty", bpy.data.armatures.new("Empty")), walk, "walk")
    with pytest.raises((AddonError, RetargetError), match=r"bone map is empty|bone"):
        transfer(one_bone(), walk, "walk")
    assert [action.name for action in bpy.data.actions] == before[0]


def one_bone() -> bpy.types.Object:
    armature = bpy.data.objects.new("One", bpy.data.armatures.new("One"))
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    armature.data.edit_bones.new("only").tail = (0, 0, 1)
    bpy.ops.object.mode_set(mode="OBJECT")
    return armature


def test_bones_of_hardly_any_length_get_the_keys_of_others():
    whole, short = rigs.mixamo_like("Whole"), rigs.mixamo_like("Short")
    bpy.context.view_layer.objects.active = short
    bpy.ops.object.mode_set(mode="EDIT")
    for bone in short.data.edit_bones:
        bone.tail = bone.head + (bone.tail - bone.head).normalized() * 1e-5
    bpy.ops.object.mode_set(mode="OBJECT")
    made = [transfer(armature, rigs.walk_in_place(), armature.name).action for armature in (whole, short)]
    whole_keys, short_keys = ([tuple(key.co) for curve in curves(action) for key in curve.keyframe_points]
                              for action in made)
    assert np.allclose(whole_keys, short_keys, atol=1e-3)


def test_two_armatures_in_one_object_and_constraints_in_a_circle_are_no_obstacle():
    armature, other = rigs.mixamo_like(seed=2), one_bone()
    with bpy.context.temp_override(active_object=armature, object=armature,
                                   selected_editable_objects=[armature, other], selected_objects=[armature, other]):
        bpy.ops.object.join()
    for here, there in ((ARM, LEG), (LEG, ARM)):
        constraint = armature.pose.bones[here].constraints.new("COPY_ROTATION")
        constraint.target, constraint.subtarget, constraint.influence = armature, there, 0.5
    made = transfer(armature, rigs.walk_in_place(), "walk")
    assert len(made.bone_map.pairs) > 15 and "only" in armature.pose.bones


def test_a_bake_is_one_undo_step_and_leaves_the_scene_as_it_was(armature, tmp_path):
    rigs.walk_in_place().save(tmp_path / "motion.npz")
    held = bpy.context.scene.sfv
    held.target, held.captured.motion = armature, str(tmp_path / "motion.npz")
    own = bpy.data.actions.new("own")
    armature.animation_data_create().action = own
    bpy.context.view_layer.update()
    window = bpy.context.window_manager.windows[0]
    bpy.ops.ed.undo_push(message="before")
    before = [action.name for action in bpy.data.actions], [tuple(b.rotation_quaternion) for b in armature.pose.bones]
    with bpy.context.temp_override(window=window, screen=window.screen):
        bpy.ops.sfv.retarget("EXEC_DEFAULT", True)
        assert len(bpy.data.actions) == 2
        bpy.ops.ed.undo()
    armature = bpy.data.objects["Rig"]
    assert armature.animation_data.action.name == "own"
    assert ([action.name for action in bpy.data.actions],
            [tuple(b.rotation_quaternion) for b in armature.pose.bones]) == before
