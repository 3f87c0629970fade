"""Our Adam takes the steps that torch's takes."""

from __future__ import annotations

import math

import torch

from sfv_core.reconstruct.adam import Adam

_STEPS = 40


def objective(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a**4).sum() + (a.sum() * b - 1).pow(2).sum()


def test_adam_ends_where_torch_s_ends():
    mine = [torch.tensor([1.0, 2.0]), torch.tensor([3.0])]
    theirs = [value.clone().requires_grad_() for value in mine]
    adam = Adam(mine, [0.1, 0.02], _STEPS, (0.9, 0.95))
    torches = torch.optim.Adam([{"params": [theirs[0]], "lr": 0.1}, {"params": [theirs[1]], "lr": 0.02}],
                               betas=(0.9, 0.95))
    falling = torch.optim.lr_scheduler.LambdaLR(
        torches, lambda step: 0.03 + 0.97 * (1 + math.cos(math.pi * step / _STEPS)) / 2)
    for _ in range(_STEPS):
        adam.step(objective(*mine))
        torches.zero_grad()
        objective(*theirs).backward()
        torches.step()
        falling.step()
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_what_the_objective_does_not_see_stays():
    free = torch.tensor([5.0])
    moved = torch.tensor([1.0])
    Adam([moved, free], [0.1, 0.1], 1).step((moved**2).sum())
    assert (free.item(), moved.item() < 1.0) == (5.0, True)
