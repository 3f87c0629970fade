"""Where episodes start, and that the distribution learns."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest

from retarget import rotation
from sfv_core.character.build import character_for
from sfv_core.character.character import Character
from sfv_core.character.deepmimic import load_clip
from sfv_core.character.fit import fit
from sfv_core.config import TrainConfig
from sfv_core.imitate import ppo, rules
from sfv_core.imitate.environment import Environment
from sfv_core.imitate.evaluate import evaluate
from sfv_core.imitate.group import Group
from sfv_core.imitate.ppo import Ppo, Recipe
from sfv_core.imitate.preset import preset_for
from sfv_core.imitate.reference import Reference, make_reference
from sfv_core.imitate.start import Adaptive, FailureBins, Plain, fixed, make_starts
from sfv_core.imitate.states import compose, reduce, unsettled
from sfv_core.physics.engine import open_engine

ALONE = Group(0, 1, 0)


def made(name: str) -> tuple[Character, Reference]:
    motion = load_clip(name)
    character = character_for(motion.skeleton)
    return character, make_reference(fit(motion, character), character)


@pytest.mark.parametrize("name", ["walk", "backflip", "getup_facedown"])
def test_reduced_coordinates_and_back_is_the_same_state(name: str) -> None:
    character, reference = made(name)
    again = compose(character, reduce(character, reference.state))
    assert np.abs(again.positions - reference.state.positions).max() < 1e-9
    assert rotation.angle(again.rotations, reference.state.rotations).max() < 1e-6
    once = compose(character, reduce(character, again))  # velocities that the joints can have
    assert np.abs(once.velocities - again.velocities).max() < 1e-9
    assert np.abs(once.spins - again.spins).max() < 1e-9
    speed = np.linalg.norm(reference.state.velocities, axis=-1)  # chords of a thirtieth of a second
    assert np.linalg.norm(again.velocities - reference.state.velocities, axis=-1).max() < 0.1 * max(speed.max(), 2.0)


def test_fixed_starts_are_the_first_moment_and_rsi_any() -> None:
    _, reference = made("walk")
    generator = np.random.default_rng(0)
    assert not Plain(reference, fixed).draw(5, generator)[0].any()
    ticks, state = Plain(reference).draw(500, generator)
    assert np.histogram(ticks, 5, (0, reference.last))[0].min() > 60
    assert np.array_equal(state.positions, reference.state.positions[ticks])


def test_bins_start_more_often_before_failures_and_still_anywhere() -> None:
    _, reference = made("backflip")
    bins = FailureBins(reference)
    even = bins.chances()
    assert even == pytest.approx(np.full(bins.bins, 1 / bins.bins))
    ticks = np.arange(reference.last)
    bad = 10
    for _ in range(5):
        bins.note(ticks, ticks * bins.bins // (reference.last + 1) == bad)
        bins.learn(np.zeros(0), ALONE)
    chances = bins.chances()
    assert chances.sum() == pytest.approx(1.0)
    assert chances[bad] == chances.max() and chances[bad - 3] > 1.5 * even[0] > chances[bad + 2]
    assert chances.min() >= (1 - bins.SHARE) / bins.bins - 1e-12
    other = FailureBins(reference)
    other.restore(bins.to_dict())
    assert other.chances() == pytest.approx(chances)


def test_failures_after_the_end_of_a_clip_do_not_count_for_its_start() -> None:
    _, reference = made("kick")
    bins = FailureBins(reference)
    ticks = np.arange(reference.last)
    bins.note(ticks, ticks < 20)
    bins.learn(np.zeros(0), ALONE)
    assert bins.chances()[-1] == pytest.approx((1 - bins.SHARE) / bins.bins)


def test_adaptive_starts_begin_at_the_phases_of_the_reference() -> None:
    character, reference = made("walk")
    starts = Adaptive(reference, character)
    ticks, state = starts.draw(400, np.random.default_rng(1))
    assert set(ticks) == set((np.arange(10) / 10 * reference.last).astype(int))
    apart = np.linalg.norm(state.positions - reference.state.positions[ticks], axis=-1)
    assert 0.001 < apart.mean() < 0.1
    bends = reduce(character, state).coordinates[:, -len(character.hinges):]
    assert bends.min() > -1e-9


def test_the_gradient_of_adaptive_starts_is_that_of_the_log_density() -> None:
    character, reference = made("walk")
    starts = Adaptive(reference, character)
    generator = np.random.default_rng(2)
    starts.weights = generator.normal(size=starts.COMPONENTS)
    starts.means = 0.3 * generator.normal(size=starts.means.shape)
    starts.log_spreads = 0.1 * generator.normal(size=starts.means.shape)
    chosen, point = np.array([3]), generator.normal(size=(1, starts.means.shape[1]))
    gradient = starts._gradient(chosen, point, np.ones(1))

    def log_density() -> float:
        spread = np.exp(starts.log_spreads[3])
        return float(np.log(starts.chances()[3]) - np.sum(0.5 * ((point[0] - starts.means[3]) / spread) ** 2
                                                           + starts.log_spreads[3]))

    for array, row, column in ((starts.weights, 3, None), (starts.weights, 5, None), (starts.means, 3, 7),
                               (starts.log_spreads, 3, 11)):
        place = (row,) if column is None else (row, column)
        before, step = array[place], 1e-6
        array[place] = before + step
        up = log_density()
        array[place] = before - step
        slope = (up - log_density()) / (2 * step)
        array[place] = before
        at = 0 if column is None else 1 + column + (starts.means.shape[1] if array is starts.log_spreads else 0)
        assert gradient[row, at] == pytest.approx(slope, abs=1e-5)


def test_adaptive_starts_move_to_where_returns_are_higher() -> None:
    character, reference = made("walk")
    starts = Adaptive(reference, character)
    generator = np.random.default_rng(3)
    for _ in range(60):
        starts.draw(7, generator)  # draws of an evaluation, which nothing is learnt from
        starts.learn(np.zeros(0), ALONE)
        starts.draw(200, generator)
        chosen, points = starts._taken[-1]
        returns = 0.1 * (chosen == 4) + 0.05 * points[:, 8]
        returns[:3] = np.nan
        starts.learn(returns, ALONE)
    assert starts.chances().argmax() == 4 and starts.chances()[4] > 0.15
    assert starts.means[:, 8].mean() > 0.3 > np.abs(starts.means[:, 20]).mean()
    other = Adaptive(reference, character)
    other.restore(starts.to_dict())
    assert np.array_equal(other.means, starts.means) and other.baseline == starts.baseline


@pytest.mark.parametrize("name", ["fixed", "rsi", "asi", "bins"])
def test_a_learner_goes_on_exactly_where_its_checkpoint_was(name: str) -> None:
    character, reference = made("walk")
    recipe = Recipe(worlds=8, batch=64, minibatch=32, epochs=2, widths=(32, 16))

    def learner() -> Ppo:
        engine = open_engine("mujoco", character, recipe.worlds)
        environment = Environment(engine, reference, np.random.default_rng(0), None,
                                  make_starts(name, reference, character))
        return Ppo(environment, ALONE, 5, recipe)

    def anew(learning: Ppo) -> None:
        learning.environment.generator = np.random.default_rng(9)
        learning.environment.reset(np.arange(recipe.worlds))

    first, second = learner(), learner()
    for _ in range(4):
        first.iterate(lambda: None)
    second.restore(deepcopy(first.to_dict()))
    for learning in (first, second):
        anew(learning)
        learning.iterate(lambda: None)
    for ours, theirs in zip(first.network.parameters(), second.network.parameters(), strict=True):
        assert np.array_equal(ours.detach().numpy(), theirs.detach().numpy())
    assert first.environment.starts.to_dict() == second.environment.starts.to_dict()


def test_presets_are_the_fast_recipe_and_deepmimics() -> None:
    _, reference = made("walk")
    fast = preset_for(TrainConfig(), reference)
    paper = preset_for(TrainConfig(preset="paper", start="asi"), reference)
    assert fast.rules.action == "residual" and fast.recipe.optimiser == "adam"
    assert paper.recipe == ppo.PAPER and paper.rules == rules.PAPER and paper.start == "asi"
    assert preset_for(replace(TrainConfig(), engine="mujoco"), reference).recipe.worlds > fast.recipe.worlds


def test_the_paper_preset_learns_with_its_own_networks() -> None:
    character, reference = made("walk")
    recipe = replace(ppo.PAPER, worlds=4, batch=64, minibatch=32)
    environment = Environment(open_engine("mujoco", character, 4), reference, np.random.default_rng(0), rules.PAPER)
    learner = Ppo(environment, ALONE, 0, recipe)
    assert environment.observe().shape[1] == 197
    before = learner.network.log_spread.detach().clone()
    figures = learner.iterate(lambda: None)
    assert figures["spread"] == pytest.approx(0.05) and np.array_equal(before, learner.network.log_spread.detach())
    assert environment.limit == 15


def test_a_policy_that_stays_up_explores_less_and_bears_noise_and_a_checkpoint_remembers_it() -> None:
    character, reference = made("walk")
    recipe = Recipe(worlds=8, batch=64, minibatch=32, epochs=1, widths=(32, 16))

    def learner() -> Ppo:
        return Ppo(Environment(open_engine("mujoco", character, 8), reference, np.random.default_rng(0)), ALONE, 0,
                   recipe)

    first, second = learner(), learner()
    first.calm(0.5)
    assert first.iterate(lambda: None)["spread"] == pytest.approx(0.3, abs=0.01)
    assert first.environment.unsettle == 0.0
    first.calm(0.9)
    assert first.iterate(lambda: None)["spread"] == pytest.approx(np.sqrt(0.3 * 0.1), abs=0.005)
    assert first.environment.unsettle == pytest.approx(0.5 * recipe.unsettle)
    first.calm(1.0)
    second.restore(deepcopy(first.to_dict()))
    assert second.environment.unsettle == recipe.unsettle
    assert second.iterate(lambda: None)["spread"] <= 0.1 + 1e-6


@pytest.mark.parametrize(("survived", "largest"), [(0.8, 0.0), (1.0, 0.15)])
def test_what_a_steady_policy_does_is_swayed_and_not_told_to_it(survived: float, largest: float) -> None:
    character, reference = made("walk")
    recipe = Recipe(worlds=8, batch=64, minibatch=32, epochs=1, widths=(32, 16))
    environment = Environment(open_engine("mujoco", character, 8), reference, np.random.default_rng(0))
    learner = Ppo(environment, ALONE, 0, recipe)
    learner.calm(survived)
    learner.iterate(lambda: None)
    assert environment.sway == largest
    evaluate(environment, lambda seen: np.zeros((8, character.coordinates)), 8, ALONE, lambda: None)
    assert environment.sway == 0.0


def test_sway_is_slow_and_starts_with_each_episode() -> None:
    character, reference = made("walk")
    engine = open_engine("mujoco", character, 400)
    asked: list[np.ndarray] = []
    environment = Environment(engine, reference, np.random.default_rng(0))
    environment.sway = 0.2 * (np.arange(400) >= 200)[:, None]
    environment.reset(np.arange(400), fixed)
    step = engine.step
    engine.step = lambda targets, *rest: (asked.append(targets), step(targets, *rest))  # type: ignore[method-assign]
    for _ in range(20):
        still = environment._centres()
        environment.step(np.zeros((400, character.coordinates)))
        asked[-1] = (asked[-1] - still) / environment.rules.action_scale
    noise = np.array(asked)
    assert not noise[:, :200].any()
    assert np.std(noise[-1, 200:]) == pytest.approx(0.2, rel=0.05)
    assert np.std(noise[0, 200:]) < 0.5 * 0.2
    alike = np.corrcoef(noise[-2, 200:].ravel(), noise[-1, 200:].ravel())[0, 1]
    assert alike == pytest.approx(np.exp(-1 / (0.25 * 30)), abs=0.03)
    environment.reset(np.arange(300), fixed)
    still = environment._centres()
    environment.step(np.zeros((400, character.coordinates)))
    again = (asked[-1] - still) / environment.rules.action_scale
    assert np.std(again[200:300]) < 0.5 * 0.2 < np.std(again[300:])


def test_states_that_are_unsettled_bend_at_the_joints_alone() -> None:
    character, reference = made("walk")
    state = reference.state[np.zeros(200, int)]
    scale = np.where(np.arange(200)[:, None] < 100, 0.0, 0.05)
    bent = unsettled(state, character, scale, np.random.default_rng(0))
    assert np.array_equal(bent.rotations[:100], state.rotations[:100])
    assert np.array_equal(bent.positions[:, 0], state.positions[:, 0])
    turned = reduce(character, bent).coordinates - reduce(character, state).coordinates
    assert np.std(turned[100:]) == pytest.approx(0.05, rel=0.1)
    arms = np.linalg.norm(bent.positions[:, 1:] - bent.positions[:, character.parents[1:]], axis=-1)
    assert arms == pytest.approx(np.linalg.norm(state.positions[:, 1:] - state.positions[:, character.parents[1:]],
                                                axis=-1))


def test_a_training_starts_more_often_where_its_characters_fail() -> None:
    character, reference = made("walk")
    environment = Environment(open_engine("mujoco", character, 32), reference, np.random.default_rng(0), None,
                              FailureBins(reference))
    learner = Ppo(environment, ALONE, 5, Recipe(worlds=32, batch=1024, minibatch=512, epochs=1, widths=(32, 16)))
    assert np.ptp(environment.starts.chances()) < 1e-12
    failures = np.zeros(environment.starts.bins)
    seen = environment.starts.note

    def note(ticks: np.ndarray, failed: np.ndarray) -> None:
        place = ticks[failed] * len(failures) // (reference.last + 1)
        failures[:] += np.bincount(place, minlength=len(failures))
        seen(ticks, failed)

    environment.starts.note = note
    for _ in range(3):
        learner.iterate(lambda: None)
    chances = environment.starts.chances()
    assert failures.sum() > 50
    assert np.ptp(chances) > 0.1 / len(chances)
    assert np.corrcoef(chances, sum(0.85**k * np.roll(failures, -k) for k in range(7)))[0, 1] > 0.8
