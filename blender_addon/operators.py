"""The buttons about jobs and the backend: read what the scene says, call, report."""

import uuid
from pathlib import Path

import bpy
from bpy.props import BoolProperty, FloatProperty

from . import physics, pins, session, tracking, watcher
from .backend import Access
from .errors import AddonError
from .preferences import access


class Job:
    """What the buttons that begin a job have in common."""

    kind = ""
    bl_options = {"REGISTER"}  # noqa: RUF012 (Blender wants a set)

    wait: BoolProperty(name="Wait", options={"HIDDEN", "SKIP_SAVE"},
                       description="Block until the job has ended; for scripts")
    wait_seconds: FloatProperty(name="Longest Wait", default=3600.0, options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if tracking.busy(context.scene):
            cls.poll_message_set("A job of this scene is at work. Cancel it first, or wait")
            return False
        return True

    def begin(self, scene: bpy.types.Scene, config: dict) -> set[str]:
        tracking.job_begun(scene, str(uuid.uuid4()), self.kind)
        watcher.submit(session.order_for(scene, config))
        return wait_for(self, scene)


def wait_for(operator: bpy.types.Operator, scene: bpy.types.Scene) -> set[str]:
    """Return at once, or once the job has ended if the operator was told to wait."""
    if not operator.wait:
        return {"FINISHED"}
    if not watcher.wait(scene.sfv.job, operator.wait_seconds):
        operator.report({"ERROR"}, f"The job did not end within {operator.wait_seconds:.0f} s; it goes on.")
        return {"CANCELLED"}
    view = tracking.view_of(scene)
    operator.report({"INFO"} if view.state == "done" else {"ERROR"}, view.text or view.state)
    return {"FINISHED"} if view.state == "done" else {"CANCELLED"}


def config_for(scene: bpy.types.Scene, kind: str, way: Access) -> dict:
    """Return the configuration of a job. Raise AddonError where something is missing."""
    video, pinned = Path(bpy.path.abspath(scene.sfv.video)), kind == "simulate" and bool(scene.sfv.pinned)
    if kind == "capture" or (way.remote and not pinned):
        if not scene.sfv.video:
            raise AddonError("No video is chosen. Choose a video of one person, the whole body in view.")
        if not video.is_file():
            raise AddonError(f"There is no video '{video}'. Choose another.")
    choice = {"capture": {"person": scene.sfv.person}} if scene.sfv.person else {}
    if kind == "capture":
        return {"stages": ["capture"], "video": str(video), "name": video.stem, **choice}
    training = {"train": physics.training(scene), "simulate": physics.taking(scene), "name": scene.sfv.captured.name}
    if way.remote and pinned:  # the refined motion is there
        return {"stages": ["train", "simulate"], "motion": f"job:{scene.sfv.captured.job}", **training}
    if way.remote:  # a motion cannot be sent there; the video can, and gives the same one again
        return {"stages": ["capture", "train", "simulate"], "video": str(video), **choice, **training}
    return {"stages": ["train", "simulate"], "motion": scene.sfv.captured.motion, **training}


class SFV_OT_capture(Job, bpy.types.Operator):
    """Reconstruct the motion of the person in the video; it is baked onto the target as soon as it is done"""

    bl_idname = "sfv.capture"
    bl_label = "Capture"
    kind = "capture"

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            config = config_for(context.scene, self.kind, access())
            context.scene.sfv.clip = config["name"]
            return self.begin(context.scene, config)
        except AddonError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}


class SFV_OT_simulate(Job, bpy.types.Operator):
    """Let a physical body learn to perform the captured motion; what it does is baked onto the target"""

    bl_idname = "sfv.simulate"
    bl_label = "Simulate"
    kind = "simulate"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not context.scene.sfv.captured.motion:
            cls.poll_message_set("Capture a motion first")
            return False
        return super().poll(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        try:
            context.scene.sfv.clip = context.scene.sfv.captured.name
            return self.begin(context.scene, config_for(context.scene, self.kind, access()))
        except AddonError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}


class SFV_OT_refine(Job, bpy.types.Operator):
    """Solve the captured motion again around the pins, keep them exactly, and bake it onto the target"""

    bl_idname = "sfv.refine"
    bl_label = "Refine"
    kind = "refine"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not context.scene.sfv.captured.job:
            cls.poll_message_set("Capture a motion first")
            return False
        return super().poll(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        tracking.job_begun(scene, scene.sfv.captured.job, self.kind)
        watcher.refine(session.order_for(scene, pins.document(scene)))
        return wait_for(self, scene)


class SFV_OT_cancel(bpy.types.Operator):
    """Stop the scene's job; what it has finished stays, and it can be resumed"""

    bl_idname = "sfv.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return tracking.busy(context.scene)

    def execute(self, context: bpy.types.Context) -> set[str]:
        watcher.cancel(context.scene.sfv.job, access())
        return {"FINISHED"}


class SFV_OT_resume(bpy.types.Operator):
    """Go on with a job that failed, was cancelled or lost, from where it was"""

    bl_idname = "sfv.resume"
    bl_label = "Resume"

    wait: BoolProperty(options={"HIDDEN", "SKIP_SAVE"})
    wait_seconds: FloatProperty(default=3600.0, options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        view = tracking.view_of(context.scene)
        return view is not None and view.can_resume

    def execute(self, context: bpy.types.Context) -> set[str]:
        scene = context.scene
        tracking.job_begun(scene, scene.sfv.job, scene.sfv.kind)
        watcher.resume(session.order_for(scene))
        return wait_for(self, scene)


class SFV_OT_start_backend(bpy.types.Operator):
    """Start the backend on this machine; it goes on working when Blender is closed"""

    bl_idname = "sfv.start_backend"
    bl_label = "Start"

    def execute(self, context: bpy.types.Context) -> set[str]:
        watcher.start(access())
        return {"FINISHED"}


class SFV_OT_test_backend(bpy.types.Operator):
    """Look whether the backend answers"""

    bl_idname = "sfv.test_backend"
    bl_label = "Test"

    def execute(self, context: bpy.types.Context) -> set[str]:
        watcher.probe(access())
        return {"FINISHED"}


class SFV_OT_open(bpy.types.Operator):
    """Open the file in the program that this system has for it"""

    bl_idname = "sfv.open"
    bl_label = "Open"

    path: bpy.props.StringProperty(subtype="FILE_PATH", options={"HIDDEN", "SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        if not Path(self.path).is_file():
            self.report({"ERROR"}, f"'{self.path}' is not there any more.")
            return {"CANCELLED"}
        return bpy.ops.wm.path_open(filepath=self.path)


CLASSES = (SFV_OT_capture, SFV_OT_simulate, SFV_OT_refine, SFV_OT_cancel, SFV_OT_resume, SFV_OT_start_backend,
           SFV_OT_test_backend, SFV_OT_open)

register, unregister = bpy.utils.register_classes_factory(CLASSES)
