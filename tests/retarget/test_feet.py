"""Feet that stay, toes that roll, hands that reach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from humans import MIXAMO, SMPL, human, moving, places, rerolled

from retarget import Motion, Skeleton, bvh, rotation
from retarget.contact import held, runs, touching
from retarget.ik import reach
from retarget.kinematics import local_rotations, rest_pose, world_poses
from retarget.mapping import guess
from retarget.solve import Options, retarget

ANKLES, BALLS = ("left_ankle", "right_ankle"), ("left_foot", "right_foot")
TALL = {name: (row[0], row[1], row[2], row[3] * 1.2 if row[3] > 0.2 else row[3]) for name, row in SMPL.items()}
"""A body whose feet are as they were and whose legs are longer."""


def onto(motion: Motion, target: Skeleton, **options) -> Motion:
    return retarget(motion, target, guess(motion.skeleton, target), Options(**options))


def squat(frames: int = 60) -> Motion:
    """Let a body bend its knees with its feet on the floor, and sway."""
    still = human()
    rest = rest_pose(still)[0]
    time = np.linspace(0.0, 2.0 * np.pi, frames)
    sway, down = 0.05 * np.sin(time), -0.02 - 0.15 * (1.0 - np.cos(time))
    root = rest[0] + np.stack([sway, 0.03 * np.sin(2 * time), down], axis=1)
    motion = Motion(still, 30.0, root, np.tile(still.rest_rotations, (frames, 1, 1)))
    return _standing_on(motion, rest)


def _standing_on(motion: Motion, rest: np.ndarray) -> Motion:
    """Bend the legs so that the ankles stay where they rest."""
    place, world = world_poses(motion)
    for side in ("left", "right"):
        hip, knee, ankle = (motion.skeleton.index(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
        hinge = np.tile([1.0, 0.0, 0.0], (len(motion), 1))
        upper, lower, _ = reach(place[:, hip], place[:, knee], place[:, ankle],
                                np.tile(rest[ankle], (len(motion), 1)), hinge)
        world[:, hip], world[:, knee] = rotation.multiply(upper, world[:, hip]), rotation.multiply(lower,
                                                                                                  world[:, knee])
    return replace(motion, rotations=local_rotations(motion.skeleton, world))


@pytest.mark.parametrize("target", [human(TALL), human({k: (p, 0.6 * x, 0.6 * y, 0.6 * z) for k, (p, x, y, z)
                                                        in SMPL.items()}), human(MIXAMO), rerolled(human(MIXAMO))])
@pytest.mark.parametrize("feet", ["follow", "lock"])
def test_feet_that_stand_stand_on_every_body(target: Skeleton, feet: str):
    result = onto(squat(), target, feet=feet)
    names = BALLS if "left_foot" in target.names else ("LeftToeBase", "RightToeBase")
    balls = places(result)[:, [target.index(name) for name in names]]
    assert np.ptp(balls, axis=0).max() < 1e-3
    rest = rest_pose(target)[0][[target.index(name) for name in names]]
    assert np.allclose(balls[..., 2], rest[:, 2], atol=1e-3)


def test_legs_alone_let_the_feet_of_another_body_wander():
    balls = places(onto(squat(), human(TALL), feet="off"))[:, [human(TALL).index(name) for name in BALLS]]
    assert np.ptp(balls, axis=0).max() > 5e-3


def test_a_foot_that_drifts_while_it_stands_is_held_when_locked_and_followed_when_not():
    drifting = squat()
    drift = np.outer(np.linspace(0.0, 0.08, len(drifting)), [1.0, 0.0, 0.0])
    drifting = replace(drifting, root_pos=drifting.root_pos + drift)
    ball = human().index("left_foot")
    held_still, followed = (places(onto(drifting, human(), feet=feet))[:, ball, 0] for feet in ("lock", "follow"))
    assert np.ptp(held_still) < 2e-3
    assert np.ptp(followed) == pytest.approx(0.08, abs=1e-6)


def test_a_foot_that_slides_far_is_meant_to():
    gliding = squat()
    way = np.outer(np.linspace(0.0, 0.6, len(gliding)), [0.0, -1.0, 0.0])
    gliding = replace(gliding, root_pos=gliding.root_pos + way)
    assert np.ptp(places(onto(gliding, human(), feet="lock"))[:, human().index("left_foot"), 1]) > 0.5


def test_hips_come_down_where_a_leg_cannot_reach():
    wide = squat()
    short = human({k: (p, x, y, z) for k, (p, x, y, z) in {
        **SMPL, "left_knee": ("left_hip", 0.09, 0.01, 0.53), "left_ankle": ("left_knee", 0.09, 0.03, 0.2),
        "left_foot": ("left_ankle", 0.1, -0.1, 0.02)}.items()})
    lifted = replace(wide, root_pos=wide.root_pos + [0.0, 0.0, 0.02])
    result = onto(lifted, short, feet="lock")
    balls = places(result)[:, [short.index(name) for name in BALLS]]
    assert np.ptp(balls[..., :2], axis=0).max() < 2e-3


def test_toes_do_not_go_into_the_floor_when_the_heel_rises():
    source = human()
    frames = 40
    pitch = np.zeros((frames, len(source), 3))
    pitch[:, [source.index(name) for name in ANKLES], 0] = np.linspace(0.0, 0.9, frames)[:, None]
    motion = Motion(source, 30.0, np.tile(rest_pose(source)[0][0], (frames, 1)), rotation.from_rotvec(pitch))
    sunk = places(motion)[:, source.index("left_foot"), 2] - 0.02
    motion = replace(motion, root_pos=motion.root_pos - np.outer(sunk, [0.0, 0.0, 1.0]))
    table = {**MIXAMO, "LeftToeEnd": ("LeftToeBase", 0.11, -0.17, 0.0)}
    result = places(onto(motion, human(table)))
    names = human(table).names
    assert result[:, [names.index(f"{side}ToeEnd") for side in ("Left", "Right")], 2].min() > -1e-6
    assert result[:, [names.index(f"{side}ToeBase") for side in ("Left", "Right")], 2].min() > 0.02


@pytest.mark.parametrize("feet", ["follow", "off"])
def test_a_copy_of_any_size_gets_the_same_pose_whatever_the_feet_do(feet: str):
    walk = moving(human(), still=("left_hand", "right_hand"))
    other = rerolled(replace(walk.skeleton, offsets=walk.skeleton.offsets * 0.37))
    assert np.allclose(places(onto(walk, other, feet=feet)), places(walk) * 0.37, atol=1e-9)


def test_hands_reach_what_they_touch_on_another_body():
    clap = squat()
    turns = np.zeros((len(clap), len(clap.skeleton), 3))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        turns[:, clap.skeleton.index(f"{side}_shoulder"), 2] = -sign * 1.2
        turns[:, clap.skeleton.index(f"{side}_elbow"), 2] = -sign * 0.6
    clap = replace(clap, rotations=rotation.multiply(clap.rotations, rotation.from_rotvec(turns)))
    table = {**SMPL, "left_elbow": ("left_shoulder", 0.54, 0.02, 1.42), "left_wrist": ("left_elbow", 0.95, 0.02, 1.42)}
    target = human(table)
    wrists = [clap.skeleton.index(f"{side}_wrist") for side in ("left", "right")]
    apart = np.linalg.norm(np.subtract(*np.swapaxes(places(clap)[:, wrists], 0, 1)), axis=1)
    free, brought = (np.linalg.norm(np.subtract(*np.swapaxes(places(onto(clap, target, hands=hands))[:, wrists], 0, 1)),
                                    axis=1) for hands in ("off", "body"))
    scale = (0.36 + 0.41) / (0.26 + 0.25)
    assert np.abs(brought - scale * apart).max() < 1e-6
    assert np.abs(free - scale * apart).max() > 0.02


def test_points_touch_while_they_are_slow_and_low():
    time = np.arange(90) / 30.0
    height = np.where((time > 1.0) & (time < 2.0), 0.02, 0.3)
    path = np.stack([np.where(time < 1.0, time, np.where(time < 2.0, 1.0, time - 1.0)), 0 * time, height], axis=1)
    spans = runs(touching(path[:, None], 30.0, 0.9)[:, 0])
    assert len(spans) == 1
    assert abs(spans[0][0] - 31) <= 2 and abs(spans[0][1] - 60) <= 2


def test_what_holds_a_foot_fades_away_from_its_contacts():
    points = np.stack([np.linspace(0.0, 0.1, 60), np.zeros(60)], axis=1)[:, None]
    touches = ((np.arange(60) >= 20) & (np.arange(60) < 40))[:, None]
    move = held(points, np.zeros_like(points), touches, 30.0, np.inf)
    stands = points[20:40, 0] + move[20:40]
    assert np.ptp(stands, axis=0).max() < 1e-12
    assert np.abs(move[:10]).max() == 0 and np.abs(np.diff(move, axis=0)).max() < 0.01


def test_a_motion_of_one_frame_and_a_body_without_feet_are_no_trouble():
    one = squat().slice(0, 1)
    assert len(onto(one, human(MIXAMO), feet="lock", hands="floor")) == 1
    legless = human({name: row for name, row in SMPL.items() if name not in ("left_ankle", "left_foot")})
    assert np.isfinite(onto(squat(), legless, feet="lock").rotations).all()


def test_mocap_stays_above_the_floor(shared_data):
    source = bvh.load(shared_data / "clips" / "cmu_01_01.bvh").resample(30.0)
    target = bvh.load(shared_data / "clips" / "mixamo_pairs" / "Ortiz__Macarena_Dance.bvh").skeleton
    assert places(onto(source, target, feet="lock"))[..., 2].min() > -0.005
    assert places(onto(source, target, feet="off"))[..., 2].min() < -0.03


@pytest.mark.parametrize("clip", ["xia_neutral.bvh", "cmu_01_01.bvh", "wave_hello.bvh"])
def test_no_knee_snaps(shared_data, clip: str):
    source = bvh.load(shared_data / "clips" / clip).resample(60.0)
    target = bvh.load(shared_data / "clips" / "mixamo_pairs" / "Ortiz__Macarena_Dance.bvh").skeleton
    hips, knees = ([target.index(f"mixamorig:{side}{name}") for side in ("Left", "Right")] for name in ("UpLeg", "Leg"))
    fastest = {}
    for feet in ("off", "follow", "lock"):
        place = places(onto(source, target, feet=feet))
        ways = place[:, knees] - place[:, hips]
        fastest[feet] = (np.linalg.norm(np.diff(ways, axis=0), axis=-1) / np.linalg.norm(ways[0], axis=-1)).max()
    assert max(fastest.values()) < 2.0 * fastest["off"] + 0.05
