"""The lifter: laws of its axes, what it does to known motions, and its weights file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from retarget import rotation
from retarget.kinematics import forward, world_poses
from retarget.motion import Motion
from sfv_core.body.model import SMPL_NAMES, load_body, skeleton_of
from sfv_core.errors import SfvError
from sfv_core.lift import lift as module
from sfv_core.lift import network
from sfv_core.lift.features import LENGTH, WIDTH, features, length, looking_at, mirrored
from sfv_core.lift.lift import lift
from sfv_core.reconstruct import landmarks
from sfv_core.reconstruct.camera import Camera
from sfv_core.reconstruct.flat import lift_by_lengths
from sfv_core.reconstruct.landmarks import HIPS, MIRROR, Observations

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOCAL, CENTRE = 900.0, np.array([320.0, 240.0])


@pytest.fixture(scope="module")
def model() -> network.Lifter:
    """A network of random weights: laws hold whatever it has learned."""
    torch.manual_seed(0)
    return network.Lifter(32).eval()


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """Landmarks of a body that swings arms and legs 4 m away, facing the camera, (T, L, 3) m in camera axes."""
    skeleton = skeleton_of(load_body().joint_template)
    swing = np.sin(np.arange(90) / 30 * 2 * np.pi)
    local = np.tile(rotation.IDENTITY, (90, len(SMPL_NAMES), 1))
    for name, axis, size in (("left_hip", 0, 0.5), ("right_hip", 0, -0.5), ("left_shoulder", 1, 1.2),
                             ("right_shoulder", 1, -1.2), ("left_elbow", 2, -0.7), ("right_elbow", 2, 0.7)):
        turn = np.zeros((90, 3))
        turn[:, axis] = size * (swing if "hip" in name else 0.8 + 0.2 * swing)
        local[:, SMPL_NAMES.index(name)] = rotation.from_rotvec(turn)
    places, turns = forward(skeleton, np.array([[0.1, 4.0, 1.0]] * 90), local)
    marks = places[:, landmarks.JOINTS] + rotation.rotate(turns[:, landmarks.JOINTS], landmarks.OFFSETS)
    return np.stack([marks[..., 0], 1.0 - marks[..., 2], marks[..., 1]], axis=-1)


def _seen(truth: np.ndarray, fps: float = 30.0) -> Observations:
    xyz = truth - truth[:, HIPS].mean(axis=1, keepdims=True)
    frames = len(truth)
    return Observations(fps, truth[..., :2] / truth[..., 2:] * FOCAL + CENTRE, xyz,
                        np.ones((frames, len(landmarks.NAMES))), np.ones(frames, bool), np.full(frames, 380.0))


def _error(xyz: np.ndarray, truth: np.ndarray) -> float:
    return float(np.linalg.norm(xyz - (truth - truth[:, HIPS].mean(axis=1, keepdims=True)), axis=-1).mean())


def test_looking_at_turns_rays_onto_the_optical_axis():
    rays = np.random.default_rng(0).normal(0, 0.5, (50, 2))
    turns = looking_at(rays)
    ahead = np.einsum("tij,tj->ti", turns, np.concatenate([rays, np.ones((50, 1))], axis=1))
    assert np.allclose(ahead[:, :2], 0.0, atol=1e-12)
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-12)


def test_features_do_not_change_with_the_cameras_zoom_but_for_the_size(truth):
    seen = _seen(truth)
    rays = (seen.xy - CENTRE) / FOCAL
    rays = rays - rays[:, HIPS].mean(axis=1, keepdims=True)
    one, two = features(rays, None, seen.weight), features(1.1 * rays, None, seen.weight)
    assert one.values.shape == (len(truth), WIDTH)
    assert np.allclose(one.base, two.base, atol=0.02)
    assert np.allclose(two.values[:, -2] - one.values[:, -2], np.log(1.1), atol=0.02)


def test_mirroring_twice_changes_nothing(truth):
    assert np.array_equal(mirrored(mirrored(truth)), truth)


@pytest.mark.parametrize("flat", [False, True])
def test_lifting_a_mirror_image_mirrors_the_result(model, truth, flat):
    seen = _seen(truth)
    if flat:
        seen = replace(seen, xyz=None)
    other = replace(seen, xy=(mirrored(seen.xy - CENTRE)) + CENTRE, weight=seen.weight[:, MIRROR],
                    xyz=None if seen.xyz is None else mirrored(seen.xyz))
    (xyz, spread), (xyz_other, spread_other) = lift(seen, FOCAL, CENTRE, model), lift(other, FOCAL, CENTRE, model)
    assert np.allclose(mirrored(xyz_other), xyz, atol=1e-4)
    assert np.allclose(spread_other[:, MIRROR], spread, atol=1e-4)


def test_lifted_landmarks_are_centred_on_the_hips_with_a_positive_spread(model, truth):
    xyz, spread = lift(_seen(truth), FOCAL, CENTRE, model)
    assert xyz.shape == spread.shape == truth.shape
    assert np.allclose(xyz[:, HIPS].mean(axis=1), 0.0, atol=1e-9)
    assert np.all(spread > 0)


def test_the_videos_frame_rate_hardly_matters(model, truth):
    slow, _ = lift(_seen(truth), FOCAL, CENTRE, model)
    twice = np.repeat(truth, 2, axis=0)
    twice[1:-1:2] = (truth[:-1] + truth[1:]) / 2
    fast, _ = lift(_seen(twice, fps=60.0), FOCAL, CENTRE, model)
    assert np.abs(fast[::2] - slow).mean() < 2e-3


def test_a_long_video_in_pieces_gives_the_same_as_in_one(model, truth, monkeypatch):
    whole, _ = lift(_seen(truth), FOCAL, CENTRE, model)
    monkeypatch.setattr(module, "_FRAMES_AT_ONCE", 40)
    assert np.allclose(lift(_seen(truth), FOCAL, CENTRE, model)[0], whole, atol=1e-5)


def test_a_video_of_five_frames_is_lifted(model, truth):
    assert np.all(np.isfinite(lift(_seen(truth[:5]), FOCAL, CENTRE, model)[0]))


def test_the_length_of_the_mean_body_is_the_stated_one(truth):
    assert length(truth[0]) == pytest.approx(LENGTH, abs=0.01)


def test_the_programs_weights_are_small():
    assert network.WEIGHTS.stat().st_size < 10e6


@pytest.mark.parametrize("clip", ["walk", "spinkick", "cartwheel", "dance_a"])
def test_the_programs_lifter_makes_better_3d_of_2d_than_bone_lengths_do(clip):
    motion = Motion.load(EXAMPLES / f"{clip}.truth.npz")
    camera = Camera.load(EXAMPLES / f"{clip}.camera.json")
    places, turns = world_poses(motion)
    marks = places[:, landmarks.JOINTS] + rotation.rotate(turns[:, landmarks.JOINTS], landmarks.OFFSETS)
    unseen = camera.to_camera(marks)
    xy = camera.project(marks)
    flat = replace(_seen(unseen), xy=xy, xyz=None, size=landmarks.size_in_picture(xy))
    lifted, guessed = (how(flat, camera.focal, camera.centre)[0] for how in (lift, lift_by_lengths))
    assert _error(lifted, unseen) < _error(guessed, unseen)


def test_weights_survive_writing_and_reading(model, truth, tmp_path):
    network.save(tmp_path / "w.npz", model)
    again = network.load(tmp_path / "w.npz")
    assert np.allclose(lift(_seen(truth), FOCAL, CENTRE, again)[0], lift(_seen(truth), FOCAL, CENTRE, model)[0],
                       atol=5e-3)


@pytest.mark.parametrize("content", [b"", b"not weights", None])
def test_broken_weights_are_refused_by_name(tmp_path, content):
    path = tmp_path / "broken.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SfvError, match=r"broken\.npz"):
        network.load(path)


def test_weights_with_pickles_are_refused(tmp_path):
    path = tmp_path / "pickled.npz"
    np.savez(path, format=np.array({"a": 1}, dtype=object), allow_pickle=True)
    with pytest.raises(SfvError, match=r"pickled\.npz"):
        network.load(path)
