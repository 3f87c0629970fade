"""Real captures and trainings through the wire, with workers and servers killed in the middle."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from sfv_client import BackendError, find_server

from retarget import Motion
from sfv_core.character import deepmimic

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")]


@pytest.fixture
def walk(tmp_path):
    path = tmp_path / "walk.npz"
    deepmimic.load_clip("walk").save(path)
    return path


def training(motion, minutes):
    return {"stages": ["train"], "motion": str(motion), "name": "walk",
            "train": {"minutes": minutes, "processes": 1, "seed": 3}}


def until(events, found):
    """Read on to the first event that is looked for."""
    return next(event for event in events if found(event))


def learnt(event):
    return event["kind"] == "progress" and event.get("samples", 0) > 0


def processes_of(folder):
    """Return the processes whose command line names a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_a_killed_server_costs_a_training_nothing_and_its_watcher_not_one_event(server, walk):
    backend = server.start()
    job_id = backend.submit(training(walk, minutes=0.4))
    watch = backend.watch(job_id)
    seen = [next(watch)]
    while not learnt(seen[-1]):
        seen.append(next(watch))
    server.end(signal.SIGKILL)
    worker = next(event["pid"] for event in seen if "pid" in event)
    assert worker in processes_of(job_id)
    assert server.start() != backend
    seen += list(watch)
    again = find_server()
    assert seen[-1]["state"] == "done" and seen == again.events(job_id)
    assert [event["state"] for event in seen if event["kind"] == "state"] == ["queued", "running", "done"]
    assert {"policy.pt", "curve.png"} <= again.job(job_id)["artifacts"].keys()


def test_a_killed_worker_costs_a_training_no_more_than_its_last_checkpoint(server, walk):
    backend = server.start()
    job_id = backend.submit(training(walk, minutes=0.5))
    watch = backend.watch(job_id)
    worker = until(watch, lambda event: "pid" in event)["pid"]
    checkpoints = server.data / "jobs" / job_id / "checkpoints"
    last = until(watch, lambda event: learnt(event) and list(checkpoints.glob("checkpoint_*.pt")))
    os.kill(worker, signal.SIGKILL)
    end = list(watch)[-1]
    assert (end["kind"], end["state"]) == ("state", "crashed") and "Resume" in end["error"]
    assert backend.job(job_id)["state"] == "crashed"
    while processes_of(job_id):  # the training's processes end when they miss their worker
        time.sleep(0.1)
    kept = max(int(re.findall(r"\d+", path.name)[0]) for path in checkpoints.glob("checkpoint_*.pt"))
    backend.resume(job_id)
    with pytest.raises(BackendError, match="only failed, cancelled, crashed"):
        backend.resume(job_id)
    watch = backend.watch(job_id, end["cursor"])
    first = until(watch, learnt)
    assert 0 < kept <= first["samples"] and first["minutes"] > last["minutes"] - 1
    assert list(watch)[-1]["state"] == "done"
    curve = json.loads((server.data / "jobs" / job_id / "artifacts" / "curve.json").read_text())
    assert [point["samples"] for point in curve] == sorted(point["samples"] for point in curve)


def test_a_cancelled_training_stops_keeps_its_checkpoint_and_goes_on(server, walk):
    backend = server.start()
    job_id = backend.submit(training(walk, minutes=0.3))
    watch = backend.watch(job_id)
    until(watch, learnt)
    backend.cancel(job_id)
    end = list(watch)[-1]
    assert end["state"] == "cancelled"
    assert list((server.data / "jobs" / job_id / "checkpoints").glob("checkpoint_*.pt"))
    backend.resume(job_id)
    events = list(backend.watch(job_id, end["cursor"]))
    assert next(event for event in events if learnt(event))["samples"] > 0
    assert events[-1]["state"] == "done"


def test_a_video_comes_back_as_a_motion(server, shared_data, tmp_path):
    backend = server.start()
    job_id = backend.submit({"stages": ["capture"], "video": str(shared_data / "videos" / "dance_one_second.mp4"),
                             "capture": {"iterations": 30}})
    events = list(backend.watch(job_id))
    assert events[-1]["state"] == "done"
    assert {event["stage"] for event in events if event["kind"] == "progress"} >= {"detect", "reconstruct"}
    motion = Motion.load(backend.download(job_id, "motion.npz", tmp_path / "motion.npz"))
    assert len(motion.skeleton) == 54 and len(motion) > 10
