"""Bone maps: twist bones and namesakes, and editing by hand."""

from __future__ import annotations

from dataclasses import replace

from humans import MIXAMO, human, rerolled

from retarget import Skeleton
from retarget.mapping import BoneMap, Pair, guess
from retarget.mirror import mirrored_name

TWISTED = {**MIXAMO, "LeftForeArmRoll": ("LeftForeArm", 0.6, 0.04, 1.5),
           "LeftForeArmRoll2": ("LeftForeArm", 0.68, 0.04, 1.5)}
TAILED = {**MIXAMO, "Tail": ("Hips", 0.0, 0.1, 1.0), "Tail1": ("Tail", 0.0, 0.3, 0.9),
          "Sword": ("LeftHand", 0.8, 0.0, 1.5), "Jaw": ("Head", 0.0, -0.05, 1.66)}


def prefixed(skeleton: Skeleton, prefix: str, *keep: str) -> Skeleton:
    """Put a prefix before all names but a few."""
    return replace(skeleton, names=tuple(name if name in keep else prefix + name for name in skeleton.names))


def test_twist_bones_are_driven_by_the_limb_where_the_source_has_none():
    pairs = {pair.role: (pair.source, pair.target) for pair in guess(human(), human(TWISTED)).pairs}
    assert pairs["LeftLowerArmTwist1"] == ("left_elbow", "LeftForeArmRoll")
    assert pairs["LeftLowerArmTwist2"] == ("left_elbow", "LeftForeArmRoll2")
    assert pairs["RightLowerArm"] == ("right_elbow", "RightForeArm")


def test_twist_bones_are_driven_by_as_many_of_the_source():
    pairs = {pair.role: (pair.source, pair.target)
             for pair in guess(human(TWISTED), prefixed(human(TWISTED), "x:")).pairs}
    assert pairs["LeftLowerArmTwist2"] == ("LeftForeArmRoll2", "x:LeftForeArmRoll2")


def test_the_limb_itself_is_the_target_of_a_joint_that_drives_twist_bones_too():
    assert guess(human(), human(TWISTED)).target_of("left_elbow") == "LeftForeArm"


def test_a_copy_of_a_rig_transfers_whole():
    body = human({**TAILED, **TWISTED})
    bone_map = guess(body, rerolled(body))
    assert {pair.source: pair.target for pair in bone_map.pairs} == {name: name for name in body.names}


def test_namesakes_need_parents_that_correspond():
    body = human(TAILED)
    other = {**TAILED, "Sword": ("Hips", 0.2, 0.0, 1.0)}
    target = prefixed(human(other), "x:", "Sword", "Tail", "Tail1")
    pairs = {pair.source: pair for pair in guess(body, target).pairs}
    assert "Sword" not in pairs
    assert (pairs["Tail1"].target, pairs["Tail1"].role) == ("Tail1", "")


def test_bones_above_the_hips_are_not_paired():
    body = human({"Root": ("", 0.0, 0.0, 0.0), **MIXAMO, "Hips": ("Root", 0.0, 0.0, 1.04)})
    assert guess(body, rerolled(body)).target_of("Root") is None


def test_a_pair_by_hand_replaces_the_guess_and_is_certain():
    bone_map = guess(human(), human(TAILED))
    changed = bone_map.paired("head", "Tail")
    assert changed.source_of("Tail") == "head"
    assert next(pair for pair in changed.pairs if pair.target == "Tail") == Pair("head", "Tail")
    again = changed.paired("neck", "Head")
    assert [(p.source, p.role, p.confidence) for p in again.pairs if p.target == "Head"] == [("neck", "Head", 1.0)]
    assert len(again.pairs) == len(bone_map.pairs) + 1


def test_a_role_is_filled_once():
    bone_map = guess(human(), human(TAILED)).paired("head", "Jaw", role="Head")
    assert [pair.target for pair in bone_map.pairs if pair.role == "Head"] == ["Jaw"]
    assert bone_map.source_of("Head") == "head"


def test_a_bone_that_is_taken_out_and_put_back_has_its_role_again():
    bone_map = guess(human(), human(MIXAMO))
    assert bone_map.without("LeftArm").target_of("left_shoulder") is None
    again = bone_map.without("LeftArm").paired("left_shoulder", "LeftArm", role="LeftUpperArm")
    assert set(again.pairs) == set(bone_map.pairs)


def test_setting_one_side_sets_the_other():
    source, target = human(), human(TAILED)
    empty = BoneMap(())
    both = empty.set_mirrored("left_elbow", "LeftForeArm", (source, target), role="LeftLowerArm")
    assert {(p.source, p.target, p.role) for p in both.pairs} == {
        ("left_elbow", "LeftForeArm", "LeftLowerArm"), ("right_elbow", "RightForeArm", "RightLowerArm")}
    assert len(empty.set_mirrored("head", "Head", (source, target), role="Head").pairs) == 1


def test_a_counterpart_is_found_by_role_before_name():
    names = ("Arm_L", "Arm_R", "Node_3", "Node_4", "UpperArmL", "UpperArmR", "lShin", "rShin", "左腕", "右腕", "head",
             "leg.l.001", "leg.r.001")
    roles = {"LeftHand": "Node_3", "RightHand": "Node_4"}
    expected = {"Arm_L": "Arm_R", "Node_3": "Node_4", "UpperArmR": "UpperArmL", "lShin": "rShin", "右腕": "左腕",
                "head": None, "leg.r.001": "leg.l.001"}
    assert {name: mirrored_name(name, names, roles) for name in expected} == expected


def test_a_map_is_fitted_to_a_similar_rig():
    bone_map = guess(human(), human(TAILED)).paired("head", "Tail")
    lesser = human(MIXAMO)
    fitted = bone_map.fitted(human(), lesser)
    fitted.check(human(), lesser)
    assert len(fitted.pairs) == len(bone_map.pairs) - 1
    assert any("not there" in note and "Tail" in note for note in fitted.notes)
    assert guess(human(), lesser).fitted(human(), lesser).notes == guess(human(), lesser).notes
