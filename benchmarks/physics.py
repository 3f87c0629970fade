"""How fast the physics runs, beside PyBullet's own imitation environment, and how soon a walk is learnt.

python -m benchmarks.physics [--json] [--quick] [--seeds 3] [--minutes 12] [--processes 2]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figure, main
from sfv_core.character.build import character_for
from sfv_core.character.deepmimic import load_clip
from sfv_core.character.fit import fit
from sfv_core.config import TrainConfig
from sfv_core.imitate.environment import Environment
from sfv_core.imitate.reference import make_reference
from sfv_core.imitate.train import train
from sfv_core.physics.engine import open_engine
from sfv_core.physics.pybullet import silence
from sfv_core.progress import no_progress

GOAL = 0.8
"""Mean normalised return over 20 s episodes that the walk has to reach."""
RATIO_GOAL = 1.8
ROUNDS, ROUND_SECONDS = 6, 3.0
"""The two environments run in turns, so that a change of the machine's load meets both."""
_WORLDS = 32
_NOISE = 0.05
"""Spread of the random actions in rad."""
_PEER_EPISODE = 20
"""Control steps after which the peer starts anew if it has not fallen."""


def measure(options: argparse.Namespace) -> list[Figure]:
    """Measure everything that was asked for."""
    ours, peer = speeds()
    figures = [Figure("pybullet_steps_per_cpu_s", ours, "control steps/CPU-s", peer),
               Figure("pybullet_ratio_to_peer", ours / peer if peer else None, "×", 1.0, RATIO_GOAL)]
    if options.quick:
        return figures
    runs = [learn(seed, options.minutes, options.processes) for seed in range(options.seeds)]
    for name, unit in (("samples", "control steps"), ("minutes", "min")):
        values = [run[name] for run in runs]
        reached = [value for value in values if value is not None]
        middle = statistics.median(reached) if len(reached) == len(values) else None
        figures.append(Figure(f"walk_{name}_to_nr80", middle, unit))
        figures += [Figure(f"walk_{name}_to_nr80_seed{seed}", value, unit) for seed, value in enumerate(values)]
    return figures


def speeds() -> tuple[float, float | None]:
    """Return control steps per CPU-second of our environment and the peer's; None where the peer cannot run."""
    ours = _ours()
    try:
        peer = _peer()
    except ImportError:
        return _rate(ours, ROUNDS * ROUND_SECONDS), None
    counts, seconds = [0, 0], [0.0, 0.0]
    for _ in range(ROUNDS):
        for i, step in enumerate((ours, peer)):
            steps, spent = _run(step, ROUND_SECONDS)
            counts[i] += steps
            seconds[i] += spent
    return counts[0] / seconds[0], counts[1] / seconds[1]


def _rate(step: Callable[[], int], seconds: float) -> float:
    steps, spent = _run(step, seconds)
    return steps / spent


def _run(step: Callable[[], int], seconds: float) -> tuple[int, float]:
    """Step for some CPU-seconds; return control steps and CPU-seconds."""
    start, steps = time.process_time(), 0
    while time.process_time() - start < seconds:
        steps += step()
    return steps, time.process_time() - start


def _ours() -> Callable[[], int]:
    """Return a function that steps our worlds once, everything a training needs included."""
    motion = load_clip("walk")
    character = character_for(motion.skeleton)
    generator = np.random.default_rng(0)
    engine = open_engine("pybullet", character, _WORLDS)
    environment = Environment(engine, make_reference(fit(motion, character), character), generator)

    def step() -> int:
        outcome = environment.step(generator.normal(0.0, 2 * _NOISE, (_WORLDS, character.coordinates)))
        if outcome.ended.any():
            environment.reset(np.flatnonzero(outcome.ended))
        environment.observe()
        return _WORLDS

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


def learn(seed: int, minutes: float, processes: int) -> dict[str, float | None]:
    """Learn DeepMimic's walk until the goal; return samples and minutes, None where it was not reached in time."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        load_clip("walk").save(folder / "walk.npz")
        config = TrainConfig(minutes=minutes, goal=GOAL, seed=seed, processes=processes)
        report = train(folder / "walk.npz", folder / "out", config, no_progress)
    if report["ended_by"] != "goal":
        return {"samples": None, "minutes": None}
    return {"samples": report["samples"], "minutes": report["minutes"]}


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="only the speed, no training")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of the walk, from different seeds")
    parser.add_argument("--minutes", type=float, default=12.0, help="longest time for one training, in minutes")
    parser.add_argument("--processes", type=int, default=0, help="processes to train in; 0 takes one for each core")


if __name__ == "__main__":
    main(measure, __doc__ or "", _arguments)
