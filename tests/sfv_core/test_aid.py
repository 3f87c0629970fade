"""First aid: what is wrong with a motion is found and mended, what is right stays as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from people import smpl_skeleton

from retarget import kinematics, rotation
from retarget.files import read_motion
from retarget.motion import Motion, Skeleton
from sfv_core.aid import Finding, examine, first_aid, fit_with_aid
from sfv_core.aid.cycles import middle_cycle, three_cycles
from sfv_core.aid.dynamics import GRAVITY, find_effort
from sfv_core.aid.jitter import jitter, mend_jitter
from sfv_core.aid.recording import Recording
from sfv_core.character.build import character_for
from sfv_core.character.character import Character
from sfv_core.character.deepmimic import load_clip
from sfv_core.character.fit import fit
from sfv_core.check import check, lines
from sfv_core.errors import SfvError
from sfv_core.progress import no_progress

CLEAN = ("walk", "run", "jump", "kick", "punch", "cartwheel", "spinkick", "backflip", "crawl", "spin")


@pytest.fixture(scope="module")
def humanoid() -> Character:
    return character_for(load_clip("walk").skeleton)


def fitted(name: str, character: Character, fps: float = 30.0) -> Motion:
    return fit(load_clip(name, fps), character)


def kinds(findings: tuple[Finding, ...]) -> set[str]:
    return {finding.kind for finding in findings}


def places(motion: Motion) -> np.ndarray:
    return kinematics.world_poses(motion)[0]


def furthest(one: Motion, other: Motion) -> float:
    """Return the largest distance of a joint between two motions in m."""
    return float(np.linalg.norm(places(one) - places(other), axis=-1).max())


def moved(motion: Motion, rows: slice, shift: np.ndarray | float, axis: int = 2) -> Motion:
    root = motion.root_pos.copy()
    root[rows, axis] += shift
    return replace(motion, root_pos=root)


@pytest.mark.parametrize("fps", [30.0, 60.0])
@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_motion_comes_back_as_it_is(name: str, fps: float, humanoid: Character) -> None:
    motion = fitted(name, humanoid, fps)
    mended, findings = first_aid(motion, humanoid)
    np.testing.assert_array_equal(mended.root_pos, motion.root_pos)
    np.testing.assert_array_equal(mended.rotations, motion.rotations)
    assert kinds(findings) <= {"support", "strength"}


@pytest.mark.parametrize("name", ["02_01", "02_03", "02_05"])
def test_recorded_motion_on_a_flat_floor_changes_by_less_than_a_centimetre(name: str, shared_data: Path) -> None:
    captured = read_motion(shared_data / "mocap_cmu" / f"{name}.amc").resample(60.0)
    character = character_for(captured.skeleton)
    mended, findings = fit_with_aid(captured, character)
    assert furthest(mended, fit(captured, character)) < 0.01
    assert "support" not in kinds(findings)


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("turn", [40.0, 90.0])
def test_a_joint_that_leaves_its_path_is_put_back(turn: float, width: int, humanoid: Character) -> None:
    motion = fitted("walk", humanoid)
    hip = humanoid.index("right_hip")
    rotations = motion.rotations.copy()
    off = rotation.from_rotvec(np.array([0.0, np.radians(turn), 0.0]))
    rotations[15 : 15 + width, hip] = rotation.multiply(rotations[15 : 15 + width, hip], off)
    mended, findings = first_aid(replace(motion, rotations=rotations), humanoid)
    found = [finding for finding in findings if finding.kind == "outlier"]
    assert [(finding.joint, finding.frames, finding.repaired) for finding in found] == [
        ("right_hip", (15, 14 + width), True)]
    assert np.degrees(rotation.angle(mended.rotations[:, hip], motion.rotations[:, hip])).max() < 5


def test_a_body_that_leaves_its_path_is_put_back_before_it_is_fitted_to_the_ground(humanoid: Character) -> None:
    motion = load_clip("walk", 30.0)
    mended, findings = fit_with_aid(moved(motion, slice(20, 22), -0.6), humanoid)
    assert furthest(mended, fit(motion, humanoid)) < 0.02
    assert ("outlier", (20, 21), True) in [(f.kind, f.frames, f.repaired) for f in findings]


def test_a_first_frame_in_the_rest_pose_is_replaced(humanoid: Character) -> None:
    motion = fitted("kick", humanoid)
    rotations = motion.rotations.copy()
    rotations[0] = rotation.IDENTITY
    mended, findings = first_aid(replace(motion, rotations=rotations), humanoid)
    assert {f.frames for f in findings if f.kind == "outlier" and f.repaired} == {(0, 0)}
    assert rotation.angle(mended.rotations[0], motion.rotations[0]).max() < np.radians(60)


def test_lost_frames_are_filled_in(humanoid: Character) -> None:
    motion = fitted("run", humanoid)
    rows = np.arange(len(motion))
    rows[11:13] = 10
    stalled = replace(motion, root_pos=motion.root_pos[rows], rotations=motion.rotations[rows])
    mended, findings = first_aid(stalled, humanoid)
    assert [(f.frames, f.repaired) for f in findings if f.kind == "stall"] == [((11, 12), True)]
    assert furthest(mended, motion) < 0.3 * furthest(stalled, motion)


@pytest.mark.parametrize("way", [0.3, 0.8])
def test_a_short_jump_is_taken_out_and_all_after_it_moved_back(way: float, humanoid: Character) -> None:
    motion = fitted("walk", humanoid)
    mended, findings = first_aid(moved(motion, slice(20, None), way, axis=0), humanoid)
    assert [(f.frames, f.repaired) for f in findings if f.kind == "jump"] == [((19, 20), True)]
    assert furthest(mended, motion) < 0.03


@pytest.mark.parametrize("way", [3.0, 30.0])
def test_a_jump_of_metres_is_refused_with_its_frames(way: float, humanoid: Character) -> None:
    with pytest.raises(SfvError, match=rf"frames 19 and 20 .* {way:g} m.*cut the motion before frame 19"):
        first_aid(moved(fitted("walk", humanoid), slice(20, None), way), humanoid)


def test_a_body_at_twenty_metres_per_second_is_refused(humanoid: Character) -> None:
    motion = fitted("run", humanoid)
    fast = moved(motion, slice(None), 20.0 / 30 * np.arange(len(motion)), axis=0)
    with pytest.raises(SfvError, match=r"moves at 2[0-9].* m/s in frames 0–24"):
        first_aid(fast, humanoid)


def test_a_joint_faster_than_anybodys_is_reported_with_its_frames(humanoid: Character) -> None:
    motion = fitted("walk", humanoid)
    elbow = humanoid.index("left_elbow")
    angle = np.zeros(len(motion))
    angle[10:20] = np.linspace(0, np.pi * 5, 10) % np.pi
    rotations = motion.rotations.copy()
    rotations[:, elbow] = rotation.from_rotvec(angle[:, None] * np.array(humanoid.links[elbow].axis))
    found = [f for f in examine(replace(motion, rotations=rotations), humanoid) if f.kind == "speed"]
    assert found and all(f.joint == "left_elbow" and f.frames[0] >= 9 and f.frames[1] <= 20 for f in found)


def test_trembling_is_found_and_mostly_taken_out(humanoid: Character) -> None:
    motion, generator = fitted("walk", humanoid), np.random.default_rng(0)
    noise = rotation.from_rotvec(generator.normal(0.0, 0.03, (*motion.rotations.shape[:2], 3)))
    noise[:, humanoid.hinges] = rotation.IDENTITY
    trembling = replace(motion, rotations=rotation.multiply(motion.rotations, noise))
    mended, findings = first_aid(trembling, humanoid)
    assert any(f.kind == "jitter" and f.repaired and f.frames[1] - f.frames[0] > 30 for f in findings)
    offsets = [places(m) - m.root_pos[:, None] for m in (motion, trembling, mended)]
    errors = [np.linalg.norm(offset - offsets[0], axis=-1).mean() for offset in offsets[1:]]
    assert errors[1] < 0.85 * errors[0]
    before, after = (jitter(places(m), m.fps).mean() for m in (trembling, mended))
    assert after < 0.5 * before


@pytest.mark.parametrize("name", ["kick", "backflip", "walk"])
def test_what_takes_trembling_out_leaves_fast_motion(name: str, humanoid: Character) -> None:
    motion = fitted(name, humanoid)
    everywhere = Finding("jitter", (0, len(motion) - 1), 0.0, "10 m/s³", "")
    change = np.linalg.norm(places(mend_jitter(Recording(motion, humanoid), [everywhere])) - places(motion), axis=-1)
    assert change.mean() < 0.003 and change.max() < 0.0125


def test_feet_that_stand_above_the_ground_are_put_on_it(humanoid: Character) -> None:
    motion = fitted("walk", humanoid)
    up = np.interp(np.arange(len(motion)), [10, 15, 30, 35], [0.0, 0.1, 0.1, 0.0])
    mended, findings = first_aid(moved(motion, slice(None), up), humanoid)
    assert any(f.kind == "hovering" and f.repaired and f.amount == pytest.approx(10, abs=3) for f in findings)
    assert np.abs(mended.root_pos[:, 2] - motion.root_pos[:, 2]).max() < 0.035


def test_bodies_in_the_ground_are_lifted_out_smoothly(humanoid: Character) -> None:
    motion = fitted("walk", humanoid)
    dip = np.interp(np.arange(len(motion)), [8, 15, 22, 29], [0.0, 0.06, 0.06, 0.0])
    mended, findings = first_aid(moved(motion, slice(None), -dip), humanoid)
    assert {f.joint for f in findings if f.kind == "sunk" and f.repaired} <= {"left_ankle", "right_ankle"}
    assert "sunk" in kinds(findings)
    assert Recording(mended, humanoid).lowest.min() > -0.0101
    assert np.abs(np.diff(mended.root_pos[:, 2], 2)).max() < 0.02


def test_a_foot_that_slides_is_held_and_its_knee_keeps_its_hinge(humanoid: Character) -> None:
    motion = fitted("walk", humanoid)
    recording = Recording(motion, humanoid)
    left = recording.feet.index(humanoid.index("left_ankle"))
    first = np.flatnonzero(recording.stands[10:, left].any(axis=1))[0] + 12
    sliding = moved(motion, slice(None), np.clip((np.arange(len(motion)) - first) / 11, 0, 1) * 0.13, axis=0)
    before = [f for f in examine(sliding, humanoid) if f.kind == "skating"]
    assert before and before[0].amount > 30
    mended, findings = first_aid(sliding, humanoid)
    assert all(f.repaired for f in findings if f.kind == "skating")
    assert not [f for f in examine(mended, humanoid) if f.kind == "skating"]
    for i in humanoid.hinges:
        turn = rotation.to_rotvec(mended.rotations[:, i])
        axis = np.array(humanoid.links[i].axis)
        np.testing.assert_allclose(turn, (turn @ axis)[:, None] * axis, atol=1e-9)
    assert furthest(mended, sliding) < 0.12


def test_a_mended_cycle_still_leads_on_to_its_start(humanoid: Character) -> None:
    motion = fitted("walk", humanoid)
    assert motion.loop
    up = np.interp(np.arange(len(motion)), [0, 4, 10, 34, 38], [-0.06, -0.06, 0.0, 0.0, -0.06])
    mended, findings = first_aid(moved(motion, slice(None), up), humanoid)
    assert mended.loop and "sunk" in kinds(findings)
    np.testing.assert_allclose(mended.root_pos[0, 2], mended.root_pos[-1, 2], atol=2e-3)
    np.testing.assert_allclose(mended.root_pos[[0, -1], 2], motion.root_pos[[0, -1], 2], atol=0.03)


def test_three_cycles_repeat_a_motion_and_their_middle_is_it(humanoid: Character) -> None:
    motion = fitted("walk", humanoid)
    thrice = three_cycles(motion)
    middle = middle_cycle(thrice, motion)
    assert furthest(middle, motion) < 1e-9 and middle.loop and len(thrice) == 3 * (len(motion) - 1) + 1
    assert np.abs(np.diff(thrice.root_pos, axis=0)).max() < 0.07


def test_walking_on_the_spot_is_reported_and_not_mended(humanoid: Character) -> None:
    motion = fitted("walk", humanoid)
    spot = replace(motion, root_pos=motion.root_pos * np.array([1.0, 0.0, 1.0]))
    mended, findings = first_aid(spot, humanoid)
    slides = [f for f in findings if f.kind == "skating"]
    assert slides and not any(f.repaired for f in slides)
    assert furthest(mended, spot) < 0.02


@pytest.mark.parametrize("frames", [2, 3, 4, 5, 9])
def test_very_short_motions_are_examined_too(frames: int, humanoid: Character) -> None:
    motion = fitted("walk", humanoid).slice(0, frames)
    mended, _ = first_aid(motion, humanoid)
    assert len(mended) == frames


def test_findings_become_json_and_sentences(humanoid: Character) -> None:
    motion = moved(fitted("walk", humanoid), slice(15, 25), -0.06)
    findings = examine(motion, humanoid)
    again = [Finding(**{**row, "frames": tuple(row["frames"])})
             for row in json.loads(json.dumps([finding.to_json() for finding in findings]))]
    assert again == list(findings)
    assert all(finding.text[0].isupper() and finding.text.endswith(".") for finding in findings)


def standing(character: Character, frames: int = 60, height: float = 0.0) -> Motion:
    """Return the character standing at rest, its soles at this height."""
    count = len(character.skeleton)
    still = Motion(character.skeleton, 60.0, np.zeros((frames, 3)), np.tile(rotation.IDENTITY, (frames, count, 1)))
    lowest = Recording(still, character).lowest.min()
    return replace(still, root_pos=np.tile([0.0, 0.0, height - lowest], (frames, 1)))


def test_the_ground_carries_a_standing_body_and_its_joints_do_little(humanoid: Character) -> None:
    effort = Recording(standing(humanoid), humanoid).effort
    np.testing.assert_allclose(effort.missing, 0.0, atol=0.01)
    np.testing.assert_allclose(effort.ground.sum(axis=1)[:, 2], humanoid.mass * GRAVITY, rtol=0.01)
    assert effort.shares.max() < 0.3


def test_an_arm_held_out_asks_for_its_weight_times_its_lever(humanoid: Character) -> None:
    motion = standing(humanoid)
    shoulder = humanoid.index("left_shoulder")
    rotations = motion.rotations.copy()
    rotations[:, shoulder] = rotation.from_rotvec(np.array([0.0, -np.pi / 2, 0.0]))
    recording = Recording(replace(motion, rotations=rotations), humanoid)
    places_, turns = (a[0] for a in recording.frames)
    centres = places_ + rotation.rotate(turns, humanoid.centres)
    arm = [shoulder, humanoid.index("left_elbow")]
    expected = sum(humanoid.links[i].mass * GRAVITY * (centres[i, 0] - places_[shoulder, 0]) for i in arm)
    assert expected > 5
    torque = np.linalg.norm(recording.effort.torques[30, shoulder])
    assert torque == pytest.approx(expected, rel=1e-6)


def test_a_body_that_hangs_in_the_air_is_held_by_nothing_and_one_that_falls_is_not(humanoid: Character) -> None:
    hanging = standing(humanoid, height=1.5)
    (found,) = [f for f in examine(hanging, humanoid) if f.kind == "support"]
    assert found.amount == pytest.approx(1.0, abs=0.01) and "held up" in found.text
    time = np.arange(len(hanging)) / hanging.fps
    falling = moved(hanging, slice(None), 2.0 * time - GRAVITY / 2 * time**2)
    inner = find_effort(humanoid, *Recording(falling, humanoid).frames, falling.fps)
    np.testing.assert_allclose(inner.missing[10:-10], 0.0, atol=0.03)
    np.testing.assert_allclose(inner.torques[10:-10], 0.0, atol=0.5)


def test_torques_in_the_air_are_those_of_another_engine(humanoid: Character) -> None:
    mujoco = pytest.importorskip("mujoco")
    from sfv_core.character.mjcf import mjcf

    motion = swinging(humanoid)
    effort = Recording(motion, humanoid).effort
    model = mujoco.MjModel.from_xml_string(mjcf(humanoid, gravity=(0.0, 0.0, -GRAVITY)))
    model.dof_armature[:], model.jnt_limited[:] = 0.0, 0
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
    data, placed, velocities = mujoco.MjData(model), np.zeros((len(motion), model.nq)), []
    for i, link in enumerate(humanoid.links):
        at, turn = model.joint(link.name).qposadr[0], motion.rotations[:, i]
        if link.joint == "free":
            placed[:, at : at + 7] = np.concatenate([motion.root_pos, turn], axis=1)
        elif link.joint == "ball":
            placed[:, at : at + 4] = turn
        else:
            placed[:, at] = rotation.to_rotvec(turn) @ np.array(link.axis)
    for t in range(len(motion) - 1):
        velocities.append(np.zeros(model.nv))
        mujoco.mj_differentiatePos(model, velocities[-1], 1 / motion.fps, placed[t], placed[t + 1])
    for t in range(60, len(motion) - 60, 8):
        data.qpos[:], data.qvel[:] = placed[t], 0.5 * (velocities[t - 1] + velocities[t])
        data.qacc[:] = (velocities[t] - velocities[t - 1]) * motion.fps
        mujoco.mj_inverse(model, data)
        for i, link in enumerate(humanoid.links[1:], start=1):
            at = model.joint(link.name).dofadr[0]
            own = data.qfrc_inverse[at : at + (3 if link.joint == "ball" else 1)]
            np.testing.assert_allclose(effort.torques[t, i, : len(own)], own, atol=0.6)


def swinging(character: Character) -> Motion:
    """Return the character 3 m above the ground, all joints swinging slowly."""
    frames, fps = 480, 240.0
    phase = 2 * np.pi * np.arange(frames) / fps
    motion = replace(standing(character, frames, height=3.0), fps=fps)
    generator = np.random.default_rng(1)
    rotations = motion.rotations.copy()
    for i, link in enumerate(character.links):
        swing = np.sin(phase * generator.uniform(0.5, 1.2) + generator.uniform(0, 6))
        axis = np.array(link.axis) if link.joint == "hinge" else generator.normal(size=3)
        angle = 0.6 + 0.5 * swing if link.joint == "hinge" else 0.4 * swing
        rotations[:, i] = rotation.from_rotvec(angle[:, None] * axis / np.linalg.norm(axis))
    return replace(motion, rotations=rotations)


def test_a_motion_beyond_a_joints_strength_names_joint_and_frames(humanoid: Character) -> None:
    motion = fitted("walk", humanoid)
    ankle = humanoid.index("left_ankle")
    links = list(humanoid.links)
    links[ankle] = replace(links[ankle], torque=links[ankle].torque / 6)
    found = [f for f in examine(motion, replace(humanoid, links=tuple(links))) if f.kind == "strength"]
    assert found and {f.joint for f in found} == {"left_ankle"}
    assert all(f"ask for {f.amount:.1f} × the left ankle's strength" in f.text and f.amount > 1.5 for f in found)


def test_a_check_writes_findings_motion_and_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    motion = moved(load_clip("walk", 30.0), slice(12, 14), 0.5)
    motion.save(tmp_path / "motion.npz")
    report = check(tmp_path / "motion.npz", tmp_path, "person", None, no_progress)
    assert json.loads((tmp_path / "findings.json").read_text("utf-8")) == json.loads(json.dumps(report))
    assert Motion.load(tmp_path / "repaired.npz").duration == pytest.approx(motion.duration)
    assert (tmp_path / "findings.png").read_bytes().startswith(b"\x89PNG")
    said = lines(report)
    assert said[-1] == "It can be learnt." and any("mended: The whole body leaves its path" in line for line in said)


def test_the_command_says_what_it_found_and_writes_nothing_unasked(tmp_path: Path) -> None:
    moved(load_clip("walk", 30.0), slice(20, None), 3.0, axis=0).save(tmp_path / "jump.npz")
    root = Path(__file__).resolve().parents[2]
    for arguments in ([], ["--json"]):
        done = subprocess.run([sys.executable, "-m", "sfv_core", "check", str(tmp_path / "jump.npz"), *arguments],
                              capture_output=True, text=True, encoding="utf-8", cwd=tmp_path, check=True,
                              env={**os.environ, "PYTHONPATH": str(root)})
        if arguments:
            assert "frames 19 and 20" in json.loads(done.stdout)["refused"]
        else:
            assert "remains: Between frames 19 and 20 the whole body jumps 3 m" in done.stdout
            assert "It cannot be learnt" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["jump.npz"]


def bad_motions() -> dict[str, Motion]:
    walk = load_clip("walk", 30.0)
    hours = replace(walk.at(np.arange(0, 20 * 60, 0.1) % walk.duration, 10.0), loop=False)
    legless = Skeleton(("hips", "spine"), np.array([-1, 0]), np.array([[0, 0, 1.0], [0, 0, 0.5]]),
                       np.tile(rotation.IDENTITY, (2, 1)))
    return {
        "one frame": walk.slice(0, 1), "two frames": walk.slice(0, 2), "twenty minutes": hours,
        "no legs": Motion(legless, 30.0, np.zeros((30, 3)), np.tile(rotation.IDENTITY, (30, 2, 1))),
        "huge": replace(walk, root_pos=walk.root_pos * 1e200),
        "a giant": replace(walk, skeleton=replace(walk.skeleton, offsets=walk.skeleton.offsets * 1e6)),
    }


@pytest.mark.parametrize("name", bad_motions())
def test_what_is_no_motion_of_a_person_is_refused_with_the_files_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.npz"
    bad_motions()[name].save(path)
    with pytest.raises(SfvError, match=name):
        check(path, None, "person", None, no_progress)


def test_a_motion_that_is_not_a_number_is_refused_with_the_files_name(tmp_path: Path) -> None:
    load_clip("walk").save(tmp_path / "nan.npz")
    with np.load(tmp_path / "nan.npz") as data:
        arrays = {key: data[key] for key in data.files}
    arrays["root_pos"][7] = np.nan
    np.savez(tmp_path / "nan.npz", **arrays)
    with pytest.raises(SfvError, match=r"nan\.npz.*NaN"):
        check(tmp_path / "nan.npz", None, "person", None, no_progress)


def test_a_clip_off_the_floor_and_frames_nobody_saw_are_reported() -> None:
    skeleton = smpl_skeleton()
    frames = 40
    motion = Motion(skeleton, 30.0, np.tile([0.0, 0.0, 1.9], (frames, 1)),
                    np.tile(rotation.IDENTITY, (frames, len(skeleton), 1)), confidence=np.ones((frames, len(skeleton))))
    assert motion.confidence is not None
    motion.confidence[10:20] = 0.05
    mended, findings = fit_with_aid(motion, character_for(skeleton))
    assert {("ground", (0, 39), True), ("unseen", (10, 19), False)} <= {(f.kind, f.frames, f.repaired)
                                                                       for f in findings}
    assert abs(Recording(mended, character_for(skeleton)).lowest.min()) < 0.015
