"""A pose on the target, carried back to the source, is the pose that the target gets again."""

from __future__ import annotations

import numpy as np
import pytest
from humans import MIXAMO, arms_lowered, human, moving, rerolled

from retarget import Motion, rotation
from retarget.back import Pose, pose_back
from retarget.mapping import guess
from retarget.solve import retarget

HANDS = ("left_hand", "right_hand")


@pytest.fixture
def walk() -> Motion:
    return moving(human(), still=HANDS)


@pytest.mark.parametrize("seed", range(3))
def test_a_posed_rig_is_posed_the_same_by_what_was_carried_back(walk, seed):
    rig = rerolled(arms_lowered(human(MIXAMO, "mixamorig:"), 40.0, ("mixamorig:LeftArm", "mixamorig:RightArm")), seed)
    bone_map = guess(walk.skeleton, rig)
    other = retarget(moving(human(), seed=seed + 7, swing=0.9, still=HANDS), rig, bone_map).slice(11, 12)
    posed = Pose(other.root_pos[0] + [0.1, 0.2, 0.3], other.rotations[0])
    back = pose_back(walk, 5, rig, bone_map, posed)
    walk.root_pos[5], walk.rotations[5] = back.root_pos, back.rotations
    again = retarget(walk, rig, bone_map)
    assert np.allclose(again.root_pos[5], posed.root_pos, atol=1e-9)
    assert np.degrees(rotation.angle(again.rotations[5], posed.rotations)).max() < 1e-5


def test_a_pose_that_was_left_alone_gives_the_frame_back_exactly(walk):
    rig = rerolled(human(MIXAMO, "mixamorig:"))
    bone_map = guess(walk.skeleton, rig)
    shown = retarget(walk, rig, bone_map)
    back = pose_back(walk, 9, rig, bone_map, Pose(shown.root_pos[9], shown.rotations[9]))
    assert np.array_equal(back.rotations, walk.rotations[9]) and np.array_equal(back.root_pos, walk.root_pos[9])


def test_only_what_was_posed_turns(walk):
    rig = rerolled(human(MIXAMO, "mixamorig:"))
    bone_map = guess(walk.skeleton, rig)
    shown = retarget(walk, rig, bone_map)
    posed = shown.rotations[9].copy()
    arm = rig.index("mixamorig:LeftForeArm")
    posed[arm] = rotation.multiply(posed[arm], rotation.from_rotvec(np.array([0.3, 0.5, 0.0])))
    back = pose_back(walk, 9, rig, bone_map, Pose(shown.root_pos[9], posed))
    turned = {walk.skeleton.names[j] for j in np.flatnonzero(rotation.angle(back.rotations, walk.rotations[9]) > 1e-6)}
    assert turned == {"left_elbow"}
