"""What a scene remembers: the choices in the panel, its job, the motions it has, and its bone maps."""

from collections.abc import Callable

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

changed_choice: list[Callable[[bpy.types.Scene], None]] = []
"""Called when a choice has changed that a retarget depends on."""
changed_source: list[Callable[[bpy.types.Scene], None]] = []
"""Called when another source or target is chosen."""
chosen_bone: list[Callable[[bpy.types.Scene, object], None]] = []
"""Called with a pair of a bone map whose bone was chosen by hand."""


def _is_armature(_: object, candidate: bpy.types.Object) -> bool:
    return candidate.type == "ARMATURE"


def _choice(held: bpy.types.PropertyGroup, _: bpy.types.Context) -> None:
    for tell in changed_choice:
        tell(held.id_data)


def _source(held: bpy.types.PropertyGroup, _: bpy.types.Context) -> None:
    for tell in (*changed_source, *changed_choice):
        tell(held.id_data)


def _bone(pair: bpy.types.PropertyGroup, _: bpy.types.Context) -> None:
    for tell in chosen_bone:
        tell(pair.id_data, pair)


class SFV_PG_take(bpy.types.PropertyGroup):
    """One motion that the backend made."""

    job: StringProperty(options={"HIDDEN"})
    name: StringProperty(options={"HIDDEN"})
    motion: StringProperty(options={"HIDDEN"}, subtype="FILE_PATH")
    picture: StringProperty(options={"HIDDEN"}, subtype="FILE_PATH")
    report: StringProperty(options={"HIDDEN"}, subtype="FILE_PATH")


class SFV_PG_file(bpy.types.PropertyGroup):
    """One motion file."""

    name: StringProperty(description="What the list shows")
    path: StringProperty(subtype="FILE_PATH")


class SFV_PG_pair(bpy.types.PropertyGroup):
    """One joint of the source, and the bone that it drives."""

    name: StringProperty(description="Joint, bone and role, for the list's search")
    joint: StringProperty(name="Joint", description="Joint of the motion")
    bone: StringProperty(name="Bone", update=_bone, description="Bone that this joint drives; empty: none")
    had: StringProperty(description="The bone before the last choice")
    role: StringProperty(description="Part of the body")
    confidence: FloatProperty(default=1.0, description="How sure the guess is, 0 to 1")
    why: StringProperty(description="Why the joint drives nothing")


class SFV_PG_map(bpy.types.PropertyGroup):
    """A bone map of one source skeleton and one target."""

    joints: StringProperty(description="Fingerprint of the source's joint names")
    target: PointerProperty(type=bpy.types.Object)
    pairs: CollectionProperty(type=SFV_PG_pair)
    active: IntProperty()
    notes: StringProperty(description="What else was not mapped, a line each")


class SFV_PG_retarget(bpy.types.PropertyGroup):
    """How a motion goes onto the target."""

    source: EnumProperty(name="Source", update=_source, items=[
        ("capture", "Captured", "The motion as it was seen in the video"),
        ("simulate", "Simulated", "The motion as a physical body performs it"),
        ("file", "Files", "Motion files: motion.npz, BVH, or AMC with its ASF beside it"),
        ("armature", "Armature", "What another armature of this scene performs")],
        description="Where the motion comes from")
    files: CollectionProperty(type=SFV_PG_file)
    file: IntProperty(name="File", update=_source)
    performer: PointerProperty(name="Performer", type=bpy.types.Object, poll=_is_armature, update=_source,
                               description="Armature whose animation is taken over")
    stride: FloatProperty(name="Stride", default=1.0, min=0.0, soft_max=2.0, update=_choice,
                          description="Way over the ground, as a share of what the target's size gives")
    root: EnumProperty(name="Hips", update=_choice, items=[
        ("travel", "Travel", "The character moves through the scene"),
        ("in_place", "In Place", "The character stays where it is over the ground"),
        ("off", "Fixed", "The hips keep their place altogether")], description="What becomes of the way covered")
    feet: EnumProperty(name="Feet", update=_choice, items=[
        ("follow", "Follow", "Feet go where the source's are; the legs bend for it"),
        ("lock", "Lock", "Feet are also held absolutely still while they touch the ground"),
        ("off", "By Legs", "Feet are where the turned legs bring them")],
                       description="Whether the legs bend for the feet")
    hands: EnumProperty(name="Hands", update=_choice, items=[
        ("off", "By Arms", "Hands are where the turned arms bring them"),
        ("body", "As to Body", "Hands are where the source's are, seen from the shoulders"),
        ("floor", "As to Floor", "Hands are where the source's are over the floor")],
        description="Whether the arms bend to bring the hands to the source's")
    use_reference: BoolProperty(name="Reference Frame", update=_choice,
                                description="Take one frame of the motion as its rest pose")
    reference_frame: IntProperty(name="Frame", min=0, update=_choice, description="Frame of the motion, from 0")
    limbs: EnumProperty(name="Limbs", update=_choice, items=[
        ("auto", "Legs IK, Arms FK", "Feet stay where they stand; arms turn bone by bone"),
        ("fk", "FK", "Arms and legs turn bone by bone"), ("ik", "IK", "Hands and feet lead")],
        description="Which controls of a control rig show; both get keys")
    use_range: BoolProperty(name="Part of the Motion", update=_choice, description="Bake some of the motion's frames")
    range_start: IntProperty(name="First", min=0, update=_choice, description="First frame of the motion, from 0")
    range_end: IntProperty(name="Last", default=100, min=0, update=_choice, description="Last frame of the motion")
    every_frame: BoolProperty(name="Every Frame", update=_choice, description="Give each frame of the motion a frame "
                              "of the scene, whatever their rates; else the motion keeps its speed")
    use_reduce: BoolProperty(name="Fewer Keys", description="Leave out keys that the lines between the others say")
    reduce_deg: FloatProperty(name="Error", default=0.5, min=0.01, soft_max=5.0, max=90.0, precision=2,
                              description="Farthest that a bone may turn from the motion, in degrees")
    reduce_mm: FloatProperty(name="Error", default=1.0, min=0.01, soft_max=20.0, max=1000.0,
                             description="Farthest that a location may be from the motion, in mm")
    nla: BoolProperty(name="NLA Track", description="Put the Action on an NLA track of its own; what is assigned stays")
    maps: CollectionProperty(type=SFV_PG_map)
    map: IntProperty(default=-1, options={"HIDDEN"})
    mirror: BoolProperty(name="Mirror", default=True,
                         description="Choosing a bone on one side chooses its counterpart for the other side too")
    preview_target: PointerProperty(type=bpy.types.Object, options={"HIDDEN"})
    preview_pose: StringProperty(options={"HIDDEN"}, description="The pose that a preview hides, as JSON")


class SFV_PG_physics(bpy.types.PropertyGroup):
    """How a body learns the motion, and under what circumstances it performs it."""

    engine: EnumProperty(name="Engine", items=[
        ("pybullet", "PyBullet", "The engine that every backend has"),
        ("mujoco", "MuJoCo", "Four times as fast; the backend needs its extra 'mujoco'")],
        description="Physics engine in which the body learns")
    loop: EnumProperty(name="Performs", items=[
        ("auto", "As It Is", "Again and again if the motion is a cycle or holds one, else once"),
        ("yes", "For Ever", "The best cycle in the motion, again and again"),
        ("no", "Once", "The motion from its start to its end")], description="Whether the motion repeats")
    character: EnumProperty(name="Body", items=[
        ("person", "Captured Person", "A body of the captured person's proportions"),
        ("deepmimic", "Humanoid", "DeepMimic's humanoid"),
        ("atlas", "Atlas", "The robot Atlas, of 169.5 kg")], description="The body that performs the motion")
    use_mass: BoolProperty(name="Mass (kg)", description="Give the body a mass; else it has what its size gives")
    mass: FloatProperty(name="Mass", default=70.0, min=1.0, soft_max=200.0, max=1000.0,
                        description="Mass of the body in kg")
    takes: IntProperty(name="Takes", default=1, min=1, soft_max=64, max=1024,
                       description="Takes to simulate, each a little different; the best is kept")
    gravity: FloatProperty(name="Gravity (×)", default=1.0, min=0.0, soft_max=3.0, max=100.0,
                           description="Gravity of the take, as a multiple of the earth's")
    slope: FloatProperty(name="Slope (°)", default=0.0, min=0.0, soft_max=30.0, max=60.0,
                         description="Slope of the ground in degrees")
    slope_dir: EnumProperty(name="Goes", items=[
        ("uphill", "Uphill", ""), ("downhill", "Downhill", ""), ("left", "Falling to the Left", ""),
        ("right", "Falling to the Right", "")], description="Where the motion goes on the slope, or to which side of "
                            "the character it falls")
    use_push: BoolProperty(name="Push", description="Push the body during the take")
    push_time: FloatProperty(name="At (s)", default=1.0, min=0.0, soft_max=20.0, max=86_400.0,
                             description="When the push begins, in s from the take's start")
    push_force: FloatProperty(name="Force (N)", default=300.0, min=1.0, soft_max=2000.0, max=1e6,
                              description="Strength of the push in N")
    push_for: FloatProperty(name="For (s)", default=0.2, min=0.005, soft_max=2.0, max=60.0,
                            description="How long the push lasts, in s")
    push_dir: EnumProperty(name="To", items=[
        ("left", "Left", ""), ("right", "Right", ""), ("front", "Front", ""), ("back", "Back", ""), ("up", "Up", ""),
        ("down", "Down", "")], description="Where the push goes, as the character faces at that moment")
    push_body: EnumProperty(name="On", items=[
        ("chest", "Chest", ""), ("pelvis", "Pelvis", ""), ("head", "Head", ""), ("left_hand", "Left Hand", ""),
        ("right_hand", "Right Hand", ""), ("left_foot", "Left Foot", ""), ("right_foot", "Right Foot", "")],
        description="Part of the body that is pushed")


class SFV_PG_scene(bpy.types.PropertyGroup):
    """The panel's choices and the scene's job."""

    video: StringProperty(name="Video", subtype="FILE_PATH", description="Video of one person, the whole body in view")
    person: IntProperty(name="Person", default=0, min=0, soft_max=10,
                        description="Number of the person to capture; 0 takes the most prominent one")
    target: PointerProperty(name="Target", type=bpy.types.Object, poll=_is_armature, update=_source,
                            description="Armature that shall move; results are baked onto it as they arrive")
    first_frame: IntProperty(name="First Frame", default=1, update=_choice,
                             description="Frame on which the motion begins")
    minutes: FloatProperty(name="Training Minutes", default=10.0, min=0.1, soft_max=240.0,
                           description="Longest time for learning to perform the motion under physics")
    job: StringProperty(options={"HIDDEN"})
    kind: StringProperty(options={"HIDDEN"}, default="capture")
    clip: StringProperty(options={"HIDDEN"})
    pins: StringProperty(options={"HIDDEN"})
    pinned: IntProperty(options={"HIDDEN"}, description="How many frames are pinned")
    captured: PointerProperty(type=SFV_PG_take)
    simulated: PointerProperty(type=SFV_PG_take)
    retarget: PointerProperty(type=SFV_PG_retarget)
    physics: PointerProperty(type=SFV_PG_physics)


CLASSES = (SFV_PG_take, SFV_PG_file, SFV_PG_pair, SFV_PG_map, SFV_PG_retarget, SFV_PG_physics, SFV_PG_scene)


def register() -> None:
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    bpy.types.Scene.sfv = PointerProperty(type=SFV_PG_scene)


def unregister() -> None:
    del bpy.types.Scene.sfv
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
