"""Both engines make the same physics of one Character."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from people import smpl_skeleton

from retarget import kinematics, rotation
from sfv_core.character import deepmimic
from sfv_core.character.build import character_for
from sfv_core.character.character import Character
from sfv_core.character.mjcf import mjcf
from sfv_core.character.urdf import urdf
from sfv_core.imitate.environment import Environment
from sfv_core.imitate.reference import make_reference
from sfv_core.imitate.start import anywhere
from sfv_core.physics.engine import PHYSICS_RATE, Conditions, State, local_motion, open_engine

bullet: Any = pytest.importorskip("pybullet")
mujoco: Any = pytest.importorskip("mujoco")

CHARACTERS = {"deepmimic": character_for(deepmimic.skeleton()), "atlas": character_for(deepmimic.skeleton(), "atlas"),
              "person": character_for(smpl_skeleton())}
each = pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS.keys())
ENGINES = ("pybullet", "mujoco")


def standing(character: Character, height: float = 0.0) -> State:
    """Return one body at rest whose soles are at a height in m."""
    places, turns = kinematics.rest_pose(character.skeleton)
    count = len(character.links)
    places, turns = places[None, :count], turns[None, :count]
    up = height - character.lowest(places, turns).min()
    still = np.zeros((1, count, 3))
    return State(places + [0, 0, up], turns, still, still.copy())


def mass_centre(character: Character, state: State) -> np.ndarray:
    masses = np.array([link.mass for link in character.links]) / character.mass
    centres = state.positions + rotation.rotate(state.rotations, character.centres)
    return np.einsum("l,nlk->k", masses, centres)


@each
def test_mass_centre_and_inertia_of_every_link_are_read_back_from_both_files(
        character: Character, tmp_path: Path) -> None:
    for read in (read_by_pybullet, read_by_mujoco):
        links = read(character, tmp_path)
        assert len(links) == len(character.links)
        for link in character.links:
            mass, centre, inertia = links[link.name]
            assert mass == pytest.approx(link.mass, rel=1e-6)
            assert centre == pytest.approx(link.centre_of_mass, abs=1e-6)
            assert inertia == pytest.approx(link.inertia(), abs=2e-5 * np.trace(link.inertia()))


Read = dict[str, tuple[float, np.ndarray, np.ndarray]]


def read_by_pybullet(character: Character, folder: Path) -> Read:
    """Return mass, mass centre and inertia in its own frame of each link of the URDF, as PyBullet has them."""
    path = folder / "character.urdf"
    path.write_text(urdf(character), encoding="utf-8")
    client = bullet.connect(bullet.DIRECT)
    try:
        flags = bullet.URDF_USE_INERTIA_FROM_FILE | bullet.URDF_MAINTAIN_LINK_ORDER
        body = bullet.loadURDF(str(path), flags=flags, physicsClientId=client)
        found: Read = {}
        for joint in range(bullet.getNumJoints(body, physicsClientId=client)):
            name = bullet.getJointInfo(body, joint, physicsClientId=client)[12].decode()
            mass, _, moments, centre, turn = bullet.getDynamicsInfo(body, joint, physicsClientId=client)[:5]
            frame = rotation.to_matrix(rotation.wxyz_from_xyzw(np.array(turn)))
            found[name] = mass, np.array(centre), frame @ np.diag(moments) @ frame.T
        return found
    finally:
        bullet.disconnect(client)


def read_by_mujoco(character: Character, folder: Path) -> Read:
    """Return the same of each body of the MJCF, as MuJoCo has them."""
    path = folder / "character.xml"
    path.write_text(mjcf(character), encoding="utf-8")
    model = mujoco.MjModel.from_xml_path(str(path))
    found: Read = {}
    for number in range(1, model.nbody):
        frame = rotation.to_matrix(model.body_iquat[number])
        found[model.body(number).name] = (float(model.body_mass[number]), model.body_ipos[number],
                                          frame @ np.diag(model.body_inertia[number]) @ frame.T)
    return found


@each
@pytest.mark.parametrize("engine", ENGINES)
def test_a_body_falls_as_fast_as_the_formula_says(character: Character, engine: str) -> None:
    worlds = open_engine(engine, character, 1)
    worlds.reset(np.array([0]), standing(character, 5.0))
    start = mass_centre(character, worlds.read())
    steps = PHYSICS_RATE // 2
    worlds.step(np.zeros((1, character.coordinates)), steps)
    end = mass_centre(character, worlds.read())
    worlds.close()
    fallen = 9.8 * steps * (steps + 1) / 2 / PHYSICS_RATE**2  # velocities first, then places, as both engines do
    assert end - start == pytest.approx([0, 0, -fallen], abs=1e-3)


@each
@pytest.mark.parametrize("joint", ["left_knee", "right_shoulder", "spine3", "left_ankle"])
def test_a_muscle_pulls_its_joint_alike_in_both_engines(character: Character, joint: str) -> None:
    """Without gravity and ground, a step in one joint's target that its motor need not be at its limit for.

    At their limits motors of light links differ: MuJoCo's pulls all of a 240th second, PyBullet's looks ahead.
    """
    step = 0.15
    i = character.index(joint)
    local = np.tile(rotation.IDENTITY, (1, len(character.links), 1))
    axis = np.array(character.links[i].axis) if i in character.hinges else np.array([1.0, 0.0, 0.0])
    local[0, i] = rotation.from_rotvec(step * axis)
    targets = character.to_coordinates(local)
    curves = []
    for engine in ENGINES:
        worlds = open_engine(engine, character, 1, Conditions(gravity=(0.0, 0.0, 0.0)))
        worlds.reset(np.array([0]), standing(character, 5.0))
        curve = []
        for _ in range(30):
            worlds.step(targets, PHYSICS_RATE // 30)
            curve.append(rotation.to_rotvec(local_motion(character, worlds.read())[0][0, i]) @ axis)
        worlds.close()
        curves.append(curve)
    a, b = np.array(curves)
    assert np.abs(a - b).max() < 0.03 * step
    assert [a[-1], b[-1]] == pytest.approx([step, step], rel=0.01)


@each
def test_a_standing_body_rests_on_the_ground_at_the_same_height_in_both_engines(character: Character) -> None:
    """PyBullet lets soles sink 2 to 7 mm, the more the heavier the body, MuJoCo about 1 mm."""
    heights = []
    for engine in ENGINES:
        worlds = open_engine(engine, character, 1)
        worlds.reset(np.array([0]), standing(character, 0.001))
        worlds.step(np.zeros((1, character.coordinates)), PHYSICS_RATE // 2)
        state = worlds.read()
        assert set(np.flatnonzero(worlds.contacts()[0])) == {character.index("left_ankle"),
                                                             character.index("right_ankle")}
        heights.append(character.lowest(state.positions, state.rotations).min())
        worlds.close()
    assert heights[0] == pytest.approx(heights[1], abs=0.008)
    assert max(np.abs(heights)) < 0.008


@each
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("friction", [0.3, 0.9])
def test_the_ground_brakes_a_sliding_body_by_the_friction_asked_for(
        character: Character, engine: str, friction: float) -> None:
    """Whatever touches, the ground's push back is its push up times the friction while all of it slides."""
    body, start = standing(character), np.array([4.0, 0.0, 0.0])
    lying = rotation.from_rotvec(np.array([-np.pi / 2, 0.0, 0.0]))
    turns = rotation.multiply(np.broadcast_to(lying, body.rotations.shape), body.rotations)
    places = rotation.rotate(lying, body.positions)
    places[..., 2] -= character.lowest(places, turns).min()
    worlds = open_engine(engine, character, 1, Conditions(friction=friction))
    worlds.reset(np.array([0]), State(places, turns, np.broadcast_to(start, places.shape), body.spins))
    steps = PHYSICS_RATE // 10
    worlds.step(np.zeros((1, character.coordinates)), steps)
    masses = np.array([link.mass for link in character.links]) / character.mass
    gained = masses @ worlds.read().velocities[0] - start
    worlds.close()
    up = gained[2] + 9.8 * steps / PHYSICS_RATE
    assert up > 0.5
    assert -gained[0] / up == pytest.approx(friction, rel=0.1)


@pytest.mark.parametrize("clip", ["walk", "cartwheel"])
def test_a_policy_brings_about_the_same_return_in_both_engines(clip: str) -> None:
    """The policy is that of a training's first moment, which asks for the reference itself: it falls after a second."""
    character, count = CHARACTERS["deepmimic"], 32
    reference = make_reference(deepmimic.load_clip(clip), character)
    returns, survived = [], []
    for engine in ENGINES:
        environment = Environment(open_engine(engine, character, count), reference, np.random.default_rng(3))
        environment.reset(np.arange(count), anywhere)
        alive, steps, reward = np.ones(count, bool), 0, 0.0
        for _ in range(60):
            outcome = environment.step(np.zeros((count, character.coordinates)))
            alive &= ~outcome.failed
            steps, reward = steps + int(alive.sum()), reward + float(outcome.rewards[alive].sum())
        environment.engine.close()
        returns.append(reward)
        survived.append(steps)
    assert returns[0] == pytest.approx(returns[1], rel=0.12)
    assert survived[0] == pytest.approx(survived[1], rel=0.12)
