"""A rig whose rest pose is no body, as of files that lay all bones along one axis, taken as it stands now."""

from __future__ import annotations

import bpy
import numpy as np

from retarget import Skeleton
from retarget.mapping import BoneMap
from retarget.solve import bodies_of

from .armature import skeleton_from


def as_it_stands(armature: bpy.types.Object, skeleton: Skeleton, source: Skeleton, bone_map: BoneMap
                 ) -> tuple[Skeleton, tuple[str, ...]]:
    """Return the skeleton with the armature's present pose as its rest pose, if its own is no body and that is one.

    With it comes a note for the user. Blender's bones keep their rest; only what a motion is measured by changes.
    """
    if not bone_map.pairs or bodies_of(source, skeleton, bone_map)[1].stands:
        return skeleton, ()
    bpy.context.view_layer.update()
    posed = np.array([armature.pose.bones[name].matrix for name in skeleton.names], float)
    shown = skeleton_from(armature, list(skeleton.names), skeleton.parents, posed, skeleton.names[skeleton.root])
    if not bodies_of(source, shown, bone_map)[1].stands:
        return skeleton, ()
    return shown, (f"'{armature.name}' rests in a pose that is no body; the pose that it has at this frame was taken "
                   "for it.",)
