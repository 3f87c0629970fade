"""Pins over the wire: the add-on's client against the real server."""

from __future__ import annotations

import uuid

import numpy as np
import pytest
from sfv_client import BackendError

from retarget import Motion, Skeleton, rotation
from retarget.kinematics import world_poses
from sfv_core.config import JobConfig
from sfv_core.jobs import Job

NAMES = ("pelvis", "spine1", "left_shoulder", "left_elbow", "left_wrist")


@pytest.fixture
def captured(shared):
    """A job that has captured a motion."""
    skeleton = Skeleton(NAMES, np.array([-1, 0, 1, 2, 3]),
                        np.array([[0, 0, 1], [0, 0, 0.4], [0.2, 0, 0], [0.3, 0, 0], [0.25, 0, 0]], float),
                        np.tile(rotation.IDENTITY, (5, 1)))
    turns = 0.2 * np.random.default_rng(0).normal(size=(5, 3)) * np.ones((90, 1, 1))
    job = Job.create(shared.data / "jobs" / str(uuid.uuid4()), JobConfig(stages=("capture",), video="/gone.mp4"))
    job.artifacts.mkdir()
    motion = Motion(skeleton, 30.0, np.tile([0.0, 0, 1], (90, 1)), rotation.from_rotvec(turns))
    motion.save(job.artifacts / "motion.npz")
    job.emit("state", state="done")
    return job


def pins(*entries):
    return {"format": 1, "pins": list(entries)}


def test_pins_are_sent_and_the_refined_motion_comes_back(backend, captured, tmp_path):
    before = Motion.load(captured.artifacts / "motion.npz")
    target = world_poses(before)[0][40, 4] + [-0.1, 0.1, 0.05]
    about = backend.refine(captured.id, pins({"frame": 40, "joints": {"left_wrist": {"position": target.tolist()}}}))
    assert about["pinned_frames"] == [40] and about["pin_error_mm"] < 1
    after = Motion.load(backend.download(captured.id, "motion.npz", tmp_path / "motion.npz"))
    assert np.linalg.norm(world_poses(after)[0][40, 4] - target) < 1e-6
    assert np.array_equal(after.rotations[:20], before.rotations[:20])
    backend.refine(captured.id, pins())
    back = Motion.load(backend.download(captured.id, "motion.npz", tmp_path / "motion.npz"))
    assert np.array_equal(back.rotations, before.rotations)


@pytest.mark.parametrize(("sent", "words"), [
    (pins({"frame": 40, "joints": {"left_wrist": {"position": [9, 9, 9]}}}), "out of reach by"),
    (pins({"frame": 400, "joints": {"left_wrist": {"position": [0, 0, 1]}}}), "frames 0 to 89"),
    ({"format": 7}, "no list of pins"),
])
def test_what_cannot_be_met_is_said_in_words_and_changes_nothing(backend, captured, sent, words):
    content = (captured.artifacts / "motion.npz").read_bytes()
    with pytest.raises(BackendError, match=words):
        backend.refine(captured.id, sent)
    assert (captured.artifacts / "motion.npz").read_bytes() == content


def test_another_job_can_begin_from_the_refined_motion(backend, captured):
    job_id = backend.submit({"stages": ["train"], "motion": f"job:{captured.id}", "train": {"minutes": 0.01}})
    backend.cancel(job_id)
    assert backend.job(job_id)["config"]["motion"] == str(captured.artifacts / "motion.npz")
    for wrong in ("job:../x", "job:", f"job:{uuid.uuid4()}"):
        with pytest.raises(BackendError, match="there is no job"):
            backend.submit({"stages": ["train"], "motion": wrong})


def test_a_job_without_a_motion_cannot_be_refined(backend, captured):
    (captured.artifacts / "motion.npz").unlink()
    with pytest.raises(BackendError, match="no captured motion"):
        backend.refine(captured.id, pins())
