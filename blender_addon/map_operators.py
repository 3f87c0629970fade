"""The buttons about bone maps: guess, forget, pick, save, load."""

from __future__ import annotations

import bpy
from bpy.props import StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from retarget import RetargetError

from . import maps
from .errors import AddonError


class SFV_OT_guess_map(bpy.types.Operator):
    """Guess which joint of the motion drives which bone of the target, and show it to be corrected"""

    bl_idname = "sfv.guess_map"
    bl_label = "Guess Map"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.scene.sfv.target is None:
            cls.poll_message_set("Choose a target armature")
        return context.scene.sfv.target is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            held = maps.guessed(context.scene)
        except (AddonError, RetargetError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"{sum(bool(row.bone) for row in held.pairs)} of {len(held.pairs)} joints drive a bone")
        return {"FINISHED"}


class OnMap:
    """What the buttons that change a map have in common."""

    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if maps.shown(context.scene) is None:
            cls.poll_message_set("Guess or load a map first")
            return False
        return True


class SFV_OT_forget_map(OnMap, bpy.types.Operator):
    """Forget this map; the motion is baked by a fresh guess then"""

    bl_idname = "sfv.forget_map"
    bl_label = "Forget Map"

    def execute(self, context: bpy.types.Context) -> set[str]:
        maps.drop(context.scene)
        return {"FINISHED"}


class SFV_OT_pick_bone(OnMap, bpy.types.Operator):
    """Let the chosen joint drive the active bone of the target"""

    bl_idname = "sfv.pick_bone"
    bl_label = "Pick Active Bone"

    def execute(self, context: bpy.types.Context) -> set[str]:
        held = maps.shown(context.scene)
        bone = held.target and held.target.data.bones.active
        if not bone or not 0 <= held.active < len(held.pairs):
            self.report({"ERROR"}, "No bone is active. Click a bone of the target in Pose Mode first.")
            return {"CANCELLED"}
        held.pairs[held.active].bone = bone.name
        return {"FINISHED"}


class SFV_OT_save_map(OnMap, ExportHelper, bpy.types.Operator):
    """Write the map to a JSON file, for other scenes and for sfv bake --map"""

    bl_idname = "sfv.save_map"
    bl_label = "Save Map"
    filename_ext = ".json"
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            maps.bone_map(maps.shown(context.scene)).save(self.filepath)
        except OSError as error:
            self.report({"ERROR"}, f"'{self.filepath}' cannot be written: {error.strerror}.")
            return {"CANCELLED"}
        return {"FINISHED"}


class SFV_OT_load_map(ImportHelper, bpy.types.Operator):
    """Read a map from a JSON file for this source and target"""

    bl_idname = "sfv.load_map"
    bl_label = "Load Map"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            held = maps.loaded(context.scene, self.filepath)
        except (AddonError, RetargetError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        lost = [note for note in held.notes.splitlines() if "not there" in note]
        text = f"{sum(bool(row.bone) for row in held.pairs)} pairs loaded"
        self.report({"WARNING"} if lost else {"INFO"}, " ".join([f"{text}.", *lost]))
        return {"FINISHED"}


CLASSES = (SFV_OT_guess_map, SFV_OT_forget_map, SFV_OT_pick_bone, SFV_OT_save_map, SFV_OT_load_map)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
