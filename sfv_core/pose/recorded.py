"""Keypoints that another program recorded, as an estimator: the video gives times and size, the file the person."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import SfvError
from ..progress import Progress
from ..video import Video, picture_times
from .completion import bridged, completed, lacking
from .formats.alphapose import read_alphapose
from .formats.arrays import read_arrays, read_both
from .formats.openpose import read_folder
from .formats.recording import Recording, Sighting
from .keypoints import Keypoints
from .linking import people, prominence

_MIN_SEEN = 5
_OUTSIDE = 0.25
"""Share of the points outside the picture from which the file is taken for another video's."""
_TOO_LONG = (0.1, 12)
"""Share and number of the recording's pictures behind the video's end from which it is taken for another video's."""
_MADE_UP_DISTANCE = 4.0
"""Metres between a recording of 3D alone and the camera that is made up for it."""


@dataclass(frozen=True)
class RecordedEstimator:
    """Read one person's keypoints from a file or folder instead of looking at the pictures."""

    path: Path
    """keypoints.npz, OpenPose's folder, AlphaPose's JSON, or arrays; docs/protocol.md lists them."""
    offset: int = 0
    """Number of the video's picture that the recording's picture 0 belongs to."""
    person: int | None = None
    """The file's own number of the person, or the place by prominence; the most prominent if not given."""

    @cached_property
    def content(self) -> Recording | Keypoints:
        """What the file holds."""
        return read(self.path)

    def report(self) -> dict[str, Any]:
        """Return what the report says about where the keypoints come from."""
        if isinstance(self.content, Keypoints):
            return {"name": "recorded", "format": "keypoints.npz", "file": self.path.name,
                    "landmarks_missing": lacking(self.content.names)}
        return {"name": "recorded", "format": self.content.format, "file": self.path.name,
                "landmarks_missing": lacking(self.content.names), "offset": self.offset}

    def __call__(self, video: Video, start: float, end: float | None, progress: Progress) -> Keypoints:
        """Return the landmarks of one person; report as stage "detect". Raise SfvError that names the file."""
        recorded = self.content
        times = picture_times(video, 0.0, end)
        progress("detect", len(times), len(times))
        if isinstance(recorded, Keypoints):
            keypoints = _resampled(recorded, self.path, video, times)
        else:
            keypoints = self._of_recording(recorded, video, times)
        rows = times >= start - 1e-6
        keypoints = replace(keypoints, xy=keypoints.xy[rows], confidence=keypoints.confidence[rows],
                            xyz=None if keypoints.xyz is None else keypoints.xyz[rows], times=times[rows],
                            detected=keypoints.detected[rows])
        self._check_seen(int(keypoints.detected.sum()), int(rows.sum()))
        return keypoints

    def _check_seen(self, seen: int, pictures: int) -> None:
        if seen < _MIN_SEEN:
            raise SfvError(f"'{self.path}' has the person in only {seen} of {pictures} pictures of the span; at least "
                           f"{_MIN_SEEN} are needed. Choose another span or offset.")

    def _of_recording(self, recording: Recording, video: Video, times: np.ndarray) -> Keypoints:
        """Choose the person and put the sightings on the video's pictures."""
        _check_length(recording, self.path, video, times, self.offset)
        known = people(recording.sightings)
        person = max(known, key=lambda number: prominence(known[number])) if self.person is None else self.person
        if person not in known:
            raise SfvError(f"There is no person {person} in '{self.path}'. It has "
                           f"{', '.join(str(number) for number in sorted(known)[:20])}.")
        chain = [one for one in known[person] if 0 <= one.picture + self.offset < len(times)]
        self._check_seen(len(chain), len(times))
        return _keypoints(recording, chain, person, self.path, video, times, self.offset)


def read(path: Path) -> Recording | Keypoints:
    """Recognise the kind of file and read it; raise SfvError that names it."""
    path = Path(path)
    if path.is_dir():
        return read_both(path) or read_folder(path)
    if not path.is_file():
        raise SfvError(f"There are no keypoints '{path}'. Check the path.")
    suffix = path.suffix.lower()
    if suffix == ".json":
        return read_alphapose(path) if path.read_bytes()[:64].lstrip().startswith(b"[") else read_arrays(path)
    if suffix == ".npz" and _is_ours(path):
        return Keypoints.load(path)
    if suffix in (".npz", ".npy", ".pt", ".pth"):
        return read_arrays(path)
    if suffix in (".pkl", ".pickle", ".joblib"):
        raise SfvError(f"'{path}' is a pickle, which may run code when it is read. Save its keypoints as .npz with "
                       "names, xy and confidence (docs/protocol.md).")
    raise SfvError(f"'{path}' is no kind of keypoints file that is known: .npz, .npy, .pt, .json or OpenPose's folder.")


def _is_ours(path: Path) -> bool:
    try:
        with np.load(path, allow_pickle=False) as data:
            return "format" in data.files and "detected" in data.files
    except (OSError, ValueError, EOFError):
        return False
    except Exception as error:  # zipfile and zlib have many kinds
        raise SfvError(f"'{path}' is not an .npz that can be read ({error}). Copy or export it again.") from error


def _keypoints(recording: Recording, chain: list[Sighting], person: int, path: Path, video: Video, times: np.ndarray,
               offset: int) -> Keypoints:
    count = len(recording.names)
    rows = np.array([one.picture + offset for one in chain], int)
    detected = np.zeros(len(times), bool)
    detected[rows] = True
    confidence = np.zeros((len(times), count))
    xy, xyz = np.zeros((len(times), count, 2)), np.zeros((len(times), count, 3))
    for row, one in zip(rows, chain, strict=True):
        confidence[row] = one.confidence
        if one.xyz is not None:
            xyz[row] = one.xyz
        xy[row] = _made_up_picture(one, video) if one.xy is None else one.xy
    deep = any(one.xyz is not None for one in chain)
    xy = _in_px(xy, confidence, recording, path, video)
    xy = bridged(xy, confidence, times)
    names, xy, deep_xyz, confidence = completed(recording.names, xy, xyz if deep else None, confidence)
    return Keypoints(names, xy, deep_xyz, confidence, times, detected, (video.width, video.height), person)


def _made_up_picture(one: Sighting, video: Video) -> np.ndarray:
    """Show 3D alone to a level camera in front of the person. → (K, 2) px."""
    assert one.xyz is not None
    focal = float(np.hypot(video.width, video.height))
    return (one.xyz[:, :2] / np.maximum(one.xyz[:, 2:] + _MADE_UP_DISTANCE, 0.5) * focal
            + np.array([video.width, video.height]) / 2)


def _in_px(xy: np.ndarray, confidence: np.ndarray, recording: Recording, path: Path, video: Video) -> np.ndarray:
    """Bring places into the video's px; raise SfvError where they belong to pictures of another shape."""
    seen = xy[confidence > 0]
    size = np.array([video.width, video.height], float)
    if recording.size is not None and recording.size != (video.width, video.height):
        ratio = size / np.array(recording.size)
        if abs(ratio[0] / ratio[1] - 1) > 0.02:
            raise SfvError(f"'{path}' was made from pictures of {recording.size[0]} × {recording.size[1]} px, but the "
                           f"video has {video.width} × {video.height}. Give the video it was made from.")
        return xy * ratio
    if recording.size is None and len(seen) and np.abs(seen).max() <= 2.0:  # OpenPose's --keypoint_scale 3 and 4
        return (xy + 1) / 2 * size if np.percentile(seen, 5) < 0 else xy * size
    outside = np.any((seen < -0.1 * size) | (seen > 1.1 * size), axis=-1).mean() if len(seen) else 0.0
    if outside > _OUTSIDE:
        most = np.percentile(seen, 99, axis=0)
        raise SfvError(f"'{path}' has points as far as {most[0]:.0f}, {most[1]:.0f} px, but the video has "
                       f"{video.width} × {video.height}. Give the video it was made from, at its own size.")
    return xy


def _check_length(recording: Recording, path: Path, video: Video, times: np.ndarray, offset: int) -> None:
    """Raise SfvError where the recording is clearly longer than the video."""
    beyond = len({one.picture for one in recording.sightings if one.picture + offset >= len(times)})
    whole = bool(video.duration) and times[-1] > video.duration - 1.0
    if whole and beyond > max(_TOO_LONG[0] * recording.pictures, _TOO_LONG[1]):
        raise SfvError(f"'{path}' goes on for {beyond} pictures after the video's end ({recording.pictures} pictures, "
                       f"offset {offset}; the video has {len(times)}). Give the video it was made from; some programs "
                       "change its frame rate first.")


def _resampled(keypoints: Keypoints, path: Path, video: Video, times: np.ndarray) -> Keypoints:
    """Put a capture's own file on the video's pictures, by their times."""
    if keypoints.size != (video.width, video.height):
        raise SfvError(f"'{path}' was made from pictures of {keypoints.size[0]} × {keypoints.size[1]} px, but the "
                       f"video has {video.width} × {video.height}. Give the video it was made from.")
    if not keypoints.detected.any():
        raise SfvError(f"There is nobody in '{path}'. Give another file.")
    even = keypoints.at(times)
    names, xy, xyz, confidence = completed(even.names, even.xy, even.xyz, even.confidence)
    return replace(even, names=names, xy=xy, xyz=xyz, confidence=confidence)
