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
from dataclasses import dataclass

import numpy as np

from ..errors import SfvError
from ..progress import Progress
from ..video import Video, frames
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
_MIN_DETECTED = 5
_IN_FLIGHT = 6
"""Pictures held in memory at most while the network works."""


@dataclass(frozen=True)
class View:
    """How a picture is turned before the network sees it; results are turned back."""

    upside_down: bool = False
    mirrored: bool = False


_UPRIGHT = View()
_CHECK = View(mirrored=True)
_AFRESH = (View(), View(mirrored=True), View(upside_down=True), View(upside_down=True, mirrored=True))


@dataclass(frozen=True)
class MediaPipeEstimator:
    """Track the person; check the tracker by fresh detections; detect doubtful pictures afresh in four views."""

    check_every: int = 5
    """Pictures from one check of the tracker to the next."""

    def __call__(self, video: Video, start: float, end: float | None, progress: Progress) -> Keypoints:
        """Return the landmarks of one person; report as stage "detect". Raise SfvError where nobody is found."""
        _require_mediapipe()
        times, tracked, checks = self._track(video, start, end, progress)
        if not times:
            raise SfvError(f"No picture of '{video.path}' lies between {start:g} s and "
                           f"{'the end' if end is None else f'{end:g} s'}. Choose a longer span.")
        doubt = doubtful(tracked, checks, margin=self.check_every)
        candidates = [[] if c is None else [c] for c in tracked]
        for index, fresh in checks.items():
            if doubt[index] and fresh is not None:
                candidates[index].append(fresh)
        for done, (index, fresh) in enumerate(_detect_afresh(video, times, doubt), 1):
            candidates[index] += fresh
            if done % 10 == 0:
                progress("detect", len(times) + done, len(times) + int(doubt.sum()))
        return _keypoints(video, np.array(times), choose(candidates))

    def _track(self, video: Video, start: float, end: float | None, progress: Progress
               ) -> tuple[list[float], list[Candidate | None], dict[int, Candidate | None]]:
        times: list[float] = []
        tracked: list[Candidate | None] = []
        checks: dict[int, Candidate | None] = {}
        pending: deque[tuple[Future, Future | None]] = deque()
        expected = max(video.frame_count if end is None else round((end - start) * video.fps), 1)

        def collect() -> None:
            found, fresh = pending.popleft()
            tracked.append(found.result())
            if fresh is not None:
                checks[len(tracked) - 1] = fresh.result()
            if len(tracked) % 10 == 0:
                progress("detect", min(len(tracked), expected), expected)

        with _Network(tracking=True) as tracker, _Network(tracking=False) as checker, \
                ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
            for frame in frames(video, start, end):
                fresh = None
                if frame.index % self.check_every == 0:
                    fresh = second.submit(_detect, checker, frame.rgb, _CHECK)
                pending.append((first.submit(_detect, tracker, frame.rgb, _UPRIGHT), fresh))
                times.append(frame.time_s)
                if len(pending) >= _IN_FLIGHT:
                    collect()
            while pending:
                collect()
        return times, tracked, checks


def _detect_afresh(video: Video, times: list[float], doubt: np.ndarray) -> Iterator[tuple[int, list[Candidate]]]:
    """Yield (index, detections) of the doubtful pictures, each found anew in every view."""
    if not doubt.any():
        return
    edges = np.flatnonzero(np.diff(np.concatenate([[False], doubt, [False]]).astype(int)))
    with _Network(tracking=False) as one, _Network(tracking=False) as two, \
            ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        for begin, stop in zip(edges[::2], edges[1::2], strict=True):
            for frame in frames(video, times[begin], times[stop - 1]):
                jobs = [pool.submit(_detect, network, frame.rgb, view) for view, (pool, network) in
                        zip(_AFRESH, [(first, one), (second, two)] * 2, strict=True)]
                results = [job.result() for job in jobs]
                yield int(begin) + frame.index, [found for found in results if found is not None]


def _detect(network: _Network, rgb: np.ndarray, view: View) -> Candidate | None:
    """Run the network on the picture seen as `view` and turn the result back."""
    height, width = rgb.shape[:2]
    seen = rgb[::-1, ::-1] if view.upside_down else rgb
    seen = seen[:, ::-1] if view.mirrored else seen
    result = network(np.ascontiguousarray(seen))
    if result.pose_landmarks is None or result.pose_world_landmarks is None:
        return None
    flat = np.array([(p.x * width, p.y * height, p.visibility) for p in result.pose_landmarks.landmark])
    xyz = np.array([(p.x, p.y, p.z) for p in result.pose_world_landmarks.landmark])
    xy, visibility = flat[:, :2], flat[:, 2]
    if view.mirrored:
        xy, xyz, visibility = xy[_MIRROR], xyz[_MIRROR], visibility[_MIRROR]
        xy, xyz = xy * [-1, 1] + [width, 0], xyz * [-1, 1, 1]
    if view.upside_down:
        xy, xyz = xy * -1 + [width, height], xyz * [-1, -1, 1]
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

    def __call__(self, rgb: np.ndarray):
        if self._warm:
            return self._pose.process(rgb)
        with _silent():
            result = self._pose.process(rgb)
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
