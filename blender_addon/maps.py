"""Bone maps that the scene keeps, one for each source skeleton and target, as rows that the panel can edit."""

from __future__ import annotations

import hashlib

import bpy

from retarget import RetargetError, Skeleton
from retarget.mapping import BoneMap, Pair, guess
from retarget.mirror import mirrored_name
from retarget.roles import find_roles

from . import sources
from .errors import AddonError
from .properties import changed_choice, changed_source, chosen_bone
from .transfer import skeleton_for

_busy = False
"""Whether rows are being filled in by the program, so that this counts as nobody's choice."""


def fingerprint(skeleton: Skeleton) -> str:
    """Tell skeletons apart by the names of their joints."""
    return hashlib.sha256("\n".join(skeleton.names).encode()).hexdigest()[:16]


def stored(scene: bpy.types.Scene, skeleton: Skeleton, target: bpy.types.Object) -> BoneMap | None:
    """Return the map that the scene keeps for this source and target, None if it is to be guessed."""
    index = _find(scene, skeleton, target)
    return None if index < 0 else bone_map(scene.sfv.retarget.maps[index])


def mapped(scene: bpy.types.Scene, skeleton: Skeleton, target: bpy.types.Object) -> BoneMap:
    """Return the scene's map for this source and target, or a guess."""
    return stored(scene, skeleton, target) or guess(skeleton, skeleton_for(target))


def bone_map(held: bpy.types.PropertyGroup) -> BoneMap:
    """Turn rows into a bone map."""
    pairs = tuple(Pair(row.joint, row.bone, row.role, round(row.confidence, 3)) for row in held.pairs if row.bone)
    notes = [row.why for row in held.pairs if row.why and not row.bone]
    return BoneMap(pairs, tuple(dict.fromkeys([*notes, *held.notes.splitlines()])))


def put(scene: bpy.types.Scene, skeleton: Skeleton, target: bpy.types.Object, new: BoneMap) -> bpy.types.PropertyGroup:
    """Keep a map for this source and target, with a row for each joint, and show it."""
    global _busy
    held = scene.sfv.retarget
    index = _find(scene, skeleton, target)
    kept = held.maps[index] if index >= 0 else held.maps.add()
    kept.joints, kept.target, kept.active = fingerprint(skeleton), target, 0
    _busy = True
    try:
        _fill(kept, skeleton, new)
    finally:
        _busy = False
    held.map = _find(scene, skeleton, target)
    _tell(scene)
    return kept


def drop(scene: bpy.types.Scene) -> None:
    """Forget the map that is shown: it is guessed from now on."""
    held = scene.sfv.retarget
    held.maps.remove(held.map)
    held.map = -1
    _tell(scene)


def shown(scene: bpy.types.Scene) -> bpy.types.PropertyGroup | None:
    """Return the map that belongs to the chosen source and target."""
    held = scene.sfv.retarget
    return held.maps[held.map] if 0 <= held.map < len(held.maps) else None


def show(scene: bpy.types.Scene) -> None:
    """Find out which of the kept maps belongs to the chosen source and target."""
    held = scene.sfv.retarget
    try:
        held.map = _find(scene, _skeleton_of_source(scene), scene.sfv.target) if held.maps else -1
    except (AddonError, RetargetError, OSError):
        held.map = -1


def guessed(scene: bpy.types.Scene) -> bpy.types.PropertyGroup:
    """Guess the map of the chosen source and target anew, keep it and show it. Raise AddonError, RetargetError."""
    target = chosen_target(scene)
    skeleton = _skeleton_of_source(scene)
    return put(scene, skeleton, target, guess(skeleton, skeleton_for(target)))


def loaded(scene: bpy.types.Scene, path: str) -> bpy.types.PropertyGroup:
    """Read a map file for the chosen source and target; what they lack is left out, with a note.

    Raise RetargetError if nothing of the map is left.
    """
    target, skeleton = chosen_target(scene), _skeleton_of_source(scene)
    rig = skeleton_for(target)
    new = BoneMap.load(path).fitted(skeleton, rig)
    new.check(skeleton, rig)
    return put(scene, skeleton, target, new)


def chosen_target(scene: bpy.types.Scene) -> bpy.types.Object:
    """Return the target. Raise AddonError if there is none."""
    if scene.sfv.target is None:
        raise AddonError("No target is chosen. Choose the armature that shall move.")
    return scene.sfv.target


def choose(scene: bpy.types.Scene, pair: bpy.types.PropertyGroup) -> None:
    """Take in that a bone was chosen by hand: no other joint drives it any longer; mirror the choice if asked for.

    Rows are changed in place: Blender still holds the one that was edited.
    """
    global _busy
    held = shown(scene)
    if _busy or held is None or held.target is None:
        return
    _busy = True
    try:
        twin = _twin(held, pair) if scene.sfv.retarget.mirror else None
        _set(held, pair, pair.bone)
        if twin:
            _set(held, *twin)
    finally:
        _busy = False
    _tell(scene)


def _set(held: bpy.types.PropertyGroup, pair: bpy.types.PropertyGroup, bone: str) -> None:
    """Give a row a bone as a choice of the user's, and take it from the row that had it."""
    for row in held.pairs:
        if bone and row.bone == bone and row.joint != pair.joint:
            row.bone, row.had = "", ""
            row.why = f"'{row.joint}' drives nothing: '{bone}' was given to '{pair.joint}'."
            _name(row)
    pair.bone, pair.had, pair.confidence = bone, bone, 1.0
    pair.why = "" if bone else f"'{pair.joint}' drives nothing: its bone was taken away by hand."
    _name(pair)


def _twin(held: bpy.types.PropertyGroup, pair: bpy.types.PropertyGroup
          ) -> tuple[bpy.types.PropertyGroup, str] | None:
    """Return the row of the joint on the other side, and the bone that the choice gives to it; None without one.

    Counterparts are told by the roles that the rows had before the choice, and else by names.
    """
    joints = {row.role: row.joint for row in held.pairs if row.role}
    bones = {row.role: row.had for row in held.pairs if row.role and row.had}
    role = mirrored_name(pair.role, list(joints))
    joint = mirrored_name(pair.joint, [row.joint for row in held.pairs], joints)
    row = next((row for row in held.pairs if (row.role == role if role else row.joint == joint)), None)
    bone = mirrored_name(pair.bone or pair.had, held.target.data.bones.keys(), bones)
    if row is None or bone is None or row.joint == pair.joint:
        return None
    return (row, bone) if pair.bone else (row, "") if row.bone == bone else None


def _fill(kept: bpy.types.PropertyGroup, skeleton: Skeleton, new: BoneMap) -> None:
    """Write the rows: the map's pairs in the source's order, and between them the joints that drive nothing."""
    roles = {joint: role for role, joint in find_roles(skeleton).joints.items()}
    driving: dict[str, list[Pair]] = {}
    for pair in new.pairs:
        driving.setdefault(pair.source, []).append(pair)
    kept.pairs.clear()
    reasons = set()
    for joint, name in enumerate(skeleton.names):
        for pair in driving.get(name, [Pair(name, "", roles.get(joint, ""), 0.0)]):
            row = kept.pairs.add()
            row.joint, row.role, row.confidence = name, pair.role, pair.confidence
            row.bone = row.had = pair.target
            if not pair.target:
                row.why = next((note for note in new.notes if f"'{name}'" in note), "")
                reasons.add(row.why)
            _name(row)
    kept.notes = "\n".join(note for note in new.notes if note not in reasons)


def _name(row: bpy.types.PropertyGroup) -> None:
    row.name = f"{row.joint} {row.bone} {row.role}"


def _skeleton_of_source(scene: bpy.types.Scene) -> Skeleton:
    return sources.chosen(scene).read().skeleton


def _find(scene: bpy.types.Scene, skeleton: Skeleton, target: bpy.types.Object | None) -> int:
    """Return the number of the map for this source and target, −1 if there is none."""
    key = fingerprint(skeleton)
    return next((number for number, held in enumerate(scene.sfv.retarget.maps)
                 if target is not None and held.joints == key and held.target == target), -1)


def _tell(scene: bpy.types.Scene) -> None:
    for tell in changed_choice:
        tell(scene)


def register() -> None:
    chosen_bone.append(choose)
    changed_source.insert(0, show)


def unregister() -> None:
    changed_source.remove(show)
    chosen_bone.remove(choose)
