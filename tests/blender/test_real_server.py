"""The installed extension against the real backend: SFV_PYTHON names a Python in which it can be run."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import bpy
import numpy as np
import pytest
import rigs
from bl_ext.user_default.sfv import session, tracking, watcher

ROOT = Path(__file__).resolve().parent.parent.parent
CLIP = ROOT / "examples" / "walk.mp4"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    "SFV_PYTHON" not in os.environ, reason="SFV_PYTHON does not name a Python with the backend in it")]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home of its own for the server, which the add-on starts itself; it is stopped at the end."""
    folder = tmp_path_factory.mktemp("data")
    before = {name: os.environ.get(name) for name in ("SFV_DATA", "PYTHONPATH")}
    os.environ.update(SFV_DATA=str(folder), PYTHONPATH=str(ROOT))
    yield folder
    about = folder / "server.json"
    deadline = time.monotonic() + 20
    while (folder / "server.log").is_file() and not about.is_file() and time.monotonic() < deadline:
        time.sleep(0.1)  # it is only just starting
    if about.is_file():
        os.kill(json.loads(about.read_text())["pid"], signal.SIGTERM)
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@pytest.fixture
def scene(home):
    """A scene with a rig as target and a video."""
    scene = bpy.context.scene
    scene.sfv.target, scene.sfv.video = rigs.mixamo_like(seed=1), str(CLIP)
    return scene


def until(condition, seconds: float = 60.0) -> None:
    """Drain until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        watcher.drain()
        assert time.monotonic() < deadline, tracking.views
        time.sleep(0.05)


def heads(armature: bpy.types.Object, frame: int) -> np.ndarray:
    return rigs.shown(armature, tuple(armature.data.bones.keys()), frame)[0]


def test_start_finds_the_backend_it_started(scene):
    bpy.ops.sfv.start_backend()
    until(lambda: tracking.backend.state != "asked")
    assert tracking.backend.state == "found", tracking.backend.text


def test_capture_ends_as_keyframes_on_the_target(scene):
    assert bpy.ops.sfv.capture(wait=True) == {"FINISHED"}
    action = scene.sfv.target.animation_data.action
    assert action.name == "SFV captured walk"
    assert Path(scene.sfv.captured.picture).suffix == ".mp4" and Path(scene.sfv.captured.report).is_file()
    first, last = action.frame_range
    start, end = heads(scene.sfv.target, int(first)), heads(scene.sfv.target, int(last))
    assert 0.7 < start[0, 2] < 1.2  # the hips are where hips are
    assert np.linalg.norm(end - start, axis=1).max() > 0.2  # and something has moved
    and_simulates_as_a_second_action(scene)


def and_simulates_as_a_second_action(scene) -> None:
    """Go on from the captured motion; a training this short shows the way, not the quality."""
    scene.sfv.minutes = 0.2
    assert bpy.ops.sfv.simulate(wait=True) == {"FINISHED"}
    assert scene.sfv.target.animation_data.action.name == "SFV simulated walk"
    assert bpy.data.actions["SFV captured walk"].use_fake_user
    assert bpy.ops.sfv.retarget(source="capture") == {"FINISHED"}
    assert scene.sfv.target.animation_data.action.name.startswith("SFV captured walk")


def test_a_cancelled_job_is_resumed_and_a_reopened_file_goes_on_watching_it(scene, tmp_path):
    bpy.ops.sfv.capture()
    until(lambda: tracking.view_of(scene).state == "running")
    bpy.ops.sfv.cancel()
    until(lambda: tracking.view_of(scene).ended)
    assert tracking.view_of(scene).state == "cancelled"
    assert not scene.sfv.captured.motion
    bpy.ops.sfv.resume()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "file.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "file.blend"))
    scene = bpy.context.scene
    assert tracking.busy(scene)
    until(lambda: tracking.view_of(scene).ended, 600)
    assert scene.sfv.target.animation_data.action.name.startswith("SFV captured walk")


def test_a_video_that_is_none_fails_with_the_reason_in_the_panel(scene, tmp_path):
    (tmp_path / "text.mp4").write_text("This is no video.")
    scene.sfv.video = str(tmp_path / "text.mp4")
    with pytest.raises(RuntimeError, match=r"text\.mp4"):
        bpy.ops.sfv.capture(wait=True)
    assert "text.mp4" in tracking.view_of(scene).text
    assert not bpy.data.actions


def test_a_backend_elsewhere_is_not_asked_while_blender_is_offline(scene):
    preferences = bpy.context.preferences.addons["bl_ext.user_default.sfv"].preferences
    preferences.url = "http://example.invalid:9"
    try:
        watcher.probe(session.access())
        until(lambda: tracking.backend.state != "asked")
        assert "online access is off" in tracking.backend.text
    finally:
        preferences.url = ""
