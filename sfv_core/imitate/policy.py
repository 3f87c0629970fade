"""The policy: two small networks, what they were normalised with, and everything needed to run them again."""

from __future__ import annotations

import pickle
import re
import zipfile
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from retarget.errors import RetargetError
from retarget.motion import Motion, Skeleton
from retarget.whole import written_whole
from sfv_core.character.character import Character
from sfv_core.character.sound import sound
from sfv_core.errors import SfvError, naming
from sfv_core.imitate.rules import CONTROL_RATE, Rules
from sfv_core.physics.engine import known_engine

FORMAT_VERSION = 1
_CLIP = 5.0


class Network(nn.Module):
    """An actor that gives the actions' mean, a critic, and the actions' spread."""

    def __init__(self, observations: int, actions: int, widths: tuple[int, ...], spread: float = 1.0) -> None:
        """Make the layers; the actor starts near zero, so the first actions are the reference itself.

        widths: hidden units of both networks. spread: the actions' first standard deviation.
        """
        super().__init__()
        self.actor = _layers((observations, *widths, actions))
        self.critic = _layers((observations, *widths, 1))
        self.log_spread = nn.Parameter(torch.full((actions,), float(np.log(spread))))
        with torch.no_grad():
            last: Any = self.actor[-1]
            last.weight.mul_(0.01)
            last.bias.zero_()

    def log_probability(self, means: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Return log densities, less a constant. (B, A), (B, A) → (B,)."""
        return (-0.5 * ((actions - means) / self.log_spread.exp()) ** 2 - self.log_spread).sum(-1)


def _layers(sizes: tuple[int, ...]) -> nn.Sequential:
    hidden = [layer for i, o in pairwise(sizes[:-1]) for layer in (nn.Linear(i, o), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(sizes[-2], sizes[-1]))


class Normaliser:
    """Running mean and variance of the observations."""

    def __init__(self, size: int) -> None:
        """Start with mean 0 and variance 1."""
        self.mean, self.variance, self.count = np.zeros(size), np.ones(size), 1e-4

    def __call__(self, observations: np.ndarray) -> torch.Tensor:
        """Scale observations (…, D) to about ±1, cut at ±5."""
        scaled = (observations - self.mean) / np.sqrt(self.variance + 1e-4)
        return torch.from_numpy(np.clip(scaled, -_CLIP, _CLIP).astype(np.float32))

    def add(self, total: np.ndarray, squares: np.ndarray, count: float) -> None:
        """Take in `count` observations with these sums and sums of squares (D,). Source: Chan et al. 1979."""
        mean = total / count
        variance = np.maximum(squares / count - mean**2, 0.0)
        step, weight = mean - self.mean, count / (self.count + count)
        self.variance += weight * (variance - self.variance) + weight * (1 - weight) * step**2
        self.mean += weight * step
        self.count += count

    def to_dict(self) -> dict[str, Any]:
        """Return tensors and numbers."""
        return {"mean": torch.from_numpy(self.mean.copy()), "variance": torch.from_numpy(self.variance.copy()),
                "count": float(self.count)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Normaliser:
        """Read what `to_dict` returned."""
        normaliser = cls(len(data["mean"]))
        normaliser.mean, normaliser.variance = data["mean"].numpy(), data["variance"].numpy()
        normaliser.count = float(data["count"])
        return normaliser


@dataclass(frozen=True)
class Policy:
    """A trained policy with the character and the motion it belongs to."""

    network: Network
    normaliser: Normaliser
    character: Character
    motion: Motion
    """The reference on the character's skeleton."""
    engine: str
    """Name of the engine it was trained in."""
    control_rate: int = CONTROL_RATE
    """Actions per second."""
    captured: Motion | None = None
    """The motion as it was given to the training, on its own skeleton; None in files that lack it."""
    rules: Rules = field(default_factory=Rules)
    """What it sees and moves, as it learnt it."""

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Return the most likely actions. (N, D) → (N, C). Raise SfvError if it learnt to see something else."""
        if observations.shape[-1] != len(self.normaliser.mean):
            raise SfvError(f"The policy learnt to see {len(self.normaliser.mean)} numbers; the character and its rules "
                           f"show it {observations.shape[-1]}. Train it again.")
        with torch.no_grad():
            actions = self.network.actor(self.normaliser(observations)).double().numpy()
        if not np.isfinite(actions).all():
            raise SfvError("The policy acts with values that are not numbers (NaN or infinity). Train it again.")
        return actions

    def save(self, path: Path) -> None:
        """Write one file without code in it, whole or not at all."""
        motion = self.motion
        data = {"format": FORMAT_VERSION, "network": self.network.state_dict(),
                "normaliser": self.normaliser.to_dict(), "character": self.character.to_dict(),
                "engine": self.engine, "control_rate": self.control_rate,
                "motion": {"fps": motion.fps, "loop": motion.loop, "root_pos": torch.from_numpy(motion.root_pos),
                           "rotations": torch.from_numpy(motion.rotations)},
                "rules": asdict(self.rules),
                "captured": None if self.captured is None else _motion_to_dict(self.captured)}
        with written_whole(path) as temporary:
            torch.save(data, temporary)

    @classmethod
    def load(cls, path: Path) -> Policy:
        """Read a file that `save` wrote; code in it is refused. Raise SfvError that names the file."""
        with naming(path):
            return cls._load(path)

    @classmethod
    def _load(cls, path: Path) -> Policy:
        hint = "Give the policy.pt that a training wrote."
        data = load_tensors(path, hint)
        try:
            if data["format"] != FORMAT_VERSION:
                raise SfvError(f"'{path}' has policy format {data['format']}; this version reads {FORMAT_VERSION}. "
                               "Train the policy again.")
            weights = data["network"]
            sizes = [weights[name].shape[0] for name in weights if re.fullmatch(r"actor\.\d+\.weight", name)]
            network = Network(weights["actor.0.weight"].shape[1], len(weights["log_spread"]), tuple(sizes[:-1]))
            network.load_state_dict(weights)
            character = sound(Character.from_dict(data["character"]))
            motion = Motion(character.skeleton, float(data["motion"]["fps"]), data["motion"]["root_pos"].numpy(),
                            data["motion"]["rotations"].numpy(), loop=bool(data["motion"]["loop"]))
            captured = None if data.get("captured") is None else _motion_from_dict(data["captured"])
            policy = cls(network, Normaliser.from_dict(data["normaliser"]), character, motion, str(data["engine"]),
                         int(data["control_rate"]), captured, Rules(**data.get("rules", {})))
            policy._check()
            return policy
        except (KeyError, TypeError, AttributeError, ValueError, RuntimeError, RetargetError) as error:
            raise SfvError(f"'{path}' is not a policy: {' '.join(str(error).split()).rstrip('.')}. {hint}") from error

    def _check(self) -> None:
        """Raise an error where the parts do not belong together, are not numbers, or ask for an unknown engine."""
        known_engine(self.engine)
        seen, normaliser = self.network.actor[0].in_features, self.normaliser
        if not normaliser.mean.shape == normaliser.variance.shape == (seen,) == (self.network.critic[0].in_features,):
            raise ValueError(f"its network sees {seen} numbers, its normaliser {len(normaliser.mean)}")
        if len(self.network.log_spread) != self.character.coordinates:
            raise ValueError(f"it moves {len(self.network.log_spread)} joint coordinates, its character has "
                             f"{self.character.coordinates}")
        values = [*self.network.state_dict().values(), torch.from_numpy(normaliser.mean),
                  torch.from_numpy(normaliser.variance)]
        if not all(bool(torch.isfinite(value).all()) for value in values) or normaliser.variance.min() < 0:
            raise ValueError("it holds values that are not numbers (NaN or infinity)")


def _motion_to_dict(motion: Motion) -> dict[str, Any]:
    """Return tensors, numbers and texts of a motion and its skeleton; confidence and contacts stay behind."""
    s = motion.skeleton
    return {"names": list(s.names), "root": int(s.root), "fps": float(motion.fps), "loop": bool(motion.loop),
            "parents": torch.from_numpy(s.parents.copy()), "offsets": torch.from_numpy(s.offsets),
            "rest_rotations": torch.from_numpy(s.rest_rotations), "root_pos": torch.from_numpy(motion.root_pos),
            "rotations": torch.from_numpy(motion.rotations)}


def _motion_from_dict(data: dict[str, Any]) -> Motion:
    """Read what `_motion_to_dict` returned."""
    skeleton = Skeleton(tuple(data["names"]), data["parents"].numpy(), data["offsets"].numpy(),
                        data["rest_rotations"].numpy(), int(data["root"]))
    return Motion(skeleton, float(data["fps"]), data["root_pos"].numpy(), data["rotations"].numpy(),
                  loop=bool(data["loop"]))


def load_tensors(path: Path, hint: str) -> dict[str, Any]:
    """Read a dictionary that torch saved, without running code from it. Raise SfvError that names the file."""
    if not path.is_file():
        raise SfvError(f"No file '{path}'. {hint}")
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SfvError(f"'{path}' holds more than numbers and is not opened, as it could run code. {hint}") from error
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise SfvError(f"'{path}' cannot be read: it is empty, cut off or of another kind. {hint}") from error
    if not isinstance(data, dict):
        raise SfvError(f"'{path}' holds a {type(data).__name__}. {hint}")
    return data
