"""BVH in and out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from humans import human, moving, places, rerolled

from retarget import Motion, RetargetError, Skeleton, bvh, rotation

HIERARCHY = """HIERARCHY
ROOT Hips
{
  OFFSET 0 100 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Left Leg {
    OFFSET 10 0 0
    CHANNELS 3 Yrotation Xrotation Zrotation
    End Site
    {
      OFFSET 0 -100 0
    }
  }
  JOINT Head
  {
    OFFSET 0 70 0
    CHANNELS 1 Xrotation
    End Site
    { OFFSET 0 5 0 }
  }
}
"""
MOTION = """MOTION
Frames: 2
Frame Time: 0.033333
1 100 2 10 20 30 40 50 60 0
3 101 4 0 0 0 0 0 0 90
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "clip.bvh"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_is_read_in_metres_with_z_up(tmp_path: Path):
    motion = bvh.load(written(tmp_path, HIERARCHY + MOTION))
    assert motion.skeleton.names == ("Hips", "Left Leg", "Head")
    assert motion.fps == 30.0
    assert np.allclose(motion.skeleton.offsets, [[0, 0, 1.0], [0.1, 0, 0], [0, 0, 0.7]])
    assert np.allclose(motion.root_pos, [[0.01, -0.02, 1.0], [0.03, -0.04, 1.01]])


def test_each_joint_is_read_in_its_own_channel_order(tmp_path: Path):
    scipy_rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    motion = bvh.load(written(tmp_path, HIERARCHY + MOTION))
    border = scipy_rotation.from_euler("x", 90, degrees=True)
    for j, (order, angles) in enumerate([("ZXY", [10, 20, 30]), ("YXZ", [40, 50, 60])]):
        expected = border * scipy_rotation.from_euler(order, angles, degrees=True) * border.inv()
        assert np.allclose(rotation.to_matrix(motion.rotations[0, j]), expected.as_matrix())
    assert np.allclose(rotation.to_rotvec(motion.rotations[1, 2]), [np.pi / 2, 0, 0])


def test_line_ends_tabs_case_and_blank_lines_do_not_matter(tmp_path: Path):
    plain = bvh.load(written(tmp_path, HIERARCHY + MOTION))
    odd = (HIERARCHY + MOTION).replace("  ", "\t").replace("Frame Time:", "Frame time :").replace("\n", "\r\n\r\n")
    other = bvh.load(written(tmp_path, "\ufeff" + odd.replace("Xrotation", "XROTATION")))
    assert np.array_equal(other.rotations, plain.rotations)


def test_a_file_with_z_up_needs_no_turn(tmp_path: Path):
    motion = bvh.load(written(tmp_path, HIERARCHY + MOTION), scale=0.01, up="z")
    assert np.allclose(motion.root_pos[0], [0.01, 1.0, 0.02])


@pytest.mark.parametrize("unit", [1.0, 0.01, 0.001, 0.0254, 0.0254 / 0.45])
def test_the_unit_is_guessed_from_the_size_of_the_body(tmp_path: Path, unit: float):
    motion = moving(human())
    bvh.save(motion, tmp_path / "out.bvh", unit)
    assert np.allclose(by_name(bvh.load(tmp_path / "out.bvh"), motion), places(motion), atol=1e-6)
    assert bvh.unit_of(tmp_path / "out.bvh") == unit
    double = bvh.load(tmp_path / "out.bvh", scale=2.0 * unit)
    assert np.allclose(by_name(double, motion), 2.0 * places(motion), atol=1e-6)


@pytest.mark.parametrize(("text", "fps"), [("0.0083333", 120.0), ("0.033333", 30.0), ("0.0416667", 24.0),
                                           ("0.01666667", 60.0), ("0.0333667", 1 / 0.0333667), ("0.5", 2.0)])
def test_the_frame_rate_is_whole_where_the_frame_time_was_rounded(tmp_path: Path, text: str, fps: float):
    assert bvh.load(written(tmp_path, HIERARCHY + MOTION.replace("0.033333", text))).fps == fps


def test_constant_positions_of_a_joint_replace_its_offset(tmp_path: Path):
    text = HIERARCHY.replace("CHANNELS 1 Xrotation", "CHANNELS 4 Xposition Yposition Zposition Xrotation")
    frames = MOTION.replace("60 0\n", "60 0 80 0 0\n").replace("0 90\n", "0 0 80 0 90\n")
    motion = bvh.load(written(tmp_path, text + frames))
    assert np.allclose(motion.skeleton.offsets[2], [0, 0, 0.8])


def test_hips_that_move_below_a_standing_root_carry_the_body(tmp_path: Path):
    motion = moving(human())
    above = Skeleton(("World", *motion.skeleton.names), np.concatenate([[-1], motion.skeleton.parents + 1]),
                     np.concatenate([[[0.0, 0.0, 0.2]], motion.skeleton.offsets]),
                     np.tile(rotation.IDENTITY, (len(motion.skeleton) + 1, 1)), root=1)
    still = np.tile(rotation.from_rotvec(np.array([0.0, 0.0, 1.0])), (len(motion), 1, 1))
    source = Motion(above, 30.0, motion.root_pos, np.concatenate([still, motion.rotations], axis=1))
    bvh.save(source, tmp_path / "out.bvh")
    again = bvh.load(tmp_path / "out.bvh")
    assert again.skeleton.names[again.skeleton.root] == "pelvis"
    assert np.max(np.abs(by_name(again, source) - places(source))) < 1e-6


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_a_motion_comes_back_from_a_file_as_it_was(tmp_path: Path, scale: float):
    motion = moving(human(), swing=2.0)
    bvh.save(motion, tmp_path / "new" / "out.bvh", scale)
    again = bvh.load(tmp_path / "new" / "out.bvh")
    assert again.fps == motion.fps
    assert again.skeleton.names[again.skeleton.root] == "pelvis"
    assert np.max(np.abs(by_name(again, motion) - places(motion))) < 1e-6
    order = [motion.skeleton.index(name) for name in again.skeleton.names]
    assert np.max(rotation.angle(again.rotations, motion.rotations[:, order])) < 1e-6
    assert np.allclose(again.skeleton.offsets, motion.skeleton.offsets[order], atol=1e-6)


def test_joints_with_their_own_axes_keep_their_places_in_a_file(tmp_path: Path):
    motion = moving(rerolled(human()))
    bvh.save(motion, tmp_path / "out.bvh")
    assert np.max(np.abs(by_name(bvh.load(tmp_path / "out.bvh"), motion) - places(motion))) < 1e-6


def test_an_odd_frame_rate_comes_back(tmp_path: Path):
    bvh.save(replace(moving(human()), fps=30000 / 1001), tmp_path / "out.bvh")
    assert bvh.load(tmp_path / "out.bvh").fps == pytest.approx(30000 / 1001, rel=1e-9)


def test_two_trees_are_two_roots(tmp_path: Path):
    one = moving(human())
    names = (*one.skeleton.names, "prop")
    both = Skeleton(names, np.append(one.skeleton.parents, -1), np.vstack([one.skeleton.offsets, [[1.0, 2.0, 0.5]]]),
                    np.tile(rotation.IDENTITY, (len(names), 1)))
    motion = Motion(both, 30.0, one.root_pos, np.concatenate([one.rotations, one.rotations[:, :1]], axis=1))
    bvh.save(motion, tmp_path / "out.bvh")
    assert np.max(np.abs(by_name(bvh.load(tmp_path / "out.bvh"), motion) - places(motion))) < 1e-6


def by_name(motion: Motion, like: Motion) -> np.ndarray:
    """Return the places of the joints in the order of another motion's."""
    return places(motion)[:, [motion.skeleton.index(name) for name in like.skeleton.names]]


BAD = {
    "empty": ("", "is empty"),
    "white": ("  \n\n", "is empty"),
    "text": ("Dear reader,\n", "does not begin with HIERARCHY"),
    "binary": (b"HIERARCHY\0\x01\x02" * 50, "not a BVH file"),
    "header only": ("HIERARCHY\n", "ends before MOTION"),
    "cut in the hierarchy": (HIERARCHY.split("End")[0], "ends before MOTION"),
    "open brace": (HIERARCHY.rstrip()[:-1] + MOTION, "braces are open"),
    "no joints": ("HIERARCHY\nMOTION\n", "no joint before"),
    "brace too many": ("HIERARCHY\n}\n", "line 2: a brace closes"),
    "short offset": (HIERARCHY.replace("OFFSET 10 0 0", "OFFSET 10 0"), "line 7: an OFFSET has three numbers"),
    "offset of words": (HIERARCHY.replace("OFFSET 10 0 0", "OFFSET a b c"), "line 7"),
    "infinite offset": (HIERARCHY.replace("OFFSET 10 0 0", "OFFSET inf 0 0"), "line 7"),
    "channel count": (HIERARCHY.replace("CHANNELS 1", "CHANNELS 2"), "line 17: CHANNELS"),
    "channel name": (HIERARCHY.replace("CHANNELS 1 Xrotation", "CHANNELS 1 Xspin"), "line 17: CHANNELS"),
    "bare channels": (HIERARCHY.replace("CHANNELS 1 Xrotation", "CHANNELS"), "line 17: CHANNELS"),
    "offset outside": ("HIERARCHY\nOFFSET 0 0 0\n", "line 2: OFFSET stands outside"),
    "end at the top": ("HIERARCHY\nEnd Site\n{\nOFFSET 0 0 0\n}\n", "line"),
    "end after the body": (HIERARCHY + "End Site\n{\nOFFSET 0 0 0\n}\n" + MOTION, "line 24: OFFSET stands outside"),
    "unknown word": (HIERARCHY.replace("End Site", "Ende"), "line 9: 'Ende' is not expected"),
    "no frames": (HIERARCHY + "MOTION\n", "after MOTION come"),
    "count of words": (HIERARCHY + MOTION.replace("Frames: 2", "Frames: two"), "after MOTION come"),
    "zero frames": (HIERARCHY + MOTION.replace("Frames: 2", "Frames: 0"), "line 23: a motion needs"),
    "zero time": (HIERARCHY + MOTION.replace("0.033333", "0"), "line 24: the frame time"),
    "nan time": (HIERARCHY + MOTION.replace("0.033333", "nan"), "line 24: the frame time"),
    "missing frame": (HIERARCHY + MOTION.replace("Frames: 2", "Frames: 3"), "states 3 frames, but there are 2"),
    "frame too many": (HIERARCHY + MOTION.replace("Frames: 2", "Frames: 1"), "states 1 frames, but there are 2"),
    "cut in a frame": (HIERARCHY + MOTION[:-6], "line 26: a frame has 10 numbers"),
    "not a number": (HIERARCHY + MOTION.replace("101", "nan"), "line 26: 'nan' is not a number"),
    "a word": (HIERARCHY + MOTION.replace("101", "1o1"), "line 26: '1o1' is not a number"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_with_its_name_and_line(kind: str, tmp_path: Path):
    text, words = BAD[kind]
    with pytest.raises(RetargetError, match=words) as caught:
        bvh.load(written(tmp_path, text))
    assert "clip.bvh" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path):
    for path in (tmp_path / "none.bvh", tmp_path):
        with pytest.raises(RetargetError, match="No BVH file"):
            bvh.load(path)


@pytest.mark.parametrize("choice", [{"scale": 0.0}, {"scale": float("nan")}, {"up": "x"}])
def test_choices_that_cannot_be_are_refused(choice: dict, tmp_path: Path):
    with pytest.raises(RetargetError):
        bvh.load(written(tmp_path, HIERARCHY + MOTION), **choice)


def test_joints_of_one_name_are_told_apart(tmp_path: Path):
    motion = bvh.load(written(tmp_path, HIERARCHY.replace("JOINT Head", "JOINT Left Leg") + MOTION))
    assert motion.skeleton.names == ("Hips", "Left Leg", "Left Leg_2")


def test_a_failed_write_leaves_nothing(tmp_path: Path):
    with pytest.raises(OSError):
        (tmp_path / "file").write_text("")
        bvh.save(moving(human()), tmp_path / "file" / "out.bvh")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_recorded_files_come_back_as_they_were(shared_data: Path, tmp_path: Path):
    for name in ("cmu_01_01", "xia_neutral", "dab", "mixamo_pairs/Ortiz__Macarena_Dance"):
        motion = bvh.load(shared_data / "clips" / f"{name}.bvh").slice(0, 200)
        bvh.save(motion, tmp_path / "out.bvh")
        again = bvh.load(tmp_path / "out.bvh", scale=1.0)
        assert again.fps == pytest.approx(motion.fps, rel=1e-9)
        assert np.max(np.abs(places(again) - places(motion))) < 1e-6


def test_recorded_people_are_about_as_tall_as_people(shared_data: Path):
    for name in ("cmu_01_01", "xia_neutral", "jumping_jacks", "mixamo_pairs/Ortiz__Macarena_Dance"):
        height = places(bvh.load(shared_data / "clips" / f"{name}.bvh"))[..., 2]
        assert 1.2 < np.median(np.max(height, axis=1)) < 2.0
        assert abs(np.percentile(np.min(height, axis=1), 5)) < 0.1
