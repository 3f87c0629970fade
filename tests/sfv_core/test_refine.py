"""Pins are kept exactly, what is far from them stays as it was, and what cannot be met is said."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import people
import pytest

from retarget import rotation
from retarget.kinematics import world_poses
from retarget.motion import Motion
from sfv_core.cli import main
from sfv_core.errors import SfvError
from sfv_core.pose.keypoints import Keypoints
from sfv_core.progress import no_progress
from sfv_core.reconstruct import banded
from sfv_core.reconstruct.camera import Camera
from sfv_core.reconstruct.evidence import landmark_places
from sfv_core.reconstruct.landmarks import JOINTS, NAMES
from sfv_core.reconstruct.pins import parse_pins
from sfv_core.reconstruct.turning import Moving, posed
from sfv_core.refine import UNREFINED, pin_errors, refine, refine_capture

START = 1.5
FRAMES = 121


@pytest.fixture(scope="module")
def truth() -> Motion:
    """A person squatting slowly for four seconds, arms hanging, feet on the ground."""
    motion = people.squatting(seconds=4.0)
    contacts = np.zeros(motion.rotations.shape[:2])
    feet = [f"{side}_{part}" for side in ("left", "right") for part in ("ankle", "foot")]
    contacts[:, [motion.skeleton.index(name) for name in feet]] = 1
    return replace(motion, contacts=contacts, confidence=np.full(contacts.shape, 0.5))


@pytest.fixture(scope="module")
def camera() -> Camera:
    """Four metres in front of the person, looking along +Y."""
    looking = rotation.from_matrix(np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]))
    return Camera(900.0, np.array([320.0, 240.0]), (640, 480), looking, np.array([0.3, -4.2, 1.0]))


@pytest.fixture
def folder(tmp_path, truth, camera):
    """A capture's folder: the motion, exact keypoints, the camera, the report."""
    folder = tmp_path / "capture"
    folder.mkdir()
    save_capture(folder, truth, truth, camera)
    return folder


def save_capture(folder, motion: Motion, seen: Motion, camera: Camera) -> None:
    motion.save(folder / "motion.npz")
    camera.save(folder / "camera.json")
    xy = camera.project(landmark_places(seen), camera.turns)
    times = START + np.arange(len(seen)) / seen.fps
    Keypoints(NAMES, xy, None, np.ones(xy.shape[:2]), times, np.ones(len(times), bool), camera.size
              ).save(folder / "keypoints.npz")
    (folder / "report.json").write_text(json.dumps({"format": 1, "motion": {"start_s": START}}))


def refined(folder, *pins: dict, out=None) -> Motion:
    refine_capture(folder, lambda: {"format": 1, "pins": list(pins)}, "pins", out, no_progress)
    return Motion.load((out or folder) / "motion.npz")


def place(motion: Motion, name: str, frame: int) -> np.ndarray:
    return world_poses(motion)[0][frame, motion.skeleton.index(name)]


def raw(path) -> dict[str, np.ndarray]:
    with np.load(path) as data:
        return dict(data)


def test_a_pinned_place_is_kept_and_frames_far_from_it_stay_to_the_last_bit(folder, truth):
    target = place(truth, "right_wrist", 60) + [0.1, -0.3, 0.25]
    after = refined(folder, {"frame": 60, "joints": {"right_wrist": {"position": target.tolist()}}})
    assert np.linalg.norm(place(after, "right_wrist", 60) - target) < 1e-6
    old, new = raw(folder / UNREFINED), raw(folder / "motion.npz")
    far = np.abs(np.arange(FRAMES) - 60) > 18
    for name in ("rotations", "root_pos", "contacts", "confidence"):
        assert np.array_equal(old[name][far], new[name][far])
    others = [j for j, name in enumerate(truth.skeleton.names) if not name.startswith("right_")]
    assert np.array_equal(old["rotations"][:, others], new["rotations"][:, others])


def test_pinned_rotations_are_kept_and_neighbours_follow_smoothly(folder, truth):
    turned = rotation.multiply(truth.rotations[60, 18], rotation.from_rotvec(np.array([0.2, 0.9, -0.4])))
    after = refined(folder, {"time_s": START + 2.0, "joints": {"left_elbow": {"rotation": turned.tolist()}}})
    assert np.degrees(rotation.angle(after.rotations[60, 18], turned)) < 1e-6
    away = rotation.angle(after.rotations[:, 18], truth.rotations[:, 18])
    assert away[60] > 0.9 and 0.4 < away[57] / away[60] < 1.0
    assert away[42] < 0.02 and away[78] < 0.02  # it leaves the captured motion, and comes back, without a jump
    assert np.abs(np.diff(away, 2)).max() < 0.15


def test_a_whole_pose_is_kept_with_the_root(folder, truth):
    generator = np.random.default_rng(0)
    q = rotation.multiply(truth.rotations[70], rotation.from_rotvec(generator.normal(0, 0.3, (24, 3))))
    root = truth.root_pos[70] + [0.1, 0.0, 0.05]
    pose = {"root": root.tolist(), "rotations": dict(zip(truth.skeleton.names, q.tolist(), strict=True))}
    after = refined(folder, {"frame": 70, "pose": pose})
    assert np.degrees(rotation.angle(after.rotations[70], q)).max() < 1e-5
    assert np.allclose(after.root_pos[70], root, atol=1e-9)


def test_a_pixel_is_met_in_the_picture(folder, camera):
    after = refined(folder, {"frame": 50, "joints": {"left_hand": {"pixel": [400.0, 200.0]}}})
    assert np.linalg.norm(camera.project(place(after, "left_hand", 50)) - [400, 200]) < 1e-3


def test_a_pixel_is_met_by_a_camera_that_turns(tmp_path, truth, camera):
    pan = np.multiply.outer(np.linspace(-0.2, 0.3, FRAMES), [0.0, 1.0, 0.1])
    turning = replace(camera, turns=rotation.to_matrix(rotation.from_rotvec(pan)))
    save_capture(tmp_path, truth, truth, turning)
    before = turning.project(place(truth, "left_hand", 50)[None, None], turning.turns[50:51])[0, 0]
    after = refined(tmp_path, {"frame": 50, "joints": {"left_hand": {"pixel": (before + [15, -20]).tolist()}}})
    hand = place(after, "left_hand", 50)[None, None]
    assert np.linalg.norm(turning.project(hand, turning.turns[50:51]) - before - [15, -20]) < 1e-3
    shift = np.linalg.norm(world_poses(after)[0] - world_poses(truth)[0], axis=-1)
    assert shift[40, truth.skeleton.index("right_hand")] == 0 and shift[48, truth.skeleton.index("left_hand")] < 0.25


def test_fingers_are_refined_too(tmp_path, truth, camera):
    skeleton = truth.skeleton
    longer = replace(skeleton, names=(*skeleton.names, "left_index1"), parents=np.append(skeleton.parents, 22),
                     offsets=np.vstack([skeleton.offsets, [0.03, 0, 0]]),
                     rest_rotations=np.vstack([skeleton.rest_rotations, rotation.IDENTITY]))
    still = np.tile(rotation.IDENTITY, (FRAMES, 1, 1))
    motion = Motion(longer, truth.fps, truth.root_pos, np.concatenate([truth.rotations, still], axis=1))
    save_capture(tmp_path, motion, truth, camera)
    bent = rotation.from_rotvec(np.array([0.0, 0.8, 0.0]))
    rotations = dict(zip(longer.names, [*truth.rotations[60].tolist(), bent.tolist()], strict=True))
    after = refined(tmp_path, {"frame": 60, "pose": {"rotations": rotations}})
    angle = rotation.angle(after.rotations[:, 24], rotation.IDENTITY)
    assert abs(angle[60] - 0.8) < 1e-9 and 0.3 < angle[56] < 0.8 and not angle[:40].any()
    assert np.abs(after.rotations[:, :24] - truth.rotations).max() < 1e-9


def test_a_contact_holds_the_whole_foot_for_its_time(folder, truth):
    target = place(truth, "left_foot", 50) + [0.05, -0.1, 0.0]
    after = refined(folder, {"contact": "left_foot", "start_frame": 45, "end_frame": 60, "position": target.tolist()})
    joints, _ = world_poses(after)
    for name in ("left_foot", "left_ankle"):
        path = joints[45:61, truth.skeleton.index(name)]
        assert np.abs(path - path[0]).max() < 1e-6
    assert np.allclose(joints[50, truth.skeleton.index("left_foot")], target, atol=1e-6)


def test_a_moved_hip_keeps_the_feet_where_they_stand(folder, truth):
    root = truth.root_pos[60] + [0.06, 0.0, -0.03]
    after = refined(folder, {"frame": 60, "joints": {"pelvis": {"position": root.tolist()}}})
    assert np.allclose(after.root_pos[60], root, atol=1e-9)
    for name in ("left_ankle", "right_ankle"):
        moved = np.linalg.norm(world_poses(after)[0] - world_poses(truth)[0], axis=-1)[:, truth.skeleton.index(name)]
        assert moved.max() < 0.015


def test_a_wrong_span_is_drawn_to_the_truth_by_one_pin_and_the_picture(tmp_path, truth, camera):
    wrong = truth.rotations.copy()
    shoulder = truth.skeleton.index("right_shoulder")
    bump = 1.2 * np.exp(-0.5 * ((np.arange(FRAMES) - 60) / 6.0) ** 2)
    wrong[:, shoulder] = rotation.multiply(wrong[:, shoulder],
                                           rotation.from_rotvec(np.multiply.outer(bump, [0.0, 0.4, 0.9])))
    captured = replace(truth, rotations=wrong)
    save_capture(tmp_path, captured, truth, camera)
    after = refined(tmp_path, {"frame": 60, "joints": {"right_shoulder": {"rotation": truth.rotations[60, shoulder
                                                                                                      ].tolist()}}})
    span = [*range(48, 60), *range(61, 73)]

    def error(motion: Motion) -> float:
        gap = world_poses(motion)[0] - world_poses(truth)[0]
        return float(np.linalg.norm(gap[span, truth.skeleton.index("right_wrist")], axis=-1).mean())

    assert error(captured) > 0.15
    assert error(after) < 0.35 * error(captured)


def test_one_pin_takes_out_a_turn_that_was_captured_the_wrong_way_round(tmp_path, truth, camera):
    along = np.clip((np.arange(FRAMES) - 50) / 16, 0, 1)
    turn = np.pi * along**2 * (3 - 2 * along)

    def turning(sense: float) -> Motion:
        rotations = truth.rotations.copy()
        rotations[:, 0] = rotation.multiply(rotation.from_rotvec(np.multiply.outer(sense * turn, [0, 0, 1.0])),
                                            rotations[:, 0])
        return replace(truth, rotations=rotations, contacts=None)

    save_capture(tmp_path, turning(-1), turning(1), camera)
    (tmp_path / "keypoints.npz").unlink()
    right = rotation.multiply(rotation.from_rotvec(np.array([0, 0, turn[57]])), truth.rotations[57, 0])
    after = refined(tmp_path, {"frame": 57, "joints": {"pelvis": {"rotation": right.tolist()}}})
    off = np.degrees(rotation.angle(after.rotations[:, 0], turning(1).rotations[:, 0]))
    assert np.degrees(rotation.angle(turning(-1).rotations[:, 0], turning(1).rotations[:, 0])).max() > 150
    assert off[57] < 1e-5 and off.max() < 45 and off[45:70].mean() < 15


def test_refining_again_begins_from_the_capture_and_no_pins_give_it_back(folder, truth):
    pins = [{"frame": frame, "joints": {"head": {"rotation": [1, 0.2, 0, 0]}}} for frame in (30, 80)]
    once = refined(folder, *pins)
    refined(folder, pins[0])
    twice = refined(folder, *pins)
    assert np.array_equal(once.rotations, twice.rotations)
    refined(folder)
    back, kept = raw(folder / "motion.npz"), raw(folder / UNREFINED)
    assert np.array_equal(back["rotations"], kept["rotations"]) and np.array_equal(back["root_pos"], kept["root_pos"])


def test_a_new_capture_in_the_folder_is_refined_from_itself(folder, truth):
    refined(folder, {"frame": 30, "joints": {"head": {"rotation": [1, 0.2, 0, 0]}}})
    moved = replace(truth, root_pos=truth.root_pos + [0, 0, 0.5])
    moved.save(folder / "motion.npz")
    after = refined(folder, {"frame": 30, "joints": {"head": {"rotation": [1, 0.2, 0, 0]}}})
    assert np.array_equal(after.root_pos, moved.root_pos)


def test_another_folder_gets_a_capture_of_its_own_and_the_first_stays(folder, tmp_path):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    out = tmp_path / "out"
    refined(folder, {"frame": 30, "joints": {"head": {"rotation": [1, 0.2, 0, 0]}}}, out=out)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    again = refined(out, {"frame": 30, "joints": {"neck": {"rotation": [1, 0.2, 0, 0]}}})
    assert np.allclose(again.rotations[30, 12], rotation.normalize(np.array([1, 0.2, 0, 0])))


def test_the_report_tells_of_the_pins(folder):
    refined(folder, {"frame": 60, "joints": {"head": {"rotation": [1, 0.2, 0, 0]}}})
    about = json.loads((folder / "report.json").read_text())["refined"]
    assert about["pinned_frames"] == [60] and about["windows"] == [[42, 78]] and about["frames_changed"] <= 37
    assert about["pin_error_mm"] < 1 and about["pin_error_deg"] < 0.1


def test_a_straight_arm_can_be_bent(folder, truth):
    shoulder, wrist = place(truth, "left_shoulder", 0), place(truth, "left_wrist", 0)
    target = shoulder + 0.5 * (wrist - shoulder)
    after = refined(folder, {"frame": 0, "joints": {"left_wrist": {"position": target.tolist()}}})
    assert np.linalg.norm(place(after, "left_wrist", 0) - target) < 1e-6


def test_out_of_reach_is_said_in_centimetres(folder, truth):
    hip, ankle = place(truth, "left_hip", 10), place(truth, "left_ankle", 10)
    bones = truth.skeleton.offsets[[truth.skeleton.index("left_knee"), truth.skeleton.index("left_ankle")]]
    length = np.linalg.norm(bones, axis=1).sum()
    target = hip + (ankle - hip) / np.linalg.norm(ankle - hip) * (length + 0.123)
    with pytest.raises(SfvError, match=r"'left_ankle' at frame 10 is out of reach by 12\.3 cm"):
        refined(folder, {"frame": 10, "joints": {"left_ankle": {"position": target.tolist()}}})
    assert not (folder / UNREFINED).exists()


@pytest.mark.parametrize(("entry", "words"), [
    ({"frame": 500, "joints": {"head": {"rotation": [1, 0, 0, 0]}}}, "frames 0 to 120"),
    ({"frame": -1, "joints": {"head": {"rotation": [1, 0, 0, 0]}}}, "frames 0 to 120"),
    ({"frame": True, "joints": {"head": {"rotation": [1, 0, 0, 0]}}}, "whole number"),
    ({"frame": 10**5000, "joints": {"head": {"rotation": [1, 0, 0, 0]}}}, "frames 0 to 120"),
    ({"time_s": 99.0, "joints": {"head": {"rotation": [1, 0, 0, 0]}}}, "lasts from 1.500 s to 5.500 s"),
    ({"time_s": float("nan"), "joints": {"head": {"rotation": [1, 0, 0, 0]}}}, "not a number"),
    ({"joints": {"head": {"rotation": [1, 0, 0, 0]}}}, "either 'frame' or 'time_s'"),
    ({"frame": 1, "joints": {"tail": {"rotation": [1, 0, 0, 0]}}}, "no joint 'tail'. Joints: pelvis"),
    ({"frame": 1, "joints": {"head": {"rotation": [0, 0, 0, 0]}}}, "no quaternion"),
    ({"frame": 1, "joints": {"head": {"rotation": [1, 0, 0]}}}, "give 4 numbers"),
    ({"frame": 1, "joints": {"head": {"position": [0, 0, float("inf")]}}}, "not a number"),
    ({"frame": 1, "joints": {"head": {"position": [0, 0, 1e9]}}}, "too far"),
    ({"frame": 1, "joints": {"head": {"position": [0, 0, "1"]}}}, "give a number"),
    ({"frame": 1, "joints": {"head": {"position": [0, 0, 1], "pixel": [0, 0]}}}, "one of them"),
    ({"frame": 1, "joints": {"head": {"scale": [1, 1, 1]}}}, "needs a position, a rotation or a pixel"),
    ({"frame": 1, "joints": {}}, "give an object"),
    ({"frame": 1, "pose": {"rotations": {}}, "joints": {}}, "it has 2 of them"),
    ({"frame": 1, "weight": 2, "joints": {}}, "unknown field 'weight'"),
    ({"contact": "left_foot", "start_frame": 9, "end_frame": 3}, "ends \\(frame 3\\) before it begins"),
    ("pin", "give an object"),
])
def test_a_wrong_pin_is_named(truth, entry, words):
    with pytest.raises(SfvError, match=f"(?s)pin 0.*{words}"):
        parse_pins({"format": 1, "pins": [entry]}, truth, START)


def test_pins_that_contradict_each_other_are_refused(truth):
    entries = [{"frame": 5, "joints": {"head": {"rotation": [1, x, 0, 0]}}} for x in (0, 0.5)]
    with pytest.raises(SfvError, match=r"frame 5 contradict each other: 'head'"):
        parse_pins({"format": 1, "pins": entries}, truth, START)


def test_the_same_rotation_with_the_other_sign_does_not_contradict(truth):
    entries = [{"frame": 5, "joints": {"head": {"rotation": [s, 0.5 * s, 0, 0]}}} for s in (1, -1)]
    assert len(parse_pins({"format": 1, "pins": entries}, truth, START)) == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2, "pins": []}', b'{"format": 1}', b"\xff\xfe",
                                     b"[" * 100_000, b'{"format": 1, "pins": [], "x": 1}', b'{"format": 1, "pins": 3}'])
def test_a_file_that_is_no_pins_gives_one_line(folder, tmp_path, content, capfd):
    path = tmp_path / "pins.json"
    path.write_bytes(content)
    assert main(["refine", str(folder), "--pins", str(path)]) == 1
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "pins.json" in said
    assert not (folder / UNREFINED).exists()


def test_the_command_refines_and_names_its_files(folder, tmp_path, capfd):
    path = tmp_path / "pins.json"
    path.write_text(json.dumps({"format": 1, "pins": [{"frame": 9, "joints": {"head": {"rotation": [1, 0, 0.1, 0]}}}]}))
    assert main(["refine", str(folder), "--pins", str(path), "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["pinned_frames"] == [9] and str(folder / "motion.npz") in said["files"]


def test_a_job_s_capture_is_refined_in_the_job_and_at_the_top_of_its_folder(folder, tmp_path, capfd):
    job = tmp_path / "job"
    job.mkdir()
    (job / "job.json").write_text("{}")
    folder.rename(job / "artifacts")
    pins = tmp_path / "pins.json"
    pins.write_text(json.dumps({"format": 1, "pins": [{"frame": 9, "joints": {"head": {"rotation": [1, 0, 0.1, 0]}}}]}))
    assert main(["refine", str(job), "--pins", str(pins)]) == 0
    assert (job / "motion.npz").read_bytes() == (job / "artifacts" / "motion.npz").read_bytes()
    assert (job / "artifacts" / UNREFINED).is_file()


def test_a_folder_that_is_no_capture_is_named(tmp_path):
    with pytest.raises(SfvError, match="There is no folder"):
        refine(tmp_path / "nothing", tmp_path / "pins.json", None, no_progress)


def test_without_keypoints_and_camera_pins_are_kept_all_the_same(folder, truth):
    (folder / "keypoints.npz").unlink()
    (folder / "camera.json").unlink()
    after = refined(folder, {"frame": 9, "joints": {"head": {"rotation": [1, 0, 0.1, 0]}}})
    assert pin_errors(after, parse_pins({"format": 1, "pins": [
        {"frame": 9, "joints": {"head": {"rotation": [1, 0, 0.1, 0]}}}]}, truth, START))[1] < 1e-6
    with pytest.raises(SfvError, match=r"no camera\.json"):
        refined(folder, {"frame": 9, "joints": {"head": {"pixel": [1, 2]}}})


def test_jacobians_agree_with_finite_differences(truth):
    generator = np.random.default_rng(1)
    moving = Moving(truth.skeleton, tuple(range(24)), travels=True)
    part = truth.slice(3, 5)
    delta = generator.normal(0, 0.6, (2, moving.columns))

    def joints(d: np.ndarray) -> np.ndarray:
        return posed(part, moving, d).places[:, JOINTS]

    exact = posed(part, moving, delta).jacobian(joints(delta), JOINTS)
    for column in range(moving.columns):
        nudge = np.zeros_like(delta)
        nudge[:, column] = 1e-6
        assert np.allclose((joints(delta + nudge) - joints(delta - nudge)) / 2e-6, exact[..., column], atol=1e-7)


@pytest.mark.parametrize("free_ends", [(False, False), (True, False), (True, True)])
def test_the_banded_step_is_the_constrained_minimum(free_ends):
    generator = np.random.default_rng(2)
    count, n = 9, 4
    root = generator.normal(size=(count, n, n))
    square, bending = root @ np.swapaxes(root, 1, 2), generator.uniform(0.5, 2, n)
    slope = generator.normal(size=(count, n))
    rules = {2: (generator.normal(size=(2, n)), generator.normal(size=2)), 3: (np.eye(n), generator.normal(size=n))}
    square += 4 * np.eye(n)
    coupling = generator.uniform(-0.5, 0.5, (count - 1, n, n))
    x = banded.step(square.copy(), coupling, bending, free_ends, slope, rules)
    gradient = np.einsum("tij,tj->ti", square, x) + banded.bent(x, free_ends) * bending + slope
    gradient[1:] += np.einsum("tij,tj->ti", coupling, x[:-1])
    gradient[:-1] += np.einsum("tji,tj->ti", coupling, x[1:])
    for row in range(count):
        if row in rules:
            c, b = rules[row]
            assert np.allclose(c @ x[row], b)
            assert np.allclose(gradient[row] - c.T @ np.linalg.lstsq(c.T, gradient[row], rcond=None)[0], 0, atol=1e-8)
        else:
            assert np.allclose(gradient[row], 0, atol=1e-8)
