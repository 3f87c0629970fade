"""The body that is fitted: rotations, place, bone lengths and landmark places, in torch (float32).

Everything is in camera axes (x right, y down, z forward): the root's rotation takes the skeleton's frame there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

from retarget.motion import Skeleton

from . import landmarks
from .chain import Chain, Plan

_SCALED_TOGETHER = (
    ("left_hip", "right_hip"), ("left_knee", "right_knee"), ("left_ankle", "right_ankle"),
    ("left_foot", "right_foot"), ("spine1", "spine2", "spine3"), ("neck",), ("head",),
    ("left_collar", "right_collar"), ("left_shoulder", "right_shoulder"), ("left_elbow", "right_elbow"),
    ("left_wrist", "right_wrist"), ("left_hand", "right_hand"),
)
"""Bones (named by their lower joint) that share one length factor, so that left equals right."""
BONE_GROUPS = len(_SCALED_TOGETHER)
_MIRROR_X = torch.tensor([-1.0, 1.0, 1.0])


@dataclass
class Shape:
    """What stays the same through the whole video."""

    log_scales: Tensor
    """Logarithm of each bone group's length factor, shape (G,)."""
    shifts: Tensor
    """How far the estimator's landmarks lie from where `landmarks.OFFSETS` has them, in m, shape (L, 3)."""
    log_focal: Tensor
    """Logarithm of the focal length's factor, shape ()."""

    @classmethod
    def mean(cls) -> Shape:
        """Return the body model's own proportions, and the focal length as it was given."""
        return cls(torch.zeros(BONE_GROUPS), torch.zeros(len(landmarks.NAMES), 3), torch.zeros(()))

    def detached(self) -> Shape:
        """Return a copy that no gradient reaches."""
        return Shape(*(value.detach().clone() for value in (self.log_scales, self.shifts, self.log_focal)))


@dataclass
class Track:
    """What changes from frame to frame."""

    six: Tensor
    """First two columns of each joint's rotation matrix, shape (T, J, 6). Zhou et al. 2019."""
    hips: Tensor
    """Middle of the hip landmarks in camera axes in m, shape (T, 3)."""

    def slice(self, start: int, stop: int) -> Track:
        """Return a copy of the frames from `start` up to, not including, `stop`."""
        return Track(self.six[start:stop].detach().clone(), self.hips[start:stop].detach().clone())


@dataclass
class Posed:
    """The body posed in every frame."""

    rotations: Tensor
    """Local rotation matrices, shape (T, J, 3, 3)."""
    joints: Tensor
    """Joints in camera axes in m, shape (T, J, 3)."""
    landmarks: Tensor
    """Landmarks in camera axes in m, shape (T, L, 3)."""
    touching: Tensor
    """What may touch the ground, as `landmarks.CONTACTS`, in camera axes in m, (T, C, 3): the body's own heels and
    toes wherever an estimator has them, and the hands' landmarks."""
    hips: Tensor
    """Middle of the hip landmarks in camera axes in m, shape (T, 3)."""
    shape: Shape
    code: Tensor | None = None
    """The poses in the latent space, shape (T, D), where the fit moves in one."""


class Space(Protocol):
    """Coordinates of the pose other than the joints' rotations, which then stand in `Track.six` as (T, D)."""

    def decode(self, values: Tensor) -> Tensor:
        """Return two columns of each joint's rotation, (T, J, 6), of coordinates (T, D)."""
        ...

    def code(self, values: Tensor) -> Tensor:
        """Return the part of the coordinates that is about standard normal, (T, C)."""
        ...


class PoseModel:
    """A skeleton with learnable lengths, ready for batched forward kinematics."""

    def __init__(self, skeleton: Skeleton, space: Space | None = None) -> None:
        self._space = space
        self._offsets = torch.tensor(skeleton.offsets, dtype=torch.float32)
        self._offsets[0] = 0.0
        group = torch.zeros(len(skeleton), dtype=torch.long)
        for number, names in enumerate(_SCALED_TOGETHER):
            for name in names:
                group[skeleton.index(name)] = number
        self._group = group
        carriers = [*landmarks.JOINTS, *landmarks.JOINTS[list(landmarks.SOLES)]]
        self._plan = Plan(skeleton.parents.tolist(), [int(joint) for joint in carriers])
        self._soles = torch.tensor(landmarks.OFFSETS[list(landmarks.SOLES)], dtype=torch.float32)
        self._contacts = torch.tensor([*range(len(landmarks.NAMES), len(carriers)),
                                       *landmarks.CONTACTS[len(landmarks.SOLES) :]])
        self._landmark_offsets = torch.tensor(landmarks.OFFSETS, dtype=torch.float32)
        self._mirror = torch.as_tensor(landmarks.MIRROR)
        self._left_hip, self._right_hip = landmarks.NAMES.index("left_hip"), landmarks.NAMES.index("right_hip")

    def bone_offsets(self, shape: Shape) -> Tensor:
        """Return the joints' offsets in their parents' frames in m, shape (J, 3)."""
        return self._offsets * torch.exp(shape.log_scales)[self._group][:, None]

    def landmark_offsets(self, shape: Shape) -> Tensor:
        """Return the landmarks' places in their joints' frames in m, mirrored left to right, shape (L, 3)."""
        return self._landmark_offsets + (shape.shifts + shape.shifts[self._mirror] * _MIRROR_X) / 2

    def __call__(self, track: Track, shape: Shape) -> Posed:
        """Pose the body in every frame."""
        six = track.six if self._space is None else self._space.decode(track.six)
        six = six.permute(1, 2, 0).contiguous()
        points = torch.cat([self.landmark_offsets(shape), self._soles])
        local, joints, marks = Chain.apply(six, self.bone_offsets(shape), points, self._plan)
        shift = track.hips.T - (marks[self._left_hip] + marks[self._right_hip]) / 2
        placed = (marks + shift).permute(2, 0, 1)
        code = None if self._space is None else self._space.code(track.six)
        return Posed(local.permute(3, 0, 1, 2), (joints + shift).permute(2, 0, 1), placed[:, : len(landmarks.NAMES)],
                     pick(placed, self._contacts), track.hips, shape, code)


def time_last(x: Tensor) -> Tensor:
    """Return the same values (T, ...), laid out so that neighbours in time are neighbours in memory: faster here."""
    return torch.movedim(torch.movedim(x, 0, -1).contiguous(), -1, 0)


def pick(x: Tensor, index: Tensor) -> Tensor:
    """Return x[:, index]; the gradient of index_select is several times faster than that of plain indexing."""
    return torch.index_select(x, 1, index)


def matrices(six: Tensor) -> Tensor:
    """Return rotation matrices (..., 3, 3) of their first two columns (..., 6), made orthogonal. Zhou et al. 2019."""
    a = normalize(six[..., :3], dim=-1)
    b = normalize(six[..., 3:] - (a * six[..., 3:]).sum(-1, keepdim=True) * a, dim=-1)
    return torch.stack([a, b, torch.cross(a, b, dim=-1)], dim=-1)


def six_from_matrices(m: Tensor) -> Tensor:
    """Return the first two columns of rotation matrices. (..., 3, 3) → (..., 6)."""
    return torch.cat([m[..., 0], m[..., 1]], dim=-1)
