"""What an armature shows over a range of frames, with its constraints, drivers and NLA, as a Motion."""

from __future__ import annotations

import bpy
import numpy as np

from retarget import Motion, RetargetError, rotation
from retarget.kinematics import local_rotations
from retarget.roles import find_roles

from .armature import placement, skeleton_of
from .bake import scene_fps
from .errors import AddonError


def sampled(armature: bpy.types.Object, scene: bpy.types.Scene, first: int | None = None, last: int | None = None
            ) -> Motion:
    """Play the scene and note the armature's pose at each frame; the scene's frame is as before afterwards.

    first, last: frames of the scene, both included; its own range if not given. The motion begins where the armature
    stands in the first frame. Raise AddonError, RetargetError.
    """
    first = scene.frame_start if first is None else first
    last = scene.frame_end if last is None else last
    if last < first:
        raise AddonError(f"The scene's frames {first} to {last} are none. Correct its range.")
    skeleton = skeleton_of(armature)
    hips = find_roles(skeleton).joints.get("Hips")
    if hips is not None:
        skeleton = skeleton_of(armature, skeleton.names[hips])
    placement(armature)  # refuses a scale that no motion has
    world = _matrices(armature, scene, first, last)
    order = [armature.pose.bones.find(name) for name in skeleton.names]
    world = world[:, order]
    axes = world[..., :3, :3] / np.linalg.norm(world[..., :3, :3], axis=-2, keepdims=True)
    if not np.isfinite(axes).all():
        raise RetargetError(f"'{armature.name}' has bones of size 0 in this animation. Remove their scale keys.")
    turns = local_rotations(skeleton, rotation.from_matrix(axes))
    return Motion(skeleton, scene_fps(scene), world[:, skeleton.root, :3, 3], turns)


def _matrices(armature: bpy.types.Object, scene: bpy.types.Scene, first: int, last: int) -> np.ndarray:
    """Return the bones' matrices from where the object stands in the first frame, in Blender's order, (T, J, 4, 4)."""
    now, sub = scene.frame_current, scene.frame_subframe
    frames = []
    try:
        for frame in range(first, last + 1):
            scene.frame_set(frame)
            shown = armature.evaluated_get(bpy.context.evaluated_depsgraph_get())
            world = np.array(shown.matrix_world, float)
            frames.append(world @ np.array([bone.matrix for bone in shown.pose.bones], float))
            if frame == first:
                origin = world[:3, 3].copy()
    finally:
        scene.frame_set(now, subframe=sub)
    found = np.array(frames)
    found[..., :3, 3] -= origin
    return found
