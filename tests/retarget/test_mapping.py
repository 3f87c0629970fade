"""Bone maps: what names and trees reveal, and the JSON form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from humans import MIXAMO, SMPL, human, rerolled

from retarget import RetargetError, Skeleton, rotation
from retarget.mapping import BoneMap, Pair, guess
from retarget.roles import FINGERS, LIMBS, SIDES, find_roles, parse_name

TREE = {
    "Root": None, "Hips": "Root", "Spine": "Hips", "Chest": "Spine", "UpperChest": "Chest", "Neck": "UpperChest",
    "Head": "Neck", "Jaw": "Head", "LeftEye": "Head", "RightEye": "Head",
    **{side + role: (side + above if above in LIMBS else above) for side in SIDES for role, above in zip(
        LIMBS, ("UpperChest", "Shoulder", "UpperArm", "LowerArm", "Hips", "UpperLeg", "LowerLeg", "Foot"),
        strict=True)},
    **{f"{side}{finger}{i}": f"{side}{finger}{i - 1}" if i > 1 else f"{side}Hand"
       for side in SIDES for finger in FINGERS for i in (1, 2, 3)},
}
"""The canonical joints and what each hangs on."""


def tree(names: dict[str, str]) -> Skeleton:
    """Build a skeleton without size: role → name."""
    order: list[str] = []
    for role in TREE:
        if role in names and names[role] not in [names[r] for r in order]:
            order.append(role)
    order.sort(key=_depth)

    def above(role: str) -> int:
        parent = TREE[role]
        while parent is not None and parent not in order:
            parent = TREE[parent]
        return -1 if parent is None else order.index(parent)

    return Skeleton(tuple(names[role] for role in order), np.array([above(role) for role in order]),
                    np.zeros((len(order), 3)), np.tile(rotation.IDENTITY, (len(order), 1)))


def _depth(role: str) -> int:
    depth, parent = 0, TREE[role]
    while parent is not None:
        depth, parent = depth + 1, TREE[parent]
    return depth


@pytest.mark.parametrize(("name", "expected"), [
    ("mixamorig:LeftForeArm", ("Left", "forearm", "")), ("mixamorig7:RightHandIndex2", ("Right", "handindex", "2")),
    ("upper_arm.L", ("Left", "upperarm", "")), ("DEF-thigh.R.001", ("Right", "thigh", "001")),
    ("spine.003", (None, "spine", "003")), ("J_Bip_L_UpperLeg", ("Left", "upperleg", "")),
    ("J_Bip_C_Hips", (None, "hips", "")), ("Bip001 R Thigh", ("Right", "thigh", "")),
    ("ValveBiped.Bip01_L_Calf", ("Left", "calf", "")), ("lForearmBend", ("Left", "forearmbend", "")),
    ("CC_Base_R_ToeBase", ("Right", "toebase", "")), ("leftUpperArm", ("Left", "upperarm", "")),
    ("rightfoot", ("Right", "foot", "")), ("handleft", ("Left", "hand", "")), ("Left arm", ("Left", "arm", "")),
    ("calf_l", ("Left", "calf", "")), ("LHipJoint", ("Left", "hipjoint", "")), ("head.x", (None, "head", "")),
    ("Armature|Hips", (None, "hips", "")), ("m_avg_R_Knee", ("Right", "knee", "")),
    ("UpperArmR", ("Right", "upperarm", "")),
    ("upright", (None, "upright", "")), ("Lower", (None, "lower", "")), ("roll", (None, "roll", "")),
    ("left_to_right", (None, "to", "")), ("b_RightLeg01_019", ("Right", "leg", "01019")),
])
def test_a_name_gives_side_words_and_digits(name: str, expected: tuple):
    assert parse_name(name) == expected


def test_each_joint_of_smpl_finds_its_mixamo_bone():
    bone_map = guess(human(), human(MIXAMO, "mixamorig:"))
    expected = {
        "pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck", "head": "Head",
        "left_collar": "LeftShoulder", "left_shoulder": "LeftArm", "left_elbow": "LeftForeArm",
        "left_wrist": "LeftHand", "left_hip": "LeftUpLeg", "left_knee": "LeftLeg", "left_ankle": "LeftFoot",
        "left_foot": "LeftToeBase",
    }
    expected |= {k.replace("left", "right"): v.replace("Left", "Right") for k, v in expected.items()}
    assert {p.source: p.target for p in bone_map.pairs} == {k: f"mixamorig:{v}" for k, v in expected.items()}
    assert all(pair.confidence == 1.0 for pair in bone_map.pairs)
    assert not bone_map.notes


def test_a_part_of_a_body_maps_to_the_whole():
    few = human({name: row for name, row in SMPL.items() if name not in ("left_collar", "left_hand", "left_foot")
                 } | {"left_shoulder": ("spine3", 0.18, 0.02, 1.42)})
    bone_map = guess(human(), few)
    assert all(pair.source == pair.target for pair in bone_map.pairs)
    assert len(bone_map.pairs) == len(few)
    assert any("'left_collar' drives nothing" in note for note in bone_map.notes)


def test_a_rigify_metarig_is_understood_by_its_tree():
    names = {"Hips": "spine", "Spine": "spine.001", "Chest": "spine.002", "UpperChest": "spine.003",
             "Neck": "spine.004", "Head": "spine.006", "Jaw": "jaw", "LeftEye": "eye.L"}
    words = dict(zip(LIMBS, ("shoulder", "upper_arm", "forearm", "hand", "thigh", "shin", "foot", "toe"), strict=True))
    names |= {side + role: f"{word}.{side[0]}" for side in SIDES for role, word in words.items()}
    bone_map = guess(human(), tree(names))
    found = {pair.source: pair.target for pair in bone_map.pairs}
    assert [found[name] for name in ("pelvis", "spine1", "spine2", "spine3", "neck", "head")] == [
        "spine", "spine.001", "spine.002", "spine.003", "spine.004", "spine.006"]
    assert found["left_knee"] == "shin.L"
    assert len(found) == 22


@pytest.mark.parametrize("count", [1, 2, 4, 5, 7])
def test_spines_of_different_length_pair_in_order_end_with_end(count: int):
    names = {"Hips": "pelvis", "Head": "head", "LeftUpperArm": "upperarm_l", "RightUpperArm": "upperarm_r",
             "LeftUpperLeg": "thigh_l", "RightUpperLeg": "thigh_r"}
    base = tree(names | {"Spine": "spine_01"})
    spine = [f"spine_{i + 1:02}" for i in range(count)]
    order = ["pelvis", *spine, "head", "upperarm_l", "upperarm_r", "thigh_l", "thigh_r"]
    parents = {name: before for before, name in zip(["pelvis", *spine], spine, strict=False)}
    parents |= dict.fromkeys(["head", "upperarm_l", "upperarm_r"], spine[-1]) | dict.fromkeys(["thigh_l", "thigh_r"],
                                                                                          "pelvis")
    target = Skeleton(tuple(order), np.array([order.index(parents[n]) if n in parents else -1 for n in order]),
                      np.zeros((len(order), 3)), np.tile(rotation.IDENTITY, (len(order), 1)))
    assert len(base) == 7
    pairs = [(p.source, p.target) for p in guess(human(), target).pairs if p.source.startswith("spine")]
    assert pairs[-1] == ("spine3", spine[-1])
    assert len(pairs) == min(3, count)
    if count > 1:
        assert pairs[0] == ("spine1", spine[0])
    assert [b for _, b in pairs] == sorted(b for _, b in pairs)


def test_feet_that_are_controls_are_left_out_and_reported():
    target = human({**MIXAMO, "LeftFoot": ("Hips", 0.1, 0.04, 0.1)})
    bone_map = guess(human(), target)
    assert bone_map.target_of("left_ankle") is None
    assert any("'LeftFoot' is not below 'LeftLeg'" in note for note in bone_map.notes)


def test_hips_that_carry_only_the_upper_body_give_way_to_the_bone_that_carries_all():
    table = {"Body": ("", 0.0, 0.0, 1.0), **MIXAMO, "Hips": ("Body", 0.0, 0.0, 1.04),
             "LeftUpLeg": ("Body", 0.1, 0.0, 0.98)}
    bone_map = guess(human(), human(table))
    assert bone_map.target_of("pelvis") == "Body"
    assert any("'Hips' does not carry both legs" in note for note in bone_map.notes)


def test_sides_named_from_the_viewer_are_set_right():
    table = {name: (parent, -x, y, z) for name, (parent, x, y, z) in MIXAMO.items()}
    bone_map = guess(human(), human(table))
    assert bone_map.target_of("left_elbow") == "RightForeArm"
    assert any("sides exchanged" in note for note in bone_map.notes)


def test_a_body_that_faces_elsewhere_keeps_its_sides():
    table = {name: (parent, -x, -y, z) for name, (parent, x, y, z) in MIXAMO.items()}
    assert guess(human(), human(table)).target_of("left_elbow") == "LeftForeArm"


def test_fingers_are_mapped_where_both_have_them():
    fingers = {f"LeftHandIndex{i}": ("LeftHand" if i == 1 else f"LeftHandIndex{i - 1}", 0.8 + 0.03 * i, 0.0, 1.5)
               for i in (1, 2, 3, 4)}
    with_fingers = human({**MIXAMO, **fingers})
    assert not any("Index" in pair.target for pair in guess(human(), with_fingers).pairs)
    both = guess(with_fingers, rerolled(with_fingers))
    index = {p.target: p.role for p in both.pairs if "LeftHandIndex" in p.source}
    assert index == {f"LeftHandIndex{i}": f"LeftIndex{i}" for i in (1, 2, 3)} | {"LeftHandIndex4": ""}


def test_names_that_say_nothing_give_an_empty_map_with_the_reason():
    silent = tree({role: f"Node_{i}" for i, role in enumerate(TREE)})
    bone_map = guess(human(), silent)
    assert bone_map.pairs == ()
    assert bone_map.notes == ("No bone name of the target says what the bone is.",)


def test_a_few_familiar_names_are_chance():
    silent = tree({role: f"Node_{i}" for i, role in enumerate(TREE)} | {"LeftUpperArm": "shoulder.L", "Head": "head"})
    assert guess(human(), silent).pairs == ()


def test_a_saved_map_loads_the_same(tmp_path: Path):
    bone_map = guess(human(), human(MIXAMO))
    bone_map = BoneMap((*bone_map.pairs, Pair("left_hand", "Schwert ⚔")), ("a note",))
    bone_map.save(tmp_path / "maps" / "map.json")
    assert BoneMap.load(tmp_path / "maps" / "map.json") == bone_map


BAD = {
    "empty": "", "text": "hello", "a list": "[]", "a number": "3", "no version": "{}",
    "future": '{"version": 9, "pairs": []}', "pairs missing": '{"version": 1}',
    "pairs of numbers": '{"version": 1, "pairs": [1]}', "no target": '{"version": 1, "pairs": [{"source": "a"}]}',
    "number as bone": '{"version": 1, "pairs": [{"source": 3, "target": "b"}]}',
    "word as confidence": '{"version": 1, "pairs": [{"source": "a", "target": "b", "confidence": "much"}]}',
    "nested": "[" * 100_000, "notes of numbers": '{"version": 1, "pairs": [], "notes": [1]}',
    "binary": b"\xff\xfe\x00",
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_map_file_is_refused_with_its_name(kind: str, tmp_path: Path):
    path = tmp_path / "bad.json"
    text = BAD[kind]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RetargetError, match=r"bad\.json"):
        BoneMap.load(path)


def test_a_missing_map_file_is_refused(tmp_path: Path):
    with pytest.raises(RetargetError, match="No bone map"):
        BoneMap.load(tmp_path / "none.json")


def test_known_rigs_are_understood(shared_data: Path):
    """Check limbs and head of rig families against names that were collected from real files."""
    rigs = json.loads((shared_data / "rigs" / "bone_names.json").read_text())["rigs"]
    wrong_side, missed, total = [], [], 0
    for rig, content in rigs.items():
        skeleton = tree(content["joints"])
        found = {role: skeleton.names[j] for role, j in find_roles(skeleton).joints.items()}
        for role in (side + limb for side in SIDES for limb in LIMBS):
            expected = content["joints"].get(role)
            total += expected is not None
            if expected is not None and found.get(role) != expected:
                missed.append(f"{rig} {role}: {found.get(role)} for {expected}")
            other = role.replace("Left", "Right") if "Left" in role else role.replace("Right", "Left")
            if found.get(role) and found[role] == content["joints"].get(other):
                wrong_side.append(f"{rig} {role}")
    assert not wrong_side
    assert len(missed) <= 0.1 * total, missed
