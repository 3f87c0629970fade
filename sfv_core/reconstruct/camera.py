"""The camera: where it stands and how it projects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retarget import rotation
from retarget.whole import written_whole

from ..errors import SfvError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that stays in its place; its own axes are OpenCV's: x right, y down, z forward."""

    focal: float
    """Focal length in px."""
    centre: np.ndarray
    """Where the optical axis meets the picture in px, shape (2,)."""
    size: tuple[int, int]
    """Width and height of the picture in px."""
    rotation: np.ndarray
    """q_world_camera: turns the camera's axes into the world's, shape (4,) wxyz."""
    position: np.ndarray
    """Place in the world in m, shape (3,)."""
    turns: np.ndarray | None = None
    """R_frame_reference of each of the motion's frames, (T, 3, 3): a camera that turns; None for one that stands."""

    def turns_at(self, frames: np.ndarray) -> np.ndarray | None:
        """Interpolate the turns at any places between frames, (N,) → (N, 3, 3); None for a still camera."""
        if self.turns is None:
            return None
        q = rotation.continuous(rotation.from_matrix(self.turns))
        mixed = np.stack([np.interp(frames, np.arange(len(q)), column) for column in q.T], axis=-1)
        return rotation.to_matrix(rotation.normalize(mixed))

    def to_camera(self, p_world: np.ndarray, turns: np.ndarray | None = None) -> np.ndarray:
        """Express world points in camera axes, in m. (..., 3) → (..., 3).

        turns: R_frame_reference (T, 3, 3) of a camera that turns while it films; the points are then (T, n, 3).
        """
        p_camera = rotation.rotate(rotation.inverse(self.rotation), np.asarray(p_world) - self.position)
        return p_camera if turns is None else np.einsum("tij,tnj->tni", turns, p_camera)

    def project(self, p_world: np.ndarray, turns: np.ndarray | None = None) -> np.ndarray:
        """Return where world points appear in the picture in px, turns as in `to_camera`. (..., 3) → (..., 2)."""
        p_camera = self.to_camera(p_world, turns)
        return p_camera[..., :2] / np.maximum(p_camera[..., 2:], 1e-3) * self.focal + self.centre

    def save(self, path: Path | str) -> None:
        """Write JSON, whole or not at all; its rotation is the matrix that takes the world's axes to the camera's."""
        width, height = self.size
        data = {"format": FORMAT_VERSION, "width": width, "height": height, "focal_px": float(self.focal),
                "centre_px": np.asarray(self.centre, float).tolist(),
                "rotation": rotation.to_matrix(rotation.inverse(self.rotation)).tolist(),
                "position": np.asarray(self.position, float).tolist()}
        if self.turns is not None:
            data["turns"] = np.round(rotation.continuous(rotation.from_matrix(self.turns)), 7).tolist()
        with written_whole(Path(path)) as temporary:
            temporary.write_text(json.dumps(data, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path | str) -> Camera:
        """Read what `save` wrote; raise SfvError that names the file."""
        path = Path(path)
        if not path.is_file():
            raise SfvError(f"No camera file '{path}'. Give the camera.json that a capture wrote.")
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT_VERSION:
                raise ValueError(f"format {data['format']}, this version reads {FORMAT_VERSION}")
            centre, matrix, position = (np.array(data[key], float) for key in ("centre_px", "rotation", "position"))
            if (centre.shape, matrix.shape, position.shape) != ((2,), (3, 3), (3,)):
                raise ValueError("its centre, rotation or position has the wrong number of values")
            if not (np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-4) and np.linalg.det(matrix) > 0):
                raise ValueError("its rotation is not a rotation matrix")
            focal, size = float(data["focal_px"]), (int(data["width"]), int(data["height"]))
            if not (np.all(np.isfinite([*centre, *position])) and np.isfinite(focal) and focal > 0 and min(size) > 0):
                raise ValueError("its numbers are not a camera's")
            return cls(focal, centre, size, rotation.inverse(rotation.from_matrix(matrix)), position,
                       _turns(data["turns"]) if "turns" in data else None)
        except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else error
            raise SfvError(f"'{path}' is not a camera file: {reason}. Give the camera.json that a capture wrote."
                           ) from error


def _turns(data: object) -> np.ndarray:
    """Return rotation matrices (T, 3, 3) of quaternions (T, 4) wxyz; raise ValueError."""
    q = np.array(data, float)
    if q.ndim != 2 or q.shape[1] != 4 or not len(q) or not np.allclose(np.linalg.norm(q, axis=1), 1.0, atol=1e-3):
        raise ValueError("its turns are not quaternions")
    return rotation.to_matrix(rotation.normalize(q))


def guess_focal(size: tuple[int, int]) -> float:
    """Guess the focal length as the picture's diagonal, in px; the fit tolerates 40 % either way."""
    return float(np.hypot(*size))
