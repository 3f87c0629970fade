"""A Blender armature seen as a Skeleton, and a Motion seen as the channels of its bones.

The skeleton stands in the world with the object's rotation and scale folded in, in metres, its origin at the
object's: a rig that was moved across the scene performs where it stands. The skeleton's joints are the bones' heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix, Vector
from retarget import Motion, Skeleton, kinematics, rotation

from .channels import rotation_channels
from .errors import AddonError

UNEVEN = 1e-3
"""Largest relative difference between the scales of the three axes that still counts as none."""
STRAY = 1e-5
"""Offset of a bone from its place, in its own units, below which it is left alone."""


@dataclass(frozen=True)
class Channels:
    """The values that one property of one bone takes."""

    bone: str
    property: str
    """"location", "rotation_quaternion", "rotation_euler" or "rotation_axis_angle"."""
    values: np.ndarray
    """One row a frame, shape (T, 3 or 4); a single row where the value never changes, shape (1, …)."""


def skeleton_of(armature: bpy.types.Object, root: str | None = None) -> Skeleton:
    """Return the armature's rest pose; `root` names the hips bone, else the top bone with the most below it."""
    bones = _ordered(armature)
    turn, scale = placement(armature)
    rest = np.array([bone.matrix_local for bone in bones], float)
    world = rotation.multiply(turn, rotation.from_matrix(rest[:, :3, :3]))
    heads = rotation.rotate(turn, rest[:, :3, 3] * scale)
    places = {bone.name: j for j, bone in enumerate(bones)}
    parents = np.array([places[bone.parent.name] if bone.parent else -1 for bone in bones])
    above = np.where((parents < 0)[:, None], rotation.IDENTITY, world[parents])
    offsets = rotation.rotate(rotation.inverse(above), heads - np.where((parents < 0)[:, None], 0.0, heads[parents]))
    top = root or max((b for b in bones if not b.parent), key=lambda b: len(b.children_recursive)).name
    if top not in places:
        raise AddonError(f"No bone '{top}' in '{armature.name}'. Bones: {', '.join(places)}.")
    return Skeleton(tuple(places), parents, offsets, rotation.multiply(rotation.inverse(above), world), places[top])


def placement(armature: bpy.types.Object) -> tuple[np.ndarray, float]:
    """Return the object's rotation in the world, (4,) wxyz, and its scale; an uneven scale is refused."""
    matrix = np.array(armature.matrix_world, float)[:3, :3]
    sizes = np.linalg.norm(matrix, axis=0)
    scale = float(sizes.mean())
    if scale == 0 or np.ptp(sizes) > UNEVEN * scale or np.linalg.det(matrix) < 0:
        raise AddonError(f"'{armature.name}' is scaled unevenly or mirrored ({', '.join(f'{s:.3g}' for s in sizes)}). "
                         "Apply its scale (Object > Apply > Scale).")
    return rotation.from_matrix(matrix / sizes), scale


def channels_of(armature: bpy.types.Object, motion: Motion, bones: set[str]) -> list[Channels]:
    """Convert a motion on the armature's skeleton to the channels of `bones` and of the bone that travels.

    Bones left out keep the pose they have, and the others are keyed so that they end where the motion has them.
    """
    skeleton = motion.skeleton
    pose = {name: armature.pose.bones.get(name) for name in skeleton.names}
    missing = [name for name, bone in pose.items() if bone is None]
    if missing:
        raise AddonError(f"The motion is for another rig: '{armature.name}' has no bone {', '.join(missing[:5])}.")
    turn, _ = placement(armature)
    _, world = kinematics.world_poses(motion)
    wanted = rotation.multiply(rotation.inverse(turn), world)
    carrier = _carrier(pose[skeleton.names[skeleton.root]])
    found = [Channels(carrier.name, "location", _travel(armature, motion, carrier))]
    posed: list[np.ndarray] = []
    for j, (name, bone) in enumerate(pose.items()):
        base = _base(bone, posed[skeleton.parents[j]] if bone.parent else None)
        basis = rotation.multiply(rotation.inverse(base), wanted[:, j])
        if name not in bones:
            basis = np.broadcast_to(np.array(bone.matrix_basis.to_quaternion()), basis.shape)
        else:
            found.append(Channels(name, *rotation_channels(bone.rotation_mode, basis)))
            if bone.location.length > STRAY and not bone.bone.use_connect and bone != carrier:
                found.append(Channels(name, "location", np.zeros((1, 3))))
        posed.append(rotation.multiply(base, basis))
    return found


def _ordered(armature: bpy.types.Object) -> list[bpy.types.Bone]:
    """Return the bones, parents before children."""
    bones = [bone for top in armature.data.bones if not top.parent for bone in (top, *top.children_recursive)]
    if not bones:
        raise AddonError(f"'{armature.name}' has no bones. Choose an armature with a skeleton in it.")
    return bones


def _base(bone: bpy.types.PoseBone, parent: np.ndarray | None) -> np.ndarray:
    """Return the rotation in armature space that the bone has while its own channels are at rest. (4,) or (T, 4)."""
    rest = rotation.from_matrix(np.array(bone.bone.matrix_local, float)[:3, :3])
    if parent is None or not bone.bone.use_inherit_rotation:
        return rest
    above = rotation.from_matrix(np.array(bone.parent.bone.matrix_local, float)[:3, :3])
    return rotation.multiply(parent, rotation.multiply(rotation.inverse(above), rest))


def _carrier(root: bpy.types.PoseBone) -> bpy.types.PoseBone:
    """Return the bone whose location moves the root: itself, or the first above it that is free to move."""
    while root.parent and root.bone.use_connect:
        root = root.parent
    return root


def _travel(armature: bpy.types.Object, motion: Motion, carrier: bpy.types.PoseBone) -> np.ndarray:
    """Return the locations (T, 3) of `carrier` that bring the root joint to its place in every frame."""
    root = armature.pose.bones[motion.skeleton.names[motion.skeleton.root]]
    origin = np.array(_posed(root, carrier, Vector()).translation)
    axes = np.stack([np.array(_posed(root, carrier, Vector(axis)).translation) - origin for axis in np.eye(3)], axis=1)
    turn, scale = placement(armature)
    heads = rotation.rotate(rotation.inverse(turn), motion.root_pos) / scale
    return np.linalg.solve(axes, (heads - origin).T).T


def _posed(bone: bpy.types.PoseBone, carrier: bpy.types.PoseBone, location: Vector) -> Matrix:
    """Return the bone's pose in armature space if `carrier` had this location and all above it stayed."""
    basis = bone.matrix_basis.copy()
    if bone == carrier:
        basis.translation = location
    elif bone.bone.use_connect:
        basis.translation = Vector()
    if not bone.parent:
        return bone.bone.convert_local_to_pose(basis, bone.bone.matrix_local)
    return bone.bone.convert_local_to_pose(basis, bone.bone.matrix_local,
                                           parent_matrix=_posed(bone.parent, carrier, location),
                                           parent_matrix_local=bone.parent.bone.matrix_local)
