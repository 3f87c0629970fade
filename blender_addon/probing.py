"""What each control of a rig does, found by turning it, then shifting it, and looking at what follows.

Constraints and drivers are not interpreted: whatever a rigger built, a bone that goes rigidly with a control does so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import bpy
import numpy as np
from mathutils import Matrix, Quaternion, Vector

from retarget import rotation

from .dependencies import Graph, graph_of, ordered, reach
from .errors import AddonError
from .rigid import Rigid, between, moved
from .stage import Stage

TURN, AXIS = 0.2, (0.48, 0.6, 0.64)
"""Angle in rad by which a control is turned, and an axis that lies in no plane of symmetry."""
SHIFT = 0.02
"""Way by which a control is shifted, as a share of the rig's size."""
ALIKE = 0.01
"""Deviation from the control's movement, as a share of it, that still counts as going along."""
Y = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True)
class Probe:
    """How the bones answer to each control. C controls, N bones."""

    bones: dict[str, int]
    """Number of each bone."""
    controls: dict[str, int]
    """Number of each control, causes first."""
    rest: Rigid
    """Where all bones are while the controls are at rest, (N,), in armature space."""
    size: float
    """Extent of the probed bones, in the armature's units."""
    share: np.ndarray
    """Share of the control's turn that a bone takes: 1 all, 0 none, NaN another turn, (C, N)."""
    points: np.ndarray
    """Whether the bone's own direction (Y) turns as if it were part of the control, (C, N)."""
    bends: np.ndarray
    """Whether the bone's own direction turns in another way, (C, N)."""
    carried: np.ndarray
    """Whether the bone's head goes as if it were part of the control, turned or shifted, (C, N)."""
    moves: np.ndarray
    """Whether the bone answers at all, (C, N)."""

    def of(self, table: np.ndarray, control: str, bone: str) -> float:
        """Look up one answer."""
        return table[self.controls[control], self.bones[bone]]

    def rigid(self, control: str, bone: str) -> bool:
        """Say whether the bone is as good as a part of the control."""
        return bool(self.of(self.share, control, bone) == 1 and self.of(self.carried, control, bone))

    def with_answers(self, other: Probe) -> Probe:
        """Take over the answers to another probe's controls, found in another state of the rig's switches."""
        rows = [self.controls[name] for name in other.controls]
        tables = {name: getattr(self, name).copy() for name in ("share", "points", "bends", "carried", "moves")}
        for name, table in tables.items():
            table[rows] = getattr(other, name)
        return replace(self, **tables)


def probe(stage: Stage, bones: set[str], controls: Callable[[str], bool] = lambda name: True) -> Probe:
    """Move every bone that a user may move and that may move `bones`.

    The rig must be at rest. controls: says which bones may be controls. Raise AddonError where bones move one another
    or where the rig does not react.
    """
    pose, rest = stage.armature.pose.bones, stage.places()
    graph = graph_of(stage.evaluated)
    order = ordered(graph, sorted(bones))
    turnable = [name for name in order if not all(pose[name].lock_rotation) and controls(name)]
    shiftable = [name for name in order if may_shift(pose[name]) and controls(name)]
    index = {bone.name: i for i, bone in enumerate(pose)}
    rows = {name: i for i, name in enumerate(n for n in order if n in {*turnable, *shiftable})}
    own = rest.shift[[index[name] for name in bones]]
    size = max(float(np.ptp(own, axis=0).max()), 1e-6)
    trials = [(name, _turned) for name in turnable]
    trials += [(name, _shifted(rest, index, SHIFT * size, own.mean(axis=0))) for name in shiftable]
    share = np.zeros((len(rows), len(index)))
    points, bends, carried, moves = (np.zeros(share.shape, bool) for _ in range(4))
    for (control, trial), columns, did in sorted(_tried(stage, graph, order, trials, rest, index),
                                                 key=lambda tried: tried[0][1] is not _turned):
        at, me = (rows[control], columns), int(np.argmax(columns == index[control]))
        goes, far = _goes(rest[columns], did, me)
        if trial is _turned and _obeys(rest[index[control]], did[me]):
            share[at], points[at], bends[at] = _turns(rest[columns], did, me)
            carried[at], moves[at] = goes & (far | (share[at] != 0)), far | (share[at] != 0)
        elif trial is not _turned and np.linalg.norm(did[me].shift) > ALIKE * SHIFT * size:
            carried[at], moves[at] = goes & far & (carried[at] | (control not in turnable)), moves[at] | far
        elif trial is not _turned:
            carried[at] = False
    if not any(moves[row, index[name]] for name, row in rows.items()):
        raise AddonError(f"'{stage.armature.name}' moves by its controls, but none of its own bones moves any: all are "
                         "locked, or follow other objects. If it follows another armature, bake onto that one.")
    return Probe(index, rows, rest, size, share, points, bends, carried, moves)


def may_shift(bone: bpy.types.PoseBone) -> bool:
    """Say whether a user may move a bone in every direction."""
    return not any(bone.lock_location) and not (bone.bone.use_connect and bone.parent is not None)


Trial = Callable[[bpy.types.PoseBone], Matrix]


def _turned(bone: bpy.types.PoseBone) -> Matrix:
    """Return the channels of a turned control."""
    return Quaternion(Vector(AXIS), TURN).to_matrix().to_4x4()


def _shifted(rest: Rigid, index: dict[str, int], way: float, goal: np.ndarray) -> Trial:
    """Return what shifts controls roughly towards `goal`, so that a straight leg can follow its foot."""
    def trial(bone: bpy.types.PoseBone) -> Matrix:
        place = rest[index[bone.name]]
        to = rotation.rotate(rotation.inverse(place.turn), goal - place.shift)
        to = to / max(float(np.linalg.norm(to)), 1e-9) + [0.1, 0.2, 0.15]
        return Matrix.Translation(Vector(to * way / np.linalg.norm(to)))
    return trial


def _tried(stage: Stage, graph: Graph, order: list[str], trials: list[tuple[str, Trial]], rest: Rigid,
           index: dict[str, int]) -> Iterator[tuple[tuple[str, Trial], np.ndarray, Rigid]]:
    """Make trials of controls, several at once where no bone hangs on two of them.

    Yield for each the bones that it may move, as numbers, and how those moved.
    """
    bits = reach(graph, order)
    for group in _groups(bits, trials):
        bones = [stage.armature.pose.bones[name] for name, _ in group]
        for bone, (_, trial) in zip(bones, group, strict=True):
            bone.matrix_basis = trial(bone)
        places = stage.places()
        for bone in bones:
            bone.matrix_basis = Matrix()
        for control, trial in group:
            columns = np.array([index[name] for i, name in enumerate(order) if bits[control] >> i & 1])
            yield (control, trial), columns, between(rest[columns], places[columns])


def _groups(bits: dict[str, int], trials: list[tuple[str, Trial]]) -> list[list[tuple[str, Trial]]]:
    """Put trials together of which no two may move the same bone, those that may move the most first."""
    groups: list[tuple[int, list[tuple[str, Trial]]]] = []
    for control, trial in sorted(trials, key=lambda one: -bits[one[0]].bit_count()):
        at = next((i for i, (taken, _) in enumerate(groups) if not taken & bits[control]), len(groups))
        taken, members = groups[at] if at < len(groups) else (0, [])
        groups[at:at + 1] = [(taken | bits[control], [*members, (control, trial)])]
    return [members for _, members in groups]


def _obeys(rest: Rigid, did: Rigid) -> bool:
    """Say whether a control turned as its own channels say, and no constraint turned it back."""
    asked = rotation.rotate(rest.turn, TURN * np.array(AXIS))
    return bool(np.linalg.norm(rotation.to_rotvec(did.turn) - asked) < ALIKE * TURN)


def _turns(rest: Rigid, did: Rigid, control: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each bone's share of the control's turn, whether its direction follows, and whether it goes astray."""
    turn = rotation.to_rotvec(did.turn)
    own = turn[control]
    angle = max(float(np.linalg.norm(own)), 1e-9)
    share = turn @ own / angle**2
    other = np.linalg.norm(turn - share[:, None] * own, axis=1) > ALIKE * angle
    share = np.where(np.abs(share - share.round()) < ALIKE, share.round(), share)
    axis = rotation.rotate(rest.turn, Y)
    now, expected = rotation.rotate(did.turn, axis), rotation.rotate(did.turn[control], axis)
    points = np.linalg.norm(now - expected, axis=1) < ALIKE * angle
    astray = ~points & (np.linalg.norm(now - axis, axis=1) > ALIKE * angle)
    return np.where(other, np.nan, share), points, astray


def _goes(rest: Rigid, did: Rigid, control: int) -> tuple[np.ndarray, np.ndarray]:
    """Say whether each bone's head went as part of the control, and whether it went at all. (n,), (n,)."""
    went, expected = (moved(movement, rest.shift) - rest.shift for movement in (did, did[control]))
    reach_of = max(float(np.linalg.norm(expected, axis=1).max()), 1e-9)
    goes = np.linalg.norm(went - expected, axis=1) < ALIKE * reach_of
    return goes, np.linalg.norm(went, axis=1) > ALIKE * reach_of
