"""A rig to show results on: the project's own stand-in body, skinned to an armature with Mixamo's bone names."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

from . import files
from .errors import AddonError

BONES = {
    "pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck", "head": "Head",
    **{f"{side}_{joint}": f"{side.capitalize()}{bone}" for side in ("left", "right")
       for joint, bone in {"collar": "Shoulder", "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
                           "hand": "HandMiddle1", "hip": "UpLeg", "knee": "Leg", "ankle": "Foot",
                           "foot": "ToeBase"}.items()},
}
JOINTS = ("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle",
          "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head",
          "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand",
          "right_hand")
"""SMPL's order of joints."""
TOWARDS = {"pelvis": "spine1", "spine3": "neck", "head": None}
"""Which child a bone with several points to; None: straight on from its parent."""
COLOURS = {"skin": (0.72, 0.48, 0.36), "lips": (0.6, 0.3, 0.27), "hair": (0.07, 0.045, 0.03),
           "shirt": (0.12, 0.28, 0.5), "trousers": (0.12, 0.12, 0.14), "shoe": (0.55, 0.55, 0.55),
           "sole": (0.2, 0.2, 0.2), "iris": (0.1, 0.06, 0.04), "eye_white": (0.85, 0.85, 0.85)}
OTHER_COLOUR = (0.5, 0.5, 0.5)
TIP = 0.08
"""Length in m of bones that end a limb."""


def make(body: str, out: str) -> dict:
    """Write the rig, in a scene of its own, as .blend, .glb or .fbx.

    body: an npz in SMPL's file format (v_template, J_regressor, weights, f, kintree_table; materials if there).
    """
    files.check_output(Path(out))
    data = _read(Path(body))
    vertices = _ours(data["v_template"])
    joints = _ours(data["J_regressor"] @ data["v_template"])
    lift = np.array([0.0, 0.0, vertices[:, 2].min()])
    bpy.ops.wm.read_homefile(use_empty=True)
    armature = _armature(joints - lift, data["kintree_table"][0].astype(np.int64))
    skin = _skin(vertices - lift, data)
    skin.parent = armature
    skin.modifiers.new("Armature", "ARMATURE").object = armature
    files.write(Path(out))
    return {"out": out, "armature": armature.name, "bones": len(armature.data.bones), "vertices": len(vertices)}


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {key: file[key] for key in file.files}
        missing = {"v_template", "J_regressor", "weights", "f", "kintree_table"} - set(data)
    except (OSError, ValueError) as error:
        raise AddonError(f"'{path}' is not a body: {error}. Give the stand-in body's npz.") from error
    if missing or data["J_regressor"].shape[0] != len(JOINTS):
        raise AddonError(f"'{path}' is not a body in SMPL's format: it lacks {', '.join(sorted(missing)) or 'joints'}.")
    return data


def _ours(points: np.ndarray) -> np.ndarray:
    """Turn SMPL's axes (y up, z forward) into Blender's (z up, −y forward). (..., 3)."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1).astype(float)


def _armature(joints: np.ndarray, parents: np.ndarray) -> bpy.types.Object:
    """Build the armature in a T-pose; each bone points to its child. joints: (24, 3) m, parents: (24,)."""
    armature = bpy.data.objects.new("Demo", bpy.data.armatures.new("Demo"))
    bpy.context.scene.collection.objects.link(armature)
    bpy.context.view_layer.objects.active = armature
    bpy.ops.object.mode_set(mode="EDIT")
    for j, joint in enumerate(JOINTS):
        bone = armature.data.edit_bones.new(_bone(joint))
        bone.head = joints[j]
        bone.tail = joints[j] + _length(joints, parents, j)
        bone.align_roll(Vector((0, -1, 0)) if abs(bone.vector.y) < 0.7 * bone.length else Vector((0, 0, 1)))
        if j:
            bone.parent = armature.data.edit_bones[_bone(JOINTS[parents[j]])]
    bpy.ops.object.mode_set(mode="OBJECT")
    return armature


def _bone(joint: str) -> str:
    return f"mixamorig:{BONES[joint]}"


def _length(joints: np.ndarray, parents: np.ndarray, j: int) -> np.ndarray:
    """Return the way from a bone's head to its tail in m, (3,)."""
    children = [c for c in range(1, len(JOINTS)) if parents[c] == j]
    name = TOWARDS.get(JOINTS[j], JOINTS[children[0]] if children else None)
    if name:
        return joints[JOINTS.index(name)] - joints[j]
    if JOINTS[j].endswith("_foot"):
        return np.array([0.0, -TIP, 0.0])
    if JOINTS[j] == "head":
        return np.array([0.0, 0.0, 2 * TIP])
    way = joints[j] - joints[parents[j]]
    return way * TIP / np.linalg.norm(way)


def _skin(vertices: np.ndarray, data: dict[str, np.ndarray]) -> bpy.types.Object:
    """Build the mesh with its vertex groups and materials. vertices: (V, 3) m."""
    mesh = bpy.data.meshes.new("Body")
    mesh.from_pydata(vertices.tolist(), [], data["f"].tolist())
    mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), bool))
    if "materials" in data:
        for name in data["material_names"].tolist() if "material_names" in data else ["skin"]:
            mesh.materials.append(_material(name))
        mesh.polygons.foreach_set("material_index", data["materials"].astype(np.int32))
    skin = bpy.data.objects.new("Body", mesh)
    bpy.context.scene.collection.objects.link(skin)
    for j, joint in enumerate(JOINTS):
        group = skin.vertex_groups.new(name=_bone(joint))
        for vertex in np.flatnonzero(data["weights"][:, j] > 1e-4).tolist():
            group.add([vertex], float(data["weights"][vertex, j]), "REPLACE")
    return skin


def _material(name: str) -> bpy.types.Material:
    colour = (*COLOURS.get(name, OTHER_COLOUR), 1.0)
    material = bpy.data.materials.new(name)
    material.diffuse_color = colour
    material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = colour
    shader.inputs["Roughness"].default_value = 0.7
    return material
