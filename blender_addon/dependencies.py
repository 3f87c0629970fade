"""Which bones move which: parents, constraints and drivers, read without asking what they do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import bpy

from .deform import ik_chain
from .errors import AddonError

Graph = dict[str, set[str]]
"""The bones that each bone hangs on directly."""

_CHANNEL = re.compile(r'^pose\.bones\["((?:[^"\\]|\\.)*)"\]\.\w')
"""A driver's path to a channel of a bone, not to one of its custom properties."""


def graph_of(armature: bpy.types.Object) -> Graph:
    """Return what each bone hangs on, muted constraints left out. armature: evaluated, as drivers mute as well."""
    graph: Graph = {bone.name: {bone.parent.name} if bone.parent else set() for bone in armature.pose.bones}
    for bone in armature.pose.bones:
        for constraint in bone.constraints:
            if constraint.mute:
                continue
            sources = set(_targets(armature, constraint)) & graph.keys()
            turned = ik_chain(bone, constraint) if constraint.type == "IK" else [bone]
            for one in turned:
                graph[one.name] |= sources - {one.name}
    for name, source in _driven(armature):
        if name in graph and source in graph and name != source:
            graph[name].add(source)
    return graph


def upstream(graph: Graph, names: Iterable[str]) -> set[str]:
    """Return the bones and all that they hang on."""
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(graph[name])
    return found


def ordered(graph: Graph, names: Iterable[str]) -> list[str]:
    """Return the bones and all that they hang on, causes first. Raise AddonError where they move one another."""
    order: list[str] = []
    state: dict[str, bool] = {}
    for start in names:
        path = [(start, iter(sorted(graph[start])))] if start not in state else []
        state.setdefault(start, False)
        while path:
            name, rest = path[-1]
            following = next(rest, None)
            if following is None:
                path.pop()
                state[name] = True
                order.append(name)
            elif following not in state:
                state[following] = False
                path.append((following, iter(sorted(graph[following]))))
            elif not state[following]:
                _refuse([step for step, _ in path], following)
    return order


def reach(graph: Graph, order: list[str]) -> dict[str, int]:
    """Return for each bone the bones that it may move, itself among them, as bits in their order."""
    bits = {name: 1 << i for i, name in enumerate(order)}
    moved = dict(bits)
    for name in reversed(order):
        for source in graph[name]:
            moved[source] |= moved[name]
    return moved


def _refuse(path: list[str], closing: str) -> None:
    """Raise the error for bones that move one another."""
    loop = [*path[path.index(closing):], closing][::-1]
    raise AddonError(f"The bones {' → '.join(repr(name) for name in loop)} move one another, which Blender cannot "
                     "evaluate. Mute one of their constraints.")


def _targets(armature: bpy.types.Object, constraint: bpy.types.Constraint) -> Iterator[str]:
    """Name the bones of this armature that a constraint looks at."""
    if constraint.type == "ARMATURE":
        yield from (target.subtarget for target in constraint.targets if is_same(target.target, armature))
    elif is_same(getattr(constraint, "target", None), armature):
        yield constraint.subtarget
    if is_same(getattr(constraint, "pole_target", None), armature):
        yield constraint.pole_subtarget


def is_same(one: bpy.types.Object | None, other: bpy.types.Object) -> bool:
    """Say whether two objects are one, evaluated or not."""
    return one is not None and one.original == other.original


def _driven(armature: bpy.types.Object) -> Iterator[tuple[str, str]]:
    """Name the pairs of a driven bone and a bone whose channels drive it."""
    animation = armature.original.animation_data
    for curve in animation.drivers if animation else ():
        driven = re.match(r'^pose\.bones\["((?:[^"\\]|\\.)*)"\]', curve.data_path)
        if driven is None:
            continue
        for target in (target for variable in curve.driver.variables for target in variable.targets):
            channel = _CHANNEL.match(target.data_path or "")
            source = channel.group(1) if channel else target.bone_target
            if source and target.id == armature.original:
                yield driven.group(1), source
