"""The baseline: MediaPipe's own tracker, as single-camera tools use it, and a little smoothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from benchmarks.metrics import LIMBS
from sfv_core.pose.mediapipe import NAMES
from sfv_core.reconstruct.camera import guess_focal
from sfv_core.reconstruct.initial import distances
from sfv_core.video import frames, open_video

_LIMBS = [NAMES.index(name) for name in LIMBS]
_SOLES = [NAMES.index(f"{side}_{part}") for part in ("ankle", "foot_index") for side in ("left", "right")]


@cache
def tracked(video: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return limbs relative to the hips (T, 12, 3) and placed ankles and toes (T, 4, 3), both in camera axes in m.

    Smoothed by a Gaussian of one frame. Frames without a person are interpolated.
    """
    from mediapipe.python.solutions.pose import Pose

    source = open_video(video)
    xy, xyz, found = [], [], []
    with Pose(model_complexity=1, smooth_landmarks=True) as network:
        for frame in frames(source):
            result = network.process(frame.rgb)
            found.append(result.pose_landmarks is not None)
            xy.append([(p.x * source.width, p.y * source.height) for p in result.pose_landmarks.landmark]
                      if found[-1] else np.zeros((len(NAMES), 2)))
            xyz.append([(p.x, p.y, p.z) for p in result.pose_world_landmarks.landmark]
                       if found[-1] else np.zeros((len(NAMES), 3)))
    flat, deep = (_filled(np.array(a, float), np.array(found)) for a in (xy, xyz))
    centre = np.array([source.width, source.height]) / 2
    place = distances(flat, deep, np.ones(flat.shape[:2]), guess_focal((source.width, source.height)), centre)
    smooth = gaussian_filter1d(deep, 1.0, axis=0)
    return smooth[:, _LIMBS], (smooth + gaussian_filter1d(place, 1.0, axis=0)[:, None])[:, _SOLES]


def _filled(a: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Interpolate the frames in which nobody was found. (T, K, d) → (T, K, d)."""
    rows, good = np.arange(len(a)), np.flatnonzero(found)
    flat = a.reshape(len(a), -1)
    return np.stack([np.interp(rows, good, column[good]) for column in flat.T], axis=1).reshape(a.shape)
