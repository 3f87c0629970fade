"""The Physics panel: what is chosen there is what the backend is asked for."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import bpy
import pytest
from bl_ext.user_default.sfv import operators, panels, tracking
from bl_ext.user_default.sfv.backend import Access

HERE = Access()
PARSE = "import json, sys; from sfv_core.config import JobConfig; from sfv_core.schema import parse; " \
        "parse(JobConfig, json.load(sys.stdin))"


@pytest.fixture
def held(tmp_path):
    """A scene with a captured motion; its Physics panel."""
    scene = bpy.context.scene
    scene.sfv.captured.motion, scene.sfv.captured.name = str(tmp_path / "motion.npz"), "clip"
    return scene.sfv.physics


def asked() -> dict:
    return operators.config_for(bpy.context.scene, "simulate", HERE)


def choose_all(held: bpy.types.PropertyGroup) -> None:
    """Choose something else than the default everywhere."""
    held.engine, held.loop, held.character = "mujoco", "yes", "atlas"
    held.use_mass, held.mass = True, 80.0
    held.takes, held.gravity, held.slope, held.slope_dir = 4, 0.5, 10.0, "downhill"
    held.use_push, held.push_time, held.push_force, held.push_for = True, 1.5, 250.0, 0.5
    held.push_dir, held.push_body = "back", "left_hand"


def test_what_was_left_alone_is_not_sent(held):
    bpy.context.scene.sfv.minutes = 5.0
    config = asked()
    assert (config["train"], config["simulate"]) == ({"minutes": 5.0}, {})


def test_what_is_chosen_is_what_is_asked_for(held):
    choose_all(held)
    config = asked()
    assert config["train"] == {"minutes": 10.0, "engine": "mujoco", "loop": "yes", "character": "atlas", "mass": 80.0}
    assert config["simulate"] == {"takes": 4, "gravity": 0.5, "slope": 10.0, "slope_dir": "downhill",
                                  "push": ["t=1.5 N=250 dir=back body=left hand for=0.5"]}


def test_what_is_switched_off_is_not_sent(held):
    choose_all(held)
    held.use_mass = held.use_push = False
    held.slope = 0.0
    config = asked()
    assert "mass" not in config["train"]
    assert set(config["simulate"]) == {"takes", "gravity"}


@pytest.mark.skipif("SFV_PYTHON" not in os.environ, reason="SFV_PYTHON does not name a Python with the backend in it")
def test_the_backend_understands_every_choice(held):
    choose_all(held)
    for name in ("engine", "loop", "character", "slope_dir", "push_dir", "push_body"):
        for item in held.bl_rna.properties[name].enum_items:
            setattr(held, name, item.identifier)
            done = subprocess.run([os.environ["SFV_PYTHON"], "-c", PARSE], input=json.dumps(asked()), text=True,
                                  capture_output=True, cwd=Path(__file__).resolve().parents[2])
            assert done.returncode == 0, done.stderr


def test_the_panel_is_folded_up_and_every_choice_explains_itself(held):
    assert "DEFAULT_CLOSED" in panels.SFV_PT_physics.bl_options and panels.SFV_PT_physics.is_registered
    for known in held.bl_rna.properties:
        if known.identifier not in ("rna_type", "name"):
            assert len(known.description) > 10, known.identifier


def test_notes_of_a_training_are_kept_beside_its_advice_once_each(held):
    scene = bpy.context.scene
    tracking.job_begun(scene, "some-id", "simulate")
    for text in ("It floats.", "It repeats.", "It floats."):
        tracking.job_event("some-id", {"kind": "log", "text": text, "note": True})
    tracking.job_event("some-id", {"kind": "log", "text": "Train it longer.", "advice": True})
    tracking.job_event("some-id", {"kind": "state", "state": "done"})
    view = tracking.view_of(scene)
    assert (view.notes, view.advice, view.text) == (("It floats.", "It repeats."), "Train it longer.", "")
