"""Hold standing feet still on the ground: an anchor per contact, the root carried along, the legs bent to reach it.

Everything is in the world, z up, the ground at 0. A foot is two points, heel and toe; each of them is held where it
touches. Between contacts its correction fades with least bending, so that nothing jumps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solveh_banded
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from retarget import rotation
from retarget.kinematics import local_rotations, world_poses
from retarget.motion import Motion, Skeleton

from . import landmarks
from .contact import runs
from .legs import bend_leg, lowering, tip_foot

_SIDES = ("left", "right")
_HOLD = 1e8
"""Weight of staying at the anchor; the weight of staying where the fit had the foot is 1."""
_BENDING = 400.0
"""Weight of second differences of the foot's correction at 30 frames per second: it fades within about 5 frames."""
_STIFF = 10.0
"""Weight of heel and toe moving alike, so that a foot held at its toe alone keeps its roll."""
_ROOT_BENDING, _ROOT_STAY = 30.0, 0.1
"""Weights of second differences of the root's shift, and of no shift; following a standing ankle has weight 1."""
_ALONG_LEG, _SWINGING = 30.0, 0.3
"""How much more following along the leg counts than across it, and what a swinging leg counts."""
_SLIDES = 0.15
"""A contact whose point wanders farther than this in m is not one place; the anchor follows it slowly."""
_SLOWLY_S = 0.3
_HEEL_UP = 0.04
"""By how much one end of a standing foot may stay above the other in m; the fit knows a foot's pitch badly."""
_TUNED_FPS = 30.0
_KNEES_BEND = np.array([0.0, -1.0, 0.0])
_CLEARANCE = 0.004
"""Lowest height in m of a foot's points that do not stand."""


@dataclass(frozen=True)
class Points:
    """Where the landmarks sit on the fitted body."""

    offsets: np.ndarray
    """In the frames of their joints in m, shape (L, 3)."""

    def with_own_soles(self) -> Points:
        """Return the same points, but heels and toes where the body has them rather than where they were detected."""
        offsets = self.offsets.copy()
        offsets[list(landmarks.SOLES)] = landmarks.OFFSETS[list(landmarks.SOLES)]
        return Points(offsets)

    def places(self, motion: Motion) -> np.ndarray:
        """Return the landmarks in the world in m, shape (T, L, 3)."""
        joints, turns = world_poses(motion)
        return joints[:, landmarks.JOINTS] + rotation.rotate(turns[:, landmarks.JOINTS], self.offsets)


def lock_feet(motion: Motion, points: Points, touching: np.ndarray) -> Motion:
    """Return the motion with its feet held while they touch, and no landmark below the ground.

    touching: (T, 4) bool, left and right heel, left and right toe, as in `landmarks.CONTACTS`.
    """
    motion = _with_rigid_feet(motion)
    places = points.places(motion)
    feet = [places[:, [landmarks.CONTACTS[side], landmarks.CONTACTS[side + 2]]] for side in (0, 1)]
    held = [touching[:, [side, side + 2]] for side in (0, 1)]
    bending = (motion.fps / _TUNED_FPS) ** 4
    moved = [_corrections(p, h, motion.fps, bending) for p, h in zip(feet, held, strict=True)]
    targets = [_rigid(p, d, h, motion.fps) for p, d, h in zip(feet, moved, held, strict=True)]
    shift = _root_shift(motion, targets, held, bending)
    shift[:, 2] += _raised(places[:, _NOT_FEET, 2] + shift[:, None, 2], motion.fps)
    return _with_feet(motion, shift, targets, held)


def _with_rigid_feet(motion: Motion) -> Motion:
    """Give the toes their mean bend: what one camera tells of it is noise, and a foot must not change its length."""
    rotations = motion.rotations.copy()
    for side in _SIDES:
        toes = motion.skeleton.index(f"{side}_foot")
        rotations[:, toes] = rotation.normalize(rotation.continuous(rotations[:, toes]).mean(axis=0))
    return replace(motion, rotations=rotations)


def _corrections(foot: np.ndarray, held: np.ndarray, fps: float, bending: float) -> np.ndarray:
    """Return how far heel and toe (T, 2, 3) have to move, (T, 2, 3) m: onto anchors, else little and smoothly.

    A point that would still be below the ground while it swings is held at it, until none is.
    """
    anchors = _anchors(foot, held, fps)
    level = _spread(held, anchors[..., :2] - foot[..., :2], bending)
    low, target = held.copy(), anchors[..., 2] - foot[..., 2]
    for _ in range(6):
        upright = _spread(low, target[..., None], bending)[..., 0]
        below = (foot[..., 2] + upright < 0.5 * _CLEARANCE) & ~low
        if not below.any():
            break
        target = np.where(below, _CLEARANCE - foot[..., 2], target)
        low |= below
    return np.concatenate([level, upright[..., None]], axis=-1)


def _anchors(foot: np.ndarray, held: np.ndarray, fps: float) -> np.ndarray:
    """Return where heel and toe stand during each contact: the middle of their path, (T, 2, 3) m.

    A point that begins to stand while the other one stands keeps the length of the foot from it.
    """
    out = foot.copy()
    length = float(np.median(np.linalg.norm(foot[:, 1] - foot[:, 0], axis=-1)))
    placed = np.zeros(held.shape, bool)
    contacts = [(rows, point) for point in (0, 1) for rows in runs(held[:, point])]
    for rows, point in sorted(contacts, key=lambda contact: int(contact[0][0])):
        out[rows, point] = _anchor(foot[rows, point], fps)
        both = rows[placed[rows, 1 - point]]
        if len(both):
            other, line = out[both[0], 1 - point], (out[both, point] - out[both, 1 - point])[:, :2].mean(axis=0)
            apart = length * line / max(float(np.linalg.norm(line)), 1e-6)
            out[rows, point, :2] += other[:2] + apart - out[both[0], point, :2]
        placed[rows, point] = True
        above = np.median(foot[rows, point, 2] - foot[rows, :, 2].min(axis=1))
        out[rows, point, 2] = landmarks.CONTACT_HEIGHTS[2 * point] + np.clip(above, 0.0, _HEEL_UP)
    return out


def _anchor(path: np.ndarray, fps: float) -> np.ndarray:
    """Return the place where a point of this path (n, 3) stands, or its slow path where it slides. (3,) or (n, 3)."""
    inner = path[len(path) // 5 : len(path) - len(path) // 5]
    middle = np.median(inner, axis=0)
    if np.linalg.norm((inner - middle)[:, :2], axis=-1).max() < _SLIDES:
        return middle
    return gaussian_filter1d(path, _SLOWLY_S * fps, axis=0, mode="nearest")


def _spread(held: np.ndarray, target: np.ndarray, bending: float) -> np.ndarray:
    """Return the smoothest small correction of two points that meets the targets where they are held.

    held: (T, 2) bool, target: (T, 2, n) → (T, 2, n). Least squares, banded: points alternate along the diagonal.
    """
    frames = len(held)
    band = np.zeros((5, frames, 2))
    weight = np.where(held, _HOLD, 1.0)
    band[0] = weight + _STIFF
    band[1, :, 0] = -_STIFF
    difference = _second_differences(frames) * _BENDING * bending
    for k in range(3):
        band[2 * k, : frames - k] += difference[k, : frames - k, None]
    right = np.where(held[..., None], _HOLD * target, 0.0).reshape(2 * frames, -1)
    return solveh_banded(band.reshape(5, 2 * frames), right, lower=True).reshape(target.shape)


def _root_shift(motion: Motion, targets: list[tuple[np.ndarray, np.ndarray, np.ndarray]], held: list[np.ndarray],
                bending: float) -> np.ndarray:
    """Return a smooth shift of the root, (T, 3) m, that follows the ankles and above all keeps the legs' lengths.

    A leg that is nearly straight bends its knee by far more than the root is off, so the shift along the leg counts
    most, that of standing ones before that of swinging ones. Least squares, banded: the axes alternate.
    """
    joints, _ = world_poses(motion)
    frames = len(motion)
    square, right = np.tile(_ROOT_STAY * np.eye(3), (frames, 1, 1)), np.zeros((frames, 3))
    for side, (swing, pivot, place), stands in zip(_SIDES, targets, held, strict=True):
        hip, _, foot = _leg(motion.skeleton, side)
        moved = place + rotation.rotate(swing, joints[:, foot] - pivot) - joints[:, foot]
        along = joints[:, foot] - joints[:, hip]
        along /= np.linalg.norm(along, axis=-1, keepdims=True)
        weight = np.where(stands.any(axis=1), 1.0, _SWINGING)[:, None, None]
        block = weight * (np.eye(3) + _ALONG_LEG * along[:, :, None] * along[:, None, :])
        square += block
        right += (block @ moved[..., None])[..., 0]
    band = np.zeros((7, frames, 3))
    for row in range(3):
        for column in range(row + 1):
            band[row - column, :, column] = square[:, row, column]
    difference = _second_differences(frames) * _ROOT_BENDING * bending
    for k in range(3):
        band[3 * k, : frames - k] += difference[k, : frames - k, None]
    return solveh_banded(band.reshape(7, 3 * frames), right.ravel(), lower=True).reshape(frames, 3)


def _second_differences(frames: int) -> np.ndarray:
    """Return DᵀD of second differences as a lower band, shape (3, T)."""
    band = np.zeros((3, frames))
    for k, value in enumerate((1.0, -2.0, 1.0)):
        for j, other in enumerate((1.0, -2.0, 1.0)):
            if j >= k:
                band[j - k, k : frames - 2 + k] += value * other
    return band


def _raised(heights: np.ndarray, fps: float) -> np.ndarray:
    """Return how far points at these heights (T, n) must rise so that none is below the ground, smoothly, (T,)."""
    return _at_least(np.maximum(0.0, -heights.min(axis=1)), fps)


def _at_least(need: np.ndarray, fps: float) -> np.ndarray:
    """Return a smooth curve that is nowhere below `need` (T,), within 0.1 s of it."""
    reach = max(1, round(0.1 * fps))
    return gaussian_filter1d(maximum_filter1d(need, 2 * reach + 1, mode="nearest"), reach / 2, radius=reach,
                             mode="nearest")


def _rigid(foot: np.ndarray, moved: np.ndarray, held: np.ndarray, fps: float
           ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the foot's swing (T, 4), the point between heel and toe that it turns about, and its new place.

    The foot is rigid, so where both ends are asked to move apart, the one that is held decides; where the other would
    then be below the ground, the foot is raised.
    """
    swing = rotation.between(foot[:, 1] - foot[:, 0], foot[:, 1] + moved[:, 1] - foot[:, 0] - moved[:, 0])
    weight = held + 1e-4 * gaussian_filter1d(held.astype(float), 2.0, axis=0, mode="nearest") + 1e-8
    toe = (weight[:, 1] / weight.sum(axis=1))[:, None]
    place = (1 - toe) * (foot[:, 0] + moved[:, 0]) + toe * (foot[:, 1] + moved[:, 1])
    pivot = (1 - toe) * foot[:, 0] + toe * foot[:, 1]
    ends = place[:, None] + rotation.rotate(swing[:, None], foot - pivot[:, None])
    place[:, 2] += _raised(ends[..., 2], fps)
    return swing, pivot, place


def _with_feet(motion: Motion, shift: np.ndarray, targets: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
               standing: list[np.ndarray]) -> Motion:
    """Shift the root and bend the legs; where one cannot reach, raise a heel above standing toes, or lower the root."""
    joints, turns = world_poses(motion)
    joints = joints + shift[:, None]
    legs = [_leg(motion.skeleton, side) for side in _SIDES]
    ankles, swings, need = [], [], np.zeros(len(motion))
    for leg, (swing, pivot, place), held in zip(legs, targets, standing, strict=True):
        length = float(np.linalg.norm(motion.skeleton.offsets[list(leg[1:])], axis=-1).sum())
        ankle = place + rotation.rotate(swing, joints[:, leg[2]] - shift - pivot)
        on_toes = np.logical_and(~held[:, 0], held[:, 1])
        tipped = np.where(on_toes[:, None], tip_foot(joints[:, leg[0]], place, ankle, length), ankle)
        swings.append(rotation.multiply(rotation.between(ankle - place, tipped - place), swing))
        ankles.append(tipped)
        need = np.maximum(need, lowering(joints[:, leg[0]], tipped, length) * held.any(axis=1))
    down = _at_least(need, motion.fps)[:, None] * np.array([0.0, 0.0, -1.0])
    joints, turns = joints + down[:, None], turns.copy()
    for leg, ankle, swing in zip(legs, ankles, swings, strict=True):
        hip, knee, foot = leg
        turns[:, [hip, knee]] = bend_leg(joints[:, list(leg)], turns[:, [hip, knee]], ankle, _KNEES_BEND)
        toes = int(np.flatnonzero(motion.skeleton.parents == foot)[0])
        turns[:, [foot, toes]] = rotation.multiply(swing[:, None], turns[:, [foot, toes]])
    rotations = rotation.continuous(local_rotations(motion.skeleton, turns))
    return replace(motion, root_pos=motion.root_pos + shift + down, rotations=rotations)


def _leg(skeleton: Skeleton, side: str) -> tuple[int, int, int]:
    return tuple(skeleton.index(f"{side}_{part}") for part in ("hip", "knee", "ankle"))  # type: ignore[return-value]


_NOT_FEET = [k for k, name in enumerate(landmarks.NAMES) if not name.endswith(("heel", "foot_index", "ankle"))]
