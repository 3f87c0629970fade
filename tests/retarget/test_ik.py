"""Laws of two bones that reach."""

from __future__ import annotations

import numpy as np
import pytest

from retarget import rotation
from retarget.ik import reach

THIGH, SHIN, COUNT = 0.4, 0.42, 500


def limbs(bend: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Make limbs in any direction, bent by angles (n,) in rad: hip, knee, ankle and hinge."""
    rng = np.random.default_rng(2)
    hip, turn = rng.normal(size=(COUNT, 3)), rotation.normalize(rng.normal(size=(COUNT, 4)))
    hinge = rotation.rotate(turn, [1.0, 0.0, 0.0])
    knee = hip + rotation.rotate(turn, [0.0, 0.0, -THIGH])
    below = rotation.multiply(rotation.from_rotvec(hinge * bend[:, None]), turn)
    return hip, knee, knee + rotation.rotate(below, [0.0, 0.0, -SHIN]), hinge


def posed(hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray, turns: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Return knee and ankle after the turns."""
    new = hip + rotation.rotate(turns[0], knee - hip)
    return new, new + rotation.rotate(turns[1], ankle - knee)


@pytest.mark.parametrize("bend", [0.0, 0.001, 0.8, 2.0])
def test_the_end_is_at_its_goal_wherever_it_can_be(bend: float):
    hip, knee, ankle, hinge = limbs(np.full(COUNT, bend))
    goal = hip + np.random.default_rng(3).normal(size=(COUNT, 3)) * 0.4
    turns = reach(hip, knee, ankle, goal, hinge)
    _, end = posed(hip, knee, ankle, turns)
    far = np.linalg.norm(goal - hip, axis=1)
    there = (far < THIGH + SHIN) & (far > SHIN - THIGH)
    assert there.sum() > 100
    assert np.abs(end - turns[2]).max() < 1e-7
    assert np.abs(end - goal)[there].max() < 1e-7
    beyond = far > THIGH + SHIN
    assert np.allclose(np.linalg.norm(end - hip, axis=1)[beyond], THIGH + SHIN)


@pytest.mark.parametrize("bend", [0.0, 0.3, 1.5])
def test_a_limb_bends_about_its_hinge_as_a_knee_does(bend: float):
    hip, knee, ankle, hinge = limbs(np.full(COUNT, bend))
    goal = hip + 0.6 * (ankle - hip)
    turns = reach(hip, knee, ankle, goal, hinge)
    new, end = posed(hip, knee, ankle, turns)
    assert np.all(np.sum(np.cross(new - hip, end - new) * hinge, axis=1) > 0)


@pytest.mark.parametrize("bend", [-0.1, 0.0, 1e-6, 0.5, 2.5])
def test_a_limb_that_is_where_it_should_be_stays(bend: float):
    hip, knee, ankle, hinge = limbs(np.full(COUNT, bend))
    upper, lower, _ = reach(hip, knee, ankle, ankle, hinge)
    assert rotation.angle(upper, rotation.IDENTITY).max() < 1e-6
    assert rotation.angle(lower, rotation.IDENTITY).max() < 1e-6


def test_limbs_without_length_do_no_harm():
    still = np.zeros((3, 3))
    turns = reach(still, still, still, still + 1.0, np.tile([1.0, 0.0, 0.0], (3, 1)))
    assert all(np.isfinite(turn).all() for turn in turns)


def test_a_goal_that_moves_smoothly_is_followed_without_jumps():
    time = np.linspace(0.0, 1.0, COUNT)[:, None]
    hip = np.zeros((COUNT, 3))
    knee, ankle = hip + [0.0, -0.01, -THIGH], hip + [0.0, 0.0, -THIGH - SHIN]
    goal = hip + [0.0, 0.0, -1.0] * (0.9 - 0.5 * time) + [0.3, -0.2, 0.0] * time
    upper, lower, _ = reach(hip, knee, ankle, goal, np.tile([1.0, 0.0, 0.0], (COUNT, 1)))
    first = np.argmax(np.linalg.norm(goal, axis=1) < THIGH + SHIN) + 1
    for turn in (upper[first:], lower[first:]):
        assert rotation.angle(turn[1:], turn[:-1]).max() < 0.1
