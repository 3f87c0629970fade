"""The bones that carry the mesh, seen as a skeleton of their own, whatever bones and controls lie between them."""

from __future__ import annotations

from collections import Counter

import bpy
import numpy as np

from retarget import Skeleton

from .armature import skeleton_from
from .errors import AddonError

HOLDING = {"COPY_TRANSFORMS", "COPY_ROTATION", "ARMATURE", "CHILD_OF", "STRETCH_TO", "DAMPED_TRACK", "TRACK_TO",
           "LOCKED_TRACK", "TRANSFORM", "ACTION"}
"""Constraints that leave a bone's own rotation without effect, or nearly so."""
CARRYING = {"COPY_TRANSFORMS", "COPY_ROTATION", "COPY_LOCATION", "ARMATURE", "CHILD_OF"}
"""Constraints by which a bone goes where another goes."""
SAME_PLACE, SAME_WAY = 1e-4, 0.99
"""Distance between heads, as a share of the rig's size, and cosine between axes of bones that count as one."""


def is_control_rig(armature: bpy.types.Object) -> bool:
    """Say whether constraints hold a deform bone that carries others: keys on such a rig belong on its controls."""
    deform = set(deform_bones(armature))
    inner = {bone.name for bone in armature.data.bones if bone.children and bone.name in deform}
    return moves_by_controls(armature, inner or deform)


def moves_by_controls(armature: bpy.types.Object, bones: set[str]) -> bool:
    """Say whether constraints hold any of the bones, so that keys on them would have no effect."""
    pose = armature.pose.bones
    held = {bone.name for bone in pose for constraint in bone.constraints
            if constraint.type in HOLDING and _active(constraint)}
    for bone in pose:
        for constraint in bone.constraints:
            if constraint.type == "IK" and _active(constraint):
                held.update(joint.name for joint in ik_chain(bone, constraint))
    return bool(held & bones)


def held_bones(armature: bpy.types.Object) -> set[str]:
    """Name the deform bones that follow bones of the rig, so that they are no controls, even if they can be turned."""
    return {name for name in deform_bones(armature) for c in armature.pose.bones[name].constraints
            if c.type in HOLDING and _active(c)
            and any(t.target == armature for t in (c.targets if c.type == "ARMATURE" else [c]))}


def deform_bones(armature: bpy.types.Object) -> list[str]:
    """Name the bones that carry the mesh: those with Deform set, or, where all have it, those that a mesh uses."""
    bones = armature.data.bones
    if not bones:
        raise AddonError(f"'{armature.name}' has no bones. Choose an armature with a skeleton in it.")
    marked = [bone.name for bone in bones if bone.use_deform] or [bone.name for bone in bones]
    if len(marked) < len(bones):
        return marked
    used = {group.name for mesh in _meshes(armature) for group in mesh.vertex_groups}
    return [name for name in marked if name in used] or marked


def deform_skeleton(armature: bpy.types.Object, root: str | None = None) -> Skeleton:
    """Return the deform bones at rest as a skeleton, each below the deform bone that carries it.

    root: the hips bone; if not given, the top bone with the most bones below it.
    """
    above = _deform_parents(armature)
    names = sorted(above, key=lambda name: _depth(above, name))
    tops = Counter(_top(above, name) for name in names)
    top = root or max(tops, key=lambda name: tops[name])
    if top not in names:
        raise AddonError(f"No deform bone '{top}' in '{armature.name}'. Deform bones: {', '.join(names)}.")
    parents = np.array([names.index(above[name]) if above[name] else -1 for name in names])
    rest = np.array([armature.data.bones[name].matrix_local for name in names], float)
    return skeleton_from(armature, names, parents, rest, top)


def ik_chain(bone: bpy.types.PoseBone, constraint: bpy.types.Constraint) -> list[bpy.types.PoseBone]:
    """Return the bones that an IK constraint turns, from its tip upwards."""
    chain = [bone, *bone.parent_recursive] if constraint.use_tail else list(bone.parent_recursive)
    return chain[:constraint.chain_count] if constraint.chain_count else chain


def _active(constraint: bpy.types.Constraint) -> bool:
    """Say whether a constraint has a target and shows."""
    targets = constraint.targets if constraint.type == "ARMATURE" else [constraint]
    return not constraint.mute and constraint.influence > 0.5 and any(t.target for t in targets)


def _meshes(armature: bpy.types.Object) -> list[bpy.types.Object]:
    """Return the meshes that the armature deforms."""
    return [thing for thing in bpy.data.objects if thing.type == "MESH" and (
        any(m.type == "ARMATURE" and m.object == armature for m in thing.modifiers)
        or (thing.parent == armature and thing.parent_type == "ARMATURE"))]


def _deform_parents(armature: bpy.types.Object) -> dict[str, str | None]:
    """Find the deform bone above each: up the parents, else up from what its constraints follow, else the nearest."""
    names = deform_bones(armature)
    twins = _Twins(armature, names)
    above: dict[str, str | None] = {name: twins.above(name, armature.data.bones[name].parent) for name in names}
    tops = {name for name in names if above[name] is None}
    for name in names:
        if name in tops or above[name] in tops:
            followed = [twins.above(name, armature.data.bones[target]) for target in twins.follows[name]]
            found = next((one for one in followed if one and not _below(above, name, one)), None)
            above[name] = found or above[name]
    _break_loops(above)
    main = max((name for name in names if above[name] is None), key=lambda name: _count_below(above, name))
    for name in names:
        if above[name] is None and name != main:
            above[name] = _nearest(armature, above, name)
    return above


class _Twins:
    """Which deform bone stands for a bone that is none: the one that follows it, or the one that lies in it."""

    def __init__(self, armature: bpy.types.Object, names: list[str]) -> None:
        self.names = set(names)
        self.follows = {name: [c.subtarget for c in armature.pose.bones[name].constraints
                               if c.type in CARRYING - {"ARMATURE"} and c.target == armature and c.subtarget
                               and not c.mute]
                        + [t.subtarget for c in armature.pose.bones[name].constraints if c.type == "ARMATURE"
                           for t in c.targets if t.target == armature and t.subtarget and t.weight > 0.5]
                        for name in names}
        self.follows = {name: [t for t in found if t in armature.data.bones] for name, found in self.follows.items()}
        self.followers = {target: name for name in reversed(names) for target in self.follows[name]}
        bones = [armature.data.bones[name] for name in names]
        self.heads = np.array([bone.head_local for bone in bones])
        self.axes = np.array([bone.vector.length and bone.matrix_local.col[1].to_3d() for bone in bones])
        self.order = names
        self.near = SAME_PLACE * max(float(np.ptp(self.heads, axis=0).max()), 1e-6)

    def of(self, bone: bpy.types.Bone) -> str | None:
        """Return the deform bone that stands for a bone."""
        if bone.name in self.names:
            return bone.name
        if bone.name in self.followers:
            return self.followers[bone.name]
        near = np.linalg.norm(self.heads - np.array(bone.head_local), axis=1) < self.near
        near &= self.axes @ np.array(bone.matrix_local.col[1].to_3d()) > SAME_WAY
        return self.order[int(np.argmax(near))] if near.any() else None

    def above(self, name: str, bone: bpy.types.Bone | None) -> str | None:
        """Return the first deform bone, other than `name`, that a bone or its parents stand for."""
        while bone is not None:
            twin = self.of(bone)
            if twin is not None and twin != name:
                return twin
            bone = bone.parent
        return None


def _path_up(above: dict[str, str | None], name: str) -> list[str]:
    """Return the bone and all above it, once each."""
    path = [name]
    while (up := above[path[-1]]) is not None and up not in path:
        path.append(up)
    return path


def _below(above: dict[str, str | None], ancestor: str, name: str) -> bool:
    return ancestor in _path_up(above, name)


def _top(above: dict[str, str | None], name: str) -> str:
    return _path_up(above, name)[-1]


def _depth(above: dict[str, str | None], name: str) -> int:
    return len(_path_up(above, name))


def _count_below(above: dict[str, str | None], ancestor: str) -> int:
    return sum(_below(above, ancestor, name) for name in above)


def _break_loops(above: dict[str, str | None]) -> None:
    """Free one bone of each loop."""
    for name in above:
        top = _top(above, name)
        if above[top] is not None:
            above[top] = None


def _nearest(armature: bpy.types.Object, above: dict[str, str | None], name: str) -> str | None:
    """Return the bone, not below `name`, whose line passes nearest to its head."""
    others = [other for other in above if not _below(above, name, other)]
    if not others:
        return None
    bones = [armature.data.bones[other] for other in others]
    heads, ways = np.array([b.head_local for b in bones]), np.array([b.vector for b in bones])
    to = np.array(armature.data.bones[name].head_local) - heads
    share = np.clip(np.sum(to * ways, axis=1) / np.maximum(np.sum(ways * ways, axis=1), 1e-12), 0, 1)
    return others[int(np.argmin(np.linalg.norm(to - share[:, None] * ways, axis=1)))]
