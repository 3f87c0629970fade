"""A motion performed under physics within seconds, without learning: what a policy would have to do, found once.

The result is one performance, not a skill: the character would not withstand a push. It shows whether the motion can
be performed at all, and as a motion that obeys physics it is a reference that a policy learns more easily.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from retarget import kinematics, rotation
from retarget.errors import RetargetError
from retarget.motion import Motion
from sfv_core.character.build import character_for
from sfv_core.character.carry import carry
from sfv_core.character.character import Character
from sfv_core.character.fit import fit
from sfv_core.config import PreviewConfig
from sfv_core.errors import SfvError
from sfv_core.extras import installed
from sfv_core.imitate.feedback import LEAD
from sfv_core.imitate.reference import Reference, make_reference
from sfv_core.imitate.rules import CONTROL_RATE, SUBSTEPS
from sfv_core.imitate.search import Effort, Performance, distances, search
from sfv_core.physics.engine import PHYSICS_RATE, Engine, open_engine
from sfv_core.progress import Progress

STAGE = "preview"
LONGEST = 600.0
"""Longest preview in s."""
NEAR = 0.035
"""Mean distance of the joints from the reference's in m that is good enough."""
LOST = 0.3
"""From this mean distance in m on the character has lost the motion."""


def preview(motion: Path, out: Path, config: PreviewConfig, progress: Progress) -> dict[str, Any]:
    """Perform a motion under physics and write what the character does to `out`, on the motion's own skeleton.

    Raise SfvError if the motion cannot be performed by any character, Cancelled where progress raises it; then
    nothing is written.
    """
    began = time.monotonic()
    try:
        captured = Motion.load(motion)
    except RetargetError as error:
        raise SfvError(str(error)) from error
    try:
        character = character_for(captured.skeleton)
        reference = make_reference(fit(captured, character), character)
    except SfvError as error:
        raise SfvError(f"'{motion}': {error}") from error
    engine = _open(config, character)
    try:
        performance = _perform(engine, reference, config, progress)
        performed = _motion(engine, reference, performance)
        report = _report(engine, reference, performance, _steps(reference, config))
    finally:
        engine.close()
    carry(performed, performance.ticks / PHYSICS_RATE, captured, character).save(out)
    return {"motion": str(out), **report, "engine": _engine(config), "took_s": time.monotonic() - began}


def repaired_reference(reference: Motion, character: Character, config: PreviewConfig, progress: Progress) -> Motion:
    """Return a motion near the reference that obeys physics, on the character's skeleton, at 30 frames per second.

    reference: on the character's skeleton (see fit). A motion that loops comes back once through, as a clip that ends.
    Raise SfvError where the character loses the motion.
    """
    tables = make_reference(reference, character)
    engine = _open(config, character)
    try:
        performance = _perform(engine, tables, config, progress)
        report = _report(engine, tables, performance, _steps(tables, config))
        if "advice" in report:
            raise SfvError(report["advice"])
        return _motion(engine, tables, performance)
    finally:
        engine.close()


def _engine(config: PreviewConfig) -> str:
    """Return the engine to use: MuJoCo, which is several times as fast, where it is installed."""
    return config.engine or ("mujoco" if installed()["mujoco"] else "pybullet")


def _open(config: PreviewConfig, character: Character) -> Engine:
    return open_engine(_engine(config), character, config.samples, threads=os.cpu_count() or 1)


def _steps(reference: Reference, config: PreviewConfig) -> int:
    """Return how many control steps to perform: a motion that loops goes on as long as asked."""
    own = reference.last / PHYSICS_RATE
    length = config.seconds or own
    if length > LONGEST:
        raise SfvError(f"A preview of {length:g} s cannot be made; ask for up to {LONGEST:.0f} s.")
    return max(round((length if reference.loop else min(length, own)) * CONTROL_RATE), 1)


def _perform(engine: Engine, reference: Reference, config: PreviewConfig, progress: Progress) -> Performance:
    steps, told = _steps(reference, config), time.monotonic()

    def tell(done: float, near: float) -> None:
        nonlocal told
        if time.monotonic() - told > 0.2:
            told = time.monotonic()
            progress(STAGE, done, steps, **({} if np.isnan(near) else {"error_cm": round(100 * near, 1)}))

    progress(STAGE, 0.0, steps)
    effort = Effort(config.passes, NEAR, config.seconds_limit)
    performance = search(engine, reference, steps, effort, np.random.default_rng(config.seed), tell)
    progress(STAGE, steps, steps)
    return performance


def _motion(engine: Engine, reference: Reference, performance: Performance) -> Motion:
    """Return the performance on the character's skeleton; the wrists, which physics holds stiff, move as asked."""
    skeleton, count = engine.character.skeleton, len(engine.character.links)
    rows, _ = reference.lookup(performance.ticks)
    local = reference.motion.at(rows / PHYSICS_RATE, CONTROL_RATE).rotations.copy()
    world = np.tile(rotation.IDENTITY, (len(rows), len(skeleton), 1))
    world[:, :count] = performance.states.rotations
    local[:, :count] = kinematics.local_rotations(skeleton, world)[:, :count]
    contacts = np.zeros((len(rows), len(skeleton)))
    contacts[:, :count] = touching(engine, reference, performance)
    return Motion(skeleton, CONTROL_RATE, performance.states.positions[:, 0], rotation.continuous(local),
                  contacts=contacts)


def touching(engine: Engine, reference: Reference, performance: Performance) -> np.ndarray:
    """Return which links touch the ground in each frame, bool (T + 1, L): every step is done again, many at a time."""
    character, count = engine.character, len(performance.offsets)
    rows, _ = reference.lookup(performance.ticks[:-1] + LEAD)
    targets = reference.coordinates[rows] + performance.offsets
    touch = np.zeros((count + 1, len(character.links)), bool)
    for first in range(0, count, engine.worlds):
        steps = np.arange(first, min(first + engine.worlds, count))
        ids = np.arange(len(steps))
        engine.reset(ids, performance.states[steps])
        padded = np.zeros((engine.worlds, character.coordinates))
        padded[ids] = targets[steps]
        engine.step(padded, SUBSTEPS, ids)
        touch[steps + 1] = engine.contacts()[ids]
    touch[0] = touch[1]
    return touch


def _report(engine: Engine, reference: Reference, performance: Performance, wanted: int) -> dict[str, Any]:
    """Return how near it came and, where it did not get through, when and why, with advice."""
    away = distances(reference, engine, 0, performance.states[slice(1, None)]).mean(axis=1)
    steps = len(away)
    lost = np.flatnonzero(away > LOST)
    length = f"{wanted / CONTROL_RATE:.1f} s"
    report = {"seconds": steps / CONTROL_RATE, "frames": steps + 1, "error_m": float(away.mean()),
              "largest_error_m": float(away.max()), "passes": performance.passes, "lost": bool(len(lost))}
    if len(lost):
        at = float(lost[0] + 1) / CONTROL_RATE
        advice = (f"The simulated body loses the motion after {at:.1f} of {length}. "
                  "Look at its ground height and its speed there; or try --samples 512 or another --seed, or let "
                  "`sfv train` learn it.")
        return {"advice": advice, "lost_after_s": at, **report}
    if performance.ended_by == "limit":
        return {"advice": f"Only {steps / CONTROL_RATE:.1f} of {length} were performed in the time "
                          "allowed; give a higher --seconds-limit, or a shorter motion.", **report}
    return report
