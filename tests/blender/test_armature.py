"""What Blender shows after a bake is what the motion says, on every kind of rig."""

from __future__ import annotations

import math

import bpy
import numpy as np
import pytest
import rigs
from bl_ext.user_default.sfv import armature as armatures
from bl_ext.user_default.sfv import bake, channels
from bl_ext.user_default.sfv.errors import AddonError

from retarget import kinematics, rotation

QUARTER = math.pi / 2
FILES = ["mixamo_xbot.glb", "kaykit_medium.glb", "robot_expressive.glb", "mannequiny.glb", "cesium_man.glb", "fox.glb",
         "geno_apose.fbx"]


def assert_shows(armature: bpy.types.Object, motion, tolerance: float = 1e-4, skip: tuple[str, ...] = ()) -> None:
    """Compare Blender's own evaluation with forward kinematics: metres over the rig's height, and rad."""
    positions, turns = kinematics.world_poses(motion)
    height = max(np.ptp(kinematics.rest_pose(motion.skeleton)[0], axis=0).max(), 1.0)
    seen = [j for j, name in enumerate(motion.skeleton.names) if name not in skip]
    for frame in (0, len(motion) // 3, len(motion) - 1):
        heads, shown = rigs.shown(armature, motion.skeleton.names, 1 + frame)
        assert np.abs(heads - positions[frame])[seen].max() / height < tolerance
        assert rotation.angle(shown, turns[frame])[seen].max() < 10 * tolerance


def everything(skeleton) -> set[str]:
    return set(skeleton.names)


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("turn", [(0, 0, 0), (QUARTER, 0, 0), (0.3, -0.2, 2.0)])
def test_a_rig_scaled_and_turned_shows_the_motion(scale, turn):
    armature = rigs.mixamo_like(scale=scale, turn=turn, seed=1)
    skeleton = armatures.skeleton_of(armature, "mixamorig:Hips")
    np.testing.assert_allclose(kinematics.rest_pose(skeleton)[0][skeleton.root], [0, 0, 1], atol=1e-5)
    motion = rigs.wild_motion(skeleton)
    bake.bake(armature, motion, everything(skeleton), "a")
    assert_shows(armature, motion)


@pytest.mark.parametrize("mode", rigs.MODES)
def test_every_rotation_mode_shows_the_motion_and_stays(mode):
    armature = rigs.mixamo_like(seed=2)
    for bone in armature.pose.bones:
        bone.rotation_mode = mode
    motion = rigs.wild_motion(armatures.skeleton_of(armature))
    bake.bake(armature, motion, set(), "a")
    assert_shows(armature, motion)
    assert {bone.rotation_mode for bone in armature.pose.bones} == {mode}


@pytest.mark.parametrize("mode", rigs.MODES)
def test_channels_never_jump_between_frames(mode):
    axis = np.eye(3)["XYZ".index(mode[0])] if mode[0] in "XYZ" else np.eye(3)[2]
    turns = rotation.from_rotvec(np.linspace(-9, 9, 400)[:, None] * axis + [0.1, 0.2, 0.1])
    _, values = channels.rotation_channels(mode, turns * np.where(np.arange(400) % 2, 1, -1)[:, None])
    assert np.abs(np.diff(values, axis=0)).max() < 0.3


def test_bones_that_do_not_inherit_rotation_show_the_motion():
    armature = rigs.mixamo_like(seed=3)
    for name in ("mixamorig:Head", "mixamorig:LeftArm", "mixamorig:RightLeg"):
        armature.data.bones[name].use_inherit_rotation = False
    motion = rigs.wild_motion(armatures.skeleton_of(armature))
    bake.bake(armature, motion, set(), "a")
    assert_shows(armature, motion)


def test_bones_whose_location_is_not_local_show_the_motion():
    armature = rigs.mixamo_like(seed=4, above=True, turn=(QUARTER, 0, 0))
    for bone in armature.data.bones:
        bone.use_local_location = False
    motion = rigs.wild_motion(armatures.skeleton_of(armature, "mixamorig:Hips"))
    bake.bake(armature, motion, set(), "a")
    assert_shows(armature, motion)


def test_a_connected_hips_bone_travels_by_the_bone_above_it():
    armature = rigs.mixamo_like(above=True)
    bpy.ops.object.mode_set(mode="EDIT")
    armature.data.edit_bones["Root"].tail = armature.data.edit_bones["mixamorig:Hips"].head
    armature.data.edit_bones["mixamorig:Hips"].use_connect = True
    bpy.ops.object.mode_set(mode="OBJECT")
    motion = rigs.wild_motion(armatures.skeleton_of(armature, "mixamorig:Hips"))
    bake.bake(armature, motion, set(), "a")
    assert_shows(armature, motion, skip=("Root",))


def test_a_pose_above_the_hips_stays_and_counts_as_rest():
    armature = rigs.mixamo_like(above=True, seed=5)
    root = armature.pose.bones["Root"]
    root.location, root.rotation_quaternion = (0.4, -0.3, 0.2), (0.9, 0.1, 0.3, -0.2)
    motion = rigs.wild_motion(armatures.skeleton_of(armature, "mixamorig:Hips"))
    bake.bake(armature, motion, set(), "a")
    assert_shows(armature, motion)
    np.testing.assert_allclose(root.location, (0.4, -0.3, 0.2), atol=1e-6)


def test_a_bone_left_out_keeps_its_pose_and_gets_no_keys():
    armature = rigs.mixamo_like(seed=6)
    skeleton = armatures.skeleton_of(armature)
    hand = armature.pose.bones["mixamorig:LeftHand"]
    hand.rotation_quaternion = (0.8, 0.6, 0, 0)
    motion = rigs.wild_motion(skeleton)
    still = motion.rotations.copy()
    still[:, skeleton.index(hand.name)] = skeleton.rest_rotations[skeleton.index(hand.name)]
    action = bake.bake(armature, type(motion)(skeleton, motion.fps, motion.root_pos, still), set(), "a").action
    rigs.shown(armature, skeleton.names, 20)
    np.testing.assert_allclose(hand.rotation_quaternion, (0.8, 0.6, 0, 0), atol=1e-6)
    assert hand.name not in {group.name for group in rigs.bags(action)[0].groups}


@pytest.mark.parametrize("file", FILES)
def test_real_rigs_show_the_motion(shared_data, file):
    armature = rigs.load(shared_data / "rigs" / file)
    for bone in armature.pose.bones:
        bone.matrix_basis.identity()
        bone.scale = (1, 1, 1)
    motion = rigs.wild_motion(armatures.skeleton_of(armature))
    bake.bake(armature, motion, set(), "a", bake.BakeOptions(fps=motion.fps))
    assert_shows(armature, motion, tolerance=3e-4)


def test_an_uneven_scale_is_refused_with_what_to_do():
    armature = rigs.mixamo_like()
    armature.scale = (1, 1, 2)
    bpy.context.view_layer.update()
    with pytest.raises(AddonError, match=r"unevenly \(1, 1, 2\). Apply its scale"):
        armatures.skeleton_of(armature)


@pytest.mark.parametrize("scale", [(-1, 1, 1), (-1, -1, -1)])
@pytest.mark.parametrize("hung", [False, True])
def test_a_mirrored_rig_is_refused_as_mirrored(scale, hung):
    armature = rigs.mixamo_like()
    above = bpy.data.objects.new("Above", None) if hung else armature
    if hung:
        bpy.context.scene.collection.objects.link(above)
        armature.parent = above
    above.scale = scale
    bpy.context.view_layer.update()
    with pytest.raises(AddonError, match="'Rig' is mirrored by a negative scale, its own or that of what it hangs on"):
        armatures.skeleton_of(armature)


def test_an_armature_without_bones_is_refused():
    armature = bpy.data.objects.new("Empty", bpy.data.armatures.new("Empty"))
    with pytest.raises(AddonError, match="has no bones"):
        armatures.skeleton_of(armature)


def test_an_unknown_root_is_refused_with_the_bones_there_are():
    with pytest.raises(AddonError, match=r"No bone 'hip' in 'Rig'. Bones: mixamorig:Hips"):
        armatures.skeleton_of(rigs.mixamo_like(), "hip")
