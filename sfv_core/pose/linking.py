"""Tell people apart in recordings that do not number them: the same person is where it was a picture ago."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from .formats.recording import Sighting

_APART = 0.35
"""Median distance of the landmarks in figure sizes beyond which two sightings of following pictures are two people."""
_DRIFT = 0.02
"""How much more is allowed for each picture between."""
_MOST = 0.8
_FRAGMENT = 0.3
"""What it costs to take a figure for one of whose landmarks only a part is seen: detectors cut people in two."""
_NEVER = 1e6


def people(sightings: tuple[Sighting, ...]) -> dict[int, list[Sighting]]:
    """Return each person's sightings by number: the file's own numbers, else 1 for the most prominent and so on."""
    if all(one.person is not None for one in sightings):
        named: dict[int, list[Sighting]] = {}
        for one in sightings:
            assert one.person is not None
            if not named.setdefault(one.person, []) or named[one.person][-1].picture != one.picture:
                named[one.person].append(one)
        return named
    chains: list[list[Sighting]] = []
    for _, here in groupby(sightings, key=lambda one: one.picture):
        _extend(chains, list(here))
    return dict(enumerate(sorted(chains, key=prominence, reverse=True), start=1))


def prominence(chain: list[Sighting]) -> float:
    """Return how much of the video a person fills: the sum of its sightings' sizes, by confidence."""
    return sum(_size(one) * float(one.confidence.mean()) for one in chain)


def _extend(chains: list[list[Sighting]], here: list[Sighting]) -> None:
    """Add each sighting of a picture to the nearest chain, the closest pair first, or begin a new one."""
    pairs = sorted((_distance(chain[-1], one), row, column) for row, chain in enumerate(chains)
                   for column, one in enumerate(here))
    rows, columns = set(), set()
    for distance, row, column in pairs:
        if distance < _NEVER and row not in rows and column not in columns:
            chains[row].append(here[column])
            rows.add(row)
            columns.add(column)
    chains += [[one] for column, one in enumerate(here) if column not in columns]


def _distance(before: Sighting, now: Sighting) -> float:
    """Return the median distance of landmarks seen in both in figure sizes, and what differs; `_NEVER` for two."""
    if before.xy is None or now.xy is None:
        return 0.0
    both = before.seen & now.seen
    if not both.any():
        return _NEVER
    size = max(_size(before), _size(now), 1e-9)
    apart = float(np.median(np.linalg.norm(before.xy[both] - now.xy[both], axis=-1))) / size
    if apart > min(_APART + _DRIFT * (now.picture - before.picture), _MOST):
        return _NEVER
    return apart + _FRAGMENT * (1 - both.sum() / max(before.seen.sum(), now.seen.sum()))


def _size(one: Sighting) -> float:
    """Return the diagonal of the box around the landmarks in px."""
    if one.xy is None:
        return 1.0
    seen = one.xy[one.seen]
    return float(np.linalg.norm(seen.max(axis=0) - seen.min(axis=0)))
