"""The lifter's network: dilated convolutions in time with residuals, after VideoPose3D (Pavllo et al. 2019)."""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from ..errors import SfvError
from ..reconstruct.landmarks import NAMES
from .features import WIDTH

FORMAT_VERSION = 1
WEIGHTS = Path(__file__).with_name("lifter.npz")
_DILATIONS = (1, 2, 4, 8)
_LARGEST_LOG_SPREAD = 1.0


class Lifter(nn.Module):
    """Corrects 3D landmarks over time, and says how sure it is of each value; sees 15 frames to either side."""

    def __init__(self, channels: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        self.channels = channels
        self.enter = nn.Conv1d(WIDTH, channels, 1)
        self.blocks = nn.ModuleList(_Block(channels, dilation, dropout) for dilation in _DILATIONS)
        self.norm = nn.LayerNorm(channels)
        self.leave = nn.Linear(channels, 6 * len(NAMES))

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return what to add to the first guess and the logarithm of its spread, (B, T, L, 3) each. (B, T, WIDTH)."""
        x = self.enter(values.mT)
        for block in self.blocks:
            x = block(x)
        out = self.leave(self.norm(x.mT)).unflatten(-1, (len(NAMES), 6))
        return 0.1 * out[..., :3], (out[..., 3:] - 3.0).clamp(-6.0, _LARGEST_LOG_SPREAD)


class _Block(nn.Module):
    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.over_time = nn.Conv1d(channels, channels, 3, dilation=dilation)
        self.within = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout(dropout)
        self._reach = dilation

    def forward(self, x: Tensor) -> Tensor:
        y = pad(self.norm(x.mT).mT, (self._reach, self._reach), mode="replicate")
        return x + self.dropout(self.within(gelu(self.over_time(y))))


def save(path: Path, model: Lifter) -> None:
    """Write the weights in half precision, without pickles."""
    arrays = {name: value.numpy().astype(np.float16) for name, value in model.state_dict().items()}
    np.savez_compressed(path, format=np.array(FORMAT_VERSION), **arrays)


@cache
def load(path: Path = WEIGHTS) -> Lifter:
    """Read the weights; raise SfvError that names the file."""
    if not path.is_file():
        raise SfvError(f"No lifter weights '{path}'. Install the program again, or train them: tools/lifter.")
    try:
        with np.load(path, allow_pickle=False) as data:
            if int(data["format"]) != FORMAT_VERSION:
                raise ValueError(f"format {int(data['format'])}, this version reads {FORMAT_VERSION}")
            arrays = {key: torch.tensor(data[key].astype(np.float32)) for key in data.files if key != "format"}
        model = Lifter(len(arrays["enter.bias"]))
        model.load_state_dict(arrays)
    except (OSError, ValueError, KeyError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise SfvError(f"'{path}' does not hold a lifter's weights: {error}. Install the program again.") from error
    return model.eval()
