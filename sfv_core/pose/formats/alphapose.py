"""AlphaPose: one JSON file, a list of people with the name of their picture and, if it tracked, their number."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SfvError
from .layouts import flat_layout
from .openpose import read_json
from .recording import Recording, sighting

_LARGEST_FILE = 2**30


def read_alphapose(path: Path) -> Recording:
    """Read `alphapose-results.json`. Raise SfvError that names the file."""
    try:
        people = read_json(path, _LARGEST_FILE)
        if not isinstance(people, list) or not people:
            raise SfvError("it is not a list of people")
        numbers = _pictures([str(person["image_id"]) for person in people])
        points = [np.array(person["keypoints"], float) for person in people]
        if any(one.ndim != 1 or len(one) % 3 or len(one) != len(points[0]) for one in points):
            raise SfvError("its people have different numbers of points, or numbers that are not triples")
        name, names = flat_layout(len(points[0]) // 3)
        found = [sighting(number, one.reshape(-1, 3)[:len(names)], _person(person))
                 for number, one, person in zip(numbers, points, people, strict=True)]
    except (SfvError, ValueError, TypeError, KeyError, OSError) as error:
        reason = f"a person has no {error}" if isinstance(error, KeyError) else error
        raise SfvError(f"'{path}' is not AlphaPose's result: {reason}. Give alphapose-results.json.") from error
    kept = sorted((one for one in found if one), key=lambda one: one.picture)
    if not kept:
        raise SfvError(f"'{path}' has nobody in it. Give another file.")
    return Recording(f"AlphaPose {name}", names, tuple(kept))


def _pictures(names: list[str]) -> list[int]:
    """Return the picture of each person: the number in its name, or the order of the names where they do not tell."""
    digits = {name: re.findall(r"\d+", Path(name).stem) for name in names}
    if all(digits.values()):
        numbers = {name: int(found[-1]) for name, found in digits.items()}
        if len(set(numbers.values())) == len(numbers):
            return [numbers[name] for name in names]
    order = {name: number for number, name in enumerate(sorted(digits))}
    return [order[name] for name in names]


def _person(person: Any) -> int | None:
    number = person.get("idx")
    return int(number) if isinstance(number, int | float) and np.isfinite(number) else None
