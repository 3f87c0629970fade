"""Laws of the transfer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from humans import (
    MIXAMO,
    SMPL,
    arms_lowered,
    from_world,
    human,
    mirrored,
    moving,
    places,
    rerolled,
)

from retarget import Motion, RetargetError, Skeleton, bvh, rotation
from retarget.kinematics import rest_pose, world_poses
from retarget.mapping import BoneMap, Pair, guess
from retarget.reference import standing_skeleton
from retarget.roles import find_roles
from retarget.solve import Options, retarget

HANDS = ("left_hand", "right_hand")
LEGS_ALONE = Options(feet="off")
"""Legs pose as they turn; where the feet come to stand is not looked at."""


def onto(motion: Motion, target: Skeleton, options: Options | None = None) -> Motion:
    return retarget(motion, target, guess(motion.skeleton, target), options or Options())


@pytest.fixture
def walk() -> Motion:
    """A motion whose unmapped fingertips stay still."""
    return moving(human(), still=HANDS)


def test_retarget_to_itself_changes_nothing(walk: Motion):
    same = onto(walk, walk.skeleton)
    assert np.allclose(same.root_pos, walk.root_pos, atol=1e-12)
    assert np.max(rotation.angle(same.rotations, walk.rotations)) < 1e-7
    assert same.fps == walk.fps


def test_a_body_with_other_joint_axes_stands_in_the_same_places(walk: Motion):
    other = rerolled(walk.skeleton)
    assert np.allclose(places(onto(walk, other)), places(walk), atol=1e-12)


def test_a_body_that_rests_in_an_a_pose_stands_in_the_same_places(walk: Motion):
    other = rerolled(arms_lowered(walk.skeleton, 50.0, ("left_shoulder", "right_shoulder")))
    assert np.allclose(places(onto(walk, other)), places(walk), atol=1e-9)


def test_a_larger_body_makes_the_same_motion_larger(walk: Motion):
    other = replace(walk.skeleton, offsets=walk.skeleton.offsets * 1.7)
    assert np.allclose(places(onto(walk, other)), places(walk) * 1.7, atol=1e-12)


@pytest.mark.parametrize("name", [*human().names, "all"])
def test_bones_without_length_do_no_harm(walk: Motion, name: str):
    bone_map = guess(walk.skeleton, walk.skeleton)
    offsets = walk.skeleton.offsets.copy()
    offsets[slice(None) if name == "all" else walk.skeleton.index(name)] = 0.0
    short = replace(walk, skeleton=replace(walk.skeleton, offsets=offsets))
    for motion, target in ((walk, short.skeleton), (short, walk.skeleton), (short, short.skeleton)):
        for feet in ("follow", "lock"):
            result = retarget(motion, target, bone_map, Options(feet=feet, hands="floor"))
            assert np.abs(result.root_pos - walk.root_pos).max() < 1.0
            assert np.allclose(np.linalg.norm(result.rotations, axis=-1), 1.0)


def test_there_and_back_returns_the_motion(walk: Motion):
    other = rerolled(arms_lowered(human(MIXAMO, "mixamorig:"), 45.0, ("mixamorig:LeftArm", "mixamorig:RightArm")))
    back = onto(onto(walk, other, LEGS_ALONE), walk.skeleton, LEGS_ALONE)
    assert np.allclose(places(back), places(walk), atol=1e-9)


def test_mirrored_motion_gives_the_mirrored_result(walk: Motion):
    target = human(MIXAMO)
    assert np.allclose(places(onto(mirrored(walk), target)), places(mirrored(onto(walk, target))), atol=1e-12)


@pytest.mark.parametrize("degrees", [90.0, 180.0, -33.0])
def test_a_body_that_faces_elsewhere_performs_towards_there(walk: Motion, degrees: float):
    turn = rotation.from_rotvec(np.array([0.0, 0.0, np.radians(degrees)]))
    place, world = rest_pose(walk.skeleton)
    other = from_world(walk.skeleton, rotation.rotate(turn, place), rotation.multiply(turn, world))
    assert np.allclose(places(onto(walk, other)), rotation.rotate(turn, places(walk)), atol=1e-9)


def test_a_body_in_a_y_up_world_performs_upright_there(walk: Motion):
    turn = rotation.from_rotvec(np.array([-np.pi / 2.0, 0.0, 0.0]))
    place, world = rest_pose(walk.skeleton)
    other = from_world(walk.skeleton, rotation.rotate(turn, place), rotation.multiply(turn, world))
    assert np.allclose(places(onto(walk, other)), rotation.rotate(turn, places(walk)), atol=1e-9)


def test_a_rest_pose_that_leans_as_a_whole_does_not_lean_the_result(walk: Motion):
    lean = rotation.from_rotvec(np.array([np.radians(35.0), 0.0, 0.0]))
    place, world = rest_pose(walk.skeleton)
    other = from_world(walk.skeleton, rotation.rotate(lean, place), rotation.multiply(lean, world))
    turned = onto(walk, other, LEGS_ALONE)
    height = places(turned)[..., 2] - turned.root_pos[:, None, 2]
    assert np.allclose(height, places(walk)[..., 2] - walk.root_pos[:, None, 2], atol=0.01)


def test_the_hips_path_is_scaled_about_the_floor_wherever_the_target_rests(walk: Motion):
    target = human(MIXAMO)
    sunk = replace(target, offsets=target.offsets - np.where(np.arange(len(target))[:, None] == 0, [0, 0, 1.04], 0.0))
    path = onto(walk, target, LEGS_ALONE).root_pos
    assert np.allclose(path, walk.root_pos * 1.04 / 0.95, rtol=0.02)
    assert np.allclose(path, onto(walk, sunk, LEGS_ALONE).root_pos, rtol=0.02)


def test_a_straight_standing_body_puts_its_feet_on_the_floor():
    source = human()
    still = Motion(source, 30.0, rest_pose(source)[0][:1], source.rest_rotations[None])
    result = onto(still, rerolled(human(MIXAMO)))
    assert abs(places(result)[0, :, 2].min() - 0.03) < 0.015


@pytest.mark.parametrize(("ours", "theirs"), [(3, 5), (5, 3), (3, 1), (1, 4), (2, 3)])
def test_spines_of_different_length_bend_alike_in_sum_and_evenly(ours: int, theirs: int):
    source, target = (_with_spine(count) for count in (ours, theirs))
    bend = rotation.from_rotvec(np.array([0.9, 0.0, 0.0]) / ours)
    rotations = source.rest_rotations[None].copy()
    for i in range(ours):
        rotations[0, source.index(f"spine{i + 1}")] = bend
    result = onto(Motion(source, 30.0, np.array([[0.0, 0.0, 0.95]]), rotations), target)
    world = world_poses(result)[1][0]
    turn = [rotation.to_rotvec(world[target.index(f"spine{i + 1}")])[0] for i in range(theirs)]
    assert turn[-1] == pytest.approx(0.9)
    assert np.all(np.diff([0.0, *turn]) > 0)
    assert rotation.to_rotvec(world[target.index("head")])[0] == pytest.approx(0.9)


def _with_spine(count: int) -> Skeleton:
    """Build a body whose spine has that many joints, evenly spaced."""
    table = {name: row for name, row in SMPL.items() if not name.startswith("spine")}
    spine = {f"spine{i + 1}": ("pelvis" if i == 0 else f"spine{i}", 0.0, 0.0, 1.06 + 0.4 * i / count)
             for i in range(count)}
    top = f"spine{count}"
    table = {name: (top if row[0] == "spine3" else row[0], *row[1:]) for name, row in table.items()}
    return human({"pelvis": table.pop("pelvis"), **spine, **table})


def test_a_neck_that_the_source_has_not_shares_the_turn_of_the_head():
    source = human({name: (row[0].replace("neck", "spine3"), *row[1:]) for name, row in SMPL.items()
                    if name != "neck"})
    rotations = source.rest_rotations[None].copy()
    rotations[0, source.index("head")] = rotation.from_rotvec(np.array([0.0, 0.0, 0.8]))
    target = human()
    world = world_poses(onto(Motion(source, 30.0, np.array([[0.0, 0.0, 0.95]]), rotations), target))[1][0]
    assert rotation.to_rotvec(world[target.index("neck")])[2] == pytest.approx(0.4)
    assert rotation.to_rotvec(world[target.index("head")])[2] == pytest.approx(0.8)


def test_bones_without_a_pair_keep_their_rest_in_their_parent(walk: Motion):
    target = rerolled(walk.skeleton)
    some = BoneMap(tuple(pair for pair in guess(walk.skeleton, target).pairs if "wrist" not in pair.source))
    result = retarget(walk, target, some)
    j = target.index("left_wrist")
    assert np.allclose(result.rotations[:, j], target.rest_rotations[j])


def test_the_bone_that_the_hips_drive_becomes_the_root_and_bones_above_it_rest(walk: Motion):
    table = {"Root": ("", 0.0, 0.0, 0.0), **MIXAMO, "Hips": ("Root", 0.0, 0.0, 1.04)}
    result = onto(walk, rerolled(human(table)))
    assert result.skeleton.names[result.skeleton.root] == "Hips"
    assert np.allclose(result.rotations[:, 0], result.skeleton.rest_rotations[0])
    plain = onto(walk, human(MIXAMO))
    assert np.allclose(places(result)[:, 1:], places(plain), atol=1e-9)


def test_a_source_whose_hips_hang_below_its_root_gives_the_same_result(walk: Motion):
    skeleton = walk.skeleton
    above = Skeleton(("world", *skeleton.names), np.concatenate([[-1], skeleton.parents + 1]),
                     np.concatenate([np.zeros((1, 3)), skeleton.offsets]),
                     np.concatenate([rotation.IDENTITY[None], skeleton.rest_rotations]), root=1)
    held = np.tile(rotation.IDENTITY, (len(walk), 1, 1))
    source = Motion(above, walk.fps, walk.root_pos, np.concatenate([held, walk.rotations], axis=1))
    assert np.allclose(places(onto(source, human(MIXAMO))), places(onto(walk, human(MIXAMO))), atol=1e-9)


def test_in_place_keeps_the_hips_over_one_spot(walk: Motion):
    result = onto(walk, human(MIXAMO), Options(root="in place"))
    free = onto(walk, human(MIXAMO))
    assert np.allclose(result.root_pos[:, :2], free.root_pos[0, :2])
    assert np.allclose(result.root_pos[:, 2], free.root_pos[:, 2])


def test_without_the_root_the_hips_stay_at_rest(walk: Motion):
    target = human(MIXAMO)
    assert np.allclose(onto(walk, target, Options(root="off")).root_pos, rest_pose(target)[0][0])


def test_the_stride_scales_the_way_along_the_main_direction_alone(walk: Motion):
    ahead = np.outer(np.linspace(0.0, 1.0, len(walk)), [0.6, -0.8, 0.0])
    going = replace(walk, root_pos=walk.root_pos[:1] + ahead)
    result, free = (onto(going, human(MIXAMO), Options(stride=s, feet="off")).root_pos for s in (0.5, 1.0))
    assert np.allclose(np.diff(result[:, :2], axis=0), 0.5 * np.diff(free[:, :2], axis=0))
    assert np.allclose(result[0], free[0])
    assert np.allclose(result[:, 2], free[:, 2])


@pytest.mark.parametrize("stride", [-1.0, float("nan")])
def test_a_stride_that_is_no_stride_is_refused(walk: Motion, stride: float):
    with pytest.raises(RetargetError, match="stride"):
        onto(walk, human(MIXAMO), Options(stride=stride))


def test_neighbouring_frames_have_quaternions_the_short_way_apart():
    result = onto(moving(human(), frames=200, swing=4.0), rerolled(human(MIXAMO)))
    assert np.all(np.sum(result.rotations[1:] * result.rotations[:-1], axis=-1) >= 0)


def test_confidence_and_contacts_follow_the_map(walk: Motion):
    shape = walk.rotations.shape[:2]
    confidence, contacts = np.full(shape, 0.9), np.zeros(shape)
    confidence[:, walk.skeleton.index("left_elbow")] = 0.2
    contacts[:, walk.skeleton.index("left_foot")] = 0.7
    contacts[:, walk.skeleton.index("right_hand")] = 0.4
    target = human({**MIXAMO, "LeftHandThumb1": ("LeftHand", 0.8, 0.0, 1.5)})
    result = onto(replace(walk, confidence=confidence, contacts=contacts, loop=True), target)
    at = {name: j for j, name in enumerate(target.names)}
    assert result.confidence is not None
    assert result.contacts is not None
    assert result.confidence[0, at["LeftForeArm"]] == 0.2
    assert result.confidence[0, at["LeftHandThumb1"]] == 0.9
    assert result.contacts[0, at["LeftToeBase"]] == 0.7
    assert result.contacts[0, at["RightHand"]] == 0.4
    assert result.contacts[0].sum() == pytest.approx(1.1)
    assert result.loop


def test_feet_that_were_rolled_with_splayed_legs_at_rest_are_put_flat():
    flat = human()
    place, _ = rest_pose(flat)
    for side, sign in (("left", -1.0), ("right", 1.0)):
        turn = rotation.from_rotvec(np.array([0.0, sign * np.radians(20.0), 0.0]))
        hip = place[flat.index(f"{side}_hip")].copy()
        straight = {"knee": [0, 0, -0.4], "ankle": [0, 0, -0.8], "foot": [0, -0.14, -0.86]}
        for name, way in straight.items():
            place[flat.index(f"{side}_{name}")] = hip + rotation.rotate(turn, np.array(way))
    splayed = from_world(flat, place, rest_pose(flat)[1])
    stand = splayed.rest_rotations[None].copy()
    for side, sign in (("left", 1.0), ("right", -1.0)):
        stand[0, splayed.index(f"{side}_hip")] = rotation.from_rotvec(np.array([0.0, sign * np.radians(20.0), 0.0]))
    result = onto(Motion(splayed, 30.0, np.array([[0.0, 0.0, 0.95]]), stand), flat)
    world = world_poses(result)[1][0]
    for side in ("left", "right"):
        assert rotation.angle(world[flat.index(f"{side}_ankle")], rotation.IDENTITY) < np.radians(0.1)


def test_a_rest_pose_that_is_a_pole_is_refused_with_the_way_out(walk: Motion):
    pole = replace(walk.skeleton, offsets=np.linalg.norm(walk.skeleton.offsets, axis=1)[:, None] * [1.0, 0.0, 0.0])
    with pytest.raises(RetargetError, match="with_rest"):
        onto(walk, pole)


def test_a_pole_with_a_standing_frame_as_rest_works(walk: Motion):
    pole = rerolled(walk.skeleton)
    posed = onto(walk, pole)
    lying = replace(posed, skeleton=replace(pole, rest_rotations=np.tile(rotation.IDENTITY, (len(pole), 1))))
    upright = replace(lying, rotations=np.concatenate([pole.rest_rotations[None], lying.rotations[1:]]),
                      root_pos=np.concatenate([rest_pose(pole)[0][:1], lying.root_pos[1:]])).with_rest(0)
    assert np.allclose(places(onto(upright, walk.skeleton))[1:], places(walk)[1:], atol=1e-9)


def _folded(motion: Motion) -> Motion:
    """Return the motion, standing in frame 0, on a skeleton that rests with its legs folded up beside its trunk."""
    rest = motion.skeleton.rest_rotations.copy()
    rest[[motion.skeleton.index(f"{side}_hip") for side in ("left", "right")]] = [0.0, 1.0, 0.0, 0.0]
    return Motion(replace(motion.skeleton, rest_rotations=rest), motion.fps,
                  np.concatenate([rest_pose(motion.skeleton)[0][:1], motion.root_pos[1:]]),
                  np.concatenate([motion.skeleton.rest_rotations[None], motion.rotations[1:]]))


def test_a_source_whose_rest_is_no_body_takes_a_standing_frame_as_its_rest(walk: Motion):
    assert np.allclose(places(onto(_folded(walk), rerolled(walk.skeleton)))[1:], places(walk)[1:], atol=1e-6)


def test_a_reference_frame_that_is_not_there_is_refused(walk: Motion):
    with pytest.raises(RetargetError, match="no frame 999"):
        onto(walk, walk.skeleton, Options(reference_frame=999))


def test_a_target_whose_rest_is_no_body_is_taken_as_it_stands_in_its_own_motion(walk: Motion):
    folded = _folded(walk)
    assert np.allclose(places(onto(walk, standing_skeleton(folded))), places(walk), atol=1e-6)
    with pytest.raises(RetargetError, match="rest pose is not a body"):
        onto(walk, folded.skeleton)
    assert standing_skeleton(walk) is walk.skeleton


def test_a_map_without_roles_transfers_rotations_from_the_source_root(walk: Motion):
    target = rerolled(walk.skeleton)
    plain = BoneMap(tuple(Pair(name, name) for name in target.names))
    assert np.allclose(places(retarget(walk, target, plain)), places(walk), atol=1e-9)


@pytest.mark.parametrize(("pairs", "words"), [
    ((Pair("tail", "head"),), "source bones that are not there: tail"),
    ((Pair("head", "Tail"),), "target bones that are not there: Tail"),
    ((Pair("head", "neck"), Pair("spine1", "neck")), "more than once: neck"),
    ((), "bone map is empty"),
])
def test_a_map_that_does_not_fit_is_refused(walk: Motion, pairs: tuple[Pair, ...], words: str):
    with pytest.raises(RetargetError, match=words):
        retarget(walk, walk.skeleton, BoneMap(pairs))


def test_the_source_motion_and_the_target_are_left_as_they_were(walk: Motion):
    target = rerolled(human(MIXAMO))
    before = walk.rotations.copy(), target.rest_rotations.copy()
    onto(walk, target)
    assert np.array_equal(walk.rotations, before[0])
    assert np.array_equal(target.rest_rotations, before[1])




def test_a_quadruped_stands_with_its_trunk_level(shared_data):
    dog = bvh.load(shared_data / "clips" / "dog.bvh")
    roles = find_roles(dog.skeleton).joints
    place = rest_pose(standing_skeleton(dog))[0]
    for side in ("Left", "Right"):
        assert place[roles[f"{side}UpperLeg"], 2] > place[roles[f"{side}Foot"], 2] + 0.1
    assert place[roles["Head"], 2] > place[roles["LeftFoot"], 2]
