"""The transfer against Mixamo's own: one dance on three bodies, frame-aligned."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from humans import places

from retarget import Motion, bvh, rotation
from retarget.kinematics import rest_pose, world_poses
from retarget.mapping import guess
from retarget.solve import retarget

BODIES = ("Mousey", "Ortiz", "Sporty_Granny")
TRUNK = ("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head")
LIMBS = ("Shoulder", "Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot", "ToeBase")
JOINTS = [f"mixamorig:{name}" for name in (*TRUNK, *(side + limb for side in ("Left", "Right") for limb in LIMBS))]


@pytest.fixture(scope="module")
def dances(shared_data: Path) -> dict[str, Motion]:
    folder = shared_data / "clips" / "mixamo_pairs"
    return {name: bvh.load(folder / f"{name}__Macarena_Dance.bvh").slice(0, 300) for name in BODIES}


@pytest.mark.parametrize(("source", "target"), list(permutations(BODIES, 2)))
def test_the_dance_comes_out_as_mixamo_retargets_it(dances: dict[str, Motion], source: str, target: str):
    truth = dances[target]
    result = retarget(dances[source], truth.skeleton, guess(dances[source].skeleton, truth.skeleton))
    joints = [truth.skeleton.index(name) for name in JOINTS]
    hip_height = rest_pose(truth.skeleton)[0][0, 2]
    error = np.linalg.norm((places(result) - places(truth))[:, joints], axis=-1).mean() / hip_height
    angle = np.degrees(rotation.angle(world_poses(result)[1], world_poses(truth)[1])[:, joints].mean())
    alike = "Mousey" not in (source, target)
    print(f"{source} → {target}: {angle:.2f}°, {error:.4f} hip heights")
    assert angle < (2.1 if alike else 3.2)
    assert error < (0.027 if alike else 0.075)
