"""Trainings whose results are kept: `python -m benchmarks.physics --run NAME` makes one anew, see `RUNS`.

Each result is a row in benchmarks/results/NAME.json with the seed, the commit, the machine and the date, under the name
of what was learnt; a run replaces its own rows and leaves the others. Returns are judged on 256 episodes of 20 s from
random phases without noise (or whole clips where they end), not on those that chose the policy.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import machine
from retarget.motion import Motion
from retarget.whole import written_whole
from sfv_core.character.deepmimic import load_clip
from sfv_core.config import SimulateConfig, TrainConfig
from sfv_core.imitate.evaluate import judge
from sfv_core.imitate.policy import Policy
from sfv_core.imitate.train import train
from sfv_core.progress import no_progress
from sfv_core.takes.rollout import simulate

RESULTS = Path(__file__).resolve().parent / "results"
PUBLISHED = {"backflip": .729, "cartwheel": .804, "crawl": .932, "dance_a": .863, "dance_b": .823,
             "getup_facedown": .885, "getup_faceup": .838, "jump": .947, "kick": .854, "punch": .812, "roll": .735,
             "run": .951, "spin": .664, "spinkick": .748, "walk": .985}
"""Normalised returns of DeepMimic's table 3, for its clips that come with PyBullet."""
ATLAS = {"walk": .988, "run": .846, "backflip": .630}
"""The same for its robot Atlas."""
RENDERED = ("backflip", "spinkick")
"""Rendered clips of examples/ that are captured and learnt."""
REAL = ("hiphop", "tennis", "taiji")
"""Real videos (test data beside the project), of which the first 8 s are captured and learnt."""
ABOVE = 0.03
"""How far above the published return a training may end early: the judges' episodes are others."""
EPISODES, TAKES = 256, 32


@dataclass(frozen=True)
class Options:
    """What a run is made with."""

    engine: str = "mujoco"
    minutes: float = 30.0
    samples: int = 10**11
    """Control steps after which a training ends, for comparisons at the same samples."""
    processes: int = 0
    seeds: tuple[int, ...] = (0,)
    only: tuple[str, ...] = ()
    """Names to run; all if empty."""


def learn(motion: Motion, config: TrainConfig, folder: Path) -> dict[str, Any]:
    """Train in a folder and judge the policy; return the row of the result."""
    folder.mkdir(parents=True, exist_ok=True)
    motion.save(folder / "motion.npz")
    report = train(folder / "motion.npz", folder, config, no_progress)
    judged = judge(Policy.load(folder / "policy.pt"), EPISODES)
    curve = json.loads((folder / "curve.json").read_text())
    return {"nr": judged.nr, "survived": judged.survived, "training_nr": report["nr"], "samples": report["samples"],
            "minutes": report["minutes"], "cores": report["processes"], "ended_by": report["ended_by"],
            "engine": config.engine, "seed": config.seed,
            "curve": [[round(point[name], 4) for name in ("samples", "minutes", "nr", "survived")] for point in curve]}


def reaches(curve: list[list[float]], goal: float) -> tuple[float | None, float | None]:
    """Return samples and minutes at which a curve's return reached a goal first; None where it did not."""
    return next(((point[0], point[1]) for point in curve if point[2] >= goal), (None, None))


def clips(options: Options) -> Iterable[tuple[str, dict[str, Any]]]:
    """Learn DeepMimic's clips, each until it is a little better than published or the time is over."""
    yield from _clips(options, TrainConfig(repair=False), PUBLISHED)


def walk(options: Options) -> Iterable[tuple[str, dict[str, Any]]]:
    """Learn the walk until a return of 0.8."""
    yield from _each(options, "walk", load_clip("walk"), TrainConfig(repair=False, goal=0.8))


def parity(options: Options) -> Iterable[tuple[str, dict[str, Any]]]:
    """Learn the walk in each engine and judge the policy in the other too."""
    for engine, other in (("mujoco", "pybullet"), ("pybullet", "mujoco")):
        for seed in options.seeds:
            config = _settings(TrainConfig(repair=False, goal=0.8), replace(options, engine=engine), seed)
            with tempfile.TemporaryDirectory() as folder:
                row = learn(load_clip("walk"), config, Path(folder))
                elsewhere = judge(Policy.load(Path(folder) / "policy.pt"), EPISODES, other)
            row |= {"elsewhere_nr": elsewhere.nr, "elsewhere_survived": elsewhere.survived}
            yield f"walk_{engine}_seed{seed}", row


def atlas(options: Options) -> Iterable[tuple[str, dict[str, Any]]]:
    """Learn with Atlas, as far as the clips."""
    yield from _clips(options, TrainConfig(repair=False, character="atlas"), ATLAS)


def starts(options: Options) -> Iterable[tuple[str, dict[str, Any]]]:
    """Compare where episodes start, on captured references: fixed, RSI, ASI, failure bins."""
    for clip in ("walk", "cartwheel", "backflip"):
        motion = Motion.load(_captured(Path("examples") / f"{clip}.mp4", None))
        for start in ("fixed", "rsi", "asi", "bins"):
            yield from _each(options, f"{clip}_{start}", motion, TrainConfig(goal=1.0, start=start))


def video(options: Options) -> Iterable[tuple[str, dict[str, Any]]]:
    """Capture rendered videos, learn them, and count the takes that finish."""
    for clip in RENDERED:
        yield from _finishing(options, clip, Path("examples") / f"{clip}.mp4", None)


def real_video(options: Options) -> Iterable[tuple[str, dict[str, Any]]]:
    """Capture the first 8 s of real videos, learn them, and count the takes that finish."""
    from benchmarks.capture import shared_data

    for clip in REAL:
        yield from _finishing(options, clip, shared_data() / "videos" / f"{clip}.mp4", 8.0)


RUNS: dict[str, Callable[[Options], Iterable[tuple[str, dict[str, Any]]]]] = {
    "walk": walk, "parity": parity, "clips": clips, "atlas": atlas, "starts": starts, "video": video,
    "real_video": real_video}


def run(name: str, options: Options) -> None:
    """Make a run and keep its rows as they come."""
    for row_name, row in RUNS[name](options):
        keep(name, row_name, row)


def _clips(options: Options, config: TrainConfig, published: dict[str, float]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Learn clips until their returns are a little better than published ones."""
    for name, value in published.items():
        yield from _each(options, name, load_clip(name), replace(config, goal=min(value + ABOVE, 0.99)))


def _each(options: Options, name: str, motion: Motion, config: TrainConfig) -> Iterable[tuple[str, dict[str, Any]]]:
    """Learn one motion from each seed."""
    if options.only and name not in options.only:
        return
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            row = learn(motion, _settings(config, options, seed), Path(folder))
            row["take"] = _take(Path(folder))
        yield f"{name}_{options.engine}_seed{seed}", row


def _settings(config: TrainConfig, options: Options, seed: int) -> TrainConfig:
    """Return a configuration with what the run was asked to be made with."""
    asked = {name: getattr(options, name) for name in ("engine", "minutes", "samples", "processes")}
    return replace(config, **asked, seed=seed)


def _take(folder: Path) -> dict[str, Any]:
    """Return how close the first take of 10 s comes to its reference."""
    report = simulate(folder, folder / "take.npz", SimulateConfig(seconds=10.0), no_progress)
    return {name: report.get(name) for name in ("slide_cm_s", "penetration_cm", "jitter", "error_cm", "fell")}


def _finishing(options: Options, name: str, path: Path, end: float | None) -> Iterable[tuple[str, dict[str, Any]]]:
    """Capture, learn, and count the takes that finish the clip: that neither fall nor get lost."""
    if options.only and name not in options.only:
        return
    motion = Motion.load(_captured(path, end))
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as folder:
            row = learn(motion, _settings(TrainConfig(goal=0.97), options, seed), Path(folder))
            report = simulate(Path(folder), Path(folder) / "take.npz", SimulateConfig(takes=TAKES), no_progress)
        row["finished"] = sum(take["fell_s"] is take["lost_s"] is None for take in report["takes"]) / TAKES
        yield f"{name}_{options.engine}_seed{seed}", row


def _captured(path: Path, end: float | None) -> Path:
    """Capture a video as `sfv capture` does; what was captured before by the same commit's code serves again."""
    from sfv_core.capture import capture
    from sfv_core.config import CaptureConfig

    out = Path(tempfile.gettempdir()) / f"sfv-benchmark-{path.stem}"
    if not (out / "motion.npz").exists():
        out.mkdir(exist_ok=True)
        capture(path, out, CaptureConfig(end=end), no_progress)
    return out / "motion.npz"


def keep(name: str, row_name: str, row: dict[str, Any]) -> None:
    """Add a row to a result's file."""
    RESULTS.mkdir(exist_ok=True)
    rows = kept(name)
    rows[row_name] = {**row, "commit": _commit(), "machine": machine(),
                      "date": datetime.now(UTC).isoformat(timespec="seconds")}
    with written_whole(RESULTS / f"{name}.json") as path:
        path.write_text(json.dumps(dict(sorted(rows.items())), indent=1))


def kept(name: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a result; none where it was never made."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def age_days(row: dict[str, Any]) -> float:
    """Return how old a row is in days."""
    return (time.time() - datetime.fromisoformat(row["date"]).timestamp()) / 86_400


def _commit() -> str:
    answer = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                            cwd=RESULTS.parent, check=False)
    return answer.stdout.strip() or "unknown"
