"""The task as published, beside the fast defaults: reward, state, targets, contact, horizon and root sync."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pytest

from retarget import rotation
from sfv_core.character import deepmimic
from sfv_core.character.build import character_for
from sfv_core.character.character import Character
from sfv_core.character.fit import fit
from sfv_core.imitate import observation
from sfv_core.imitate import reward as rewards
from sfv_core.imitate.environment import Environment
from sfv_core.imitate.feedforward import asked_for
from sfv_core.imitate.posture import centre_of_mass, posture
from sfv_core.imitate.reference import Reference, make_reference
from sfv_core.imitate.rules import EPISODE, PAPER, SUBSTEPS, Rules, Touch, allowed
from sfv_core.imitate.start import fixed
from sfv_core.physics.engine import State, open_engine

ENGINES = ("pybullet", "mujoco")


@cache
def reference_of(name: str) -> tuple[Character, Reference]:
    motion = deepmimic.load_clip(name)
    character = character_for(motion.skeleton)
    return character, make_reference(fit(motion, character), character)


def environment_of(name: str, worlds: int, choices: Rules | None = None, engine: str = "pybullet") -> Environment:
    character, reference = reference_of(name)
    return Environment(open_engine(engine, character, worlds), reference, np.random.default_rng(0), choices)


def shifted(state: State, by: np.ndarray) -> State:
    return replace(state, positions=state.positions + by)


@pytest.mark.parametrize("variant", rewards.REWARDS)
def test_the_reward_of_the_reference_itself_is_one(variant: str) -> None:
    character, reference = reference_of("backflip")
    goal = posture(character, reference.state[np.arange(0, reference.last, 11)])
    assert rewards.reward(goal, goal, character, variant) == pytest.approx(np.ones(len(goal.root)))
    assert sum(weight for _, weight, _ in rewards.REWARDS[variant]) == pytest.approx(1.0)


def test_the_papers_terms_are_the_formulas_they_name() -> None:
    character, reference = reference_of("walk")
    goal = posture(character, reference.state[np.array([30])])
    terms = {name: term for name, _, term in rewards.REWARDS["paper"]}
    bent, spun = goal.local.copy(), goal.local_spins.copy()
    bent[:, 4] = rotation.multiply(bent[:, 4], rotation.from_rotvec(np.array([0.5, 0.0, 0.0])))
    bent[:, 0] = rotation.multiply(bent[:, 0], rotation.from_rotvec(np.array([0.0, 0.0, 0.3])))
    spun[:, 2] += np.array([1.0, 2.0, 0.0])
    assert terms["pose"](replace(goal, local=bent), goal, character) == pytest.approx(np.exp(-2 * (0.25 + 0.09)))
    assert terms["spin"](replace(goal, local_spins=spun), goal, character) == pytest.approx(np.exp(-0.1 * 5.0))
    aside = posture(character, shifted(goal.state, np.array([0.1, 0.0, 0.0])))
    assert terms["ends"](aside, goal, character) == pytest.approx(np.exp(-40 * 4 * 0.01))
    assert terms["centre_of_mass"](aside, goal, character) == pytest.approx(np.exp(-10 * 0.01))


def test_the_centre_of_mass_moves_with_the_bodys_momentum() -> None:
    character, reference = reference_of("walk")
    places = centre_of_mass(character, reference.state)
    momentum = posture(character, reference.state).momentum
    measured = (places[8:] - places[:-8]) * 240 / 8
    assert np.abs(measured - momentum[4:-4]).max() < 1e-6


def test_the_papers_state_has_197_numbers_of_15_solids() -> None:
    environment = environment_of("walk", 2, Rules(observation="paper"))
    seen = environment.observe()
    assert seen.shape == (2, 197)
    assert seen.dtype == np.float32
    assert seen[:, 1] == pytest.approx(environment.now.root[:, 2], abs=1e-6)
    turns = seen[:, 2 + 45 : 2 + 105].reshape(2, 15, 4)
    assert np.linalg.norm(turns, axis=-1) == pytest.approx(1.0, abs=1e-6)
    assert turns[..., 0].min() >= 0


def test_velocities_of_solids_are_those_of_their_places() -> None:
    character, reference = reference_of("run")
    rows = np.array([40, 48])
    still = np.tile(rotation.IDENTITY, (2, 1, 1))
    goal = posture(character, reference.state[rows])
    view = observation.View(character, goal, goal, np.zeros(2), True, np.zeros((2, 1)), still)
    middle = posture(character, reference.state[np.array([44])])
    moving = replace(view, now=middle, phase=np.zeros(1), to_heading=still[:1])
    places = observation.solid_places(view) + goal.root[:, None]
    assert observation.solid_velocities(moving)[0] == pytest.approx((places[1] - places[0]) * 240 / 8, abs=0.05)


def test_the_papers_state_does_not_depend_on_where_the_character_is_and_which_way_it_faces() -> None:
    character, reference = reference_of("walk")
    state = reference.state[np.array([50])]
    turn = rotation.from_rotvec(np.array([0.0, 0.0, 2.0]))
    away = State(rotation.rotate(turn, state.positions) + np.array([3.0, 1.0, 0.0]),
                 rotation.multiply(turn, state.rotations), rotation.rotate(turn, state.velocities),
                 rotation.rotate(turn, state.spins))
    seen = []
    for case in (state, away):
        now = posture(character, case)
        to_heading = observation.heading(case.rotations[:, 0])[:, None]
        seen.append(observation.observe(
            observation.View(character, now, now, np.zeros(1), True, np.zeros((1, 1)), to_heading), "paper"))
    assert seen[0] == pytest.approx(seen[1], abs=1e-5)


def test_without_rules_an_environment_is_the_one_that_learns_fastest() -> None:
    """The defaults as they were before there were rules: code reward, residual targets, 20 s, ended by deviation."""
    first, second = (environment_of("walk", 2, choices) for choices in (None, Rules()))
    asked = []
    step = first.engine.step
    first.engine.step = lambda targets, *rest: (asked.append(targets), step(targets, *rest))  # type: ignore
    actions = np.random.default_rng(1).normal(size=(2, first.character.coordinates)) * 0.3
    rows = first.ticks + 8
    for _ in range(3):
        a, b = first.step(actions), second.step(actions)
        assert np.array_equal(a.rewards, b.rewards)
        assert np.array_equal(first.observe(), second.observe())
    targets = asked_for(first.reference, first.character)
    assert asked[0] == pytest.approx(targets[rows % first.reference.last] + 0.5 * actions)
    terms = [weight * term(first.now, first.goal, first.character) for _, weight, term in rewards.REWARDS["code"]]
    assert a.rewards == pytest.approx(np.sum(terms, 0))
    assert first.limit == EPISODE == 600


def test_an_absolute_action_of_zero_asks_for_straight_limbs_and_hinges_halfway() -> None:
    environment = environment_of("walk", 1, Rules(action="absolute", action_scale=2.0))
    asked = []
    step = environment.engine.step
    environment.engine.step = lambda targets, *rest: (asked.append(targets), step(targets, *rest))  # type: ignore
    size = environment.character.coordinates
    environment.step(np.zeros((1, size)))
    environment.step(np.full((1, size), 0.1))
    assert asked[0][0] == pytest.approx([*[0.0] * 24, *[np.pi / 2] * 4])
    assert asked[1] == pytest.approx(asked[0] + 0.2)


@pytest.mark.parametrize("lead", [0, 8, 24])
def test_a_residual_action_of_zero_asks_for_the_reference_ahead(lead: int) -> None:
    environment = environment_of("walk", 1, Rules(lead=lead, feedforward=False))
    environment.reset(np.array([0]), fixed)
    asked = []
    step = environment.engine.step
    environment.engine.step = lambda targets, *rest: (asked.append(targets), step(targets, *rest))  # type: ignore
    environment.step(np.zeros((1, environment.character.coordinates)))
    assert asked[0][0] == pytest.approx(environment.reference.coordinates[lead])


def test_what_motors_are_asked_for_performs_a_walk_for_longer_than_the_walk_itself() -> None:
    lasted = []
    for feedforward in (False, True):
        environment = environment_of("walk", 32, Rules(feedforward=feedforward))
        running, steps = np.ones(32, bool), 0
        for _ in range(60):
            running &= ~environment.step(np.zeros((32, environment.character.coordinates))).ended
            steps += running.sum()
        lasted.append(steps / 32)
    assert lasted[1] > 1.2 * lasted[0]


def test_what_motors_are_asked_for_is_within_their_strength() -> None:
    environment = environment_of("walk", 1)
    reference, character = environment.reference, environment.character
    targets = asked_for(reference, character)
    motors = character.coordinates
    assert targets.shape == (reference.last + 1, motors) and np.isfinite(targets).all()
    limits = [link.torque / link.stiffness for link in character.links if link.joint != "free"]
    assert np.abs(targets - reference.coordinates).max() <= max(limits) + 1e-9


def test_what_may_touch_the_ground_comes_from_the_reference() -> None:
    def names(clip: str) -> set[str]:
        character, reference = reference_of(clip)
        return {link.name for link, free in zip(character.links, allowed(reference, character), strict=True) if free}

    feet = {"left_ankle", "right_ankle"}
    assert names("walk") == names("kick") == feet
    assert names("cartwheel") >= feet | {"left_elbow", "right_elbow"}
    assert "neck" not in names("cartwheel")
    assert all(len(names(clip)) == 13 for clip in ("getup_facedown", "roll", "crawl"))


@pytest.mark.parametrize("clip", ["walk", "cartwheel"])
def test_a_hand_on_the_ground_ends_a_walk_but_not_a_cartwheel(clip: str) -> None:
    character, reference = reference_of(clip)
    heights = character.lowest(reference.state.positions, reference.state.rotations)
    hand = character.index("left_elbow")
    row = int(np.argmin(heights[:, hand]))
    on_hand = shifted(reference.state[np.array([row])], np.array([0.0, 0.0, -heights[row, hand]]))
    watched = Touch(character, ~allowed(reference, character) & (np.arange(len(character.links)) == hand))
    assert watched(on_hand).tolist() == [clip == "walk"]


@pytest.mark.parametrize("engine", ENGINES)
def test_contact_by_geometry_agrees_with_the_engine(engine: str) -> None:
    environment = environment_of("walk", 4, Rules(terminate="contact"), engine)
    limp = np.full((4, environment.character.coordinates), 1.5)
    kept_off = ~allowed(environment.reference, environment.character)
    agree, touched = [], np.zeros(4, bool)
    for _ in range(60):
        environment.step(limp)
        by_engine = (environment.engine.contacts() & kept_off).any(1)
        by_place = Touch(environment.character, kept_off)(environment.now.state)
        agree.append(by_engine == by_place)
        touched |= by_place
    assert touched.all()
    assert np.mean(agree) > 0.9, np.mean(agree)


def test_falling_is_noticed_by_contact_by_deviation_and_by_both() -> None:
    for choice, ends in (("contact", Rules(terminate="contact")), ("deviation", Rules()),
                         ("both", Rules(terminate="both"))):
        environment = environment_of("walk", 1, ends)
        limp = np.full((1, environment.character.coordinates), 3.0)
        outcomes = [environment.step(limp) for _ in range(40)]
        failed = [bool(outcome.failed[0]) for outcome in outcomes]
        assert any(failed), choice
        assert outcomes[failed.index(True)].rewards[0] == 0.0


def test_far_from_the_reference_is_no_failure_where_only_contact_counts() -> None:
    for ends, fails in ((Rules(terminate="contact"), False), (Rules(), True), (Rules(terminate="both"), True)):
        environment = environment_of("walk", 1, ends)
        environment._origins[:] += np.array([1.5, 0.0, 0.0])
        outcome = environment.step(np.zeros((1, environment.character.coordinates)))
        assert outcome.failed[0] == fails, ends.terminate


def test_the_horizon_grows_from_half_a_second_to_twenty() -> None:
    steps = [PAPER.horizon(samples) for samples in (0, 16_000_000, 32_000_000, 10**9)]
    assert steps == [15, round(15 + 585 / 16), 600, 600]
    assert Rules().horizon(0) == 600
    environment = environment_of("walk", 1, PAPER)
    environment.limit = PAPER.horizon(0)
    assert environment.remaining().tolist() == [15]


@pytest.mark.parametrize("sync", [True, False])
def test_root_sync_moves_the_reference_under_the_character_at_a_cycles_end_and_leaves_its_height(sync: bool) -> None:
    environment = environment_of("walk", 2, Rules(sync_root=sync))
    environment.reset(np.arange(2), lambda reference, count, _: np.array([reference.last - SUBSTEPS, 40]))
    aside = np.array([0.3, -0.2, 0.0])
    environment._origins += aside
    environment.step(np.zeros((2, environment.character.coordinates)))
    drift = environment.goal.root - environment.now.root
    expected = np.zeros(2) if sync else aside[:2]
    assert drift[0, :2] == pytest.approx(expected, abs=0.03 if not sync else 1e-9)
    assert drift[1, :2] == pytest.approx(aside[:2], abs=0.03)
    rows, _ = environment.reference.lookup(environment.ticks)
    assert environment.goal.root[:, 2] == pytest.approx(environment.reference.state.positions[rows, 0, 2])


def test_a_clip_that_ends_is_never_synced() -> None:
    environment = environment_of("kick", 1, Rules(sync_root=True))
    before = environment._origins.copy()
    for _ in range(5):
        environment.step(np.zeros((1, environment.character.coordinates)))
    assert np.array_equal(environment._origins, before)


def test_rules_come_back_from_plain_values() -> None:
    assert Rules(**asdict(PAPER)) == PAPER
    assert Rules(**asdict(Rules())) == Rules()
