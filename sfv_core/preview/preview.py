"""A motion performed under physics within seconds, without learning: what a policy would have to do, found once.

The result is one performance, not a skill: the character would not withstand a push. It shows whether the motion can
be performed at all, and as a motion that obeys physics it is a reference that a policy learns more easily.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from retarget.errors import RetargetError
from retarget.motion import Motion
from sfv_core.character.character import Character
from sfv_core.config import PreviewConfig, TrainConfig
from sfv_core.errors import SfvError
from sfv_core.extras import installed
from sfv_core.imitate.prepare import prepare
from sfv_core.imitate.reference import Reference, make_reference
from sfv_core.imitate.rules import CONTROL_RATE
from sfv_core.physics.engine import PHYSICS_RATE, open_engine
from sfv_core.preview.replay import replay
from sfv_core.preview.search import Effort, search
from sfv_core.progress import Progress
from sfv_core.takes.figures import figures
from sfv_core.takes.onto import onto_captured
from sfv_core.takes.settle import settle
from sfv_core.takes.take import Take, motion_of, with_motion

STAGE = "preview"
NEAR = 0.06
"""Mean distance of the joints from the reference's in m that is good enough."""


def preview(motion: Path, out: Path, config: PreviewConfig, progress: Progress) -> dict[str, Any]:
    """Perform a motion under physics; write what the character does to `out`, at 60 frames per second.

    It is on the motion's own skeleton, with the feet that stand held still as in `sfv simulate`. Raise SfvError if no
    body can perform the motion, Cancelled where progress raises it; then nothing is written.
    """
    began = time.monotonic()
    try:
        prepared = prepare(Motion.load(motion), TrainConfig(repair=config.repair, loop=config.loop))
    except RetargetError as error:
        raise SfvError(str(error)) from error
    except SfvError as error:
        raise SfvError(f"'{motion}': {error}") from error
    character, reference = prepared.character, make_reference(prepared.reference, prepared.character)
    take, passes = perform(reference, character, config, progress)
    settled = settle(motion_of(take, reference, character), character)
    onto_captured(settled.motion, take.times, prepared.captured, character).save(out)
    words = advice(take, wanted(reference, config))
    return {**({"advice": words} if words else {}), "motion": str(out),
            **report(take), **asdict(figures(with_motion(take, settled.motion, character), character)),
            "passes": passes, "engine": engine_name(config), "took_s": time.monotonic() - began,
            "findings": [finding.text for finding in prepared.findings], "notes": list(prepared.notes)}


def repaired_reference(motion: Motion, character: Character, config: PreviewConfig, progress: Progress) -> Motion:
    """Return a motion near a reference that obeys physics, at 60 frames per second.

    motion: on the character's skeleton, as `fit` makes it. A motion that loops comes back once through, as a clip that
    ends. Raise SfvError where the character loses the motion.
    """
    reference = make_reference(motion, character)
    take, _ = perform(reference, character, config, progress)
    words = advice(take, wanted(reference, config))
    if words:
        raise SfvError(words)
    return motion_of(take, reference, character)


def perform(reference: Reference, character: Character, config: PreviewConfig, progress: Progress) -> tuple[Take, int]:
    """Return what the character does, and how many passes it took to find."""
    steps, told = wanted(reference, config), time.monotonic()

    def tell(done: float, near: float) -> None:
        nonlocal told
        if time.monotonic() - told > 0.2:
            told = time.monotonic()
            progress(STAGE, done, steps, **({} if np.isnan(near) else {"error_cm": 100 * near}))

    progress(STAGE, 0.0, steps)
    engine = open_engine(engine_name(config), character, config.samples, threads=os.cpu_count() or 1)
    try:
        effort = Effort(config.passes, NEAR, config.seconds_limit)
        performance = search(engine, reference, steps, effort, np.random.default_rng(config.seed), tell)
        progress(STAGE, steps, steps)
        return replay(engine, reference, performance), performance.passes
    finally:
        engine.close()


def engine_name(config: PreviewConfig) -> str:
    """Return the engine to use: MuJoCo, which is several times as fast, where it is installed."""
    return config.engine or ("mujoco" if installed()["mujoco"] else "pybullet")


def wanted(reference: Reference, config: PreviewConfig) -> int:
    """Return how many control steps to perform: a motion that loops goes on as long as asked, any other ends."""
    own = reference.last / PHYSICS_RATE
    length = own if config.seconds is None else config.seconds
    return max(round((length if reference.loop else min(length, own)) * CONTROL_RATE), 1)


def report(take: Take) -> dict[str, Any]:
    """Return how far the take came, and how near the joints came to the reference in the world."""
    away = np.linalg.norm(take.state.positions - take.goal.positions, axis=-1).mean(axis=1)
    return {"seconds": take.seconds, "frames": len(take), "fell": take.fell is not None,
            "lost": take.lost is not None, "nr": take.nr, "mean_distance_cm": float(100 * away.mean()),
            "largest_distance_cm": float(100 * away.max())}


def advice(take: Take, steps: int) -> str:
    """Say where the take ends early and what to do about it; empty where all is well."""
    length = steps / CONTROL_RATE
    said, when = min([(what, moment) for what, moment in (("falls", take.fell), ("loses the motion", take.lost))
                      if moment is not None], key=lambda pair: pair[1], default=("", 0.0))
    if said:
        return (f"The simulated body {said} at {when:.1f} of {length:.1f} s. Look at the motion's speed and ground "
                "there; give --samples 512 or another --seed, or let `sfv train` learn it.")
    if take.seconds < length - 0.5 / CONTROL_RATE:
        return (f"Only {take.seconds:.1f} of {length:.1f} s were performed in the time allowed. Give a higher "
                "--seconds-limit, or a shorter motion.")
    return ""
