"""Keypoints: what an estimator sees of one person, before any body model."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from retarget.whole import written_whole

from ..errors import SfvError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Keypoints:
    """One person's landmarks over T pictures; rows where nobody was found hold zeros."""

    names: tuple[str, ...]
    """Landmark names, length K."""
    xy: np.ndarray
    """Places in the upright picture in px, shape (T, K, 2)."""
    xyz: np.ndarray | None
    """Places relative to the middle of the hips in m, camera axes (x right, y down, z forward), (T, K, 3)."""
    confidence: np.ndarray
    """How far each landmark is to be trusted, 0 to 1, shape (T, K)."""
    times: np.ndarray
    """True time of each picture in s from the start of the video, shape (T,)."""
    detected: np.ndarray
    """Whether the person was found in the picture, shape (T,) bool."""
    size: tuple[int, int]
    """Width and height of the upright picture in px."""
    person: int = 0
    """Number of the person in the video."""
    identity: np.ndarray | None = None
    """How sure it is that this is the same person all along, 0 to 1, shape (T,); None where nobody judged it."""
    others: np.ndarray | None = None
    """Boxes around the other people in px, x0, y0, x1, y1, all 0 where one is unseen, (T, P, 4); None if unknown."""

    def __post_init__(self) -> None:
        frames, count = len(self.times), len(self.names)
        shapes = {"xy": (frames, count, 2), "xyz": (frames, count, 3), "confidence": (frames, count),
                  "detected": (frames,), "identity": (frames,)}
        if self.others is not None:
            shapes["others"] = (frames, *self.others.shape[1:2], 4)
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise SfvError(f"Keypoints: {name} has the shape {array.shape}; {frames} frames of {count} landmarks "
                               f"need {shape}.")
            if array is not None and not np.all(np.isfinite(array)):
                raise SfvError(f"Keypoints: {name} holds values that are not numbers (NaN or infinity).")

    def __len__(self) -> int:
        return len(self.times)

    @property
    def fps(self) -> float:
        """Average frame rate of the pictures."""
        span = float(self.times[-1] - self.times[0])
        return (len(self) - 1) / span if span > 0 else 30.0

    def person_size(self) -> np.ndarray:
        """Return how long 1.7 m at the person's distance is in px, per frame, whatever the pose. (T,).

        Taken from the spread of the landmarks in px against their spread in m, so foreshortening cancels out.
        """
        assert self.xyz is not None
        spread = self.xyz[..., :2].std(axis=1).mean(axis=-1)
        return 1.7 * self.xy.std(axis=1).mean(axis=-1) / np.maximum(spread, 1e-3)

    def at(self, times: np.ndarray) -> Keypoints:
        """Interpolate at even times in s (N,); far from any picture with the person nothing counts as found."""
        if not self.detected.any():
            raise SfvError("There is nobody in these keypoints.")
        good = np.flatnonzero(self.detected)
        step = float(np.median(np.diff(self.times))) if len(self) > 1 else 1.0
        after = np.clip(np.searchsorted(self.times[good], times), 1, max(len(good) - 1, 1))
        around = self.times[good][np.stack([after - 1, np.minimum(after, len(good) - 1)])]
        detected = np.abs(around - times).min(axis=0) < 0.75 * step

        def mix(a: np.ndarray) -> np.ndarray:
            flat = a[good].reshape(len(good), -1)
            columns = [np.interp(times, self.times[good], column) for column in flat.T]
            return np.stack(columns, axis=1).reshape(len(times), *a.shape[1:])

        return replace(self, xy=mix(self.xy), xyz=None if self.xyz is None else mix(self.xyz),
                       confidence=mix(self.confidence) * detected[:, None], times=np.asarray(times), detected=detected,
                       identity=None if self.identity is None else mix(self.identity) * detected, others=None)

    def save(self, path: Path | str) -> None:
        """Write an npz without pickles, whole or not at all."""
        arrays = {"format": np.array(FORMAT_VERSION), "names": np.array(self.names, dtype=np.str_),
                  "xy": self.xy.astype(np.float32), "confidence": self.confidence.astype(np.float32),
                  "times": self.times, "detected": self.detected, "size": np.array(self.size),
                  "person": np.array(self.person)}
        if self.xyz is not None:
            arrays["xyz"] = self.xyz.astype(np.float32)
        if self.identity is not None:
            arrays["identity"] = self.identity.astype(np.float32)
        if self.others is not None:
            arrays["others"] = self.others.astype(np.float32)
        with written_whole(Path(path)) as temporary:
            np.savez_compressed(temporary, **arrays)

    @classmethod
    def load(cls, path: Path | str) -> Keypoints:
        """Read what `save` wrote; pickles are refused. Raise SfvError that names the file."""
        path = Path(path)
        if not path.is_file():
            raise SfvError(f"No keypoints file '{path}'. Give the keypoints.npz that a capture wrote.")
        try:
            with np.load(path, allow_pickle=False) as data:
                arrays = {key: data[key] for key in data.files}
            if int(arrays["format"]) != FORMAT_VERSION:
                raise ValueError(f"format {int(arrays['format'])}, this version reads {FORMAT_VERSION}")
            xyz = arrays["xyz"].astype(float) if "xyz" in arrays else None
            identity = arrays["identity"].astype(float) if "identity" in arrays else None
            width, height = (int(n) for n in arrays["size"])
            return cls(tuple(arrays["names"].tolist()), arrays["xy"].astype(float), xyz,
                       arrays["confidence"].astype(float), arrays["times"].astype(float),
                       arrays["detected"].astype(bool), (width, height), int(arrays["person"]),
                       identity, arrays["others"].astype(float) if "others" in arrays else None)
        except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, SfvError) as error:
            raise SfvError(f"'{path}' is not a keypoints file: {error}. Give the keypoints.npz that a capture wrote."
                           ) from error
