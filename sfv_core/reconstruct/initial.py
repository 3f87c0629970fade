"""Where the fit starts: joint rotations by analytic inverse kinematics, distance by linear least squares."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter1d, median_filter

from retarget import rotation
from retarget.kinematics import rest_pose
from retarget.motion import Skeleton

from .landmarks import JOINTS, NAMES, OFFSETS, Observations

_SPINE = ("spine1", "spine2", "spine3")
_NECK = ("neck", "head")


def smoothed(observations: Observations) -> Observations:
    """Take out single outliers (median of 5) and tremble (Gaussian of 1.5 frames)."""
    def smooth(a: np.ndarray) -> np.ndarray:
        return gaussian_filter1d(median_filter(a, size=(5, 1, 1), mode="nearest"), 1.5, axis=0, mode="nearest")

    assert observations.xyz is not None
    return replace(observations, xy=smooth(observations.xy), xyz=smooth(observations.xyz))


def initial_rotations(skeleton: Skeleton, xyz: np.ndarray) -> np.ndarray:
    """Return local rotations (T, J, 4) whose limbs point along the landmarks (T, L, 3); any axes."""
    p_rest, _ = rest_pose(skeleton)
    rest = p_rest[JOINTS] + OFFSETS
    local = np.tile(rotation.IDENTITY, (len(xyz), len(skeleton), 1))

    def seen(name: str) -> np.ndarray:
        return xyz[:, NAMES.index(name)]

    def resting(name: str) -> np.ndarray:
        return rest[NAMES.index(name)]

    def aligned(names: tuple[str, ...], middle: tuple[str, str]) -> np.ndarray:
        points = [seen(name) for name in names] + [(seen(middle[0]) + seen(middle[1])) / 2]
        model = [resting(name) for name in names] + [(resting(middle[0]) + resting(middle[1])) / 2]
        return best_rotation(np.stack(model), np.stack(points, axis=1))

    q_pelvis = aligned(("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"))
    q_chest = aligned(("left_shoulder", "right_shoulder"), ("left_hip", "right_hip"))
    q_head = aligned(("nose", "left_ear", "right_ear"), ("left_shoulder", "right_shoulder"))
    local[:, skeleton.root] = q_pelvis
    _share(skeleton, local, _SPINE, q_pelvis, q_chest)
    _share(skeleton, local, _NECK, q_chest, q_head)
    for side in ("left", "right"):
        for chain, q_parent in (((f"{side}_hip", f"{side}_knee", f"{side}_ankle"), q_pelvis),
                                ((f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist"), q_chest)):
            q_end = _point_chain(skeleton, local, p_rest, chain, q_parent, seen)
            if chain[-1].endswith("ankle"):
                foot = seen(f"{side}_foot_index") - seen(f"{side}_heel")
                model = resting(f"{side}_foot_index") - resting(f"{side}_heel")
                local[:, skeleton.index(chain[-1])] = rotation.between(
                    model, rotation.rotate(rotation.inverse(q_end), foot))
    return local


def best_rotation(model: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the rotation (T, 4) that brings the model (K, 3) closest to the points (T, K, 3), both centred. Kabsch."""
    a = model - model.mean(axis=0)
    b = points - points.mean(axis=1, keepdims=True)
    u, _, vt = np.linalg.svd(np.einsum("tki,kj->tij", b, a))
    flip = np.ones((len(points), 3))
    flip[:, 2] = np.sign(np.linalg.det(u @ vt))
    return rotation.from_matrix(np.einsum("tij,tj,tjk->tik", u, flip, vt))


def distances(xy: np.ndarray, xyz: np.ndarray, weight: np.ndarray, focal: float, centre: np.ndarray) -> np.ndarray:
    """Return the place of the hips in camera axes that explains xy (T, L, 2) by xyz (T, L, 3) best. (T, 3) m.

    Each landmark gives two linear equations, u · (z + Z) = x + X with u = (xy − centre) / focal; least squares.
    """
    u = (xy - centre) / focal
    w = np.sqrt(np.maximum(weight, 0.05))[..., None, None]
    rows = np.zeros((*xy.shape, 3))
    rows[..., 0, 0] = rows[..., 1, 1] = 1.0
    rows[..., 2] = -u
    right = u * xyz[..., 2:] - xyz[..., :2]
    a = (rows * w).reshape(len(xy), -1, 3)
    b = (right[..., None] * w).reshape(len(xy), -1, 1)
    solved = np.linalg.solve(np.einsum("tni,tnj->tij", a, a) + 1e-9 * np.eye(3), np.einsum("tni,tnj->tij", a, b))
    place = solved[..., 0]
    return np.concatenate([place[:, :2], np.maximum(place[:, 2:], 0.5)], axis=1)


def _share(skeleton: Skeleton, local: np.ndarray, names: tuple[str, ...], q_from: np.ndarray, q_to: np.ndarray) -> None:
    """Spread the turn from one world rotation to another evenly over joints."""
    turn = rotation.to_rotvec(rotation.multiply(rotation.inverse(q_from), q_to)) / len(names)
    for name in names:
        local[:, skeleton.index(name)] = rotation.from_rotvec(turn)


def _point_chain(skeleton: Skeleton, local: np.ndarray, p_rest: np.ndarray, chain: tuple[str, ...],
                 q_parent: np.ndarray, seen) -> np.ndarray:
    """Swing each bone of a limb along its landmarks; return the world rotation (T, 4) of the last bone."""
    q_world = q_parent
    for name, child in pairwise(chain):
        joint = skeleton.index(name)
        bone = p_rest[skeleton.index(child)] - p_rest[joint]
        direction = rotation.rotate(rotation.inverse(q_world), seen(child) - seen(name))
        local[:, joint] = rotation.between(bone, direction)
        q_world = rotation.multiply(q_world, local[:, joint])
    return q_world
