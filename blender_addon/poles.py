"""The goals of IK limbs: where target and pole must be for knee and elbow to come where the motion has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import bpy
import numpy as np

from retarget import rotation

from .armature import Channels
from .deform import ik_chain
from .probing import Probe, Y, may_shift
from .rigid import Rigid, between, moved
from .solving import Goal

SAME_PLACE = 0.02
"""Distance, as a share of the rig's size, between the heads of a bone of an IK chain and of the bone it stands for."""
STRAIGHT, BENT = 0.002, 0.02
"""A knee's distance from the line through hip and ankle, as a share of its length: below the first the thigh's own
rotation says where the knee points, above the second the knee does."""


@dataclass(frozen=True)
class Limb:
    """Two bones turned by an IK constraint."""

    upper: str
    """The bone that the motion turns in place of the chain's first."""
    lower: str
    chain: tuple[str, str]
    """The chain's bones, from its tip, whose tail goes to the target."""
    target: str
    pole: str | None


def limbs_by_ik(armature: bpy.types.Object, probe: Probe, bones: Iterable[str]) -> Iterator[Limb]:
    """Find the two-bone IK chains that lie where two of the bones lie. armature: evaluated."""
    bones = list(bones)
    heads = probe.rest.shift[[probe.bones[name] for name in bones]]
    for bone in armature.pose.bones:
        for constraint in bone.constraints:
            if constraint.type != "IK" or constraint.mute or constraint.influence < 0.5 or not constraint.subtarget:
                continue
            chain = ik_chain(bone, constraint)
            if len(chain) != 2:
                continue
            far = [np.linalg.norm(heads - probe.rest.shift[probe.bones[joint.name]], axis=1) for joint in chain]
            if max(distances.min(initial=np.inf) for distances in far) < SAME_PLACE * probe.size:
                lower, upper = (bones[int(np.argmin(distances))] for distances in far)
                names = tuple(joint.name for joint in chain)
                yield Limb(upper, lower, names, constraint.subtarget, constraint.pole_subtarget or None)


def goals_of(armature: bpy.types.Object, probe: Probe, limb: Limb, places: Mapping[str, Rigid],
             taken: Iterable[str]) -> dict[str, Goal]:
    """Return the goals of the controls that carry a limb's target and pole. places: where bones are to be, (T,).

    taken: controls that have goals already.
    """
    tip = probe.rest[probe.bones[limb.chain[0]]]
    tail = tip.shift + armature.data.bones[limb.chain[0]].length * rotation.rotate(tip.turn, Y)
    lower = between(probe.rest[probe.bones[limb.lower]], places[limb.lower])
    hip, knee, ankle = places[limb.upper].shift, places[limb.lower].shift, moved(lower, tail)
    wanted = {limb.target: ankle}
    if limb.pole is not None:
        wanted[limb.pole] = _pole(probe, limb, places, (hip, knee, ankle), tail)
    found: dict[str, Goal] = {}
    for bone, place in wanted.items():
        control = _mover(armature, probe, bone)
        if control is not None and control not in taken:
            found[control] = Goal(place + probe.rest.shift[probe.bones[control]] - probe.rest.shift[probe.bones[bone]])
    return found


def unstretched(armature: bpy.types.Object, limb: Limb) -> list[Channels]:
    """Return the channels that keep a limb's bones at their length; Blender stretches them even for goals in reach."""
    return [Channels(name, "ik_stretch", np.zeros((1, 1))) for name in limb.chain
            if armature.pose.bones[name].ik_stretch > 0]


def _mover(armature: bpy.types.Object, probe: Probe, bone: str) -> str | None:
    """Return the control that shifts a bone and the fewest others."""
    fits = [control for control in probe.controls if probe.of(probe.carried, control, bone)
            and may_shift(armature.pose.bones[control])]
    return min(fits, key=lambda control: int(probe.moves[probe.controls[control]].sum()), default=None)


def _pole(probe: Probe, limb: Limb, places: Mapping[str, Rigid], joints: tuple[np.ndarray, ...], tail: np.ndarray
          ) -> np.ndarray:
    """Return the places of a pole, (T, 3): as far from the knee as at rest, at the same angle to the limb's plane."""
    at_rest = [probe.rest.shift[probe.bones[name]] for name in (limb.upper, limb.lower)] + [tail]
    pole = probe.rest.shift[probe.bones[limb.pole]]
    along, offset = _off_line(*at_rest, at_rest[1])
    _, to_pole = _off_line(*at_rest, pole)
    bend = _unit(offset) if np.linalg.norm(offset) > 1e-3 * probe.size else _unit(to_pole)
    angle = np.arctan2(np.cross(bend, _unit(to_pole)) @ along, bend @ _unit(to_pole))

    upper = between(probe.rest[probe.bones[limb.upper]], places[limb.upper])
    along, offset = _off_line(*joints, joints[1])
    by_roll = rotation.rotate(upper.turn, bend)
    by_roll = _unit(by_roll - np.sum(by_roll * along, axis=-1, keepdims=True) * along)
    length = np.linalg.norm(joints[1] - joints[0], axis=-1, keepdims=True)
    bent, by_knee = np.linalg.norm(offset, axis=-1, keepdims=True) / length, _unit(offset)
    agree = np.sum(by_knee * by_roll, axis=-1, keepdims=True) > 0
    weight = np.where(agree, _step(bent, STRAIGHT, BENT), _step(bent, 5 * BENT, 10 * BENT))
    way = _unit(weight * by_knee + (1 - weight) * by_roll)
    way = rotation.rotate(rotation.from_rotvec(along * angle), way)
    return joints[1] + way * np.linalg.norm(pole - at_rest[1])


def _off_line(hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the direction from hip to ankle, and a point's offset from that line. (..., 3), (..., 3)."""
    along = _unit(ankle - hip)
    offset = point - hip
    return along, offset - np.sum(offset * along, axis=-1, keepdims=True) * along


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def _step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Rise smoothly from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)
