"""How the camera turns, on pictures whose turns are known because they were made by turning a still one's."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from retarget import rotation
from retarget.kinematics import world_poses
from retarget.motion import Motion
from sfv_core.background import CameraMotion, camera_motion
from sfv_core.body.model import load_body, skeleton_of
from sfv_core.errors import Cancelled
from sfv_core.pose.keypoints import Keypoints
from sfv_core.progress import no_progress
from sfv_core.reconstruct import landmarks
from sfv_core.reconstruct.camera import Camera
from sfv_core.reconstruct.landmarks import OFFSETS, observe, without_turns
from sfv_core.reconstruct.solve import reconstruct
from sfv_core.video import Video, open_video, writer

FOCAL, SIZE, FPS = 500.0, (320, 240), 30.0
CENTRE = np.array(SIZE) / 2


def turned(pan: np.ndarray, tilt: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Return R_frame_reference (T, 3, 3) for angles in degrees."""
    return rotation.to_matrix(rotation.from_rotvec(np.radians(np.stack([tilt, pan, roll], axis=-1))))


def seen_through(turns: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return where directions (..., n, 3) of the reference camera appear in each turned picture, px."""
    p = np.einsum("tij,...nj->...tni", turns, points) if points.ndim == 2 else np.einsum("tij,tnj->tni", turns, points)
    return p[..., :2] / p[..., 2:] * FOCAL + CENTRE


def film(path, turns: np.ndarray, texture: float = 60.0, walker: bool = False, noise: float = 0.0) -> Video:
    """Film a wide background through a turning camera; a walker is a moving striped block."""
    random = np.random.default_rng(0)
    wide = cv2.GaussianBlur(random.normal(0, 1, (800, 1000)), (0, 0), 2.5)
    wide = (128 + texture * wide / wide.std()).clip(0, 255).astype(np.uint8)
    to_wide = np.array([[1, 0, 340.0], [0, 1, 280.0], [0, 0, 1]])
    camera = np.array([[FOCAL, 0, CENTRE[0]], [0, FOCAL, CENTRE[1]], [0, 0, 1]])
    with writer(path, *SIZE, FPS) as put:
        for number, turn in enumerate(turns):
            to_picture = camera @ turn @ np.linalg.inv(camera) @ np.linalg.inv(to_wide)
            picture = cv2.warpPerspective(wide, to_picture, SIZE)
            picture = (picture + noise * random.normal(size=picture.shape)).clip(0, 255).astype(np.uint8)
            if walker:
                left = 60 + 2 * number
                picture[60:200, left:left + 50] = (np.arange(140)[:, None] // 6 % 2 * 200 + number).astype(np.uint8)
            put(number / FPS, np.repeat(picture[..., None], 3, axis=-1))
    return open_video(path)


def keypoints(count: int, block: bool = False) -> Keypoints:
    """A person around the walker's block, or in a corner where nothing is."""
    corners = np.array([(0, 0), (50, 0), (0, 140), (50, 140)], float)
    place = np.stack([60 + 2 * np.arange(count), np.full(count, 60)], axis=1) if block else np.zeros((count, 2))
    xy = corners[None] * (1.0 if block else 0.1) + place[:, None]
    return Keypoints(("a", "b", "c", "d"), xy, None, np.ones((count, 4)), np.arange(count) / FPS,
                     np.ones(count, bool), SIZE)


def error_deg(motion: CameraMotion, truth: np.ndarray) -> np.ndarray:
    """Return the angles between told and true turns in degrees, (T,)."""
    return np.degrees(rotation.angle(rotation.from_matrix(motion.turns), rotation.from_matrix(truth @ truth[0].T)))


def test_a_still_camera_is_exactly_still_in_spite_of_noise_and_a_walker(tmp_path):
    turns = np.tile(np.eye(3), (40, 1, 1))
    video = film(tmp_path / "still.mp4", turns, walker=True, noise=6.0)
    motion = camera_motion(video, keypoints(40, block=True), FOCAL, no_progress)
    assert not motion.moving and motion.trusted
    assert np.array_equal(motion.turns, turns)
    assert motion.range_deg.tolist() == [0, 0, 0]


def test_a_pan_is_followed_beyond_the_first_picture_and_back(tmp_path):
    zero = np.zeros(60)
    turns = turned(16 * np.sin(np.linspace(0, 2 * np.pi, 60)), zero, zero)
    motion = camera_motion(film(tmp_path / "pan.mp4", turns), keypoints(60), FOCAL, no_progress)
    assert motion.moving and motion.trusted
    assert error_deg(motion, turns).max() < 0.3 and error_deg(motion, turns)[-1] < 0.1
    assert motion.range_deg[0] == pytest.approx(32, abs=0.5) and motion.range_deg[1:].max() < 0.5


def test_a_shaking_hand_is_followed_behind_a_walker(tmp_path):
    random = np.random.default_rng(1)
    angles = np.cumsum(random.normal(0, 0.15, (3, 40)), axis=1) + random.normal(0, 0.1, (3, 40))
    turns = turned(*angles)
    video = film(tmp_path / "shake.mp4", turns, walker=True, noise=4.0)
    motion = camera_motion(video, keypoints(40, block=True), FOCAL, no_progress)
    assert motion.moving and motion.trusted
    assert error_deg(motion, turns).mean() < 0.06
    json.dumps(motion.report())


def test_a_blank_background_is_not_believed(tmp_path):
    zero = np.zeros(20)
    turns = turned(np.linspace(0, 5, 20), zero, zero)
    motion = camera_motion(film(tmp_path / "blank.mp4", turns, texture=0.0), keypoints(20), FOCAL, no_progress)
    assert not motion.trusted and "too little" in motion.reason
    assert np.array_equal(motion.turns, np.tile(np.eye(3), (20, 1, 1)))


def test_a_cut_to_another_place_is_not_believed(tmp_path):
    zero = np.zeros(30)
    turns = turned(np.where(np.arange(30) < 15, 0.02 * np.arange(30), 30.0 + 0.3 * np.arange(30)), zero, zero)
    motion = camera_motion(film(tmp_path / "cut.mp4", turns), keypoints(30), FOCAL, no_progress)
    assert motion.moving and not motion.trusted


def test_a_camera_that_travels_between_near_and_far_things_is_not_believed(tmp_path):
    random = np.random.default_rng(0)
    strips = [cv2.GaussianBlur(random.normal(0, 1, (24, 1200)), (0, 0), 2.0) for _ in range(10)]
    with writer(tmp_path / "travel.mp4", *SIZE, FPS) as put:
        for number in range(30):
            rows = [strip[:, 20 + round(number * speed):][:, :SIZE[0]] for strip, speed in
                    zip(strips, np.linspace(0, 9, 10), strict=True)]
            picture = (128 + 300 * np.concatenate(rows)).clip(0, 255).astype(np.uint8)
            put(number / FPS, np.repeat(picture[..., None], 3, axis=-1))
    motion = camera_motion(open_video(tmp_path / "travel.mp4"), keypoints(30), FOCAL, no_progress)
    assert motion.moving and not motion.trusted


def test_one_picture_and_a_cancellation(tmp_path):
    video = film(tmp_path / "one.mp4", np.tile(np.eye(3), (2, 1, 1)))
    one = replace(keypoints(1), times=np.zeros(1))
    assert camera_motion(video, one, FOCAL, no_progress).turns.shape == (1, 3, 3)

    def cancel(stage: str, done: float, total: float, **numbers: float) -> None:
        raise Cancelled("The capture was cancelled.")

    with pytest.raises(Cancelled):
        camera_motion(video, keypoints(2), FOCAL, cancel)


def test_turns_survive_the_camera_file_and_project_as_they_should(tmp_path):
    turns = turned(np.linspace(0, 20, 5), np.linspace(0, -4, 5), np.linspace(1, 2, 5))
    camera = Camera(FOCAL, CENTRE, SIZE, rotation.IDENTITY, np.zeros(3), turns)
    camera.save(tmp_path / "camera.json")
    back = Camera.load(tmp_path / "camera.json")
    assert back.turns == pytest.approx(turns, abs=1e-6)
    points = np.array([[0.1, 0.2, 4.0], [-0.3, 0.1, 5.0]])
    assert camera.project(np.tile(points, (5, 1, 1)), turns) == pytest.approx(seen_through(turns, points))
    between = back.turns_at(np.array([0.0, 2.5]))
    assert between is not None and between[0] == pytest.approx(turns[0], abs=1e-6)
    assert replace(camera, turns=None).turns_at(np.zeros(2)) is None


def test_undoing_the_turns_gives_what_a_still_camera_sees(examples):
    truth = Motion.load(examples / "walk.truth.npz")
    camera = Camera.load(examples / "walk.camera.json")
    places = landmark_places(truth)
    turns = turned(np.linspace(0, 8, len(truth)), np.zeros(len(truth)), np.linspace(0, 3, len(truth)))
    filmed = walk_through(camera, places, turns)
    observations, _ = observe(filmed, turns)
    undone = without_turns(observations, camera.focal, camera.centre)
    assert undone.still_xy == pytest.approx(camera.project(places), abs=1e-3)


def landmark_places(motion: Motion) -> np.ndarray:
    """Return the landmarks' places in the world, (T, L, 3) m."""
    joints, turns = world_poses(motion)
    return joints[:, landmarks.JOINTS] + rotation.rotate(turns[:, landmarks.JOINTS], OFFSETS)


def walk_through(camera: Camera, places: np.ndarray, turns: np.ndarray) -> Keypoints:
    """Return perfect keypoints of a person seen through a turning camera."""
    seen = camera.to_camera(places, turns)
    hips = [landmarks.NAMES.index("left_hip"), landmarks.NAMES.index("right_hip")]
    return Keypoints(landmarks.NAMES, camera.project(places, turns), seen - seen[:, hips].mean(axis=1, keepdims=True),
                     np.ones(places.shape[:2]), np.arange(len(places)) / 30, np.ones(len(places), bool), camera.size)


def test_knowing_the_turns_keeps_the_way_true(examples):
    truth = Motion.load(examples / "walk.truth.npz").slice(0, 50)
    camera = Camera.load(examples / "walk.camera.json")
    turns = turned(6 * np.sin(np.linspace(0, np.pi, 50)), np.zeros(50), np.zeros(50))
    filmed = walk_through(camera, landmark_places(truth), turns)
    skeleton = skeleton_of(load_body(None).joint_template)
    exact = camera.to_camera(truth.root_pos)[:, 0]
    errors = []
    for known in (None, turns):
        result = reconstruct(filmed, skeleton, no_progress, camera.focal, 80, turns=known)
        sideways = result.camera.to_camera(result.motion.root_pos)[:, 0]
        errors.append(float(np.abs((sideways - sideways[0]) - (exact - exact[0])).max()))
    assert errors[0] > 0.3 and errors[1] < 0.06, "m off the true way to the side, without and with the turns"
