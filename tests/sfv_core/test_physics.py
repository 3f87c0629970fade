"""The physics engines behind their interface."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from people import smpl_skeleton

from retarget import kinematics, rotation
from sfv_core.character import deepmimic
from sfv_core.character.build import character_for
from sfv_core.character.character import Character
from sfv_core.character.fit import fit
from sfv_core.errors import SfvError
from sfv_core.imitate.environment import Environment
from sfv_core.imitate.reference import make_reference
from sfv_core.physics.engine import PHYSICS_RATE, Engine, State, local_motion, open_engine

CHARACTERS = {"deepmimic": character_for(deepmimic.skeleton()), "smpl": character_for(smpl_skeleton())}
ENGINES = ("pybullet", "mujoco")
in_each = pytest.mark.parametrize("name", ENGINES)
each = pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS.keys())


def at_rest(character: Character, worlds: int, height: float) -> State:
    """Return the rest pose with the root at a height in m, without motion."""
    places, turns = kinematics.rest_pose(character.skeleton)
    count = len(character.links)
    still = np.zeros((worlds, count, 3))
    return State(np.tile(places[:count] + [0, 0, height], (worlds, 1, 1)), np.tile(turns[:count], (worlds, 1, 1)),
                 still, still.copy())


def opened(name: str, character: Character, worlds: int, height: float = 20.0) -> Engine:
    engine = open_engine(name, character, worlds)
    engine.reset(np.arange(worlds), at_rest(character, worlds, height))
    return engine


def some_pose(character: Character, seed: int) -> np.ndarray:
    """Return joint coordinates that a body can take."""
    generator = np.random.default_rng(seed)
    balls, hinges = 3 * len(character.balls), len(character.hinges)
    return np.concatenate([generator.normal(0, 0.2, balls), generator.uniform(0.2, 1.0, hinges)])[None]


def mass_centre(character: Character, state: State) -> np.ndarray:
    masses = np.array([link.mass for link in character.links]) / character.mass
    centres = state.positions + rotation.rotate(state.rotations, character.centres)
    return np.einsum("l,nlk->nk", masses, centres)


@in_each
@each
def test_what_is_set_is_what_is_read(name: str, character: Character) -> None:
    engine = open_engine(name, character, 2)
    generator = np.random.default_rng(1)
    count = len(character.links)
    local = character.to_rotations(np.concatenate([some_pose(character, 2), some_pose(character, 3)]))
    local[:, 0] = rotation.normalize(generator.normal(size=(2, 4)))
    root = generator.normal(size=(2, 3)) + [0, 0, 5]
    places, turns = kinematics.forward(character.skeleton, root, np.concatenate(
        [local, np.tile(rotation.IDENTITY, (2, 2, 1))], axis=1))
    rates = generator.normal(0, 2, (2, character.coordinates))
    velocities, spins = _consistent_velocities(character, places[:, :count], turns[:, :count], rates, generator)
    state = State(places[:, :count], turns[:, :count], velocities, spins)
    engine.reset(np.array([1, 0]), state[np.array([1, 0])])
    read = engine.read()
    assert read.positions == pytest.approx(state.positions, abs=1e-5)
    assert rotation.angle(read.rotations, state.rotations).max() < 1e-5
    assert read.spins == pytest.approx(state.spins, abs=1e-4)
    assert read.velocities == pytest.approx(state.velocities, abs=1e-4)


def _consistent_velocities(character: Character, places: np.ndarray, turns: np.ndarray, rates: np.ndarray,
                           generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return velocities of mass centres and spins that the joints allow, from joint rates (N, C) in rad/s."""
    joint = np.zeros_like(places)
    split = 3 * len(character.balls)
    joint[:, character.balls] = rates[:, :split].reshape(len(rates), -1, 3)
    joint[:, character.hinges] = rates[:, split:, None] * character.axes
    spins, origins = np.empty_like(places), np.empty_like(places)
    spins[:, 0], origins[:, 0] = generator.normal(size=(len(rates), 3)), generator.normal(size=(len(rates), 3))
    for i in range(1, len(character.links)):
        parent = character.parents[i]
        spins[:, i] = spins[:, parent] + rotation.rotate(turns[:, i], joint[:, i])
        origins[:, i] = origins[:, parent] + np.cross(spins[:, parent], places[:, i] - places[:, parent])
    return origins + np.cross(spins, rotation.rotate(turns, character.centres)), spins


@in_each
@each
def test_a_falling_body_follows_gravity_whatever_its_muscles_do(name: str, character: Character) -> None:
    engine = opened(name, character, 1)
    start = mass_centre(character, engine.read())
    steps = PHYSICS_RATE // 2
    engine.step(some_pose(character, 0), steps)
    state = engine.read()
    masses = np.array([link.mass for link in character.links]) / character.mass
    seconds = steps / PHYSICS_RATE
    fallen = mass_centre(character, state) - start
    assert masses @ state.velocities[0] == pytest.approx([0, 0, -9.8 * seconds], abs=0.06)
    assert fallen[0] == pytest.approx([0, 0, -9.8 / 2 * seconds**2], abs=0.03)


@in_each
@each
def test_muscles_pull_the_joints_to_their_targets(name: str, character: Character) -> None:
    engine = opened(name, character, 1)
    target = some_pose(character, 0)
    wanted = character.to_rotations(target)[:, 1:]
    before = rotation.angle(local_motion(character, engine.read())[0][:, 1:], wanted)
    engine.step(target, PHYSICS_RATE)
    after = rotation.angle(local_motion(character, engine.read())[0][:, 1:], wanted)
    assert np.median(after / before) < 0.05
    assert after.mean() < 0.15 * before.mean()


@in_each
@each
def test_a_standing_body_touches_the_ground_with_its_feet_and_stays_above_it(name: str, character: Character) -> None:
    places = at_rest(character, 1, 0.0)
    height = -character.lowest(places.positions, places.rotations).min() + 0.005
    engine = opened(name, character, 1, height)
    engine.step(np.zeros((1, character.coordinates)), PHYSICS_RATE // 4)
    state = engine.read()
    feet = [character.index("left_ankle"), character.index("right_ankle")]
    assert np.flatnonzero(engine.contacts()[0]).tolist() == sorted(feet)
    assert character.lowest(state.positions, state.rotations).min() > -0.01


@in_each
def test_worlds_do_not_touch_each_other_and_repeat_themselves(name: str) -> None:
    character = CHARACTERS["deepmimic"]
    targets = np.concatenate([some_pose(character, seed) for seed in range(3)])
    together, alone = opened(name, character, 3, 1.0), opened(name, character, 1, 1.0)
    together.step(targets, 60)
    alone.step(targets[1:2], 60)
    assert np.array_equal(together.read().positions[1], alone.read().positions[0])
    still = together.read().positions[0]
    together.step(targets, 8, np.array([2]))
    assert np.array_equal(together.read().positions[0], still)


@in_each
def test_a_world_that_broke_works_again_after_a_reset(name: str) -> None:
    character = CHARACTERS["deepmimic"]
    engine = opened(name, character, 2)
    bad = at_rest(character, 1, 20.0)
    engine.reset(np.array([0]), State(bad.positions, bad.rotations, bad.velocities * np.nan, bad.spins))
    engine.step(np.zeros((2, character.coordinates)), 4)
    assert engine.read().finite().tolist() == [False, True]
    engine.reset(np.array([0]), bad)
    engine.step(np.zeros((2, character.coordinates)), 4)
    assert engine.read().finite().all()


@in_each
@pytest.mark.parametrize("target", [np.nan, 1e30], ids=["NaN", "huge"])
def test_a_world_with_mad_targets_leaves_the_others_alone_and_works_again(name: str, target: float) -> None:
    character = CHARACTERS["deepmimic"]
    engine, calm = opened(name, character, 2, 1.0), opened(name, character, 1, 1.0)
    targets = np.concatenate([some_pose(character, 0), some_pose(character, 1)])
    targets[0] = target
    engine.step(targets, 8)
    calm.step(targets[1:], 8)
    finite = engine.read().finite()
    assert finite[1] and not (finite[0] and np.isnan(target))
    assert np.array_equal(engine.read().positions[1], calm.read().positions[0])
    engine.reset(np.array([0]), at_rest(character, 1, 1.0))
    targets[0] = targets[1]
    engine.step(targets, 8)
    assert engine.read().finite().all()


@in_each
def test_a_world_that_breaks_twice_is_seen_to_break_twice(name: str) -> None:
    character = CHARACTERS["deepmimic"]
    engine, forces = opened(name, character, 2), np.zeros((2, len(character.links), 3))
    forces[0] = np.nan
    for _ in range(2):
        engine.step(np.zeros((2, character.coordinates)), 8, forces=forces)
        assert engine.read().finite().tolist() == [False, True]
        engine.reset(np.array([0]), at_rest(character, 1, 20.0))
        assert engine.read().finite().all()


@in_each
def test_the_environment_counts_and_mends_worlds_that_broke(name: str) -> None:
    motion = deepmimic.load_clip("walk")
    character = character_for(motion.skeleton)
    reference = make_reference(fit(motion, character), character)
    environment = Environment(open_engine(name, character, 3), reference, np.random.default_rng(0))
    actions = np.zeros((3, character.coordinates))
    actions[1] = np.nan
    outcome = environment.step(actions)
    assert environment.broken == 1
    assert outcome.failed.tolist() == [False, True, False]
    assert np.isfinite(outcome.rewards).all() and np.isfinite(environment.observe()).all()


@in_each
def test_nothing_is_printed_and_no_file_is_left_whatever_happens(name: str, tmp_path: Path) -> None:
    code = ("import numpy as np; from sfv_core.character import deepmimic, build; from sfv_core.physics import engine; "
            f"made = engine.open_engine('{name}', build.character_for(deepmimic.skeleton()), 1); "
            "made.step(np.full((1, made.character.coordinates), np.nan), 8); made.close()")
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
                          env={**os.environ, "PYTHONPATH": root})
    assert (done.stdout, done.stderr, list(tmp_path.iterdir())) == ("", "", [])


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(SfvError, match="No physics engine 'havok'"):
        open_engine("havok", CHARACTERS["deepmimic"], 1)
