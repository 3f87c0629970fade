"""Rig families by their names alone, with and without sizes, and by their shape alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.rig_families import body_of, families
from retarget import Skeleton
from retarget.facing import SIDES
from retarget.fingers import FINGERS
from retarget.roles import find_roles

FAMILIES = families()
_HAND = {f"{finger}{i}" for finger in FINGERS for i in (1, 2, 3)}
UNKNOWABLE = {"daz_genesis_8": {"Toes"}, "mmd_blender": _HAND, "synty": _HAND, "metahuman": _HAND}
"""What shape alone cannot tell: a bone of the foot from its toes, fingers among few or among helpers."""


def _silent(skeleton: Skeleton) -> Skeleton:
    return replace(skeleton, names=tuple(f"Node_{j}" for j in range(len(skeleton))))


@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_understood_by_its_names(name: str, sized: bool):
    truth, entry = FAMILIES[name]
    skeleton = body_of(truth, entry, sized)
    roles = find_roles(skeleton)
    assert {role: skeleton.names[j] for role, j in roles.joints.items()} == truth.joints
    assert tuple(skeleton.names[j] for j in roles.spine) == truth.spine
    assert tuple(skeleton.names[j] for j in roles.neck) == truth.neck
    twists = {role: [skeleton.names[j] for j in bones] for role, bones in roles.twists.items()}
    expected = {role: list(bones) for role, bones in truth.twists.items()}
    if not sized:  # without places their order is open
        twists, expected = ({role: sorted(bones) for role, bones in some.items()} for some in (twists, expected))
    assert twists == expected
    assert min(roles.confidence[role] for role in truth.joints) >= 0.9


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "few_bones"])  # it has neither feet nor bends
def test_a_family_is_understood_by_its_shape_where_names_say_nothing(name: str):
    truth, entry = FAMILIES[name]
    skeleton = body_of(truth, entry)
    roles = find_roles(_silent(skeleton))
    found = {role: skeleton.names[j] for role, j in roles.joints.items()}
    unknowable = {side + role for side in SIDES for role in UNKNOWABLE.get(name, ())}
    assert {role: found.get(role) for role in truth.joints if role not in unknowable} == {
        role: bone for role, bone in truth.joints.items() if role not in unknowable}
    assert all(roles.confidence[role] < 0.7 for role in found)
