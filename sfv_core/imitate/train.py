"""A motion becomes a policy: starts the training processes, watches them and draws the curve."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

import sfv_core
from retarget.errors import RetargetError
from retarget.motion import Motion
from retarget.whole import written_whole
from sfv_core.config import TrainConfig
from sfv_core.errors import SfvError
from sfv_core.imitate.prepare import prepare
from sfv_core.imitate.run import EXPLAINED, Run, read_report
from sfv_core.progress import Progress

STAGE = "train"
_DECISIVE = ("engine", "preset", "start", "character", "mass", "loop", "repair", "seed")
"""Settings that a checkpoint depends on; limits and the number of processes may change."""
_SECONDS_TO_END = 20.0
"""How long the processes may take to write a checkpoint when they are asked to stop."""


def train(motion: Path, out: Path, config: TrainConfig, progress: Progress) -> dict[str, Any]:
    """Learn to imitate a motion; write policy.pt, curve.json, curve.png and checkpoints/ into `out`.

    Goes on from the checkpoints in `out` if they are of the same motion, engine and seed. On Cancelled the checkpoints
    stay. Raise SfvError if the motion cannot be learnt or a process fails.
    """
    try:
        captured = Motion.load(motion)
    except RetargetError as error:
        raise SfvError(str(error)) from error
    try:
        prepared = prepare(captured, config)
    except (SfvError, RetargetError) as error:
        raise SfvError(f"'{motion}': {error}") from error
    run = Run(Path(out))
    mark = _fingerprint(captured, config)
    if run.fingerprint() != mark:
        _clear(run)
    run.write(mark, config, prepared)
    processes = config.processes or len(_cores())
    if not any(run.checkpoints.glob("*.pt")):  # else the first report says how far the training was
        progress(STAGE, 0.0, config.minutes)
    with _ranks(run, processes) as ranks:
        finished = _watch(ranks, run, config, progress)
        if finished is None:
            raise SfvError(_failure(run, ranks))
    curve = json.loads(run.curve.read_text(encoding="utf-8"))
    draw_curve(curve, run.picture)
    return {"policy": str(run.policy), "nr": finished["nr"], "steady": finished["steady"],
            "samples": finished["samples"], "minutes": finished["minutes"], "ended_by": finished["reason"],
            "processes": processes, "broken_worlds": finished["broken"], "mass_kg": prepared.character.mass,
            "findings": [finding.text for finding in prepared.findings], "notes": list(prepared.notes)}


def _fingerprint(motion: Motion, config: TrainConfig) -> str:
    """Return a hash of everything that a checkpoint depends on."""
    skeleton = motion.skeleton
    chosen = [getattr(config, name) for name in _DECISIVE]
    digest = hashlib.sha256(repr((skeleton.names, chosen, motion.fps, motion.loop)).encode())
    for array in (skeleton.parents, skeleton.offsets, skeleton.rest_rotations, motion.root_pos, motion.rotations):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _clear(run: Run) -> None:
    """Remove what an earlier training of something else left."""
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    for path in (run.policy, run.curve, run.picture):
        path.unlink(missing_ok=True)


def _cores() -> set[int]:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


@contextmanager
def _ranks(run: Run, processes: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Start the processes; none is left when the block ends, however it ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    package = str(Path(sfv_core.__file__).resolve().parent.parent)
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1",
                   "PYTHONUNBUFFERED": "1"}
    ranks: list[subprocess.Popen[str]] = []
    try:
        for rank in range(processes):
            command = [sys.executable, "-m", "sfv_core.imitate.rank", str(run.folder), str(rank), str(processes),
                       str(port)]
            with run.log(rank).open("w", encoding="utf-8") as log:
                ranks.append(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log, text=True, env=environment,
                                              stdout=subprocess.PIPE if rank == 0 else subprocess.DEVNULL))
        yield ranks
    finally:
        _end(ranks)


def _watch(ranks: list[subprocess.Popen[str]], run: Run, config: TrainConfig,
           progress: Progress) -> dict[str, Any] | None:
    """Pass the first process's reports on until it ends and keep the curve's picture up to date.

    Return its last report, or None if it broke off.
    """
    finished, drawn = None, 0
    assert ranks[0].stdout is not None
    for line in ranks[0].stdout:
        report = read_report(line)
        if report is None:
            continue
        if report.pop("type") == "finished":
            finished = report
            continue
        changed = run.curve.stat().st_mtime_ns if run.curve.exists() else 0
        if changed != drawn:
            drawn = changed
            draw_curve(json.loads(run.curve.read_text(encoding="utf-8")), run.picture)
        by_time, by_samples = report["minutes"] / config.minutes, report["samples"] / config.samples
        if by_time >= by_samples:
            progress(STAGE, min(report["minutes"], config.minutes), config.minutes, **report)
        else:
            progress(STAGE, min(report["samples"], config.samples), config.samples, **report)
    return finished


def _end(ranks: list[subprocess.Popen[str]]) -> None:
    """Ask the processes to write a checkpoint and end; kill those that do not."""
    for rank in ranks:
        try:
            if rank.poll() is None and rank.stdin is not None:
                rank.stdin.write("stop\n")
                rank.stdin.flush()
        except OSError:
            continue
    drain = None
    if ranks and ranks[0].stdout is not None:
        drain = threading.Thread(target=ranks[0].stdout.read, daemon=True)
        drain.start()
    if all(rank.poll() in (None, 0) for rank in ranks):
        for rank in ranks:
            try:
                rank.wait(_SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                break
    for rank in ranks:
        rank.kill()
        rank.wait()
        if rank.stdin is not None:
            with suppress(OSError):  # a process that died with words on the way to it
                rank.stdin.close()
    if drain is not None:
        drain.join(1.0)


def _failure(run: Run, ranks: list[subprocess.Popen[str]]) -> str:
    """Return why the training broke off: the error of the process that failed, not of those that missed it."""
    errors = []
    for number, rank in enumerate(ranks):
        try:
            rank.wait(5.0)
        except subprocess.TimeoutExpired:
            continue
        lines = [line for line in run.log(number).read_text(encoding="utf-8", errors="replace").splitlines() if line]
        if rank.returncode:
            last = lines[-1].strip() if lines else f"it ended with code {rank.returncode}."
            if rank.returncode != EXPLAINED:
                last += " The checkpoints are kept; start the training again to go on."
            errors.append((number, last))
    own = [error for error in errors if "gloo" not in error[1].lower() and "connection" not in error[1].lower()]
    number, text = (own or errors or [(0, "it ended without a word.")])[0]
    return f"Training process {number} failed: {text} More in '{run.log(number)}'."


def draw_curve(curve: list[dict[str, float]], path: Path) -> None:
    """Draw normalised return and survival over the samples as a PNG."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    samples = [point["samples"] / 1e6 for point in curve]
    axes.plot(samples, [point["nr"] for point in curve], "o-", label="normalised return")
    axes.plot(samples, [point["survived"] for point in curve], "--", label="time before a fall")
    axes.set(xlabel="control steps learnt from, millions", ylabel="share", ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
