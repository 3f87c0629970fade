"""Train the lifter on pairs that pairs.py made, and keep the weights that are best on validation pairs.

    python tools/lifter/train.py MOCAP_FOLDER train.npz --validation validation.npz -o lifter.npz [--minutes 15]

A batch mixes drawn pairs (the detector's real errors) with motions that were never drawn, seen through a virtual camera
with 2D errors borrowed from the pairs; the latter, and a part of the former, teach the lifter to work from 2D alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from emulator import Emulator, learn
from motions import VALIDATION, Take, joints, sample, takes
from view import camera

from retarget import rotation
from sfv_core.body.model import BETAS, Body, load_body
from sfv_core.lift.features import LENGTH, features, length, looking_at, mirrored
from sfv_core.lift.network import Lifter, save
from sfv_core.reconstruct import landmarks

LIMBS = [landmarks.NAMES.index(f"{side}_{part}") for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
         for side in ("left", "right")]
WINDOW = 81
_LEARNED = 45
"""Frames of a window that a batch holds; the features are made of the whole window."""
BATCH = 24
_JUDGED_EVERY = 100
_NEW, _HELD = 0.15, 600
_BONES = torch.tensor(landmarks.BONES)
Example = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Values (T, W), first guess (T, L, 3) and truth (T, L, 3) in axes that look at the hips."""


class Pairs:
    """Drawn sequences, and examples made of them."""

    def __init__(self, paths: list[Path]) -> None:
        parts = [np.load(path, allow_pickle=False) for path in paths]
        self.xy, self.xyz, self.visibility, self.truth, focal = (
            np.concatenate([part[name] for part in parts]) for name in ("xy", "xyz", "visibility", "truth", "focal"))
        self.rays = self.xy / focal[:, None, None, None, None]
        exact = self.truth[..., :2] / self.truth[..., 2:]
        self.errors = (self.rays - exact[:, None]) * self.truth[:, None, :, landmarks.HIPS, 2].mean(-1)[..., None, None]
        """2D errors at the person's distance in m, shape (N, 2, T, L, 2)."""

    def __len__(self) -> int:
        return len(self.truth)

    def emulator(self, seed: int) -> Emulator:
        """Learn what the detector makes of the truth."""
        truth = np.stack([normalised(one.astype(float), rays.mean(axis=0)) for one, rays in
                          zip(self.truth, self.rays, strict=True)])
        return learn(truth, self.xyz - self.xyz[:, :, :, landmarks.HIPS].mean(axis=3, keepdims=True), seed)

    def mean(self, number: int, which: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the mean of both views' rays, xyz and visibility, as a capture takes it."""
        return tuple(a[number, :, which].mean(axis=0).astype(float) for a in (self.rays, self.xyz, self.visibility))

    def example(self, rng: np.random.Generator) -> Example:
        """Draw an example: one view or the mean of both, worn, mirrored, rolled, by chance without 3D."""
        number = int(rng.integers(len(self)))
        start = int(rng.integers(0, self.truth.shape[1] - WINDOW + 1))
        which = slice(start, start + WINDOW)
        view = int(rng.integers(4))
        if view < 2:
            rays, xyz, weight = (a[number, view, which].astype(float) for a in (self.rays, self.xyz, self.visibility))
        else:
            rays, xyz, weight = self.mean(number, which)
        return _worn(rays, xyz, weight, self.truth[number, which].astype(float), rng, blind=rng.random() < 0.15)


@dataclass(frozen=True)
class Virtual:
    """A motion that was never drawn, before a virtual camera, with the errors of a sequence that was."""

    rays: np.ndarray
    """Shape (T, L, 2)."""
    xyz: np.ndarray
    """What the detector might say in m, shape (T, L, 3)."""
    weight: np.ndarray
    """Shape (T, L)."""
    truth: np.ndarray
    """In camera axes in m, shape (T, L, 3)."""


def virtual(source: list[Take], pairs: Pairs, emulator: Emulator, body: Body, rng: np.random.Generator) -> Virtual:
    """Draw a motion, a body, a camera and errors."""
    betas = rng.normal(0, 1.3, BETAS)
    places, turns = joints(body, betas, *sample(source, WINDOW, rng))
    marks = places[:, landmarks.JOINTS] + rotation.rotate(turns[:, landmarks.JOINTS], landmarks.OFFSETS)
    marks[..., 2] -= marks[..., 2].min() - 0.03
    view = camera(marks, rng)
    truth = (marks - view.eye) @ view.camera_from_world.T
    number, kind, start = int(rng.integers(len(emulator.residuals))), int(rng.integers(3)), int(rng.integers(0, 8))
    which = slice(start, start + WINDOW)
    errors = pairs.errors[number, :, which].mean(axis=0) if kind == 2 else pairs.errors[number, kind, which]
    distance = truth[:, landmarks.HIPS, 2].mean(axis=1)[:, None, None]
    rays = truth[..., :2] / truth[..., 2:] + rng.uniform(0, 1) * errors / distance
    return Virtual(rays, emulator(normalised(truth, rays), number, kind, which),
                   pairs.visibility[number, 0, which].astype(float), truth)


class Pool:
    """Virtual motions, each used several times; new ones take the places of old ones."""

    def __init__(self, make: Callable[[], Virtual]) -> None:
        self._make, self._held = make, [make() for _ in range(24)]

    def example(self, rng: np.random.Generator) -> Example:
        """Draw an example, by chance without 3D; now and then make a new motion."""
        if rng.random() < _NEW:
            if len(self._held) >= _HELD:
                self._held.pop(0)
            self._held.append(self._make())
        one = self._held[rng.integers(len(self._held))]
        return _worn(one.rays, one.xyz, one.weight, one.truth, rng, blind=bool(rng.random() < 0.4))


def normalised(truth: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Return places in camera axes (T, L, 3) hip-centred, at the mean body's size, in axes that look at the hips."""
    truth = truth - truth[:, landmarks.HIPS].mean(axis=1, keepdims=True)
    truth = truth * (LENGTH / length(truth).mean())
    return np.einsum("tij,tlj->tli", looking_at(rays[:, landmarks.HIPS].mean(axis=1)), truth)


def _worn(rays: np.ndarray, xyz: np.ndarray | None, weight: np.ndarray, truth: np.ndarray, rng: np.random.Generator,
          blind: bool) -> Example:
    """Change an example in ways that leave it true: focal length, roll, side, gaps, direction of time."""
    truth = truth - truth[:, landmarks.HIPS].mean(axis=1, keepdims=True)
    truth = truth * (LENGTH / length(truth).mean())
    angle = rng.normal(0, 0.15)
    roll = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    rays = rays @ roll.T * np.exp(rng.normal(0, 0.15))
    truth = np.concatenate([truth[..., :2] @ roll.T, truth[..., 2:]], axis=-1)
    if xyz is not None:
        xyz = xyz - xyz[:, landmarks.HIPS].mean(axis=1, keepdims=True)
        xyz = np.concatenate([xyz[..., :2] @ roll.T, xyz[..., 2:]], axis=-1)
    if blind:
        xyz = None
        if rng.random() < 0.5:
            weight = np.clip(0.3 + 0.7 * weight, 0, 1)
    if rng.random() < 0.3:
        rays, xyz, weight = _with_gap(rays, xyz, weight, rng)
    if rng.random() < 0.5:
        rays, truth, weight = mirrored(rays), mirrored(truth), weight[:, landmarks.MIRROR]
        xyz = None if xyz is None else mirrored(xyz)
    if rng.random() < 0.5:
        rays, truth, weight = rays[::-1], truth[::-1], weight[::-1]
        xyz = None if xyz is None else xyz[::-1]
    seen = features(rays, xyz, weight)
    start = int(rng.integers(0, WINDOW - _LEARNED + 1))
    part = slice(start, start + _LEARNED)
    return seen.values[part], seen.base[part], np.einsum("tij,tlj->tli", seen.turns[part], truth[part])


def _with_gap(rays: np.ndarray, xyz: np.ndarray | None, weight: np.ndarray, rng: np.random.Generator
              ) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Bridge some pictures as if nobody had been found in them."""
    size = int(rng.integers(1, 12))
    start = int(rng.integers(1, len(rays) - size - 1))
    share = (np.arange(1, size + 1) / (size + 1))[:, None, None]

    def bridged(a: np.ndarray) -> np.ndarray:
        a = a.copy()
        a[start : start + size] = a[start - 1] * (1 - share) + a[start + size] * share
        return a

    weight = weight.copy()
    weight[start : start + size] = 0.0
    return bridged(rays), None if xyz is None else bridged(xyz), weight


def loss(added: Tensor, log_spread: Tensor, base: Tensor, truth: Tensor) -> Tensor:
    """Laplace likelihood of places, with distances of bone directions and of velocities."""
    place = base + added
    error = place - truth
    likelihood = (error.abs() * torch.exp(-log_spread) + log_spread).mean()
    mine = place[:, :, _BONES[:, 1]] - place[:, :, _BONES[:, 0]]
    theirs = truth[:, :, _BONES[:, 1]] - truth[:, :, _BONES[:, 0]]
    bones = (mine - theirs).abs().mean()
    speed = error.diff(dim=1).abs().mean()
    return likelihood + 5.0 * error.norm(dim=-1).mean() + 3.0 * bones + 10.0 * speed


def validate(model: Lifter, pairs: Pairs) -> dict[str, float]:
    """Return mean errors of the limbs in mm: the detector's, the lifter's, from 2D alone; and those in depth."""
    model.eval()
    totals: dict[str, list[float]] = {}
    for number in range(len(pairs)):
        rays, xyz, weight = pairs.mean(number, slice(None))
        xyz = xyz - xyz[:, landmarks.HIPS].mean(axis=1, keepdims=True)
        truth = pairs.truth[number].astype(float)
        truth = truth - truth[:, landmarks.HIPS].mean(axis=1, keepdims=True)
        truth = truth * (LENGTH / length(truth).mean())
        for name, given in (("lifted", xyz), ("flat", None)):
            seen = features(rays, given, weight)
            target = np.einsum("tij,tlj->tli", seen.turns, truth)
            with torch.no_grad():
                place = seen.base + model(torch.tensor(seen.values[None]))[0][0].numpy()
            _note(totals, name, place - place[:, landmarks.HIPS].mean(axis=1, keepdims=True) - target)
            if given is not None:
                _note(totals, "detector", xyz - target)
    model.train()
    return {name: float(np.mean(values)) for name, values in totals.items()}


def _note(totals: dict[str, list[float]], name: str, error: np.ndarray) -> None:
    totals.setdefault(name, []).append(float(np.linalg.norm(error[:, LIMBS], axis=-1).mean() * 1e3))
    totals.setdefault(f"{name}_depth", []).append(float(np.abs(error[:, LIMBS, 2]).mean() * 1e3))


def train(pairs: Pairs, source: list[Take], judge: Pairs, out: Path, minutes: float, seed: int, channels: int,
          dropout: float, start: Path | None, highest: float) -> None:
    """Train for a while with a falling rate; write the running mean of the weights whenever it is the best so far."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    body = load_body()
    emulator = pairs.emulator(seed)
    left = 1e3 * np.abs(emulator.residuals[:, 2]).mean()
    print(f"{len(pairs)} sequences; the emulator leaves {left:.0f} mm", flush=True)
    pool = Pool(lambda: virtual(source, pairs, emulator, body, rng))
    model = Lifter(channels, dropout)
    if start is not None:
        from sfv_core.lift.network import load
        model.load_state_dict(load(start).state_dict())
    calm = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.02)
    began, step, best = time.monotonic(), 0, np.inf
    while (spent := (time.monotonic() - began) / (60 * minutes)) < 1.0:
        rate = highest * min(1.0, (step + 1) / 50) * (0.5 + 0.5 * np.cos(np.pi * spent)) + 1e-5
        for group in optimiser.param_groups:
            group["lr"] = rate
        drawn = [pairs.example(rng) for _ in range(BATCH // 2)]
        drawn += [pool.example(rng) for _ in range(BATCH - len(drawn))]
        values, base, truth = (torch.tensor(np.stack(part), dtype=torch.float32) for part in zip(*drawn, strict=True))
        error = loss(*model(values), base, truth)
        optimiser.zero_grad()
        error.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        calm.update_parameters(model)
        step += 1
        if step % _JUDGED_EVERY == 0:
            figures = validate(calm.module, judge)
            said = " ".join(f"{name} {value:.1f}" for name, value in figures.items())
            print(f"step {step} {spent:.0%} loss {error.item():.3f} {said}", flush=True)
            score = figures["lifted"] + 0.1 * figures["flat"]
            if score < best:
                best = score
                save(out, calm.module)


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mocap", type=Path, help="folder of ASF and AMC files")
    parser.add_argument("pairs", type=Path, nargs="+", help="files that pairs.py made")
    parser.add_argument("--validation", type=Path, required=True, help="pairs of held-out motions")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--channels", type=int, default=192)
    parser.add_argument("--dropout", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    options = parser.parse_args()
    torch.set_num_threads(1)
    source = [take for take in takes(options.mocap, load_body()) if take.name not in VALIDATION]
    train(Pairs(options.pairs), source, Pairs([options.validation]), options.out, options.minutes, options.seed,
          options.channels, options.dropout, options.start, options.rate)


if __name__ == "__main__":
    main()
