"""Forward kinematics against 4×4 matrices; velocities against derivatives."""

from __future__ import annotations

import numpy as np
from humans import human, moving, rerolled

from retarget import rotation
from retarget.kinematics import (
    angular_velocity,
    forward,
    linear_velocity,
    local_rotations,
    rest_pose,
    world_poses,
)


def test_forward_kinematics_agrees_with_products_of_matrices():
    motion = moving(rerolled(human()))
    positions, world = world_poses(motion)
    skeleton, frame = motion.skeleton, 7
    matrices = np.empty((len(skeleton), 4, 4))
    for j, parent in enumerate(skeleton.parents):
        local = np.eye(4)
        local[:3, :3] = rotation.to_matrix(motion.rotations[frame, j])
        local[:3, 3] = skeleton.offsets[j] if parent >= 0 else motion.root_pos[frame]
        matrices[j] = matrices[parent] @ local if parent >= 0 else local
    assert np.allclose(positions[frame], matrices[:, :3, 3], atol=1e-12)
    assert np.allclose(rotation.to_matrix(world[frame]), matrices[:, :3, :3], atol=1e-12)


def test_rest_rotations_at_the_rest_position_give_the_rest_pose():
    skeleton = rerolled(human())
    place, world = rest_pose(skeleton)
    positions, turns = forward(skeleton, place[skeleton.root], skeleton.rest_rotations)
    assert np.allclose(positions, place, atol=1e-12)
    assert np.allclose(turns, world, atol=1e-12)


def test_bones_keep_their_length():
    motion = moving(rerolled(human()))
    positions, _ = world_poses(motion)
    child = motion.skeleton.parents >= 0
    lengths = np.linalg.norm(positions[:, child] - positions[:, motion.skeleton.parents[child]], axis=-1)
    assert np.allclose(lengths, np.linalg.norm(motion.skeleton.offsets[child], axis=-1), atol=1e-12)


def test_local_rotations_invert_forward_kinematics():
    motion = moving(rerolled(human()))
    assert np.allclose(local_rotations(motion.skeleton, world_poses(motion)[1]), motion.rotations, atol=1e-12)


def test_velocities_agree_with_finite_differences_of_a_known_spin():
    time = np.arange(100) / 50.0
    rate = np.array([0.3, -1.1, 0.7])
    spin = rotation.from_rotvec(time[:, None] * rate)
    assert np.allclose(angular_velocity(spin, 50.0), rate, atol=1e-9)
    assert np.allclose(linear_velocity(time[:, None] * rate, 50.0), rate, atol=1e-9)


def test_one_frame_stands_still():
    assert np.array_equal(linear_velocity(np.ones((1, 3)), 30.0), np.zeros((1, 3)))
    assert np.array_equal(angular_velocity(np.tile(rotation.IDENTITY, (1, 2, 1)), 30.0), np.zeros((1, 2, 3)))
