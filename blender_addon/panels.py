"""The sidebar tab "SFV": draws what is known, computes nothing."""

from __future__ import annotations

import textwrap

import bpy

from . import tracking

LETTER = 7.5
"""Width of a letter in px, to break long messages at the panel's width."""
STATES = {"starting": "Starting", "queued": "Waiting for its turn", "running": "At work",
          "done": "Done", "failed": "Failed",
          "cancelled": "Cancelled", "crashed": "Broken off", "lost": "Not reached", "unsent": "Not begun"}
ICONS = {"unknown": "QUESTION", "asked": "SORTTIME", "found": "CHECKMARK", "missing": "ERROR"}


class Sidebar:
    """Where the panels are."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "SFV"


class SFV_PT_main(Sidebar, bpy.types.Panel):
    """From a video to a motion to keyframes."""

    bl_label = "Motion from Video"

    def draw(self, context: bpy.types.Context) -> None:
        held, layout = context.scene.sfv, self.layout
        draw_backend(layout, context)
        column = layout.column()
        column.label(text="Video")
        column.prop(held, "video", text="")
        column.prop(held, "person")
        column.operator("sfv.capture", icon="CON_CAMERASOLVER")
        layout.separator()
        column = layout.column()
        column.label(text="Target Armature")
        column.prop(held, "target", text="", icon="ARMATURE_DATA")
        layout.separator()
        column = layout.column()
        column.prop(held, "minutes")
        column.operator("sfv.simulate", icon="PHYSICS")
        draw_job(layout, context)


class SFV_PT_physics(Sidebar, bpy.types.Panel):
    """What body performs the motion, and under what circumstances."""

    bl_label = "Physics"
    bl_order = 1
    bl_parent_id = "SFV_PT_main"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012 (Blender wants a set)

    def draw(self, context: bpy.types.Context) -> None:
        held, layout = context.scene.sfv.physics, self.layout
        layout.use_property_split, layout.use_property_decorate = True, False
        column = layout.column()
        for name in ("engine", "loop", "character"):
            column.prop(held, name)
        draw_optional(column, held, "use_mass", "mass")
        column = layout.column()
        for name in ("takes", "gravity", "slope"):
            column.prop(held, name)
        if held.slope:
            column.prop(held, "slope_dir")
        layout.prop(held, "use_push")
        if held.use_push:
            column = layout.column()
            for name in ("push_time", "push_force", "push_for", "push_dir", "push_body"):
                column.prop(held, name)


class SFV_PT_pins(Sidebar, bpy.types.Panel):
    """Frames that the animator corrected."""

    bl_label = "Corrections"
    bl_order = 2
    bl_parent_id = "SFV_PT_main"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(context.scene.sfv.captured.motion)

    def draw(self, context: bpy.types.Context) -> None:
        held, column = context.scene.sfv, self.layout.column()
        row = column.row(align=True)
        row.operator("sfv.pin_pose", icon="PINNED")
        row.operator("sfv.pin_pose", text="Selected Bones").selected = True
        if held.pinned:
            row = column.row()
            row.label(text=f"{held.pinned} frame{'s' if held.pinned > 1 else ''} pinned", icon="KEYFRAME_HLT")
            row.operator("sfv.clear_pins", text="", icon="X")
        column.operator("sfv.refine", icon="MOD_SMOOTH")


class SFV_PT_results(Sidebar, bpy.types.Panel):
    """What the backend drew and wrote."""

    bl_label = "Results"
    bl_order = 3
    bl_parent_id = "SFV_PT_main"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(context.scene.sfv.captured.motion or context.scene.sfv.simulated.motion)

    def draw(self, context: bpy.types.Context) -> None:
        held, column = context.scene.sfv, self.layout.column()
        for path, text, icon in ((held.captured.picture, "Open Overlay", "FILE_MOVIE"),
                                 (held.captured.report, "Open Report", "FILE_TEXT"),
                                 (held.simulated.picture, "Open Learning Curve", "GRAPH")):
            if path:
                column.operator("sfv.open", text=text, icon=icon).path = path


def draw_optional(layout: bpy.types.UILayout, held: bpy.types.PropertyGroup, switch: str, name: str) -> None:
    """Draw a value that counts only while its switch is on."""
    row = layout.row(heading=held.bl_rna.properties[switch].name)
    row.prop(held, switch, text="")
    value = row.row()
    value.active = getattr(held, switch)
    value.prop(held, name, text="")


def draw_backend(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw whether there is a backend, and the button that starts one."""
    view = tracking.backend
    row = layout.row(align=True)
    if view.state == "missing":
        row.label(text="No backend", icon="ERROR")
    else:
        row.label(text=view.text, icon=ICONS[view.state])
    row.operator("sfv.test_backend", text="", icon="FILE_REFRESH")
    if view.state == "missing":
        draw_text(layout, context, view.text)
        layout.operator("sfv.start_backend", icon="PLAY")


def draw_job(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draw how far the scene's job is, and what can be done about it."""
    view = tracking.view_of(context.scene)
    if view is None:
        return
    box = layout.box()
    at_work = view.state == "running" and view.stage
    title = f"{view.kind.capitalize()}: {at_work or STATES.get(view.state, view.state)}"
    if view.ended:
        box.label(text=title, icon="CHECKMARK" if view.state == "done" else "ERROR")
    else:
        box.label(text=title, icon="SORTTIME")
        box.progress(factor=view.fraction, type="BAR", text=f"{100 * view.fraction:.0f} %{left(view.seconds_left)}")
        box.operator("sfv.cancel", icon="X")
    if view.text and view.text != tracking.backend.text:
        draw_text(box, context, view.text)
    for note in view.notes:
        draw_text(box, context, note, "DOT")
    if view.advice:
        draw_text(box, context, view.advice, "INFO")
    if view.can_resume:
        box.operator("sfv.resume", icon="FILE_REFRESH")


def draw_text(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, icon: str = "NONE") -> None:
    """Draw a text of any length, broken at the panel's width."""
    scale = context.preferences.system.ui_scale
    letters = max(int(context.region.width / (LETTER * scale)) - 5, 20) if context.region else 40
    column = layout.column(align=True)
    column.scale_y = 0.8
    for number, line in enumerate(textwrap.wrap(text, letters)):
        column.label(text=line, icon=icon if number == 0 else ("BLANK1" if icon != "NONE" else "NONE"))


def left(seconds: float | None) -> str:
    """Return the time left for people."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f", {seconds:.0f} s left"
    if seconds < 3600:
        return f", {seconds // 60:.0f} min {seconds % 60:.0f} s left"
    return f", {seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min left"


CLASSES = (SFV_PT_main, SFV_PT_physics, SFV_PT_pins, SFV_PT_results)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
