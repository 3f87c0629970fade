"""Write the skeletons of rig files and of Blender's own rigs as npz: run in Blender or in a Python with bpy.

    rig_skeletons.py -- OUT FILE …    # .glb and .fbx; "human", "basic_human", … are Rigify's metarigs

Each becomes OUT/NAME.npz, a Motion of one frame at rest; a metarig also OUT/NAME_generated.npz, the rig it generates,
and OUT/NAME_deform.npz, that rig's deform bones alone, as game exporters write them.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from blender_addon.armature import skeleton_of
from retarget import Motion, Skeleton
from retarget.kinematics import local_rotations, rest_pose
from retarget.rotation import inverse, rotate

METARIGS = {"human": "armature_human_metarig_add", "basic_human": "armature_basic_human_metarig_add",
            "basic_quadruped": "armature_basic_quadruped_metarig_add", "bird": "armature_bird_metarig_add"}


def main(out: Path, wanted: list[str]) -> None:
    """Write every skeleton."""
    for name in wanted:
        if name in METARIGS:
            _write_rigify(name, out)
        else:
            bpy.ops.wm.read_factory_settings(use_empty=True)
            _write(skeleton_of(_loaded(Path(name))), out / f"{Path(name).stem}.npz")


def _loaded(path: Path) -> bpy.types.Object:
    """Import a rig file and return its armature."""
    importers = {".glb": bpy.ops.import_scene.gltf, ".fbx": bpy.ops.import_scene.fbx}
    importers[path.suffix](filepath=str(path))
    return next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")


def _write_rigify(name: str, out: Path) -> None:
    """Write a metarig, its generated rig and that rig's deform bones."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    import addon_utils  # Blender puts it on the path when bpy is imported

    addon_utils.enable("rigify", default_set=True)
    getattr(bpy.ops.object, METARIGS[name])()
    _write(skeleton_of(bpy.context.object), out / f"{name}.npz")
    bpy.ops.pose.rigify_generate()
    rig = next(thing for thing in bpy.data.objects if thing.type == "ARMATURE" and "rig_id" in thing.data)
    whole = skeleton_of(rig)
    _write(whole, out / f"{name}_generated.npz")
    _write(_deform(rig, whole), out / f"{name}_deform.npz")


def _deform(rig: bpy.types.Object, whole: Skeleton) -> Skeleton:
    """Keep the deform bones, each below the deform bone that moves it, in the place of the bones between."""
    bones = rig.data.bones
    kept = [name for name in whole.names if bones[name].use_deform]
    parents: dict[str, str | None] = {}
    for name in kept:
        parents[name] = _above(bones, name, parents, kept)
    kept.sort(key=lambda name: len(_line(parents, name)))
    above = np.array([kept.index(parent) if (parent := parents[name]) else -1 for name in kept])
    places, turns = (values[[whole.index(name) for name in kept]] for values in rest_pose(whole))
    has = above >= 0
    offsets = places.copy()
    offsets[has] = rotate(inverse(turns[above[has]]), places[has] - places[above[has]])
    flat = Skeleton(tuple(kept), above, offsets, turns)
    return Skeleton(flat.names, above, offsets, local_rotations(flat, turns))


def _above(bones: bpy.types.ArmatureBones, name: str, parents: dict[str, str | None], kept: list[str]) -> str | None:
    """Return the deform bone that a bone follows, past ORG and MCH bones; None if there is none."""
    bone = bones[name].parent
    while bone is not None:
        for candidate in (bone.name, "DEF-" + bone.name.removeprefix("ORG-")):
            if candidate in kept and name not in _line(parents, candidate):
                return candidate
        bone = bone.parent
    return None


def _line(parents: dict[str, str | None], name: str | None) -> list[str]:
    """Return the bone and those that it hangs on."""
    line: list[str] = []
    while name is not None:
        line.append(name)
        name = parents.get(name)
    return line


def _write(skeleton: Skeleton, path: Path) -> None:
    """Save the skeleton as a motion of one frame at rest."""
    at_rest = Motion(skeleton, 30.0, rest_pose(skeleton)[0][[skeleton.root]], skeleton.rest_rotations[None])
    at_rest.save(path)


if __name__ == "__main__":
    out_folder, *names_or_files = sys.argv[sys.argv.index("--") + 1 :]
    code = 0
    try:
        main(Path(out_folder), names_or_files)
    except Exception:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)  # Blender 4.5 hangs at exit after generating a Rigify rig
