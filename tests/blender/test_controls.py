"""A motion on rigs that move by controls: the deform bones come where the motion has them, and nothing else changes."""

from __future__ import annotations

import re

import bpy
import control_rigs
import numpy as np
import pytest
import rigs
from bl_ext.user_default.sfv.bake import BakeOptions, moved_joints, write
from bl_ext.user_default.sfv.controls import control_channels
from bl_ext.user_default.sfv.deform import deform_skeleton, is_control_rig
from bl_ext.user_default.sfv.errors import AddonError
from bl_ext.user_default.sfv.locks import respect
from bl_ext.user_default.sfv.transfer import Choices, perform, transfer

from retarget import Motion, kinematics, rotation

LIMB = re.compile(r"DEF-(thigh|shin|upper_arm|forearm)\.[LR]$")
OWN_TWIST = re.compile(r"DEF-(thigh|upper_arm|spine\.00[12]|thumb\.01|f_.*\.01)")
"""Deform bones whose twist a Rigify rig makes itself, from those above and below; their direction counts."""
BODY = re.compile(r"DEF-(spine(\.00[1236])?|(thigh|shin|foot|toe|shoulder|upper_arm|forearm|hand)\.[LR])$")
NECK = ("DEF-spine.004", "DEF-spine.005")
"""Two bones with one control."""


@pytest.fixture(scope="module")
def rigify(tmp_path_factory):
    """Return a function that opens a generated rig, each generated once."""
    folder, made = tmp_path_factory.mktemp("rigify"), {}

    def rig(kind: str = "human") -> bpy.types.Object:
        if kind not in made:
            made[kind] = control_rigs.generate(kind, folder / f"{kind}.blend")
        return control_rigs.opened(made[kind])
    return rig


def bent_walk(frames: int = 31) -> Motion:
    """Make a small body walk with knees and elbows that are never straight."""
    motion = rigs.walk_in_place(frames)
    turns = rotation.to_rotvec(motion.rotations)
    for j, name in enumerate(motion.skeleton.names):
        if "knee" in name:
            turns[:, j, 0] += 0.25
        if "elbow" in name:
            turns[:, j, 2] += 0.6 if "left" in name else -0.6
    travel = np.linspace([0, 0, 0.95], [0.1, -1.0, 0.9], frames)
    return Motion(motion.skeleton, motion.fps, travel, rotation.from_rotvec(turns))


def baked(armature: bpy.types.Object, motion: Motion, limbs: str = "auto") -> Motion:
    """Retarget and bake a motion; return it on the rig."""
    choices = Choices(limbs=limbs, bake=BakeOptions(fps=motion.fps))
    on_rig = perform(armature, motion, choices).on_rig
    transfer(armature, motion, "walk", choices)
    return on_rig


def keyed(armature: bpy.types.Object, on_rig: Motion) -> tuple[str, ...]:
    """Bake a motion of a rig's own deform bones onto its controls; return the notes."""
    solved = control_channels(armature, on_rig, moved_joints(on_rig))
    write(armature, solved.channels, 1 + np.arange(len(on_rig)), "wild", BakeOptions())
    return solved.notes


def errors(armature: bpy.types.Object, wanted: Motion, names: list[str], frames: tuple[int, ...] = (0, 7, 15, 22, 30)
           ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measure bones against a motion: angle and angle of direction in degrees, distance of heads in m, (J,) each."""
    positions, world = kinematics.world_poses(wanted)
    columns = [wanted.skeleton.index(name) for name in names]
    found = []
    for frame in frames:
        heads, turns = rigs.shown(armature, tuple(names), frame + 1)
        axes = [rotation.rotate(q, np.array([0.0, 1.0, 0.0])) for q in (turns, world[frame, columns])]
        off = 2 * np.arcsin(np.clip(np.linalg.norm(axes[0] - axes[1], axis=1) / 2, 0, 1))
        found.append([np.degrees(rotation.angle(turns, world[frame, columns])), np.degrees(off),
                      np.linalg.norm(heads - positions[frame, columns], axis=1)])
    return tuple(np.max(found, axis=0))


def assert_follows(armature: bpy.types.Object, wanted: Motion, ik: str = "^$") -> None:
    """The rig's moved deform bones are as wanted: 0.1° and 0.1 mm, limbs named by `ik` 0.5° and 1 mm."""
    names = sorted({name for name in wanted.skeleton.names if BODY.match(name)} | moved_joints(wanted))
    names = [name for name in names if name not in NECK and not re.search(r"\.[LR]\.001$", name)]
    turn, way, place = errors(armature, wanted, names)
    for name, *off in zip(names, turn, way, place, strict=True):
        by_ik = re.search(ik, name) is not None
        angle = off[1] if OWN_TWIST.match(name) or (by_ik and LIMB.match(name)) else off[0]
        assert angle < (0.5 if by_ik else 0.1), (name, off)
        assert off[2] < (1e-3 if by_ik else 2e-3 if name == "DEF-spine.006" else 1e-4), (name, off)


LEGS, BOTH = r"thigh|shin|foot|toe", r"thigh|shin|foot|toe|arm|hand"


@pytest.mark.parametrize(("kind", "limbs", "ik"), [("human", "fk", "^$"), ("human", "ik", BOTH),
                                                   ("human", "auto", LEGS), ("basic_human", "auto", LEGS)])
def test_a_rigify_rig_walks(rigify, kind, limbs, ik):
    armature = rigify(kind)
    on_rig = baked(armature, bent_walk(), limbs)
    assert len(moved_joints(on_rig)) >= 10
    assert_follows(armature, on_rig, ik)


def test_a_rigify_rig_follows_the_wildest_motion_by_fk(rigify):
    armature = rigify()
    skeleton = deform_skeleton(armature, "DEF-spine")
    still = [j for j, name in enumerate(skeleton.names)
             if not BODY.match(name) and not name.startswith(("DEF-thumb", "DEF-f_"))]
    motion = rigs.wild_motion(skeleton, 31)
    rotations = motion.rotations.copy()
    rotations[:, still] = skeleton.rest_rotations[still]
    on_rig = Motion(skeleton, 24.0, motion.root_pos, rotations)
    solved = control_channels(armature, on_rig, moved_joints(on_rig), "fk")
    assert not solved.notes
    write(armature, solved.channels, 1 + np.arange(31), "wild", BakeOptions())
    assert_follows(armature, on_rig)


@pytest.mark.parametrize("limbs", ["fk", "ik"])
def test_limbs_switch_between_fk_and_ik_without_a_jump(rigify, limbs):
    armature = rigify()
    on_rig = baked(armature, bent_walk(), limbs)
    for bag in rigs.bags(armature.animation_data.action):
        for curve in [c for c in bag.fcurves if c.data_path.endswith('["IK_FK"]')]:
            assert len(curve.keyframe_points) == 1 and curve.keyframe_points[0].interpolation == "CONSTANT"
            value = curve.keyframe_points[0].co[1]
            assert value == (1.0 if limbs == "fk" else 0.0)
            curve.keyframe_points[0].co[1] = 1.0 - value
            curve.update()
    assert_follows(armature, on_rig, BOTH if limbs == "fk" else "^$")


def test_a_rigify_rig_gets_keys_on_its_controls_only(rigify):
    armature = rigify()
    baked(armature, bent_walk())
    groups = {group.name for bag in rigs.bags(armature.animation_data.action) for group in bag.groups}
    assert {"torso", "spine_fk", "hand_fk.L", "hand_ik.L", "foot_ik.R", "thigh_ik_target.R", "shin_fk.L"} <= groups
    assert not groups & {"root", "chest", "hips", "foot_heel_ik.L", "foot_spin_ik.L", "jaw", "f_index.01_master.L"}
    inner = {name for name in groups if name.startswith(("DEF-", "ORG-"))}
    assert not inner


def test_what_the_user_posed_above_the_body_stays_and_within_it_gives_way(rigify):
    armature = rigify()
    pose = armature.pose.bones
    pose["root"].location, pose["root"].rotation_quaternion = (0.5, 0.2, 0.0), (0.9, 0.0, 0.436, 0.0)
    pose["chest"].rotation_quaternion = (0.9, 0.436, 0.0, 0.0)
    pose["f_index.01_master.L"].rotation_quaternion = (0.9, 0.436, 0.0, 0.0)
    pose["jaw_master"].rotation_quaternion = (0.95, 0.312, 0.0, 0.0)
    on_rig = baked(armature, bent_walk())
    assert_follows(armature, on_rig, LEGS)
    np.testing.assert_allclose(pose["root"].location, (0.5, 0.2, 0.0), atol=1e-6)
    np.testing.assert_allclose(pose["jaw_master"].rotation_quaternion, (0.95, 0.312, 0.0, 0.0), atol=1e-6)


@pytest.mark.parametrize("kind", control_rigs.KINDS)
def test_a_rig_made_by_hand_follows_the_wildest_motion(kind):
    armature = control_rigs.parallel(kind)
    assert is_control_rig(armature)
    on_rig = rigs.wild_motion(deform_skeleton(armature, "mixamorig:Hips"), 31)
    assert not keyed(armature, on_rig)
    turn, _, place = errors(armature, on_rig, list(on_rig.skeleton.names))
    assert turn.max() < 0.1
    assert place.max() < 1e-4


def test_hips_that_only_turn_with_their_control_travel_with_what_carries_them():
    armature = control_rigs.parallel("COPY_ROTATION")
    hips = armature.pose.bones["mixamorig:Hips"]
    hips.constraints.remove(next(c for c in hips.constraints if c.type == "COPY_LOCATION"))
    on_rig = rigs.wild_motion(deform_skeleton(armature, "mixamorig:Hips"), 31)
    keyed(armature, on_rig)
    turn, _, place = errors(armature, on_rig, list(on_rig.skeleton.names))
    assert turn.max() < 0.1
    assert place.max() < 1e-4


def test_what_hangs_on_a_locked_control_makes_up_for_it():
    armature = control_rigs.parallel("COPY_TRANSFORMS")
    knee = armature.pose.bones["CTRL mixamorig:LeftLeg"]
    knee.rotation_mode, knee.lock_rotation = "XYZ", (False, True, True)
    on_rig = rigs.wild_motion(deform_skeleton(armature, "mixamorig:Hips"), 31)
    solved = control_channels(armature, on_rig, set(on_rig.skeleton.names))
    write(armature, respect(armature, solved.channels)[0], 1 + np.arange(31), "wild", BakeOptions())
    turn, _, _ = errors(armature, on_rig, ["mixamorig:LeftLeg", "mixamorig:LeftFoot", "mixamorig:LeftUpLeg"])
    assert turn[0] > 1
    assert turn[1:].max() < 0.1
    curves = [c for bag in rigs.bags(armature.animation_data.action) for c in bag.fcurves if knee.name in c.data_path]
    assert {(c.data_path.rsplit(".", 1)[1], c.array_index) for c in curves} == {("rotation_euler", 0)}


@pytest.mark.parametrize("mode", ["XYZ", "ZXY", "AXIS_ANGLE"])
def test_controls_keep_their_rotation_mode_whatever_the_objects_scale(mode):
    armature = control_rigs.parallel("ARMATURE", scale=0.01, turn=(1.5707963, 0, 0.3))
    for bone in armature.pose.bones:
        bone.rotation_mode = mode
    on_rig = rigs.wild_motion(deform_skeleton(armature, "mixamorig:Hips"), 31)
    keyed(armature, on_rig)
    assert all(bone.rotation_mode == mode for bone in armature.pose.bones)
    turn, _, place = errors(armature, on_rig, list(on_rig.skeleton.names))
    assert turn.max() < 0.1
    assert place.max() < 2e-4


def test_flat_deform_bones_hang_on_those_that_their_controls_hang_on():
    flat = deform_skeleton(control_rigs.parallel("CHILD_OF"), "mixamorig:Hips")
    tree = deform_skeleton(control_rigs.parallel("COPY_TRANSFORMS"), "mixamorig:Hips")
    parents = [{name: s.names[p] if p >= 0 else None for name, p in zip(s.names, s.parents, strict=True)}
               for s in (flat, tree)]
    assert parents[0] == parents[1]


def test_a_rig_with_ik_legs_steps():
    armature = control_rigs.with_ik_legs()
    on_rig = baked(armature, bent_walk())
    names = sorted(moved_joints(on_rig))
    assert {"mixamorig:LeftUpLeg", "mixamorig:RightLeg", "mixamorig:LeftFoot"} <= set(names)
    turn, way, place = errors(armature, on_rig, names)
    for name, *off in zip(names, turn, way, place, strict=True):
        assert off[1 if name.endswith("Leg") else 0] < 0.5, (name, off)
        assert off[2] < 1e-3, (name, off)
    groups = {group.name for bag in rigs.bags(armature.animation_data.action) for group in bag.groups}
    assert {"IK Left", "Pole Right"} <= groups
    assert "mixamorig:LeftLeg" not in groups


def test_a_bone_that_no_control_turns_is_named():
    armature = control_rigs.parallel("COPY_TRANSFORMS", without=("mixamorig:LeftHand",))
    notes = keyed(armature, rigs.wild_motion(deform_skeleton(armature, "mixamorig:Hips")))
    assert any("'mixamorig:LeftHand'" in note for note in notes)


def test_how_well_the_rig_follows_is_measured(rigify):
    made = transfer(rigify(), bent_walk(), "walk", Choices(bake=BakeOptions(fps=30)))
    assert made.following is not None
    assert made.following.degrees < 0.5
    assert made.following.metres < 2e-3


def state(armature: bpy.types.Object) -> dict:
    """Return everything of a scene that a failed or finished solution must leave alone."""
    animation = armature.animation_data
    return {"pose": {b.name: (*b.matrix_basis.col[0], *b.matrix_basis.col[3]) for b in armature.pose.bones},
            "properties": {b.name: {k: v for k, v in b.items() if isinstance(v, int | float)}
                           for b in armature.pose.bones},
            "mute": [c.mute for b in armature.pose.bones for c in b.constraints],
            "animation": (animation.action, getattr(animation, "action_slot", None), animation.use_nla,
                          [track.mute for track in animation.nla_tracks]),
            "data": (armature.data.pose_position, armature.hide_viewport, len(bpy.data.scenes), len(bpy.data.actions)),
            "frame": bpy.context.scene.frame_current}


def test_solving_leaves_the_scene_as_it_is(rigify):
    armature = rigify()
    armature.pose.bones["torso"].location = (0.0, 0.1, 0.2)
    armature.pose.bones["head"].keyframe_insert("rotation_quaternion", frame=3)
    armature.animation_data.nla_tracks.new().mute = True
    armature.pose.bones["thigh_parent.L"]["IK_FK"] = 0.25
    armature.data.pose_position = "REST"
    bpy.context.scene.frame_current = 7
    before = state(armature)
    perform(armature, bent_walk(), Choices(bake=BakeOptions(fps=30)))
    assert state(armature) == before


def test_bones_that_move_one_another_are_named_and_nothing_has_changed():
    armature = control_rigs.parallel("COPY_TRANSFORMS")
    for one, other in (("Spine", "Spine1"), ("Spine1", "Spine")):
        constraint = armature.pose.bones[f"CTRL mixamorig:{one}"].constraints.new("COPY_ROTATION")
        constraint.target, constraint.subtarget = armature, f"CTRL mixamorig:{other}"
    armature.pose.bones["CTRL mixamorig:Hips"].location = (0.1, 0.0, 0.0)
    armature.pose.bones["CTRL mixamorig:Hips"].keyframe_insert("location", frame=1)
    before = state(armature)
    with pytest.raises(AddonError, match="move one another"):
        transfer(armature, rigs.walk_in_place(), "walk")
    assert state(armature) == before


def test_the_action_that_was_there_keeps_its_keys(rigify):
    armature = rigify()
    armature.pose.bones["jaw_master"].rotation_quaternion = (0.95, 0.312, 0.0, 0.0)
    armature.pose.bones["jaw_master"].keyframe_insert("rotation_quaternion", frame=3)
    old = armature.animation_data.action
    baked(armature, bent_walk())
    assert armature.animation_data.action != old
    assert {curve.data_path for bag in rigs.bags(old) for curve in bag.fcurves} == {
        'pose.bones["jaw_master"].rotation_quaternion'}
    groups = {group.name for bag in rigs.bags(armature.animation_data.action) for group in bag.groups}
    assert "jaw_master" not in groups
