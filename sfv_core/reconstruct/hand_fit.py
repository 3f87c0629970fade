"""Fit bending hands to hands that were seen close.

A hand of bendable fingers is fitted to the network's landmarks in the picture and in depth, smoothly through time and
within anatomical limits. Both hands are fitted as left ones: the right hand's landmarks are mirrored first, its
rotations afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retarget import rotation

from ..pose.closeup import Closeup
from ..threads import one_thread
from . import hand_model
from .hand_model import LIMITS, PALM, RELAXED, HandShape, landmarks

_STEPS = 120
_RATE = 0.04
_SCATTER = 0.008
"""Expected error of the network's landmarks in m; twice that in depth."""
_BLEND = 0.12
"""Time in s over which a hand goes from the fitted pose to the relaxed one."""
_PART, _OVERLAP = 1200, 20
"""Frames fitted at once, so that memory stays flat, and how far such parts reach into each other."""
_SHORTEST, _LONGEST_GAP = 0.2, 0.2
"""Shortest trusted span and longest gap that is bridged within one, in s."""
_MISFIT = 0.16
"""Distance in palm lengths from the fitted hand to the landmarks at which a sight counts little."""


@dataclass(frozen=True)
class FittedHands:
    """Both hands on the motion's frames; left first. Where the trust is 0 the pose is the relaxed one."""

    angles: np.ndarray
    """`hand_model.ANGLES` of each hand in rad, shape (2, T, 21)."""
    palm: np.ndarray
    """q_camera_palm: turns the frame of the hand at rest in a T-pose into the camera's axes, shape (2, T, 4)."""
    trust: np.ndarray
    """How far each hand is to be trusted, 0 to 1, shape (2, T)."""
    score: np.ndarray
    """Trust before spans were made of it, 0 to 1, shape (2, T)."""


def fit_hands(hands: tuple[Closeup, Closeup], fps: float, focal: float, centre: np.ndarray, length: float,
              forearms: np.ndarray | None = None, steps: int = _STEPS) -> FittedHands:
    """Fit both hands to close-ups on the motion's frames; their scores say how much each frame counts.

    focal: px; centre: (2,) px of the optical axis; length: of the person's hand in m; forearms: unit vectors from elbow
    to wrist in the camera's axes, (2, T, 3); a hand that is folded back onto its forearm is not trusted.
    """
    xy, xyz, score = (np.stack([getattr(hand, name) for hand in hands]) for name in ("xy", "xyz", "score"))
    seen = score > 0
    if not seen.any():
        return unseen(len(hands[0].times))
    angles, palm, misfit = _fitted(_as_left(xy, 0), _as_left(xyz, 0), score, fps, length, steps)
    palm[1] = hand_model.mirrored(palm[1])
    palm = rotation.multiply(np.stack([ray(hand.xy.mean(axis=1), focal, centre) for hand in hands]), palm)
    score = score * np.exp(-((misfit / _MISFIT) ** 2))
    if forearms is not None:
        score = score * _possible(palm, forearms)
    trust = np.stack([spans(row, fps) for row in score])
    angles = np.clip(angles, LIMITS[:, 0], LIMITS[:, 1])
    return FittedHands(RELAXED + trust[..., None] * (angles - RELAXED), palm, trust, score)


def _fitted(xy: np.ndarray, xyz: np.ndarray, score: np.ndarray, fps: float, length: float, steps: int
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return angles (2, T, 21), palm rotations (2, T, 4) and misfits (2, T) of left hands, in parts of a long video.

    Parts overlap, so that both sides of a border see nearly the same; parts without hands cost nothing.
    """
    frames = score.shape[1]
    angles = np.tile(RELAXED, (2, frames, 1))
    palm, misfit = np.tile(rotation.IDENTITY, (2, frames, 1)), np.zeros((2, frames))
    with one_thread():
        for begin in range(0, frames, _PART):
            first, last = max(begin - _OVERLAP, 0), min(begin + _PART + _OVERLAP, frames)
            if not np.any(score[:, first:last] > 0):
                continue
            start = _palm_rotations(xyz[:, first:last])
            start[score[:, first:last] <= 0] = rotation.IDENTITY
            fit = _Fit(xy[:, first:last], xyz[:, first:last], score[:, first:last], start, fps, length)
            results, keep = fit(steps), slice(begin - first, min(begin + _PART, frames) - first)
            for whole, part in zip((angles, palm, misfit), results, strict=True):
                whole[:, begin : begin + _PART] = part[:, keep]
    return angles, palm, misfit


def _possible(palm: np.ndarray, forearms: np.ndarray) -> np.ndarray:
    """Return whether wrists bend as far as wrists can, 1 to 0, (2, T)."""
    fingers = rotation.rotate(palm, np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])[:, None])
    cosine = np.sum(fingers * forearms, axis=-1)
    return np.clip((cosine + 0.35) / 0.35, 0.0, 1.0)


def spans(score: np.ndarray, fps: float, high: float = 0.5, low: float = 0.25) -> np.ndarray:
    """Make steady spans of trust from scores (T,): begun above `high`, kept above `low`, faded at both ends.

    Short gaps are bridged, short spans dropped. → (T,) 0 to 1; exactly 0 outside of the spans.
    """
    inside, state = np.zeros(len(score), bool), False
    for order in (range(len(score)), range(len(score) - 1, -1, -1)):
        state = False
        for row in order:
            state = bool(score[row] >= (low if state else high))
            inside[row] |= state
    for begin, end in _runs(~inside):
        if begin > 0 and end < len(score) and end - begin <= _LONGEST_GAP * fps:
            inside[begin:end] = True
    trust = np.zeros(len(score))
    for begin, end in _runs(inside):
        if end - begin >= max(_SHORTEST * fps, 2):
            rows = np.arange(begin, end)
            before = rows - begin + 1 if begin > 0 else np.full(len(rows), np.inf)
            after = end - rows if end < len(score) else np.full(len(rows), np.inf)
            t = np.clip(np.minimum(before, after) / (_BLEND * fps + 1), 0.0, 1.0)
            trust[begin:end] = t * t * (3 - 2 * t)
    return trust


class _Fit:
    """The optimisation of both hands at once; S = 2 sides."""

    def __init__(self, xy: np.ndarray, xyz: np.ndarray, score: np.ndarray, start: np.ndarray, fps: float,
                 length: float) -> None:
        sides, frames = score.shape
        self._length, self._fps = length, fps
        self._weight = torch.tensor(score, dtype=torch.float32)
        self._xyz = torch.tensor(xyz - xyz.mean(axis=2, keepdims=True), dtype=torch.float32)
        self._xy = torch.tensor(xy - xy.mean(axis=2, keepdims=True), dtype=torch.float32)
        matrices = rotation.to_matrix(start)
        self._six = torch.tensor(matrices[..., :2].swapaxes(-1, -2).reshape(sides, frames, 6), dtype=torch.float32)
        self._angles = torch.tensor(np.tile(RELAXED, (sides, frames, 1)), dtype=torch.float32)
        self._shape = HandShape.mean(sides)
        self._free = [self._six, self._angles, self._shape.log_scale, self._shape.log_bones, self._shape.shifts]
        self._low, self._high = torch.tensor(LIMITS, dtype=torch.float32).T
        self._relaxed = torch.tensor(RELAXED, dtype=torch.float32)

    def __call__(self, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return angles (S, T, 21), palm rotations (S, T, 4) and the misfit (S, T) in palm lengths."""
        for tensor in self._free:
            tensor.requires_grad_(True)
        optimiser = torch.optim.Adam(self._free, lr=_RATE)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps, 0.05 * _RATE)
        for _ in range(steps):
            optimiser.zero_grad()
            self._loss().backward()
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            flat, deep = self._errors()
            misfit = torch.sqrt((flat**2).sum(-1) + 0.25 * (deep**2).sum(-1)).mean(dim=-1) / (0.45 * self._length)
            palm = rotation.from_matrix(_matrices(self._six).numpy().astype(float))
        return self._angles.detach().numpy().astype(float), palm, misfit.numpy().astype(float)

    def _errors(self) -> tuple[Tensor, Tensor]:
        """Return by how much model and landmarks differ in the picture and in space, in m."""
        points = landmarks(self._angles, self._shape, self._length)
        points = torch.einsum("stij,stkj->stki", _matrices(self._six), points)
        points = points - points.mean(dim=2, keepdim=True)
        flat = points[..., :2]
        scale = (flat * self._xy).sum(dim=(2, 3)) / (self._xy**2).sum(dim=(2, 3)).clamp(min=1e-6)
        return flat - scale.detach()[..., None, None] * self._xy, points - self._xyz

    def _loss(self) -> Tensor:
        flat, deep = self._errors()
        errors = _robust((flat**2).sum(-1) / _SCATTER**2) + _robust((deep**2).sum(-1) / (2 * _SCATTER) ** 2)
        data = (self._weight * errors.mean(dim=-1)).sum()
        outside = torch.relu(self._low - self._angles) + torch.relu(self._angles - self._high)
        bends = self._angles[..., :16].unflatten(-1, (4, 4))
        prior = 5.0 * outside.square().sum() + 0.01 * (self._angles - self._relaxed).square().sum() \
            + 0.05 * (bends[..., 3] - 0.6 * bends[..., 2]).square().sum()
        calm = (self._fps / 30.0) ** 4
        smooth = calm * (1.5 * _bend(self._angles).square().sum() + 1.5 * _bend(_matrices(self._six)).square().sum())
        shape = self._shape
        frames = self._weight.sum(dim=1).mean() + 1.0
        return data + prior + smooth + frames * (2.0 * shape.log_bones.square().sum() + 60.0 * shape.shifts.square(
            ).sum())


def _robust(squared: Tensor) -> Tensor:
    """Geman and McClure's loss of squared errors in units of the expected one; outliers end at 9."""
    return 9.0 * squared / (squared + 9.0)


def _bend(x: Tensor) -> Tensor:
    """Return second differences through time (axis 1), as far as there are frames."""
    return x[:, 2:] - 2 * x[:, 1:-1] + x[:, :-2]


def _matrices(six: Tensor) -> Tensor:
    """Return rotation matrices from their first two columns. (..., 6) → (..., 3, 3). Zhou et al. 2019."""
    first = torch.nn.functional.normalize(six[..., :3], dim=-1)
    second = six[..., 3:] - (first * six[..., 3:]).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def _as_left(points: np.ndarray, axis: int) -> np.ndarray:
    """Mirror the right hand's landmarks (2, T, 21, n), so that they are a left hand's."""
    points = points.copy()
    points[1, ..., axis] *= -1.0
    return points


def _palm_rotations(xyz: np.ndarray) -> np.ndarray:
    """Return the rotation that lays the palm at rest onto the observed one. (..., 21, 3) → (..., 4). Kabsch."""
    with torch.no_grad():
        rest = landmarks(torch.tensor(RELAXED)[None, None], _double(HandShape.mean(1)), 1.0)[0, 0].numpy()
    ours, theirs = rest[PALM] - rest[PALM].mean(axis=0), xyz[..., PALM, :]
    theirs = theirs - theirs.mean(axis=-2, keepdims=True)
    u, _, vt = np.linalg.svd(np.einsum("...ki,kj->...ij", theirs, ours))
    sign = np.linalg.det(u @ vt)
    u[..., -1] *= sign[..., None]
    return rotation.from_matrix(u @ vt)


def _double(shape: HandShape) -> HandShape:
    return HandShape(shape.log_scale.double(), shape.log_bones.double(), shape.shifts.double())


def ray(xy: np.ndarray, focal: float, centre: np.ndarray) -> np.ndarray:
    """Return the rotation from looking straight at a place in px to the camera's own axes. (T, 2) → (T, 4)."""
    ways = np.concatenate([(xy - centre) / focal, np.ones((len(xy), 1))], axis=1)
    return rotation.between(np.array([0.0, 0.0, 1.0]), ways)


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return the half-open runs in which a flag (T,) is set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def unseen(frames: int) -> FittedHands:
    """Return relaxed hands that nobody saw."""
    return FittedHands(np.tile(RELAXED, (2, frames, 1)), np.tile(rotation.IDENTITY, (2, frames, 1)),
                       np.zeros((2, frames)), np.zeros((2, frames)))
