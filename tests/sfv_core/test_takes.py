"""Takes: worlds that are pushed, changed and late; feet that stand; what is said of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from people import squatting

from retarget import kinematics, rotation
from retarget.motion import Motion
from sfv_core.character import deepmimic
from sfv_core.character.build import character_for
from sfv_core.character.character import Character
from sfv_core.character.fit import fit
from sfv_core.cli import parser
from sfv_core.config import JobConfig, RobustnessConfig, SimulateConfig
from sfv_core.errors import Cancelled, SfvError
from sfv_core.imitate.environment import Environment
from sfv_core.imitate.policy import Network, Normaliser, Policy
from sfv_core.imitate.reference import make_reference
from sfv_core.options import read_settings
from sfv_core.physics.engine import PHYSICS_RATE, Conditions, State, open_engine
from sfv_core.progress import no_progress
from sfv_core.push import parse_push
from sfv_core.schema import parse, to_json
from sfv_core.takes.circumstances import MOST_WORLDS, Circumstances, changed, circumstances_of, link_of, shoves_of
from sfv_core.takes.disturbed import STRIDE, Disturbed, Shove, torques
from sfv_core.takes.figures import jitter, sole_corners, state_of
from sfv_core.takes.onto import onto_captured, tilted
from sfv_core.takes.perform import perform
from sfv_core.takes.robustness import borne, robustness
from sfv_core.takes.robustness_report import lines
from sfv_core.takes.rollout import simulate
from sfv_core.takes.settle import settle
from sfv_core.takes.take import fallen

ENGINES = ("pybullet", "mujoco")
each_engine = pytest.mark.parametrize("name", ENGINES)
BODY = character_for(deepmimic.skeleton())


@pytest.fixture(autouse=True)
def engine_is_here(request: pytest.FixtureRequest) -> None:
    """Skip what needs MuJoCo where it is not installed."""
    if "name" in request.fixturenames and request.getfixturevalue("name") == "mujoco":
        pytest.importorskip("mujoco")


def falling(character: Character, height: float = 50.0) -> State:
    """Return one body at rest, high up."""
    places, turns = kinematics.rest_pose(character.skeleton)
    count = len(character.links)
    still = np.zeros((1, count, 3))
    return State(places[None, :count] + [0, 0, height], turns[None, :count], still, still.copy())


def worlds_of(name: str, character: Character = BODY, circumstances: Circumstances | None = None,
              shoves: tuple[Shove, ...] = (), noting: bool = False) -> Disturbed:
    """Return a world with the body at rest, high up, at the beginning of a take."""
    worlds = (circumstances or Circumstances(name)).open(character, 1, shoves, noting)
    worlds.reset(np.array([0]), falling(character))
    worlds.begin()
    return worlds


def momentum(character: Character, state: State) -> np.ndarray:
    """Return the whole body's in kg·m/s, (3,)."""
    masses = np.array([link.mass for link in character.links])
    return np.einsum("l,lk->k", masses, state.velocities[0])


def held(character: Character) -> np.ndarray:
    return np.zeros((1, character.coordinates))


@each_engine
def test_a_push_in_free_fall_adds_its_impulse_and_gravitys_and_no_more(name: str) -> None:
    force = np.array([120.0, -50.0, 30.0])
    chest = BODY.index("spine3")
    worlds = worlds_of(name, shoves=(Shove(chest, 5, 5 + 12, force[None], turns=False),))
    ticks = 24
    for _ in range(ticks // 8):
        worlds.step(held(BODY), 8)
    expected = force * 12 / PHYSICS_RATE + BODY.mass * np.array([0, 0, -9.8]) * ticks / PHYSICS_RATE
    assert momentum(BODY, worlds.read()) == pytest.approx(expected, abs=0.02 * np.abs(expected).max())
    worlds.close()


@each_engine
def test_half_the_gravity_halves_the_fall(name: str) -> None:
    falls = []
    for gravity in (1.0, 0.5):
        worlds = worlds_of(name, circumstances=Circumstances(name, gravity=gravity))
        worlds.step(held(BODY), 120)
        falls.append(50.0 - worlds.read().positions[0, 0, 2])
        worlds.close()
    assert falls[0] == pytest.approx(2 * falls[1], rel=1e-3)
    assert falls[0] == pytest.approx(0.5 * 9.8 * 0.5**2, rel=0.01)


@each_engine
def test_twice_the_mass_is_pushed_half_as_fast(name: str) -> None:
    speeds = []
    for mass in (1.0, 2.0):
        heavy = changed(BODY, mass, 1.0)
        assert heavy.mass == pytest.approx(mass * BODY.mass)
        shove = Shove(0, 0, 24, np.array([[90.0, 0.0, 0.0]]), turns=False)
        worlds = worlds_of(name, circumstances=Circumstances(name, mass=mass), shoves=(shove,))
        worlds.step(held(BODY), 24)
        speeds.append(momentum(heavy, worlds.read())[0] / heavy.mass)
        worlds.close()
    assert speeds[0] == pytest.approx(2 * speeds[1], rel=0.02)


@each_engine
def test_a_push_of_no_force_changes_nothing(name: str) -> None:
    ends = []
    for shoves in ((), (Shove(2, 4, 12, np.zeros((1, 3))),)):
        worlds = worlds_of(name, shoves=shoves)
        for _ in range(3):
            worlds.step(held(BODY) + 0.2, 8)
        ends.append(worlds.read().positions)
        worlds.close()
    assert ends[0] == pytest.approx(ends[1], abs=1e-9)


@each_engine
def test_notes_between_do_not_change_the_motion(name: str) -> None:
    ends = []
    for noting in (False, True):
        worlds = worlds_of(name, noting=noting)
        for _ in range(3):
            worlds.step(held(BODY) + 0.2, 8)
        ends.append(worlds.read().positions)
        assert len(worlds.notes) == (1 + 24 // STRIDE) * noting
        worlds.close()
    assert ends[0] == pytest.approx(ends[1], abs=1e-5)


def test_a_late_command_acts_as_much_later() -> None:
    prompt, late = worlds_of("pybullet"), worlds_of("pybullet", circumstances=Circumstances("pybullet", latency=8))
    bent = held(BODY) + 0.3
    prompt.step(held(BODY), 8)
    prompt.step(bent, 8)
    late.step(bent, 8)
    late.step(bent, 8)
    assert late.read().rotations == pytest.approx(prompt.read().rotations, abs=1e-6)


def test_a_push_turns_with_the_character_and_a_slope_turns_it_into_the_ground() -> None:
    worlds = Circumstances("pybullet").open(BODY, 1, (Shove(0, 0, 24, np.array([[60.0, 0.0, 0.0]])),))
    quarter = rotation.from_rotvec(np.array([0.0, 0.0, np.pi / 2]))
    state = falling(BODY)
    turned = replace(state, positions=rotation.rotate(quarter, state.positions),
                     rotations=np.broadcast_to(quarter, state.rotations.shape).copy())
    worlds.reset(np.array([0]), turned)
    worlds.begin()
    worlds.step(held(BODY), 24)
    gained = momentum(BODY, worlds.read())
    assert gained[:2] == pytest.approx([0.0, 6.0], abs=0.15)
    worlds.close()
    tilt = tuple(rotation.from_rotvec(np.array([0.3, 0.0, 0.0])).tolist())
    (shove,) = shoves_of((parse_push("t=0 N=10 dir=0,0,1"),), BODY, 1, Circumstances("pybullet", tilt=tilt), 1.0)
    assert rotation.rotate(np.array(tilt), shove.force[0]) == pytest.approx([0, 0, 10])
    assert not shove.turns


def test_torques_are_those_of_the_pd_law_within_their_limit() -> None:
    state = falling(BODY)
    targets = held(BODY)
    targets[0, 0] = 0.05  # the chest about x
    share = torques(BODY, state, targets)[0]
    chest = BODY.links[1]
    assert share[1] == pytest.approx(chest.stiffness * 0.05 / chest.torque)
    assert share[0] == 0
    assert not share[2:].any()
    targets[0, 0] = 2.0
    assert torques(BODY, state, targets)[0, 1] == 1.0


@pytest.mark.parametrize(("text", "said"), [
    ("N=300 dir=left", "lacks t"), ("t=1 N=0 dir=left", "N=0"), ("t=1 N=-5 dir=left", "N=-5"),
    ("t=1 N=nan dir=left", "N=nan"), ("t=1 N=inf dir=left", "N=inf"), ("t=x N=5 dir=left", "t=x"),
    ("t=-1 N=5 dir=left", "t=-1"), ("t=1 N=5 dir=there", "dir=there"), ("t=1 N=5 dir=0,0,0", "dir=0,0,0"),
    ("t=1 N=5 dir=1,nan,0", "dir=1,nan,0"), ("t=1 N=5 dir=left for=0", "for=0"), ("t=1 N=5 dir=left at=9", "at=9"),
    ("t=1 t=2 N=5 dir=left", "twice"), ("push him", "push him"), ("", "no setting")])
def test_a_push_that_is_none_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(SfvError) as caught:
        SimulateConfig(push=(text,))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pushes_come_from_the_command_line_and_from_json() -> None:
    texts = ["t=0.5 N=100 dir=front", "t=1 N=20 dir=0,3,0 body=left hand for=0.5"]
    options = parser().parse_args(["simulate", "p", "-o", "t.npz", "--push", texts[0], "--push", texts[1]])
    config = read_settings(options, SimulateConfig)
    assert [push.force for push in config.pushes()] == [100.0, 20.0]
    assert config.pushes()[1].direction == (0.0, 1.0, 0.0)
    assert config.pushes()[1].body == "left hand"
    job = JobConfig(simulate=config)
    assert parse(JobConfig, json.loads(json.dumps(to_json(job)))) == job
    with pytest.raises(SfvError, match="text"):
        parse(JobConfig, {"simulate": {"push": [3]}})
    with pytest.raises(SfvError, match="N=-1"):
        parse(JobConfig, {"simulate": {"push": ["t=1 N=-1 dir=left"]}})


@pytest.mark.parametrize(("body", "link"), [("chest", "spine3"), ("pelvis", "pelvis"), ("Head", "neck"),
                                            ("left hand", "left_elbow"), ("right_foot", "right_ankle"),
                                            ("left thigh", "left_hip"), ("right_knee", "right_knee")])
def test_parts_are_found_by_what_people_call_them(body: str, link: str) -> None:
    assert BODY.links[link_of(body, BODY)].name == link


def test_an_unknown_part_is_refused_with_those_there_are() -> None:
    with pytest.raises(SfvError, match=r"no part .tail..*chest.*hand.*left_hip"):
        link_of("tail", BODY)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy of a squatting person whose actions are the reference itself."""
    motion = squatting()
    character = character_for(motion.skeleton)
    fitted = fit(motion, character)
    environment = Environment(open_engine("pybullet", character, 1), make_reference(fitted, character),
                              np.random.default_rng(0))
    size = environment.observe().shape[1]
    path = tmp_path_factory.mktemp("policy") / "policy.pt"
    Policy(Network(size, character.coordinates, (32,)), Normaliser(size), character, fitted, "pybullet",
           captured=motion).save(path)
    return path


def test_a_policy_file_keeps_the_captured_motion(untrained: Path, tmp_path: Path) -> None:
    policy = Policy.load(untrained)
    assert policy.captured is not None
    assert policy.captured.skeleton.names == squatting().skeleton.names
    assert policy.captured.rotations == pytest.approx(squatting().rotations)
    replace(policy, captured=None).save(tmp_path / "bare.pt")
    assert Policy.load(tmp_path / "bare.pt").captured is None


def test_a_take_is_on_the_captured_skeleton_with_a_report_and_a_picture(untrained: Path, tmp_path: Path) -> None:
    out = tmp_path / "take.npz"
    report = simulate(untrained, out, SimulateConfig(seconds=0.5, push=("t=0.1 N=50 dir=left",)), no_progress)
    motion = Motion.load(out)
    assert motion.skeleton.names == squatting().skeleton.names
    assert len(motion) == report["frames"] == 31
    assert motion.contacts is not None
    written = json.loads((tmp_path / "take.json").read_text())
    assert len(written["error_cm"]) == len(written["torque_share"]["left_knee"]) == 31
    assert written["pushes"][0]["force_n"] == 50
    assert (tmp_path / "take.png").stat().st_size > 10_000
    assert report["files"] == [str(tmp_path / f"take{end}") for end in (".npz", ".json", ".png")]


def test_takes_differ_are_ranked_and_come_again_with_the_seed(untrained: Path, tmp_path: Path) -> None:
    config = SimulateConfig(seconds=0.5, takes=3, all=True, noise=0.5)
    report = simulate(untrained, tmp_path / "a.npz", config, no_progress)
    rows = report["takes"]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert sorted(row["take"] for row in rows) == [0, 1, 2]
    standing = [row["quality"] for row in rows if row["fell_s"] is None]
    assert standing == sorted(standing, reverse=True)
    best, *others = (Motion.load(path) for path in sorted((tmp_path / "a").glob("*.npz")))
    assert len(others) == 2
    assert np.array_equal(best.rotations, Motion.load(tmp_path / "a.npz").rotations)
    assert all(np.abs(best.rotations - other.rotations).max() > 1e-3 for other in others)
    simulate(untrained, tmp_path / "b.npz", config, no_progress)
    assert np.array_equal(Motion.load(tmp_path / "b.npz").rotations, best.rotations)
    simulate(untrained, tmp_path / "a.npz", replace(config, takes=2), no_progress)
    assert [path.name for path in sorted((tmp_path / "a").iterdir())] == ["001.npz", "002.npz"]


def test_a_hard_push_is_blamed_for_the_fall(untrained: Path, tmp_path: Path) -> None:
    config = SimulateConfig(push=("t=0.2 N=2500 dir=back body=chest",))
    report = simulate(untrained, tmp_path / "take.npz", config, no_progress)
    assert report["fell"]
    assert "after the push of 2500 N backward on the chest at 0.2 s" in report["advice"]
    assert report["upright_seconds"] < 2.0


@pytest.mark.parametrize(("config", "said"), [
    (SimulateConfig(push=("t=5 N=100 dir=left",)), "comes after the take's end at 2.00 s"),
    (SimulateConfig(push=("t=0.1 N=100 dir=left body=wing",)), "no part 'wing'"),
    (SimulateConfig(seconds=700.0), "cannot be made")])
def test_a_take_that_cannot_be_made_leaves_nothing(config: SimulateConfig, said: str, untrained: Path,
                                                   tmp_path: Path) -> None:
    with pytest.raises(SfvError, match=said):
        simulate(untrained, tmp_path / "take.npz", config, no_progress)
    assert not list(tmp_path.iterdir())


def test_a_take_can_be_cancelled_and_leaves_nothing(untrained: Path, tmp_path: Path) -> None:
    def stop(*_: object, **__: float) -> None:
        raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        simulate(untrained, tmp_path / "take.npz", SimulateConfig(), stop)
    assert not list(tmp_path.iterdir())


def test_a_slope_leans_gravity_and_the_take_leans_with_it(untrained: Path, tmp_path: Path) -> None:
    policy = Policy.load(untrained)
    reference = make_reference(policy.motion, policy.character)
    for way, sign in (("uphill", 1.0), ("downhill", -1.0)):
        config = SimulateConfig(slope=10.0, slope_dir=way)
        circumstances = circumstances_of(config, policy, reference)
        tilt = np.array(circumstances.tilt)
        forward = rotation.rotate(tilt, np.array([0.0, -1.0, 0.0]))  # the person faces −Y
        assert forward[2] == pytest.approx(sign * np.sin(np.radians(10.0)), abs=0.01)
        gravity = rotation.rotate(tilt, np.array(circumstances.conditions().gravity))
        assert gravity == pytest.approx(np.array(Conditions().gravity))
    simulate(untrained, tmp_path / "take.npz", SimulateConfig(slope=10.0, slope_dir="left", seconds=0.2), no_progress)
    take = Motion.load(tmp_path / "take.npz")
    up = rotation.rotate(kinematics.world_poses(take)[1][0, take.skeleton.root], np.array([0.0, 0.0, 1.0]))
    assert np.degrees(np.arccos(up[2])) == pytest.approx(10.0, abs=2.0)
    assert up[0] > 0  # the ground falls to the character's left, so that it leans to there


def test_a_tilt_keeps_the_start_and_every_length() -> None:
    motion = squatting()
    tilt = tuple(rotation.from_rotvec(np.array([0.2, -0.1, 0.0])).tolist())
    places, leant = (kinematics.world_poses(m)[0] for m in (motion, tilted(motion, tilt)))
    pivot = motion.root_pos[0] * [1, 1, 0]
    assert rotation.rotate(rotation.inverse(np.array(tilt)), leant - pivot) + pivot == pytest.approx(places)


@pytest.fixture(scope="module")
def sliding() -> tuple[Motion, Character]:
    """A squat that creeps forward at 2 cm/s, 4 mm in the ground, at 60 frames per second."""
    motion = squatting(fps=60.0)
    character = character_for(motion.skeleton)
    fitted = fit(motion, character)
    root = fitted.root_pos.copy()
    root[:, 1] -= 0.02 * np.arange(len(root)) / 60.0
    root[:, 2] -= 0.004
    return replace(fitted, root_pos=root), character


def test_soles_that_creep_stand_still_and_nothing_is_in_the_ground(sliding: tuple[Motion, Character]) -> None:
    motion, character = sliding
    settled = settle(motion, character)
    state = state_of(settled.motion, character)
    corners = sole_corners(character, state.positions, state.rotations)
    steps = np.linalg.norm(np.diff(corners[..., :2], axis=0), axis=-1).min(axis=-1)
    assert 60 * steps.mean() < 0.002
    assert character.lowest(state.positions, state.rotations).min() > -1e-9
    assert settled.moved.max() == pytest.approx(0.5 * 0.02 * motion.duration, abs=0.008)
    rest = [i for i, name in enumerate(character.skeleton.names) if "hip" not in name and "knee" not in name
            and "ankle" not in name]
    assert settled.motion.rotations[:, rest] == pytest.approx(motion.rotations[:, rest])


def test_feet_that_stand_stay_where_they_are_on_the_captured_skeleton(sliding: tuple[Motion, Character]) -> None:
    motion, character = sliding
    captured = squatting(fps=60.0)
    settled = settle(motion, character).motion
    taken = onto_captured(settled, np.arange(len(motion)) / 60.0, captured, character)
    ankles = [kinematics.world_poses(m)[0][:, m.skeleton.index("left_ankle")] for m in (settled, taken)]
    apart = ankles[1] - ankles[0]
    assert np.abs(apart - apart[0]).max() < 1e-6


def test_jitter_is_the_third_derivative() -> None:
    time = np.arange(0, 4, 1 / 60)
    places = np.stack([2.0 * time**3, np.zeros_like(time), np.zeros_like(time)], -1)[:, None]
    assert jitter(places, 60.0) == pytest.approx(1.2, rel=1e-3)  # 12 m/s³


def test_what_is_borne_ends_at_the_first_that_is_not() -> None:
    assert borne({100.0: 1.0, 200.0: 0.9, 300.0: 0.5, 400.0: 1.0}) == 200.0
    assert borne({100.0: 0.5}) == borne({}) == 0.0


def test_a_robustness_table_has_all_its_parts(untrained: Path, tmp_path: Path) -> None:
    config = RobustnessConfig(starts=1, seconds=0.2, force=4000.0)
    report = robustness(untrained, tmp_path, config, no_progress)
    assert [push["side"] for push in report["pushes"]] == ["front", "back", "left", "right"]
    for push in report["pushes"]:
        shares = dict(push["tried"])
        assert all(share >= report["share"] for force, share in shares.items() if force <= push["borne_n"])
    spans = {one["name"]: one for one in report["spans"]}
    assert set(spans) == {"mass", "friction", "gravity", "strength", "latency"}
    assert all(one["low"] <= 1 <= one["high"] for name, one in spans.items() if name != "latency")
    assert json.loads((tmp_path / "robustness.json").read_text())["pushes"] == json.loads(json.dumps(report["pushes"]))
    assert (tmp_path / "robustness.png").stat().st_size > 10_000
    assert any("forward" in line for line in lines(report))


def test_a_policy_can_be_performed_in_the_other_engine(untrained: Path) -> None:
    pytest.importorskip("mujoco")
    policy = Policy.load(untrained)
    reference = make_reference(policy.motion, policy.character)
    takes = [perform(policy, reference, Circumstances(name), (), 10, 1, 0.0, 0, no_progress)[0] for name in ENGINES]
    apart = np.linalg.norm(takes[0].state.positions - takes[1].state.positions, axis=-1)
    assert apart.max() < 0.05


def test_a_policy_of_another_character_is_refused_in_one_line(untrained: Path, tmp_path: Path) -> None:
    policy = Policy.load(untrained)
    size = len(policy.normaliser.mean)
    other = Network(size - 6, policy.character.coordinates, (16,))
    replace(policy, network=other, normaliser=Normaliser(size - 6)).save(tmp_path / "other.pt")
    for run in (lambda: simulate(tmp_path / "other.pt", tmp_path / "t.npz", SimulateConfig(), no_progress),
                lambda: robustness(tmp_path / "other.pt", tmp_path, RobustnessConfig(starts=1), no_progress)):
        with pytest.raises(SfvError, match="not this character's: its network takes") as caught:
            run()
        assert "\n" not in str(caught.value)
        assert "other.pt" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["other.pt"]


def test_robustness_of_a_part_that_is_none_is_refused(untrained: Path, tmp_path: Path) -> None:
    with pytest.raises(SfvError, match="no part 'wing'"):
        robustness(untrained, tmp_path, RobustnessConfig(body="wing"), no_progress)
    assert not list(tmp_path.iterdir())


def test_takes_that_would_fill_the_memory_are_refused(untrained: Path, tmp_path: Path) -> None:
    policy = Policy.load(untrained)
    replace(policy, motion=replace(policy.motion, loop=True)).save(tmp_path / "loop.pt")
    with pytest.raises(SfvError, match="too much for the memory"):
        simulate(tmp_path / "loop.pt", tmp_path / "t.npz", SimulateConfig(seconds=600.0, takes=1000), no_progress)


def test_lying_is_a_fall_but_not_where_the_reference_lies_and_not_being_late_in_a_jump() -> None:
    stand = falling(BODY, height=-float(state_of_lowest(BODY)))
    lie = replace(stand, positions=stand.positions * [1, 1, 0] + [0, 0, 0.1])
    jump = replace(stand, positions=stand.positions + [0, 0, 0.8])
    assert fallen(lie, stand, BODY).all()
    assert not fallen(lie, lie, BODY).any()
    assert not fallen(stand, stand, BODY).any()
    assert not fallen(stand, jump, BODY).any()
    hovering = replace(lie, positions=lie.positions + [0, 0, 0.12])
    assert not fallen(lie, hovering, BODY).any()  # a reference that lies above the ground


def state_of_lowest(character: Character) -> float:
    state = falling(character, height=0.0)
    return float(character.lowest(state.positions, state.rotations).min())


def test_takes_do_not_depend_on_how_many_worlds_there_are_at_a_time(untrained: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy.load(untrained)
    reference = make_reference(policy.motion, policy.character)
    heard: list[tuple[float, float]] = []

    def hear(stage: str, done: float, total: float, **numbers: float) -> None:
        heard.append((done, total))

    monkeypatch.setitem(MOST_WORLDS, "pybullet", 2)
    shoves = (Shove(0, 0, 8, np.zeros((3, 3))),)
    takes = perform(policy, reference, Circumstances("pybullet"), shoves, 4, 3, 0.1, 0, hear)
    alone = perform(policy, reference, Circumstances("pybullet"), (), 4, 1, 0.1, 0, no_progress)
    assert len(takes) == 3
    assert takes[0].state.positions == pytest.approx(alone[0].state.positions, abs=1e-6)
    assert np.abs(takes[1].state.positions - takes[2].state.positions).max() > 1e-3
    assert heard[-1] == (12, 12)
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
