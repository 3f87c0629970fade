"""The buttons about pins: frames that the animator corrected."""

import bpy
from bpy.props import BoolProperty

from retarget import RetargetError

from . import pins
from .errors import AddonError


class Pinning:
    """What the buttons about pins have in common."""

    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        held = context.scene.sfv
        if not (held.captured.motion and held.target):
            cls.poll_message_set("Capture a motion and choose its target first")
            return False
        return True


class SFV_OT_pin_pose(Pinning, bpy.types.Operator):
    """Keep the pose that the target has at this frame: Refine fits the captured motion around it"""

    bl_idname = "sfv.pin_pose"
    bl_label = "Pin Pose"

    selected: BoolProperty(name="Selected Bones", options={"SKIP_SAVE"},
                           description="Pin the selected bones only; the others follow the video as before")

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            self.report({"INFO"}, pins.pin(context.scene, self.selected))
            return {"FINISHED"}
        except (AddonError, RetargetError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}


class SFV_OT_clear_pins(Pinning, bpy.types.Operator):
    """Forget all pins; Refine then gives back the motion as it was captured"""

    bl_idname = "sfv.clear_pins"
    bl_label = "Clear Pins"

    def execute(self, context: bpy.types.Context) -> set[str]:
        pins.store(context.scene, [])
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory((SFV_OT_pin_pose, SFV_OT_clear_pins))
