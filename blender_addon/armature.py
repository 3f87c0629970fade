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
    """"location", "scale", "rotation_quaternion", "rotation_euler", "rotation_axis_angle" or a custom property as
    '["IK_FK"]', whose keys hold until the next."""
    values: np.ndarray
    """One row a frame, shape (T, 3 or 4); a single row where the value never changes, shape (1, …)."""
    locked: tuple[int, ...] = ()
    """Columns that get no keys, because the user locked them; they hold the value that stays."""


def skeleton_of(armature: bpy.types.Object, root: str | None = None) -> Skeleton:
    """Return the armature at rest; bones above the root, which the motion leaves alone, as they are posed now.

    root: the hips bone; if not given, the top bone with the most bones below it.
    """
    bones = _ordered(armature)
    names = [bone.name for bone in bones]
    top = root or max((b for b in bones if not b.parent), key=lambda b: len(b.children_recursive)).name
    if top not in names:
        raise AddonError(f"No bone '{top}' in '{armature.name}'. Bones: {', '.join(names)}.")
    parents = np.array([names.index(bone.parent.name) if bone.parent else -1 for bone in bones])
    return skeleton_from(armature, names, parents, np.array(_rest_matrices(armature, bones, top), float), top)


def skeleton_from(armature: bpy.types.Object, names: list[str], parents: np.ndarray, rest: np.ndarray, root: str
                  ) -> Skeleton:
    """Return bones, parents before children, as a Skeleton that stands in the world.

    rest: their matrices in armature space, (J, 4, 4).
    """
    turn, scale = placement(armature)
    turns = rest[:, :3, :3] / np.linalg.norm(rest[:, :3, :3], axis=1, keepdims=True)
    world = rotation.multiply(turn, rotation.from_matrix(turns))
    heads = rotation.rotate(turn, rest[:, :3, 3] * scale)
    orphans = (parents < 0)[:, None]
    above = np.where(orphans, rotation.IDENTITY, world[parents])
    offsets = rotation.rotate(rotation.inverse(above), heads - np.where(orphans, 0.0, heads[parents]))
    local = rotation.multiply(rotation.inverse(above), world)
    return Skeleton(tuple(names), parents, offsets, local, names.index(root))


def placement(armature: bpy.types.Object) -> tuple[np.ndarray, float]:
    """Return the object's rotation in the world, (4,) wxyz, and its scale; an uneven or negative scale is refused."""
    matrix = np.array(armature.matrix_world, float)[:3, :3]
    sizes = np.linalg.norm(matrix, axis=0)
    scale = float(sizes.mean())
    if np.linalg.det(matrix) < 0:
        raise AddonError(f"'{armature.name}' is mirrored by a negative scale, its own or that of what it hangs on. "
                         "Apply the scale (Object > Apply > Scale).")
    if scale == 0 or np.ptp(sizes) > UNEVEN * scale:
        raise AddonError(f"'{armature.name}' is scaled unevenly ({', '.join(f'{s:.3g}' for s in sizes)}). "
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


def _rest_matrices(armature: bpy.types.Object, bones: list[bpy.types.Bone], root: str) -> list[Matrix]:
    """Return each bone's rest in armature space, below what is above the root as that is posed now."""
    posed = {bone.name for bone in armature.data.bones[root].parent_recursive}
    matrices: dict[str, Matrix] = {}
    for bone in bones:
        basis = _basis(armature.pose.bones[bone.name]) if bone.name in posed else Matrix()
        matrices[bone.name] = _placed(bone, basis, matrices[bone.parent.name] if bone.parent else None)
    return list(matrices.values())


def _basis(bone: bpy.types.PoseBone) -> Matrix:
    """Return the bone's own channels as a matrix; a connected bone has no location."""
    basis = bone.matrix_basis.copy()
    if bone.bone.use_connect:
        basis.translation = Vector()
    return basis


def _placed(bone: bpy.types.Bone, basis: Matrix, parent: Matrix | None) -> Matrix:
    """Return where the bone's channels put it in armature space, below its parent's matrix there."""
    if parent is None:
        return bone.convert_local_to_pose(basis, bone.matrix_local)
    return bone.convert_local_to_pose(basis, bone.matrix_local, parent_matrix=parent,
                                      parent_matrix_local=bone.parent.matrix_local)


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
    basis = _basis(bone)
    if bone == carrier:
        basis.translation = location
    return _placed(bone.bone, basis, _posed(bone.parent, carrier, location) if bone.parent else None)
