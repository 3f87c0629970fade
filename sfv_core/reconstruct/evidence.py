"""What the picture says about a captured motion, for correcting it later: where landmarks should appear, how surely."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from retarget import rotation
from retarget.kinematics import world_poses
from retarget.motion import Motion

from ..pose.keypoints import Keypoints
from .camera import Camera
from .landmarks import JOINTS, MIRROR, NAMES, OFFSETS

_AGREES, _DIFFERS = 0.03, 0.06
"""Distance in person sizes up to which the captured body lies on a detection, and from which it does not."""
_ROBUST = 0.05
"""Distance in person sizes beyond which a detection counts as an outlier."""


@dataclass(frozen=True)
class Evidence:
    """Where the landmarks of N frames should appear."""

    camera: Camera
    """With the turns of these frames, if it turns."""
    xy: np.ndarray
    """Places in px, shape (N, L, 2)."""
    weight: np.ndarray
    """How surely, 0 to 1, shape (N, L)."""
    size: np.ndarray
    """Length of 1.7 m at the person's distance in px, shape (N,)."""

    def slice(self, start: int, stop: int) -> Evidence:
        """Return the frames from `start` up to, not including, `stop`."""
        camera = self.camera
        if camera.turns is not None:
            camera = replace(camera, turns=camera.turns[start:stop])
        return replace(self, camera=camera, xy=self.xy[start:stop], weight=self.weight[start:stop],
                       size=self.size[start:stop])

    def misses(self, landmarks: np.ndarray) -> np.ndarray:
        """Return how far landmarks in the world (N, L, 3) appear from their places, in person sizes, (N, L, 2)."""
        return (self.camera.project(landmarks, self.camera.turns) - self.xy) / self.size[:, None, None]


def robust(squared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Geman-McClure's cost of squared misses and the weight of the square that has the same slope."""
    share = _ROBUST**2 / (squared + _ROBUST**2)
    return squared * share, share**2


def gather(motion: Motion, camera: Camera, keypoints: Keypoints, start: float) -> Evidence:
    """Compare a motion with the detections. start: time of its first frame in s of the video.

    Where both agree, the captured body itself is the evidence: it is as true and does not tremble. Where they differ,
    it is the detection, less the landmark's usual offset, and only as sure as the detector was.
    """
    even = keypoints.at(start + np.arange(len(motion)) / motion.fps)
    there = [name in even.names for name in NAMES]
    columns = [even.names.index(name) if name in even.names else 0 for name in NAMES]
    weight = even.confidence[:, columns] * there
    places = landmark_places(motion)
    size = 1.7 * camera.focal / np.maximum(camera.to_camera(motion.root_pos[:, None], camera.turns)[:, 0, 2], 0.3)
    captured, detected = camera.project(places, camera.turns), even.xy[:, columns]
    offset = (detected - captured) / size[:, None, None]
    usual = _usual(offset, weight)
    offset = offset - usual
    crossed = (detected[:, MIRROR] - captured) / size[:, None, None] - usual
    apart = np.minimum(np.linalg.norm(offset, axis=-1), np.linalg.norm(crossed, axis=-1))
    trusted = np.clip((apart - _AGREES) / (_DIFFERS - _AGREES), 0.0, 1.0)[..., None]
    return Evidence(camera, captured + trusted * offset * size[:, None, None], weight, size)


def landmark_places(motion: Motion) -> np.ndarray:
    """Return the landmarks on the body of a motion with SMPL's joints, in the world in m, (T, L, 3)."""
    joints, world = world_poses(motion)
    return on_body(joints, world)


def on_body(joints: np.ndarray, world: np.ndarray) -> np.ndarray:
    """Return the landmarks (..., L, 3) of joints at places (..., J, 3) with rotations (..., J, 4)."""
    return joints[..., JOINTS, :] + rotation.rotate(world[..., JOINTS, :], OFFSETS)


def _usual(offset: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return each landmark's median offset over the frames in which it is seen, (L, 2)."""
    seen = np.where((weight > 0.5)[..., None], offset, np.nan)
    out = np.zeros(offset.shape[1:])
    for landmark in np.flatnonzero((weight > 0.5).sum(axis=0) >= 5):
        out[landmark] = np.nanmedian(seen[:, landmark], axis=0)
    return out
