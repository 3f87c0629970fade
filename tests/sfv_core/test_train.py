"""Training as a whole: it learns, survives being killed, leaves no process behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sfv_core.character import deepmimic
from sfv_core.config import SimulateConfig, TrainConfig
from sfv_core.errors import Cancelled, SfvError
from sfv_core.imitate.checkpoint import checkpoints
from sfv_core.imitate.train import train
from sfv_core.progress import no_progress
from sfv_core.takes.rollout import simulate

pytestmark = pytest.mark.slow
needs_proc = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="Processes are found through /proc.")

TRAIN = """
import sys
from pathlib import Path
from sfv_core.config import TrainConfig
from sfv_core.imitate.train import train
train(Path(sys.argv[1]), Path(sys.argv[2]), TrainConfig(samples=10**9, minutes=60.0, processes=2), lambda *a, **k: None)
"""


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    path = tmp_path / "walk.npz"
    deepmimic.load_clip("walk").save(path)
    return path


def ranks_of(folder: Path) -> list[int]:
    """Return the process ids of a folder's training processes."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if "sfv_core.imitate.rank" in words and str(folder) in words:
                found.append(int(entry.name))
    return found


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


@needs_proc
def test_it_learns_and_its_files_are_whole(walk: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "out", []

    def watch(stage: str, done: float, total: float, **numbers: float) -> None:
        seen.append((stage, done, total, numbers))

    report = train(walk, out, TrainConfig(samples=49_152, minutes=30.0, processes=2, seed=1), watch)
    curve = json.loads((out / "curve.json").read_text())
    assert report["ended_by"] == "samples"
    assert report["samples"] == curve[-1]["samples"] == 49_152
    assert report["nr"] in [point["nr"] for point in curve] and 0 < report["steady"] <= 1
    assert curve[-1]["nr"] > 1.3 * curve[0]["nr"]
    assert curve[-1]["survived"] > 1.3 * curve[0]["survived"]
    assert (out / "curve.png").read_bytes()[:4] == b"\x89PNG"
    torch.load(out / "policy.pt", weights_only=True)
    assert all(stage == "train" and 0 <= done <= total for stage, done, total, _ in seen)
    assert {"samples", "minutes", "reward", "nr"} <= set(seen[-1][3])
    assert not ranks_of(out)
    rollout = simulate(out, tmp_path / "rollout.npz", SimulateConfig(seconds=2.0), no_progress)
    assert rollout["frames"] == 121


@needs_proc
def test_cancelled_leaves_a_checkpoint_and_no_process_and_goes_on_from_there(walk: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def cancel(stage: str, done: float, total: float, **numbers: float) -> None:
        if numbers.get("samples", 0) >= 4096:
            raise Cancelled("Stopped by the user.")

    with pytest.raises(Cancelled):
        train(walk, out, TrainConfig(processes=1), cancel)
    assert not ranks_of(out)
    kept = int(checkpoints(out / "checkpoints")[-1].stem.split("_")[1])
    assert kept >= 4096
    first = []
    report = train(walk, out, TrainConfig(processes=1, samples=kept + 4096),
                   lambda stage, done, total, **numbers: first.append(numbers.get("samples", kept)))
    assert min(first) >= kept
    assert report["samples"] == kept + 4096
    assert json.loads((out / "curve.json").read_text())[0]["samples"] == 4096


@needs_proc
def test_another_motion_in_the_same_folder_starts_anew(walk: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    train(walk, out, TrainConfig(processes=1, samples=4096), no_progress)
    deepmimic.load_clip("kick").save(walk)
    report = train(walk, out, TrainConfig(processes=1, samples=4096), no_progress)
    assert report["samples"] == 4096
    assert len(checkpoints(out / "checkpoints")) == 1


@needs_proc
def test_a_killed_training_ends_its_processes_and_loses_at_most_one_interval(walk: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    parent = subprocess.Popen([sys.executable, "-c", TRAIN, str(walk), str(out)])
    wait_for(lambda: checkpoints(out / "checkpoints"))
    kept = int(checkpoints(out / "checkpoints")[-1].stem.split("_")[1])
    assert len(ranks_of(out)) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not ranks_of(out), 20.0)
    seen = []
    report = train(walk, out, TrainConfig(processes=2, samples=kept + 8192),
                   lambda stage, done, total, **numbers: seen.append(numbers.get("samples", kept)))
    assert min(seen) >= kept
    assert report["samples"] >= kept + 8192


@needs_proc
def test_a_process_that_dies_ends_the_training_with_one_clear_line(walk: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed = []

    def kill_one(stage: str, done: float, total: float, **numbers: float) -> None:
        running = ranks_of(out)
        if numbers and not killed and len(running) == 2:
            killed.append(max(running))
            os.kill(killed[0], signal.SIGKILL)

    with pytest.raises(SfvError, match="Training process 1 failed") as caught:
        train(walk, out, TrainConfig(processes=2, minutes=10.0), kill_one)
    assert killed
    assert "\n" not in str(caught.value)
    assert not ranks_of(out)
