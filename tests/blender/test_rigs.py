"""A motion on real rigs: it arrives on the right bones, the right way up, and leaves the rest alone."""

from __future__ import annotations

import math

import addon_utils
import bpy
import numpy as np
import pytest
import rigs
from bl_ext.user_default.sfv.bake import BakeOptions
from bl_ext.user_default.sfv.errors import AddonError
from bl_ext.user_default.sfv.transfer import Choices, transfer
from mathutils import Matrix

from retarget import RetargetError

AT_30 = Choices(bake=BakeOptions(fps=30))

# file: name of hips, head, left and right foot
LANDMARKS = {
    "mixamo_xbot.glb": ("mixamorig:Hips", "mixamorig:Head", "mixamorig:LeftFoot", "mixamorig:RightFoot"),
    "kaykit_medium.glb": ("hips", "head", "foot.l", "foot.r"),
    "mannequiny.glb": ("pelvis", "head", "foot.l", "foot.r"),
    "geno_apose.fbx": ("Hips", "Head", "LeftFoot", "RightFoot"),
}


def assert_walks(armature: bpy.types.Object, landmarks: tuple[str, ...]) -> None:
    """The head is above the hips above the feet; the left foot is to the left and lifts when its turn comes."""
    first, last = (int(frame) for frame in armature.animation_data.action.frame_range)
    frames = np.array([rigs.shown(armature, landmarks, frame)[0] for frame in range(first, last + 1)])
    hips, head, left, right = np.moveaxis(frames, 1, 0)
    height = (head - hips)[:, 2].mean()
    assert np.all((head - hips)[:, 2] > 0.8 * height) and np.all(hips[:, 2] > np.maximum(left, right)[:, 2])
    assert np.all(left[:, 0] > right[:, 0])
    forward = np.array([left[:, 1] - right[:, 1]]).ravel()
    assert forward.min() < -0.2 * height and forward.max() > 0.2 * height


@pytest.mark.parametrize("file", LANDMARKS)
def test_a_real_rig_walks(shared_data, file):
    armature = rigs.load(shared_data / "rigs" / file)
    transfer(armature, rigs.walk_in_place(), "walk", AT_30)
    assert_walks(armature, LANDMARKS[file])


def test_a_rig_with_an_object_scale_of_100_moves(shared_data):
    armature = rigs.load(shared_data / "rigs" / "robot_expressive.glb")
    made = transfer(armature, rigs.walk_in_place(), "walk", AT_30)
    assert len(made.bone_map.pairs) > 8
    assert np.isfinite(rigs.shown(armature, ("Body",), 10)[0]).all()


def test_a_rigify_metarig_walks():
    addon_utils.enable("rigify", default_set=True)
    bpy.ops.object.armature_human_metarig_add()
    armature = bpy.context.object
    transfer(armature, rigs.walk_in_place(), "walk", AT_30)
    assert_walks(armature, ("spine", "spine.006", "foot.L", "foot.R"))


@pytest.mark.parametrize(("scale", "turn"), [(1.0, (0, 0, 0)), (0.01, (1.5707963, 0, 0)), (100.0, (0, 0, 0))])
def test_a_rig_of_our_own_walks_whatever_its_scale(scale, turn):
    armature = rigs.mixamo_like(scale=scale, turn=turn, seed=8)
    transfer(armature, rigs.walk_in_place(), "walk", AT_30)
    assert_walks(armature, tuple(f"mixamorig:{name}" for name in ("Hips", "Head", "LeftFoot", "RightFoot")))


def test_a_rig_that_moves_by_its_controls_is_refused():
    armature, controls = rigs.mixamo_like(), rigs.mixamo_like("Controls")
    for bone in armature.pose.bones:
        constraint = bone.constraints.new("COPY_TRANSFORMS")
        constraint.target, constraint.subtarget = controls, bone.name
    with pytest.raises(AddonError, match="moves by its controls"):
        transfer(armature, rigs.walk_in_place(), "walk")
    assert not bpy.data.actions


def test_fingers_that_no_joint_drives_get_no_keys(shared_data):
    armature = rigs.load(shared_data / "rigs" / "mixamo_xbot.glb")
    thumb = armature.pose.bones["mixamorig:LeftHandThumb2"]
    thumb.rotation_quaternion = (0.8, 0.6, 0.0, 0.0)
    action = transfer(armature, rigs.walk_in_place(), "walk", AT_30).action
    bpy.context.scene.frame_set(10)
    np.testing.assert_allclose(thumb.rotation_quaternion, (0.8, 0.6, 0.0, 0.0), atol=1e-6)
    assert thumb.name not in {group.name for bag in rigs.bags(action) for group in bag.groups}


def test_a_rig_that_rests_as_no_body_is_taken_as_it_is_posed():
    armature = rigs.mixamo_like()
    bpy.ops.object.mode_set(mode="EDIT")
    for bone in armature.data.edit_bones:
        if any(word in bone.name for word in ("UpLeg", "Leg", "Foot", "Toe")):
            head, tail = ((v.x, -v.y, 1.9 - v.z) for v in (bone.head, bone.tail))
            bone.head, bone.tail = head, tail
    bpy.ops.object.mode_set(mode="OBJECT")
    with pytest.raises(RetargetError, match="rest pose is not a body"):
        transfer(armature, rigs.walk_in_place(), "walk")
    assert not bpy.data.actions
    for side in ("Left", "Right"):
        thigh = armature.pose.bones[f"mixamorig:{side}UpLeg"]
        down = Matrix.Rotation(math.pi, 4, "X") @ thigh.bone.matrix_local.to_3x3().to_4x4()
        thigh.matrix = Matrix.Translation(thigh.head) @ down
        bpy.context.view_layer.update()
    made = transfer(armature, rigs.walk_in_place(), "walk")
    assert any("rests in a pose that is no body" in note for note in made.notes)
    heads, _ = rigs.shown(armature, tuple(f"mixamorig:{name}" for name in ("Head", "Hips", "LeftFoot")), 10)
    assert heads[0, 2] > heads[1, 2] > heads[2, 2] + 0.5
