"""Acclaim motion in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from humans import human

from retarget import RetargetError, amc, bvh, rotation
from retarget.kinematics import world_poses
from retarget.mapping import guess
from retarget.solve import Options, retarget

SKELETON = """# a comment
:version 1.10
:name TWO
:units
  mass 1.0
  length 0.45
  angle deg
:documentation
   none
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name lfemur
     direction 0 -1 0
     length 9.0
     axis 10 20 30  XYZ
    dof rx rz
    limits (-160.0 20.0)
           (-70.0 70.0)
  end
  begin
     id 2
     name stump
     direction 0 -1 0
     length 4.5
     axis 0 0 0  XYZ
  end
:hierarchy
  begin
    root lfemur
    lfemur stump
  end
"""
MOTION = """#!OML:ASF
:FULLY-SPECIFIED
:DEGREES
1
root 4.5 9 18 10 20 30
lfemur 40 50
2
lfemur 41 51
root 0 0 0 0 0 0
"""


def written(folder: Path, motion: str | bytes = MOTION, skeleton: str | bytes = SKELETON) -> Path:
    for name, text in (("07_02.amc", motion), ("07.asf", skeleton)):
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / "07_02.amc"


def test_a_file_is_read_in_metres_with_z_up(tmp_path: Path):
    motion = amc.load(written(tmp_path))
    assert motion.skeleton.names == ("root", "lfemur", "stump") and motion.fps == 120.0
    assert np.allclose(motion.root_pos, [[0.254, -1.016, 0.508], [0, 0, 0]])
    assert np.allclose(motion.skeleton.offsets, [[0, 0, 0], [0, 0, 0], [0, 0, -0.508]])


def test_rotations_are_acclaims_by_scipy(tmp_path: Path):
    scipy_rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    motion = amc.load(written(tmp_path))
    border = scipy_rotation.from_euler("x", 90, degrees=True)
    axes = scipy_rotation.from_euler("xyz", [10, 20, 30], degrees=True)
    expected = [scipy_rotation.from_euler("xyz", [10, 20, 30], degrees=True),
                axes * scipy_rotation.from_euler("xz", [40, 50], degrees=True) * axes.inv(),
                scipy_rotation.identity()]
    for j, turn in enumerate(expected):
        assert np.allclose(rotation.to_matrix(motion.rotations[0, j]), (border * turn * border.inv()).as_matrix())


def test_radians_and_a_frame_rate_may_be_stated(tmp_path: Path):
    plain = amc.load(written(tmp_path))
    angles = " ".join(map(str, np.radians([10, 20, 30])))
    text = (f":RADIANS\n7\nlfemur {np.radians(40)} {np.radians(50)}\nroot 4.5 9 18 {angles}\n"
            f"8\nlfemur {np.radians(41)} {np.radians(51)}\nroot 0 0 0 0 0 0\n")
    turned = amc.load(written(tmp_path, text), fps=60.0)
    assert turned.fps == 60.0 and np.allclose(turned.rotations, plain.rotations)


def test_a_skeleton_elsewhere_may_be_given(tmp_path: Path):
    path = written(tmp_path)
    other = (tmp_path / "07.asf").rename(tmp_path / "other.asf")
    assert len(amc.load(path, other)) == 2
    with pytest.raises(RetargetError, match=r"07\.asf"):
        amc.load(path)


def frames(old: str, new: str) -> tuple[str, str]:
    return MOTION.replace(old, new), SKELETON


def bones(old: str, new: str) -> tuple[str, str]:
    return MOTION, SKELETON.replace(old, new)


@pytest.mark.parametrize(("texts", "says"), [
    (frames("lfemur 40 50", "lfemur 40"), r"07_02\.amc', line 6: the bone 'lfemur' has 2 numbers, not 1"),
    (frames("lfemur 40 50", "lfemur 40 x"), r"line 6: '40 x' are not numbers"),
    (frames("lfemur 40 50", "lfemur 40 nan"), "line 6: '40 nan' are not numbers"),
    (frames("lfemur 40 50", "rfemur 40 50"), "line 6: 'rfemur' is no bone that moves"),
    (frames("lfemur 40 50", "root 0 0 0 0 0 0"), "line 6: the bone 'root' stands in this frame twice"),
    (frames("lfemur 40 50\n", ""), "line 6: frame 1 lacks lfemur"),
    (frames("root 0 0 0 0 0 0\n", ""), "line 8: frame 2 lacks root"),
    (frames("2\n", "5\n"), "line 7: frame 5 follows frame 1"),
    (frames("1\n", "", ), "line 4: a frame begins with its number"),
    ((":DEGREES\n", SKELETON), "there are no frames"),
    (("", SKELETON), "is empty"), ((b"\0\1\2", SKELETON), "not text"), ((MOTION, b"\0"), "not text"),
    ((MOTION, SKELETON.partition("  begin")[0]), r"07\.asf', line \d+: there are no bones"),
    ((MOTION, SKELETON.partition(":hierarchy")[0]), "'lfemur' has no parent in :hierarchy"),
    ((MOTION, "HIERARCHY\nROOT Hips"), "line 1: a skeleton file begins with :version"),
    (bones("length 9.0", "length nine"), "line 20: here a number stands, not 'nine'"),
    (bones("length 0.45", "length 0"), "line 6: the unit of length is above 0"),
    (bones("dof rx rz", "dof rx qz"), "degrees of freedom are some of rx, ry, rz"),
    (bones("dof rx rz", "dof rx rx"), "degrees of freedom are some of rx, ry, rz"),
    (bones("30  XYZ", "30  XXZ"), "the order of axes"),
    (bones("angle deg", "angle gon"), "angles are in deg or rad"),
    (bones("lfemur stump", "lfemur stamp"), "there is no bone 'stamp'"),
    (bones("lfemur stump", "stump lfemur"), "has a parent already"),
    (bones("root lfemur\n    lfemur stump", "lfemur stump\n    stump lfemur"), "would hang below itself"),
])
def test_a_broken_file_is_one_clear_line_that_names_file_and_place(tmp_path: Path, texts: tuple[str, str], says: str):
    with pytest.raises(RetargetError, match=says):
        amc.load(written(tmp_path, *texts))


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_file_cut_off_anywhere_is_refused_or_read(tmp_path: Path, share: float):
    short = [text[:int(share * len(text))] for text in (MOTION, SKELETON)]
    for texts in ((short[0], SKELETON), (MOTION, short[1])):
        try:
            assert len(amc.load(written(tmp_path, *texts))) >= 1
        except RetargetError as error:
            assert "07" in str(error)


def test_the_same_take_as_bvh_has_the_same_legs(shared_data: Path):
    """The conversion begins with a frame of its own at rest, and drops the length of the bone 'thorax'."""
    ours = amc.load(shared_data / "mocap_cmu" / "01_01.amc")
    theirs = bvh.load(shared_data / "clips" / "cmu_01_01.bvh").slice(1, None)
    assert len(ours) == len(theirs)
    here, there = world_poses(ours)[0], world_poses(theirs)[0]
    pairs = {"root": "Hips", "lfemur": "LeftUpLeg", "ltibia": "LeftLeg", "lfoot": "LeftFoot", "ltoes": "LeftToeBase",
             "rfemur": "RightUpLeg", "rtibia": "RightLeg", "rfoot": "RightFoot", "thorax": "Spine1"}
    for name, other in pairs.items():
        gap = here[:, ours.skeleton.index(name)] - there[:, theirs.skeleton.index(other)]
        assert np.abs(gap).max() < 2e-5
    thorax = 2.06488 * 0.0254 / 0.45
    for name, other in {"lhumerus": "LeftArm", "rradius": "RightForeArm", "head": "Head"}.items():
        gap = here[:, ours.skeleton.index(name)] - there[:, theirs.skeleton.index(other)]
        assert np.allclose(np.linalg.norm(gap, axis=-1), thorax, atol=2e-5)


def test_a_recorded_walk_walks_on_the_ground(shared_data: Path):
    motion = amc.load(shared_data / "mocap_cmu" / "02_01.amc")
    place = world_poses(motion)[0]
    lengths = np.linalg.norm(place[:, 1:] - place[:, motion.skeleton.parents[1:]], axis=-1)
    assert np.ptp(lengths, axis=0).max() < 1e-9
    thigh = lengths[0, motion.skeleton.index("ltibia") - 1]
    assert 0.35 < thigh < 0.5
    toes = place[:, [motion.skeleton.index("ltoes"), motion.skeleton.index("rtoes")], 2]
    assert -0.02 < toes.min() < 0.05
    way = np.linalg.norm(motion.root_pos[-1, :2] - motion.root_pos[0, :2])
    assert 0.8 < way / motion.duration < 1.8


def test_acclaim_names_are_known_and_carry_over_to_another_body(shared_data: Path):
    motion = amc.load(shared_data / "mocap_cmu" / "02_01.amc").resample(30.0)
    target = human()
    bone_map = guess(motion.skeleton, target)
    assert {pair.source: pair.target for pair in bone_map.pairs}["lhumerus"] == "left_shoulder"
    assert len(bone_map.pairs) >= 18
    carried = retarget(motion, target, bone_map, Options(feet="off"))
    here, there = world_poses(motion)[0], world_poses(carried)[0]
    for name, child, other, other_child in (("lhumerus", "lradius", "left_shoulder", "left_elbow"),
                                            ("rfemur", "rtibia", "right_hip", "right_knee")):
        ours = here[:, motion.skeleton.index(child)] - here[:, motion.skeleton.index(name)]
        theirs = there[:, target.index(other_child)] - there[:, target.index(other)]
        cosine = np.sum(ours * theirs, -1) / np.linalg.norm(ours, axis=-1) / np.linalg.norm(theirs, axis=-1)
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 1.0
