"""A variational autoencoder of single poses, and its file.

The pose is every joint's rotation but the root's and the hands', as two matrix columns each (Zhou et al. 2019). Like
VPoser (Pavlakos et al. 2019): codes of real poses are distributed like a standard normal, and every code is a pose.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from retarget.whole import written_whole

from ..body.model import SMPL_NAMES
from ..errors import SfvError

FORMAT_VERSION = 1
JOINTS = tuple(j for j, name in enumerate(SMPL_NAMES) if name.partition("_")[2] != "hand" and name != "pelvis")
"""Joints that a pose is made of: all but the root and the hands."""
_LARGEST = 64 * 2**20


@dataclass(frozen=True)
class About:
    """Where a prior comes from."""

    files: tuple[str, ...]
    """Motion files it was trained on."""
    held_out: tuple[str, ...]
    """Motion files that only judged it."""
    licence: str
    """What the user stated about the data's source and licence."""
    frames: int
    """Poses it was trained on, before mirroring."""
    seed: int
    epochs: int
    error_deg: float
    """Mean angle between the joints of held-out poses and their reconstruction in degrees."""
    error_mm: float
    """Mean distance between the joints of held-out poses and their reconstruction in mm, the hips held together."""


class PosePrior(nn.Module):
    """Encoder and decoder; both work on normalised columns."""

    mean: Tensor
    scale: Tensor

    def __init__(self, dimensions: int, width: int) -> None:
        super().__init__()
        self.dimensions, self.width = dimensions, width
        size = 6 * len(JOINTS)
        self.encoder = nn.Sequential(nn.Linear(size, width), nn.LeakyReLU(0.1), nn.Linear(width, width),
                                     nn.LeakyReLU(0.1), nn.Linear(width, 2 * dimensions))
        self.decoder = nn.Sequential(nn.Linear(dimensions, width), nn.LeakyReLU(0.1), nn.Linear(width, width),
                                     nn.LeakyReLU(0.1), nn.Linear(width, size))
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def encode(self, six: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the variance of the code, (..., D) each, for columns (..., 21, 6)."""
        columns = (six.flatten(-2) - self.mean) / self.scale
        mean, log_variance = self.encoder(columns).chunk(2, dim=-1)
        return mean, log_variance.clamp(-10.0, 4.0)

    def decode(self, code: Tensor) -> Tensor:
        """Return the rotation matrices (..., 21, 3, 3) of codes (..., D)."""
        return matrices(self.columns(code))

    def columns(self, code: Tensor) -> Tensor:
        """Return two columns of the joints' rotations, not yet orthogonal, (..., 21, 6), of codes (..., D)."""
        return (self.decoder(code) * self.scale + self.mean).unflatten(-1, (len(JOINTS), 6))


def matrices(six: Tensor) -> Tensor:
    """Return rotation matrices (..., 3, 3) of their first two columns (..., 6), made orthogonal. Zhou et al. 2019."""
    a = normalize(six[..., :3], dim=-1)
    b = normalize(six[..., 3:] - (a * six[..., 3:]).sum(-1, keepdim=True) * a, dim=-1)
    return torch.stack([a, b, torch.linalg.cross(a, b)], dim=-1)


def save(prior: PosePrior, about: About, path: Path) -> None:
    """Write an npz without pickles, whole or not at all: half-precision weights and where they come from."""
    arrays: dict[str, Any] = {f"weights/{name}": tensor.detach().numpy().astype(np.float16)
                              for name, tensor in prior.state_dict().items()}
    stated = {"format": "pose prior", "version": FORMAT_VERSION, "dimensions": prior.dimensions,
              "width": prior.width, "joints": [SMPL_NAMES[j] for j in JOINTS], **asdict(about)}
    with written_whole(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, about=np.array(json.dumps(stated)), **arrays)


def load(path: Path) -> tuple[PosePrior, About]:
    """Read a prior that `save` wrote; pickles are refused. Raise SfvError that names the file."""
    advice = "Give the file that `sfv prior train` wrote."
    if not path.is_file():
        raise SfvError(f"There is no pose prior '{path}'. {advice}")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _LARGEST:
                raise ValueError(f"it would unpack to more than {_LARGEST >> 20} MiB")
        with np.load(path, allow_pickle=False) as data:
            arrays = {key: data[key] for key in data.files}
        stated = json.loads(str(arrays.pop("about")))
        if stated["format"] != "pose prior" or stated["version"] != FORMAT_VERSION:
            raise ValueError(f"its format is {stated['format']} {stated['version']}, this version reads pose prior "
                             f"{FORMAT_VERSION}")
        if stated["joints"] != [SMPL_NAMES[j] for j in JOINTS]:
            raise ValueError("it is for other joints")
        prior = PosePrior(int(stated["dimensions"]), int(stated["width"]))
        weights = {key.removeprefix("weights/"): torch.tensor(array.astype(np.float32))
                   for key, array in arrays.items()}
        prior.load_state_dict(weights)
        if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
            raise ValueError("its weights are not numbers (NaN or infinity)")
        about = {name: stated[name] for name in About.__dataclass_fields__}
        about |= {name: tuple(about[name]) for name in ("files", "held_out")}
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile
            ) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        raise SfvError(f"'{path}' is not a pose prior: {reason}. {advice}") from error
    return prior.eval().requires_grad_(False), About(**about)
