"""How fast the physics runs, beside PyBullet's own imitation environment, and what was learnt in it.

python -m benchmarks.physics [--json]                the speeds, and the kept results of the long runs with their age
python -m benchmarks.physics --run NAME [--engine mujoco] [--minutes 30] [--samples N] [--seeds 3]
        [--first 0] [--processes 2] [--only CLIP …]
                                                     make a run anew; the names are those of benchmarks/learning.py
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import learning
from benchmarks.figures import Figure, main
from sfv_core.character.build import character_for
from sfv_core.character.deepmimic import load_clip
from sfv_core.character.fit import fit
from sfv_core.errors import SfvError
from sfv_core.imitate.environment import Environment
from sfv_core.imitate.reference import make_reference
from sfv_core.physics.engine import PHYSICS_RATE, open_engine
from sfv_core.physics.pybullet import silence
from sfv_core.takes.disturbed import RECORD_RATE
from sfv_core.takes.figures import jitter, slide, sole_corners

RATIO_GOAL, ENGINE_GOAL = 2.0, 4.0
ROUNDS, ROUND_SECONDS = 6, 3.0
"""The environments run in turns, so that a change of the machine's load meets both."""
_WORLDS = 32
_NOISE = 0.05
"""Spread of the random actions in rad."""
_PEER_EPISODE = 20
"""Control steps after which the peer starts anew if it has not fallen."""


def measure(options: argparse.Namespace) -> list[Figure]:
    """Make a run anew where one is asked for, measure the speeds, and add what was kept."""
    if options.run:
        learning.run(options.run, learning.Options(options.engine, options.minutes, options.samples, options.processes,
                                                   tuple(range(options.first, options.first + options.seeds)),
                                                   tuple(options.only)))
        return results()
    ours, peer, mujoco = speeds()
    return [Figure("pybullet_steps_per_cpu_s", ours, "control steps/CPU-s", peer),
            Figure("pybullet_ratio_to_peer", ours / peer if ours and peer else None, "×", 1.0, RATIO_GOAL),
            Figure("mujoco_steps_per_cpu_s", mujoco, "control steps/CPU-s", ours),
            Figure("mujoco_ratio_to_pybullet", mujoco / ours if ours and mujoco else None, "×", 1.0, ENGINE_GOAL),
            *results()]


def results() -> list[Figure]:
    """Return the figures of the kept runs: the median over the seeds where there are several."""
    walk, clips, atlas = (learning.kept(name) for name in ("walk", "clips", "atlas"))
    reached = {engine: [learning.reaches(row["curve"], 0.8) for row in _rows(walk, "walk", engine)]
               for engine in ("pybullet", "mujoco")}
    found = [Figure("walk_samples_to_nr80", _middle([r[0] for r in reached["pybullet"] + reached["mujoco"]]),
                    "control steps", 390_000, 400_000),
             Figure("walk_minutes_pybullet", _middle([r[1] for r in reached["pybullet"]]), "min", 2.4, 2.5),
             Figure("walk_minutes_mujoco", _middle([r[1] for r in reached["mujoco"]]), "min", None, 1.2)]
    moved = [row["elsewhere_nr"] / row["nr"] for row in learning.kept("parity").values()]
    found.append(Figure("parity_worst_ratio", min(moved, default=None), "×", 1.0))
    for clip, goal in (("cartwheel", 0.80), ("backflip", 0.75)):
        for engine in ("pybullet", "mujoco"):
            found.append(Figure(f"{clip}_nr_{engine}", _middle([row["nr"] for row in _rows(clips, clip, engine)]),
                                "return", learning.PUBLISHED[clip], goal))
    found += _against_deepmimic(clips)
    for name, figure in (("video", "video_finish_rate"), ("real_video", "real_video_finish_rate")):
        rates = [row["finished"] for row in learning.kept(name).values()]
        found.append(Figure(figure, float(np.mean(rates)) if rates else None, "share", None, 0.9))
    found += _takes(clips)
    for clip, published in learning.ATLAS.items():
        found.append(Figure(f"atlas_{clip}_nr", _middle([row["nr"] for row in _rows(atlas, clip)]), "return", published,
                            published))
    for clip in ("walk", "cartwheel", "backflip"):
        kept = {start: _middle([row["nr"] for row in _rows(learning.kept("starts"), f"{clip}_{start}")])
                for start in ("fixed", "rsi", "asi", "bins")}
        found += [Figure(f"{clip}_{start}_nr", value, "return", kept["rsi"]) for start, value in kept.items()]
    rows = [row for name in learning.RUNS for row in learning.kept(name).values()]
    return [*found, Figure("results_age_days", max(map(learning.age_days, rows), default=None), "days")]


def _against_deepmimic(clips: dict[str, dict[str, Any]]) -> list[Figure]:
    """Compare the best engine's return of each clip with DeepMimic's, and list them."""
    best = {clip: max(values) for clip in learning.PUBLISHED
            if (values := [v for engine in ("pybullet", "mujoco")
                           if (v := _middle([row["nr"] for row in _rows(clips, clip, engine)])) is not None])}
    shares = [value / learning.PUBLISHED[clip] for clip, value in best.items()]
    return [Figure("clips_run", len(best), "clips", 15, 15),
            Figure("clips_at_deepmimic", sum(share >= 1 for share in shares) if best else None, "clips", 15, 12),
            Figure("clips_worst_ratio", min(shares, default=None), "×", 1.0, 0.85),
            *[Figure(f"{clip}_nr", value, "return", learning.PUBLISHED[clip]) for clip, value in sorted(best.items())]]


def _takes(clips: dict[str, dict[str, Any]]) -> list[Figure]:
    """Return how close takes come to their references: the median over the clips whose take stays up.

    The baseline is what the references themselves have: a flip's own jitter is many times a walk's.
    """
    up = {key: row["take"] for key, row in clips.items() if row.get("take") and not row["take"]["fell"]}
    takes, own = list(up.values()), [_own(key.split(f"_{clips[key]['engine']}_")[0]) for key in up]
    goals = (("slide_cm_s", "cm/s", 1.0), ("penetration_cm", "cm", 0.5), ("jitter", "10 m/s³", 10.0),
             ("error_cm", "cm", 6.0))
    return [Figure(f"take_{name}", _middle([take[name] for take in takes], missing=True), unit,
                   _middle([reference[name] for reference in own], missing=True), goal) for name, unit, goal in goals]


def _own(clip: str) -> dict[str, float | None]:
    """Return slide, penetration and jitter of a clip as it is, and its error, 0."""
    motion = load_clip(clip)
    character = character_for(motion.skeleton)
    state = make_reference(fit(motion, character), character).state[:: PHYSICS_RATE // RECORD_RATE]
    speed = slide(sole_corners(character, state.positions, state.rotations), RECORD_RATE)
    return {"slide_cm_s": None if speed is None else 100 * speed, "error_cm": 0.0,
            "penetration_cm": 100 * max(0.0, -float(character.lowest(state.positions, state.rotations).min())),
            "jitter": jitter(state.positions, RECORD_RATE)}


def _rows(kept: dict[str, dict[str, Any]], name: str, engine: str = "") -> list[dict[str, Any]]:
    return [row for key, row in kept.items() if key.startswith(f"{name}_{engine or row['engine']}_seed")]


def _middle(values: list[float | None], missing: bool = False) -> float | None:
    """Return the median; None where there is none, or a value is missing and that is not allowed."""
    known = [value for value in values if value is not None]
    return float(statistics.median(known)) if known and (missing or len(known) == len(values)) else None


def speeds() -> tuple[float, float | None, float | None]:
    """Return control steps per CPU-second: ours on PyBullet, the peer's, ours on MuJoCo; None for what cannot run."""
    steps: list[Callable[[], int] | None] = [_ours("pybullet", _WORLDS), None, None]
    for i, make in ((1, _peer), (2, lambda: _ours("mujoco", 4 * _WORLDS))):
        try:
            steps[i] = make()
        except (ImportError, SfvError):
            continue
    counts, seconds = [0, 0, 0], [0.0, 0.0, 0.0]
    for _ in range(ROUNDS):
        for i, step in enumerate(steps):
            if step is not None:
                done, spent = _run(step, ROUND_SECONDS)
                counts[i] += done
                seconds[i] += spent
    ours, peer, mujoco = (count / spent if spent else None for count, spent in zip(counts, seconds, strict=True))
    assert ours is not None
    return ours, peer, mujoco


def _run(step: Callable[[], int], seconds: float) -> tuple[int, float]:
    """Step for some CPU-seconds; return control steps and CPU-seconds."""
    start, steps = time.process_time(), 0
    while time.process_time() - start < seconds:
        steps += step()
    return steps, time.process_time() - start


def _ours(name: str, worlds: int) -> Callable[[], int]:
    """Return a function that steps our worlds once, everything a training needs included."""
    motion = load_clip("walk")
    character = character_for(motion.skeleton)
    generator = np.random.default_rng(0)
    engine = open_engine(name, character, worlds)
    environment = Environment(engine, make_reference(fit(motion, character), character), generator)

    def step() -> int:
        outcome = environment.step(generator.normal(0.0, 2 * _NOISE, (worlds, character.coordinates)))
        if outcome.ended.any():
            environment.reset(np.flatnonzero(outcome.ended))
        environment.observe()
        return worlds

    return step


def _peer() -> Callable[[], int]:
    """Return a function that steps pybullet_envs.deep_mimic once, as its own training does; in its own settings."""
    _pretend_gym()
    with silence():
        import pybullet_data
        from pybullet_envs.deep_mimic.env.pybullet_deep_mimic_env import PyBulletDeepMimicEnv
        from pybullet_utils.arg_parser import ArgParser

        arguments = ArgParser()
        arguments.load_file(pybullet_data.getDataPath() + "/args/run_humanoid3d_walk_args.txt")
        environment: Any = PyBulletDeepMimicEnv(arguments, False, time_step=1 / 240)
        environment.reset()
    rest = -np.array(environment.build_action_offset(0))
    generator = np.random.default_rng(0)
    age = 0

    def step() -> int:
        nonlocal age
        environment.calc_reward(0)
        environment.set_action(0, rest + generator.normal(0.0, _NOISE, len(rest)))
        for _ in range(8):
            environment.update(1 / 240)
        environment.record_state(0)
        age += 1
        if environment.is_episode_end() or age > _PEER_EPISODE:
            environment.reset()
            age = 0
        return 1

    return step


def _pretend_gym() -> None:
    """Let pybullet_envs be imported: it registers its environments with the old gym, which no longer installs."""
    gym, envs, registration = (types.ModuleType(name) for name in ("gym", "gym.envs", "gym.envs.registration"))
    members: dict[str, Any] = {"registry": types.SimpleNamespace(env_specs={}), "register": lambda *a, **k: None,
                               "make": None, "spec": None}
    for name, value in members.items():
        setattr(registration, name, value)
    modules: dict[str, Any] = {"gym": gym, "gym.envs": envs, "gym.envs.registration": registration}
    vars(gym).update(envs=envs, __version__="0.0")
    vars(envs).update(registration=registration)
    sys.modules.update(modules)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", choices=tuple(learning.RUNS), help="a training run to make anew")
    parser.add_argument("--engine", choices=("pybullet", "mujoco"), default="mujoco")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each motion, from different seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--samples", type=int, default=10**11, help="most control steps of one training")
    parser.add_argument("--minutes", type=float, default=30.0, help="longest time for one training, in minutes")
    parser.add_argument("--processes", type=int, default=0, help="processes to train in; 0 takes one for each core")
    parser.add_argument("--only", nargs="*", default=(), help="names of what to learn; all if not given")


if __name__ == "__main__":
    main(measure, (__doc__ or "").splitlines()[0], _arguments)
