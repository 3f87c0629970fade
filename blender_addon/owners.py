"""Which control turns each bone, and which one carries the whole body, judged by what a probe has found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import bpy
import numpy as np

from .probing import Probe, may_shift


@dataclass(frozen=True)
class Owners:
    """The controls that a motion is keyed on."""

    own: dict[str, str]
    """The control that turns a bone and no bone above it, by bone."""
    along: dict[str, str]
    """The control of a bone above, with which a bone goes because none turns it alone, by bone."""
    held: tuple[str, ...]
    """Bones that no control turns."""


def find_owners(armature: bpy.types.Object, probe: Probe, parents: Mapping[str, str | None],
                controls: Iterable[str]) -> Owners:
    """Choose for each bone, of the controls with which its direction turns, the one that moves the fewest bones.

    parents: the bone above each bone, itself among the keys, parents first. Hidden controls count only for bones that
    none in sight turns alone, unless those in sight do not make a whole.
    """
    columns = [probe.bones[name] for name in parents]
    cost = {control: _cost(armature, probe, columns, control) for control in controls}
    shown = {control for control in cost if is_shown(armature.pose.bones[control])}
    owners = _owners(probe, parents, cost, shown)
    return owners if not _clash(probe, owners) else _owners(probe, parents, cost, set(cost))


def _owners(probe: Probe, parents: Mapping[str, str | None], cost: Mapping[str, tuple], shown: set[str]) -> Owners:
    """Choose for each bone a control among those shown; among all if that one is not the bone's own."""
    own: dict[str, str] = {}
    best: dict[str, str] = {}
    along, held = {}, []
    for bone, parent in parents.items():
        place = probe.rest.shift[probe.bones[bone]]
        fits = [control for control in cost if probe.of(probe.points, control, bone)]
        ranked = sorted(fits, key=lambda c: (*cost[c][:-1], _apart(probe, c, place), cost[c][-1]))
        first = [c for c in ranked if c in shown][:1] + ranked[:1]
        free = [c for c in first if c not in own.values() and c != best.get(parent or "")]
        alone = [c for c in free if parent is None or not _carries_around(probe, parents, c, bone)]
        if alone:
            best[bone] = own[bone] = alone[0]
        elif first and len(free) < len(first):
            best[bone] = along[bone] = next(c for c in first if c not in free)
        else:
            held.append(bone)
    return Owners(own, along, tuple(held))


def _clash(probe: Probe, owners: Owners) -> bool:
    """Say whether a chosen control turns the bone of another without carrying that one."""
    chosen = set(owners.own.values())
    return any((probe.of(probe.points, other, bone) or probe.of(probe.bends, other, bone))
               and not probe.of(probe.moves, other, control)
               for bone, control in owners.own.items() for other in chosen - {control})


def find_carrier(armature: bpy.types.Object, probe: Probe, parents: Mapping[str, str | None], owners: Owners,
                 root: str) -> str | None:
    """Return the control that carries the body where no control of a bone does so: the one that moves the least.

    It carries the root bone and every chosen control of the trunk that hangs on no other.
    """
    tops = trunk_tops(probe, parents, owners)
    if len(tops) == 1 and owners.own.get(root) in tops and may_shift(armature.pose.bones[tops[0]]):
        return None
    columns = [probe.bones[name] for name in parents]
    fits = [control for control in probe.controls if control not in owners.own.values()
            and may_shift(armature.pose.bones[control]) and probe.of(probe.carried, control, root)
            and all(probe.of(probe.carried, control, top) for top in tops)]
    return min(fits, key=lambda control: _cost(armature, probe, columns, control), default=None)


def trunk_tops(probe: Probe, parents: Mapping[str, str | None], owners: Owners) -> list[str]:
    """Return the chosen controls that carry bones, hang on no other chosen one, and are no ends of an IK limb."""
    chosen = set(owners.own.values())
    columns = [probe.bones[name] for name in parents]
    tops = []
    for bone, control in owners.own.items():
        free = parents[bone] is None or parents[bone] not in owners.held
        hangs = any(probe.of(probe.carried, other, control) for other in chosen - {control})
        if free and not hangs and probe.carried[probe.controls[control], columns].any() and control not in tops:
            tops.append(control)
    return tops


def is_shown(bone: bpy.types.PoseBone) -> bool:
    """Say whether the user sees a bone."""
    collections = bone.bone.collections
    hidden = bone.bone.hide or getattr(bone, "hide", False)  # PoseBone.hide since Blender 5.0
    return not hidden and (not collections or any(c.is_visible_effectively for c in collections))


def _cost(armature: bpy.types.Object, probe: Probe, columns: list[int], control: str) -> tuple:
    """Rank a control: the number of bones it moves; locked ones later; in doubt the last cause."""
    row, bone = probe.controls[control], armature.pose.bones[control]
    return (int(probe.moves[row, columns].sum()), any(bone.lock_rotation), -row)


def _apart(probe: Probe, control: str, place: np.ndarray) -> int:
    """Return the distance of a control's pivot from a place, in steps of a hundredth of the rig's size."""
    far = np.linalg.norm(probe.rest.shift[probe.bones[control]] - place)
    return round(float(far) / (0.01 * probe.size))


def _carries_around(probe: Probe, parents: Mapping[str, str | None], control: str, bone: str) -> bool:
    """Say whether a control carries the bones above and below a bone as well, so that it does not turn it alone."""
    around = [parents[bone], *(child for child, above in parents.items() if above == bone)]
    return all(probe.rigid(control, one) for one in around if one is not None)
