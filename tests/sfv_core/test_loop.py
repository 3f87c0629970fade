"""Motions that repeat are known by their period; cycles cut out of them go on for ever; others are left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from people import squatting

from retarget import kinematics, rotation
from retarget.files import read_motion
from retarget.motion import Motion
from sfv_core.character import deepmimic
from sfv_core.character.build import character_for
from sfv_core.character.fit import fit
from sfv_core.cli import main
from sfv_core.cycles.cut import cut
from sfv_core.cycles.cycle import LARGEST_TURN, make_loop
from sfv_core.cycles.loop import SURE, best_loop, find_loop, loop_between
from sfv_core.cycles.similarity import clouds
from sfv_core.errors import SfvError
from sfv_core.imitate.reference import make_reference


@cache
def clip(name: str) -> Motion:
    return deepmimic.load_clip(name)


def repeated(motion: Motion, times: int, noise: float = 0.03, turn: float = 0.0) -> Motion:
    """Return a looping motion several times over, each joint shaken by `noise` rad and the root by a third of it in m.

    turn: rad about the vertical from one frame to the next.
    """
    generator = np.random.default_rng(times)
    way = (motion.root_pos[-1] - motion.root_pos[0]) * np.array([1.0, 1.0, 0.0])
    root = np.concatenate([motion.root_pos[:-1] + k * way for k in range(times)])
    rotations = np.concatenate([motion.rotations[:-1]] * times)
    turns = rotation.from_rotvec(np.arange(len(root))[:, None] * turn * np.array([0.0, 0.0, 1.0]))
    steps = rotation.rotate(turns[:-1], np.diff(root, axis=0))
    root = root[0] + np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    rotations[:, 0] = rotation.multiply(turns, rotations[:, 0])
    root = root + generator.normal(size=root.shape) * noise / 3
    shaken = rotation.from_rotvec(generator.normal(size=(*rotations.shape[:2], 3)) * noise)
    return replace(motion, root_pos=root, rotations=rotation.multiply(rotations, shaken), loop=False)


def moved(motion: Motion, angle: float) -> Motion:
    """Return the same motion elsewhere, facing another way."""
    turn = rotation.from_rotvec(np.array([0.0, 0.0, angle]))
    rotations = motion.rotations.copy()
    rotations[:, 0] = rotation.multiply(turn, rotations[:, 0])
    return replace(motion, rotations=rotations, root_pos=rotation.rotate(turn, motion.root_pos) + [4.0, -2.0, 0.0])


@pytest.mark.parametrize("name", ["walk", "run", "jump", "spinkick", "cartwheel"])
@pytest.mark.parametrize("times", [2, 3, 5])
def test_a_clip_repeated_and_shaken_has_its_own_length_as_period(name: str, times: int) -> None:
    loop = find_loop(repeated(clip(name), times))
    assert loop is not None
    assert abs(loop.end - loop.start - (len(clip(name)) - 1)) <= 1
    assert loop.repetitions == pytest.approx(times, abs=0.3)
    assert SURE <= loop.confidence <= 1
    assert abs(loop.turn_deg) < 4


def test_the_jog_of_deepmimic_repeated_has_its_own_length_as_period(shared_data: Path) -> None:
    jog = deepmimic.load_clip(shared_data / "clips" / "deepmimic" / "humanoid3d_jog.txt")
    loop = find_loop(repeated(jog, 4))
    assert loop is not None
    assert abs(loop.end - loop.start - (len(jog) - 1)) <= 1


@pytest.mark.parametrize("name", ["walk", "backflip", "cartwheel", "dance_a", "dance_b", "kick", "punch", "roll",
                                  "jump", "getup_faceup"])
def test_a_clip_seen_once_does_not_repeat(name: str) -> None:
    assert find_loop(replace(clip(name), loop=False)) is None


@pytest.mark.parametrize(("file", "seconds"), [("mocap_cmu/02_01.amc", 1.11), ("mocap_cmu/02_02.amc", 0.98),
                                               ("mocap_cmu/02_03.amc", 0.775), ("clips/xia_neutral.bvh", 1.317)])
def test_recorded_walks_and_runs_repeat(file: str, seconds: float, shared_data: Path) -> None:
    loop = find_loop(read_motion(shared_data / file))
    assert loop is not None
    assert loop.seconds == pytest.approx(seconds, abs=0.03)
    assert loop.seam_cm < 6


@pytest.mark.parametrize("file", ["clips/wave_hello.bvh", "clips/dab.bvh", "mocap_cmu/02_04.amc", "mocap_cmu/03_01.amc",
                                  "clips/mixamo_pairs/Mousey__Macarena_Dance.bvh",
                                  "clips/deepmimic/humanoid3d_dance_spin.txt"])
def test_waves_dances_and_jumps_do_not_repeat(file: str, shared_data: Path) -> None:
    path = shared_data / file
    motion = deepmimic.load_clip(path) if path.suffix == ".txt" else read_motion(path)
    assert find_loop(motion) is None


def test_steps_that_fill_a_small_part_of_a_motion_are_not_the_motion() -> None:
    still = replace(clip("walk"), root_pos=np.tile(clip("walk").root_pos[:1], (200, 1)),
                    rotations=np.tile(clip("walk").rotations[:1], (200, 1, 1)), loop=False)
    walk = repeated(clip("walk"), 2, 0.01)
    both = replace(walk, root_pos=np.concatenate([still.root_pos, walk.root_pos]),
                   rotations=np.concatenate([still.rotations, walk.rotations]))
    found = best_loop(both)
    assert find_loop(both) is None
    assert found is not None
    assert abs(found.end - found.start - (len(clip("walk")) - 1)) <= 1
    assert found.start > 180
    assert best_loop(still) is None


def test_the_cycle_is_the_same_wherever_the_body_is_and_whichever_way_it_faces() -> None:
    motion = repeated(clip("walk"), 3)
    a, b = find_loop(motion), find_loop(moved(motion, 2.0))
    assert a is not None
    assert b is not None
    assert (a.start, a.end) == (b.start, b.end)
    assert a.seam_cm == pytest.approx(b.seam_cm, abs=1e-6)


def test_distances_are_zero_to_oneself_and_those_of_the_table() -> None:
    few = clouds(clip("run"), 3)
    table = few.lags(6)
    rows = np.arange(len(few) - 6)
    assert np.abs(table[:, 0]).max() < 1e-3
    for lag in range(1, 7):
        assert table[rows, lag] == pytest.approx(few.distance(rows, rows + lag), abs=1e-3)
        assert np.isinf(table[len(few) - lag :, lag]).all()
    still = clouds(moved(clip("run"), 1.0), 3)
    assert few.distance(rows, rows + 3) == pytest.approx(still.distance(rows, rows + 3), abs=1e-9)


@pytest.mark.parametrize("name", ["walk", "run", "cartwheel"])
def test_a_cycle_ends_as_it_starts_in_pose_and_speed(name: str) -> None:
    motion = repeated(clip(name), 3, noise=0.0)
    swell = np.sin(np.arange(len(motion)) / 90)[:, None] * [0.0, 0.0, 0.02]
    motion = replace(motion, root_pos=motion.root_pos + swell)
    loop = find_loop(motion)
    assert loop is not None
    cycle = make_loop(motion, loop)
    assert cycle.loop
    assert len(cycle) == loop.end - loop.start + 1
    assert rotation.angle(cycle.rotations[0], cycle.rotations[-1]).max() < 1e-6
    assert cycle.root_pos[0, 2] == pytest.approx(cycle.root_pos[-1, 2])
    way = (cycle.root_pos[-1] - cycle.root_pos[0]) * np.array([1.0, 1.0, 0.0])
    full = (clip(name).root_pos[-1] - clip(name).root_pos[0]) * np.array([1.0, 1.0, 0.0])
    assert way == pytest.approx(full, abs=0.005)
    places, _ = kinematics.world_poses(cycle)
    twice = np.concatenate([places[:-1], places + way])
    acceleration = np.linalg.norm(np.diff(twice, 2, axis=0), axis=-1).max(1) * cycle.fps**2
    at_seam = acceleration[len(cycle) - 4 : len(cycle) + 1].max()
    assert at_seam < 1.5 * acceleration.max()
    assert at_seam < 1.2 * np.delete(acceleration, slice(len(cycle) - 14, len(cycle) + 12)).max() + 20


def test_a_shaken_cycle_closes_and_can_be_learnt() -> None:
    motion = repeated(clip("walk"), 4)
    loop = find_loop(motion)
    assert loop is not None
    cycle = make_loop(motion, loop)
    character = character_for(cycle.skeleton)
    reference = make_reference(fit(cycle, character), character)
    assert reference.loop
    assert np.linalg.norm(reference.cycle) == pytest.approx(1.47, abs=0.25)
    assert rotation.angle(reference.local[0], reference.local[-1]).max() < 1e-6


@pytest.mark.parametrize("degrees", [6.0, 40.0])
def test_a_slight_turn_in_each_cycle_is_straightened_and_a_large_one_refused(degrees: float) -> None:
    walk = clip("walk")
    motion = repeated(walk, 4, 0.0, turn=np.radians(degrees) / (len(walk) - 1))
    loop = find_loop(motion)
    assert loop is not None
    assert loop.turn_deg == pytest.approx(degrees, abs=0.5)
    if degrees > LARGEST_TURN:
        with pytest.raises(SfvError, match="turns by 40°"):
            make_loop(motion, loop)
        return
    cycle = make_loop(motion, loop)
    assert rotation.angle(cycle.rotations[0], cycle.rotations[-1]).max() < 1e-6
    step = np.linalg.norm(np.diff(cycle.root_pos, axis=0), axis=-1)
    own = np.linalg.norm(np.diff(motion.root_pos[loop.start : loop.end + 1], axis=0), axis=-1)
    assert step == pytest.approx(own, abs=1e-3)


def test_a_cycle_with_nothing_around_it_is_bent_until_its_ends_meet() -> None:
    motion = replace(clip("walk"), loop=False)
    part = motion.slice(0, len(motion) - 2)
    for whole in (motion, part):
        made = make_loop(whole, loop_between(whole, 0.0, part.duration))
        assert len(made) == len(part)
        assert rotation.angle(made.rotations[0], made.rotations[-1]).max() < 1e-6
        assert made.root_pos[0, 2] == pytest.approx(made.root_pos[-1, 2])


@pytest.mark.parametrize("name", ["backflip", "spinkick"])
def test_ends_that_are_far_apart_are_not_blended(name: str) -> None:
    motion = replace(clip(name), loop=False)
    loop = best_loop(motion)
    assert loop is not None
    with pytest.raises(SfvError, match="cannot be repeated") as caught:
        make_loop(motion, loop)
    assert "\n" not in str(caught.value)
    assert best_loop(squatting(0.4)) is None


def test_a_walk_up_stairs_is_no_flat_cycle() -> None:
    motion = repeated(clip("walk"), 3, 0.0)
    climbing = replace(motion, root_pos=motion.root_pos + np.linspace(0, 0.6, len(motion))[:, None] * [0.0, 0.0, 1.0])
    loop = best_loop(climbing)
    assert loop is not None
    with pytest.raises(SfvError, match=r"slope or stairs|apart|from that at"):
        make_loop(climbing, loop)


def test_a_cycle_is_written_with_its_picture(tmp_path: Path) -> None:
    path, out = tmp_path / "walk.npz", tmp_path / "cycle.npz"
    repeated(clip("walk"), 3).save(path)
    report = cut(path, out, None, None)
    assert Motion.load(out).loop
    assert report["repeats"]
    assert report["end"] - report["start"] == len(Motion.load(out)) - 1
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    own = cut(path, tmp_path / "own.npz", 0.5, 1.75)
    assert own["seconds"] == pytest.approx(1.25)


def test_what_cannot_be_cut_is_said_with_the_file_and_a_way_out(tmp_path: Path) -> None:
    path, out = tmp_path / "flip.npz", tmp_path / "cycle.npz"
    replace(clip("backflip"), loop=False).save(path)
    for start, end, message in ((None, None, "--start"), (0.5, 9.0, "lasts 1.75 s"), (1.0, 0.2, "No cycle"),
                                (0.2, 0.3, "at least"), (float("nan"), 1.0, "No cycle")):
        with pytest.raises(SfvError, match=message) as caught:
            cut(path, out, start, end)
        assert str(path) in str(caught.value)
    with pytest.raises(SfvError, match="both"):
        cut(path, out, 0.5, None)
    assert not out.exists()
    assert not cut(path, None, None, None)["repeats"]


def test_the_command_looks_or_cuts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "walk.npz"
    repeated(clip("walk"), 2).save(path)
    assert main(["loop", str(path), "--json"]) == 0
    looked = json.loads(capfd.readouterr().out)
    assert looked["repeats"]
    assert looked["files"] == []
    assert main(["loop", str(path), "-o", str(tmp_path / "cycle.npz"), "--start", "1"]) == 1
    assert "both --start and --end" in capfd.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["walk.npz"]
