"""The stand-in body and licensed SMPL files are read and posed on one path."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from retarget import kinematics, rotation
from retarget.motion import Motion
from sfv_core.body import model
from sfv_core.body.model import SMPL_NAMES, Body, load_body, ours_from_smpl, pose_vertices, skeleton_of
from sfv_core.body.smpl_file import KEYS
from sfv_core.errors import SfvError

ROOT = Path(__file__).resolve().parents[2]
LANDMARKS = {"nose": 332, "left_eye": 2800, "right_eye": 6260, "left_toe": 3216, "right_toe": 6617, "left_heel": 3387,
             "left_index": 2319, "right_index": 5782}
BETAS = np.array([1.0, -1.0, 0.5, -0.5, 1.5, 1.0, -1.0, 0.3, -0.7, 2.0])


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


@pytest.fixture(scope="module")
def chumpy() -> Iterator[type]:
    """A class that pickles as chumpy's arrays do."""
    package, module = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")
    array = type("Ch", (), {"__module__": "chumpy.ch", "__qualname__": "Ch"})
    module.Ch = array  # type: ignore[attr-defined]
    sys.modules.update({"chumpy": package, "chumpy.ch": module})
    yield array
    del sys.modules["chumpy"], sys.modules["chumpy.ch"]


@pytest.fixture
def licensed(tmp_path: Path, chumpy: Callable[[], Any]) -> Path:
    """The stand-in written as SMPL's makers write their files."""
    with np.load(model.STANDIN) as data:
        content: dict[str, Any] = {key: data[key] for key in KEYS}
    for key in ("v_template", "shapedirs", "weights"):
        value = chumpy()
        value.__dict__.update(x=content[key].astype(float), _dirty_vars=("x",))
        content[key] = value
    content["J_regressor"] = scipy.sparse.csc_matrix(content["J_regressor"])
    content |= {"bs_type": "lrotmin", "bs_style": "lbs", "J": np.zeros((24, 3))}
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(content, 2))
    return path


def _motion(body: Body, frames: int = 3) -> Motion:
    rng = np.random.default_rng(5)
    turns = rotation.from_rotvec(rng.normal(0, 0.5, (frames, 24, 3)))
    return Motion(skeleton_of(body.joints(BETAS)), 30.0, rng.normal(0, 1, (frames, 3)), turns)


def test_the_standin_has_the_size_of_smpl_and_of_a_person(body: Body) -> None:
    assert body.v_template.shape == (6890, 3) and body.shapedirs.shape == (6890, 3, 10)
    assert body.weights.shape == (6890, 24) and body.joint_regressor.shape == (24, 6890)
    assert 1.6 < np.ptp(body.v_template[:, 1]) < 1.9
    np.testing.assert_allclose(body.weights.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(body.joint_regressor.sum(axis=1), 1, atol=1e-6)
    assert body.joint_regressor.min() >= 0
    assert set(np.unique(body.faces)) == set(range(6890))
    assert model.STANDIN.stat().st_size < 500_000


def test_the_landmarks_stand_where_smplx_looks_for_them(body: Body) -> None:
    place = {name: body.v_template[number] for name, number in LANDMARKS.items()}
    joint = dict(zip(SMPL_NAMES, body.joint_template, strict=True))
    face = body.v_template[np.abs(body.v_template[:, 0]) < 0.06]
    assert place["nose"][2] == pytest.approx(face[face[:, 1] > joint["head"][1]][:, 2].max(), abs=0.01)
    assert place["left_eye"][0] > 0 > place["right_eye"][0]
    assert place["left_toe"][2] > joint["left_foot"][2] and place["left_heel"][2] < joint["left_ankle"][2]
    assert place["left_index"][0] > joint["left_hand"][0] and place["right_index"][0] < joint["right_hand"][0]
    np.testing.assert_allclose(place["right_toe"], place["left_toe"] * [-1, 1, 1], atol=1e-5)


def test_the_skin_is_closed_and_faces_outwards(body: Body) -> None:
    edges = body.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    there, back = ({tuple(edge) for edge in part.tolist()} for part in (edges, edges[:, ::-1]))
    assert there == back and len(there) == len(edges)
    a, b, c = np.moveaxis(body.v_template[body.faces], 1, 0)
    litres = np.sum(a * np.cross(b, c)) / 6 * 1000
    assert 50 < litres < 110


@pytest.mark.parametrize("number", range(10))
def test_every_beta_changes_left_and_right_alike(body: Body, number: int) -> None:
    moved = np.linalg.norm(body.joint_shapedirs[:, :, number], axis=-1)
    left = [SMPL_NAMES.index(name) for name in SMPL_NAMES if name.startswith("left")]
    right = [SMPL_NAMES.index(SMPL_NAMES[joint].replace("left", "right")) for joint in left]
    np.testing.assert_allclose(moved[left], moved[right], atol=1e-3)
    assert np.abs(body.shapedirs[:, :, number]).max() > 0.005


def test_the_skeleton_stands_on_the_ground_with_its_left_at_plus_x_facing_minus_y(body: Body) -> None:
    skeleton = skeleton_of(body.joint_template)
    positions, _ = kinematics.rest_pose(skeleton)
    assert positions[:, 2].min() == pytest.approx(0)
    assert positions[skeleton.index("left_wrist"), 0] > 0.5
    assert positions[skeleton.index("left_foot"), 1] < positions[skeleton.index("left_ankle"), 1]
    np.testing.assert_allclose(positions - positions[0], ours_from_smpl(body.joint_template - body.joint_template[0]),
                               atol=1e-12)


def test_the_unbent_skin_stands_where_forward_kinematics_puts_the_joints(body: Body) -> None:
    pytest.importorskip("smplx")
    motion = _motion(body)
    still = Motion(motion.skeleton, 30.0, motion.root_pos, np.tile(rotation.IDENTITY, (len(motion), 24, 1)))
    skin = pose_vertices(body, BETAS, still)
    expected, _ = kinematics.world_poses(still)
    np.testing.assert_allclose(body.joint_regressor @ skin, expected, atol=2e-6)


def test_joints_of_smplx_equal_forward_kinematics(body: Body) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("smplx")
    motion = _motion(body)
    _, layer = model._smplx_model(body)
    pose = torch.tensor(rotation.to_rotvec(model.smpl_from_ours_rotation(motion.rotations)), dtype=torch.float32)
    with torch.no_grad():
        posed = layer(betas=torch.tensor(BETAS, dtype=torch.float32).expand(3, -1), global_orient=pose[:, 0],
                      body_pose=pose[:, 1:].flatten(1), transl=torch.zeros(3, 3))
    joints = ours_from_smpl(posed.joints[:, :24].numpy())
    expected, _ = kinematics.world_poses(motion)
    np.testing.assert_allclose(joints - joints[:, :1], expected - expected[:, :1], atol=5e-6)


def test_a_licensed_pickle_gives_the_same_skin_as_the_standin(body: Body, licensed: Path) -> None:
    pytest.importorskip("smplx")
    other = load_body(licensed)
    assert other.name == "SMPL_NEUTRAL" and other.materials is None
    motion = _motion(body)
    same = pose_vertices(body, BETAS, motion), pose_vertices(other, BETAS, motion)
    assert np.allclose(*same, rtol=0.0, atol=1e-6)  # m; arrays that lie otherwise in memory round otherwise


def test_posing_is_quiet(body: Body, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("smplx")
    pose_vertices(body, BETAS, _motion(body, 1))
    assert capfd.readouterr().out == ""


def test_a_file_with_300_shape_directions_gives_the_first_ten(tmp_path: Path, body: Body) -> None:
    with np.load(model.STANDIN) as data:
        content = {key: data[key] for key in KEYS}
    content["shapedirs"] = np.concatenate([content["shapedirs"], np.ones((6890, 3, 290), np.float32)], axis=2)
    np.savez(tmp_path / "many.npz", **content)
    assert np.array_equal(load_body(tmp_path / "many.npz").shapedirs, body.shapedirs)


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("echo pwned > pwned.txt",)


class _Eval:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("open('pwned.txt', 'w')",)


@pytest.mark.parametrize("value", [_Evil(), _Eval(), {"v_template": _Evil()}])
def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                      value: object) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(SfvError, match=r"evil\.pkl"):
        load_body(path)
    assert not (tmp_path / "pwned.txt").exists()


@pytest.mark.parametrize("reference", ["cnumpy.f2py\ncompile\n", "cscipy.sparse\nload_npz\n", "cnumpy\nload\n",
                                       "cbuiltins\ngetattr\n", "cscipy.sparse._compressed\nwarn\n"])
def test_functions_of_numpy_and_scipy_are_refused(tmp_path: Path, reference: str) -> None:
    path = tmp_path / "evil.pkl"
    path.write_bytes(reference.encode() + b"(tR.")
    with pytest.raises(SfvError, match="no place in a body model"):
        load_body(path)


@pytest.mark.parametrize("name", ["body.pkl", "body.npz"])
@pytest.mark.parametrize("content", [b"", b"This is a text.\n" * 20, b"\x80\x02}q\x00", bytes(range(256))])
def test_what_is_no_model_is_named_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SfvError) as error:
        load_body(path)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_a_truncated_pickle_is_refused_wherever_it_ends(licensed: Path) -> None:
    whole = licensed.read_bytes()
    for share in np.linspace(0.0, 0.999, 12):
        licensed.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(SfvError, match="SMPL_NEUTRAL"):
            load_body(licensed)


def _without(content: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != key}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda c: _without(c, "weights"), "no weights"),
        (lambda c: c | {"v_template": np.zeros((10475, 3))}, "v_template is 10475 × 3"),
        (lambda c: c | {"v_template": np.full((6890, 3), np.nan)}, "NaN"),
        (lambda c: c | {"f": np.full((10, 3), 7000)}, "faces"),
        (lambda c: c | {"kintree_table": np.zeros((2, 24))}, "hang together"),
        (lambda c: c | {"weights": np.full((6890, 24), "x")}, "numbers"),
    ],
)
def test_an_incomplete_or_foreign_model_says_what_is_wrong(tmp_path: Path, change: Callable[..., dict[str, Any]],
                                                           word: str) -> None:
    with np.load(model.STANDIN) as data:
        content = {key: data[key] for key in KEYS}
    np.savez(tmp_path / "odd.npz", **change(content))
    with pytest.raises(SfvError, match=word) as error:
        load_body(tmp_path / "odd.npz")
    assert "odd.npz" in str(error.value)


def test_a_missing_file_or_another_kind_of_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SfvError, match=r"No body model file .*nothing\.pkl"):
        load_body(tmp_path / "nothing.pkl")
    (tmp_path / "body.obj").write_text("v 0 0 0")
    with pytest.raises(SfvError, match="neither"):
        load_body(tmp_path / "body.obj")


def test_betas_and_motions_that_do_not_fit_are_refused(body: Body) -> None:
    motion = _motion(body)
    with pytest.raises(SfvError, match="10 betas"):
        pose_vertices(body, np.zeros(16), motion)
    other = model.Skeleton(("hips",), np.array([-1]), np.zeros((1, 3)), rotation.IDENTITY[None])
    with pytest.raises(SfvError, match="hips"):
        pose_vertices(body, BETAS, Motion(other, 30.0, np.zeros((2, 3)), np.tile(rotation.IDENTITY, (2, 1, 1))))


def test_the_shipped_file_is_what_its_generator_makes(tmp_path: Path, body: Body) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, ROOT / "tools" / "make_body.py", tmp_path / "again.npz"], check=True,
                   capture_output=True, env=environment)
    again = load_body(tmp_path / "again.npz")
    np.testing.assert_allclose(again.v_template, body.v_template, atol=1e-5)
    np.testing.assert_allclose(again.joint_template, body.joint_template, atol=1e-5)
    assert np.array_equal(again.faces, body.faces)
