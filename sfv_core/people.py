"""Who is in a video: a list of persons with spans of time and pictures, to choose one for the capture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from retarget.whole import written_whole

from .errors import SfvError
from .pose.identify import Identified, identify
from .pose.watch import watch, watchers
from .progress import Progress
from .video import Video, frames, open_video

if TYPE_CHECKING:
    from PIL.Image import Image

FILES = ("people.png", "people.json")
"""What `write_people` writes."""
FORMAT_VERSION = 1
_BREAK = 0.5
"""Seconds without a person that end a span."""
_THUMBNAIL = (160, 240)
"""Width and height of a thumbnail in px."""
_THUMBNAILS = 3
_LABEL = 16
"""Height of the line of text above each row of thumbnails in px."""
_MARGIN = 0.15
"""What is shown around a person's box, as a part of its longer side."""


@dataclass(frozen=True)
class Person:
    """One person through the video."""

    number: int
    """1 is the most prominent: the largest and longest in the picture."""
    times: np.ndarray
    """Time of each picture of the video in s, shape (T,)."""
    boxes: np.ndarray
    """Box around the person's landmarks in px: x0, y0, x1, y1; nan where unseen. (T, 4)."""
    centres: np.ndarray
    """Middle of the hips in px; nan where unseen. (T, 2)."""
    identity: np.ndarray
    """How sure it is the same person, 0 to 1; 0 where unseen. (T,)."""
    size: float
    """Median length of 1.7 m at the person's distance in px."""

    @property
    def spans(self) -> list[tuple[float, float]]:
        """First and last time in s of each stay in the picture."""
        seen = self.times[np.isfinite(self.centres[:, 0])]
        cuts = np.flatnonzero(np.diff(seen) > _BREAK)
        return [(float(a), float(b)) for a, b in zip(seen[[0, *(cuts + 1)]], seen[[*cuts, -1]], strict=True)]

    def describe(self) -> dict:
        """Return the entry in people.json."""
        seen = np.isfinite(self.centres[:, 0])
        doubt = float(np.mean(self.identity[seen] < _SURE))
        return {"id": self.number, "spans_s": [[round(a, 3), round(b, 3)] for a, b in self.spans],
                "pictures": int(seen.sum()), "share": round(float(seen.mean()), 4), "size_px": round(self.size, 1),
                "identity_doubtful_share": round(doubt, 4)}


_SURE = 0.6
"""Identity below which it may be another person."""


def find_people(video: Video, start: float, end: float | None, progress: Progress) -> list[Person]:
    """Return everybody in the video, the most prominent first; report as stage "detect"; nobody gives an empty list."""
    with watchers() as networks:
        watched = watch(video, start, end, progress, networks, mirrors=False)
    return [_person(number, found, watched.times) for number, found in enumerate(identify(watched.tracklets), 1)]


def write_people(video: Path, out: Path | None, start: float, end: float | None, progress: Progress) -> dict:
    """Write `FILES` into the folder, if there is one, and return people.json's content.

    Raise SfvError where there is nobody.
    """
    source = open_video(video)
    people = find_people(source, start, end, progress)
    if not people:
        raise SfvError(f"No person found in '{video}'. Use a video that shows a whole body, not too small.")
    report = {"format": FORMAT_VERSION, "video": source.path.name, "people": [one.describe() for one in people]}
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        sheet = _sheet(source, people)
        with written_whole(out / "people.png") as temporary:
            sheet.save(temporary, format="PNG")
        with written_whole(out / "people.json") as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n")
    return report


def _person(number: int, found: Identified, times: np.ndarray) -> Person:
    boxes, centres = np.full((len(times), 4), np.nan), np.full((len(times), 2), np.nan)
    identity = np.zeros(len(times))
    rows = [sight.index for sight in found.sights]
    boxes[rows] = [sight.box for sight in found.sights]
    centres[rows] = [sight.seen.candidate.centre for sight in found.sights]
    identity[rows] = found.identity
    size = float(np.median([sight.seen.candidate.size for sight in found.sights]))
    return Person(number, times, boxes, centres, identity, size)


def _sheet(video: Video, people: list[Person]) -> Image:
    """Draw a row of thumbnails for each person, with the id and the spans above it."""
    from PIL import Image, ImageDraw

    width, height = _THUMBNAIL
    sheet = Image.new("RGB", (max(width * _THUMBNAILS, 420), (height + _LABEL) * len(people)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, person in enumerate(people):
        spans = ", ".join(f"{a:.1f}-{b:.1f} s" for a, b in person.spans[:4]) + (" …" if len(person.spans) > 4 else "")
        pen.text((4, row * (height + _LABEL) + 2), f"{person.number}:  {spans}", fill="black")
        for column, index in enumerate(_moments(person)):
            picture = next(frames(video, max(float(person.times[index]) - 1e-3, 0.0)), None)
            if picture is not None:
                sheet.paste(_thumbnail(Image.fromarray(picture.rgb), person.boxes[index]),
                            (column * width, row * (height + _LABEL) + _LABEL))
    return sheet


def _moments(person: Person) -> list[int]:
    """Return the surest picture in each third of the person's time."""
    seen = np.flatnonzero(np.isfinite(person.centres[:, 0]))
    return [int(part[person.identity[part].argmax()]) for part in np.array_split(seen, _THUMBNAILS) if len(part)]


def _thumbnail(picture: Image, box: np.ndarray) -> Image:
    """Cut the box out with a margin, in the thumbnail's proportions."""
    width, height = _THUMBNAIL
    middle, sides = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * (1 + 2 * _MARGIN)
    scale = max(sides[0] / width, sides[1] / height, 1e-3)
    half = np.array([width, height]) * scale / 2
    x0, y0, x1, y1 = np.concatenate([middle - half, middle + half]).round().astype(int).tolist()
    return picture.crop((x0, y0, x1, y1)).resize(_THUMBNAIL)
