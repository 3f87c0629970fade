"""Tell who is who: join runs of sights to persons by clothes, place and motion."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment

from .tracklet import Sight, Tracklet, ahead

_STRANGER = 2.0
"""Cost of taking a run for somebody new; a run of a known person costs less."""
_COLOUR = 0.12
"""Median difference of the parts' colours that costs 1; in one second one person's reached 1.7, another's 1.8."""
_CHANGED = 1.0
"""Cost of the colours before against those after a sight at which a run is cut."""
_WINDOW = 15
"""Sights before and after that are compared then."""
_CALM = 0.4
"""Seconds without a sight after which where a person was says half as much."""
_FAR = 1.2
"""Largest cost of a place, so that clothes decide after a cut in the film."""
_IMPOSSIBLE = 1e3
_BRIEF = 5
"""Sights below which somebody is an error rather than a person, unless there is nobody else."""
_NEAR = 0.3
"""Distance in person sizes at which somebody unseen may be taken for somebody seen."""


@dataclass(frozen=True)
class Identified:
    """One person through the video."""

    sights: list[Sight]
    """At most one for each picture, in the order of time."""
    identity: np.ndarray
    """How sure it is the same person in each sight, 0 to 1, shape (N,)."""

    @property
    def prominence(self) -> float:
        """Size in px summed over the sights: how large and how long the person is in the picture."""
        return float(sum(sight.seen.candidate.size for sight in self.sights))


@dataclass
class _Person:
    runs: list[Tracklet] = field(default_factory=list)
    sure: list[float] = field(default_factory=list)
    clean: Tracklet | None = None

    @property
    def end(self) -> Sight:
        return self.runs[-1].end

    def colours(self) -> np.ndarray:
        clean = [run for run in self.runs if not run.crowded] or self.runs
        return _colours([sight for run in clean for sight in run.sights])


def identify(tracklets: list[Tracklet]) -> list[Identified]:
    """Return the persons, the most prominent first."""
    people: list[_Person] = []
    order = sorted((part for run in tracklets for part in _cut(run)), key=lambda run: run.start.index)
    for index in sorted({run.start.index for run in order}):
        _assign([run for run in order if run.start.index == index], people)
    found = [_identified(person, people) for person in people]
    lasting = [person for person in found if len(person.sights) >= _BRIEF] or found
    return sorted(lasting, key=lambda person: -person.prominence)


def _assign(runs: list[Tracklet], people: list[_Person]) -> None:
    """Give runs that begin together to known persons or new ones, at the least cost altogether."""
    known = np.array([[_cost(person, run) for person in people] for run in runs]).reshape(len(runs), len(people))
    strangers = np.full((len(runs), len(runs)), _IMPOSSIBLE)
    np.fill_diagonal(strangers, _STRANGER)
    table = np.concatenate([known, strangers], axis=1)
    for row, column in zip(*linear_sum_assignment(table), strict=True):
        if column >= len(people):
            person = _Person()
            people.append(person)
        else:
            person = people[column]
        others = np.delete(table[row], column)
        margin = float(others.min() - table[row, column]) if person.runs else _STRANGER
        person.sure.append(float(np.clip(0.5 + 0.5 * margin / (0.5 * _STRANGER), 0.0, 1.0)))
        person.runs.append(runs[row])
        if not runs[row].crowded:
            person.clean = runs[row]


def _cost(person: _Person, run: Tracklet) -> float:
    """Return how badly the run continues the person: in a crowd by place alone, else by clothes and place."""
    if person.end.index >= run.start.index:
        return _IMPOSSIBLE
    if run.crowded or person.clean is None:
        return _misplaced(person.runs[-1], run)
    return _unlike(person.colours(), _colours(run.sights)) + _misplaced(person.clean, run)


def _unlike(a: np.ndarray, b: np.ndarray) -> float:
    """Return how different the clothes are, by the median of torso, thighs and shins. (12,), (12,)."""
    parts = np.linalg.norm((a - b).reshape(4, 3), axis=1)[:3]  # not the head: much of what is seen there is background
    seen = parts[np.isfinite(parts)]
    return float(np.median(seen)) / _COLOUR if len(seen) else 1.0


def _cut(run: Tracklet) -> list[Tracklet]:
    """Cut a run where the clothes change: the eye has gone over to somebody else."""
    count = len(run.sights)
    change = np.zeros(count)
    if count >= 2 * _WINDOW:
        every = np.array([sight.colours for sight in run.sights])
        middles = np.lib.stride_tricks.sliding_window_view(every, _WINDOW, axis=0).mean(axis=-1)
        change[_WINDOW:count - _WINDOW + 1] = [_unlike(a, b) for a, b in
                                               zip(middles[:-_WINDOW], middles[_WINDOW:], strict=True)]
    cuts = [0]
    for middle in np.argsort(-change):
        if change[middle] < _CHANGED:
            break
        if all(abs(middle - other) >= _WINDOW for other in cuts):
            cuts.append(int(middle))
    edges = [*sorted(cuts), count]
    return [Tracklet(run.sights[a:b], run.crowded) for a, b in pairwise(edges)]


def _misplaced(before: Tracklet, run: Tracklet) -> float:
    """Return the distance of the run's beginning from where the run before leads, in person sizes; less with time."""
    gap = run.start.time_s - before.end.time_s
    there = ahead(before, run.start.time_s)
    here = np.array(run.start.seen.region.centre)
    size = max(run.start.seen.candidate.size, before.end.seen.candidate.size)
    return float(min(np.linalg.norm(here - there) / size, _FAR)) / (1.0 + gap / _CALM)


def _colours(sights: list[Sight]) -> np.ndarray:
    """Return the median colours. (12,), nan where never seen."""
    every = np.array([sight.colours for sight in sights])
    seen = np.isfinite(every).any(axis=0)
    result = np.full(every.shape[1], np.nan)
    result[seen] = np.nanmedian(every[:, seen], axis=0)
    return result


def _identified(person: _Person, people: list[_Person]) -> Identified:
    sights = [sight for run in person.runs for sight in run.sights]
    sure = np.concatenate([np.full(len(run.sights), value) for run, value in
                           zip(person.runs, person.sure, strict=True)])
    sure *= 1.0 - 0.8 * np.array([sight.crowded for sight in sights])
    for other in people:
        if other is not person:
            sure *= 1.0 - 0.5 * _hidden_near(sights, other)
    return Identified(sights, sure)


def _hidden_near(sights: list[Sight], other: _Person) -> np.ndarray:
    """Tell in which sights another person, unseen then, must be near, between two runs of theirs. (N,) bool."""
    near = np.zeros(len(sights), bool)
    index = np.array([sight.index for sight in sights])
    for before, after in pairwise(other.runs):
        rows = np.flatnonzero((index > before.end.index) & (index < after.start.index))
        share = (index[rows] - before.end.index) / (after.start.index - before.end.index)
        ends = np.array([before.end.seen.region.centre, after.start.seen.region.centre])
        place = ends[0] + share[:, None] * (ends[1] - ends[0])
        here = np.array([sights[row].seen.region.centre for row in rows]).reshape(-1, 2)
        size = np.array([sights[row].seen.candidate.size for row in rows])
        near[rows] |= np.linalg.norm(here - place, axis=1) < _NEAR * size
    return near
