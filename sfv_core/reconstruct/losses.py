"""The terms of the objective, one pure function each, and their weights.

The idea is SFV's (Peng et al. 2018, eq. 3–6): be close to the 2D detections by their confidence, to the 3D estimate
where it agrees with them, and smooth. Every term is a mean, so weights do not depend on the length of the video; the
smoothness terms are scaled to 30 frames per second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..body.model import SMPL_NAMES
from . import landmarks
from .pose_model import Posed, pick, time_last

_TUNED_FPS = 30.0
_REST_IN_LATENT = 1 / 3
"""Strength of the rest pose where a latent space says what poses are usual."""


@dataclass
class Seen:
    """What the fit is to explain, as tensors; see `landmarks.Observations`."""

    xy: Tensor
    """px relative to the picture's centre, shape (T, L, 2)."""
    xyz: Tensor
    """m relative to the hips, shape (T, L, 3)."""
    weight: Tensor
    """Confidence 0 to 1, shape (T, L)."""
    trust: Tensor
    """Agreement of the 3D estimate with the 2D detections, 0 to 1, shape (T,)."""
    size: Tensor
    """px for 1.7 m, shape (T,)."""
    focal: float
    fps: float
    spread: Tensor | None = None
    """Standard deviation of `xyz` in m along each axis, shape (T, L, 3)."""
    turns: Tensor | None = None
    """R_frame_reference, shape (T, 3, 3)."""
    focal_known: bool = True
    """Whether the focal length is a fact; else the fit adjusts it."""

    def slice(self, start: int, stop: int) -> Seen:
        """Return the frames from `start` up to, not including, `stop`."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        cut = {name: time_last(a[start:stop]) for name, a in tensors.items() if isinstance(a, Tensor)}
        return replace(self, **cut)

    @cached_property
    def bones(self) -> Tensor:
        """Directions of `landmarks.BONES`, shape (T, B, 3)."""
        return time_last(normalize(self.xyz[:, _BONES[:, 1]] - self.xyz[:, _BONES[:, 0]], dim=-1))

    @cached_property
    def bone_weight(self) -> Tensor:
        """What each direction is worth by confidence, trust and precision, divided by the sum of the first two."""
        ends = self.weight[:, _BONES[:, 0]] * self.weight[:, _BONES[:, 1]]
        weight = base = ends.sqrt() * self.trust[:, None]
        if self.spread is not None:
            variance = self.spread.pow(2).sum(-1)
            variance = variance[:, _BONES[:, 0]] + variance[:, _BONES[:, 1]]
            weight = weight * (2 * _USUAL_SPREAD.pow(2).sum() / variance).clamp(max=4.0)
        return time_last(weight / base.sum(0).clamp(min=1e-6))

    @cached_property
    def precision(self) -> Tensor:
        """Square of usual to actual spread of `xyz`, shape (T, L, 3) or (3,)."""
        spread = _USUAL_SPREAD if self.spread is None else self.spread
        return (_USUAL_SPREAD[0] / spread).pow(2)


@dataclass
class Floor:
    """Where the ground is and which landmarks touch it, in the second pass."""

    up: Tensor
    """Direction away from the ground in camera axes, shape (3,)."""
    height: Tensor
    """up · p of the points on the ground in m, shape ()."""
    tilt: Tensor
    """How far `up` and `height` have moved from the first estimate, shape (3,)."""
    contact: Tensor
    """Weight of each possible contact, shape (T, C)."""


def robust(squared: Tensor, scale: float) -> Tensor:
    """Geman-McClure: like the square for small errors, no more than scale² for outliers."""
    return scale**2 * squared / (squared + scale**2)


def reprojection(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """2D distance in person sizes (unit .02), robust beyond .05, by confidence. SFV eq. 4."""
    place = _in_frame(p.landmarks, s)
    projected = place[..., :2] / place[..., 2:].clamp(min=0.3) * (s.focal * torch.exp(p.shape.log_focal))
    error = ((projected - s.xy) / s.size[:, None, None]).pow(2).sum(-1)
    return (s.weight * robust(error, 0.05)).sum() / s.weight.sum() / 0.02**2


def estimate_3d(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """3D distance in m (unit .05), robust beyond .12, by precision, trust and confidence. SFV eq. 5."""
    squared = (_in_frame(p.landmarks - p.hips[:, None], s) - s.xyz).pow(2)
    error = (squared * s.precision).sum(-1)
    weight = s.weight * s.trust[:, None]
    return (weight * robust(error, 0.12)).sum() / weight.sum() / 0.05**2


def bone_direction(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """Distance of limb directions to the 3D estimate's (unit .2), whatever its bone lengths, by trust and precision."""
    upper, lower = _BONES[:, 0], _BONES[:, 1]
    mine = normalize(_in_frame(pick(p.landmarks, lower) - pick(p.landmarks, upper), s), dim=-1)
    error = robust((mine - s.bones).pow(2).sum(-1), 0.5)
    return (s.bone_weight * error).sum() / len(_BONES) / 0.2**2


def joint_acceleration(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """Second difference of the joints (unit 1 cm per frame²). SFV eq. 6."""
    return _bending(p.joints) / 0.01**2 * (s.fps / _TUNED_FPS) ** 4


def rotation_acceleration(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """Second difference of the local rotation matrices (unit .05), the root's nearly free."""
    free = torch.ones(p.rotations.shape[1], 1, 1)
    free[0] = 0.03
    return _bending(p.rotations, free) / 0.05**2 * (s.fps / _TUNED_FPS) ** 4


def travel_acceleration(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """Second difference of the body's place (unit 5 mm per frame²)."""
    return _bending(p.hips[:, None]) / 0.005**2 * (s.fps / _TUNED_FPS) ** 4


def rest_pose(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """Distance of local rotations to rest, strong where joints move little (collars, toes, wrists), weak in limbs."""
    distance = (p.rotations[:, 1:] - torch.eye(3)).pow(2).sum((-1, -2))
    share = 1.0 if p.code is None else _REST_IN_LATENT
    return share * (_STIFFNESS[1:] * distance).mean() / 0.05


def joint_limits(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """How far knees and elbows bend the wrong way, and knees sideways (unit .1), beyond what joints allow.

    5° of hyperextension in both, 12° sideways in the knee: ranges of motion as the AAOS tables them.
    """
    knees, elbows = pick(p.rotations, _KNEES), pick(p.rotations, _ELBOWS)
    over = torch.relu(knees[..., 1, 2] - 0.087).pow(2) + torch.relu(knees[..., 0, 2].abs() - 0.2).pow(2)
    over = over + torch.relu(elbows[..., 1, 0] * _OUTWARD - 0.087).pow(2)
    return over.mean() / 0.1**2


def latent_code(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """Squared codes of the poses, which are standard normal for real ones; none in rotation space. As VPoser."""
    return torch.zeros(()) if p.code is None else p.code.pow(2).mean()


def bone_lengths(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """Squared log length factors (deviation 6 %; the hips' width 10 %)."""
    deviation = torch.full_like(p.shape.log_scales, 0.06)
    deviation[0] = 0.096
    return (p.shape.log_scales / deviation).pow(2).sum()


def focal_length(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """Squared log factor of the focal length (deviation 25 %): lenses differ that much from the picture's diagonal."""
    return (p.shape.log_focal / 0.25).pow(2)


def landmark_shifts(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """Squared shifts of landmarks on the body (deviation 2 cm)."""
    return (p.shape.shifts / 0.02).pow(2).sum()


def contact_speed(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """Travel of touching landmarks from frame to frame (unit 1 cm), robust beyond 3 cm."""
    assert f is not None
    place = p.touching
    squared = (place[1:] - place[:-1]).pow(2).sum(-1) * (s.fps / _TUNED_FPS) ** 2
    return (f.contact[1:] * f.contact[:-1] * robust(squared, 0.03)).sum() / (len(place) * 4) / 0.01**2


def contact_height(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """Distance of touching landmarks from the ground (unit 2 cm), robust beyond 8 cm."""
    assert f is not None
    error = heights(p, f) - torch.as_tensor(landmarks.CONTACT_HEIGHTS, dtype=torch.float32)
    return (f.contact * robust(error.pow(2), 0.08)).sum() / (len(error) * 4) / 0.02**2


def penetration(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """Depth below the ground (unit 2 cm)."""
    assert f is not None
    return torch.relu(-heights(p, f)).pow(2).mean() / 0.02**2


def floor_tilt(p: Posed, s: Seen, f: Floor | None) -> Tensor:
    """Squared turn of the ground away from its first estimate (unit .1 rad)."""
    assert f is not None
    return (f.tilt[:2] / 0.1).pow(2).sum()


def heights(p: Posed, f: Floor) -> Tensor:
    """Return how far the possible contacts are above the ground in m, shape (T, C)."""
    side = normalize(torch.linalg.cross(f.up, torch.tensor([0.0, 0.0, 1.0])), dim=0)
    front = torch.linalg.cross(f.up, side)
    up = normalize(f.up + f.tilt[0] * side + f.tilt[1] * front, dim=0)
    return p.touching @ up - (f.height + f.tilt[2])


Term = tuple[str, float, Callable[[Posed, Seen, Floor | None], Tensor]]

FIRST_PASS: tuple[Term, ...] = (
    ("reprojection", 2.0, reprojection),
    ("estimate_3d", 0.03, estimate_3d),
    ("bone_direction", 0.2, bone_direction),
    ("joint_acceleration", 0.02, joint_acceleration),
    ("rotation_acceleration", 0.16, rotation_acceleration),
    ("travel_acceleration", 0.002, travel_acceleration),
    ("rest_pose", 0.08, rest_pose),
    ("joint_limits", 0.1, joint_limits),
    ("latent_code", 0.3, latent_code),
    ("bone_lengths", 0.002, bone_lengths),
    ("landmark_shifts", 0.002, landmark_shifts),
    ("focal_length", 0.002, focal_length),
)
SECOND_PASS: tuple[Term, ...] = (
    *FIRST_PASS,
    ("contact_speed", 1.5, contact_speed),
    ("contact_height", 0.5, contact_height),
    ("penetration", 0.5, penetration),
    ("floor_tilt", 0.02, floor_tilt),
)


def total(terms: tuple[Term, ...], p: Posed, s: Seen, f: Floor | None = None) -> Tensor:
    """Return the weighted sum of the terms, shape ()."""
    return torch.stack([weight * term(p, s, f) for _, weight, term in terms]).sum()


def _in_frame(p: Tensor, s: Seen) -> Tensor:
    """Turn points or directions (T, n, 3) of the reference camera's axes into each frame's."""
    return p if s.turns is None else p @ s.turns.mT


class _Bending(torch.autograd.Function):
    """Sum of weighted squared second differences along the first axis, with its gradient by hand."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor) -> Tensor:
        bend = x[2:] - 2.0 * x[1:-1] + x[:-2]
        weighted = weight * bend
        ctx.save_for_backward(weighted)
        return (weighted * bend).sum()

    @staticmethod
    def backward(ctx, *slopes: Tensor) -> tuple[Tensor, None]:
        (weighted,) = ctx.saved_tensors
        weighted = 2.0 * slopes[0] * weighted
        out = torch.zeros_like(weighted[:1]).expand(len(weighted) + 2, *weighted.shape[1:])
        out = time_last(out)
        out[2:] += weighted
        out[1:-1] -= 2.0 * weighted
        out[:-2] += weighted
        return out, None


def _bending(x: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the mean over time and the second axis of weighted squared second differences. (T, n, ...) → ()."""
    return _Bending.apply(x, torch.ones(1) if weight is None else weight) / max((len(x) - 2) * x.shape[1], 1)


def _stiffness() -> Tensor:
    by_part = {"spine1": 3, "spine2": 3, "spine3": 3, "neck": 3, "head": 3, "collar": 10, "foot": 10, "wrist": 10,
               "hand": 10, "ankle": 1, "hip": 0.1, "knee": 0.1, "shoulder": 0.1, "elbow": 0.1, "pelvis": 0}
    return torch.tensor([float(by_part[name.split("_")[-1]]) for name in SMPL_NAMES])


_USUAL_SPREAD = torch.tensor([0.05, 0.05, 0.1])
_STIFFNESS = _stiffness()
_KNEES, _ELBOWS = (torch.tensor([SMPL_NAMES.index(f"{side}_{part}") for side in ("left", "right")])
                   for part in ("knee", "elbow"))
_OUTWARD = torch.tensor([1.0, -1.0])
"""Where the forearms point at rest along the body's own x axis."""
_BONES = torch.tensor(landmarks.BONES)
