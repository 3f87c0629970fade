"""A rig in a scene of its own for a while: nothing else is evaluated, and what is changed on it comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import bpy
import numpy as np

from .rigid import Rigid, from_matrices

CHANNELS = {"location": (0, 0, 0), "rotation_quaternion": (1, 0, 0, 0), "rotation_euler": (0, 0, 0),
            "rotation_axis_angle": (0, 0, 1, 0), "scale": (1, 1, 1)}
"""A bone's own channels and their values at rest."""


@dataclass(frozen=True)
class Setting:
    """A value of a custom property of a bone."""

    bone: str
    name: str
    value: float

    @property
    def path(self) -> str:
        """The property as Channels name it."""
        return f'["{bpy.utils.escape_identifier(self.name)}"]'


@dataclass(frozen=True)
class Stage:
    """A scene in which only the rig and what it looks at are evaluated, however heavy the meshes on it are."""

    armature: bpy.types.Object
    scene: bpy.types.Scene

    @property
    def evaluated(self) -> bpy.types.Object:
        """The rig as drivers and constraints have it; valid until the next evaluation."""
        return self.armature.evaluated_get(self.scene.view_layers[0].depsgraph)

    def places(self) -> Rigid:
        """Evaluate the rig as it is posed now; return where all bones are in armature space, (N,)."""
        self.armature.update_tag()
        self.scene.view_layers[0].update()
        return self._read()

    def places_at(self, frame: float) -> Rigid:
        """Evaluate the rig at a frame of its animation. → (N,)."""
        self.scene.frame_set(int(frame), subframe=float(frame) % 1.0)
        return self._read()

    def _read(self) -> Rigid:
        """Return where all bones were evaluated to be, (N,)."""
        bones = self.evaluated.pose.bones
        flat = np.empty(len(bones) * 16, np.float32)
        bones.foreach_get("matrix", flat)
        return from_matrices(flat.reshape(-1, 4, 4).swapaxes(1, 2))

    def rest(self) -> None:
        """Put every bone's own channels at rest."""
        bones = self.armature.pose.bones
        for name, values in CHANNELS.items():
            bones.foreach_set(name, np.tile(np.array(values, np.float32), len(bones)))

    def set(self, settings: Sequence[Setting]) -> None:
        """Set custom properties, each in its own type."""
        for setting in settings:
            bone = self.armature.pose.bones[setting.bone]
            bone[setting.name] = type(bone[setting.name])(setting.value)


@contextmanager
def stage(armature: bpy.types.Object) -> Iterator[Stage]:
    """Evaluate the rig apart from its scene; its pose is as before afterwards, whatever happens."""
    bones, here = armature.pose.bones, bpy.context.scene
    before = {name: _read(armature, name) for name in CHANNELS}
    shown, hidden = armature.data.pose_position, armature.hide_viewport
    scene = bpy.data.scenes.new("Stage")
    try:
        scene.frame_current, scene.render.fps, scene.render.fps_base = (
            here.frame_current, here.render.fps, here.render.fps_base)
        scene.collection.objects.link(armature)
        armature.data.pose_position, armature.hide_viewport = "POSE", False
        yield Stage(armature, scene)
    finally:
        bpy.data.scenes.remove(scene)
        armature.data.pose_position, armature.hide_viewport = shown, hidden
        for name, flat in before.items():
            bones.foreach_set(name, flat)
        armature.update_tag()
        bpy.context.view_layer.update()


@contextmanager
def still(armature: bpy.types.Object, settings: Sequence[Setting] = ()) -> Iterator[Stage]:
    """Hold the rig at rest on a stage, without animation; custom properties come back as well."""
    bones = armature.pose.bones
    values = [(s, bones[s.bone][s.name]) for s in settings]
    with stage(armature) as own, _motionless(armature):
        try:
            own.rest()
            yield own
        finally:
            for setting, value in values:
                bones[setting.bone][setting.name] = value


@contextmanager
def _motionless(armature: bpy.types.Object) -> Iterator[None]:
    """Take Action and NLA off the rig; drivers stay."""
    animation = armature.animation_data
    if animation is None:
        yield
        return
    action, slot, nla = animation.action, getattr(animation, "action_slot", None), animation.use_nla
    try:
        if action is not None:
            animation.action = None
        animation.use_nla = False
        yield
    finally:
        animation.use_nla = nla
        if action is not None:
            animation.action = action
            if slot is not None:
                animation.action_slot = slot


def _read(armature: bpy.types.Object, channel: str) -> np.ndarray:
    """Return one channel of all bones, flat."""
    flat = np.empty(len(armature.pose.bones) * len(CHANNELS[channel]), np.float32)
    armature.pose.bones.foreach_get(channel, flat)
    return flat
