"""Rig files in and out: .blend, .fbx, .glb, .gltf, .bvh."""

from __future__ import annotations

from pathlib import Path

import bpy

from retarget.whole import written_whole

from .errors import AddonError

READERS = {
    ".fbx": lambda path: bpy.ops.import_scene.fbx(filepath=path),
    ".glb": lambda path: bpy.ops.import_scene.gltf(filepath=path),
    ".gltf": lambda path: bpy.ops.import_scene.gltf(filepath=path),
    ".bvh": lambda path: bpy.ops.import_anim.bvh(filepath=path),
}
WRITERS = {
    ".blend": lambda path: bpy.ops.wm.save_as_mainfile(filepath=path, copy=True, check_existing=False),
    ".fbx": lambda path: bpy.ops.export_scene.fbx(filepath=path, check_existing=False, add_leaf_bones=False,
                                                  bake_anim_use_nla_strips=False, bake_anim_simplify_factor=0.0),
    ".glb": lambda path: bpy.ops.export_scene.gltf(filepath=path, check_existing=False, export_format="GLB",
                                                   export_animation_mode="ACTIONS",
                                                   export_optimize_animation_size=False),
}


def open_rig(path: Path) -> None:
    """Open a .blend, without running scripts in it, or import another file into an empty scene."""
    if path.suffix.lower() not in {".blend", *READERS}:
        raise AddonError(f"'{path}' is no kind of rig that can be read. Give a {_list(['.blend', *READERS])} file.")
    if not path.is_file():
        raise AddonError(f"No rig file '{path}'.")
    if path.stat().st_size == 0:
        raise AddonError(f"The rig file '{path}' is empty.")
    try:
        if path.suffix.lower() == ".blend":
            bpy.ops.wm.open_mainfile(filepath=str(path), load_ui=False, use_scripts=False)
        else:
            bpy.ops.wm.read_homefile(use_empty=True)
            READERS[path.suffix.lower()](str(path))
    except RuntimeError as error:
        reason = _reason(str(error))
        if "EXT_meshopt_compression" in reason:
            reason = "its mesh is compressed with EXT_meshopt_compression, which Blender does not know. " \
                     "Export it without mesh compression."
        raise AddonError(f"Blender cannot read '{path}': {reason}") from error


def find_armature(path: Path, name: str | None = None) -> bpy.types.Object:
    """Return the armature of this name, or the one with the most bones in the scene."""
    armatures = [thing for thing in bpy.context.scene.objects if thing.type == "ARMATURE"]
    if not armatures:
        others = sorted({thing.type.lower() for thing in bpy.context.scene.objects}) or ["nothing"]
        raise AddonError(f"'{path}' has no armature, only {_list(others)}. Give a file with a rig in it.")
    if name is None:
        return max(armatures, key=lambda armature: len(armature.data.bones))
    for armature in armatures:
        if armature.name == name:
            return armature
    raise AddonError(f"'{path}' has no armature '{name}'. Armatures: {_list([a.name for a in armatures])}.")


def check_output(path: Path) -> None:
    """Raise AddonError if files of this kind cannot be written."""
    if path.suffix.lower() not in WRITERS:
        raise AddonError(f"'{path}' is no kind of file that can be written. Name a {_list(list(WRITERS))} file.")


def write(path: Path) -> None:
    """Write the open file, whole or not at all, in the form that its suffix names."""
    check_output(path)
    try:
        with written_whole(path) as temporary:
            WRITERS[path.suffix.lower()](str(temporary))
    except (RuntimeError, OSError) as error:
        raise AddonError(f"'{path}' cannot be written: {_reason(str(error))}") from error


def _reason(text: str) -> str:
    """Return the telling line of what an operator raised: the last one, without Blender's prefix."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("Location:")]
    telling = (lines[-1] if lines else "no reason was given").removeprefix("Error: ").rstrip(".")
    if "Traceback" in text:  # the importer broke, so the words are for its programmer
        telling = f"it is damaged, incomplete or of another kind ({telling})"
    return f"{telling}."


def _list(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
