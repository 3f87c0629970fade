"""What places and tree reveal, and what they must not be taken to reveal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from humans import MIXAMO, human, rerolled

from retarget import Skeleton, rotation
from retarget.kinematics import rest_pose
from retarget.mapping import guess
from retarget.roles import find_roles


def silent(skeleton: Skeleton, keep: str = "") -> Skeleton:
    """Rename all joints, apart from those whose names begin with `keep`."""
    return replace(skeleton, names=tuple(name if keep and name.startswith(keep) else f"Node_{j}"
                                         for j, name in enumerate(skeleton.names)))


def found(skeleton: Skeleton, known: Skeleton | None = None) -> dict[str, str]:
    """Return role → name that the joint had in `known`."""
    return {role: (known or skeleton).names[j] for role, j in find_roles(skeleton).joints.items()}


def turned(skeleton: Skeleton, turn: np.ndarray) -> Skeleton:
    """Turn a whole body in the world."""
    tops = skeleton.parents < 0
    return replace(skeleton, offsets=np.where(tops[:, None], rotation.rotate(turn, skeleton.offsets), skeleton.offsets),
                   rest_rotations=np.where(tops[:, None], rotation.multiply(turn, skeleton.rest_rotations),
                                           skeleton.rest_rotations))


def straight(table: dict) -> dict:
    """Take everything from a body that tells front from back."""
    return {name: (parent, x, 0.0, z) for name, (parent, x, _, z) in table.items() if "Toe" not in name}


@pytest.mark.parametrize("degrees", [(0, 0, 0), (0, 0, 180), (0, 0, 90), (90, 0, 0), (-90, 0, 0), (180, 0, 0)])
def test_a_silent_body_is_understood_however_it_stands_in_the_world(degrees: tuple):
    body = human(MIXAMO)
    turn = rotation.from_rotvec(np.radians(degrees))
    assert found(silent(rerolled(turned(body, turn))), body) == found(body)


def test_without_names_and_without_front_no_side_is_guessed():
    body = human(straight(MIXAMO))
    roles = find_roles(silent(body))
    assert not any(role.startswith(("Left", "Right")) for role in roles.joints)
    assert any("tell left from right" in note for note in roles.notes)


def test_sides_in_the_names_are_enough_where_the_words_say_nothing():
    body = human(straight(MIXAMO))
    names = tuple(f"Bone{j}.{'L' if 'Left' in name else 'R' if 'Right' in name else 'M'}"
                  for j, name in enumerate(body.names))
    assert found(replace(body, names=names), body) == found(body)


def test_words_are_enough_where_the_names_have_no_sides():
    body = human(MIXAMO)
    names, seen = [], set()
    for name in body.names:
        bare = name.replace("Left", "").replace("Right", "")
        names.append(f"{bare}.001" if bare in seen else bare)
        seen.add(bare)
    assert found(replace(body, names=tuple(names)), body) == found(body)


def test_a_gap_in_the_names_is_filled_by_place_with_less_confidence():
    body = human(MIXAMO)
    names = tuple("Bone.007" if name == "LeftForeArm" else name for name in body.names)
    roles = find_roles(replace(body, names=names))
    assert names[roles.joints["LeftLowerArm"]] == "Bone.007"
    assert roles.confidence["LeftLowerArm"] < 0.7 < roles.confidence["LeftUpperArm"]


def test_the_upper_half_of_a_body_is_understood():
    half = human({name: row for name, row in MIXAMO.items() if not any(w in name for w in ("Leg", "Foot", "Toe"))})
    assert found(half) == {role: name for role, name in found(human(MIXAMO)).items() if name in half.names}


def test_legs_alone_are_understood():
    half = human({name: row for name, row in MIXAMO.items() if any(w in name for w in ("Hips", "Leg", "Foot", "Toe"))})
    assert found(half) == {role: name for role, name in found(human(MIXAMO)).items() if name in half.names}
    assert found(silent(half), half) == found(half)


def test_wings_and_tail_are_left_alone():
    extra = {"LeftWing1": ("Spine2", 0.1, 0.1, 1.45), "LeftWing2": ("LeftWing1", 0.6, 0.3, 1.7),
             "LeftWing3": ("LeftWing2", 1.2, 0.4, 1.5), "Tail1": ("Hips", 0.0, 0.1, 1.0),
             "Tail2": ("Tail1", 0.0, 0.4, 0.8), "Tail3": ("Tail2", 0.0, 0.8, 0.7)}
    body = human({**MIXAMO, **extra})
    assert found(body) == found(human(MIXAMO))
    words = tuple(name if "Wing" in name else f"Node_{j}" for j, name in enumerate(body.names))
    assert found(replace(body, names=words), body) == found(human(MIXAMO))


def test_a_second_pair_of_arms_is_left_alone_and_said():
    extra = {f"Left2{name[4:]}": (parent.replace("Left", "Left2"), x, y, z - 0.25)
             for name, (parent, x, y, z) in MIXAMO.items() if name in ("LeftArm", "LeftForeArm", "LeftHand")}
    extra["Left2Arm"] = ("Spine1", 0.18, 0.04, 1.25)
    body = human({**MIXAMO, **extra})
    roles = find_roles(body)
    assert {role: body.names[j] for role, j in roles.joints.items()} == found(human(MIXAMO))
    assert any("one more pair of limbs" in note for note in roles.notes)


def test_ten_tentacles_give_an_empty_map_that_says_why():
    names, parents, places = ["Body"], [-1], [(0.0, 0.0, 1.0)]
    for arm in range(10):
        way = np.array([np.cos(arm * np.pi / 5), np.sin(arm * np.pi / 5), -0.2])
        for bone in range(4):
            parents.append(0 if bone == 0 else len(names) - 1)
            names.append(f"Bone.{arm}.{bone}")
            places.append(tuple(0.3 * (bone + 1) * way + [0, 0, 1.0]))
    place = np.array(places)
    offsets = place - np.where(np.array(parents)[:, None] >= 0, place[parents], 0.0)
    octopus = Skeleton(tuple(names), np.array(parents), offsets, np.tile(rotation.IDENTITY, (len(names), 1)))
    bone_map = guess(human(), octopus)
    assert bone_map.pairs == ()
    assert any("10 limbs alike hang on 'Body'" in note for note in bone_map.notes)


def test_a_robot_without_neck_has_a_head():
    table = {name: row for name, row in MIXAMO.items() if name != "Neck"} | {"Head": ("Spine2", 0.0, 0.02, 1.6)}
    body = human(table)
    assert found(silent(body), body)["Head"] == "Head"
    assert find_roles(silent(body)).neck == ()


def test_a_silent_four_legged_body_has_its_front_legs_as_arms():
    table = {"Hips": ("", 0.0, 0.4, 0.8), "Spine": ("Hips", 0.0, 0.1, 0.82), "Chest": ("Spine", 0.0, -0.2, 0.8),
             "Neck": ("Chest", 0.0, -0.35, 0.9), "Head": ("Neck", 0.0, -0.5, 1.1),
             "LeftArm": ("Chest", 0.1, -0.25, 0.7), "LeftForeArm": ("LeftArm", 0.1, -0.2, 0.4),
             "LeftHand": ("LeftForeArm", 0.1, -0.22, 0.08), "LeftUpLeg": ("Hips", 0.1, 0.4, 0.72),
             "LeftLeg": ("LeftUpLeg", 0.1, 0.35, 0.42), "LeftFoot": ("LeftLeg", 0.1, 0.5, 0.2),
             "LeftToeBase": ("LeftFoot", 0.1, 0.45, 0.02)}
    body = human(table)
    assert found(silent(body), body) == found(body)


def test_no_body_bent_at_random_is_given_a_wrong_side():
    body = human(MIXAMO)
    rng = np.random.default_rng(5)
    for _ in range(60):
        bend = rotation.from_rotvec(rng.normal(scale=0.15, size=(len(body), 3)))
        posed = replace(body, rest_rotations=rotation.multiply(body.rest_rotations, bend))
        for role, name in found(silent(posed), body).items():
            assert {role[:4], name[:4]} != {"Left", "Righ"}, (role, name)


def test_deform_bones_of_a_control_rig_are_joined_past_the_bones_that_move_them():
    words = {"Hips": "spine", "Spine": "spine.001", "Spine1": "spine.002", "Spine2": "spine.003", "Neck": "spine.004",
             "Head": "spine.006", "Shoulder": "shoulder", "Arm": "upper_arm", "ForeArm": "forearm", "Hand": "hand",
             "UpLeg": "thigh", "Leg": "shin", "Foot": "foot", "ToeBase": "toe"}
    body = human(MIXAMO)
    bare = [f"{words[n[4:]]}.L" if n.startswith("Left") else f"{words[n[5:]]}.R" if n.startswith("Right") else words[n]
            for n in body.names]
    count = len(body)
    twice = Skeleton(tuple([f"ORG-{n}" for n in bare] + [f"DEF-{n}" for n in bare]),
                     np.concatenate([body.parents, np.arange(count)]),
                     np.concatenate([body.offsets, np.zeros((count, 3))]),
                     np.tile(rotation.IDENTITY, (2 * count, 1)))
    expected = {role: f"DEF-{bare[body.names.index(name)]}" for role, name in found(body).items()}
    assert found(twice) == expected
    loose = replace(twice, parents=np.concatenate([body.parents, np.full(count, -1)]),
                    offsets=np.concatenate([body.offsets, rest_pose(body)[0]]))
    assert found(loose) == expected


def test_arms_whose_names_cross_the_legs_are_left_out_and_said():
    body = human(MIXAMO)
    other = {"Left": "Right", "Right": "Left"}
    names = tuple(next((other[s] + n[len(s):] for s in other if n.startswith(s) and ("Arm" in n or "Hand" in n
                                                                                     or "Shoulder" in n)), n)
                  for n in body.names)
    roles = find_roles(replace(body, names=names))
    assert {role for role in roles.joints if "Arm" in role} == set()
    assert names[roles.joints["LeftLowerLeg"]] == "LeftLeg"
    assert any("the arms were left out" in note for note in roles.notes)
