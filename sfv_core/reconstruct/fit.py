"""Minimise the objective over a whole video: in overlapping windows, so memory stays flat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.ndimage import median_filter

from . import landmarks
from .adam import Adam
from .ground import Ground
from .landmarks import Observations
from .losses import FIRST_PASS, SECOND_PASS, Floor, Seen, total
from .pose_model import PoseModel, Shape, Track, time_last

_JUMP = 0.04
"""Jump of both sides against each other, in person sizes, at which a detection is hardly believed."""
_WINDOW = 600
_OVERLAP = 60
_RATE = 0.03
_LAST = 0.03
"""Part of the rate that is left at the end."""
_BETAS = (0.9, 0.95)
"""Adam's; a short memory of squared slopes converges in two thirds of the steps that the usual 0.999 takes."""

Step = Callable[[], None]
"""Called after every step of the optimiser; may raise Cancelled."""


def seen(observations: Observations, trust: np.ndarray, focal: float, centre: np.ndarray, focal_known: bool = True
         ) -> Seen:
    """Return the observations as tensors."""
    o = observations
    assert o.xyz is not None

    def tensor(a: np.ndarray) -> torch.Tensor:
        return time_last(torch.tensor(a, dtype=torch.float32))

    weight = o.weight * steadiness(o)
    return Seen(tensor(o.xy - centre), tensor(o.xyz), tensor(weight), tensor(trust), tensor(o.size), focal, o.fps,
                None if o.spread is None else tensor(o.spread), None if o.turns is None else tensor(o.turns),
                focal_known)


def steadiness(observations: Observations) -> np.ndarray:
    """Return how far each landmark and its mirror image keep apart from each other's places, 0 to 1, (T, L).

    Where the detector takes left for right, or halfway, both jump in opposite directions for a frame or two; a limb
    that swings does not.
    """
    jump = observations.xy - median_filter(observations.xy, size=(5, 1, 1), mode="nearest")
    opposite = -(jump * jump[:, landmarks.MIRROR]).sum(axis=-1) / observations.size[:, None] ** 2
    return np.exp(-np.maximum(opposite, 0.0) / _JUMP**2)


def windows(frames: int) -> list[tuple[int, int]]:
    """Split into overlapping spans of at most `_WINDOW` frames."""
    if frames <= _WINDOW:
        return [(0, frames)]
    count = int(np.ceil((frames - _OVERLAP) / (_WINDOW - _OVERLAP)))
    starts = np.linspace(0, frames - _WINDOW, count).round().astype(int)
    return [(int(start), int(start) + _WINDOW) for start in starts]


def steps_needed(frames: int, iterations: int) -> int:
    """Return how many steps both passes take together."""
    return len(windows(frames)) * (iterations + second_iterations(iterations))


def second_iterations(iterations: int) -> int:
    """Return the steps of the second pass: two thirds of the first."""
    return max(1, round(iterations * 2 / 3))


def first_pass(model: PoseModel, track: Track, what: Seen, iterations: int, step: Step) -> tuple[Track, Shape]:
    """Fit without knowing the ground. The best seen window finds the shape; the others keep it."""
    shape = Shape.mean()
    results: dict[tuple[int, int], Track] = {}
    for number, span in enumerate(_best_first(what)):
        results[span], shape, _ = _minimise(model, track.slice(*span), shape, what.slice(*span), None, iterations,
                                            step, learn_shared=number == 0)
    return _blend(results), shape


def second_pass(model: PoseModel, track: Track, shape: Shape, what: Seen, ground: Ground, contact: np.ndarray,
                iterations: int, step: Step) -> tuple[Track, Shape, Ground]:
    """Fit with the ground under the feet; the ground's tilt and height are adjusted along with the shape."""
    up = torch.tensor(ground.up, dtype=torch.float32)
    weights = torch.tensor(contact, dtype=torch.float32)
    tilt = torch.zeros(3)
    results: dict[tuple[int, int], Track] = {}
    for number, span in enumerate(_best_first(what)):
        floor = Floor(up, torch.tensor(ground.height, dtype=torch.float32), tilt, weights[slice(*span)])
        results[span], shape, tilt = _minimise(model, track.slice(*span), shape, what.slice(*span), floor,
                                               second_iterations(iterations), step, learn_shared=number == 0)
    return _blend(results), shape, _tilted(ground, tilt.numpy())


def _minimise(model: PoseModel, track: Track, shape: Shape, what: Seen, floor: Floor | None, iterations: int,
              step: Step, learn_shared: bool) -> tuple[Track, Shape, torch.Tensor]:
    """Run Adam with cosine decay on one window; shape and tilt move only where asked."""
    shape = shape.detached()
    track = Track(time_last(track.six), time_last(track.hips))
    tilt = torch.zeros(3) if floor is None else floor.tilt.detach().clone()
    if floor is not None:
        floor = Floor(floor.up, floor.height, tilt, floor.contact)
    moved, rates = [track.six, track.hips], [_RATE, _RATE]
    if learn_shared:
        moved += [shape.log_scales, shape.shifts] + ([] if floor is None else [tilt])
        rates += [0.2 * _RATE, 0.2 * _RATE] + ([] if floor is None else [0.1 * _RATE])
        if not what.focal_known:
            moved, rates = [*moved, shape.log_focal], [*rates, 0.2 * _RATE]
    adam = Adam(moved, rates, iterations, _BETAS, _LAST)
    terms = FIRST_PASS if floor is None else SECOND_PASS
    for _ in range(iterations):
        adam.step(total(terms, model(track, shape), what, floor))
        step()
    return Track(track.six.detach(), track.hips.detach()), shape.detached(), tilt.detach()


def _best_first(what: Seen) -> list[tuple[int, int]]:
    spans = windows(len(what.xy))
    return sorted(spans, key=lambda span: -float(what.weight[slice(*span)].sum()))


def _blend(results: dict[tuple[int, int], Track]) -> Track:
    """Join the windows; where two overlap, fade from one to the other."""
    spans = sorted(results)
    track = results[spans[0]]
    for start, stop in spans[1:]:
        new = results[start, stop]
        shared = len(track.six) - start
        fade = torch.linspace(0, 1, shared + 2)[1:-1]

        def join(old: torch.Tensor, fresh: torch.Tensor, fade: torch.Tensor = fade, shared: int = shared,
                 start: int = start) -> torch.Tensor:
            weight = fade.reshape(-1, *[1] * (old.ndim - 1))
            mixed = (1 - weight) * old[start:] + weight * fresh[:shared]
            return torch.cat([old[:start], mixed, fresh[shared:]])

        track = Track(join(track.six, new.six), join(track.hips, new.hips))
    return track


def _tilted(ground: Ground, tilt: np.ndarray) -> Ground:
    """Return the ground after its adjustment, by the same construction as `losses.heights`."""
    side = np.cross(ground.up, [0.0, 0.0, 1.0])
    side = side / np.linalg.norm(side)
    up = ground.up + tilt[0] * side + tilt[1] * np.cross(ground.up, side)
    return Ground(up / np.linalg.norm(up), ground.height + float(tilt[2]))
