"""Which landmarks the fit uses, and where they sit on the body."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from retarget import rotation
from retarget.motion import other_side

from ..body.model import SMPL_NAMES
from ..errors import SfvError
from ..pose.keypoints import Keypoints

_TABLE: tuple[tuple[str, str, tuple[float, float, float]], ...] = (
    ("left_shoulder", "left_shoulder", (0, 0, 0)), ("right_shoulder", "right_shoulder", (0, 0, 0)),
    ("left_elbow", "left_elbow", (0, 0, 0)), ("right_elbow", "right_elbow", (0, 0, 0)),
    ("left_wrist", "left_wrist", (0, 0, 0)), ("right_wrist", "right_wrist", (0, 0, 0)),
    ("left_hip", "left_hip", (0.035, 0, 0.02)), ("right_hip", "right_hip", (-0.035, 0, 0.02)),
    ("left_knee", "left_knee", (0, 0, 0)), ("right_knee", "right_knee", (0, 0, 0)),
    ("left_ankle", "left_ankle", (0, 0, 0)), ("right_ankle", "right_ankle", (0, 0, 0)),
    ("nose", "head", (0, -0.11, 0.04)),
    ("left_ear", "head", (0.075, 0, 0.04)), ("right_ear", "head", (-0.075, 0, 0.04)),
    ("left_heel", "left_ankle", (0, 0.05, -0.06)), ("right_heel", "right_ankle", (0, 0.05, -0.06)),
    ("left_foot_index", "left_foot", (0.005, -0.09, -0.01)),
    ("right_foot_index", "right_foot", (-0.005, -0.09, -0.01)),
    ("left_index", "left_wrist", (0.13, 0, -0.01)), ("right_index", "right_wrist", (-0.13, 0, -0.01)),
)
NAMES = tuple(row[0] for row in _TABLE)
JOINTS = np.array([SMPL_NAMES.index(row[1]) for row in _TABLE])
"""Joint that carries each landmark, shape (L,)."""
OFFSETS = np.array([row[2] for row in _TABLE], float)
"""Place of each landmark in its joint's frame in m, shape (L, 3); estimators differ, so the fit adjusts them."""
MIRROR = other_side(NAMES)
"""Index of the landmark on the other side, shape (L,)."""
HIPS = (NAMES.index("left_hip"), NAMES.index("right_hip"))
BONES = tuple((NAMES.index(f"{side}_{a}"), NAMES.index(f"{side}_{b}")) for side in ("left", "right")
              for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")))
"""Limb bones as pairs of landmarks."""
_USUAL_LENGTHS = np.array([0.28, 0.25, 0.41, 0.41, 0.28, 0.25, 0.41, 0.41, 0.5, 0.5])
"""Lengths of these, and of both sides of the trunk, in m, of a person of 1.7 m."""
CONTACTS = tuple(NAMES.index(f"{side}_{part}") for part in ("heel", "foot_index", "wrist", "index")
                 for side in ("left", "right"))
"""Landmarks that may touch the ground: heels, toes, wrists, finger tips, each left and right."""
SOLES = CONTACTS[:4]
"""Those of the feet: left and right heel, left and right toe."""
CONTACT_HEIGHTS = np.array([0.015, 0.015, 0.01, 0.01, 0.05, 0.05, 0.02, 0.02])
"""Height of each of these above the ground in contact in m; the feet's as at rest."""
CONTACT_JOINTS = tuple(SMPL_NAMES.index(f"{side}_{part}") for part in ("ankle", "foot", "wrist", "hand")
                       for side in ("left", "right"))
"""Joint of the motion that each contact is written to."""


@dataclass(frozen=True)
class Observations:
    """What the fit is to explain, on an even time grid; gaps are bridged and weigh nothing."""

    fps: float
    xy: np.ndarray
    """Landmarks in px, shape (T, L, 2)."""
    xyz: np.ndarray | None
    """Landmarks relative to the middle of the hips in m, each frame's camera axes, (T, L, 3); None until lifted."""
    weight: np.ndarray
    """Confidence, 0 where nobody was found, shape (T, L)."""
    detected: np.ndarray
    """Whether the person was found near this time, shape (T,)."""
    size: np.ndarray
    """Length of 1.7 m at the person's distance in px, shape (T,)."""
    spread: np.ndarray | None = None
    """Standard deviation of `xyz` in m along each axis, shape (T, L, 3); 5 cm, in depth 10 cm, where not given."""
    turns: np.ndarray | None = None
    """R_frame_reference (T, 3, 3): takes the reference camera's axes into each frame's; None for a still camera."""
    still_xy: np.ndarray | None = None
    """Where a camera that kept still would see the landmarks, px, (T, L, 2); None where `xy` is that."""

    def __len__(self) -> int:
        return len(self.xy)

    def slice(self, start: int, stop: int) -> Observations:
        """Return the frames from `start` up to, not including, `stop`."""
        per_frame = ("xy", "xyz", "weight", "detected", "size", "spread", "turns", "still_xy")
        parts = {name: getattr(self, name) for name in per_frame}
        return replace(self, **{name: None if a is None else a[start:stop] for name, a in parts.items()})

    def reference_xyz(self) -> np.ndarray:
        """Return `xyz` in the reference camera's axes, (T, L, 3)."""
        assert self.xyz is not None
        return self.xyz if self.turns is None else np.einsum("tji,tlj->tli", self.turns, self.xyz)


def without_turns(observations: Observations, focal: float, centre: np.ndarray) -> Observations:
    """Fill in `still_xy` where the camera turns. focal in px, centre (2,) px."""
    o = observations
    if o.turns is None:
        return o
    rays = np.concatenate([(o.xy - centre) / focal, np.ones((*o.xy.shape[:2], 1))], axis=-1)
    ahead = np.einsum("tji,tlj->tli", o.turns, rays)
    return replace(o, still_xy=ahead[..., :2] / np.maximum(ahead[..., 2:], 0.05) * focal + centre)


def observe(keypoints: Keypoints, turns: np.ndarray | None = None) -> tuple[Observations, float]:
    """Put the landmarks on an even time grid from the first to the last sight of the person.

    Return them with the grid's first time in s from the start of the video. The frame rate is the video's average, so
    a video of uneven frame times becomes an even motion of the same length. turns: R_frame_reference of each picture,
    (K, 3, 3), where the camera turns. Keypoints without 3D give observations without `xyz`.
    """
    missing = [name for name in NAMES if name not in keypoints.names]
    if missing:
        raise SfvError(f"These keypoints lack the landmarks {', '.join(missing)}.")
    seen = np.flatnonzero(keypoints.detected)
    start, stop = float(keypoints.times[seen[0]]), float(keypoints.times[seen[-1]])
    count = round((stop - start) * keypoints.fps) + 1
    times = start + np.arange(count) / keypoints.fps
    even = keypoints.at(times)
    pick = [keypoints.names.index(name) for name in NAMES]
    xy = even.xy[:, pick]
    if even.xyz is None:
        xyz, size = None, size_in_picture(xy)
    else:
        xyz = even.xyz[:, pick]
        xyz = xyz - xyz[:, HIPS].mean(axis=1, keepdims=True)
        size = even.person_size()
    observations = Observations(keypoints.fps, xy, xyz, even.confidence[:, pick], even.detected,
                                _steady(np.maximum(size, 1.0), keypoints.fps),
                                turns=None if turns is None else _turns_at(turns, keypoints.times, times))
    return observations, start


def size_in_picture(xy: np.ndarray) -> np.ndarray:
    """Return how long 1.7 m at the person's distance is in px, from 2D landmarks (T, L, 2) alone, (T,).

    No bone looks longer than it is, so the largest of the ratios seen to usual length nearby in time is nearest.
    """
    from scipy.ndimage import maximum_filter1d

    bones = np.array(BONES + ((NAMES.index("left_shoulder"), HIPS[0]), (NAMES.index("right_shoulder"), HIPS[1])))
    ratio = np.linalg.norm(xy[:, bones[:, 0]] - xy[:, bones[:, 1]], axis=-1) / _USUAL_LENGTHS
    return 1.7 * maximum_filter1d(np.percentile(ratio, 80, axis=1), 31, mode="nearest")


def _turns_at(turns: np.ndarray, known: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Interpolate rotation matrices (K, 3, 3) known at times (K,) to other times (T,), (T, 3, 3)."""
    q = rotation.continuous(rotation.from_matrix(turns))
    q = np.stack([np.interp(times, known, column) for column in q.T], axis=-1)
    return rotation.to_matrix(rotation.normalize(q))


def _steady(size: np.ndarray, fps: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d, median_filter

    return gaussian_filter1d(median_filter(size, size=9, mode="nearest"), 0.3 * fps, mode="nearest")
