"""The latent pose space as coordinates of the fit: a code per frame instead of the joints' rotations."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..body.model import SMPL_NAMES
from ..prior import vae
from .pose_model import Track

DEFAULT = Path(vae.__file__).with_name("cmu.npz")
"""The prior that comes with the program."""
_ROOT = 6
_PLACE = torch.tensor([vae.JOINTS.index(j) + 1 if j in vae.JOINTS else 0 if j == 0 else len(vae.JOINTS) + 1
                       for j in range(len(SMPL_NAMES))])
"""Where each joint's rotation stands in root, joints of the prior, rest."""


class LatentPoses:
    """A pose prior as the fit's coordinates: the root's six numbers, then the code, (T, 6 + D)."""

    def __init__(self, path: Path | str | None = None) -> None:
        """Load a prior that `sfv prior train` wrote, or the one that comes with the program."""
        self.prior, self.about = vae.load(Path(path) if path else DEFAULT)

    def encode(self, track: Track) -> Track:
        """Return a track in rotation space, (T, 24, 6), in these coordinates; what the prior does not know is lost."""
        code, _ = self.prior.encode(track.six[:, list(vae.JOINTS)])
        return Track(torch.cat([track.six[:, 0], code], dim=-1), track.hips)

    def decode(self, values: Tensor) -> Tensor:
        """Return two columns of each joint's rotation, (T, 24, 6), of coordinates (T, 6 + D); hands rest."""
        body = self.prior.columns(self.code(values))
        rest = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]).expand(len(values), 1, _ROOT)
        return torch.cat([values[:, None, :_ROOT], body, rest], dim=1).index_select(1, _PLACE)

    def code(self, values: Tensor) -> Tensor:
        """Return the codes (T, D) of coordinates (T, 6 + D); those of real poses are about standard normal."""
        return values[:, _ROOT:]
