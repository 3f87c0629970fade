"""How soon a motion is performed under physics without learning, and how near it stays.

python -m benchmarks.preview [--json] [--clips walk kick …] [--engine mujoco] [--seeds 3]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.figures import Figure, main
from retarget import kinematics
from retarget.motion import Motion
from sfv_core.character.build import character_for
from sfv_core.character.deepmimic import load_clip
from sfv_core.character.fit import fit
from sfv_core.config import PreviewConfig
from sfv_core.imitate.reference import make_reference
from sfv_core.preview.preview import preview
from sfv_core.progress import no_progress

NEAR_CM = 8.0
"""Mean distance of the joints from the clip's that counts as followed."""
GOALS = {"walk": 5.0, "kick": 20.0}
KNOWN = {"walk": 12.0}
"""Seconds of a prototype for a walk half as long."""
WALK_S = 3.0
"""Length of the walk, which loops; other clips are performed once."""


@dataclass(frozen=True)
class Run:
    """One preview."""

    seconds: float
    cpu_seconds: float
    distance_cm: float
    """Mean over all joints, the wrists included, and frames, in the world, against the clip as it is."""
    through: bool
    """The character neither fell nor lost the motion."""


def measure(options: argparse.Namespace) -> list[Figure]:
    """Preview every clip with every seed; a clip that was not followed has no time."""
    figures = []
    for clip in options.clips:
        runs = [run(clip, seed, options.engine, options.samples) for seed in range(options.seeds)]
        followed = all(r.through and r.distance_cm <= NEAR_CM for r in runs)
        seconds = statistics.median(r.seconds for r in runs) if followed else None
        figures += [
            Figure(f"preview_{clip}_s", seconds, "s", KNOWN.get(clip), GOALS.get(clip)),
            Figure(f"preview_{clip}_cpu_s", statistics.median(r.cpu_seconds for r in runs), "CPU-s"),
            Figure(f"preview_{clip}_cm", max(r.distance_cm for r in runs), "cm, worst seed", None, NEAR_CM),
            Figure(f"preview_{clip}_through", statistics.mean(r.through for r in runs), "share of seeds", None, 1.0)]
    return figures


def run(clip: str, seed: int, engine: Literal["pybullet", "mujoco"] | None, samples: int) -> Run:
    """Preview a clip as `sfv preview` does, the making of character, engine and file included."""
    motion = load_clip(clip)
    with tempfile.TemporaryDirectory() as name:
        source, out = Path(name) / "clip.npz", Path(name) / "take.npz"
        motion.save(source)
        config = PreviewConfig(seconds=WALK_S if clip == "walk" else None, engine=engine, seed=seed, samples=samples)
        wall, cpu = time.monotonic(), time.process_time()
        report = preview(source, out, config, no_progress)
        wall, cpu = time.monotonic() - wall, time.process_time() - cpu
        return Run(wall, cpu, distance_cm(Motion.load(out), motion), not (report["fell"] or report["lost"]))


def distance_cm(take: Motion, clip: Motion) -> float:
    """Return how far the take's joints are from the clip's, fitted to the ground but not repaired, in the world."""
    character = character_for(clip.skeleton)
    reference = make_reference(fit(clip, character), character)
    goal, shift = _places(reference.motion, take), np.zeros(3)
    if clip.loop:
        cycles = np.floor(np.arange(len(take)) / take.fps / clip.duration + 1e-9)
        shift = cycles[:, None, None] * reference.cycle
    own, _ = kinematics.world_poses(fit(take, character))
    return float(100 * np.linalg.norm(own - goal - shift, axis=-1).mean())


def _places(clip: Motion, take: Motion) -> np.ndarray:
    """Return where the clip's joints are at the take's frames, cycle after cycle, (T, J, 3) m."""
    times = np.arange(len(take)) / take.fps
    if clip.loop:
        times = times - clip.duration * np.floor(times / clip.duration + 1e-9)
    places, _ = kinematics.world_poses(clip.at(times, take.fps))
    return places


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clips", nargs="+", default=["walk", "kick"], help="DeepMimic's clips, by name")
    parser.add_argument("--engine", choices=("pybullet", "mujoco"), help="the physics engine; the fastest installed")
    parser.add_argument("--seeds", type=int, default=3, help="previews of each clip, from different seeds")
    parser.add_argument("--samples", type=int, default=PreviewConfig().samples, help="characters side by side")


if __name__ == "__main__":
    main(measure, __doc__ or "", _arguments)
