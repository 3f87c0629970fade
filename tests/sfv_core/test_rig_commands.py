"""`sfv bake`, `sfv map` and `sfv retarget` as people call them: many motions onto many rigs, maps, reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from retarget import RetargetError, bvh
from retarget.files import read_motion
from retarget.kinematics import world_poses
from retarget.mapping import BoneMap, guess
from sfv_core import bake
from sfv_core.batch import lines, named
from sfv_core.character import deepmimic
from sfv_core.cli import parser
from sfv_core.config import BakeConfig, JobConfig
from sfv_core.errors import SfvError
from sfv_core.options import read_settings
from sfv_core.schema import parse, to_json

ROOT = Path(__file__).parents[2]


def sfv(*arguments, cwd: Path):
    """Run a command; return (exit code, stdout, stderr)."""
    done = subprocess.run([sys.executable, "-m", "sfv_core", *map(str, arguments)], capture_output=True, text=True,
                          cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two motions of different kinds, a rig, and files that are none."""
    path = tmp_path_factory.mktemp("rigs")
    deepmimic.load_clip("walk").save(path / "walk.npz")
    bvh.save(deepmimic.load_clip("run"), path / "run.bvh")
    (path / "text.npz").write_text("this is no motion")
    (path / "text.glb").write_text("this is no rig")
    return path


@pytest.fixture(scope="module")
def rig(folder) -> Path:
    """The project's own rig; skips where there is no Blender."""
    try:
        bake.blender_command()
    except SfvError as error:
        pytest.skip(str(error))
    bake.make_demo_rig(folder / "demo.blend")
    return folder / "demo.blend"


def test_every_good_pair_is_baked_and_every_bad_file_is_named(folder, rig):
    code, out, error = sfv("bake", "walk.npz", "run.bvh", "text.npz", "gone.npz", "--rig", "demo.blend", "text.glb",
                           "-o", "many", "--format", "glb", "--fps", 30, "--reduce", 0.5, "--json", cwd=folder)
    report = json.loads(out)
    assert code == 1 and [Path(path).name for path in report["files"]] == ["demo.glb"]
    assert (folder / "many" / "demo.glb").is_file() and not (folder / "many" / "text.glb").exists()
    assert set(report["failed"]) == {"gone.npz", "text.npz onto demo.blend", "text.glb"}
    assert all(name.split(" onto")[0] in error for name in report["failed"])
    (one,) = report["rigs"]
    assert one["fps"] == 30 and set(one["actions"]) == {"walk", "run"}
    walk = one["actions"]["walk"]
    assert walk["frames"] == [1, 39] and walk["bones"] >= 15
    assert walk["keys"] < walk["all_keys"] and 0 < walk["error_deg"] <= 0.5 and walk["error_mm"] <= 1
    assert "mixamorig:LeftToeBase" in walk["unmapped_bones"] and walk["unmapped_joints"] == []
    assert any("keys, at most 0." in line and "° and" in line for line in lines(one))


def test_one_motion_onto_one_rig_says_what_is_wrong_and_writes_nothing(folder, rig):
    code, out, error = sfv("bake", "text.npz", "demo.blend", "-o", "new/out.blend", cwd=folder)
    assert (code, out) == (1, "") and error.count("\n") == 1 and "text.npz" in error
    assert not (folder / "new").exists()


def test_a_map_is_shown_saved_used_and_saved_again(folder, rig):
    code, out, _ = sfv("map", "walk.npz", "demo.blend", "-o", "map.json", cwd=folder)
    assert code == 0 and "left_knee" in out and "100 %" in out and "note: " in out and "unmapped bones: " in out
    bone_map = BoneMap.load(folder / "map.json")
    assert bone_map.target_of("left_knee") == "mixamorig:LeftLeg"
    BoneMap(bone_map.pairs[:-3]).save(folder / "shorter.json")
    code, out, _ = sfv("bake", "walk.npz", "demo.blend", "-o", "mapped.blend", "--map", "shorter.json", "--save-map",
                       "again.json", "--frames", "5:20", "--start-frame", "100", "--every-frame", "--json", cwd=folder)
    action = json.loads(out)["actions"]["walk"]
    assert code == 0 and action["frames"] == [100, 115] and action["bones"] == len(bone_map.pairs) - 3
    assert {"right_hip", "right_knee", "right_ankle"} == set(action["unmapped_joints"])
    assert BoneMap.load(folder / "again.json").pairs == bone_map.pairs[:-3]


@pytest.mark.parametrize(("arguments", "says"), [
    ("bake walk.npz -o out.blend", "Give a rig"),
    ("bake walk.npz run.bvh text.glb -o out.blend --action a", "--action"),
    ("bake walk.npz text.glb -o out.blend --map gone.json", "gone.json"),
    ("bake walk.npz text.glb -o out.blend --frames a:b", "FIRST:LAST"),
    ("bake walk.npz --rig text.glb text.glb -o walk.npz", "walk.npz"),
    ("map gone.npz text.glb", "gone.npz"),
])
def test_a_wrong_call_is_one_line(folder, arguments, says):
    code, out, error = sfv(*arguments.split(), cwd=folder)
    assert (code, out) == (1, "") and error.count("\n") == 1 and says in error


def test_retarget_takes_the_solver_s_choices(folder):
    def way(*options: str) -> float:
        assert sfv("retarget", "walk.npz", "run.bvh", "-o", "out.bvh", *options, cwd=folder)[0] == 0
        path = world_poses(read_motion(folder / "out.bvh"))[0][:, 0]
        return float(np.linalg.norm(path[-1, :2] - path[0, :2]))

    free = way()
    assert way("--stride", "0.5") == pytest.approx(free / 2, rel=0.02) and way("--root", "in-place") < 0.02 * free


def test_retarget_says_what_the_map_leaves_out(folder):
    skeleton = read_motion(folder / "walk.npz").skeleton
    BoneMap(guess(skeleton, skeleton).pairs, ("The tail keeps its pose.",)).save(folder / "noted.json")
    arguments = ("retarget", "walk.npz", "run.bvh", "-o", "noted.bvh", "--map", "noted.json")
    code, out, _ = sfv(*arguments, cwd=folder)
    assert code == 0 and "note: The tail keeps its pose." in out
    assert json.loads(sfv(*arguments, "--json", cwd=folder)[1])["notes"] == ["The tail keeps its pose."]


@pytest.mark.parametrize(("text", "span"), [
    (None, {"frames": [None, None]}), (":", {"frames": [None, None]}), ("30:90", {"frames": [30, 90]}),
    ("30:", {"frames": [30, None]}), (":90", {"frames": [None, 90]}), ("1.5s:4s", {"seconds": [1.5, 4.0]}),
    (":2s", {"seconds": [None, 2.0]}),
])
def test_a_span_is_in_frames_or_seconds(text, span):
    assert BakeConfig(frames=text).span() == span


@pytest.mark.parametrize("text", ["30", "a:b", "-1:4", "1s:4", "1.5:3"])
def test_a_wrong_span_is_refused_wherever_it_comes_from(text):
    with pytest.raises(SfvError, match="FIRST:LAST"):
        parse(JobConfig, {"bake": {"frames": text}})


def test_the_same_settings_are_options_json_and_job():
    config = read_settings(parser().parse_args(["bake", "m.npz", "r.glb", "-o", "o.blend", "--reduce", "0.5", "--root",
                                                "in-place", "--feet", "off", "--hands", "floor", "--nla"]), BakeConfig)
    assert config == BakeConfig(reduce=0.5, root="in-place", feet="off", hands="floor", nla=True)
    assert parse(JobConfig, {"bake": to_json(config)}).bake == config
    options = parser().parse_args(["run", "v.mp4", "-o", "d", "--bake-reduce", "0.5", "--bake-root", "in-place",
                                   "--bake-feet", "off", "--bake-hands", "floor", "--bake-nla", "--no-hands"])
    assert read_settings(options, BakeConfig, "bake-") == config and options.hands is False


def test_files_of_the_same_name_are_told_apart_by_their_folders():
    paths = [Path("/a/x/walk.npz"), Path("/b/x/walk.npz"), Path("/b/x/run.npz"), Path("/b/x/run.npz")]
    assert named(paths) == {"a x walk": paths[0], "b x walk": paths[1], "run": paths[2]}
    assert len(named([Path("/a/walk.npz"), Path("/a/walk.bvh")])) == 2


def test_a_file_of_no_known_kind_is_refused(tmp_path):
    with pytest.raises(RetargetError, match=r"no kind of motion.*\.bvh"):
        read_motion(tmp_path / "walk.fbx")
