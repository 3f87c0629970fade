"""How well a rig follows its controls: what Blender makes of the keys, against the motion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import bpy
import numpy as np

from retarget import Motion, kinematics, rotation

from .armature import placement
from .probing import Y
from .stage import stage

CHECKED = 5
"""Frames that are looked at."""
TOLD_DEG = 1.0
"""Error in degrees from which on a bone is named."""


@dataclass(frozen=True)
class Following:
    """The largest errors over some frames."""

    degrees: float
    """Of a bone's rotation, or of its direction where its twist is the rig's own."""
    metres: float
    """Of a bone's head."""
    notes: tuple[str, ...]
    """What the user should know."""


def measure(armature: bpy.types.Object, motion: Motion, frames: np.ndarray, followed: Mapping[str, bool],
            checked: int = CHECKED) -> Following:
    """Evaluate the rig at some frames and compare its bones with the motion on `deform_skeleton`.

    frames: frame of the timeline of each frame of the motion, (T,); followed: see Controlled.
    """
    if not followed:
        return Following(0.0, 0.0, ())
    chosen = np.unique(np.linspace(0, len(motion) - 1, checked).round().astype(int))
    joints = [motion.skeleton.index(name) for name in followed]
    columns = [armature.pose.bones.find(name) for name in followed]
    turn, scale = placement(armature)
    angles, ways = np.zeros(len(followed)), np.zeros(len(followed))
    positions, world = kinematics.world_poses(motion)
    with stage(armature) as own:
        for frame in chosen:
            places = own.places_at(frames[frame])[columns]
            shown = rotation.multiply(turn, places.turn)
            angles = np.maximum(angles, _apart(shown, world[frame, joints], np.array(list(followed.values()))))
            heads = rotation.rotate(turn, places.shift * scale)
            ways = np.maximum(ways, np.linalg.norm(heads - positions[frame, joints], axis=1))
    degrees = np.degrees(angles)
    off = sorted(((d, name) for name, d in zip(followed, degrees, strict=True) if d > TOLD_DEG), reverse=True)
    notes = [f"The controls move these bones otherwise than the motion: "
             f"{', '.join(f'{name!r} ({d:.1f}°)' for d, name in off[:5])}."] if off else []
    return Following(float(degrees.max()), float(ways.max()), tuple(notes))


def _apart(shown: np.ndarray, wanted: np.ndarray, twist: np.ndarray) -> np.ndarray:
    """Return the angles between rotations, or between their Y axes where twist does not count. (J, 4) → (J,) rad."""
    way = [rotation.rotate(q, Y) for q in (shown, wanted)]
    between = 2 * np.arctan2(np.linalg.norm(way[0] - way[1], axis=1), np.linalg.norm(way[0] + way[1], axis=1))
    return np.where(twist, rotation.angle(shown, wanted), between)
