"""A rollout on the character becomes a motion of the captured skeleton."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from people import squatting

from retarget import rotation
from retarget.motion import Motion
from sfv_core.character import deepmimic
from sfv_core.character.build import character_for
from sfv_core.character.carry import carry
from sfv_core.character.fit import fit, ground_height, posed


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
