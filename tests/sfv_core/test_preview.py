"""Motions performed at once: deviations, models of the physics, the search, and what the command makes of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from people import squatting
from scipy.linalg import solve_discrete_are

from retarget import rotation
from retarget.motion import Motion
from sfv_core.character.build import character_for
from sfv_core.character.character import Character
from sfv_core.character.fit import fit
from sfv_core.config import PreviewConfig
from sfv_core.errors import Cancelled, SfvError
from sfv_core.imitate.posture import posture
from sfv_core.imitate.reference import Reference, make_reference
from sfv_core.imitate.rules import SUBSTEPS
from sfv_core.physics.engine import Engine, open_engine
from sfv_core.preview import search as searching
from sfv_core.preview.deviation import deviate, deviation, goals, spread
from sfv_core.preview.explore import explore
from sfv_core.preview.feedback import (
    Experience,
    Models,
    act,
    deviations,
    experiment,
    learn,
    no_models,
    regulate,
    together,
)
from sfv_core.preview.preview import preview, repaired_reference
from sfv_core.preview.search import Effort, Performance, distances, search
from sfv_core.progress import no_progress

pytest.importorskip("mujoco", reason="The searches are quick in MuJoCo only.")
QUICK = PreviewConfig(passes=1)
TICK = 40


def standing(seconds: float, loop: bool = False) -> Motion:
    still = squatting().slice(0, 1)
    count = round(seconds * still.fps) + 1
    return Motion(still.skeleton, still.fps, np.repeat(still.root_pos, count, 0),
                  np.repeat(still.rotations, count, 0), loop=loop)


def thrown(seconds: float) -> Motion:
    """Return a body that flies sideways at 6 m/s, standing."""
    motion = standing(seconds)
    return replace(motion, root_pos=motion.root_pos + np.arange(len(motion))[:, None] * np.array([0.2, 0, 0]))


@cache
def squat() -> tuple[Character, Reference]:
    motion = squatting(1.0)
    character = character_for(motion.skeleton)
    return character, make_reference(fit(motion, character), character)


@cache
def engine() -> Engine:
    return open_engine("mujoco", squat()[0], 128)


@cache
def performance() -> Performance:
    return search(engine(), squat()[1], 18, Effort(2, 0.0, 1e9), np.random.default_rng(0), lambda done, near: None)


def test_a_deviation_that_is_made_is_measured() -> None:
    character, reference = squat()
    size = 2 * (6 + character.coordinates)
    by = np.random.default_rng(0).normal(0.0, 0.2, (20, size))
    goal = goals(reference, character, np.full(20, TICK))
    measured = deviation(character, posture(character, deviate(character, goal.state, by)), goal)
    arm = rotation.rotate(deviate(character, goal.state, by).rotations[:, 0], character.centres[0])
    by[:, 6 + character.coordinates:][:, :3] += np.cross(by[:, 9 + character.coordinates:][:, :3], arm)
    assert measured == pytest.approx(by, abs=0.02)  # the reference itself turns a little
    still = deviation(character, goal, goal)
    assert np.abs(still).max() < 1e-7


def test_models_from_experiments_foresee_what_happens() -> None:
    character, reference = squat()
    generator, ticks = np.random.default_rng(1), range(TICK, TICK + 6 * SUBSTEPS, SUBSTEPS)
    seen = [experiment(engine(), reference, tick, generator) for tick in ticks]
    general = learn(character, no_models(character, 1), [together(seen)], 10.0)
    models = learn(character, general, [seen[3]], 10.0)
    alone = learn(character, no_models(character, 1), [seen[3]], 10.0)
    other = experiment(engine(), reference, ticks[3], generator)
    error = surprise(models, other)
    assert np.median(error) < 0.3  # of what varies; 1 is no foresight
    assert np.median(error[:6]) < 0.2  # the root's place and turn
    assert np.median(error) < np.median(surprise(alone, other))


def surprise(models: Models, seen: Experience) -> np.ndarray:
    """Return the error of what the first model foresees, as a share of what there was to foresee, (D,)."""
    foreseen = seen.before @ models.state[0].T + seen.offsets @ models.control[0].T + models.drift[0]
    return np.sqrt(np.mean((foreseen - seen.after) ** 2, axis=0)) / seen.after.std(axis=0)


def test_what_happened_counts_against_doubt() -> None:
    character, reference = squat()
    seen = experiment(engine(), reference, TICK, np.random.default_rng(1))
    old = no_models(character, 2)
    stubborn = learn(character, old, [seen], 1e12)
    assert stubborn.state[0] == pytest.approx(old.state[0], abs=1e-6)
    assert np.array_equal(learn(character, old, [seen], 1.0).state[1], old.state[1])


def test_feedback_for_a_lasting_model_is_that_of_the_riccati_equation() -> None:
    character, _ = squat()
    generator, size = np.random.default_rng(2), 2 * (6 + character.coordinates)
    a = generator.normal(size=(size, size)) / np.sqrt(size)
    b = generator.normal(size=(size, character.coordinates)) / np.sqrt(size)
    steps = 200
    lasting = Models(np.tile(a, (steps, 1, 1)), np.tile(b, (steps, 1, 1)), np.zeros((steps, size)))
    feedback = regulate(character, lasting)
    cost, effort = feedback.curvature[-1], np.eye(character.coordinates)
    p = solve_discrete_are(a, b, cost, effort)
    assert feedback.gains[0] == pytest.approx(-np.linalg.solve(effort + b.T @ p @ b, b.T @ p @ a), abs=1e-6)
    assert not feedback.offsets.any()


def test_the_cost_ahead_is_what_the_models_pay() -> None:
    character, _ = squat()
    generator, size, steps = np.random.default_rng(3), 2 * (6 + character.coordinates), 5
    models = Models(generator.normal(0.0, 0.1, (steps, size, size)),
                    generator.normal(0.0, 0.1, (steps, size, character.coordinates)),
                    generator.normal(0.0, 0.1, (steps, size)))
    feedback = regulate(character, models)
    cost = feedback.curvature[-1]

    def paid(x: np.ndarray) -> float:
        total = float(x @ cost @ x)
        for t in range(steps):
            offset = feedback.offsets[t] + feedback.gains[t] @ x
            x = models.state[t] @ x + models.control[t] @ offset + models.drift[t]
            total += float(x @ cost @ x + offset @ offset)
        return total

    starts = generator.normal(size=(6, size))
    foreseen = feedback.ahead(0, starts)
    real = np.array([paid(start) for start in starts])
    assert foreseen - foreseen[0] == pytest.approx(real - real[0], rel=1e-6)


def test_a_spread_has_a_number_for_each_of_a_deviation() -> None:
    character, _ = squat()
    assert len(spread(character, 1, 2, 3, 4, 5, 6)) == 2 * (6 + character.coordinates)


def test_what_is_found_happens_again_when_it_is_only_simulated() -> None:
    found, (_, reference) = performance(), squat()
    engine().reset(np.arange(128), found.states[np.zeros(128, int)])
    for step, offsets in enumerate(found.offsets):
        before = deviations(engine(), reference, step * SUBSTEPS, np.arange(128))
        act(engine(), reference, step * SUBSTEPS, np.arange(128), before, np.tile(offsets, (128, 1)))
    assert engine().read().positions[0] == pytest.approx(found.states.positions[-1], abs=2e-3)


def test_no_pass_makes_an_attempt_worse() -> None:
    character, reference = squat()
    generator = np.random.default_rng(0)
    start = (0, goals(reference, character, np.zeros(1, int)).state)
    feedback = regulate(character, no_models(character, 6))
    best, seen = explore(engine(), reference, start, feedback, None, 0.1, generator, lambda: None)
    assert len(seen) == len(best.offsets) == 6
    for noise in (0.1, 1.0):
        again, _ = explore(engine(), reference, start, feedback, best, noise, generator, lambda: None)
        assert again.cost <= best.cost + 1e-6


def test_a_search_ends_when_it_is_near_enough() -> None:
    _, reference = squat()
    found = search(engine(), reference, 18, Effort(9, 0.05, 1e9), np.random.default_rng(0), lambda done, near: None)
    assert found.passes == 1
    assert distances(reference, engine(), 0, found.states[slice(1, None)]).mean() < 0.05


def test_parts_join_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "PART", 5)
    monkeypatch.setattr(searching, "BEYOND", 3)
    _, reference = squat()
    told: list[float] = []
    found = search(engine(), reference, 12, Effort(1, 0.0, 1e9), np.random.default_rng(0),
                   lambda done, near: told.append(done))
    assert found.passes == 3
    assert len(found.offsets) == 12
    assert len(found.states.positions) == 13
    assert found.ended_by == "end"
    assert np.linalg.norm(np.diff(found.states.positions, axis=0), axis=-1).max() < 0.05
    assert told == sorted(told)
    assert told[-1] <= 12


def test_standing_stays_within_two_centimetres(tmp_path: Path) -> None:
    source, out = tmp_path / "standing.npz", tmp_path / "take.npz"
    motion = standing(0.4)
    motion.save(source)
    report = preview(source, out, QUICK, no_progress)
    assert "advice" not in report
    assert report["mean_distance_cm"] < 2
    assert report["nr"] > 0.9
    take = Motion.load(out)
    assert take.skeleton.names == motion.skeleton.names
    assert (take.fps, len(take)) == (60, 25)
    assert np.abs(take.root_pos - motion.root_pos[0]).max() < 0.03
    assert take.contacts is not None
    assert take.contacts[-1, motion.skeleton.index("left_ankle")] == 1


def test_the_same_seed_gives_the_same_take(tmp_path: Path) -> None:
    source = tmp_path / "standing.npz"
    standing(0.2).save(source)
    takes = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        preview(source, tmp_path / f"{name}.npz", replace(QUICK, seed=seed), no_progress)
        takes.append(Motion.load(tmp_path / f"{name}.npz"))
    assert np.array_equal(takes[0].rotations, takes[1].rotations)
    assert not np.array_equal(takes[0].rotations, takes[2].rotations)


def test_a_motion_that_loops_goes_on_as_long_as_asked(tmp_path: Path) -> None:
    source, out = tmp_path / "standing.npz", tmp_path / "take.npz"
    standing(0.2, loop=True).save(source)
    preview(source, out, replace(QUICK, seconds=0.5), no_progress)
    assert len(Motion.load(out)) == 31


def test_pybullet_will_do(tmp_path: Path) -> None:
    pytest.importorskip("pybullet")
    source = tmp_path / "standing.npz"
    standing(0.2).save(source)
    report = preview(source, tmp_path / "take.npz", replace(QUICK, engine="pybullet"), no_progress)
    assert report["engine"] == "pybullet"
    assert report["mean_distance_cm"] < 3


def test_a_motion_that_no_body_can_follow_is_said_to_be_lost(tmp_path: Path) -> None:
    source, out = tmp_path / "thrown.npz", tmp_path / "take.npz"
    thrown(0.5).save(source)
    report = preview(source, out, replace(QUICK, repair=False), no_progress)
    assert report["lost"] or report["fell"]
    assert "The simulated body" in report["advice"]
    assert out.is_file()


def test_a_search_that_takes_too_long_ends_early_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "PART", 3)
    monkeypatch.setattr(searching, "BEYOND", 0)
    source, out = tmp_path / "standing.npz", tmp_path / "take.npz"
    standing(0.4).save(source)
    report = preview(source, out, replace(QUICK, seconds_limit=0.1), no_progress)
    assert "--seconds-limit" in report["advice"]
    assert report["seconds"] == pytest.approx(0.1)
    assert len(Motion.load(out)) == 7


def test_a_cancelled_preview_leaves_nothing(tmp_path: Path) -> None:
    source, out = tmp_path / "standing.npz", tmp_path / "take.npz"
    standing(0.4).save(source)

    def cancel(stage: str, done: float, total: float, **numbers: float) -> None:
        if done > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        preview(source, out, QUICK, cancel)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["standing.npz"]


@pytest.mark.parametrize(("motion", "words"), [(standing(130.0), "lasts 130 s"), (standing(0.0), "lasts 0 s"),
                                               (standing(0.1), "lasts 0.1 s")])
def test_a_motion_that_cannot_be_performed_is_one_clear_line(motion: Motion, words: str, tmp_path: Path) -> None:
    source = tmp_path / "motion.npz"
    motion.save(source)
    with pytest.raises(SfvError, match=words) as error:
        preview(source, tmp_path / "take.npz", QUICK, no_progress)
    assert "motion.npz" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_broken_file_is_one_clear_line(tmp_path: Path) -> None:
    source = tmp_path / "motion.npz"
    source.write_bytes(b"no motion")
    with pytest.raises(SfvError, match=r"motion\.npz"):
        preview(source, tmp_path / "take.npz", QUICK, no_progress)


def test_a_repaired_reference_can_be_performed_in_turn() -> None:
    motion = standing(0.3)
    character = character_for(motion.skeleton)
    repaired = repaired_reference(fit(motion, character), character, QUICK, no_progress)
    assert repaired.skeleton.names == character.skeleton.names
    assert make_reference(repaired, character).last == 72
    impossible = fit(thrown(0.5), character)
    with pytest.raises(SfvError, match="The simulated body"):
        repaired_reference(impossible, character, QUICK, no_progress)
