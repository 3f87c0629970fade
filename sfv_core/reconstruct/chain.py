"""Forward kinematics with a gradient written by hand: several times faster than one derived operation by operation.

Arrays keep time in the last axis, so that every operation runs along it: six numbers (J, 6, T), matrices
(J, 3, 3, T), points (n, 3, T).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Plan:
    """How joints hang on each other and carry points."""

    def __init__(self, parents: Sequence[int], carriers: Sequence[int]) -> None:
        joints = range(len(parents))
        self.parents = torch.tensor([max(int(p), 0) for p in parents])
        self.carriers = torch.tensor([int(c) for c in carriers])
        depth = [0] * len(parents)
        for j in joints:
            depth[j] = depth[parents[j]] + 1 if parents[j] >= 0 else 0
        self.levels = [torch.tensor([j for j in joints if depth[j] == level]) for level in range(1, max(depth) + 1)]
        above = torch.eye(len(parents))
        for j in joints:
            if parents[j] >= 0:
                above[j] += above[parents[j]]
        self.path = above
        """1 where a joint hangs on another or is it, shape (J, J): row on column."""
        self.below = torch.cat([above, above[self.carriers]]).T.contiguous()
        """1 where a joint or a carried point hangs on a joint, shape (J, J + L)."""


class Chain(torch.autograd.Function):
    """Pose the joints: `rotations, joints, points = Chain.apply(six, offsets, places, plan)`, the root at the origin.

    six: first two columns of local rotations, made orthogonal (Zhou et al. 2019); offsets (J, 3) and places (L, 3) in
    m in the frames of parents and carriers.
    """

    @staticmethod
    def forward(ctx, six: Tensor, offsets: Tensor, places: Tensor, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
        """Return local rotations (J, 3, 3, T), joints (J, 3, T) and points (L, 3, T)."""
        local, kept = _orthogonal(six)
        world = local.clone()
        for joints in plan.levels:
            world[joints] = times(world[plan.parents[joints]], local[joints])
        above = world[plan.parents]
        above[0] = torch.eye(3)[..., None]
        bones = _along(above, offsets)
        bones[0] = 0.0
        joints = (plan.path @ bones.flatten(1)).view_as(bones)
        carried = world[plan.carriers]
        points = joints[plan.carriers] + _along(carried, places)
        ctx.plan, ctx.kept = plan, kept
        ctx.save_for_backward(local, world, above, carried, joints, points)
        return local, joints, points

    @staticmethod
    def backward(ctx, *slopes: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Sum the pull on all that hangs on each joint, and its moment: dL/dR = W_parentᵀ (Σ g (p − p_j)ᵀ) W."""
        by_local, by_joints, by_points = slopes
        local, world, above, carried, joints, points = ctx.saved_tensors
        pulls, where = torch.cat([by_joints, by_points]), torch.cat([joints, points])
        force = (ctx.plan.below @ pulls.flatten(1)).view_as(joints)
        moment = (ctx.plan.below @ (pulls[:, :, None] * where[:, None]).flatten(1)).view_as(world)
        moment.addcmul_(force[:, :, None], joints[:, None], value=-1.0)
        slope = times(_turned(above, moment), world).add_(by_local)
        by_offsets = (above * force[:, :, None]).sum((1, 3))
        by_places = (carried * by_points[:, :, None]).sum((1, 3))
        return _orthogonal_slope(slope, local, *ctx.kept), by_offsets, by_places, None


def times(a: Tensor, b: Tensor) -> Tensor:
    """Return the products of 3 × 3 matrices. (n, 3, 3, T) each."""
    out = a[:, :, 0, None] * b[:, None, 0]
    return out.addcmul_(a[:, :, 1, None], b[:, None, 1]).addcmul_(a[:, :, 2, None], b[:, None, 2])


def _turned(a: Tensor, b: Tensor) -> Tensor:
    """Return aᵀ b. (n, 3, 3, T) each."""
    out = a[:, 0, :, None] * b[:, 0, None]
    return out.addcmul_(a[:, 1, :, None], b[:, 1, None]).addcmul_(a[:, 2, :, None], b[:, 2, None])


def _along(a: Tensor, v: Tensor) -> Tensor:
    """Return a · v of matrices over time and fixed vectors. (n, 3, 3, T), (n, 3) → (n, 3, T)."""
    v = v[:, :, None, None]
    return (a[:, :, 0] * v[:, 0]).addcmul_(a[:, :, 1], v[:, 1]).addcmul_(a[:, :, 2], v[:, 2])


def _orthogonal(six: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Return rotation matrices (J, 3, 3, T) of their first two columns, and what the gradient needs."""
    x, y = six[:, :3], six[:, 3:]
    length_x = x.pow(2).sum(1, keepdim=True).sqrt_().clamp_(min=1e-12)
    a = x / length_x
    share = (a * y).sum(1, keepdim=True)
    b = y - share * a
    length_b = b.pow(2).sum(1, keepdim=True).sqrt_().clamp_(min=1e-12)
    b = b / length_b
    return torch.stack([a, b, _cross(a, b)], dim=2), (y, length_x, share, length_b)


def _orthogonal_slope(slope: Tensor, local: Tensor, y: Tensor, length_x: Tensor, share: Tensor, length_b: Tensor
                      ) -> Tensor:
    """Carry the gradient by the matrices (J, 3, 3, T) back to the six numbers (J, 6, T)."""
    a, b = local[:, :, 0], local[:, :, 1]
    by_a, by_b, by_c = slope[:, :, 0], slope[:, :, 1], slope[:, :, 2]
    by_b = by_b + _cross(by_c, a)
    by_b = (by_b - b * (b * by_b).sum(1, keepdim=True)) / length_b
    pull = (a * by_b).sum(1, keepdim=True)
    by_a = by_a + _cross(b, by_c) - share * by_b - pull * y
    by_a = (by_a - a * (a * by_a).sum(1, keepdim=True)) / length_x
    return torch.cat([by_a, by_b - a * pull], dim=1)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """Return cross products. (n, 3, T) each."""
    return torch.cross(a, b, dim=1)
