"""Where controls are to be, as the values of their own channels, for all frames at once.

A control's space is where its channels at rest would leave it: carried by the controls it hangs on, as probed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import bpy
import numpy as np

from retarget import rotation

from .armature import Channels
from .channels import rotation_channels, rotations_of
from .locks import respect
from .probing import Probe, may_shift
from .rigid import STILL, Rigid, between, moved

NEAR = 3e-3
"""Distance from its place, as a share of the rig's size, that a control which is carried there is left with."""
STRAY = 1e-5
"""Channel value that counts as not at rest."""


@dataclass(frozen=True)
class Goal:
    """What one control is to do. T frames."""

    shift: np.ndarray
    """Its place in armature space, (T, 3)."""
    turn: np.ndarray | None = None
    """Its rotation there, (T, 4); None: as its space has it."""


def solve(armature: bpy.types.Object, probe: Probe, goals: Mapping[str, Goal]) -> list[Channels]:
    """Return the channels of the controls that reach their goals, one after the other, causes first."""
    found: list[Channels] = []
    did: dict[str, Rigid] = {}
    for control in (name for name in probe.controls if name in goals):
        goal, bone = goals[control], armature.pose.bones[control]
        rest = probe.rest[probe.bones[control]]
        turn, carried = _space(probe, did, control)
        space, place = rotation.multiply(turn, rest.turn), moved(carried, rest.shift)
        wanted = space if goal.turn is None else goal.turn
        if goal.turn is not None:
            basis = np.broadcast_to(rotation.multiply(rotation.inverse(space), wanted), goal.turn.shape)
            channel = Channels(control, *rotation_channels(bone.rotation_mode, basis))
            found.append(channel)
            wanted = rotation.multiply(space, _allowed(armature, channel))
        free = may_shift(bone) and probe.carried[probe.controls[control]].any()
        near = NEAR * probe.size if carried is not STILL and goal.turn is not None else 0.0
        if free and np.linalg.norm(goal.shift - place, axis=-1).max() > near:
            about = turn if bone.bone.use_inherit_rotation else carried.turn
            axes = rotation.multiply(about, _location_axes(bone, probe))
            found.append(Channels(control, "location", rotation.rotate(rotation.inverse(axes), goal.shift - place)))
            place = goal.shift
        did[control] = between(rest, Rigid(wanted, place))
    keyed = {(channel.bone, channel.property) for channel in found}
    return found + [one for name in did for one in at_rest(armature.pose.bones[name])
                    if (name, one.property) not in keyed]


def _allowed(armature: bpy.types.Object, channel: Channels) -> np.ndarray:
    """Return the rotations that locks and limits leave of a channel, so that what hangs on the bone can make up."""
    kept, _ = respect(armature, [channel])
    return rotations_of(armature.pose.bones[channel.bone].rotation_mode, (kept or [channel])[0].values)


def at_rest(bone: bpy.types.PoseBone) -> list[Channels]:
    """Return the channels that bring a bone's own pose to rest, where it is not."""
    path, still = rotation_channels(bone.rotation_mode, rotation.IDENTITY[None])
    wanted = {path: still, "location": np.zeros((1, 3)), "scale": np.ones((1, 3))}
    return [Channels(bone.name, name, values) for name, values in wanted.items()
            if _strays(bone, name, values)]


def _strays(bone: bpy.types.PoseBone, name: str, values: np.ndarray) -> bool:
    if name.startswith("rotation_"):
        return bone.matrix_basis.to_quaternion().angle > STRAY
    return bool(np.abs(np.array(getattr(bone, name), float) - values).max() > STRAY)


def _space(probe: Probe, did: Mapping[str, Rigid], control: str) -> tuple[np.ndarray, Rigid]:
    """Return how a control's space has turned, (4,) or (T, 4), and the movement that carries its place.

    did: the movements of controls already solved. A space that takes a share of a turn lies on the way to it, as
    constraints of partial influence leave it.
    """
    whole, turn, carried = rotation.IDENTITY, rotation.IDENTITY, STILL
    for other, movement in did.items():
        share = probe.of(probe.share, other, control)
        if share == 1:
            whole = turn = movement.turn
        elif 0 < share < 1:
            turn = rotation.slerp(whole, movement.turn, share)
        if probe.of(probe.carried, other, control):
            carried = movement
    return turn, carried


def _location_axes(bone: bpy.types.PoseBone, probe: Probe) -> np.ndarray:
    """Return the rotation at rest of the axes along which a bone's location counts, (4,)."""
    if bone.bone.use_local_location:
        return probe.rest.turn[probe.bones[bone.name]]
    return probe.rest.turn[probe.bones[bone.parent.name]] if bone.parent else rotation.IDENTITY
