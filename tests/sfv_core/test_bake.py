"""Blender as a process: what comes out, and what is said about bad rigs."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from retarget import Motion, rotation
from sfv_core import bake
from sfv_core.body.model import load_body, skeleton_of
from sfv_core.config import BakeConfig
from sfv_core.errors import Cancelled, SfvError


@pytest.fixture(scope="module", autouse=True)
def blender() -> None:
    """Skip where there is no Blender."""
    try:
        bake.blender_command()
    except SfvError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def motion(tmp_path_factory) -> Path:
    """A body that lifts its left arm."""
    skeleton = skeleton_of(load_body().joint_template)
    turns = np.zeros((20, len(skeleton), 3))
    turns[:, skeleton.index("left_shoulder"), 1] = np.linspace(0, -1.2, 20)
    path = tmp_path_factory.mktemp("motion") / "motion.npz"
    Motion(skeleton, 29.97, np.tile(skeleton.offsets[0], (20, 1)), rotation.from_rotvec(turns)).save(path)
    return path


@pytest.fixture(scope="module")
def rig(tmp_path_factory) -> Path:
    """The project's own rig."""
    path = tmp_path_factory.mktemp("rig") / "rig.blend"
    assert bake.make_demo_rig(path)["bones"] == 24
    return path


def animations(glb: Path) -> dict[str, dict]:
    """Return a .glb file's animations by name."""
    content = glb.read_bytes()
    length = struct.unpack_from("<I", content, 12)[0]
    return {animation["name"]: animation for animation in json.loads(content[20:20 + length]).get("animations", [])}


def test_every_motion_becomes_an_action(motion, rig, tmp_path):
    told = []
    report = bake.bake({"SFV captured": motion, "SFV simulated": motion}, rig, tmp_path / "out.glb",
                       lambda stage, done, total, **_: told.append((done, total)))
    assert set(report["actions"]) == set(animations(tmp_path / "out.glb")) == {"SFV captured", "SFV simulated"}
    assert report["actions"]["SFV captured"]["frames"] == [1, 20] and report["fps"] == pytest.approx(29.97)
    assert told[-1] == (2, 2)


def test_all_24_joints_drive_a_bone_of_the_demo_rig(motion, rig, tmp_path):
    report = bake.bake({"a": motion}, rig, tmp_path / "out.blend")
    assert report["actions"]["a"]["bones"] >= 22


def test_an_fbx_carries_the_action(motion, rig, tmp_path):
    bake.bake({"raise the arm": motion}, rig, tmp_path / "out.fbx")
    assert b"raise the arm" in (tmp_path / "out.fbx").read_bytes()


def test_a_preview_shows_every_moment_with_the_video_above(motion, rig, tmp_path, examples):
    from PIL import Image

    bake.bake({"a": motion}, rig, tmp_path / "out.blend")
    (report,) = bake.render_preview(tmp_path / "out.blend", tmp_path / "sheet.png", frames=3,
                                    video=examples / "walk.mp4")
    assert report["frames"][0] == 1 and report["frames"][-1] == 20
    picture = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"), float)
    width, height = bake.TILE
    assert picture.shape[1] == 3 * width and picture.shape[0] > height
    first, last = picture[-height:, :width], picture[-height:, -width:]
    assert np.abs(first - last).max() > 50  # the arm has moved
    assert first.std() > 20  # and something is there


def refuse(motion: Path, rig: Path, out: Path) -> str:
    """Return the one line that a bake is refused with; nothing may be written."""
    with pytest.raises(SfvError) as refusal:
        bake.bake({"a": motion}, rig, out)
    assert not list(out.parent.glob("*out.*"))
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize(("name", "content", "text"), [
    ("gone.glb", None, "No rig file"),
    ("empty.fbx", b"", "is empty"),
    ("text.glb", b"This is no rig.", "cannot read"),
    ("text.blend", b"This is no rig.", "cannot read"),
    ("text.bvh", b"This is no rig.", "text.bvh"),
    ("truncated.fbx", b"Kaydara FBX Binary  \x00\x1a\x00\xe8\x1c\x00\x00" + b"\x01" * 99, "cannot read"),
    ("rig.obj", b"v 0 0 0", "no kind of rig"),
    ("boneless.gltf", b'{"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], '
                      b'"nodes": [{"name": "thing"}]}', "no armature"),
])
def test_a_bad_rig_is_refused_in_one_line(motion, tmp_path, name, content, text):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    said = refuse(motion, path, tmp_path / "out.blend")
    assert text in said and name in said


def test_a_mesh_compressed_rig_is_refused_by_the_name_of_what_blender_lacks(motion, shared_data, tmp_path):
    said = refuse(motion, shared_data / "rigs" / "unsupported_meshopt.glb", tmp_path / "out.blend")
    assert "meshopt" in said


def test_a_bad_motion_is_refused_by_name(rig, tmp_path):
    (tmp_path / "motion.npz").write_bytes(b"PK\x03\x04")
    assert "motion.npz" in refuse(tmp_path / "motion.npz", rig, tmp_path / "out.blend")


def test_an_unknown_output_is_refused(motion, rig, tmp_path):
    assert ".blend" in refuse(motion, rig, tmp_path / "out.max")


def test_an_armature_that_is_not_there_is_refused_with_those_that_are(motion, rig, tmp_path):
    with pytest.raises(SfvError, match=r"no armature 'Bob'\. Armatures: Demo"):
        bake.bake({"a": motion}, rig, tmp_path / "out.blend", config=BakeConfig(armature="Bob"))


def test_cancelling_stops_blender(motion, rig, tmp_path):
    def stop(*_: object, **__: float) -> None:
        raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        bake.bake({"a": motion}, rig, tmp_path / "out.blend", stop)
    assert not (tmp_path / "out.blend").exists()


def test_a_program_that_is_not_blender_is_refused(monkeypatch):
    bake.blender_command.cache_clear()
    monkeypatch.setenv("SFV_BLENDER", "/bin/ls")
    with pytest.raises(SfvError, match="neither Blender nor Python"):
        bake.blender_command()
    monkeypatch.undo()
    bake.blender_command.cache_clear()
