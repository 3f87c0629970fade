"""The head's direction from a face seen close: a rigid fit of the person's own face shape to its landmarks.

The shape is the video's own: the mean of the network's 3D faces, made symmetric. Left and right follow from the pairs
of landmarks, up from chin to forehead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from retarget import rotation
from retarget.kinematics import world_poses
from retarget.motion import Motion

from ..pose.closeup import Closeup
from ..pose.face import MIDDLE, PAIRS
from .hand_fit import ray, spans

_FOREHEAD, _CHIN = 10, 152
_NECK = 0.4
"""Share of a correction that the neck takes."""
_AWAY = np.cos(np.radians([65.0, 55.0]))
"""Cosines of the angles from the way to the camera between which a face stops counting: the network takes a profile for
half of one."""
_CONTRADICTED = np.radians(60.0)
_CALM = 0.02
"""Standard deviation in s of the Gaussian that smooths the head's turn."""


@dataclass(frozen=True)
class FittedHead:
    """The head's direction on the motion's frames."""

    q_camera_head: np.ndarray
    """Turns the head's frame in a T-pose into the camera's axes, shape (T, 4)."""
    trust: np.ndarray
    """0 to 1, shape (T,)."""


def fit_head(face: Closeup, fps: float, focal: float, centre: np.ndarray, expected: np.ndarray) -> FittedHead:
    """Fit the face to its landmarks on the motion's frames.

    focal: px; centre: (2,) px of the optical axis; expected: q_camera_head from the body's fit, (T, 4); a face that
    contradicts it by more than 60° is not trusted, nor one that by either looks away from the camera.
    """
    seen = face.score > 0
    if not seen.any():
        return FittedHead(expected, np.zeros(len(expected)))
    turns = face_rotations(face.xyz, face.score)
    turns = rotation.multiply(ray(face.xy.mean(axis=1), focal, centre), turns)
    apart = rotation.angle(turns, expected)
    look = np.minimum(*(-rotation.rotate(q, np.array([0.0, -1.0, 0.0]))[:, 2] for q in (turns, expected)))
    facing = np.clip((look - _AWAY[0]) / (_AWAY[1] - _AWAY[0]), 0.0, 1.0)
    score = face.score * facing * (apart < _CONTRADICTED)
    return FittedHead(_smooth(turns, score, fps), spans(score, fps))


def face_rotations(points: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return q_camera_head (T, 4) of faces (T, P, 3) in camera axes; weight: (T,) for their mean shape."""
    points = points - points.mean(axis=1, keepdims=True)
    points = points / np.maximum(np.sqrt((points**2).sum(axis=(1, 2), keepdims=True)), 1e-9)
    turns = _axes(points)
    for _ in range(3):
        own = np.einsum("tij,tkj->tki", rotation.to_matrix(rotation.inverse(turns)), points)
        shape = _symmetric(np.average(own, axis=0, weights=weight))
        turns = _kabsch(shape, points)
    return turns


def turn_head(motion: Motion, head: FittedHead, q_world_camera: np.ndarray) -> Motion:
    """Turn neck and head to where the face looks, as far as it is trusted. q_world_camera: (4,) or (T, 4)."""
    _, world = world_poses(motion)
    neck, top = motion.skeleton.index("neck"), motion.skeleton.index("head")
    above = world[:, int(motion.skeleton.parents[neck])]
    seen = rotation.multiply(q_world_camera, head.q_camera_head)
    wanted = rotation.slerp(world[:, top], seen, head.trust)
    change = rotation.multiply(wanted, rotation.inverse(world[:, top]))
    q_world_neck = rotation.multiply(rotation.slerp(rotation.IDENTITY, change, np.full(len(motion), _NECK)),
                                     world[:, neck])
    local = motion.rotations.copy()
    local[:, neck] = rotation.multiply(rotation.inverse(above), q_world_neck)
    local[:, top] = rotation.multiply(rotation.inverse(q_world_neck), wanted)
    return replace(motion, rotations=rotation.continuous(local))


def _axes(points: np.ndarray) -> np.ndarray:
    """Return the head's frame from the pairs and the line from chin to forehead. (T, P, 3) → (T, 4)."""
    count = 2 * len(PAIRS)
    left = (points[:, 1:count:2] - points[:, 0:count:2]).sum(axis=1)
    left /= np.maximum(np.linalg.norm(left, axis=-1, keepdims=True), 1e-9)
    up = points[:, count + MIDDLE.index(_FOREHEAD)] - points[:, count + MIDDLE.index(_CHIN)]
    up -= np.sum(up * left, axis=-1, keepdims=True) * left
    up /= np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 1e-9)
    return rotation.from_matrix(np.stack([left, np.cross(up, left), up], axis=-1))


def _symmetric(shape: np.ndarray) -> np.ndarray:
    """Make a face (P, 3) in the head's frame the same on both sides, with forehead above chin."""
    count = 2 * len(PAIRS)
    out = shape.copy()
    right, left = shape[0:count:2], shape[1:count:2]
    mean = (left + right * [-1, 1, 1]) / 2
    out[1:count:2], out[0:count:2] = mean, mean * [-1, 1, 1]
    out[count:, 0] = 0.0
    return out - out.mean(axis=0)


def _kabsch(shape: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the rotation that lays the shape (P, 3) onto each face (T, P, 3), (T, 4)."""
    u, _, vt = np.linalg.svd(np.einsum("tki,kj->tij", points, shape))
    u[..., -1] *= np.linalg.det(u @ vt)[..., None]
    return rotation.from_matrix(u @ vt)


def _smooth(turns: np.ndarray, score: np.ndarray, fps: float) -> np.ndarray:
    """Smooth rotations (T, 4) a little; frames without one are bridged."""
    from scipy.ndimage import gaussian_filter1d

    good = np.flatnonzero(score > 0)
    if not len(good):
        return turns
    q = rotation.continuous(turns[good])
    flat = np.stack([np.interp(np.arange(len(turns)), good, column) for column in q.T], axis=1)
    return rotation.normalize(gaussian_filter1d(flat, max(_CALM * fps, 0.3), axis=0, mode="nearest"))
