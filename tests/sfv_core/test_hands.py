"""Fingers, wrists and head: found, fitted, trusted and carried on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from retarget import mapping, rotation
from retarget.kinematics import world_poses
from retarget.motion import Motion
from retarget.roles import find_roles
from retarget.solve import retarget
from sfv_core.body.model import SMPL_NAMES
from sfv_core.capture import capture
from sfv_core.character.build import character_for
from sfv_core.character.fit import fit
from sfv_core.config import CaptureConfig
from sfv_core.pose import face, hands
from sfv_core.pose.closeup import Closeup
from sfv_core.pose.keypoints import Keypoints
from sfv_core.pose.mediapipe import NAMES
from sfv_core.progress import no_progress
from sfv_core.reconstruct import hand_fit, hand_model, head
from sfv_core.reconstruct.camera import Camera
from sfv_core.reconstruct.fingers import hand_length, with_fingers, without_fingers
from sfv_core.reconstruct.hand_fit import FittedHands, fit_hands, spans
from sfv_core.reconstruct.hand_model import HandShape, joint_rotations, landmarks
from tests.retarget.humans import MIXAMO, human
from tests.sfv_core.people import squatting

FOCAL, CENTRE, LENGTH = 1500.0, np.array([960.0, 540.0]), 0.19
IDENTITY = rotation.IDENTITY


def grasping(frames: int = 30) -> np.ndarray:
    """Return the angles of a hand that opens and closes, thumb and all, (T, 21)."""
    t = np.linspace(0, 2 * np.pi, frames)[:, None]
    low, high = hand_model.LIMITS.T
    phase = np.linspace(0, 1.5, 21)
    return 0.5 * (low + high) + 0.3 * (high - low) * np.sin(t + phase)


def seen(angles: np.ndarray, q_camera_palm: np.ndarray, side: str, noise: float = 0.0) -> Closeup:
    """Project a hand in the middle of the picture 1.5 m away. q_camera_palm: (T, 4), noise: m."""
    with torch.no_grad():
        points = landmarks(torch.tensor(angles)[None], doubled(HandShape.mean(1)), LENGTH)[0].numpy()
    if side == "right":
        points = points * [-1, 1, 1]
    points = rotation.rotate(q_camera_palm[:, None], points)
    points = points + noise * np.random.default_rng(0).normal(size=points.shape)
    deep = points + [0, 0, 1.5]
    xy = deep[..., :2] / deep[..., 2:] * FOCAL + CENTRE
    return Closeup(np.arange(len(angles)) / 30, xy, points, np.ones(len(angles)))


def doubled(shape: HandShape) -> HandShape:
    return HandShape(shape.log_scale.double(), shape.log_bones.double(), shape.shifts.double())


def turning(frames: int = 30) -> np.ndarray:
    """Return a palm that turns before the camera, (T, 4)."""
    upright = rotation.from_euler("XY", np.tile([-1.2, 0.3], (frames, 1)))
    return rotation.multiply(rotation.from_rotvec(np.outer(np.linspace(0, 0.8, frames), [0.3, 1.0, 0.2])), upright)


def nobody(frames: int = 30) -> Closeup:
    return Closeup(np.arange(frames) / 30, np.zeros((frames, 21, 2)), np.zeros((frames, 21, 3)), np.zeros(frames))


def keypoints(metre: float = 600.0, frames: int = 8) -> Keypoints:
    """Return someone standing still who is `metre` px per m large, arms hanging."""
    xy = np.full((frames, len(NAMES), 2), 500.0)
    for side, sign in (("left", 1), ("right", -1)):
        for name, x, y in (("shoulder", 0.2, -0.6), ("elbow", 0.25, -0.3), ("wrist", 0.3, -0.05),
                           ("index", 0.3, 0.04), ("pinky", 0.33, 0.03), ("eye", 0.03, -0.9)):
            xy[:, NAMES.index(f"{side}_{name}")] = 1000.0 + metre * np.array([sign * x, y])
    for name, sign in (("mouth_left", 1), ("mouth_right", -1)):
        xy[:, NAMES.index(name)] = 1000.0 + metre * np.array([0.02 * sign, -0.83])
    return Keypoints(NAMES, xy, None, np.ones((frames, len(NAMES))), np.arange(frames) / 30,
                     np.ones(frames, bool), (2000, 2000))


@pytest.mark.parametrize("number, side", list(enumerate(hands.SIDES)))
def test_known_finger_poses_are_recovered_within_a_few_degrees(number, side):
    angles, palm = grasping(), turning()
    pair = [nobody(), nobody()]
    pair[number] = seen(angles, palm, side, noise=0.002)
    fitted = fit_hands((pair[0], pair[1]), 30.0, FOCAL, CENTRE, LENGTH)
    assert np.all(fitted.trust[number] == 1) and np.all(fitted.trust[1 - number] == 0)
    error = np.degrees(rotation.angle(joint_rotations(fitted.angles[number]), joint_rotations(angles)))
    assert np.median(error) < 6 and error.mean() < 9
    assert np.degrees(rotation.angle(fitted.palm[number], palm)).mean() < 6
    np.testing.assert_allclose(fitted.angles[1 - number], np.tile(hand_model.RELAXED, (30, 1)))


def test_a_long_video_is_fitted_in_parts_without_a_jump(monkeypatch):
    hand = seen(grasping(), turning(), "left", noise=0.001)
    whole = fit_hands((hand, nobody()), 30.0, FOCAL, CENTRE, LENGTH)
    monkeypatch.setattr(hand_fit, "_PART", 15)
    parts = fit_hands((hand, nobody()), 30.0, FOCAL, CENTRE, LENGTH)
    jump = np.abs(parts.angles[0, 15] - parts.angles[0, 14])
    assert np.degrees(jump - np.abs(whole.angles[0, 15] - whole.angles[0, 14])).max() < 5


def test_a_hand_of_another_size_and_shape_gives_the_same_angles():
    hand = seen(grasping(), turning(), "left")
    near = fit_hands((hand, nobody()), 30.0, FOCAL, CENTRE, LENGTH)
    large = fit_hands((replace(hand, xyz=1.2 * hand.xyz), nobody()), 30.0, FOCAL, CENTRE, LENGTH)
    error = np.degrees(rotation.angle(joint_rotations(near.angles[0]), joint_rotations(large.angles[0])))
    assert error.mean() < 4


def test_landmarks_that_are_no_hand_are_not_trusted():
    random = np.random.default_rng(1)
    rubbish = Closeup(np.arange(30) / 30, 60 * random.normal(size=(30, 21, 2)) + CENTRE,
                      0.05 * random.normal(size=(30, 21, 3)), np.ones(30))
    assert np.all(fit_hands((rubbish, nobody()), 30.0, FOCAL, CENTRE, LENGTH).trust == 0)


def test_a_hand_folded_back_onto_its_forearm_is_not_trusted():
    palm = turning()
    hand = seen(grasping(), palm, "left")
    forearms = np.stack([-rotation.rotate(palm, np.eye(3)[0]), np.tile(np.eye(3)[0], (30, 1))])
    assert np.all(fit_hands((hand, nobody()), 30.0, FOCAL, CENTRE, LENGTH, forearms).trust == 0)
    assert np.all(fit_hands((hand, nobody()), 30.0, FOCAL, CENTRE, LENGTH, -forearms).trust[0] == 1)


def test_trust_bridges_gaps_drops_flickers_and_fades_at_its_ends():
    score = np.zeros(90)
    score[20:60], score[38:42], score[75:78] = 0.9, 0.0, 0.9
    trust = spans(score, 30.0)
    assert np.all(trust[:20] == 0) and np.all(trust[60:] == 0) and np.all(trust[30:50] == 1)
    assert np.all(np.diff(trust[19:30]) >= 0) and trust[20] < 0.3
    assert np.all(spans(np.full(40, 0.4), 30.0) == 0)


def test_fingers_come_after_the_24_joints_relaxed_and_marked_where_no_hand_was_seen():
    motion = squatting(0.5)
    result = with_fingers(motion, None, IDENTITY)
    assert result.skeleton.names[:24] == motion.skeleton.names and len(result.skeleton) == 54
    assert result.confidence is not None and np.all(result.confidence[:, 24:] == 0)
    np.testing.assert_allclose(result.rotations[:, :24], motion.rotations, atol=1e-12)
    back = replace(result, skeleton=replace(result.skeleton, names=(*SMPL_NAMES, *result.skeleton.names[24:])))
    assert without_fingers(back).skeleton.names == SMPL_NAMES
    assert without_fingers(motion) is motion


def test_finger_joints_lie_where_the_fitted_hand_has_them():
    angles = np.stack([grasping(16), grasping(16)[::-1]])
    motion = squatting(0.5)
    fitted = FittedHands(angles, np.tile(IDENTITY, (2, 16, 1)), np.zeros((2, 16)), np.zeros((2, 16)))
    result = with_fingers(motion, fitted, IDENTITY)
    places, world = world_poses(result)
    with torch.no_grad():
        model = landmarks(torch.tensor(angles), doubled(HandShape.mean(2)), hand_length(motion.skeleton)).numpy()
    for number, side in enumerate(hands.SIDES):
        wrist = result.skeleton.index(f"{side}_wrist")
        own = rotation.rotate(rotation.inverse(world[:, wrist])[:, None], places - places[:, wrist, None])
        for name in hand_model.JOINTS:
            expected = model[number, :, hands.LANDMARKS.index(name)] * [1 - 2 * number, 1, 1]
            np.testing.assert_allclose(own[:, result.skeleton.index(f"{side}_{name}")], expected, atol=1e-6)


def test_trusted_wrists_turn_to_the_palm_and_do_not_move():
    motion = squatting(0.5)
    _, world = world_poses(motion)
    wrist = motion.skeleton.index("left_wrist")
    palm = np.tile(IDENTITY, (2, len(motion), 1))
    palm[0] = rotation.multiply(world[:, wrist], rotation.from_rotvec(np.array([0.9, 0.2, -0.3])))
    trust = np.stack([np.ones(len(motion)), np.zeros(len(motion))])
    result = with_fingers(motion, FittedHands(np.tile(hand_model.RELAXED, (2, len(motion), 1)), palm, trust, trust),
                          IDENTITY)
    places, turned = world_poses(result)
    assert np.all(rotation.angle(turned[:, wrist], palm[0]) < 1e-6)
    np.testing.assert_allclose(places[:, wrist], world_poses(motion)[0][:, wrist], atol=1e-9)
    np.testing.assert_allclose(result.confidence[:, result.skeleton.index("left_thumb2")], 1.0)


def test_physics_takes_a_motion_with_fingers_as_the_one_without():
    motion = squatting(0.5)
    character = character_for(motion.skeleton)
    full = with_fingers(motion, None, IDENTITY)
    assert character_for(full.skeleton).skeleton.names == character.skeleton.names
    np.testing.assert_allclose(fit(full, character).rotations, fit(motion, character).rotations, atol=1e-9)


def test_fingers_drive_the_fingers_of_a_rig():
    full = with_fingers(squatting(0.5), FittedHands(np.stack([grasping(16)] * 2), np.tile(IDENTITY, (2, 16, 1)),
                                                    np.zeros((2, 16)), np.zeros((2, 16))), IDENTITY)
    roles = find_roles(full.skeleton).joints
    assert full.skeleton.names[roles["LeftLittle3"]] == "left_pinky3"
    joints = {}
    for finger, y in (("Thumb", -0.04), ("Index", -0.02), ("Middle", 0.0), ("Ring", 0.02), ("Pinky", 0.04)):
        for i in (1, 2, 3):
            above = "LeftHand" if i == 1 else f"LeftHand{finger}{i - 1}"
            joints[f"LeftHand{finger}{i}"] = (above, 0.8 + 0.03 * i, y, 1.5)
    rig = human({**MIXAMO, **joints})
    bone_map = mapping.guess(full.skeleton, rig)
    assert {pair.target for pair in bone_map.pairs} >= set(joints)
    result = retarget(full, rig, bone_map)
    bend = rotation.angle(result.rotations, rig.rest_rotations)
    assert np.all(bend[:, rig.index("RightHandMiddle2")].max(axis=0) > 0.3)


def test_fingers_that_rest_curled_are_not_curled_twice():
    curled = {"LeftHandIndex1": ("LeftHand", 0.83, -0.02, 1.5), "LeftHandIndex2": ("LeftHandIndex1", 0.85, -0.02, 1.48),
              "LeftHandIndex3": ("LeftHandIndex2", 0.85, -0.02, 1.45)}
    rig, full = human({**MIXAMO, **curled}), with_fingers(squatting(0.5), None, IDENTITY)
    result = retarget(full, rig, mapping.guess(full.skeleton, rig))
    ours, theirs = (world_poses(motion)[0] for motion in (full, result))
    for i in (1, 2):
        ways = [places[:, skeleton.index(end)] - places[:, skeleton.index(start)] for places, skeleton, start, end in
                ((ours, full.skeleton, f"left_index{i}", f"left_index{i + 1}"),
                 (theirs, rig, f"LeftHandIndex{i}", f"LeftHandIndex{i + 1}"))]
        cosine = np.sum(ways[0] * ways[1], -1) / np.linalg.norm(ways[0], axis=-1) / np.linalg.norm(ways[1], axis=-1)
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 5


def test_small_hands_and_faces_are_not_looked_at():
    small, large = keypoints(250.0), keypoints(600.0)
    for person, there in ((small, False), (large, True)):
        size = np.full(8, 1.7 * (250.0 if person is small else 600.0))
        assert (hands.hand_part(person, size, "left") is not None) == there
        assert (face.face_part(person, size) is not None) == there


def test_hands_outside_the_picture_or_unseen_are_not_looked_at():
    person, size = keypoints(), np.full(8, 1.7 * 600.0)
    wrist = NAMES.index("left_wrist")
    xy, confidence = person.xy.copy(), person.confidence.copy()
    xy[:, wrist] = -50.0
    assert hands.hand_part(replace(person, xy=xy), size, "left") is None
    confidence[:, wrist] = 0.1
    assert hands.hand_part(replace(person, confidence=confidence), size, "left") is None
    flat = Keypoints(("left_hip",), xy[:, :1], None, confidence[:, :1], person.times, person.detected, person.size)
    assert hands.hand_part(flat, size, "left") is None and face.face_part(flat, size) is None


def test_a_hand_once_large_enough_stays_so_until_it_is_clearly_smaller():
    length = np.array([30.0, 37.0, 30.0, 29.0, 27.0, 30.0])
    assert hands.large_enough(length, 36.0, 28.0).tolist() == [False, True, True, True, False, False]


def test_regions_turn_the_fingers_up():
    hand = seen(grasping(1), turning(1), "left").xy[0]
    region = hands.around(hand)
    own = np.linalg.solve(region.matrix[:, :2], (hand - region.matrix[:, 2]).T).T
    assert own[9, 1] < own[0, 1] and abs(own[9, 0] - own[0, 0]) < 0.1
    assert np.all((own > -0.1) & (own < 1.1))


def faces(turns: np.ndarray) -> np.ndarray:
    """Return a made-up symmetric face's landmarks in camera axes, (T, P, 3)."""
    random = np.random.default_rng(3)
    left = np.abs(random.normal(size=(len(face.PAIRS), 3))) * [4, -2, 1] + [1, 0, 0]
    sides = np.stack([left * [-1, 1, 1], left], axis=1).reshape(-1, 3)
    middle = np.stack([np.zeros(len(face.MIDDLE)), -2 - random.random(len(face.MIDDLE)),
                       np.linspace(7, -7, len(face.MIDDLE))], axis=1)
    for landmark, z in ((10, 8), (152, -8)):
        middle[face.MIDDLE.index(landmark)] = 0, -2, z
    return 20 * rotation.rotate(turns[:, None], np.concatenate([sides, middle]))


def test_the_head_is_found_from_its_face_and_carried_by_neck_and_head():
    motion = squatting(0.5)
    frames = len(motion)
    upright = rotation.from_rotvec(np.array([np.pi / 2, 0.0, 0.0]))
    turns = rotation.multiply(rotation.from_rotvec(np.outer(np.linspace(-0.6, 0.6, frames), [0.2, 1.0, 0.1])), upright)
    xyz = faces(turns)
    seen_face = Closeup(np.arange(frames) / 30, xyz[..., :2] + CENTRE, xyz, np.ones(frames))
    fitted = head.fit_head(seen_face, 30.0, 1e6, CENTRE, turns)
    assert np.all(fitted.trust == 1)
    assert np.degrees(rotation.angle(fitted.q_camera_head, turns)).max() < 3
    q_world_camera = rotation.inverse(upright)
    result = head.turn_head(motion, fitted, q_world_camera)
    _, world = world_poses(result)
    top, neck = motion.skeleton.index("head"), motion.skeleton.index("neck")
    assert np.degrees(rotation.angle(world[:, top], rotation.multiply(q_world_camera, turns))).max() < 3
    assert np.degrees(rotation.angle(result.rotations[:, neck], motion.rotations[:, neck])).max() > 5
    others = [j for j in range(24) if j not in (top, neck)]
    np.testing.assert_allclose(result.rotations[:, others], motion.rotations[:, others], atol=1e-9)


def test_a_face_that_contradicts_the_body_changes_nothing():
    motion = squatting(0.5)
    turns = np.tile(rotation.from_rotvec(np.array([np.pi / 2, 0.0, 0.0])), (len(motion), 1))
    xyz = faces(turns)
    seen_face = Closeup(np.arange(len(motion)) / 30, xyz[..., :2] + CENTRE, xyz, np.ones(len(motion)))
    behind = rotation.multiply(turns, rotation.from_rotvec(np.array([0.0, 0.0, np.pi])))
    fitted = head.fit_head(seen_face, 30.0, 1e6, CENTRE, behind)
    assert np.all(fitted.trust == 0)
    result = head.turn_head(motion, fitted, IDENTITY)
    np.testing.assert_allclose(rotation.angle(result.rotations, motion.rotations), 0, atol=1e-7)


@pytest.mark.slow
def test_a_close_look_at_the_face_takes_a_third_off_the_error_of_a_turning_head(tmp_path, examples):
    truth = Motion.load(examples / "head.truth.npz")
    looking = Camera.load(examples / "head.camera.json").rotation
    errors = []
    for close in (False, True):
        report = capture(examples / "head.mp4", tmp_path / "out", CaptureConfig(hands=close), no_progress)
        motion, camera = Motion.load(tmp_path / "out/motion.npz"), Camera.load(tmp_path / "out/camera.json")
        exact = truth.at(report["motion"]["start_s"] + np.arange(len(motion)) / 30, 30)
        pair = [rotation.multiply(rotation.inverse(q), world_poses(m)[1][:, m.skeleton.index("head")])
                for m, q in ((motion, camera.rotation), (exact, looking))]
        errors.append(np.degrees(rotation.angle(*pair)).mean())
        assert len(motion.skeleton) == (54 if close else 24)
    assert errors[1] < 0.67 * errors[0] and errors[1] < 11
    assert report["head"]["share"] > 0.9 and report["hands"] == {"left": 0.0, "right": 0.0}


@pytest.mark.slow
def test_in_a_real_video_the_hand_in_front_is_seen_and_the_hidden_one_relaxed(tmp_path, shared_data):
    report = capture(shared_data / "videos/moonwalk.mp4", tmp_path / "out", CaptureConfig(), no_progress)
    motion = Motion.load(tmp_path / "out/motion.npz")
    assert report["hands"]["left"] > 0.7 and report["hands"]["right"] < 0.5
    assert motion.confidence is not None
    unseen = motion.confidence[:, motion.skeleton.index("right_middle2")] == 0
    assert unseen.mean() > 0.4
    relaxed = hand_model.mirrored(joint_rotations(hand_model.RELAXED)[hand_model.JOINTS.index("middle2")])
    bent = motion.rotations[unseen, motion.skeleton.index("right_middle2")]
    assert rotation.angle(bent, relaxed).max() < 1e-6
