"""The npz form of a Motion, and what it refuses."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from humans import human, moving, places, rerolled

from retarget import Motion, RetargetError, Skeleton, rotation


def test_a_saved_motion_loads_the_same(tmp_path: Path):
    motion = moving(rerolled(human()))
    motion = replace(motion, confidence=np.full(motion.rotations.shape[:2], 0.5),
                     contacts=np.ones(motion.rotations.shape[:2]), loop=True)
    motion.save(tmp_path / "deep" / "motion.npz")
    again = Motion.load(tmp_path / "deep" / "motion.npz")
    assert again.skeleton.names == motion.skeleton.names
    assert again.fps == motion.fps
    assert again.loop
    for name in ("root_pos", "rotations", "confidence", "contacts"):
        assert np.allclose(getattr(again, name), getattr(motion, name), atol=1e-7)
    assert np.allclose(again.skeleton.rest_rotations, motion.skeleton.rest_rotations)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["motion.npz"]


def test_a_motion_file_holds_no_pickles(tmp_path: Path):
    moving(human()).save(tmp_path / "motion.npz")
    with np.load(tmp_path / "motion.npz", allow_pickle=False) as data:
        assert all(data[key].dtype.kind in "iufbU" for key in data.files)


class _Code:
    """Code that a pickle would run."""

    def __reduce__(self):
        return os.mkdir, ("pwned",)


def _pickled(path: Path) -> None:
    np.savez(path, format=np.array(1), names=np.array([_Code()], dtype=object))


def _truncated(path: Path) -> None:
    moving(human()).save(path)
    path.write_bytes(path.read_bytes()[:-400])


def _wrong_shape(path: Path) -> None:
    moving(human()).save(path)
    with np.load(path) as data:
        arrays = dict(data)
    np.savez(path, **{**arrays, "rotations": arrays["rotations"][:, :-1]})


def _not_numbers(path: Path) -> None:
    moving(human()).save(path)
    with np.load(path) as data:
        arrays = dict(data)
    arrays["root_pos"][3] = np.nan
    np.savez(path, **arrays)


def _without(key: str):
    def write(path: Path) -> None:
        moving(human()).save(path)
        with np.load(path) as data:
            arrays = {name: data[name] for name in data.files if name != key}
        np.savez(path, **arrays)

    return write


def _with(**changes: np.ndarray):
    def write(path: Path) -> None:
        moving(human()).save(path)
        with np.load(path) as data:
            arrays = {name: data[name] for name in data.files}
        np.savez(path, **{**arrays, **changes})

    return write


HOSTILE = {
    "missing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not a motion"),
    "one array": lambda path: path.write_bytes(b"\x93NUMPY" + b"\0" * 20),
    "truncated": _truncated,
    "pickled": _pickled,
    "wrong shape": _wrong_shape,
    "not a number": _not_numbers,
    "no names": _without("names"),
    "no loop": _without("loop"),
    "text as fps": _with(fps=np.array("fast")),
    "future format": _with(format=np.array(99)),
    "parents that loop": _with(parents=np.arange(28)[::-1].copy()),
    "text rotations": _with(rotations=np.array(["a"])),
    "two names": _with(names=np.array(["a", "a"])),
    "names of numbers": _with(names=np.array(3)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_bad_motion_file_is_refused_with_its_name(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.npz"
    HOSTILE[kind](path)
    with pytest.raises(RetargetError, match=r"bad\.npz"):
        Motion.load(path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("change", [{"fps": 0.0}, {"fps": np.nan}, {"root_pos": np.zeros((0, 3))},
                                    {"root_pos": np.full((40, 3), np.inf)}])
def test_a_motion_that_cannot_be_is_refused(change: dict):
    with pytest.raises(RetargetError):
        replace(moving(human()), **change)


@pytest.mark.parametrize("change", [{"names": ("a",) * 2}, {"parents": np.array([1, 0])}, {"root": 7},
                                    {"offsets": np.full((2, 3), np.nan)}])
def test_a_skeleton_that_cannot_be_is_refused(change: dict):
    good = Skeleton(("a", "b"), np.array([-1, 0]), np.zeros((2, 3)), np.tile(rotation.IDENTITY, (2, 1)))
    with pytest.raises(RetargetError):
        replace(good, **change)


def test_resampling_to_the_same_rate_changes_nothing():
    motion = moving(human())
    same = motion.resample(motion.fps)
    assert len(same) == len(motion)
    assert np.allclose(places(same), places(motion), atol=1e-9)


def test_resampling_up_and_down_again_returns_the_motion():
    motion = moving(human())
    again = motion.resample(motion.fps * 3).resample(motion.fps)
    assert np.allclose(places(again), places(motion), atol=1e-9)


def test_a_slice_holds_the_frames_from_start_to_stop():
    motion = moving(human())
    assert np.array_equal(motion.slice(3, 9).root_pos, motion.root_pos[3:9])


def test_another_rest_pose_leaves_the_motion_where_it_is():
    motion = moving(human())
    other = motion.with_rest(5)
    assert np.allclose(places(other), places(motion), atol=1e-12)
    assert np.allclose(other.skeleton.rest_rotations, motion.rotations[5])


def test_the_other_side_of_left_is_right_and_of_the_middle_itself():
    from retarget.motion import other_side

    assert other_side(("pelvis", "left_hip", "right_hip")).tolist() == [0, 2, 1]
