"""What a scene remembers: the choices in the panel, its job, and the motions it has."""

import bpy
from bpy.props import EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty


def _is_armature(_: object, candidate: bpy.types.Object) -> bool:
    return candidate.type == "ARMATURE"


class SFV_PG_take(bpy.types.PropertyGroup):
    """One motion that the backend made."""

    job: StringProperty(options={"HIDDEN"})
    name: StringProperty(options={"HIDDEN"})
    motion: StringProperty(options={"HIDDEN"}, subtype="FILE_PATH")
    picture: StringProperty(options={"HIDDEN"}, subtype="FILE_PATH")
    report: StringProperty(options={"HIDDEN"}, subtype="FILE_PATH")


class SFV_PG_scene(bpy.types.PropertyGroup):
    """The panel's choices and the scene's job."""

    video: StringProperty(name="Video", subtype="FILE_PATH", description="Video of one person, the whole body in view")
    person: IntProperty(name="Person", default=0, min=0, soft_max=10,
                        description="Number of the person to capture; 0 takes the most prominent one")
    target: PointerProperty(name="Target", type=bpy.types.Object, poll=_is_armature,
                            description="Armature that shall move; results are baked onto it as they arrive")
    first_frame: IntProperty(name="First Frame", default=1, description="Frame on which the motion begins")
    minutes: FloatProperty(name="Training Minutes", default=10.0, min=0.1, soft_max=240.0,
                           description="Longest time for learning to perform the motion under physics")
    take: EnumProperty(name="Motion", items=[("capture", "Captured", "The motion as it was seen in the video"),
                                             ("simulate", "Simulated", "The motion as a physical body performs it")],
                       description="Which motion Retarget bakes")
    job: StringProperty(options={"HIDDEN"})
    kind: StringProperty(options={"HIDDEN"}, default="capture")
    clip: StringProperty(options={"HIDDEN"})
    pins: StringProperty(options={"HIDDEN"})
    pinned: IntProperty(options={"HIDDEN"}, description="How many frames are pinned")
    captured: PointerProperty(type=SFV_PG_take)
    simulated: PointerProperty(type=SFV_PG_take)


def register() -> None:
    bpy.utils.register_class(SFV_PG_take)
    bpy.utils.register_class(SFV_PG_scene)
    bpy.types.Scene.sfv = PointerProperty(type=SFV_PG_scene)


def unregister() -> None:
    del bpy.types.Scene.sfv
    bpy.utils.unregister_class(SFV_PG_scene)
    bpy.utils.unregister_class(SFV_PG_take)
