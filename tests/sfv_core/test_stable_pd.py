"""Motors of many bodies: inertia about the joints, and torques that know what touches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from people import smpl_skeleton

from sfv_core.character import deepmimic
from sfv_core.character.build import character_for
from sfv_core.character.character import Character
from sfv_core.character.mjcf import mjcf
from sfv_core.imitate.states import Reduced, compose
from sfv_core.physics.engine import PHYSICS_RATE, State
from sfv_core.physics.stable_pd import TRUST, StablePd

mujoco: Any = pytest.importorskip("mujoco")

CHARACTERS = {"deepmimic": character_for(deepmimic.skeleton()), "person": character_for(smpl_skeleton())}
each = pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS.keys())


def motors(character: Character) -> StablePd:
    """Return the motors of a character whose coordinates turn about its links' own axes."""
    return StablePd(character, np.concatenate([*[np.eye(3) for _ in character.balls], character.axes]))


def poses(character: Character, count: int = 5) -> Reduced:
    """Return bodies here and there in any pose, at rest."""
    generator = np.random.default_rng(4)
    turns = generator.normal(size=(count, 4))
    still = np.zeros((count, 3))
    return Reduced(generator.normal(size=(count, 3)) * 10, turns / np.linalg.norm(turns, axis=1, keepdims=True),
                   generator.uniform(0, 1.2, (count, character.coordinates)), still, still,
                   np.zeros((count, character.coordinates)))


@each
def test_free_bodies_answer_to_torques_as_mujoco_says(character: Character) -> None:
    reduced = poses(character)
    model = mujoco.MjModel.from_xml_string(mjcf(character))
    model.dof_armature[:] = 0.0
    data = mujoco.MjData(model)
    joints = [model.joint(link.name).id for link in character.links]
    columns = [model.jnt_dofadr[joints[i]] + k for i in character.balls for k in range(3)]
    columns += [model.jnt_dofadr[joints[i]] for i in character.hinges]
    local = character.to_rotations(reduced.coordinates)
    answers = motors(character).response(compose(character, reduced)).free
    for k, answer in enumerate(answers):
        data.qpos[:3], data.qpos[3:7] = reduced.place[k], reduced.turn[k]
        for i in character.balls:
            place = model.jnt_qposadr[joints[i]]
            data.qpos[place : place + 4] = local[k, i]
        for j, i in enumerate(character.hinges):
            data.qpos[model.jnt_qposadr[joints[i]]] = reduced.coordinates[k, 3 * len(character.balls) + j]
        mujoco.mj_forward(model, data)
        inertia = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, data, inertia)
        expected = np.linalg.inv(inertia)[np.ix_(columns, columns)]
        assert answer == pytest.approx(expected, rel=1e-4, abs=1e-6 * np.abs(expected).max())


@each
def test_joints_that_something_holds_get_most_of_what_their_gains_ask_for(character: Character) -> None:
    """While held, motors bring nothing: what holds takes away all that the free body would do."""
    pd = motors(character)
    response = pd.response(compose(character, poses(character, 1)))
    errors, still = np.full((1, character.coordinates), 1e-3), np.zeros((1, character.coordinates))
    first, brought = pd.torques(errors, still, still, response)
    torques = first
    for _ in range(300):
        torques, brought = pd.torques(errors, still, -brought, response)
    owners = [character.links[i] for i in character.owners]
    gains, damping = (np.array([getattr(link, name) for link in owners]) for name in ("stiffness", "damping"))
    reach = np.eye(len(owners)) + (1 - TRUST) / PHYSICS_RATE * damping[:, None] * response.free[0]
    assert torques[0] == pytest.approx(np.linalg.solve(reach, 1e-3 * gains), rel=1e-6)
    ankle = [link.name for link in owners].index("left_ankle")
    assert torques[0, ankle] > 4 * first[0, ankle]


@each
def test_torques_stay_within_the_limits(character: Character) -> None:
    pd = motors(character)
    response = pd.response(compose(character, poses(character, 1)))
    far, still = np.full((1, character.coordinates), 50.0), np.zeros((1, character.coordinates))
    torques, _ = pd.torques(far, still, still, response)
    limits = [character.links[i].torque for i in character.owners]
    assert np.all(np.abs(torques) <= limits)
    assert np.isfinite(torques).all()


def squatting(character: Character, bend: float) -> tuple[State, np.ndarray]:
    """Return a body with flat soles and bent knees, and the coordinates that ask for the pose."""
    local = np.zeros((1, character.coordinates))
    names = [character.links[i].name for i in character.balls]
    for side in ("left", "right"):
        knee = character.index(f"{side}_knee")
        axis = np.array(character.links[knee].axis)
        for name, angle in ((f"{side}_hip", -bend), (f"{side}_ankle", -bend)):
            start = 3 * names.index(name)
            local[0, start : start + 3] = angle * axis
        local[0, 3 * len(names) + character.hinges.tolist().index(knee)] = 2 * bend
    still = np.zeros((1, 3))
    state = compose(character, Reduced(np.zeros((1, 3)), np.array([[1.0, 0, 0, 0]]), local, still, still,
                                       np.zeros_like(local)))
    low = character.lowest(state.positions, state.rotations).min()
    return State(state.positions - [0, 0, low], state.rotations, state.velocities, state.spins), local


@each
def test_bent_knees_carry_the_body_alike_in_both_engines(character: Character) -> None:
    pytest.importorskip("pybullet")
    from sfv_core.physics.engine import local_motion, open_engine

    heights, knees = [], []
    for engine in ("pybullet", "mujoco"):
        worlds = open_engine(engine, character, 1)
        state, targets = squatting(character, 0.5)
        worlds.reset(np.array([0]), state)
        worlds.step(targets, PHYSICS_RATE // 4)
        now = worlds.read()
        coordinates = character.to_coordinates(local_motion(character, now)[0])[0]
        knees.append((coordinates - targets[0])[-len(character.hinges):])
        heights.append(float((now.positions - state.positions)[0, 0, 2]))
        worlds.close()
    assert heights[0] == pytest.approx(heights[1], abs=0.008)
    assert knees[0] == pytest.approx(knees[1], abs=0.03)
