"""The parts of learning: reference, reward, observation, advantages, policy files."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from people import squatting

from retarget import kinematics, rotation
from retarget.motion import Motion, Skeleton
from sfv_core.character import deepmimic
from sfv_core.character.build import character_for
from sfv_core.character.character import Character
from sfv_core.character.fit import fit
from sfv_core.config import SimulateConfig, TrainConfig
from sfv_core.errors import SfvError
from sfv_core.imitate import reward as rewards
from sfv_core.imitate.environment import LEAD, SUBSTEPS, Environment
from sfv_core.imitate.evaluate import evaluate
from sfv_core.imitate.feedforward import asked_for
from sfv_core.imitate.group import Group
from sfv_core.imitate.policy import Network, Normaliser, Policy
from sfv_core.imitate.posture import posture
from sfv_core.imitate.ppo import Ppo, Recipe
from sfv_core.imitate.reference import Reference, make_reference
from sfv_core.imitate.rules import Rules
from sfv_core.imitate.start import beginning, fixed
from sfv_core.imitate.train import train
from sfv_core.physics.engine import PHYSICS_RATE, State, open_engine
from sfv_core.progress import no_progress
from sfv_core.takes.rollout import simulate

CLIPS = ("walk", "backflip", "kick")


def reference_of(motion: Motion) -> tuple[Character, Reference]:
    character = character_for(motion.skeleton)
    return character, make_reference(fit(motion, character), character)


def environment_of(motion: Motion, worlds: int, seed: int = 0, rules: Rules | None = None) -> Environment:
    character, reference = reference_of(motion)
    return Environment(open_engine("pybullet", character, worlds), reference, np.random.default_rng(seed), rules)


def turned(motion: Motion, angle: float, shift: np.ndarray) -> Motion:
    """Return the same motion elsewhere, facing another way."""
    turn = rotation.from_rotvec(np.array([0.0, 0.0, angle]))
    rotations = motion.rotations.copy()
    rotations[:, 0] = rotation.multiply(turn, rotations[:, 0])
    return replace(motion, rotations=rotations, root_pos=rotation.rotate(turn, motion.root_pos) + shift)


@pytest.mark.parametrize("name", CLIPS)
def test_velocities_of_the_reference_are_those_of_its_places(name: str) -> None:
    character, reference = reference_of(deepmimic.load_clip(name))
    centres = reference.state.positions + rotation.rotate(reference.state.rotations, character.centres)
    travelled = np.cumsum(reference.state.velocities[:-1], axis=0) / PHYSICS_RATE
    assert np.abs(travelled - (centres[1:] - centres[0])).max() < 0.04
    step = 4  # half the window that velocities are measured over
    turns = kinematics.angular_velocity(reference.state.rotations[::step], PHYSICS_RATE / step)
    assert np.abs(turns - reference.state.spins[::step])[1:-1].max() < 1e-6
    if reference.loop:  # the last moment is the next cycle's first
        assert reference.state.velocities[-1] == pytest.approx(reference.state.velocities[0])
        assert reference.state.spins[-1] == pytest.approx(reference.state.spins[0])


@pytest.mark.parametrize("name", CLIPS)
def test_the_reward_is_one_at_the_reference_and_less_elsewhere(name: str) -> None:
    character, reference = reference_of(deepmimic.load_clip(name))
    rows = np.arange(0, reference.last, 7)
    goal = posture(character, reference.state[rows])
    assert rewards.reward(goal, goal, character) == pytest.approx(np.ones(len(rows)))
    other = posture(character, reference.state[(rows + 60) % reference.last])
    for term_name, _, term in rewards.REWARDS["code"]:
        values = term(other, goal, character)
        assert np.all((values > 0) & (values <= 1)), term_name
        assert values.mean() < 0.99, term_name


def test_pose_and_root_terms_are_the_formulas_they_name() -> None:
    character, reference = reference_of(deepmimic.load_clip("walk"))
    goal = posture(character, reference.state[np.array([30])])
    state = State(goal.state.positions + np.array([0.1, 0.0, 0.0]), *(
        getattr(goal.state, name) for name in ("rotations", "velocities", "spins")))
    assert rewards.root(posture(character, state), goal, character) == pytest.approx(np.exp(-5 * 0.01))
    assert rewards.ends(posture(character, state), goal, character) == pytest.approx(1.0)
    bent = goal.local.copy()
    knee = character.index("left_knee")
    bent[:, knee] = rotation.multiply(bent[:, knee], rotation.from_rotvec(np.array([0.5, 0.0, 0.0])))
    expected = np.exp(-2 * character.weights[knee] * 0.25)
    assert rewards.pose(replace(goal, local=bent), goal, character) == pytest.approx(expected)


def test_a_motion_that_loops_moves_on_and_one_that_ends_stays() -> None:
    _, walk = reference_of(deepmimic.load_clip("walk"))
    rows, shift = walk.lookup(np.array([5, walk.last + 5, 3 * walk.last + 5]))
    assert rows.tolist() == [5, 5, 5]
    assert shift[:, 1] == pytest.approx([0, walk.cycle[1], 3 * walk.cycle[1]])
    assert walk.cycle[1] < -1.0
    _, kick = reference_of(deepmimic.load_clip("kick"))
    rows, shift = kick.lookup(np.array([kick.last - 1, kick.last + 50]))
    assert rows.tolist() == [kick.last - 1, kick.last]
    assert not shift.any()


def test_an_episode_starts_as_the_reference_is() -> None:
    environment = environment_of(deepmimic.load_clip("backflip"), 16)
    now, goal = environment.now, environment.goal
    assert now.state.positions == pytest.approx(goal.state.positions, abs=1e-5)
    assert rotation.angle(now.state.rotations, goal.state.rotations).max() < 1e-5
    assert np.abs(now.state.spins - goal.state.spins).max() < 0.3
    assert rewards.reward(now, goal, environment.character).min() > 0.97
    assert len(set(environment.ticks)) > 8


def test_what_the_policy_sees_does_not_depend_on_where_and_which_way_the_motion_goes() -> None:
    motion = deepmimic.load_clip("walk")
    cases = (motion, turned(motion, 2.0, np.array([3.0, -1.0, 0.0])))
    plain = [environment_of(case, 3, 4, Rules(feedforward=False)).observe() for case in cases]
    assert plain[0].dtype == np.float32
    assert plain[0] == pytest.approx(plain[1], abs=1e-5)
    asked = [environment_of(case, 3, 4).observe() for case in cases]
    assert asked[0] == pytest.approx(asked[1], abs=2e-3)  # its friction pyramid lies along the world's axes


def test_the_same_seed_gives_the_same_episode() -> None:
    runs = []
    for _ in range(2):
        environment = environment_of(deepmimic.load_clip("walk"), 2, seed=3)
        for _ in range(5):
            outcome = environment.step(np.zeros((2, environment.character.coordinates)))
        runs.append((environment.observe(), outcome.rewards))
    assert np.array_equal(runs[0][0], runs[1][0])
    assert np.array_equal(runs[0][1], runs[1][1])


def test_a_fall_ends_an_episode_and_a_clips_end_only_cuts_it() -> None:
    environment = environment_of(deepmimic.load_clip("walk"), 1)
    limp = np.full((1, environment.character.coordinates), 3.0)
    outcomes = [environment.step(limp) for _ in range(30)]
    first = next(o for o in outcomes if o.ended[0])
    assert first.failed[0]
    assert not first.cut[0]
    assert first.rewards[0] == 0.0
    environment = environment_of(deepmimic.load_clip("kick"), 1)
    environment.reset(np.array([0]), lambda reference, count, _: np.full(count, reference.last - SUBSTEPS))
    assert environment.remaining().tolist() == [1]
    outcome = environment.step(np.zeros((1, environment.character.coordinates)))
    assert outcome.cut[0]
    assert not outcome.failed[0]


def test_a_world_whose_physics_breaks_counts_as_a_fall_and_goes_on() -> None:
    environment = environment_of(deepmimic.load_clip("walk"), 2)
    actions = np.zeros((2, environment.character.coordinates))
    actions[0] = np.nan
    assert environment.step(actions).failed.tolist() == [True, False]
    assert environment.broken == 1
    environment.reset(np.array([0]))
    environment.step(np.zeros_like(actions))
    assert np.isfinite(environment.observe()).all()


def test_targets_are_what_the_reference_asks_for_at_the_end_of_the_action() -> None:
    environment = environment_of(deepmimic.load_clip("walk"), 1)
    environment.reset(np.array([0]), fixed)
    asked = []
    step = environment.engine.step
    environment.engine.step = lambda targets, *rest: (asked.append(targets), step(targets, *rest))  # type: ignore
    environment.step(np.zeros((1, environment.character.coordinates)))
    assert asked[0][0] == pytest.approx(asked_for(environment.reference, environment.character)[LEAD])


def test_a_clip_that_ends_is_judged_over_its_whole_length() -> None:
    environment = environment_of(deepmimic.load_clip("kick"), 4)
    result = evaluate(environment, lambda seen: np.zeros((len(seen), environment.character.coordinates)), 4,
                      Group(0, 1, 0), lambda: None)
    whole = environment.reference.last / SUBSTEPS
    assert 0.9 * 4 * whole < result.possible <= 4 * (whole + 1)
    assert 0 < result.nr < result.survived <= 1
    ticks = beginning(environment.reference, 50, np.random.default_rng(0))
    assert ticks[0] == 0
    assert ticks.max() <= environment.reference.last / 10


def test_advantages_are_the_discounted_sums_of_their_definition() -> None:
    generator = np.random.default_rng(0)
    steps, worlds = 12, 3
    reward, values, following = (generator.normal(size=(steps, worlds)) for _ in range(3))
    ended = generator.random((steps, worlds)) < 0.2
    learner = Ppo.__new__(Ppo)
    learner.recipe = Recipe()
    discount, trace = learner.recipe.discount, learner.recipe.trace
    surprise = reward + discount * following - values
    expected = np.zeros((steps, worlds))
    for t in range(steps):
        for n in range(worlds):
            for k in range(t, steps):
                expected[t, n] += (discount * trace) ** (k - t) * surprise[k, n]
                if ended[k, n]:
                    break
    assert learner._advantages(reward, values, following, ended) == pytest.approx(expected)


def test_the_normaliser_knows_mean_and_variance_of_all_it_saw() -> None:
    parts = [np.random.default_rng(seed).normal(seed, 1 + seed, (50, 4)) for seed in range(3)]
    normaliser = Normaliser(4)
    for part in parts:
        normaliser.add(part.sum(0), (part**2).sum(0), len(part))
    everything = np.concatenate(parts)
    assert normaliser.mean == pytest.approx(everything.mean(0), abs=1e-4)
    assert normaliser.variance == pytest.approx(everything.var(0), rel=1e-4)


def test_a_learner_restored_learns_as_the_first_would_have() -> None:
    recipe = Recipe(worlds=4, batch=128, minibatch=64)
    learners = []
    for _ in range(2):
        learner = Ppo(environment_of(deepmimic.load_clip("walk"), 4), Group(0, 1, 0), 5, recipe)
        learners.append(learner)
    first, second = learners
    first.calm(0.9)
    first.iterate(lambda: None)
    second.restore(deepcopy(first.to_dict()))
    for learner in learners:
        learner.environment.generator = np.random.default_rng(9)
        learner.environment.reset(np.arange(4))
    assert first.iterate(lambda: None) == second.iterate(lambda: None)
    for network in ("network", "average"):
        for a, b in zip(getattr(first, network).parameters(), getattr(second, network).parameters(), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize(("survived", "left"), [(0.0, 0.0), (0.4, 0.45), (1.0, 0.9)])
def test_the_policy_that_is_kept_is_the_mean_of_the_last_iterations_the_more_the_longer_it_survives(
        survived: float, left: float) -> None:
    learner = Ppo(environment_of(deepmimic.load_clip("walk"), 4), Group(0, 1, 0), 5,
                  Recipe(worlds=4, batch=128, minibatch=64))
    learner.calm(survived)
    before = [weights.clone() for weights in learner.average.parameters()]
    learner.iterate(lambda: None)
    for old, new, now in zip(before, learner.average.parameters(), learner.network.parameters(), strict=True):
        assert new.numpy() == pytest.approx((left * old + (1 - left) * now.detach()).numpy(), abs=1e-6)
    assert not torch.equal(before[0], next(iter(learner.network.parameters())))


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy whose actions are the reference itself."""
    motion = squatting()
    character = character_for(motion.skeleton)
    environment = environment_of(motion, 1)
    size = environment.observe().shape[1]
    path = tmp_path_factory.mktemp("policy") / "policy.pt"
    Policy(Network(size, character.coordinates, (256, 128)), Normaliser(size), character, fit(motion, character),
           "pybullet").save(path)
    return path


def test_a_policy_survives_being_written(untrained: Path) -> None:
    a, b = Policy.load(untrained), Policy.load(untrained)
    observations = np.random.default_rng(0).normal(size=(3, a.normaliser.mean.size))
    assert np.array_equal(a.act(observations), b.act(observations))
    assert a.motion.rotations == pytest.approx(b.motion.rotations)
    assert a.character.mass == pytest.approx(character_for(squatting().skeleton).mass)


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os
        return os.system, ("echo owned",)


@pytest.mark.parametrize(("content", "message"), [
    (None, "No file"), (b"", "cannot be read"), (b"hello", "could run code|cannot be read"), ("cut", "cannot be read"),
    (_Evil(), "could run code"), ([1, 2], "holds a list"), ({"format": 1}, "not a policy"),
    ({"format": 99}, "format 99")], ids=["missing", "empty", "text", "cut", "code", "list", "other", "newer"])
def test_a_policy_file_that_is_none_is_refused_in_one_line(content: object, message: str, untrained: Path,
                                                          tmp_path: Path) -> None:
    path = tmp_path / "policy.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "cut":
        path.write_bytes(untrained.read_bytes()[:5000])
    elif content is not None:
        torch.save(content, path)
    out = tmp_path / "out.npz"
    with pytest.raises(SfvError, match=message) as caught:
        simulate(path, out, SimulateConfig(), no_progress)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert not out.exists()


def test_a_rollout_is_a_motion_of_named_joints_with_contacts(untrained: Path, tmp_path: Path) -> None:
    out = tmp_path / "rollout.npz"
    report = simulate(untrained.parent, out, SimulateConfig(), no_progress)
    motion = Motion.load(out)
    assert set(motion.skeleton.names) <= set(squatting().skeleton.names)
    assert motion.fps == 60
    assert report["frames"] == len(motion) == 121
    assert motion.root_pos[0, :2] == pytest.approx(squatting().root_pos[0, :2], abs=1e-6)
    assert motion.contacts is not None
    feet = [motion.skeleton.index(f"{side}_ankle") for side in ("left", "right")]
    assert motion.contacts[:, feet].mean() > 0.3
    assert np.isfinite(report["nr"])
    assert report["upright_seconds"] <= report["seconds"]
    assert (report["fell"] or report["lost_s"] is not None) == ("advice" in report)
    again = tmp_path / "again.npz"
    simulate(untrained, again, SimulateConfig(), no_progress)
    assert np.array_equal(Motion.load(again).rotations, motion.rotations)


def test_a_clip_that_ends_is_never_longer_than_itself(untrained: Path, tmp_path: Path) -> None:
    report = simulate(untrained, tmp_path / "r.npz", SimulateConfig(seconds=10.0), no_progress)
    assert report["seconds"] == pytest.approx(2.0)
    with pytest.raises(SfvError, match="cannot be made") as caught:
        simulate(untrained, tmp_path / "r.npz", SimulateConfig(seconds=-1.0), no_progress)
    assert str(untrained) in str(caught.value)


def test_a_policy_file_of_an_unknown_engine_is_refused_by_name(untrained: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.pt"
    torch.save(torch.load(untrained, weights_only=True) | {"engine": "havok"}, path)
    with pytest.raises(SfvError, match=r"policy\.pt': No physics engine 'havok'. Engines: pybullet, mujoco"):
        Policy.load(path)


@pytest.mark.parametrize("case", ["missing", "text", "one frame", "too short", "no legs", "nan"])
def test_a_motion_that_cannot_be_learnt_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    path, out = tmp_path / "motion.npz", tmp_path / "out"
    motion = squatting()
    if case == "text":
        path.write_text("hello")
    elif case == "one frame":
        motion.slice(0, 1).save(path)
    elif case == "too short":
        motion.slice(0, 4).save(path)
    elif case == "no legs":
        whole = motion.skeleton
        kept = [j for j, name in enumerate(whole.names) if not name.endswith(("_hip", "_knee", "_ankle", "_foot"))]
        parents = [kept.index(whole.parents[j]) if whole.parents[j] >= 0 else -1 for j in kept]
        names = tuple(whole.names[j] for j in kept)
        legless = Skeleton(names, parents, whole.offsets[kept], whole.rest_rotations[kept])
        Motion(legless, motion.fps, motion.root_pos, motion.rotations[:, kept]).save(path)
    elif case == "nan":
        motion.save(path)
        with np.load(path) as data:
            arrays = {key: data[key] for key in data.files}
        arrays["root_pos"][0] = np.nan
        np.savez(path, **arrays)
    with pytest.raises(SfvError) as caught:
        train(path, out, TrainConfig(), no_progress)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert not out.exists()
