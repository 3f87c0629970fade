"""Find targets with which a simulated character goes through a reference, part by part, without learning a policy.

Each part of up to three seconds is searched in several passes (explore.py); between them the models of the physics get
better. What comes after the part is looked at too, then forgotten, so that no part ends in a pose that leads nowhere;
where a motion loops, that goes for its last part as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from sfv_core.imitate.posture import posture
from sfv_core.imitate.reference import Reference
from sfv_core.imitate.rules import CONTROL_RATE, SUBSTEPS
from sfv_core.physics.engine import Engine, State
from sfv_core.preview.deviation import goals
from sfv_core.preview.explore import Attempt, explore
from sfv_core.preview.feedback import Experience, Models, experiment, learn, no_models, regulate, together

PART, BEYOND = 3 * CONTROL_RATE, CONTROL_RATE // 2
"""Largest number of control steps of a part, and of what is looked at after it."""
_NOISE, _CALMER = 0.1, 0.85
"""Spread of the offsets in rad in the first pass, and its factor from one pass to the next."""
_DOUBT = 20.0
"""How much experience it takes to change a model, see feedback.learn."""
_GAIN, _PATIENCE = 0.95, 2
"""A pass that gets through is idle when it leaves more than this share of the cost; a part ends after so many idle
passes in a row."""


@dataclass(frozen=True)
class Effort:
    """How much to search."""

    passes: int
    """Largest number of passes through a part."""
    near: float
    """Mean distance of the joints from the reference's in m at which a part is good enough."""
    seconds: float
    """Time that the whole search may take in s; parts get their share of it."""


@dataclass(frozen=True)
class Performance:
    """What the character did, T control steps long."""

    ticks: np.ndarray
    """Tick of the reference for each frame, from the start on, shape (T + 1,)."""
    states: State
    """State of each frame, (T + 1, …)."""
    offsets: np.ndarray
    """Offsets of the targets from the reference's coordinates LEAD ticks ahead in rad, shape (T, C)."""
    passes: int
    """Passes that were made, all parts together."""
    ended_by: Literal["end", "lost", "limit"]
    """The end of the motion, a character that got lost, or a search that took too long."""


@dataclass
class _Known:
    """Models of the physics around the reference: of the steps of a cycle, or of a clip; made when first needed."""

    engine: Engine
    reference: Reference
    generator: np.random.Generator
    models: Models = field(init=False)
    general: Models = field(init=False)
    """One model of all experiments together, from which each step's own starts: most of the physics is the same."""
    made: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        steps = max(round(self.reference.last / SUBSTEPS), 1)
        self.models, self.general = no_models(self.engine.character, steps), no_models(self.engine.character, 1)
        self.made = np.zeros(steps, bool)

    def places(self, steps: np.ndarray) -> np.ndarray:
        """Return which model belongs to each control step since the start."""
        rows, _ = self.reference.lookup(steps * SUBSTEPS)
        places = np.round(rows / SUBSTEPS).astype(int)
        return places % len(self.made) if self.reference.loop else np.minimum(places, len(self.made) - 1)

    def of(self, steps: np.ndarray, step_done: Callable[[], None]) -> Models:
        """Return the models of control steps."""
        seen: dict[int, Experience] = {}
        for place in self.places(steps):
            if not self.made[place] and place not in seen:
                seen[place] = experiment(self.engine, self.reference, int(place) * SUBSTEPS, self.generator)
            step_done()
        if seen:
            new = np.array(list(seen))
            self.general = learn(self.engine.character, self.general, [together(list(seen.values()))], _DOUBT)
            start = self.general[np.zeros(len(new), int)]
            self.keep(new, learn(self.engine.character, start, list(seen.values()), _DOUBT))
        return self.models[self.places(steps)]

    def keep(self, places: np.ndarray, models: Models) -> None:
        """Take over better models."""
        for name in ("state", "control", "drift"):
            getattr(self.models, name)[places] = getattr(models, name)
        self.made[places] = True


def search(engine: Engine, reference: Reference, steps: int, effort: Effort, generator: np.random.Generator,
           tell: Callable[[float, float], None]) -> Performance:
    """Perform `steps` control steps of the reference from its first moment on.

    tell: called with steps done and the mean distance of the last part in m; may raise Cancelled.
    """
    character, known, began = engine.character, _Known(engine, reference, generator), time.monotonic()
    states, offsets = [goals(reference, character, np.zeros(1, int)).state], []
    passes, done, ended_by = 0, 0, "end"
    while done < steps:
        stop = done + round((steps - done) / -(-(steps - done) // PART))
        end = stop + BEYOND if reference.loop else min(stop + BEYOND, steps)
        limit = effort.seconds * stop / steps - (time.monotonic() - began)
        if time.monotonic() - began > effort.seconds:
            ended_by = "limit"
            break
        part = _Part(done, stop, end)
        best, made = _search_part(known, part, states[-1][-1:], effort, limit, tell)
        passes += made
        kept = min(stop - done, len(best.offsets))
        states.append(best.states[slice(kept)])
        offsets.append(best.offsets[:kept])
        done += kept
        if kept < stop - part.start:
            ended_by = "lost"
            break
    return _performance(states, offsets, passes, ended_by)


@dataclass(frozen=True)
class _Part:
    """Control steps from `start` to `stop`, and to `end` with what comes after."""

    start: int
    stop: int
    end: int


def _search_part(known: _Known, part: _Part, state: State, effort: Effort, limit: float,
                 tell: Callable[[float, float], None]) -> tuple[Attempt, int]:
    """Return the best attempt at a part and the number of passes; at least one is made."""
    engine, reference, began = known.engine, known.reference, time.monotonic()
    steps = np.arange(part.start, part.end)
    share = (part.stop - part.start) / ((effort.passes + 1) * len(steps))
    work, near = 0, np.nan

    def step_done() -> None:
        nonlocal work
        work += 1
        tell(part.start + share * min(work, (effort.passes + 1) * len(steps)), near)

    models, best, seen, passes = known.of(steps, step_done), None, [], 0
    idle, own = 0, part.stop - part.start
    for number in range(effort.passes):
        models = learn(engine.character, models, seen, _DOUBT)
        feedback = regulate(engine.character, models)
        attempt, seen = explore(engine, reference, (part.start * SUBSTEPS, state), feedback, best,
                                _NOISE * _CALMER**number, known.generator, step_done)
        through = len(attempt.offsets) >= own
        idle = idle + 1 if best is not None and through and attempt.cost > _GAIN * best.cost else 0
        best = attempt if best is None or attempt.better_than(best) else best
        passes = number + 1
        near = float(distances(reference, engine, part.start, best.states[slice(own)]).mean())
        work = (number + 2) * len(steps)
        if (through and near < effort.near) or idle >= _PATIENCE or time.monotonic() - began > limit:
            break
    known.keep(known.places(steps), models)
    assert best is not None  # there is at least one pass
    return best, passes


def distances(reference: Reference, engine: Engine, done: int, states: State) -> np.ndarray:
    """Return how far the links, and the wrists, are from the reference's in m, (T, L + 2); state i is step done+1+i."""
    character = engine.character
    ticks = SUBSTEPS * (done + 1 + np.arange(len(states.positions)))
    now, goal = posture(character, states), goals(reference, character, ticks)
    away = np.concatenate([now.state.positions - goal.state.positions, now.ends[:, 2:] - goal.ends[:, 2:]], axis=1)
    return np.linalg.norm(away, axis=-1)


def _performance(states: list[State], offsets: list[np.ndarray], passes: int,
                 ended_by: Literal["end", "lost", "limit"]) -> Performance:
    together = State(*(np.concatenate([getattr(state, name) for state in states])
                       for name in ("positions", "rotations", "velocities", "spins")))
    return Performance(SUBSTEPS * np.arange(len(together.positions)), together, np.concatenate(offsets), passes,
                       ended_by)
