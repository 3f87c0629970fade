"""What is known of one person in one picture, and in a run of pictures without a break."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .candidates import Candidate
from .landmarker import NAMES, Seen
from .region import Region

_PARTS = {"torso": (("left_shoulder", "right_hip"), ("right_shoulder", "left_hip")),
          "thighs": (("left_hip", "left_knee"), ("right_hip", "right_knee")),
          "shins": (("left_knee", "left_ankle"), ("right_knee", "right_ankle")),
          "head": (("left_ear", "right_ear"), ("nose", "right_ear"))}
"""Lines along which the colours of a person are looked at."""
_LINES = np.array([[[NAMES.index(a), NAMES.index(b)] for a, b in lines] for lines in _PARTS.values()])
_ALONG = np.linspace(0.15, 0.85, 12)
_OPPONENT = np.array([[0.33, 0.33, 0.34], [0.7, -0.7, 0.0], [0.35, 0.35, -0.7]])
"""Brightness, red against green, yellow against blue."""
_FURTHEST = 2.0
"""Steps ahead for which a motion is carried on."""
_PACE = 8
"""Sights whose mean speed says where somebody out of sight goes."""


@dataclass(frozen=True)
class Sight:
    """One person in one picture."""

    index: int
    """Number of the picture."""
    time_s: float
    """Its time in s."""
    seen: Seen
    """What the network saw."""
    looked: Region
    """Where it looked."""
    colours: np.ndarray
    """Colour of torso, thighs, shins and head, each as brightness and two opponent values, 0 to 1, shape (12,)."""
    crowded: float = 0.0
    """Share of the person's box that another person's box covers, 0 to 1."""

    @property
    def box(self) -> np.ndarray:
        """Smallest box around the body's landmarks in px: x0, y0, x1, y1."""
        xy = self.seen.candidate.xy
        return np.concatenate([xy.min(axis=0), xy.max(axis=0)])


@dataclass(eq=False)
class Tracklet:
    """A run of sights of what moves like one person."""

    sights: list[Sight] = field(default_factory=list)
    """In the order of time; never empty once it is used."""
    crowded: bool = False
    """Whether another person is in the way all along."""

    @property
    def start(self) -> Sight:
        """First sight."""
        return self.sights[0]

    @property
    def end(self) -> Sight:
        """Last sight."""
        return self.sights[-1]

    def expected(self, time_s: float) -> Region:
        """Return where the person should be at a time after the last sight, moving and turning on as before."""
        last = self.end.seen.region
        if len(self.sights) < 2:
            return last
        before, gone = self.sights[-2].seen.region, self.end.time_s - self.sights[-2].time_s
        ahead = min((time_s - self.end.time_s) / max(gone, 1e-3), _FURTHEST)
        turn = (last.angle - before.angle + np.pi) % (2 * np.pi) - np.pi
        return Region((last.centre[0] + ahead * (last.centre[0] - before.centre[0]),
                       last.centre[1] + ahead * (last.centre[1] - before.centre[1])), last.size,
                      last.angle + ahead * turn)




def ahead(run: Tracklet, time_s: float) -> np.ndarray:
    """Return where the run leads at a later time, slowing down within a second. → (2,) px."""
    last = run.sights[-_PACE:]
    place, gone = np.array([sight.seen.region.centre for sight in last]), last[-1].time_s - last[0].time_s
    speed = (place[-1] - place[0]) / gone if gone > 0 else np.zeros(2)
    return place[-1] + speed * (1.0 - np.exp(-(time_s - last[-1].time_s)))


def colours(rgb: np.ndarray, candidate: Candidate) -> np.ndarray:
    """Return the median colour of each part of the person in the picture (H, W, 3) uint8; nan where outside. (12,)."""
    height, width = rgb.shape[:2]
    ends = candidate.xy[_LINES]
    points = ends[:, :, :1] + _ALONG[:, None] * (ends[:, :, 1:] - ends[:, :, :1])
    x, y = np.floor(points.reshape(len(_PARTS), -1, 2)).astype(int).transpose(2, 0, 1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    pixels = rgb[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)] / 255.0
    found = [np.median(part[there], axis=0) if there.sum() > 6 else np.full(3, np.nan)
             for part, there in zip(pixels, inside, strict=True)]
    return (np.stack(found) @ _OPPONENT.T).reshape(-1).astype(np.float32)


def covered(sights: list[Sight]) -> np.ndarray:
    """Return the share of each person's box that another person's covers. (N,)."""
    boxes = np.stack([sight.box for sight in sights])
    sides = (np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
             - np.maximum(boxes[:, None, :2], boxes[None, :, :2])).clip(0.0)
    shared = sides.prod(axis=-1) / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1.0)[:, None]
    np.fill_diagonal(shared, 0.0)
    return shared.max(axis=1)
