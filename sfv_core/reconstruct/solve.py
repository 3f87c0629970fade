"""Keypoints become a Motion: SFV's trajectory reconstruction in rotation space, in two passes.

The world of the result: the ground is z = 0, the origin lies under the pelvis of the first frame, and the camera
looks along +Y (tilted up or down as it stood), so a person who faces the camera faces −Y.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from retarget import rotation
from retarget.motion import Motion, Skeleton

from ..body.model import SMPL_NAMES
from ..errors import SfvError
from ..pose.keypoints import Keypoints
from ..pose.swap import repair
from ..progress import Progress
from ..threads import one_thread
from . import fit, landmarks
from .camera import Camera, guess_focal
from .contact import find_contacts
from .ground import Ground, find_ground
from .initial import distances, initial_rotations, smoothed
from .landmarks import Observations, observe
from .latent import LatentPoses
from .lock import Points, lock_feet
from .pose_model import Posed, PoseModel, Track, six_from_matrices

_TORSO = [landmarks.NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("hip", "shoulder")]
_MIN_FRAMES = 5


@dataclass(frozen=True)
class Reconstruction:
    """What was made of the keypoints, and how well it explains them."""

    motion: Motion
    camera: Camera
    start: float
    """Time of the motion's first frame in s from the start of the video."""
    observations: Observations
    """The detections on the motion's frames, after the repair of swapped sides."""
    projected: np.ndarray
    """Where the fitted body's landmarks appear in px, shape (T, L, 2)."""
    places: np.ndarray
    """The fitted body's landmarks in the world in m, (T, L, 3); heels and toes are its own, not the estimator's."""
    trust: np.ndarray
    """Agreement of the 3D estimate with the 2D detections, 0 to 1, shape (T,). SFV eq. 5."""
    swaps: int
    """How many times legs or arms were swapped back."""

    @property
    def residual(self) -> np.ndarray:
        """Distance from detected to fitted landmarks in px, by confidence, per frame; 0 without detection. (T,)."""
        error = np.linalg.norm(self.projected - self.observations.xy, axis=-1)
        weight = self.observations.weight
        return (weight * error).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)


Lift = Callable[[Observations, float, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Makes 3D of observations, focal length (px) and centre (2,): `xyz` and its `spread`, (T, L, 3) m each."""


def reconstruct(keypoints: Keypoints, skeleton: Skeleton, progress: Progress, focal: float | None = None,
                iterations: int = 200, lift: Lift | None = None, turns: np.ndarray | None = None,
                latent: LatentPoses | None = None) -> Reconstruction:
    """Fit the body of SMPL's 24 joints to the keypoints; report as stage "reconstruct".

    The motion's frames are evenly spaced at the video's average frame rate, from the first to the last sight of the
    person; gaps between are bridged by the smoothness terms and have confidence 0. lift: replaces the keypoints' 3D,
    or makes it where they have none. turns: R_frame_reference of each picture (K, 3, 3) where the camera turns; the
    motion is then in the world of the reference camera. focal: in px; where it is not given and the camera stands
    still, the fit adjusts the picture's diagonal.
    """
    if skeleton.names != SMPL_NAMES:
        raise SfvError("The reconstruction needs the skeleton of SMPL's 24 joints.")
    keypoints, swaps = repair(keypoints)
    observations, start = observe(keypoints, turns)
    if len(observations) < _MIN_FRAMES:
        raise SfvError(f"The person is seen in only {len(observations)} frames; at least {_MIN_FRAMES} are needed.")
    focal_known = focal is not None or observations.turns is not None
    focal = focal or guess_focal(keypoints.size)
    centre = np.array(keypoints.size, float) / 2
    observations = landmarks.without_turns(observations, focal, centre)
    if lift is not None:
        xyz, spread = lift(observations, focal, centre)
        observations = replace(observations, xyz=xyz, spread=spread)
    if observations.xyz is None:
        raise SfvError("These keypoints have no 3D landmarks and nothing lifts them; use another estimator.")
    counter = _Counter(progress, fit.steps_needed(len(observations), iterations))
    model = PoseModel(skeleton, latent)
    with one_thread():
        track, trust = _initial(skeleton, observations, focal, centre)
        track = track if latent is None else latent.encode(track)
        what = fit.seen(observations, trust, focal, centre, focal_known)
        track, shape = fit.first_pass(model, track, what, iterations, counter)
        with torch.no_grad():
            posed = model(track, shape)
        ground, contact = find_ground(_array(posed.touching), _array(posed.joints), observations)
        track, shape, ground = fit.second_pass(model, track, shape, what, ground, contact, iterations, counter)
    with torch.no_grad():
        posed = model(track, shape)
        fitted = Skeleton(skeleton.names, skeleton.parents, model.bone_offsets(shape).numpy(),
                          skeleton.rest_rotations, skeleton.root)
    focal *= float(torch.exp(shape.log_focal))
    points = Points(model.landmark_offsets(shape).numpy().astype(float))
    return _in_world(fitted, posed, ground, points, observations, focal, keypoints.size, start, trust, swaps)


class _Counter:
    """Count the optimiser's steps and report every tenth."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def __call__(self) -> None:
        self._done += 1
        if self._done % 10 == 0 or self._done == self._total:
            self._progress("reconstruct", self._done, self._total)


def _initial(skeleton: Skeleton, observations: Observations, focal: float, centre: np.ndarray
             ) -> tuple[Track, np.ndarray]:
    """Return where the fit starts and the trust in each frame's 3D estimate: exp(−(error / largest error)²)."""
    calm = smoothed(observations)
    assert calm.xyz is not None
    xyz = calm.reference_xyz()
    hips = distances(calm.xy, calm.xyz, observations.weight, focal, centre)
    place = calm.xyz + hips[:, None]
    projected = place[..., :2] / np.maximum(place[..., 2:], 0.3) * focal + centre
    error = np.linalg.norm(projected - observations.xy, axis=-1) * observations.weight
    error = error.sum(axis=1) / np.maximum(observations.weight.sum(axis=1), 1e-9) / observations.size
    trust = np.exp(-((error / max(error.max(), 0.05)) ** 2))
    if observations.turns is not None:
        hips = np.einsum("tji,tj->ti", observations.turns, hips)
    matrices = torch.tensor(rotation.to_matrix(initial_rotations(skeleton, xyz)), dtype=torch.float32)
    still = torch.tensor(_steady(hips, observations.fps), dtype=torch.float32)
    return Track(six_from_matrices(matrices), still), trust


def _steady(hips: np.ndarray, fps: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(hips, 0.1 * fps, axis=0, mode="nearest")


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.numpy().astype(float)


def _in_world(skeleton: Skeleton, posed: Posed, ground: Ground, points: Points, observations: Observations,
              focal: float, size: tuple[int, int], start: float, trust: np.ndarray, swaps: int) -> Reconstruction:
    """Turn camera axes into the world, z up from the ground and the camera looking along +Y, and hold the feet."""
    q_world_camera, position = _camera_pose(ground, _array(posed.joints[0, skeleton.root]))
    camera = Camera(focal, np.array(size, float) / 2, size, q_world_camera, position, observations.turns)
    local = rotation.from_matrix(posed.rotations.numpy())
    local[:, skeleton.root] = rotation.multiply(q_world_camera, local[:, skeleton.root])
    root_pos = rotation.rotate(q_world_camera, _array(posed.joints[:, skeleton.root])) + position
    motion = Motion(skeleton, observations.fps, root_pos, rotation.continuous(local))
    seen, points = points, points.with_own_soles()
    touching = find_contacts(points.places(motion)[:, landmarks.CONTACTS], observations)
    motion = lock_feet(motion, points, touching[:, :4])
    aside = motion.root_pos[0] * [1.0, 1.0, 0.0]
    motion = replace(motion, root_pos=motion.root_pos - aside)
    camera = replace(camera, position=camera.position - aside)
    places = points.places(motion)
    projected = camera.project(seen.places(motion), observations.turns)
    contacts = np.zeros((len(local), len(skeleton)))
    contacts[:, landmarks.CONTACT_JOINTS] = touching
    motion = replace(motion, confidence=_confidence(observations, projected), contacts=contacts)
    return Reconstruction(motion, camera, start, observations, projected, places, trust, swaps)


def _camera_pose(ground: Ground, p_camera_pelvis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return q_world_camera (4,) and the camera's place (3,) such that the first pelvis stands above the origin."""
    z = ground.up
    y = np.array([0.0, 0.0, 1.0]) - z[2] * z
    y /= np.linalg.norm(y)
    m_world_camera = np.stack([np.cross(y, z), y, z])
    pelvis = m_world_camera @ p_camera_pelvis
    return rotation.from_matrix(m_world_camera), -np.array([pelvis[0], pelvis[1], ground.height])


def _confidence(observations: Observations, projected: np.ndarray) -> np.ndarray:
    """Return how far each joint is to be trusted: confidence of its landmarks times agreement in 2D. (T, 24)."""
    error = np.linalg.norm(projected - observations.xy, axis=-1) / observations.size[:, None]
    good = observations.weight * np.exp(-((error / 0.05) ** 2))
    out = np.repeat(good[:, _TORSO].mean(axis=1, keepdims=True), len(SMPL_NAMES), axis=1)
    for joint in np.unique(landmarks.JOINTS):
        out[:, joint] = good[:, np.flatnonzero(joint == landmarks.JOINTS)].mean(axis=1)
    for side in ("left", "right"):
        hand, finger = SMPL_NAMES.index(f"{side}_hand"), landmarks.NAMES.index(f"{side}_index")
        out[:, hand] = good[:, finger]
    return np.clip(out, 0.0, 1.0)
