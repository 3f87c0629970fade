"""Fingers: hands seen close become rotations of SMPL-H's 30 finger joints and of the wrists.

A hand of bendable fingers is fitted to the network's landmarks in the picture and in depth, smoothly through time and
within anatomical limits. Both hands are fitted as left ones: the right hand's landmarks are mirrored first, its
rotations afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from retarget import rotation
from retarget.kinematics import world_poses
from retarget.motion import Motion, Skeleton

from ..body.model import SMPL_NAMES
from ..pose.closeup import Closeup
from ..pose.hands import SIDES
from . import hand_model
from .hand_model import LIMITS, PALM, RELAXED, HandShape, landmarks

_STEPS = 120
_RATE = 0.04
_SCATTER = 0.008
"""Expected error of the network's landmarks in m; twice that in depth."""
_BLEND = 0.12
"""Time in s over which a hand goes from the fitted pose to the relaxed one."""
_SHORTEST, _LONGEST_GAP = 0.2, 0.2
"""Shortest trusted span and longest gap that is bridged within one, in s."""
_BRIDGED = 0.3
"""Confidence of frames within a trusted span in which the hand itself was not seen."""
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
        return _nothing(len(hands[0].times))
    xy, xyz = _as_left(xy, 0), _as_left(xyz, 0)
    start = _palm_rotations(xyz)
    start[~seen] = rotation.IDENTITY
    fit = _Fit(xy, xyz, score, start, fps, length)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the arrays are small: a second thread costs more than it gives
    try:
        angles, palm, misfit = fit(steps)
    finally:
        torch.set_num_threads(threads)
    palm[1] = hand_model.mirrored(palm[1])
    palm = rotation.multiply(np.stack([ray(hand.xy.mean(axis=1), focal, centre) for hand in hands]), palm)
    score = score * np.exp(-((misfit / _MISFIT) ** 2))
    if forearms is not None:
        score = score * _possible(palm, forearms)
    trust = np.stack([spans(row, fps) for row in score])
    angles = np.clip(angles, LIMITS[:, 0], LIMITS[:, 1])
    return FittedHands(RELAXED + trust[..., None] * (angles - RELAXED), palm, trust, score)


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


def with_fingers(motion: Motion, hands: FittedHands | None, q_world_camera: np.ndarray) -> Motion:
    """Append SMPL-H's 30 finger joints to a motion of SMPL's 24 and turn trusted wrists to where the palms are.

    Where the hands are not trusted (everywhere without `hands`) the fingers are relaxed and have confidence 0.
    q_world_camera: (4,), or (T, 4) where the camera turns.
    """
    frames, body = len(motion), motion.skeleton
    hands = hands or _nothing(frames)
    motion = _turn_wrists(motion, hands, q_world_camera)
    fingers = [hand_model.joint_rotations(hands.angles[0]), hand_model.mirrored(hand_model.joint_rotations(
        hands.angles[1]))]
    sure = hands.trust * (_BRIDGED + (1.0 - _BRIDGED) * np.clip(2.0 * hands.score, 0.0, 1.0))
    trust = np.repeat(sure.T, len(hand_model.JOINTS), axis=1)
    confidence = np.ones((frames, len(body))) if motion.confidence is None else motion.confidence
    contacts = None if motion.contacts is None else np.pad(motion.contacts, ((0, 0), (0, trust.shape[1])))
    return replace(motion, skeleton=_skeleton_with_fingers(body), contacts=contacts,
                   rotations=np.concatenate([motion.rotations, *fingers], axis=1),
                   confidence=np.concatenate([confidence, trust], axis=1))


def without_fingers(motion: Motion) -> Motion:
    """Return a motion of SMPL's 24 joints; a motion without finger joints stays as it is."""
    count = len(SMPL_NAMES)
    if motion.skeleton.names[:count] != SMPL_NAMES or len(motion.skeleton) == count:
        return motion
    s = motion.skeleton
    body = Skeleton(s.names[:count], s.parents[:count], s.offsets[:count], s.rest_rotations[:count], s.root)

    def cut(a: np.ndarray | None) -> np.ndarray | None:
        return None if a is None else a[:, :count]

    return replace(motion, skeleton=body, rotations=motion.rotations[:, :count], confidence=cut(motion.confidence),
                   contacts=cut(motion.contacts))


def hand_length(skeleton: Skeleton) -> float:
    """Return the length of the person's hands in m, from the forearms."""
    forearms = [np.linalg.norm(skeleton.offsets[skeleton.index(f"{side}_wrist")]) for side in SIDES]
    return float(hand_model.HAND_PER_FOREARM * np.mean(forearms))


def _skeleton_with_fingers(body: Skeleton) -> Skeleton:
    offsets = hand_model.rest_offsets(hand_length(body))
    names, parents, places = list(body.names), body.parents.tolist(), [body.offsets]
    for side, mirror in zip(SIDES, (1.0, -1.0), strict=True):
        first = len(names)
        for i, joint in enumerate(hand_model.JOINTS):
            names.append(f"{side}_{joint}")
            parents.append(body.index(f"{side}_wrist") if i % 3 == 0 else first + i - 1)
        places.append(offsets * [mirror, 1.0, 1.0])
    rest = np.concatenate([body.rest_rotations, np.tile(rotation.IDENTITY, (len(names) - len(body), 1))])
    return Skeleton(tuple(names), np.array(parents), np.concatenate(places), rest, body.root)


def _turn_wrists(motion: Motion, hands: FittedHands, q_world_camera: np.ndarray) -> Motion:
    """Turn wrists as far as they are trusted; half of the turn about the forearm goes to the forearm, as in people."""
    _, world = world_poses(motion)
    local = motion.rotations.copy()
    for number, side in enumerate(SIDES):
        elbow, wrist = motion.skeleton.index(f"{side}_elbow"), motion.skeleton.index(f"{side}_wrist")
        q_world_palm = rotation.multiply(q_world_camera, hands.palm[number])
        seen = rotation.multiply(rotation.inverse(world[:, elbow]), q_world_palm)
        turned = rotation.slerp(local[:, wrist], seen, hands.trust[number])
        along = motion.skeleton.offsets[wrist] / np.linalg.norm(motion.skeleton.offsets[wrist])
        half = rotation.slerp(rotation.IDENTITY, rotation.twist(turned, along), 0.5 * hands.trust[number])
        local[:, elbow] = rotation.multiply(local[:, elbow], half)
        local[:, wrist] = rotation.multiply(rotation.inverse(half), turned)
    return replace(motion, rotations=rotation.continuous(local))


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


def _nothing(frames: int) -> FittedHands:
    return FittedHands(np.tile(RELAXED, (2, frames, 1)), np.tile(rotation.IDENTITY, (2, frames, 1)),
                       np.zeros((2, frames)), np.zeros((2, frames)))
