"""What another program saw: people in numbered pictures, before one of them is chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import SfvError


@dataclass(frozen=True)
class Sighting:
    """One person in one picture."""

    picture: int
    """Number of the picture, from 0."""
    xy: np.ndarray | None
    """Places in px, or as shares of the picture (see `Recording`), shape (K, 2); None where the file has only 3D."""
    confidence: np.ndarray
    """0 to 1; 0 where a landmark is missing, shape (K,)."""
    xyz: np.ndarray | None = None
    """Places relative to the middle of the hips in m, camera axes, shape (K, 3)."""
    person: int | None = None
    """The file's own number for the person."""

    @property
    def seen(self) -> np.ndarray:
        """Tell which landmarks are there. (K,) bool."""
        return self.confidence > 0


@dataclass(frozen=True)
class Recording:
    """All sightings of a file, of one layout."""

    format: str
    """Name of the program and the layout, for people."""
    names: tuple[str, ...]
    """Landmark names, length K."""
    sightings: tuple[Sighting, ...]
    """In the order of the pictures."""
    size: tuple[int, int] | None = None
    """Width and height of the pictures in px, where the file says so."""

    @property
    def pictures(self) -> int:
        """Number of pictures up to the last one with somebody in it."""
        return max((sighting.picture for sighting in self.sightings), default=-1) + 1


def sighting(picture: int, points: np.ndarray, person: int | None = None) -> Sighting | None:
    """Make a sighting of x, y and confidence (K, 3); None where nothing of the person is there.

    Confidences above 1, which some programs write, count as 1; a place of 0, 0 is a missing point. Raise SfvError for
    numbers that are none.
    """
    points = np.asarray(points, float)
    if not np.all(np.isfinite(points)):
        raise SfvError(f"picture {picture} holds values that are not numbers (NaN or infinity)")
    confidence = np.clip(points[:, 2], 0.0, 1.0) * np.any(points[:, :2] != 0.0, axis=1)
    if not confidence.any():
        return None
    return Sighting(picture, points[:, :2], confidence, None, person)
