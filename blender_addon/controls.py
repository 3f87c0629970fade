"""A motion of a rig's deform bones as keys on the controls that move them.

The rig is probed, not read: `probing` says what each control moves, `owners` which control turns which bone, `solving`
what the controls' channels must be for the bones to come where the motion has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import bpy
import numpy as np
from mathutils import Matrix

from retarget import Motion, kinematics, rotation

from .armature import Channels, placement
from .deform import held_bones
from .errors import AddonError
from .owners import Owners, find_carrier, find_owners, trunk_tops
from .poles import Limb, goals_of, limbs_by_ik, unstretched
from .probing import Probe, Y, probe
from .rigid import Rigid, between, moved
from .solving import Goal, at_rest, solve
from .stage import Setting, Stage, still
from .switches import Switch, is_control, switch_of, switches

Limbs = Literal["auto", "fk", "ik"]
TOLD = np.radians(1.0)
"""Error of a bone's direction in rad from which on the user is told."""


@dataclass(frozen=True)
class Controlled:
    """The channels of a rig's controls, and what is known of them."""

    channels: list[Channels]
    notes: tuple[str, ...] = ()
    """What does not move as the motion has it, and why."""
    followed: dict[str, bool] = field(default_factory=dict)
    """Bones that should come where the motion has them; False: their direction does, their twist is the rig's own."""


@dataclass(frozen=True)
class _Rig:
    """What is known of a rig, its controls at rest."""

    armature: bpy.types.Object
    probe: Probe
    parents: dict[str, str | None]
    """The bones to move, each with the one above it, parents first."""
    fk: Owners
    ik: Owners
    """Owners among the controls that only act once the limbs are switched to IK."""
    limbs: dict[Limb, Switch | None]
    """The IK limbs, with their switches."""


def control_channels(armature: bpy.types.Object, motion: Motion, bones: set[str], limbs: Limbs = "auto") -> Controlled:
    """Return the channels of the controls that bring `bones` where the motion, on `deform_skeleton`, has them.

    limbs: which controls of Rigify's limbs show; both are keyed. "auto": IK for legs, FK for arms.
    The scene stays as it is. Raise AddonError if no controls move most of the bones.
    """
    root = motion.skeleton.names[motion.skeleton.root]
    parents = _parents(armature, motion, bones | {root})
    found = switches(armature)
    posed = {bone.name: bone.matrix_basis.copy() for bone in armature.pose.bones if bone.matrix_basis != Matrix()}
    with still(armature, [s for switch in found for s in (switch.fk, *switch.always)]) as stage:
        rig = _look(stage, parents, found)
        carrier = find_carrier(armature, rig.probe, parents, rig.fk, root)
        kept = _carriers_of_all(rig, carrier, root)
        rig = replace(rig, probe=_as_posed(stage, rig.probe, {name: posed[name] for name in kept & posed.keys()}))
    places = _places(armature, motion, parents)
    goals = _goals(rig, places, carrier, root)
    channels = solve(armature, rig.probe, goals)
    for name in posed.keys() - goals.keys() - kept:
        if name in rig.probe.controls and _moves_any(rig, name):
            channels += at_rest(armature.pose.bones[name])
    channels += [channel for limb in rig.limbs for channel in unstretched(armature, limb)]
    shown = {limb: switch for limb, switch in rig.limbs.items() if switch is None or limbs == "ik"
             or (limbs == "auto" and parents[limb.upper] == root)}
    channels += [Channels(s.bone, s.path, np.array([[s.value]])) for s in _settings(rig, found, shown)]
    return Controlled(channels, _notes(rig, goals, places, root), _followed(rig, goals, shown))


def _parents(armature: bpy.types.Object, motion: Motion, bones: set[str]) -> dict[str, str | None]:
    """Return the bones that are to move and those between them and the root, each with its parent, parents first."""
    skeleton = motion.skeleton
    missing = [name for name in skeleton.names if name not in armature.pose.bones]
    if missing:
        raise AddonError(f"The motion is for another rig: '{armature.name}' has no bone {', '.join(missing[:5])}.")
    wanted = [name in bones for name in skeleton.names]
    for j in reversed(range(len(skeleton))):
        if wanted[j] and j != skeleton.root and skeleton.parents[j] >= 0:
            wanted[skeleton.parents[j]] = True
    parents: dict[str, str | None] = {}
    for j, name in enumerate(skeleton.names):
        if wanted[j]:
            up = skeleton.parents[j]
            parents[name] = skeleton.names[up] if up >= 0 and wanted[up] else None
    return parents


def _places(armature: bpy.types.Object, motion: Motion, bones: Mapping[str, object]) -> dict[str, Rigid]:
    """Return where bones are to be in armature space, (T,) each."""
    turn, scale = placement(armature)
    back = rotation.inverse(turn)
    positions, world = kinematics.world_poses(motion)
    found = {}
    for name in bones:
        j = motion.skeleton.index(name)
        found[name] = Rigid(rotation.multiply(back, world[:, j]), rotation.rotate(back, positions[:, j]) / scale)
    return found


def _look(stage: Stage, parents: dict[str, str | None], found: list[Switch]) -> _Rig:
    """Probe with the limbs in FK, then those controls that did nothing with the limbs in IK."""
    stage.set([s for switch in found for s in (switch.fk, *switch.always)])
    held = held_bones(stage.armature)
    seen = probe(stage, set(parents), lambda name: is_control(name, found) and name not in held)
    fk = find_owners(stage.armature, seen, parents, seen.controls)
    columns = [seen.bones[name] for name in parents]
    idle = {control for control, row in seen.controls.items() if not seen.moves[row, columns].any()}
    ik = Owners({}, {}, ())
    if found and idle:
        stage.set([switch.ik for switch in found])
        seen = seen.with_answers(probe(stage, set(parents), lambda name: name in idle))
        ik = find_owners(stage.armature, seen, parents, idle)
    limbs = {limb: switch_of(found, limb.upper, seen) for limb in limbs_by_ik(stage.evaluated, seen, parents)}
    stage.set([switch.fk for switch in found])
    limbs = {limb: switch for limb, switch in limbs.items() if switch or limb.upper not in fk.own}
    return _Rig(stage.armature, seen, parents, fk, ik, limbs)


def _as_posed(stage: Stage, seen: Probe, posed: Mapping[str, Matrix]) -> Probe:
    """Return the probe with its rest where the user's pose of some controls puts it."""
    if not posed:
        return seen
    for name, basis in posed.items():
        stage.armature.pose.bones[name].matrix_basis = basis
    return replace(seen, rest=stage.places())


def _carriers_of_all(rig: _Rig, carrier: str | None, root: str) -> set[str]:
    """Return the controls that carry the whole trunk and that the motion leaves alone."""
    tops = [carrier] if carrier else trunk_tops(rig.probe, rig.parents, rig.fk)
    chosen = {*rig.fk.own.values(), *rig.ik.own.values(), carrier}
    return {control for control in rig.probe.controls if control not in chosen
            and all(rig.probe.rigid(control, top) for top in (root, *tops))}


def _goals(rig: _Rig, places: Mapping[str, Rigid], carrier: str | None, root: str) -> dict[str, Goal]:
    """Return what each control is to do: FK controls, what carries them, IK controls, targets and poles."""
    goals = {control: _goal(rig.probe, control, _movement(rig, places, bone)) for bone, control in rig.fk.own.items()}
    if carrier is not None:
        goals[carrier] = _carrying(rig, goals, carrier, places[root], root)
    for bone, control in rig.ik.own.items():
        goals[control] = _goal(rig.probe, control, between(rig.probe.rest[rig.probe.bones[bone]], places[bone]))
    for limb in rig.limbs:
        goals |= goals_of(rig.armature, rig.probe, limb, places, goals)
    return goals


def _goal(seen: Probe, control: str, movement: Rigid) -> Goal:
    """Return the goal of a control that goes rigidly with a bone."""
    rest = seen.rest[seen.bones[control]]
    return Goal(moved(movement, rest.shift), rotation.multiply(movement.turn, rest.turn))


def _movement(rig: _Rig, places: Mapping[str, Rigid], bone: str) -> Rigid:
    """Return how a bone moves from its rest; with bones that go along and one at their end, as the line to that."""
    rest = rig.probe.rest
    movement = between(rest[rig.probe.bones[bone]], places[bone])
    chain = [bone, *_along(rig, bone)]
    ends = [one for one in rig.fk.own if rig.parents[one] == chain[-1]]
    if len(chain) == 1 or len(ends) != 1:
        return movement
    first, end = (rest.shift[rig.probe.bones[name]] for name in (bone, ends[0]))
    line = places[ends[0]].shift - places[bone].shift
    turn = rotation.between(rotation.rotate(movement.turn, end - first), line)
    turn = rotation.multiply(turn, movement.turn)
    return Rigid(turn, places[bone].shift - rotation.rotate(turn, first))


def _along(rig: _Rig, bone: str) -> list[str]:
    """Return the bones that go along with one, each below the one before."""
    chain = [bone]
    while len(along := [one for one in rig.fk.along if rig.parents[one] == chain[-1]]) == 1:
        chain += along
    return chain[1:]


def _carrying(rig: _Rig, goals: Mapping[str, Goal], carrier: str, place: Rigid, root: str) -> Goal:
    """Return the goal of the control that carries the trunk: turned like the hips, so that the trunk is in place.

    place: where the hips are to be, (T,). Where no other control carries them, they are shifted to their place.
    """
    seen = rig.probe
    rest, hips = seen.rest[seen.bones[carrier]], seen.rest[seen.bones[root]]
    tops = [top for top in trunk_tops(seen, rig.parents, rig.fk) if top in goals]
    if not tops:
        return Goal(place.shift - hips.shift + rest.shift)
    turn = between(hips, place).turn
    shifts = [goals[top].shift - rotation.rotate(turn, seen.rest.shift[seen.bones[top]] - rest.shift) for top in tops]
    return Goal(np.mean(shifts, axis=0), rotation.multiply(turn, rest.turn))


def _settings(rig: _Rig, found: list[Switch], shown: Mapping[Limb, Switch | None]) -> list[Setting]:
    """Return the switches' values: IK for the limbs shown so, if their controls are there."""
    ik = {switch.bone for limb, switch in shown.items() if switch}
    return [s for switch in found for s in (switch.ik if switch.bone in ik else switch.fk, *switch.always)]


def _moves_any(rig: _Rig, control: str) -> bool:
    columns = [rig.probe.bones[name] for name in rig.parents]
    return bool(rig.probe.moves[rig.probe.controls[control], columns].any())


def _followed(rig: _Rig, goals: Mapping[str, Goal], shown: Mapping[Limb, Switch | None]) -> dict[str, bool]:
    """Say which bones come where the motion has them, twist and all, and which with the rig's own twist."""
    order, followed = rig.probe.controls, {}
    leading = {rig.parents[bone] for bone in rig.fk.along}
    for bone, control in rig.fk.own.items():
        later = [other for other in goals if order[other] > order[control]]
        shares = [rig.probe.of(rig.probe.share, other, bone) for other in later]
        whole = rig.probe.of(rig.probe.share, control, bone) == 1 and all(s in (0, 1) for s in shares)
        if bone not in leading or not whole:
            followed[bone] = whole
    return followed | {bone: False for limb in shown for bone in (limb.upper, limb.lower)}


def _notes(rig: _Rig, goals: Mapping[str, Goal], places: Mapping[str, Rigid], root: str) -> tuple[str, ...]:
    """Say what does not move; raise AddonError if that is most of the bones."""
    turned = {one for limb in rig.limbs for one in (limb.upper, limb.lower)}
    held = [name for name in rig.fk.held if name not in turned]
    if 2 * len(held) > len(rig.parents):
        raise AddonError(f"'{rig.armature.name}' moves by its controls, but none turns {_listed(held)}. If they follow "
                         "another armature, bake onto that one.")
    notes = []
    if held:
        notes.append(f"No control turns {_listed(held)}: left as the rig has it.")
    for bone in rig.fk.own:
        joined = [bone, *_along(rig, bone)]
        movement = _movement(rig, places, bone).turn
        off = max(_off(rig, places[one], movement, one) for one in joined)
        if off > TOLD:
            notes.append(f"One control turns {_listed(joined)}: they are up to {np.degrees(off):.1f}° off.")
    notes += [f"The IK of '{limb.lower}' has no pole: its plane is the rig's own."
              for limb in rig.limbs if limb.pole is None]
    if not any(rig.probe.of(rig.probe.carried, control, root) for control in goals):
        notes.append(f"No control moves '{root}': the body stays in its place.")
    return tuple(notes)


def _off(rig: _Rig, place: Rigid, turn: np.ndarray, bone: str) -> float:
    """Return the largest angle between a bone's direction, turned with its control, and where it is to point, rad."""
    axis = rotation.rotate(rotation.multiply(turn, rig.probe.rest.turn[rig.probe.bones[bone]]), Y)
    apart = np.linalg.norm(axis - rotation.rotate(place.turn, Y), axis=-1).max()
    return 2 * float(np.arcsin(min(apart / 2, 1.0)))


def _listed(names: list[str]) -> str:
    """Name some bones."""
    return ", ".join(f"'{name}'" for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
