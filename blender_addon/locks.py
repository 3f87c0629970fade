"""What the user forbade a bone: locked channels keep their values, Limit Rotation constraints bound the angles."""

from __future__ import annotations

import math
from dataclasses import replace

import bpy
import numpy as np

from retarget import rotation

from .armature import Channels, placement
from .channels import rotation_channels, rotations_of

TOLD = math.radians(0.05)
"""Loss in rad from which on the user is told."""
TOLD_M = 1e-4
"""Loss in m from which on the user is told."""
AXES = "XYZ"


def respect(armature: bpy.types.Object, channels: list[Channels]) -> tuple[list[Channels], tuple[str, ...]]:
    """Return the channels within the bones' limits and without what is locked, and what that costs, in words."""
    kept: list[Channels] = []
    losses: dict[str, list[str]] = {"limited": [], "locked": []}
    for channel in channels:
        bone = armature.pose.bones[channel.bone]
        if channel.property == "location":
            found, lost = _unlocked(channel, bone.location, bone.lock_location)
            if lost * placement(armature)[1] > TOLD_M:
                losses["locked"].append(f"'{bone.name}' (location, {1000 * lost * placement(armature)[1]:.0f} mm)")
        elif channel.property.startswith("rotation_"):
            limited = _limited(bone, channel)
            _tell(losses["limited"], bone, channel, limited)
            found = _turn_unlocked(bone, limited)
            _tell(losses["locked"], bone, limited, found)
        else:
            found = channel
        if len(found.locked) < found.values.shape[1]:
            kept.append(found)
    return kept, _words(losses)


def _words(losses: dict[str, list[str]]) -> tuple[str, ...]:
    """Say what limits and locks cost, one line for each."""
    texts = {"limited": "Limit Rotation constraints bound the motion (in brackets the most that is lost): ",
             "locked": "Locked channels got no keys and keep their values (in brackets the most that is lost): "}
    return tuple(f"{texts[kind]}{', '.join(found)}." for kind, found in losses.items() if found)


def _tell(losses: list[str], bone: bpy.types.PoseBone, before: Channels, after: Channels) -> None:
    """Note how far the bone's rotation had to give way, where that can be seen."""
    lost = rotation.angle(rotations_of(bone.rotation_mode, before.values),
                          rotations_of(bone.rotation_mode, after.values)).max()
    if lost > TOLD:
        losses.append(f"'{bone.name}' ({math.degrees(lost):.1f}°)")


def _unlocked(channel: Channels, now: object, locks: object) -> tuple[Channels, float]:
    """Give locked columns the value that the bone has now; return also the most that this changes."""
    locked = tuple(i for i, is_locked in enumerate(locks) if is_locked)
    if not locked:
        return channel, 0.0
    values = channel.values.copy()
    values[:, locked] = np.array(now, float)[list(locked)]
    return replace(channel, values=values, locked=locked), float(np.abs(values - channel.values).max())


def _turn_unlocked(bone: bpy.types.PoseBone, channel: Channels) -> Channels:
    """Apply the bone's rotation locks as Blender's own transform does: by channel, or by angle where those are four."""
    locks, now = tuple(bone.lock_rotation), getattr(bone, channel.property)
    if channel.property == "rotation_euler":
        return _unlocked(channel, now, locks)[0]
    if bone.lock_rotations_4d:
        return _unlocked(channel, now, (bone.lock_rotation_w, *locks))[0]
    if not any(locks):
        return channel
    if all(locks):
        return _unlocked(channel, now, (True,) * 4)[0]
    held = [i for i, lock in enumerate(locks) if lock]
    angles = _angles("XYZ", rotations_of(bone.rotation_mode, channel.values))
    angles[:, held] = _angles("XYZ", rotations_of(bone.rotation_mode, np.array(now, float)))[held]
    return replace(channel, values=rotation_channels(bone.rotation_mode, rotations_of("XYZ", angles))[1])


def _limited(bone: bpy.types.PoseBone, channel: Channels) -> Channels:
    """Bring the angles within the bone's Limit Rotation constraints in its own space."""
    values = channel.values
    for limit in bone.constraints:
        if limit.type != "LIMIT_ROTATION" or limit.owner_space != "LOCAL" or limit.mute or limit.influence == 0:
            continue
        order = limit.euler_order if limit.euler_order != "AUTO" else bone.rotation_mode
        order = order if order in ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX") else "XYZ"
        angles = _angles(order, rotations_of(bone.rotation_mode, values))
        bounds = [(getattr(limit, f"min_{a}"), getattr(limit, f"max_{a}")) if getattr(limit, f"use_limit_{a}")
                  else (-np.inf, np.inf) for a in AXES.lower()]
        within = np.clip(angles, *np.array(bounds).T)
        if np.abs(within - angles).max() > 1e-6:
            values = rotation_channels(bone.rotation_mode, rotations_of(order, within))[1]
    return replace(channel, values=values)


def _angles(order: str, q: np.ndarray) -> np.ndarray:
    """Return Blender's Euler angles about x, y, z, each within a half turn. (..., 4) → (..., 3) rad."""
    angles = np.empty((*q.shape[:-1], 3))
    angles[..., [AXES.index(letter) for letter in reversed(order)]] = rotation.to_euler(order[::-1], q)
    return angles
