"""Rigs whose deform bones follow controls: Rigify's, generated, and some put together by hand."""

from __future__ import annotations

import math
from pathlib import Path

import addon_utils
import bpy
import numpy as np
import rigs
from mathutils import Vector

KINDS = ("COPY_TRANSFORMS", "COPY_ROTATION", "ARMATURE", "CHILD_OF")


def generate(kind: str, path: Path) -> Path:
    """Generate a Rigify rig ("human" or "basic_human") and save it."""
    bpy.ops.wm.read_homefile(use_empty=True)
    addon_utils.enable("rigify", default_set=True)
    getattr(bpy.ops.object, f"armature_{kind}_metarig_add")()
    metarig = bpy.context.object
    bpy.ops.pose.rigify_generate()
    bpy.data.objects.remove(metarig)
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    return path


def opened(path: Path) -> bpy.types.Object:
    """Open a saved rig and return its armature."""
    bpy.ops.wm.open_mainfile(filepath=str(path))
    return next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")


def parallel(kind: str, seed: int = 0, scale: float = 1.0, turn: tuple[float, float, float] = (0, 0, 0),
             without: tuple[str, ...] = ()) -> bpy.types.Object:
    """Build a rig with a control beside each deform bone, elsewhere and rolled at random, that holds it by constraints.

    kind: the constraint's type; deform bones have no parents for ARMATURE and CHILD_OF. without: bones left free of
    constraints and locked, so that nothing turns them.
    """
    armature = rigs.mixamo_like(scale=scale, turn=turn, above=True)
    generator = np.random.default_rng(seed)
    names = [bone.name for bone in armature.data.bones if bone.name != "Root"]
    into = armature.matrix_world.inverted().to_3x3()
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    for name in names:
        control, inner = bones.new(f"CTRL {name}"), bones.new(f"MCH {name}")
        offset = into @ Vector(generator.normal(size=3) * (0.03 if kind in ("ARMATURE", "CHILD_OF") else 0.0))
        control.head, control.tail = bones[name].head + offset, bones[name].tail + 2 * offset
        control.roll = generator.uniform(-math.pi, math.pi)
        inner.head, inner.tail, inner.roll = bones[name].head, bones[name].tail, bones[name].roll
        inner.parent = control
        control.use_deform = inner.use_deform = False
    for name in names:
        parent = bones[name].parent
        bones[f"CTRL {name}"].parent = bones.get(f"CTRL {parent.name}", bones["Root"])
        if kind in ("ARMATURE", "CHILD_OF"):
            bones[name].use_connect, bones[name].parent = False, None
    bones["Root"].use_deform = False
    bpy.ops.object.mode_set(mode="OBJECT")
    for name in names:
        pose = armature.pose.bones[name]
        if name in without:
            pose.lock_rotation = pose.lock_location = (True,) * 3
        else:
            _hold(armature, pose, kind)
    for name in names:
        armature.data.bones[f"MCH {name}"].hide = True
    return armature


def _hold(armature: bpy.types.Object, bone: bpy.types.PoseBone, kind: str) -> None:
    """Have a deform bone follow its control."""
    constraint = bone.constraints.new(kind)
    if kind == "ARMATURE":
        target = constraint.targets.new()
        target.target, target.subtarget = armature, f"CTRL {bone.name}"
        return
    constraint.target = armature
    constraint.subtarget = f"{'CTRL' if kind == 'CHILD_OF' else 'MCH'} {bone.name}"
    if kind == "CHILD_OF":
        constraint.inverse_matrix = armature.data.bones[constraint.subtarget].matrix_local.inverted()
    if kind == "COPY_ROTATION" and bone.name == "mixamorig:Hips":
        place = bone.constraints.new("COPY_LOCATION")
        place.target, place.subtarget = armature, f"MCH {bone.name}"


def with_ik_legs() -> bpy.types.Object:
    """Build a rig with free bones, but legs that follow a foot and a pole control by IK."""
    armature = rigs.mixamo_like(above=True)
    bpy.ops.object.mode_set(mode="EDIT")
    bones = armature.data.edit_bones
    for side, x in (("Left", 0.1), ("Right", -0.1)):
        foot, pole = bones.new(f"IK {side}"), bones.new(f"Pole {side}")
        ankle = bones[f"mixamorig:{side}Foot"]
        foot.head, foot.tail, foot.roll = ankle.head, ankle.tail, ankle.roll
        pole.head, pole.tail = (x, -0.8, 0.52), (x, -0.9, 0.52)
        foot.parent = pole.parent = bones["Root"]
        foot.use_deform = pole.use_deform = False
    bones["Root"].use_deform = False
    bpy.ops.object.mode_set(mode="OBJECT")
    for side in ("Left", "Right"):
        upper, lower, foot = (armature.pose.bones[f"mixamorig:{side}{name}"] for name in ("UpLeg", "Leg", "Foot"))
        ik = lower.constraints.new("IK")
        ik.target = ik.pole_target = armature
        ik.subtarget, ik.pole_subtarget, ik.chain_count = f"IK {side}", f"Pole {side}", 2
        ik.pole_angle = _pole_angle(upper, lower, armature.pose.bones[f"Pole {side}"].head)
        turn = foot.constraints.new("COPY_ROTATION")
        turn.target, turn.subtarget = armature, f"IK {side}"
    return armature


def _pole_angle(base: bpy.types.PoseBone, tip: bpy.types.PoseBone, pole: Vector) -> float:
    """Return the pole angle with which the limb rests as it is drawn."""
    along = base.tail - base.head
    across = (tip.tail - base.head).cross(pole - base.head).cross(along)
    angle = base.x_axis.angle(across)
    return -angle if base.x_axis.cross(across).angle(along) > 1 else angle
