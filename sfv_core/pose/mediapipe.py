"""MediaPipe Pose as an estimator: the only module that imports mediapipe.

Version 0.10.21 carries the weights of complexity 1 in its wheel, so it works offline.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import SfvError
from ..progress import Progress
from ..video import Frame, Video, frames
from .candidates import Candidate, choose, doubtful
from .keypoints import Keypoints

NAMES = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)
_MIRROR = np.array([NAMES.index(name.replace("left", "LEFT").replace("right", "left").replace("LEFT", "right"))
                    for name in NAMES])
Pair = tuple[Candidate | None, Candidate | None]
"""What was found in a picture and in its mirror image."""
_MIN_DETECTED = 5
_IN_FLIGHT = 6
"""Pictures held in memory at most while the network works."""


@dataclass(frozen=True)
class View:
    """How a picture is turned before the network sees it; results are turned back."""

    mirrored: bool = False


_VIEWS = (View(), View(mirrored=True))
"""Mirrored pictures give detections whose errors differ, so agreement means something and the mean is better; pictures
turned upside down add nothing beyond that."""


class MediaPipeEstimator:
    """Track the person in the picture and in its mirror image; detect doubtful pictures afresh in both."""

    def __call__(self, video: Video, start: float, end: float | None, progress: Progress) -> Keypoints:
        """Return the landmarks of one person; report as stage "detect". Raise SfvError where nobody is found."""
        _require_mediapipe()
        times, pairs = track(video, start, end, progress)
        if not times:
            raise SfvError(f"No picture of '{video.path}' lies between {start:g} s and "
                           f"{'the end' if end is None else f'{end:g} s'}. Choose a longer span.")
        doubt = doubtful([first for first, _ in pairs], [second for _, second in pairs], times)
        candidates = [[found for found in pair if found is not None] for pair in pairs]
        for done, (index, pair) in enumerate(_detect_afresh(video, times, doubt), 1):
            candidates[index] += [replace(found, fresh=True) for found in pair if found is not None]
            if done % 10 == 0:
                progress("detect", len(times) + done, len(times) + int(doubt.sum()))
        return _keypoints(video, np.array(times), choose(candidates))


def track(video: Video, start: float, end: float | None, progress: Progress) -> tuple[list[float], list[Pair]]:
    """Return the times in s and what both trackers saw in each picture."""
    times: list[float] = []
    pairs: list[Pair] = []
    span = (video.duration if end is None else min(end, video.duration or end)) - start
    expected = max(round(span * video.fps), 1)
    for time_s, pair in _in_both_views(frames(video, start, end), tracking=True):
        times.append(time_s)
        pairs.append(pair)
        if len(times) % 10 == 0:
            progress("detect", len(times), max(expected, len(times)))
    return times, pairs


def _detect_afresh(video: Video, times: list[float], doubt: np.ndarray) -> Iterator[tuple[int, Pair]]:
    """Yield (index, detections) of the doubtful pictures, each found anew."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], doubt, [False]]).astype(int)))
    for begin, stop in zip(edges[::2], edges[1::2], strict=True):
        pictures = frames(video, times[begin], times[stop - 1])
        for number, (_, pair) in enumerate(_in_both_views(pictures, tracking=False)):
            yield int(begin) + number, pair


def _in_both_views(pictures: Iterator[Frame], tracking: bool) -> Iterator[tuple[float, Pair]]:
    """Yield (time in s, detections) of each picture, as it is and mirrored, on two threads."""
    pending: deque[tuple[float, list[Future]]] = deque()
    with _Network(tracking) as one, _Network(tracking) as two, \
            ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        for frame in pictures:
            jobs = [pool.submit(_detect, network, frame.rgb, view) for pool, network, view in
                    zip((first, second), (one, two), _VIEWS, strict=True)]
            pending.append((frame.time_s, jobs))
            if len(pending) >= _IN_FLIGHT:
                yield _finished(*pending.popleft())
        while pending:
            yield _finished(*pending.popleft())


def _finished(time_s: float, jobs: list[Future]) -> tuple[float, Pair]:
    return time_s, (jobs[0].result(), jobs[1].result())


def _detect(network: _Network, rgb: np.ndarray, view: View) -> Candidate | None:
    """Run the network on the picture seen as `view` and turn the result back."""
    height, width = rgb.shape[:2]
    result = network(np.ascontiguousarray(rgb[:, ::-1]) if view.mirrored else rgb)
    if result.pose_landmarks is None or result.pose_world_landmarks is None:
        return None
    flat = np.array([(p.x * width, p.y * height, p.visibility) for p in result.pose_landmarks.landmark])
    xyz = np.array([(p.x, p.y, p.z) for p in result.pose_world_landmarks.landmark])
    xy, visibility = flat[:, :2], flat[:, 2]
    if view.mirrored:
        xy, xyz, visibility = xy[_MIRROR], xyz[_MIRROR], visibility[_MIRROR]
        xy, xyz = xy * [-1, 1] + [width, 0], xyz * [-1, 1, 1]
    if not (np.all(np.isfinite(xy)) and np.all(np.isfinite(xyz))):
        return None
    return Candidate(xy, xyz, np.clip(visibility, 0.0, 1.0))


def _keypoints(video: Video, times: np.ndarray, chosen: list[Candidate | None]) -> Keypoints:
    detected = np.array([candidate is not None for candidate in chosen])
    if not detected.any():
        raise SfvError(f"No person found in '{video.path}' ({len(times)} pictures searched). "
                       "Use a video that shows one whole body, not too small.")
    if detected.sum() < _MIN_DETECTED:
        raise SfvError(f"A person was found in only {int(detected.sum())} of {len(times)} pictures of '{video.path}'; "
                       f"at least {_MIN_DETECTED} are needed. Use a longer or clearer video.")
    xy, xyz = np.zeros((len(times), len(NAMES), 2)), np.zeros((len(times), len(NAMES), 3))
    confidence = np.zeros((len(times), len(NAMES)))
    for index, candidate in enumerate(chosen):
        if candidate is not None:
            xy[index], xyz[index], confidence[index] = candidate.xy, candidate.xyz, candidate.visibility
    return Keypoints(NAMES, xy, xyz, confidence, times, detected, (video.width, video.height))


class _Network:
    """MediaPipe's network, kept silent until it has found its first person; landmarks come unsmoothed."""

    def __init__(self, tracking: bool) -> None:
        with _silent():
            from mediapipe.python.solutions.pose import Pose

            self._pose = Pose(static_image_mode=not tracking, model_complexity=1, smooth_landmarks=False)
            self._pose.process(np.zeros((64, 64, 3), np.uint8))
        self._warm = False

    def __call__(self, rgb: np.ndarray) -> Any:  # MediaPipe names no type for its results
        if self._warm:
            return self._pose.process(rgb)
        with _silent():
            result: Any = self._pose.process(rgb)
        self._warm = result.pose_landmarks is not None
        return result

    def __enter__(self) -> _Network:
        return self

    def __exit__(self, *_: object) -> None:
        self._pose.close()


_terminal = threading.Lock()


@contextmanager
def _silent():
    """Send what native code writes to the terminal nowhere: TensorFlow Lite and absl log there unasked."""
    with _terminal:
        kept = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


def _require_mediapipe() -> None:
    try:
        with _silent():
            import mediapipe  # noqa: F401
    except ImportError as error:
        raise SfvError(f"MediaPipe is not installed ({error}). Install the pose extra: pip install 'sfv[pose]'."
                       ) from error
