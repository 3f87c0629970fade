"""DeepMimic's clips become motions in our axes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from retarget import rotation
from retarget.kinematics import rest_pose, world_poses
from sfv_core.character import deepmimic
from sfv_core.errors import SfvError

pytest.importorskip("pybullet_data")


def test_the_humanoid_stands_with_its_left_at_plus_x_and_its_arms_down() -> None:
    body = deepmimic.skeleton()
    positions, _ = rest_pose(body)
    assert positions[body.index("left_shoulder"), 0] == pytest.approx(0.18311)
    assert positions[body.index("right_hip"), 0] == pytest.approx(-0.084887)
    assert positions[body.index("left_wrist"), 2] < positions[body.index("left_elbow"), 2]
    assert positions[body.index("left_ankle"), 2] == pytest.approx(-0.421546 - 0.40987)


@pytest.mark.parametrize("name", ["walk", "run"])
def test_walking_moves_the_way_the_body_faces_with_feet_on_the_ground(name: str) -> None:
    motion = deepmimic.load_clip(name)
    positions, world = world_poses(motion)
    facing = rotation.rotate(world[:, 0], np.array([0.0, -1.0, 0.0])).mean(axis=0)
    travel = motion.root_pos[-1] - motion.root_pos[0]
    assert travel @ facing > 0.8 * np.linalg.norm(travel) > 0
    ankles = positions[:, [motion.skeleton.index("left_ankle"), motion.skeleton.index("right_ankle")], 2]
    assert -0.02 < ankles.min() < 0.1
    assert motion.loop


def test_knees_bend_back_and_elbows_bend_forward() -> None:
    motion = deepmimic.load_clip("run")
    body, turn = motion.skeleton, rotation.to_rotvec(motion.rotations)
    assert turn[:, body.index("left_knee"), 0].mean() > 0.3
    assert turn[:, body.index("left_elbow"), 0].mean() < -0.3
    assert np.abs(turn[:, body.index("right_knee"), 1:]).max() < 1e-9


def test_resampling_keeps_the_first_and_last_pose_and_the_length() -> None:
    coarse, fine = deepmimic.load_clip("backflip", 30.0), deepmimic.load_clip("backflip", 120.0)
    assert coarse.duration == pytest.approx(1.75, abs=0.5 / 30)
    for frame in (0, -1):
        assert rotation.angle(coarse.rotations[frame], fine.rotations[frame]).max() < 1e-6
        np.testing.assert_allclose(coarse.root_pos[frame], fine.root_pos[frame], atol=1e-12)


def test_a_clip_that_does_not_wrap_does_not_loop() -> None:
    assert not deepmimic.load_clip("getup_facedown").loop


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not a DeepMimic clip"),
        ('{"Loop": "wrap", "Frames": [[0.1, 1', "not a DeepMimic clip"),
        ("[" * 100_000, "not a DeepMimic clip"),
        ("[1, 2]", "Frames"),
        (json.dumps({"Frames": [[0.1] * 20] * 3}), "44 numbers"),
        (json.dumps({"Frames": [[0.1] * 44]}), "two or more"),
        (json.dumps({"Frames": [[0.1] * 44, [0.1] * 3]}), "44 numbers"),
        (json.dumps({"Frames": [[0.1] * 44, ["x"] * 44]}), "44 numbers"),
        (json.dumps({"Frames": [[0.1] * 43 + [float("nan")]] * 3}), "NaN"),
        (json.dumps({"Frames": [[0.0] * 44] * 3}), "duration"),
    ],
)
def test_a_bad_file_is_named_in_one_clear_line(tmp_path: Path, text: str, word: str) -> None:
    path = _write(tmp_path / "bad.txt", text)
    with pytest.raises(SfvError) as error:
        deepmimic.load_clip(path)
    assert "bad.txt" in str(error.value) and word in str(error.value) and "\n" not in str(error.value)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(SfvError, match=r"bad\.txt"):
        deepmimic.load_clip(path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(SfvError, match="spinkick"):
        deepmimic.load_clip("moonwalk")
