"""Adam with cosine decay, in plain tensor operations.

torch.optim's would do, but making one imports torch's compiler: 0.8 s of processor time, a twelfth of the whole capture
of a ten-second clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

_EPSILON = 1e-8


@dataclass
class Adam:
    """Minimise by steps of adaptive length. Kingma and Ba 2015, algorithm 1."""

    parameters: Sequence[Tensor]
    """What moves; each needs a gradient of the objective."""
    rates: Sequence[float]
    """Step length of each at the start."""
    steps: int
    """How many steps will be taken; the rates fall along a cosine to `last` of themselves."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the means of the gradient and of its square."""
    last: float = 0.03
    """Part of the rates that is left at the end."""
    _means: list[Tensor] = field(init=False)
    _squares: list[Tensor] = field(init=False)
    _taken: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        for parameter in self.parameters:
            parameter.requires_grad_()
        self._means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, objective: Tensor) -> None:
        """Take one step down the objective, shape (); what it does not depend on stays."""
        gradients = torch.autograd.grad(objective, list(self.parameters), allow_unused=True)
        decay = self.last + (1 - self.last) * (1 + torch.cos(torch.tensor(torch.pi * self._taken / self.steps))) / 2
        self._taken += 1
        one, two = self.betas
        for parameter, rate, gradient, mean, square in zip(self.parameters, self.rates, gradients, self._means,
                                                           self._squares, strict=True):
            if gradient is None:
                continue
            mean.mul_(one).add_(gradient, alpha=1 - one)
            square.mul_(two).addcmul_(gradient, gradient, value=1 - two)
            size = float(decay) * rate / (1 - one**self._taken)
            parameter.addcdiv_(mean, (square / (1 - two**self._taken)).sqrt_().add_(_EPSILON), value=-size)
