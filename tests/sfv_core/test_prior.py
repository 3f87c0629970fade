"""Motion capture folders, and the pose prior learnt from them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from retarget import Motion, bvh, rotation
from retarget.kinematics import world_poses
from sfv_core.body.model import SMPL_NAMES, load_body, skeleton_of
from sfv_core.capture import _latent
from sfv_core.cli import main
from sfv_core.config import CaptureConfig, PriorConfig
from sfv_core.errors import Cancelled, SfvError
from sfv_core.pose.keypoints import Keypoints
from sfv_core.prior import mocap, vae
from sfv_core.prior.train import columns, errors, split, train
from sfv_core.progress import no_progress
from sfv_core.reconstruct import landmarks, latent
from sfv_core.reconstruct.camera import Camera
from sfv_core.reconstruct.pose_model import Track, matrices, six_from_matrices
from sfv_core.reconstruct.solve import reconstruct

QUICK = PriorConfig(epochs=4, minutes=60.0, dimensions=8, licence="made for this test")


def swaying(seed: int, frames: int = 90, fps: float = 30.0) -> Motion:
    """Let all joints of the mean body swing, in the same way for all seeds but at another time and width."""
    skeleton = skeleton_of(load_body().joints(np.zeros(10)))
    random = np.random.default_rng(0)
    phase, size = random.uniform(0, 6, (24, 3)), random.uniform(0, 0.4, (24, 3))
    turns = (0.8 + 0.1 * seed) * size * np.sin(np.arange(frames)[:, None, None] / fps * 3 + phase + seed)
    return Motion(skeleton, fps, np.tile([0.0, 0.0, 0.95], (frames, 1)), rotation.from_rotvec(turns))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of motion capture as folders are: nested, with other files and broken ones in it."""
    root = tmp_path_factory.mktemp("mocap")
    (root / "deep" / "er").mkdir(parents=True)
    for seed in range(4):
        swaying(seed).save(root / "deep" / f"sway_{seed}.npz")
    bvh.save(swaying(9, 180, 60.0), root / "deep" / "er" / "sway.BVH")
    (root / "notes.txt").write_text("no motion")
    (root / ".hidden.bvh").write_text("left alone")
    (root / "broken.bvh").write_text("HIERARCHY\nROOT")
    (root / "lonely.amc").write_text(":DEGREES\n1\nroot 0 0 0 0 0 0\n")
    np.savez(root / "pictures.npz", pictures=np.zeros(3))
    return root


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("prior") / "prior.npz"
    return out, train(folder, out, replace(QUICK, epochs=150), no_progress)


def test_a_folder_is_read_at_any_depth_and_what_cannot_be_used_is_named(folder: Path):
    found = mocap.read_folder(folder)
    assert found.names == ("deep/er/sway.BVH", *(f"deep/sway_{i}.npz" for i in range(4)))
    assert all(clip.fps == mocap.FPS and clip.skeleton.names == SMPL_NAMES for clip in found.clips)
    assert len(found.clips[0]) == 90
    assert [note.partition(":")[0] for note in found.skipped] == ["broken.bvh", "lonely.amc", "pictures.npz"]


def test_a_motion_on_the_body_itself_is_taken_over_unchanged(folder: Path):
    found = mocap.read_folder(folder)
    known = list(vae.JOINTS)
    for clip, seed, degrees in ((found.clips[1], 0, 0.01), (found.clips[0], 9, 0.5)):
        gap = rotation.angle(clip.rotations[:, known], swaying(seed).rotations[:, known])
        assert np.degrees(gap).max() < degrees


def test_mirroring_exchanges_the_sides_and_twice_changes_nothing():
    motion = swaying(3)
    mirrored = mocap.mirrored(motion)
    there, here = world_poses(mirrored)[0], world_poses(motion)[0]
    left, right = SMPL_NAMES.index("left_wrist"), SMPL_NAMES.index("right_wrist")
    assert np.allclose(there[:, left], here[:, right] * [-1, 1, 1], atol=5e-3)  # the body is not exactly symmetric
    assert np.allclose(rotation.angle(mocap.mirrored(mirrored).rotations, motion.rotations), 0, atol=1e-6)


def test_no_folder_and_a_folder_without_motion_are_one_clear_line(tmp_path: Path):
    with pytest.raises(SfvError, match="no folder"):
        mocap.read_folder(tmp_path / "nowhere")
    with pytest.raises(SfvError, match="no motion of a human body"):
        mocap.read_folder(tmp_path)
    (tmp_path / "x.bvh").write_text("no")
    with pytest.raises(SfvError, match=r"x\.bvh"):
        mocap.read_folder(tmp_path)


def test_a_dog_is_not_taken_for_a_human(shared_data: Path, tmp_path: Path):
    (tmp_path / "dog.bvh").write_bytes((shared_data / "clips" / "dog.bvh").read_bytes())
    with pytest.raises(SfvError, match=r"dog\.bvh"):
        mocap.read_folder(tmp_path)


def test_training_learns_poses_and_says_from_what(trained: tuple[Path, dict]):
    prior, about = vae.load(trained[0])
    assert about.licence == QUICK.licence and about.seed == 0
    assert len(about.held_out) == 1 and len(about.files) == 4 and not set(about.files) & set(about.held_out)
    assert about.error_deg == trained[1]["held_out_error_deg"] and len(trained[1]["skipped"]) == 3
    known = columns(swaying(1).rotations)
    mean_pose = rotation.from_rotvec(rotation.to_rotvec(swaying(1).rotations).mean(axis=0, keepdims=True))
    spread = rotation.angle(swaying(1).rotations, mean_pose)[:, list(vae.JOINTS)]
    assert errors(prior, known)[0] < 0.7 * np.degrees(spread.mean())


def test_every_code_is_a_pose(trained: tuple[Path, dict]):
    prior, _ = vae.load(trained[0])
    code = 3 * torch.randn(50, prior.dimensions, generator=torch.Generator().manual_seed(1))
    m = prior.decode(code)
    assert torch.allclose(m @ m.mT, torch.eye(3).expand_as(m), atol=1e-5)
    assert torch.allclose(torch.linalg.det(m), torch.ones(50, len(vae.JOINTS)), atol=1e-5)


def test_the_same_seed_gives_the_same_prior_and_another_seed_another(folder: Path, tmp_path: Path):
    weights = []
    for name, config in (("a", QUICK), ("b", QUICK), ("c", replace(QUICK, seed=1))):
        train(folder, tmp_path / f"{name}.npz", config, no_progress)
        weights.append(vae.load(tmp_path / f"{name}.npz")[0].decoder[0].weight)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_a_cancelled_training_goes_on_where_it_was(folder: Path, tmp_path: Path):
    def cancel(stage: str, done: float, total: float, **numbers: float) -> None:
        if numbers.get("epoch") == 2:
            raise Cancelled

    out = tmp_path / "prior.npz"
    with pytest.raises(Cancelled):
        train(folder, out, QUICK, cancel)
    assert [path.name for path in tmp_path.iterdir()] == ["prior.npz.checkpoint"]
    epochs = []
    train(folder, out, QUICK, lambda stage, done, total, **numbers: epochs.append(numbers.get("epoch", 0)))
    train(folder, tmp_path / "straight.npz", QUICK, no_progress)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prior.npz", "straight.npz"]
    assert [epoch for epoch in epochs if epoch] == [3, 4]
    a, b = (vae.load(path)[0].encoder[0].weight for path in (out, tmp_path / "straight.npz"))
    assert torch.equal(a, b)


def test_a_checkpoint_of_something_else_is_left_aside_and_rubbish_refused(folder: Path, tmp_path: Path):
    out = tmp_path / "prior.npz"
    (tmp_path / "prior.npz.checkpoint").write_bytes(b"rubbish")
    with pytest.raises(SfvError, match="not a checkpoint"):
        train(folder, out, QUICK, no_progress)
    torch.save({"fingerprint": "of another folder"}, tmp_path / "prior.npz.checkpoint")
    assert train(folder, out, QUICK, no_progress)["clips"] == 5


def test_one_clip_alone_is_judged_by_its_end(tmp_path: Path):
    swaying(0).save(tmp_path / "only.npz")
    found = mocap.read_folder(tmp_path)
    poses = split(found, frozenset({0}))
    assert len(poses.train) == 2 * 81 and len(poses.judge) == 9


@pytest.mark.parametrize("change", [
    lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"PK\3\4 rubbish"),
    lambda path: path.write_bytes(path.read_bytes()[:2000]),
    lambda path: np.savez(path, about=np.array("{}")), lambda path: np.savez(path, about=np.array("[1]")),
    lambda path: np.savez(path, about=np.array({"a": 1}, dtype=object)),
    lambda path: np.savez(path, **{**np.load(path), "weights/decoder.0.bias": np.zeros(3)}),
    lambda path: np.savez(path, **{**np.load(path), "weights/decoder.0.bias": np.full(384, np.nan)}),
    lambda path: path.unlink(),
])
def test_what_is_no_prior_is_refused_by_name(trained: tuple[Path, dict], tmp_path: Path, change):
    path = tmp_path / "prior.npz"
    path.write_bytes(trained[0].read_bytes())
    change(path)
    with pytest.raises(SfvError, match=r"prior\.npz"):
        vae.load(path)


def test_the_command_line_trains_and_reports(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    out = tmp_path / "new" / "prior.npz"
    assert main(["prior", "train", str(folder), "-o", str(out), "--epochs", "2", "--dimensions", "4", "--json"]) == 0
    report = json.loads(capfd.readouterr().out)
    assert report["held_out_error_deg"] > 0 and report["held_out_error_mm"] > 0 and report["files"] == [str(out)]
    assert main(["prior", "train", str(tmp_path / "no"), "-o", str(tmp_path / "x.npz")]) == 1
    assert not (tmp_path / "x.npz").exists()


def test_the_prior_that_comes_along_is_small_and_states_its_data_and_licence():
    prior, about = vae.load(latent.DEFAULT)
    assert latent.DEFAULT.stat().st_size < 2e6 and prior.dimensions == 32
    assert "CMU" in about.licence and "free for all uses" in about.licence and len(about.files) == 25


def test_the_latent_space_holds_ordinary_poses_and_leaves_the_root_alone(examples: Path):
    walk = Motion.load(examples / "walk.truth.npz")
    m = torch.tensor(rotation.to_matrix(walk.rotations), dtype=torch.float32)
    space = latent.LatentPoses()
    coordinates = space.encode(Track(six_from_matrices(m), torch.zeros(len(walk), 3)))
    made = matrices(space.decode(coordinates.six))
    assert coordinates.six.shape == (len(walk), 6 + 32)
    assert torch.allclose(made[:, 0], m[:, 0], atol=1e-5)
    assert torch.equal(made[:, SMPL_NAMES.index("left_hand")], torch.eye(3).expand(len(walk), 3, 3))
    cosine = ((made * m).sum((-1, -2)) - 1) / 2
    assert torch.rad2deg(torch.arccos(cosine[:, list(vae.JOINTS)].clamp(-1, 1))).mean() < 8.0


def test_a_fit_in_the_latent_space_finds_a_walk(examples: Path):
    motion = Motion.load(examples / "walk.truth.npz").slice(0, 60)
    camera = Camera.load(examples / "walk.camera.json")
    joints, turns = world_poses(motion)
    places = joints[:, landmarks.JOINTS] + rotation.rotate(turns[:, landmarks.JOINTS], landmarks.OFFSETS)
    seen = camera.to_camera(places)
    keypoints = Keypoints(landmarks.NAMES, camera.project(places), seen - seen[:, 6:8].mean(axis=1, keepdims=True),
                          np.ones(places.shape[:2]), np.arange(60) / motion.fps, np.ones(60, bool), camera.size)
    result = reconstruct(keypoints, skeleton_of(load_body().joint_template), no_progress, camera.focal,
                         latent=latent.LatentPoses())
    made = result.camera.to_camera(world_poses(result.motion)[0])
    gap = (made - made[:, :1]) - (camera.to_camera(joints) - camera.to_camera(joints)[:, :1])
    assert np.linalg.norm(gap, axis=-1).mean() < 0.05


def test_a_prior_without_the_latent_space_is_refused():
    with pytest.raises(SfvError, match="--space latent"):
        _latent(CaptureConfig(prior="prior.npz"))
    with pytest.raises(SfvError, match=r"no pose prior 'gone\.npz'"):
        _latent(CaptureConfig(space="latent", prior="gone.npz"))
