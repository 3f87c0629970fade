"""Rigs and motions that the tests make themselves."""

from __future__ import annotations

import math
from pathlib import Path

import bpy
import numpy as np
from mathutils import Euler, Matrix

from retarget import Motion, Skeleton, rotation

# name: (parent, head, tail) in m; the left side, mirrored for the right.
MIDDLE = {
    "Hips": (None, (0, 0, 1.0), (0, 0, 1.1)),
    "Spine": ("Hips", (0, 0, 1.1), (0, 0, 1.25)),
    "Spine1": ("Spine", (0, 0, 1.25), (0, 0, 1.4)),
    "Neck": ("Spine1", (0, 0, 1.5), (0, 0, 1.6)),
    "Head": ("Neck", (0, 0, 1.6), (0, 0, 1.8)),
}
SIDE = {
    "Shoulder": ("Spine1", (0.05, 0, 1.45), (0.18, 0, 1.45)),
    "Arm": ("Shoulder", (0.18, 0, 1.45), (0.45, 0, 1.45)),
    "ForeArm": ("Arm", (0.45, 0, 1.45), (0.7, 0, 1.45)),
    "Hand": ("ForeArm", (0.7, 0, 1.45), (0.85, 0, 1.45)),
    "UpLeg": ("Hips", (0.1, 0, 0.95), (0.1, -0.02, 0.52)),
    "Leg": ("UpLeg", (0.1, -0.02, 0.52), (0.1, 0, 0.1)),
    "Foot": ("Leg", (0.1, 0, 0.1), (0.1, -0.13, 0.02)),
    "ToeBase": ("Foot", (0.1, -0.13, 0.02), (0.1, -0.2, 0.02)),
}
MODES = ("QUATERNION", "XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX", "AXIS_ANGLE")


def mixamo_like(name: str = "Rig", scale: float = 1.0, turn: tuple[float, float, float] = (0, 0, 0),
                connected: bool = False, above: bool = False, seed: int | None = None) -> bpy.types.Object:
    """Build an armature with Mixamo's names that stands in the world as above whatever its object's scale and turn.

    connected: children at their parent's tail are connected; above: a bone "Root" above the hips; seed: random rolls.
    """
    armature = bpy.data.objects.new(name, bpy.data.armatures.new(name))
    bpy.context.scene.collection.objects.link(armature)
    armature.matrix_world = Matrix.LocRotScale(None, Euler(turn), (scale,) * 3)
    bpy.context.view_layer.objects.active = armature
    bpy.context.view_layer.update()
    bpy.ops.object.mode_set(mode="EDIT")
    into = armature.matrix_world.inverted()
    for bone, (parent, head, tail) in _bones(above).items():
        edit = armature.data.edit_bones.new(bone)
        edit.head, edit.tail = into @ _vector(head), into @ _vector(tail)
        edit.parent = armature.data.edit_bones.get(parent or "")
        edit.use_connect = connected and edit.parent is not None and (edit.parent.tail - edit.head).length < 1e-6
    if seed is not None:
        generator = np.random.default_rng(seed)
        for edit in armature.data.edit_bones:
            edit.roll = generator.uniform(-math.pi, math.pi)
    bpy.ops.object.mode_set(mode="OBJECT")
    return armature


def _bones(above: bool) -> dict[str, tuple[str | None, tuple, tuple]]:
    bones = {"Root": (None, (0, 0, 0), (0, 0.3, 0))} if above else {}
    bones |= {f"mixamorig:{n}": (f"mixamorig:{p}" if p else ("Root" if above else None), h, t)
              for n, (p, h, t) in MIDDLE.items()}
    for side, sign in (("Left", 1), ("Right", -1)):
        for n, (p, h, t) in SIDE.items():
            parent = f"mixamorig:{side}{p}" if p in SIDE else f"mixamorig:{p}"
            bones[f"mixamorig:{side}{n}"] = (parent, (sign * h[0], *h[1:]), (sign * t[0], *t[1:]))
    return bones


def _vector(values: tuple[float, float, float]) -> Matrix:
    return Matrix.Translation(values).translation


def wild_motion(skeleton: Skeleton, frames: int = 40, fps: float = 24.0, seed: int = 0) -> Motion:
    """Make every joint from the root down turn far from rest, smoothly, while the root travels."""
    generator = np.random.default_rng(seed)
    time = np.linspace(0, 1, frames)[:, None, None]
    vectors = sum(np.sin(2 * math.pi * k * time + generator.uniform(0, 6, (1, len(skeleton), 3)))
                  * generator.normal(size=(1, len(skeleton), 3)) for k in (1, 2))
    rotations = rotation.multiply(skeleton.rest_rotations, rotation.from_rotvec(vectors))
    still = [j for j in range(len(skeleton)) if not _below(skeleton, j)]
    rotations[:, still] = skeleton.rest_rotations[still]
    travel = np.cumsum(generator.normal(size=(frames, 3)) * 0.05, axis=0) + [0, 0, 1]
    return Motion(skeleton, fps, travel, rotations)


def _below(skeleton: Skeleton, j: int) -> bool:
    while j >= 0 and j != skeleton.root:
        j = int(skeleton.parents[j])
    return j == skeleton.root


def walk_in_place(frames: int = 45, fps: float = 30.0) -> Motion:
    """Make a small body with SMPL's names lift its knees and swing its arms."""
    places = {"pelvis": (None, (0, 0, 0.95)), "spine1": ("pelvis", (0, 0, 0.12)), "spine2": ("spine1", (0, 0, 0.13)),
              "neck": ("spine2", (0, 0, 0.25)), "head": ("neck", (0, 0, 0.1))}
    side = {"hip": ("pelvis", (0.1, 0, -0.05)), "knee": ("hip", (0, 0, -0.42)), "ankle": ("knee", (0, 0, -0.4)),
            "foot": ("ankle", (0, -0.12, -0.06)), "collar": ("spine2", (0.06, 0, 0.2)),
            "shoulder": ("collar", (0.1, 0, 0)), "elbow": ("shoulder", (0.27, 0, 0)), "wrist": ("elbow", (0.25, 0, 0))}
    for word, x in (("left", 1), ("right", -1)):
        for joint, (parent, place) in side.items():
            above = f"{word}_{parent}" if parent in side else parent
            places[f"{word}_{joint}"] = (above, (x * place[0], *place[1:]))
    names = list(places)
    rest = np.tile(rotation.IDENTITY, (len(names), 1))
    skeleton = Skeleton(tuple(names), [names.index(p) if p else -1 for p, _ in places.values()],
                        [place for _, place in places.values()], rest)
    turns = np.zeros((frames, len(names), 3))
    swing = np.sin(np.linspace(0, 4 * math.pi, frames))
    for side, sign in (("left", 1), ("right", -1)):
        turns[:, names.index(f"{side}_hip"), 0] = -0.5 * swing * sign
        turns[:, names.index(f"{side}_knee"), 0] = 0.3 + 0.3 * swing * sign
        turns[:, names.index(f"{side}_shoulder"), 1] = 1.2 * sign
    return Motion(skeleton, fps, np.tile([0, 0, 0.95], (frames, 1)), rotation.from_rotvec(turns))


def load(path: Path) -> bpy.types.Object:
    """Import a file and return its armature."""
    importers = {".glb": bpy.ops.import_scene.gltf, ".fbx": bpy.ops.import_scene.fbx, ".bvh": bpy.ops.import_anim.bvh}
    importers[path.suffix](filepath=str(path))
    return next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")


def shown(armature: bpy.types.Object, names: tuple[str, ...], frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what Blender shows at a frame: heads in the world (J, 3) m from the object's origin, rotations (J, 4)."""
    bpy.context.scene.frame_set(frame)
    evaluated = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
    world = [np.array(evaluated.matrix_world @ evaluated.pose.bones[name].matrix) for name in names]
    matrices = np.array(world, float)
    turns = matrices[:, :3, :3] / np.linalg.norm(matrices[:, :3, :3], axis=1, keepdims=True)
    return matrices[:, :3, 3] - np.array(armature.matrix_world.translation), rotation.from_matrix(turns)


def bags(action: bpy.types.Action) -> list:
    """Return what holds the curves, in either form of Action."""
    if not hasattr(action, "slots"):
        return [action]
    return [bag for layer in action.layers for strip in layer.strips for bag in strip.channelbags]
