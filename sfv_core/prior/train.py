"""Train a pose prior on a folder of motion capture."""

from __future__ import annotations

import hashlib
import math
import pickle
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from retarget import rotation
from retarget.kinematics import rest_pose
from retarget.roles import path_down
from retarget.whole import written_whole

from ..body.model import SMPL_NAMES, SMPL_PARENTS, load_body, skeleton_of
from ..config import PriorConfig
from ..errors import SfvError
from ..progress import Progress
from ..threads import one_thread
from . import vae
from .mocap import Mocap, mirrored, read_folder
from .vae import JOINTS, About, PosePrior, matrices

WIDTH = 384
_BATCH = 256
_EPOCH = 50_000
"""Most poses of an epoch; of more mocap each epoch sees other ones."""
_JUDGES = 20_000
_RATE = 1e-3
_HELD_OUT = 0.1
_ANGLE = 0.1
"""Error of a joint's angle in rad that counts as one unit of the objective."""
_DISTANCE = 0.02
"""Error of a joint's place in m that counts as one unit of the objective."""
_KL = 0.5
"""Weight of the codes' divergence from a standard normal distribution."""
_NOISE = 0.05
"""Deviation of the noise on the encoder's input, in columns of rotation matrices."""
_RECOMBINED = 0.5
"""Share of body parts that come from another pose."""
_PARTS = (("spine1", "spine2", "spine3", "neck", "head"),
          *((side + "_collar", side + "_shoulder", side + "_elbow", side + "_wrist") for side in ("left", "right")),
          *((side + "_hip", side + "_knee", side + "_ankle", side + "_foot") for side in ("left", "right")))
"""Joints that stay together."""
_PART_OF = torch.tensor([next(i for i, part in enumerate(_PARTS) if SMPL_NAMES[j] in part) for j in JOINTS])
_SAVE_EVERY = 20.0
_PATIENCE = 30
"""Epochs without a better result on held-out poses after which training ends."""
_HALVED = 6
"""Epochs without a better result after which the learning rate is halved."""


@dataclass(frozen=True)
class Poses:
    """Columns of the joints' rotation matrices, shape (N, 21, 6) each."""

    train: Tensor
    judge: Tensor


def train(folder: Path, out: Path, config: PriorConfig, progress: Progress) -> dict[str, Any]:
    """Train on every motion below a folder and write the prior; report as stage "train prior".

    A stopped training goes on from its checkpoint beside `out` when it is called again with the same data.
    """
    mocap = read_folder(folder, progress)
    held_out = choose_held_out(mocap, config.seed)
    poses = split(mocap, held_out)
    checkpoint = out.with_name(out.name + ".checkpoint")
    with one_thread():
        prior, epochs = _learn(poses, config, checkpoint, progress)
    angle, distance = errors(prior, poses.judge)
    about = About(tuple(n for i, n in enumerate(mocap.names) if i not in held_out or len(mocap.names) == 1),
                  tuple(mocap.names[i] for i in sorted(held_out)), config.licence, len(poses.train) // 2, config.seed,
                  epochs, round(angle, 3), round(distance, 2))
    vae.save(prior, about, out)
    checkpoint.unlink(missing_ok=True)
    return {"prior": str(out), "clips": len(mocap.clips), "frames": mocap.frames, "epochs": epochs,
            "held_out": list(about.held_out), "held_out_error_deg": about.error_deg,
            "held_out_error_mm": about.error_mm, "skipped": list(mocap.skipped)}


def choose_held_out(mocap: Mocap, seed: int) -> frozenset[int]:
    """Choose clips at random until they hold a tenth of the frames, at least one and never all."""
    order = np.random.default_rng(seed).permutation(len(mocap.clips))
    chosen: list[int] = []
    for clip in order[:max(1, len(order) - 1)]:
        chosen.append(int(clip))
        if sum(len(mocap.clips[i]) for i in chosen) >= _HELD_OUT * mocap.frames:
            break
    return frozenset(chosen)


def split(mocap: Mocap, held_out: frozenset[int]) -> Poses:
    """Return the poses to train on, each mirrored too, and those to judge by.

    A folder of one clip is judged by its last tenth.
    """
    if len(mocap.clips) == 1:
        clip, count = mocap.clips[0], len(mocap.clips[0])
        cut = min(round(count * (1 - _HELD_OUT)), count - 1)
        train, judge = [clip.slice(0, max(1, cut))], [clip.slice(cut, count)]
    else:
        train = [clip for i, clip in enumerate(mocap.clips) if i not in held_out]
        judge = [mocap.clips[i] for i in sorted(held_out)]
    judges = torch.cat([columns(clip.rotations) for clip in judge])
    return Poses(torch.cat([columns(c.rotations) for clip in train for c in (clip, mirrored(clip))]),
                 judges[::math.ceil(len(judges) / _JUDGES)])


def columns(rotations: np.ndarray) -> Tensor:
    """Return the columns (T, 21, 6) of local rotations (T, 24, 4)."""
    m = rotation.to_matrix(rotations[:, list(JOINTS)])
    return torch.tensor(np.concatenate([m[..., 0], m[..., 1]], axis=-1), dtype=torch.float32)


def errors(prior: PosePrior, six: Tensor) -> tuple[float, float]:
    """Return the mean error of reconstructed poses: joint angles in degrees, joint places in mm."""
    with torch.no_grad():
        made, true = prior.decode(prior.encode(six)[0]), matrices(six)
        cosine = ((made * true).sum((-1, -2)) - 1) / 2
        angle = torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))).mean()
        distance = (_Places()(made) - _Places()(true)).norm(dim=-1)[:, 1:].mean()
    return float(angle), float(distance) * 1000


class _Places:
    """Forward kinematics of the mean body from rotations of `JOINTS`, the root at rest."""

    def __init__(self) -> None:
        offsets = skeleton_of(load_body().joints(np.zeros(10))).offsets
        self._offsets = torch.tensor(offsets, dtype=torch.float32)

    def __call__(self, local: Tensor) -> Tensor:
        """Return places (N, 24, 3) m relative to the root from rotation matrices (N, 21, 3, 3)."""
        world = [torch.eye(3).expand(len(local), 3, 3)]
        place = [local.new_zeros(len(local), 3)]
        for joint in range(1, len(SMPL_PARENTS)):
            parent = int(SMPL_PARENTS[joint])
            place.append(place[parent] + world[parent] @ self._offsets[joint])
            turn = world[parent] @ local[:, JOINTS.index(joint)] if joint in JOINTS else world[parent]
            world.append(turn)
        return torch.stack(place, dim=1)


def _weights() -> Tensor:
    """Return what a squared error of 1 rad² in each joint costs, shape (21,).

    It is the unit of `_ANGLE`, and that of `_DISTANCE` for how far it moves all joints below in the rest pose.
    """
    place = rest_pose(skeleton_of(load_body().joints(np.zeros(10))))[0]
    moved = []
    for joint in JOINTS:
        below = [j for j in range(len(SMPL_PARENTS)) if path_down(SMPL_PARENTS, joint, j)]
        moved.append(float(((place[below] - place[joint]) ** 2).sum()) * 2 / 3)
    return torch.tensor(moved) / _DISTANCE**2 + 1 / _ANGLE**2


def _learn(poses: Poses, config: PriorConfig, checkpoint: Path, progress: Progress) -> tuple[PosePrior, int]:
    """Train until the time or the epochs are used up or held-out poses get no better; return the best."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(config.seed)
        prior = PosePrior(config.dimensions, WIDTH)
    flat = poses.train.flatten(1)
    prior.mean, prior.scale = flat.mean(0), flat.std(0).clamp(min=0.02)
    state = _State(prior, torch.optim.Adam(prior.parameters(), _RATE), torch.Generator().manual_seed(config.seed))
    state.resume(checkpoint, _fingerprint(poses, config))
    weights, begun = _weights(), time.monotonic() - 60 * state.minutes
    saved = begun
    try:
        while not state.epoch or (state.epoch < config.epochs and state.minutes < config.minutes
                                  and state.stale < _PATIENCE):
            for loss in _epoch(state, poses.train, weights):
                loss.backward()
                state.optimiser.step()
                state.optimiser.zero_grad()
            state.judge(poses.judge, weights)
            state.minutes = (time.monotonic() - begun) / 60
            if time.monotonic() - saved > _SAVE_EVERY:
                state.save(checkpoint)
                saved = time.monotonic()
            share = max(state.epoch / config.epochs, state.minutes / config.minutes)
            progress("train prior", min(share, 1.0) * config.minutes, config.minutes, epoch=state.epoch,
                     error=round(state.error, 3))
    finally:
        state.save(checkpoint)
    prior.load_state_dict(state.best)
    return prior.eval().requires_grad_(False), state.best_epoch


def _epoch(state: _State, six: Tensor, weights: Tensor) -> Iterator[Tensor]:
    """Yield the objective of each batch of one pass over the poses in a random order."""
    for batch in torch.randperm(len(six), generator=state.generator)[:_EPOCH].split(_BATCH):
        yield _objective(state.prior, recombined(six, batch, state.generator), weights, state.generator)


def recombined(six: Tensor, batch: Tensor, generator: torch.Generator) -> Tensor:
    """Return the poses of a batch, in some of which trunk, arms or legs come from other poses, (B, 21, 6).

    So little mocap has too few poses for a body; limbs that move on their own are most of what others do.
    """
    foreign = torch.rand((len(batch), len(_PARTS)), generator=generator) < _RECOMBINED
    others = torch.randint(len(six), foreign.shape, generator=generator)
    source = torch.where(foreign, others, batch[:, None])[:, _PART_OF]
    return six[source, torch.arange(len(JOINTS))]


def _objective(prior: PosePrior, six: Tensor, weights: Tensor, generator: torch.Generator | None) -> Tensor:
    """Negative evidence lower bound of poses (B, 21, 6), shape (); without a generator at the codes' means."""
    noisy = six if generator is None else six + _NOISE * torch.randn(six.shape, generator=generator)
    mean, log_variance = prior.encode(noisy)
    code = mean
    if generator is not None:
        code = mean + torch.randn(mean.shape, generator=generator) * (0.5 * log_variance).exp()
    made, true = prior.decode(code), matrices(six)
    error = ((made - true).pow(2).sum((-1, -2)) * weights).sum(-1) / 2
    divergence = 0.5 * (mean.pow(2) + log_variance.exp() - 1 - log_variance).sum(-1)
    return (error / 2 + _KL * divergence).mean()


@dataclass
class _State:
    """A training under way."""

    prior: PosePrior
    optimiser: torch.optim.Optimizer
    generator: torch.Generator
    epoch: int = 0
    minutes: float = 0.0
    error: float = math.inf
    """Objective on the held-out poses in the last epoch."""
    least: float = math.inf
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    fingerprint: str = ""

    @property
    def stale(self) -> int:
        """Epochs since held-out poses were explained best."""
        return self.epoch - self.best_epoch

    def judge(self, six: Tensor, weights: Tensor) -> None:
        """Close an epoch: measure on held-out poses and keep the weights if they are the best so far."""
        self.epoch += 1
        with torch.no_grad():
            self.error = float(_objective(self.prior, six, weights, None))
        if self.error < self.least:
            self.least, self.best_epoch = self.error, self.epoch
            self.best = {name: tensor.detach().clone() for name, tensor in self.prior.state_dict().items()}
        elif self.stale % _HALVED == 0:
            for group in self.optimiser.param_groups:
                group["lr"] *= 0.5

    def save(self, path: Path) -> None:
        """Write everything that a training goes on from."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        with written_whole(path) as temporary:
            torch.save({**numbers, "prior": self.prior.state_dict(), "optimiser": self.optimiser.state_dict(),
                        "generator": self.generator.get_state(), "best": self.best}, temporary)

    def resume(self, path: Path, fingerprint: str) -> None:
        """Go on from a checkpoint of the same training; any other is left aside."""
        self.fingerprint = fingerprint
        try:
            data = torch.load(path, weights_only=True)
            if data["fingerprint"] != fingerprint:
                return
            self.prior.load_state_dict(data["prior"])
            self.optimiser.load_state_dict(data["optimiser"])
            self.generator.set_state(data["generator"])
            self.best = data["best"]
            for name in _NUMBERS:
                setattr(self, name, data[name])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, EOFError, IndexError,
                pickle.UnpicklingError) as error:
            raise SfvError(f"'{path}' is not a checkpoint of this training: {' '.join(str(error).split())[:200]}. "
                           "Delete it to begin anew.") from error


_NUMBERS = ("epoch", "minutes", "error", "least", "best_epoch", "fingerprint")


def _fingerprint(poses: Poses, config: PriorConfig) -> str:
    """Return a hash of everything that a checkpoint depends on; limits may change."""
    digest = hashlib.sha256(repr((config.dimensions, config.seed, WIDTH)).encode())
    for tensor in (poses.train, poses.judge):
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
