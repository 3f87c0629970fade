"""The buttons that put motions onto armatures: preview, bake, batch, and the list of files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bpy
from bpy.props import CollectionProperty, EnumProperty, IntProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from retarget import RetargetError

from . import live, retargeting, sources, tracking
from .errors import AddonError

TICK = 0.05
"""Time in s between two steps of a batch, in which the window draws."""


class SFV_OT_retarget(bpy.types.Operator):
    """Bake the motion onto the target as a new Action; the Actions it has are kept"""

    bl_idname = "sfv.retarget"
    bl_label = "Retarget"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    source: EnumProperty(name="Source", options={"SKIP_SAVE"}, items=[
        ("chosen", "Chosen", "The one chosen in the panel"), ("capture", "Captured", ""), ("simulate", "Simulated", ""),
        ("file", "File", ""), ("armature", "Armature", "")])

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _ready(cls, context.scene)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        live.end()
        try:
            source = sources.chosen(scene, "" if self.source == "chosen" else self.source)
            made = retargeting.bake_source(scene, source, scene.sfv.target)
        except (AddonError, RetargetError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        tracking.set_notes(made.notes)
        self.report({"INFO"}, retargeting.describe(made))
        return {"FINISHED"}


class SFV_OT_preview(bpy.types.Operator):
    """Show the motion on the target without a key; press again to get the pose back that was there"""

    bl_idname = "sfv.preview"
    bl_label = "Preview"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return live.running() or _ready(cls, context.scene)

    def execute(self, context: bpy.types.Context) -> set[str]:
        if live.running():
            live.end()
            return {"FINISHED"}
        try:
            live.start(context.scene)
        except (AddonError, RetargetError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        return {"FINISHED"}


class SFV_OT_bake_all(bpy.types.Operator):
    """Bake every file of the list onto every selected armature, or onto the target; Escape stops between two"""

    bl_idname = "sfv.bake_all"
    bl_label = "Bake All Files"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not context.scene.sfv.retarget.files:
            cls.poll_message_set("Add motion files to the list")
        elif not armatures(context):
            cls.poll_message_set("Select armatures, or choose a target")
        return bool(context.scene.sfv.retarget.files and armatures(context))

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self._begin(context)
        self._timer = context.window_manager.event_timer_add(TICK, window=context.window)
        context.window_manager.progress_begin(0, 1)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type == "ESC":
            return self._end(context, "Stopped: ")
        if event.type != "TIMER":
            return {"RUNNING_MODAL"}
        done = self._step()
        context.window_manager.progress_update(self._done / max(self._total, 1))
        context.workspace.status_text_set(f"Baking: {self._done} of {self._total} · Esc stops")
        return self._end(context) if done else {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        self._begin(context)
        while not self._step():
            pass
        return self._report("")

    def _begin(self, context: bpy.types.Context) -> None:
        live.end()
        self._steps: Iterator[tuple[int, int, str]] = retargeting.bake_files(context.scene, armatures(context))
        self._done, self._total, self._problems = 0, 0, []

    def _step(self) -> bool:
        """Bake one file onto one armature; return whether that was the last."""
        step = next(self._steps, None)
        if step is None:
            return True
        self._done, self._total, problem = step
        self._problems += [problem] if problem else []
        return self._done == self._total

    def _end(self, context: bpy.types.Context, before: str = "") -> set[str]:
        context.window_manager.event_timer_remove(self._timer)
        context.window_manager.progress_end()
        context.workspace.status_text_set(None)
        return self._report(before)

    def _report(self, before: str) -> set[str]:
        """Tell what was baked and what could not be, by name."""
        good = self._done - len(self._problems)
        text = f"{before}{good} of {self._total} baked"
        tracking.set_notes(tuple(self._problems))
        if self._problems:
            self.report({"WARNING"} if good else {"ERROR"}, f"{text}. {self._problems[0]}")
        else:
            self.report({"INFO"}, text)
        return {"FINISHED"} if good else {"CANCELLED"}


class SFV_OT_add_files(ImportHelper, bpy.types.Operator):
    """Add motion files to the list: motion.npz, BVH, or AMC with its ASF beside it"""

    bl_idname = "sfv.add_files"
    bl_label = "Add Motion Files"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    filter_glob: StringProperty(default=";".join(f"*{suffix}" for suffix in sources.SUFFIXES), options={"HIDDEN"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        named = [Path(self.directory) / entry.name for entry in self.files if entry.name]
        try:
            new = sources.add_files(context.scene, named or [Path(self.filepath)])
        except AddonError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        self.report({"INFO"}, f"{new} file{'' if new == 1 else 's'} added")
        return {"FINISHED"}


class SFV_OT_remove_file(bpy.types.Operator):
    """Take the chosen file off the list; the file itself stays"""

    bl_idname = "sfv.remove_file"
    bl_label = "Remove File"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    index: IntProperty(default=-1, options={"SKIP_SAVE"}, description="Number in the list; the chosen one if below 0")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(context.scene.sfv.retarget.files)

    def execute(self, context: bpy.types.Context) -> set[str]:
        held = context.scene.sfv.retarget
        held.files.remove(held.file if self.index < 0 else self.index)
        held.file = max(min(held.file, len(held.files) - 1), 0)
        return {"FINISHED"}


def armatures(context: bpy.types.Context) -> list[str]:
    """Name the selected armatures, or else the target."""
    chosen = [thing.name for thing in context.selected_objects if thing.type == "ARMATURE"]
    target = context.scene.sfv.target
    return chosen or ([target.name] if target else [])


def _ready(cls: type, scene: bpy.types.Scene) -> bool:
    """Tell whether there are a source and a target; if not, say what is missing."""
    held = scene.sfv.retarget
    have = {"capture": scene.sfv.captured.motion, "simulate": scene.sfv.simulated.motion, "file": len(held.files),
            "armature": held.performer is not None}
    if not any(have.values()):
        cls.poll_message_set("Capture a motion first, or add a motion file")
    elif scene.sfv.target is None:
        cls.poll_message_set("Choose a target armature")
    return any(have.values()) and scene.sfv.target is not None


CLASSES = (SFV_OT_retarget, SFV_OT_preview, SFV_OT_bake_all, SFV_OT_add_files, SFV_OT_remove_file)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
