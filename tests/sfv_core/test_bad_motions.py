"""What cannot be learnt or performed is refused in one line that names the file, at once and with nothing written."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from people import smpl_skeleton, squatting

from retarget import rotation
from retarget.motion import Motion, Skeleton
from sfv_core.character import deepmimic
from sfv_core.character.build import character_for
from sfv_core.character.fit import fit
from sfv_core.character.sound import sound
from sfv_core.config import SimulateConfig, TrainConfig
from sfv_core.errors import SfvError
from sfv_core.imitate.environment import Environment
from sfv_core.imitate.policy import Network, Normaliser, Policy
from sfv_core.imitate.reference import make_reference
from sfv_core.imitate.rules import PAPER, Rules
from sfv_core.imitate.train import train
from sfv_core.physics.engine import open_engine
from sfv_core.progress import no_progress
from sfv_core.takes.rollout import simulate


def without_legs() -> Motion:
    whole, motion = smpl_skeleton(), squatting()
    kept = [j for j, name in enumerate(whole.names) if not name.endswith(("_hip", "_knee", "_ankle", "_foot"))]
    parents = np.array([kept.index(whole.parents[j]) if whole.parents[j] >= 0 else -1 for j in kept])
    skeleton = Skeleton(tuple(whole.names[j] for j in kept), parents, whole.offsets[kept], whole.rest_rotations[kept])
    return Motion(skeleton, motion.fps, motion.root_pos, motion.rotations[:, kept])


def sized(factor: float) -> Motion:
    motion = squatting()
    skeleton = motion.skeleton
    return replace(motion, skeleton=replace(skeleton, offsets=skeleton.offsets * factor))


def twenty_minutes() -> Motion:
    motion = squatting()
    frames = np.arange(20 * 60 * 30) % len(motion)
    return replace(motion, root_pos=motion.root_pos[frames], rotations=motion.rotations[frames])


MOTIONS: dict[str, tuple[Callable[[], Motion], str]] = {
    "one frame": (lambda: squatting().slice(0, 1), "lasts 0 s"),
    "two frames": (lambda: squatting().slice(0, 2), "lasts 0.0333 s"),
    "no legs": (without_legs, "two arms and two legs"),
    "a giant": (lambda: sized(100.0), "Give a motion in metres"),
    "a point": (lambda: sized(0.0), "coincide"),
    "twenty minutes": (twenty_minutes, r"clips of 0.2 to 120 s"),
}


@pytest.mark.parametrize("name", MOTIONS)
def test_a_motion_that_no_body_can_learn_is_refused(name: str, tmp_path: Path) -> None:
    make, message = MOTIONS[name]
    path, out = tmp_path / "motion.npz", tmp_path / "out"
    make().save(path)
    with pytest.raises(SfvError, match=message) as caught:
        train(path, out, TrainConfig(), no_progress)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not out.exists()


@pytest.mark.parametrize(("array", "value"), [("root_pos", np.nan), ("root_pos", np.inf), ("rotations", np.nan),
                                              ("fps", 0.0), ("fps", -30.0), ("fps", np.nan), ("offsets", np.nan)])
def test_numbers_that_are_none_are_refused(array: str, value: float, tmp_path: Path) -> None:
    path, out = tmp_path / "motion.npz", tmp_path / "out"
    squatting().save(path)
    with np.load(path) as data:
        arrays = {key: data[key] for key in data.files}
    arrays[array] = np.full_like(arrays[array], value)
    np.savez(path, **arrays)
    with pytest.raises(SfvError) as caught:
        train(path, out, TrainConfig(), no_progress)
    assert str(path) in str(caught.value)
    assert not out.exists()


@pytest.fixture(scope="module")
def policy_data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an untrained policy's file holds."""
    motion = squatting()
    character = character_for(motion.skeleton)
    fitted = fit(motion, character)
    environment = Environment(open_engine("pybullet", character, 1), make_reference(fitted, character),
                              np.random.default_rng(0))
    size = environment.observe().shape[1]
    path = tmp_path_factory.mktemp("policy") / "policy.pt"
    Policy(Network(size, character.coordinates, (16,)), Normaliser(size), character, fitted, "pybullet").save(path)
    return torch.load(path, weights_only=True)


def _of(data: dict[str, Any], link: int) -> dict[str, Any]:
    return data["character"]["links"][link]


def _shape(data: dict[str, Any]) -> dict[str, Any]:
    return _of(data, 2)["shapes"][0]


def _fewer_inputs(data: dict[str, Any]) -> None:
    for name in ("actor.0.weight", "critic.0.weight"):
        data["network"][name] = data["network"][name][:, :100]


def _fewer_inputs_everywhere(data: dict[str, Any]) -> None:
    _fewer_inputs(data)
    data["normaliser"] |= {name: data["normaliser"][name][:100] for name in ("mean", "variance")}


def _times(data: dict[str, Any], factor: float) -> None:
    data["network"] = {name: value * factor for name, value in data["network"].items()}


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "weights that are no numbers": (lambda d: _times(d, float("nan")), "not numbers"),
    "weights beyond all numbers": (lambda d: _times(d, 1e30), "not numbers"),
    "another network": (_fewer_inputs, "sees 100 numbers"),
    "another task": (_fewer_inputs_everywhere, "100 numbers"),
    "another character's actions": (lambda d: d["network"].update(log_spread=torch.zeros(10)), "not a policy"),
    "an engine of its own": (lambda d: d.update(engine="os.system"), "No physics engine"),
    "another rate": (lambda d: d.update(control_rate=0), "0 times a second"),
    "rules of its own": (lambda d: d.update(rules={"reward": "mine"}), "can be code, paper"),
    "rules that are no numbers": (lambda d: d.update(rules={"action_scale": float("nan")}), "action_scale"),
    "no motion": (lambda d: d.pop("motion"), "not a policy"),
    "a motion of other joints": (lambda d: d["motion"].update(rotations=d["motion"]["rotations"][:, :5]), "shape"),
    "negative mass": (lambda d: _shape(d).update(mass=-1.0), "'neck' has a shape of -1.0 kg"),
    "mass that is no number": (lambda d: _shape(d).update(mass=float("nan")), "nan kg"),
    "a head of a million km": (lambda d: _shape(d).update(size=[1e9]), "of the size"),
    "a size that lacks": (lambda d: _shape(d).update(size=[]), "of the size"),
    "a shape from a file": (lambda d: _shape(d).update(kind="mesh"), "kind 'mesh'"),
    "a joint that slides": (lambda d: _of(d, 2).update(joint="slider"), "kind 'slider'"),
    "an endless tree": (lambda d: _of(d, 2).update(parent=5), "does not come before"),
    "an axis that is none": (lambda d: _of(d, 4).update(axis=[0.0, 0.0, 0.0]), "no direction"),
    "endless strength": (lambda d: _of(d, 2).update(stiffness=float("inf")), "stiffness"),
    "words for numbers": (lambda d: _of(d, 2).update(stiffness="9"), "stiffness"),
    "a limb missing": (lambda d: d["character"]["links"].pop(), "no right_elbow"),
    "no body at all": (lambda d: d["character"].update(links=[]), "0 links"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_policy_is_refused(name: str, policy_data: dict[str, Any], tmp_path: Path) -> None:
    spoil, message = HOSTILE[name]
    data, path, out = deepcopy(policy_data), tmp_path / "policy.pt", tmp_path / "out.npz"
    spoil(data)
    torch.save(data, path)
    with pytest.raises(SfvError, match=message) as caught:
        simulate(path, out, SimulateConfig(), no_progress)
    assert "\n" not in str(caught.value)
    assert not out.exists()


@pytest.mark.parametrize("plan", ["squatting", "deepmimic"])
def test_our_own_characters_are_sound(plan: str) -> None:
    character = character_for(squatting().skeleton if plan == "squatting" else deepmimic.skeleton())
    assert sound(character) is character


def test_rules_of_unknown_kinds_are_refused_and_known_ones_stay() -> None:
    wrongs: tuple[dict[str, Any], ...] = ({"reward": "mine"}, {"terminate": ""}, {"lead": -1}, {"lead": "2"},
                                          {"action_scale": float("inf")})
    for wrong in wrongs:
        with pytest.raises(SfvError, match="The rule"):
            Rules(**wrong)
    assert replace(PAPER, lead=0).lead == 0


def test_a_body_that_stands_on_its_head_is_still_a_motion() -> None:
    """Impossible to hold but no error: first aid and the training's curve tell how hard it is."""
    motion = squatting()
    rotations = motion.rotations.copy()
    rotations[:, 0] = rotation.from_rotvec(np.array([np.pi, 0.0, 0.0]))
    turned = replace(motion, rotations=rotations)
    character = character_for(turned.skeleton)
    reference = make_reference(fit(turned, character), character)
    lowest = character.lowest(reference.state.positions, reference.state.rotations)
    assert lowest.min() > -0.03
