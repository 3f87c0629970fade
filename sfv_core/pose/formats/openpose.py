"""OpenPose: a folder with one JSON file a picture, several people in each, without identity."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SfvError
from .layouts import flat_layout
from .recording import Recording, Sighting, sighting

_LARGEST_FILE = 20 * 2**20
"""Bytes; a picture of a hundred people with hands and faces has 2 MB."""


def read_folder(folder: Path) -> Recording:
    """Read `*.json`, numbered by the last number in their names. Raise SfvError that names the file."""
    files = numbered(folder)
    if not files:
        raise SfvError(f"There is no .json file in '{folder}'. Give OpenPose's output folder (one .json a picture).")
    found: list[Sighting] = []
    points = 0
    for number, path in sorted(files.items()):
        try:
            people = _people(read_json(path, _LARGEST_FILE))
            for person in people:
                points = points or len(person)
                if len(person) != points:
                    raise SfvError(f"it has {len(person)} points a person, the files before it {points}")
                one = sighting(number, person[:len(flat_layout(points)[1])])
                found += [one] if one else []
        except (SfvError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise SfvError(f"'{path}' is not OpenPose's JSON: {error}. Give OpenPose's output folder.") from error
    if not found:
        raise SfvError(f"None of the {len(files)} files in '{folder}' has a person in it. Give another folder.")
    name, names = flat_layout(points)
    return Recording(f"OpenPose {name}", names, tuple(found))


def numbered(folder: Path) -> dict[int, Path]:
    """Return the .json files by picture: the last number in the name, or the order where names do not tell."""
    paths = sorted(folder.glob("*.json"), key=lambda path: path.name)
    numbers = [re.findall(r"\d+", path.stem) for path in paths]
    if all(numbers) and len({int(found[-1]) for found in numbers}) == len(paths):
        return {int(found[-1]): path for found, path in zip(numbers, paths, strict=True)}
    return dict(enumerate(paths))


def read_json(path: Path, largest: int) -> Any:
    """Parse a JSON file of at most `largest` bytes; raise ValueError."""
    size = path.stat().st_size
    if size > largest:
        raise ValueError(f"it has {size / 2**20:.0f} MiB, more than {largest / 2**20:.0f} MiB")
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _people(data: Any) -> list[np.ndarray]:
    """Return each person's x, y and confidence (K, 3)."""
    people = []
    for person in data["people"]:
        flat = person.get("pose_keypoints_2d", person.get("pose_keypoints"))
        if flat is None:
            raise SfvError("a person has no pose_keypoints_2d")
        points = np.array(flat, float)
        if points.ndim != 1 or len(points) % 3:
            raise SfvError(f"pose_keypoints_2d has {points.size} numbers, which are not triples")
        if len(points):
            people.append(points.reshape(-1, 3))
    return people
