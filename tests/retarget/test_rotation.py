"""Rotations against scipy's as oracle."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from retarget import rotation

Rotation = pytest.importorskip("scipy.spatial.transform").Rotation
ORDERS = ["".join(order) for order in permutations("XYZ")]


def random_rotations(count: int = 500, seed: int = 0) -> np.ndarray:
    return rotation.normalize(np.random.default_rng(seed).normal(size=(count, 4)))


def oracle(q: np.ndarray):
    return Rotation.from_quat(rotation.xyzw_from_wxyz(q))


def assert_same(q: np.ndarray, other, tolerance: float = 1e-12) -> None:
    assert np.max((oracle(q).inv() * other).magnitude()) < max(tolerance, 1e-7)
    assert np.max(np.abs(oracle(q).as_matrix() - other.as_matrix())) < tolerance


def test_products_inverses_and_rotated_vectors_agree_with_scipy():
    a, b = random_rotations(seed=1), random_rotations(seed=2)
    v = np.random.default_rng(3).normal(size=(500, 3))
    assert_same(rotation.multiply(a, b), oracle(a) * oracle(b))
    assert_same(rotation.inverse(a), oracle(a).inv())
    assert np.allclose(rotation.rotate(a, v), oracle(a).apply(v), atol=1e-13)


def test_functions_broadcast_leading_axes():
    a, b = random_rotations(6).reshape(2, 3, 4), random_rotations(3, seed=5)
    assert rotation.multiply(a, b).shape == (2, 3, 4)
    assert rotation.multiply(b[0], a).shape == (2, 3, 4)
    assert rotation.rotate(a[:, :1], np.ones((3, 3))).shape == (2, 3, 3)
    assert rotation.slerp(a, b, np.linspace(0, 1, 2)[:, None]).shape == (2, 3, 4)


def test_normalized_quaternions_have_unit_length_and_zero_becomes_the_identity():
    q = np.random.default_rng(0).normal(size=(50, 4)) * 10.0
    assert np.allclose(np.linalg.norm(rotation.normalize(q), axis=-1), 1.0)
    assert np.array_equal(rotation.normalize(np.zeros(4)), rotation.IDENTITY)


def test_rotation_vectors_agree_with_scipy_down_to_tiny_angles():
    v = np.random.default_rng(0).normal(size=(300, 3)) * np.logspace(-12, 0.4, 300)[:, None]
    assert_same(rotation.from_rotvec(v), Rotation.from_rotvec(v))
    q = random_rotations()
    assert np.allclose(rotation.to_rotvec(q), oracle(q).as_rotvec(), atol=1e-12)
    assert np.allclose(rotation.to_rotvec(rotation.from_rotvec(v)), Rotation.from_rotvec(v).as_rotvec(), atol=1e-12)


def test_matrices_agree_with_scipy():
    q = np.concatenate([random_rotations(), np.eye(4), rotation.from_rotvec(np.pi * np.eye(3))])
    m = oracle(q).as_matrix()
    assert np.allclose(rotation.to_matrix(q), m, atol=1e-14)
    assert_same(rotation.from_matrix(m), oracle(q))


@pytest.mark.parametrize("order", ORDERS)
def test_euler_angles_agree_with_scipy(order: str):
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (500, 3))
    angles[:, 1] = np.clip(angles[:, 1] / 2.0, -1.5, 1.5)
    assert_same(rotation.from_euler(order, angles), Rotation.from_euler(order, angles))
    assert np.allclose(rotation.to_euler(order, rotation.from_euler(order, angles)), angles, atol=1e-9)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("distance", [0.0, 1e-12, 1e-9, 1e-7, 1e-5, 1e-3])
def test_euler_angles_give_the_same_rotation_at_and_near_gimbal_lock(order: str, distance: float):
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (50, 3))
    angles[:, 1] = np.sign(angles[:, 1]) * (np.pi / 2.0 - distance)
    q = rotation.from_euler(order, angles)
    again = rotation.from_euler(order, rotation.to_euler(order, q))
    assert np.max(rotation.angle(q, again)) < 1e-7


def test_angle_is_the_size_of_the_relative_rotation():
    a, b = random_rotations(seed=1), random_rotations(seed=2)
    assert np.allclose(rotation.angle(a, b), (oracle(a).inv() * oracle(b)).magnitude(), atol=1e-12)


def test_slerp_goes_the_short_way_at_constant_speed():
    a, b = random_rotations(100, seed=1), random_rotations(100, seed=2)
    whole = rotation.angle(a, b)
    for t in (0.0, 0.25, 1.0):
        mid = rotation.slerp(a, -b, t)
        assert np.allclose(rotation.angle(a, mid), t * whole, atol=1e-7)
        assert np.allclose(rotation.angle(mid, b), (1 - t) * whole, atol=1e-7)


def test_between_turns_one_direction_onto_the_other_by_the_smallest_angle():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(200, 3)), rng.normal(size=(200, 3))
    b[:20] = -a[:20] * rng.uniform(0.1, 9.0, (20, 1))
    b[20:40] = a[20:40] * 3.0
    q = rotation.between(a, b)
    unit = [v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b)]
    assert np.allclose(rotation.rotate(q, unit[0]), unit[1], atol=1e-7)
    expected = np.arctan2(np.linalg.norm(np.cross(*unit), axis=-1), np.sum(unit[0] * unit[1], axis=-1))
    assert np.allclose(rotation.angle(q, rotation.IDENTITY), expected, atol=1e-6)
    assert np.array_equal(rotation.between(np.zeros(3), a[0]), rotation.IDENTITY)


def test_twist_is_the_part_about_the_axis():
    q, axis = random_rotations(100), np.array([0.0, 0.6, 0.8])
    about = rotation.twist(q, axis)
    swing = rotation.multiply(q, rotation.inverse(about))
    assert np.allclose(np.cross(about[:, 1:], axis), 0.0, atol=1e-12)
    assert np.allclose(swing[:, 1:] @ axis, 0.0, atol=1e-12)


def test_continuous_changes_signs_only_and_leaves_no_jump():
    q = rotation.from_rotvec(np.linspace(0, 20, 400)[:, None] * np.array([0.0, 0.6, 0.8]))
    torn = q * np.random.default_rng(0).choice([-1.0, 1.0], (400, 1))
    whole = rotation.continuous(torn)
    assert np.allclose(np.abs(whole), np.abs(q), atol=1e-12)
    assert np.all(np.sum(whole[1:] * whole[:-1], axis=-1) > 0)


def test_reordering_components_there_and_back_changes_nothing():
    q = random_rotations(5)
    assert np.array_equal(rotation.wxyz_from_xyzw(rotation.xyzw_from_wxyz(q)), q)
