"""The reconstruction on projections of known motions: what goes in must come out."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from retarget import rotation
from retarget.kinematics import world_poses
from retarget.motion import Motion
from sfv_core.body.model import SMPL_NAMES, load_body, skeleton_of
from sfv_core.errors import Cancelled, SfvError
from sfv_core.pose.keypoints import Keypoints
from sfv_core.progress import no_progress
from sfv_core.reconstruct import landmarks
from sfv_core.reconstruct.camera import Camera
from sfv_core.reconstruct.chain import Chain, Plan
from sfv_core.reconstruct.contact import find_contacts, runs, spans
from sfv_core.reconstruct.fit import steadiness, windows
from sfv_core.reconstruct.initial import best_rotation, distances
from sfv_core.reconstruct.landmarks import observe, size_in_picture
from sfv_core.reconstruct.legs import bend_leg, tip_foot
from sfv_core.reconstruct.lock import Points, lock_feet
from sfv_core.reconstruct.pose_model import Posed, PoseModel, Shape, Track, six_from_matrices
from sfv_core.reconstruct.solve import Reconstruction, reconstruct

LIMBS = [SMPL_NAMES.index(f"{side}_{part}") for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
         for side in ("left", "right")]


@pytest.fixture(scope="module")
def skeleton():
    return skeleton_of(load_body().joint_template)


def exact_keypoints(motion: Motion, camera: Camera, noise: float = 0.0) -> Keypoints:
    """Landmarks as a perfect estimator sees them, or one with errors of `noise` m and as many person sizes / 1.7."""
    joints, turns = world_poses(motion)
    p_world = joints[:, landmarks.JOINTS] + rotation.rotate(turns[:, landmarks.JOINTS], landmarks.OFFSETS)
    p_camera = camera.to_camera(p_world)
    generator = np.random.default_rng(1)
    xyz = p_camera - p_camera[:, 6:8].mean(axis=1, keepdims=True) + generator.normal(0, 1, p_camera.shape) * noise
    px = noise * camera.focal / p_camera[..., 2:].mean()
    xy = camera.project(p_world) + generator.normal(0, 1, (*p_camera.shape[:2], 2)) * px
    frames = len(motion)
    return Keypoints(landmarks.NAMES, xy, xyz, np.ones(xy.shape[:2]), np.arange(frames) / motion.fps,
                     np.ones(frames, bool), camera.size)


def limbs(result: Reconstruction) -> np.ndarray:
    return result.camera.to_camera(world_poses(result.motion)[0])[:, LIMBS]


def error_mm(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm((a - a[:, 6:8].mean(1, keepdims=True)) - (b - b[:, 6:8].mean(1, keepdims=True)),
                                axis=-1).mean() * 1e3)


@pytest.fixture(scope="module")
def clip(examples):
    return Motion.load(examples / "walk.truth.npz"), Camera.load(examples / "walk.camera.json")


@pytest.fixture(scope="module")
def noisy(clip, skeleton) -> Reconstruction:
    """A walk seen with errors of 2 cm in every landmark, at a guessed focal length."""
    return reconstruct(exact_keypoints(*clip, noise=0.02), skeleton, no_progress)


def test_a_noisy_walk_is_recovered_within_25_mm(clip, noisy):
    motion, camera = clip
    truth = camera.to_camera(world_poses(motion)[0])[:, LIMBS]
    assert error_mm(limbs(noisy), truth) < 25
    assert np.median(noisy.residual) < 6


@pytest.mark.parametrize("name", ["spinkick", "backflip"])
def test_acrobatics_are_recovered_within_40_mm(examples, skeleton, name):
    motion = Motion.load(examples / f"{name}.truth.npz")
    camera = Camera.load(examples / f"{name}.camera.json")
    result = reconstruct(exact_keypoints(motion, camera, noise=0.01), skeleton, no_progress, focal=camera.focal,
                         iterations=150)
    assert error_mm(limbs(result), camera.to_camera(world_poses(motion)[0])[:, LIMBS]) < 40


def test_bones_keep_their_lengths_and_left_equals_right(noisy):
    joints, _ = world_poses(noisy.motion)
    parents = noisy.motion.skeleton.parents
    lengths = np.linalg.norm(joints[:, 1:] - joints[:, parents[1:]], axis=-1)
    assert np.ptp(lengths, axis=0).max() < 1e-9
    knee = [noisy.motion.skeleton.index(f"{side}_knee") - 1 for side in ("left", "right")]
    assert lengths[0, knee[0]] == pytest.approx(lengths[0, knee[1]], abs=1e-6)


def test_feet_never_go_below_the_ground_and_the_walk_stands_on_it(noisy):
    feet = noisy.places[:, [landmarks.CONTACTS[i] for i in range(4)], 2]
    assert feet.min() > -1e-6
    assert np.median(feet.min(axis=1)) < 0.03


def test_the_camera_stands_where_it_stood(clip, noisy):
    _, camera = clip
    up = rotation.rotate(rotation.inverse(noisy.camera.rotation), np.array([0.0, 0.0, 1.0]))
    true_up = rotation.rotate(rotation.inverse(camera.rotation), np.array([0.0, 0.0, 1.0]))
    assert np.degrees(np.arccos(up @ true_up)) < 5
    assert noisy.camera.position[2] == pytest.approx(camera.position[2], abs=0.3)


def test_the_world_begins_under_the_first_pelvis_and_the_camera_looks_along_y(noisy):
    assert noisy.motion.root_pos[0, :2] == pytest.approx([0, 0], abs=1e-6)
    forward = rotation.rotate(noisy.camera.rotation, np.array([0.0, 0.0, 1.0]))
    assert forward[0] == pytest.approx(0, abs=1e-6) and forward[1] > 0.8


def test_a_standing_foot_counts_as_contact_and_stays(noisy):
    contacts = noisy.motion.contacts
    assert contacts is not None
    joints = [noisy.motion.skeleton.index(name) for name in ("left_foot", "right_foot")]
    touching = contacts[:, joints] > 0.5
    assert touching.any(axis=1).mean() > 0.5 and not touching.all()


def test_a_gap_is_bridged_and_not_trusted(clip, skeleton, noisy):
    motion, camera = clip
    keypoints = exact_keypoints(motion, camera, noise=0.01)
    detected = np.ones(len(motion), bool)
    detected[30:38] = False
    zero = detected[:, None, None]
    assert keypoints.xyz is not None
    gap = replace(keypoints, xy=keypoints.xy * zero, xyz=keypoints.xyz * zero, detected=detected,
                  confidence=keypoints.confidence * zero[..., 0])
    result = reconstruct(gap, skeleton, no_progress, iterations=150)
    truth = camera.to_camera(world_poses(motion)[0])[:, LIMBS]
    assert len(result.motion) == len(motion)
    assert result.motion.confidence is not None and np.all(result.motion.confidence[31:37] == 0)
    assert error_mm(limbs(result)[30:38], truth[30:38]) < 80


def test_a_late_entrance_starts_the_motion_late(clip, skeleton):
    keypoints = exact_keypoints(*clip)
    detected = np.ones(len(keypoints), bool)
    detected[:20] = False
    result = reconstruct(replace(keypoints, detected=detected), skeleton, no_progress, iterations=20)
    assert result.start == pytest.approx(20 / 30)
    assert len(result.motion) == len(keypoints) - 20


def test_uneven_times_become_an_even_motion_of_the_same_length(clip, skeleton):
    keypoints = exact_keypoints(*clip)
    keep = np.sort(np.random.default_rng(0).permutation(len(keypoints))[:50])
    keep[0], keep[-1] = 0, len(keypoints) - 1
    assert keypoints.xyz is not None
    uneven = replace(keypoints, xy=keypoints.xy[keep], xyz=keypoints.xyz[keep], detected=keypoints.detected[keep],
                     confidence=keypoints.confidence[keep], times=keypoints.times[keep])
    result = reconstruct(uneven, skeleton, no_progress, iterations=20)
    assert result.motion.duration == pytest.approx(keypoints.times[-1], abs=0.02)


def test_windows_overlap_and_cover_long_videos():
    for frames in (5, 600, 601, 2000, 12345):
        spans = windows(frames)
        assert spans[0][0] == 0 and spans[-1][1] == frames
        assert all(after[0] + 40 < before[1] for before, after in pairwise(spans))
        assert max(stop - start for start, stop in spans) <= 600


def test_a_long_motion_joins_its_windows_without_a_jump(clip, skeleton):
    motion, camera = clip
    there_and_back = np.concatenate([np.arange(77), np.arange(75, 0, -1)])
    rows = np.tile(there_and_back, 5)[:700]
    long = replace(motion, root_pos=motion.root_pos[rows], rotations=motion.rotations[rows])
    result = reconstruct(exact_keypoints(long, camera, noise=0.005), skeleton, no_progress, iterations=100)
    steps = np.linalg.norm(np.diff(world_poses(result.motion)[0], axis=0), axis=-1).max(axis=1)
    shared = slice(windows(700)[1][0] - 2, windows(700)[0][1] + 2)
    assert len(result.motion) == 700
    assert steps[shared].max() < 1.1 * np.delete(steps, np.r_[shared]).max()
    assert np.linalg.norm(result.projected - result.observations.xy, axis=-1).mean() < 12


def test_progress_counts_up_and_may_cancel(clip, skeleton):
    seen = []

    def cancel_later(stage: str, done: float, total: float, **numbers: float) -> None:
        seen.append((stage, done, total))
        if done >= 30:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        reconstruct(exact_keypoints(*clip), skeleton, cancel_later, iterations=30)
    assert [done for _, done, _ in seen] == [10, 20, 30]
    assert {(stage, total) for stage, _, total in seen} == {("reconstruct", 50)}


def test_linear_distances_are_exact_for_exact_points():
    generator = np.random.default_rng(0)
    xyz = generator.normal(0, 0.4, (6, 21, 3))
    place = generator.normal(0, 0.5, (6, 3)) + [0, 0, 4]
    p = xyz + place[:, None]
    xy = p[..., :2] / p[..., 2:] * 900 + [320, 240]
    assert distances(xy, xyz, np.ones((6, 21)), 900.0, np.array([320, 240])) == pytest.approx(place, abs=1e-6)


def test_best_rotation_finds_the_rotation_between_two_sets():
    generator = np.random.default_rng(0)
    model, q = generator.normal(size=(4, 3)), rotation.normalize(generator.normal(size=(9, 4)))
    found = best_rotation(model, rotation.rotate(q[:, None], model[None]) + generator.normal(size=(9, 1, 3)))
    assert rotation.angle(found, q).max() < 1e-6


def test_a_camera_file_comes_back_and_projects_as_documented(tmp_path, clip):
    _, camera = clip
    camera.save(tmp_path / "c.json")
    back = Camera.load(tmp_path / "c.json")
    p = np.array([0.1, 0.2, 0.9])
    assert back.project(p) == pytest.approx(camera.project(p))
    ahead = camera.position + rotation.rotate(camera.rotation, np.array([0.0, 0.0, 3.0]))
    assert camera.project(ahead) == pytest.approx(camera.centre)


@pytest.mark.parametrize("text", ["", "[]", "{}", "\x00\x01", '{"format": 1, "focal_px": "x"}', '{"format": 9}'])
def test_what_is_no_camera_file_gets_one_clear_line(tmp_path, text):
    path = tmp_path / "c.json"
    path.write_text(text)
    with pytest.raises(SfvError, match=r"c\.json"):
        Camera.load(path)


def test_keypoints_without_depth_are_refused(clip, skeleton):
    with pytest.raises(SfvError, match="no 3D landmarks"):
        reconstruct(replace(exact_keypoints(*clip), xyz=None), skeleton, no_progress)


def test_flat_keypoints_are_fitted_once_something_lifts_them(clip, skeleton):
    motion, camera = clip
    exact = exact_keypoints(motion, camera)

    def lift(observations, focal, centre):
        assert observations.xyz is None and exact.xyz is not None
        return exact.xyz, np.full(exact.xyz.shape, 0.02)

    result = reconstruct(replace(exact, xyz=None), skeleton, no_progress, focal=camera.focal, iterations=100, lift=lift)
    assert error_mm(limbs(result), camera.to_camera(world_poses(motion)[0])[:, LIMBS]) < 25


def test_the_size_of_a_person_shows_in_the_picture_alone(clip):
    keypoints = exact_keypoints(*clip)
    assert keypoints.xyz is not None
    assert size_in_picture(keypoints.xy) == pytest.approx(keypoints.person_size(), rel=0.25)


def test_a_wide_spread_counts_little(clip, skeleton):
    """Depth that is wrong by 30 cm harms only where it claims to be right."""
    motion, camera = clip
    exact = exact_keypoints(motion, camera)
    truth = camera.to_camera(world_poses(motion)[0])[:, LIMBS]
    assert exact.xyz is not None
    wrong = exact.xyz + np.random.default_rng(0).normal(0, 1, (1, len(landmarks.NAMES), 3)) * [0, 0, 0.3]

    def error(spread: float) -> float:
        result = reconstruct(exact, skeleton, no_progress, focal=camera.focal, iterations=60,
                             lift=lambda *_: (wrong, np.broadcast_to([0.03, 0.03, spread], wrong.shape)))
        return error_mm(limbs(result), truth)

    assert error(0.4) < 0.8 * error(0.03)


def test_a_turning_camera_gives_the_motion_of_a_still_one(clip, skeleton):
    motion, camera = clip
    still = exact_keypoints(motion, camera)
    q = rotation.from_rotvec(np.linspace(0, 0.3, len(motion))[:, None] * np.array([0.1, 1.0, 0.05]))
    joints, poses = world_poses(motion)
    p_world = joints[:, landmarks.JOINTS] + rotation.rotate(poses[:, landmarks.JOINTS], landmarks.OFFSETS)
    p_frame = rotation.rotate(q[:, None], camera.to_camera(p_world))
    xy = p_frame[..., :2] / p_frame[..., 2:] * camera.focal + camera.centre
    turned = replace(still, xy=xy, xyz=p_frame - p_frame[:, 6:8].mean(axis=1, keepdims=True))
    turns = rotation.to_matrix(q)
    result = reconstruct(turned, skeleton, no_progress, focal=camera.focal, iterations=100, turns=turns)
    straight = reconstruct(still, skeleton, no_progress, focal=camera.focal, iterations=100)
    assert error_mm(limbs(result), limbs(straight)) < 12
    assert np.median(result.residual) < 4
    path, right = (r.motion.root_pos - r.motion.root_pos[0] for r in (result, straight))
    assert np.linalg.norm(path - right, axis=-1).max() < 0.1


def test_the_hand_written_gradient_of_the_chain_agrees_with_finite_differences():
    plan = Plan([-1, 0, 1, 1, 3], [4, 2, 0])
    plan.path, plan.below = plan.path.double(), plan.below.double()
    generator = torch.Generator().manual_seed(0)

    def values(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.double)

    offsets = values(5, 3)
    offsets[0] = 0.0
    inputs = (values(5, 6, 2).requires_grad_(), offsets, values(3, 3).requires_grad_())
    assert torch.autograd.gradcheck(lambda *x: Chain.apply(*x, plan), inputs)


def test_the_chain_poses_joints_as_forward_kinematics_does(clip, skeleton):
    motion, _ = clip
    model = PoseModel(skeleton)
    six = six_from_matrices(torch.tensor(rotation.to_matrix(motion.rotations), dtype=torch.float32))
    posed = model(Track(six, torch.zeros(len(motion), 3)), Shape.mean())
    joints, _ = world_poses(replace(motion, skeleton=skeleton))
    assert (posed.joints - posed.joints[:, :1]).numpy() == pytest.approx(joints - joints[:, :1], abs=1e-5)


def test_a_bent_leg_reaches_its_target_and_keeps_its_bones_and_knee():
    generator = np.random.default_rng(0)
    turns = rotation.normalize(np.array([1.0, 0, 0, 0]) + 0.3 * generator.normal(size=(40, 2, 4)))
    down = np.array([0.0, 0.0, -0.4])
    knee = rotation.rotate(turns[:, 0], down)
    places = np.stack([np.zeros((40, 3)), knee, knee + rotation.rotate(turns[:, 1], down)], axis=1)
    same = bend_leg(places, turns, places[:, 2], np.array([0.0, -1.0, 0.0]))
    assert rotation.angle(same, turns).max() < 0.06
    target = places[:, 2] * 0.85 + generator.normal(0, 0.03, (40, 3))
    bent = bend_leg(places, turns, target, np.array([0.0, -1.0, 0.0]))
    reached = rotation.rotate(bent[:, 0], down) + rotation.rotate(bent[:, 1], down)
    assert reached == pytest.approx(target, abs=1e-6)


def test_a_straight_knee_bends_forward():
    places = np.array([[[0, 0, 0.8], [0, 0, 0.4], [0, 0, 0.0]]])
    still = np.tile(rotation.IDENTITY, (1, 2, 1))
    bent = bend_leg(places, still, np.array([[0, 0, 0.1]]), np.array([0.0, -1.0, 0.0]))
    knee = rotation.rotate(bent[:, 0], np.array([0.0, 0.0, -0.4]))
    assert knee[0, 1] < -0.05 and knee[0, 0] == pytest.approx(0, abs=1e-6)


def test_locked_feet_stand_still_and_the_rest_hardly_changes(clip):
    """A true walk with trembling legs: where the feet touch they stop, and nothing jumps."""
    motion, _ = clip
    points = Points(landmarks.OFFSETS)
    tremble = rotation.from_rotvec(np.random.default_rng(0).normal(0, 0.02, (len(motion), len(motion.skeleton), 3)))
    shaky = replace(motion, rotations=rotation.multiply(motion.rotations, tremble))
    feet = points.places(motion)[:, landmarks.CONTACTS[:4]]
    speed = np.linalg.norm(np.gradient(feet, axis=0), axis=-1) * motion.fps
    touching = (feet[..., 2] < 0.05) & (speed < 0.3)
    locked = lock_feet(shaky, points, touching)
    after = points.places(locked)[:, landmarks.CONTACTS[:4]]
    step = np.linalg.norm(np.diff(after, axis=0), axis=-1) * motion.fps
    assert step[touching[1:] & touching[:-1]].mean() < 0.02
    assert after[..., 2].min() > -0.005
    before = world_poses(shaky)[0]
    assert np.linalg.norm(world_poses(locked)[0] - before, axis=-1).mean() < 0.03
    jump = [np.linalg.norm(np.diff(world_poses(m)[0], 2, axis=0), axis=-1).mean() for m in (shaky, locked)]
    assert jump[1] < 1.05 * jump[0]


def test_contacts_do_not_flicker():
    speed = np.full((40, 8), 2.0)
    speed[5:25, 0] = 0.1
    speed[14, 0] = 1.0
    speed[30:32, 0] = 0.1
    touching = spans(speed, np.full((40, 8), 0.02), np.ones((40, 8)), 30.0)
    assert [(rows[0], rows[-1]) for rows in runs(touching[:, 0])] == [(5, 24)]
    assert not touching[:, 1:].any()


def test_a_foot_that_travels_along_the_line_of_sight_does_not_stand(clip):
    observations, _ = observe(exact_keypoints(*clip))
    still = replace(observations, xy=np.tile(observations.xy[:1], (len(observations), 1, 1)))
    places = np.zeros((len(observations), 8, 3))
    places[:, 4:, 2] = 1.0
    places[:, 1, 1] = np.linspace(0.0, 1.0, len(places))
    touching = find_contacts(places, still)
    assert touching[:, [0, 2, 3]].all() and not touching[:, [1, 4, 5, 6, 7]].any()


def test_the_ground_carries_the_soles_of_the_body_itself(noisy):
    places, turns = world_poses(noisy.motion)
    joints = landmarks.JOINTS[list(landmarks.SOLES)]
    soles = places[:, joints] + rotation.rotate(turns[:, joints], landmarks.OFFSETS[list(landmarks.SOLES)])
    assert soles == pytest.approx(noisy.places[:, list(landmarks.SOLES)])
    assert soles[..., 2].min() > -0.01


def test_a_foot_in_the_air_does_not_touch_even_if_it_is_still():
    height = np.full((30, 8), 0.5)
    assert not spans(np.zeros((30, 8)), height, np.ones((30, 8)), 30.0).any()


def test_a_frame_in_which_left_is_taken_for_right_is_hardly_believed(clip):
    observations, _ = observe(exact_keypoints(*clip))
    legs = [landmarks.NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("ankle", "heel")]
    apart = np.linalg.norm(observations.xy[:, legs[0]] - observations.xy[:, legs[2]], axis=-1)
    frame = int(apart[5:-5].argmax()) + 5
    before = steadiness(observations)
    xy = observations.xy.copy()
    xy[frame] = observations.xy[frame, landmarks.MIRROR]
    assert before[frame].min() > 0.6
    assert steadiness(replace(observations, xy=xy))[frame, legs].max() < 0.3
    assert np.median(steadiness(replace(observations, xy=xy))) > 0.95


def test_a_leg_that_cannot_reach_raises_its_heel():
    hip, pivot = np.array([[0.0, 0, 0.85]]), np.array([[0.3, 0, 0.0]])
    ankle = np.array([[0.4, 0.0, 0.1]])
    tipped = tip_foot(hip, pivot, ankle, 0.8)
    assert np.linalg.norm(tipped - hip) <= 0.8
    assert np.linalg.norm(tipped - pivot) == pytest.approx(np.linalg.norm(ankle - pivot))


def test_knees_and_elbows_that_bend_the_wrong_way_cost_and_others_do_not():
    from sfv_core.reconstruct.losses import joint_limits

    def cost(name: str, rotvec: list[float]) -> float:
        turns = np.tile(rotation.IDENTITY, (1, len(SMPL_NAMES), 1))
        turns[0, SMPL_NAMES.index(name)] = rotation.from_rotvec(np.array(rotvec))
        rotations = torch.tensor(rotation.to_matrix(turns), dtype=torch.float32)
        none = torch.zeros(0)
        return float(joint_limits(Posed(rotations, none, none, none, none, Shape.mean()), None, None))  # type: ignore[arg-type]

    assert cost("left_knee", [1.2, 0, 0]) == 0 < cost("left_knee", [-0.5, 0, 0])
    assert cost("right_elbow", [0, 0, 1.2]) == 0 < cost("right_elbow", [0, 0, -0.5])
    assert cost("left_elbow", [0, 0, -1.2]) == 0 < cost("left_elbow", [0, 0, 0.5])
