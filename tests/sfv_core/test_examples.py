"""The clips that the project rendered itself agree with the truth beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from retarget import kinematics, rotation
from retarget.motion import Motion
from sfv_core.bake import blender_command
from sfv_core.body.model import SMPL_NAMES, load_body, pose_vertices, skeleton_of
from sfv_core.errors import SfvError
from sfv_core.reconstruct.camera import Camera

ROOT = Path(__file__).resolve().parents[2]
CLIPS = ("walk", "spinkick", "backflip", "cartwheel", "dance_a")

each_clip = pytest.mark.parametrize("clip", CLIPS)


@pytest.fixture(scope="module")
def stage_clip() -> ModuleType:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import stage_clip
    finally:
        sys.path.remove(str(ROOT / "tools"))
    return stage_clip


@lru_cache(maxsize=1)
def _pictures(video: Path) -> np.ndarray:
    """Return all frames, shape (T, H, W, 3) uint8."""
    av = pytest.importorskip("av")
    with av.open(str(video)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def _camera(examples: Path, clip: str) -> dict:
    return json.loads((examples / f"{clip}.camera.json").read_text(encoding="utf-8"))


def _project(camera: dict, points: np.ndarray) -> np.ndarray:
    """Return px of world points (..., 3) as examples/README.md describes it."""
    seen = (points - np.array(camera["position"])) @ np.array(camera["rotation"]).T
    return camera["focal_px"] * seen[..., :2] / seen[..., 2:] + np.array(camera["centre_px"])


def _changed(pictures: np.ndarray) -> np.ndarray:
    """Mark what differs from the empty scene, whose rows have one colour each: the person and the shadow."""
    rows = np.median(pictures[::8, :, ::4], axis=(0, 2)).astype(np.int16)[None, :, None]
    return np.abs(pictures - rows).max(axis=-1) > 20


@each_clip
def test_the_camera_is_a_rotation_and_stands_above_ground(examples: Path, clip: str) -> None:
    camera = _camera(examples, clip)
    turn = np.array(camera["rotation"])
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    assert camera["position"][2] == pytest.approx(1.3)


@each_clip
def test_video_and_truth_have_the_same_frames(examples: Path, clip: str) -> None:
    av = pytest.importorskip("av")
    pictures, truth = _pictures(examples / f"{clip}.mp4"), Motion.load(examples / f"{clip}.truth.npz")
    with av.open(str(examples / f"{clip}.mp4")) as container:
        assert float(container.streams.video[0].average_rate) == truth.fps
    assert len(pictures) == len(truth)
    assert pictures.shape[1:3] == Camera.load(examples / f"{clip}.camera.json").size[::-1]
    assert truth.skeleton.names == SMPL_NAMES
    np.testing.assert_allclose(truth.skeleton.offsets, skeleton_of(load_body().joint_template).offsets, atol=1e-6)


@each_clip
def test_projected_joints_fall_on_the_person(examples: Path, clip: str) -> None:
    pictures = _pictures(examples / f"{clip}.mp4")
    joints, _ = kinematics.world_poses(Motion.load(examples / f"{clip}.truth.npz"))
    px = _project(_camera(examples, clip), joints).astype(int)
    person = maximum_filter(_changed(pictures), size=(1, 7, 7))
    frame = np.arange(len(pictures))[:, None]
    assert person[frame, px[..., 1], px[..., 0]].mean() > 0.97
    assert person.mean() < 0.15


@each_clip
def test_the_projected_skin_fits_the_picture_best_where_it_is(examples: Path, clip: str) -> None:
    pytest.importorskip("smplx")
    body, truth = load_body(), Motion.load(examples / f"{clip}.truth.npz")
    px = _project(_camera(examples, clip), pose_vertices(body, np.zeros(10), truth)).astype(int)
    assert px.min() > 0 and px.max() < 480
    person = _changed(_pictures(examples / f"{clip}.mp4"))
    frame = np.arange(len(px))[:, None]

    def share_on_person(right: int, down: int) -> float:
        return float(person[frame, np.clip(px[..., 1] + down, 0, 479), np.clip(px[..., 0] + right, 0, 479)].mean())

    here = share_on_person(0, 0)
    assert here > 0.8
    assert all(share_on_person(*shift) < here - 0.01 for shift in ((-4, 0), (4, 0), (0, -4), (0, 4)))


@each_clip
def test_soles_stand_on_the_ground_and_never_below(examples: Path, clip: str) -> None:
    pytest.importorskip("smplx")
    low = pose_vertices(load_body(), np.zeros(10), Motion.load(examples / f"{clip}.truth.npz"))[..., 2].min(axis=1)
    assert low.min() > -1e-4
    assert np.percentile(low, 25) < 0.005


@each_clip
def test_the_truth_is_the_known_motion_with_arms_and_legs_pointing_the_same_way(
        examples: Path, clip: str, stage_clip: ModuleType) -> None:
    pytest.importorskip("pybullet_data")
    from sfv_core.character import deepmimic

    source = stage_clip.repeat(deepmimic.load_clip(clip, 30.0), 2 if clip in ("walk", "dance_a") else 1)
    truth = Motion.load(examples / f"{clip}.truth.npz")
    for side in ("left", "right"):
        for bone in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
            one, other = (_direction(motion, *(f"{side}_{end}" for end in bone)) for motion in (source, truth))
            angle = np.degrees(np.arccos(np.clip(np.sum(one * other, axis=-1), -1, 1)))
            assert np.median(angle) < 8


def _direction(motion: Motion, start: str, end: str) -> np.ndarray:
    """Return unit vectors from joint to joint, shape (T, 3)."""
    joints, _ = kinematics.world_poses(motion)
    bone = joints[:, motion.skeleton.index(end)] - joints[:, motion.skeleton.index(start)]
    return bone / np.linalg.norm(bone, axis=-1, keepdims=True)


@each_clip
def test_left_is_left_of_where_the_body_faces(examples: Path, clip: str) -> None:
    joints, world = kinematics.world_poses(Motion.load(examples / f"{clip}.truth.npz"))
    across = joints[:, SMPL_NAMES.index("left_hip")] - joints[:, SMPL_NAMES.index("right_hip")]
    to_left = rotation.rotate(world[:, 0], np.array([1.0, 0.0, 0.0]))
    assert np.sum(across * to_left, axis=-1).min() > 0.1


@pytest.mark.slow
def test_a_clip_renders_anew_with_its_truth(tmp_path: Path) -> None:
    for package in ("pybullet_data", "smplx", "av"):
        pytest.importorskip(package)
    try:
        blender_command()
    except SfvError as error:
        pytest.skip(str(error))
    command = [sys.executable, str(ROOT / "tools" / "render_examples.py"), "dance_a", "-o", str(tmp_path),
               "--size", "96", "--samples", "1", "--seconds", "0.07"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"dance_a.{end}" for end in
                                                                ("camera.json", "mp4", "truth.npz")]
    pictures, truth = _pictures(tmp_path / "dance_a.mp4"), Motion.load(tmp_path / "dance_a.truth.npz")
    assert pictures.shape == (2, 96, 96, 3) and len(truth) == 2
    px = _project(_camera(tmp_path, "dance_a"), kinematics.world_poses(truth)[0][:, 0]).astype(int)
    assert _changed(pictures)[np.arange(2), px[:, 1], px[:, 0]].all()
