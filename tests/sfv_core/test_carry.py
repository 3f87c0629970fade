"""A rollout on the character becomes a motion of the captured skeleton."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from people import squatting

from retarget import kinematics, rotation
from retarget.motion import Motion
from sfv_core.character import deepmimic
from sfv_core.character.build import PlanName, character_for
from sfv_core.character.carry import carry
from sfv_core.character.fit import fit, ground_height, posed
from sfv_core.errors import SfvError


def moving(motion: Motion, seed: int = 0) -> Motion:
    """Return the motion with every joint turning a little on its own, fingers and spine too."""
    generator = np.random.default_rng(seed)
    phases = generator.uniform(0, 6, (1, len(motion.skeleton), 3))
    turn = 0.15 * np.sin(phases + 0.1 * np.arange(len(motion))[:, None, None])
    return replace(motion, rotations=rotation.multiply(motion.rotations, rotation.from_rotvec(turn)))


def clip(name: str, request: pytest.FixtureRequest) -> Motion:
    if name == "smpl":
        return moving(squatting())
    if name == "deepmimic":
        return deepmimic.load_clip("backflip")
    from retarget.files import read_motion
    folder: Path = request.getfixturevalue("shared_data")
    return read_motion(folder / "clips" / name).slice(0, 200)


CLIPS = ("smpl", "deepmimic", "cmu_01_01.bvh", "xia_neutral.bvh", "mixamo_pairs/Ortiz__Macarena_Dance.bvh")


@pytest.mark.parametrize("name", CLIPS)
def test_carrying_the_reference_itself_gives_the_captured_motion_back(
        name: str, request: pytest.FixtureRequest) -> None:
    captured = clip(name, request)
    character = character_for(captured.skeleton)
    fitted = fit(captured, character)
    carried = carry(fitted, np.arange(len(captured)) / captured.fps, captured, character)
    assert carried.skeleton == captured.skeleton
    assert rotation.angle(carried.rotations, captured.rotations).max() < 1e-6
    lifted = fitted.root_pos - posed(captured, character).root_pos
    lifted[:, 2] += ground_height(posed(captured, character), character)
    moved = carried.root_pos - captured.root_pos
    assert np.abs(moved[:, :2]).max() < 1e-6
    assert moved[:, 2] == pytest.approx(lifted[:, 2], abs=1e-6)
    assert lifted[:, 2].min() > -1e-9


def performed(captured: Motion, turns: dict[str, np.ndarray]) -> tuple[Motion, np.ndarray]:
    """Return the fitted reference with some joints turned further, (3,) rad by name, and the frames' times."""
    fitted = fit(captured, character_for(captured.skeleton))
    rotations = fitted.rotations.copy()
    for name, turn in turns.items():
        j = fitted.skeleton.index(name)
        rotations[:, j] = rotation.multiply(rotations[:, j], rotation.from_rotvec(turn))
    return replace(fitted, rotations=rotations), np.arange(len(captured)) / captured.fps


def test_hands_and_toes_go_with_the_limb_that_carries_them() -> None:
    captured = moving(squatting())
    rollout, times = performed(captured, {"left_elbow": np.array([0.0, 0.3, 0.0]),
                                          "right_ankle": np.array([0.2, 0.0, 0.0])})
    carried = carry(rollout, times, captured, character_for(captured.skeleton))
    for name in ("left_wrist", "left_hand", "right_foot"):
        j = captured.skeleton.index(name)
        assert rotation.angle(carried.rotations[:, j], captured.rotations[:, j]).max() < 1e-6
    _, before = kinematics.world_poses(captured)
    _, after = kinematics.world_poses(carried)
    hand, foot, other = (captured.skeleton.index(name) for name in ("left_hand", "right_foot", "right_hand"))
    assert rotation.angle(before[:, hand], after[:, hand]) == pytest.approx(0.3, abs=1e-6)
    assert rotation.angle(before[:, foot], after[:, foot]) == pytest.approx(0.2, abs=1e-6)
    assert rotation.angle(before[:, other], after[:, other]).max() < 1e-6


def test_the_spine_shares_what_turns_the_chest_and_the_neck_what_turns_the_head() -> None:
    captured = squatting()
    rollout, times = performed(captured, {"spine3": np.array([0.0, 0.0, 0.6]), "neck": np.array([0.0, 0.0, 0.4])})
    carried = carry(rollout, times, captured, character_for(captured.skeleton))
    turned = rotation.to_rotvec(rotation.multiply(carried.rotations, rotation.inverse(captured.rotations)))
    wanted = {"spine1": 0.2, "spine2": 0.2, "spine3": 0.2, "neck": 0.2, "head": 0.2, "left_collar": 0.0}
    for name, angle in wanted.items():
        assert turned[:, captured.skeleton.index(name), 2] == pytest.approx(angle, abs=1e-6), name


def test_feet_stand_where_the_simulated_feet_stand() -> None:
    """The body sways while its ankles stay in place: the captured ankles stay as well as the fitted ones did."""
    captured = squatting()
    character = character_for(captured.skeleton)
    rollout, times = performed(captured, {"left_hip": np.array([0.15, 0.0, 0.0]), "left_knee": np.zeros(3)})
    carried = carry(rollout, times, captured, character)
    ours, theirs = kinematics.world_poses(carried)[0], kinematics.world_poses(rollout)[0]
    a, b = captured.skeleton.index("left_ankle"), rollout.skeleton.index("left_ankle")
    apart = ours[:, a] - theirs[:, b]
    assert np.ptp(apart, axis=0).max() < 0.02


@pytest.mark.parametrize("plan", ["atlas", "deepmimic"])
def test_what_another_body_performed_is_carried_at_the_captured_bodys_size(plan: PlanName) -> None:
    captured = moving(squatting())
    character = character_for(captured.skeleton, plan)
    carried = carry(fit(captured, character), np.arange(len(captured)) / captured.fps, captured, character)
    assert rotation.angle(carried.rotations, captured.rotations).max() < 1e-6
    assert np.abs(carried.root_pos - captured.root_pos)[:, :2].max() < 1e-6
    assert np.abs(carried.root_pos - captured.root_pos)[:, 2].max() < 0.03


def test_a_motion_that_loops_is_carried_through_all_its_cycles() -> None:
    captured = deepmimic.load_clip("walk", 30.0)
    character = character_for(captured.skeleton)
    fitted = fit(captured, character)
    frames = np.arange(3 * len(captured) - 3) % (len(captured) - 1)
    rollout = replace(fitted, root_pos=fitted.root_pos[frames], rotations=fitted.rotations[frames], loop=False)
    carried = carry(rollout, np.arange(len(frames)) / captured.fps, captured, character)
    assert rotation.angle(carried.rotations, captured.rotations[frames]).max() < 1e-6


def test_contacts_of_the_rollout_are_the_captured_joints() -> None:
    captured = squatting()
    rollout, times = performed(captured, {})
    contacts = np.zeros((len(rollout), len(rollout.skeleton)))
    contacts[3:9, rollout.skeleton.index("left_ankle")] = 1.0
    carried = carry(replace(rollout, contacts=contacts), times, captured, character_for(captured.skeleton))
    assert carried.contacts is not None
    assert np.flatnonzero(carried.contacts[:, captured.skeleton.index("left_ankle")]).tolist() == list(range(3, 9))
    assert carried.contacts.sum() == 6


def test_what_does_not_belong_together_is_refused() -> None:
    captured = squatting()
    character = character_for(captured.skeleton)
    rollout, times = performed(captured, {})
    with pytest.raises(SfvError, match="not this character's"):
        carry(captured, times, captured, character)
    for wrong in (times[:-1], -times - 1, np.full(len(times), np.nan)):
        with pytest.raises(SfvError, match="as many times"):
            carry(rollout, wrong, captured, character)
