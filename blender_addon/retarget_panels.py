"""The part of the sidebar that puts motions onto armatures, and the editor of bone maps."""

from __future__ import annotations

import bpy

from . import live, maps, tracking
from .panels import Sidebar, draw_text

SURE, DOUBTFUL = 0.8, 0.5
"""Confidence from which on a pair counts as sure, and below which it is marked."""


class SFV_UL_files(bpy.types.UIList):
    """Motion files."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0, flt_flag=0) -> None:
        row = layout.row(align=True)
        row.label(text=item.name, icon="ANIM")
        row.operator("sfv.remove_file", text="", icon="X", emboss=False).index = index


class SFV_UL_pairs(bpy.types.UIList):
    """Joints and the bones that they drive."""

    def draw_item(self, context, layout, data, item, icon, active_data, active_property, index=0, flt_flag=0) -> None:
        self.use_filter_show = True
        row = layout.split(factor=0.42, align=True)
        row.label(text=item.joint, icon=icon_of(item, data.target))
        if data.target:
            row.prop_search(item, "bone", data.target.data, "bones", text="", icon="BONE_DATA")


class SFV_PT_retarget(Sidebar, bpy.types.Panel):
    """From a motion to keyframes on an armature."""

    bl_label = "Retarget"
    bl_parent_id = "SFV_PT_main"
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        held, layout = context.scene.sfv.retarget, self.layout
        column = layout.column()
        column.prop(held, "source", text="")
        if held.source == "file":
            row = column.row()
            row.template_list("SFV_UL_files", "", held, "files", held, "file", rows=3)
            row.column(align=True).operator("sfv.add_files", text="", icon="ADD")
        elif held.source == "armature":
            column.prop(held, "performer", text="", icon="ARMATURE_DATA")
        column.prop(context.scene.sfv, "target", text="Onto", icon="ARMATURE_DATA")
        column.prop(context.scene.sfv, "first_frame")
        row = layout.row(align=True)
        row.operator("sfv.guess_map", icon="VIEWZOOM")
        row.operator("sfv.preview", icon="HIDE_OFF", depress=live.running())
        layout.operator("sfv.retarget", text="Bake", icon="ACTION")
        if len(held.files) > 1 and held.source == "file":
            layout.operator("sfv.bake_all", icon="FILE_REFRESH")
        if live.text:
            draw_text(layout, context, live.text, "ERROR")


class SFV_PT_retarget_options(Sidebar, bpy.types.Panel):
    """How the motion is carried over, and how it is written."""

    bl_label = "Options"
    bl_parent_id = "SFV_PT_retarget"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        held, layout = context.scene.sfv.retarget, self.layout
        layout.use_property_split, layout.use_property_decorate = True, False
        column = layout.column()
        for name in ("root", "stride", "feet", "hands", "limbs"):
            column.prop(held, name)
        draw_switch(layout, held, "use_reference", "reference_frame")
        draw_switch(layout, held, "use_range", "range_start", "range_end")
        draw_switch(layout, held, "use_reduce", "reduce_deg", "reduce_mm")
        column = layout.column()
        column.prop(held, "every_frame")
        column.prop(held, "nla")


class SFV_PT_map(Sidebar, bpy.types.Panel):
    """Which joint drives which bone."""

    bl_label = "Bone Map"
    bl_parent_id = "SFV_PT_retarget"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        scene, layout = context.scene, self.layout
        held = maps.shown(scene)
        row = layout.row(align=True)
        row.operator("sfv.guess_map", text="Guess" if held is None else "Reset to Guess", icon="FILE_REFRESH")
        row.operator("sfv.load_map", text="", icon="FILE_FOLDER")
        if held is None:
            layout.label(text="Guessed when it is baked", icon="INFO")
            return
        row.operator("sfv.save_map", text="", icon="FILE_TICK")
        row.operator("sfv.forget_map", text="", icon="X")
        layout.template_list("SFV_UL_pairs", "", held, "pairs", held, "active", rows=8)
        row = layout.row(align=True)
        row.operator("sfv.pick_bone", icon="EYEDROPPER")
        row.prop(scene.sfv.retarget, "mirror", toggle=True, icon="MOD_MIRROR")
        draw_pair(layout, context, held)


class SFV_PT_notes(Sidebar, bpy.types.Panel):
    """What the last bake left out, and why."""

    bl_label = "Notes"
    bl_parent_id = "SFV_PT_retarget"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(tracking.notes)

    def draw(self, context: bpy.types.Context) -> None:
        for note in tracking.notes:
            draw_text(self.layout, context, note, "DOT")


def draw_pair(layout: bpy.types.UILayout, context: bpy.types.Context, held: bpy.types.PropertyGroup) -> None:
    """Draw what is known of the chosen row."""
    if not 0 <= held.active < len(held.pairs):
        return
    pair = held.pairs[held.active]
    role = pair.role or "no part of the body"
    if pair.bone and held.target and pair.bone not in held.target.data.bones:
        draw_text(layout, context, f"'{held.target.name}' has no bone '{pair.bone}' any more. Choose another.", "ERROR")
    elif pair.bone:
        draw_text(layout, context, f"{pair.joint} → {pair.bone} ({role}, {100 * pair.confidence:.0f} % sure)", "INFO")
    else:
        draw_text(layout, context, pair.why or f"'{pair.joint}' ({role}) drives nothing.", "INFO")


def draw_switch(layout: bpy.types.UILayout, held: bpy.types.PropertyGroup, switch: str, *names: str) -> None:
    """Draw a switch, and what belongs to it where it is on."""
    column = layout.column(align=True)
    column.prop(held, switch)
    for name in names if getattr(held, switch) else ():
        column.prop(held, name)


def icon_of(pair: bpy.types.PropertyGroup, target: bpy.types.Object | None) -> str:
    """Show how sure a pair is."""
    if not pair.bone:
        return "RADIOBUT_OFF"
    if target is None or pair.bone not in target.data.bones or pair.confidence < DOUBTFUL:
        return "ERROR"
    return "CHECKMARK" if pair.confidence >= SURE else "QUESTION"


CLASSES = (SFV_UL_files, SFV_UL_pairs, SFV_PT_retarget, SFV_PT_retarget_options, SFV_PT_map, SFV_PT_notes)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
