"""A stand-in for the detector: what it would say of a pose that was never drawn.

A small network learns the detector's 3D from the true 3D over the drawn pairs, so its systematic errors (flattened
depth, habits of pose and view); what it cannot explain is borrowed from the pairs, whole sequences at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from sfv_core.lift.features import mirrored
from sfv_core.reconstruct import landmarks

_STEPS = 600
_COUNT = 3 * len(landmarks.NAMES)


@dataclass(frozen=True)
class Emulator:
    """What was learned; see `learn`."""

    network: nn.Module
    residuals: np.ndarray
    """What the network does not explain, of each view and of their mean, shape (N, 3, T, L, 3)."""

    def __call__(self, truth: np.ndarray, number: int, kind: int, which: slice) -> np.ndarray:
        """Return the detector's 3D for the truth (T, L, 3), hip-centred, with the residuals of a sequence."""
        with torch.no_grad():
            said = self.network(torch.tensor(truth.reshape(len(truth), -1), dtype=torch.float32)).numpy()
        return truth + said.reshape(truth.shape) + self.residuals[number, kind, which]


def learn(truth: np.ndarray, xyz: np.ndarray, seed: int) -> Emulator:
    """Learn from true places (N, T, L, 3) and the detector's of both views (N, 2, T, L, 3), all hip-centred."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(_COUNT, 256), nn.GELU(), nn.Dropout(0.1), nn.Linear(256, 256), nn.GELU(),
                            nn.Dropout(0.1), nn.Linear(256, _COUNT))
    inputs = np.concatenate([truth.reshape(-1, *truth.shape[2:]), mirrored(truth).reshape(-1, *truth.shape[2:])])
    mean = xyz.mean(axis=1)
    outputs = np.concatenate([mean.reshape(-1, *truth.shape[2:]), mirrored(mean).reshape(-1, *truth.shape[2:])])
    a, b = (torch.tensor(part.reshape(len(inputs), -1), dtype=torch.float32) for part in (inputs, outputs - inputs))
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
    for _ in range(_STEPS):
        pick = torch.randint(len(a), (512,))
        error = (network(a[pick] + 0.01 * torch.randn(512, _COUNT)) - b[pick]).abs().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        explained = network(a[: len(a) // 2]).numpy().reshape(truth.shape)
    said = np.concatenate([xyz, mean[:, None]], axis=1)
    return Emulator(network, said - (truth + explained)[:, None])
