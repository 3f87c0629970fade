"""Make 3D landmarks of what the detector saw over time."""

from __future__ import annotations

import numpy as np
import torch

from ..reconstruct.landmarks import HIPS, MIRROR, Observations
from .features import FPS, features, mirrored
from .network import Lifter, load

_LAPLACE = float(np.sqrt(2.0))
_FRAMES_AT_ONCE = 1200
_REACH = 15


def lift(observations: Observations, focal: float, centre: np.ndarray, model: Lifter | None = None
         ) -> tuple[np.ndarray, np.ndarray]:
    """Return the landmarks and the standard deviation of their errors in m, hip-centred camera axes, (T, L, 3) each.

    With `observations.xyz`, of MediaPipe, the mean of three opinions: the detector's own, its correction, and what 2D
    alone says; their errors differ, most of all in poses that the lifter never saw. Without, 2D alone. focal in px,
    centre (2,) px. The body comes out at the mean body's size.
    """
    model = load() if model is None else model
    o = observations
    there = np.arange(len(o)) / o.fps
    steps = np.arange(max(round(there[-1] * FPS), 1) + 1) / FPS
    rays, weight = _at(steps, there, (o.xy - centre) / focal), _at(steps, there, o.weight)
    place, spread = _both_sides(model, rays, None, weight)
    if o.xyz is not None:
        xyz = _at(steps, there, o.xyz)
        corrected, doubt = _both_sides(model, rays, xyz, weight)
        place, spread = (xyz + corrected + place) / 3, (doubt + spread) / 2
    return _at(there, steps, place), _at(there, steps, spread)


def _both_sides(model: Lifter, rays: np.ndarray, xyz: np.ndarray | None, weight: np.ndarray
                ) -> tuple[np.ndarray, np.ndarray]:
    """Take the mean of the person and their mirror image; centre it on the hips."""
    place, spread = _run(model, rays, xyz, weight)
    other, doubt = _run(model, mirrored(rays), None if xyz is None else mirrored(xyz), weight[:, MIRROR])
    place, spread = (place + mirrored(other)) / 2, (spread + doubt[:, MIRROR]) / 2
    return place - place[:, HIPS].mean(axis=1, keepdims=True), spread


def _run(model: Lifter, rays: np.ndarray, xyz: np.ndarray | None, weight: np.ndarray
         ) -> tuple[np.ndarray, np.ndarray]:
    """Run the network once over everything, in pieces that see their neighbours; answer in camera axes."""
    seen = features(rays, xyz, weight)
    added, spread = np.empty_like(seen.base), np.empty_like(seen.base)
    with torch.no_grad():
        for start in range(0, len(rays), _FRAMES_AT_ONCE):
            stop = min(start + _FRAMES_AT_ONCE, len(rays))
            first, last = max(start - _REACH, 0), min(stop + _REACH, len(rays))
            answer = model(torch.tensor(seen.values[None, first:last]))
            added[start:stop], log_spread = (part[0, start - first : stop - first].numpy() for part in answer)
            spread[start:stop] = _LAPLACE * np.exp(log_spread)
    back = seen.turns.transpose(0, 2, 1)
    variance = np.einsum("tij,tlj->tli", back**2, spread**2)
    return np.einsum("tij,tlj->tli", back, seen.base + added), np.sqrt(variance)


def _at(times: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Interpolate values (N, ...) known at even times."""
    if len(times) == len(known) and np.allclose(times, known):
        return np.asarray(values, float)
    flat = values.reshape(len(known), -1)
    return np.stack([np.interp(times, known, column) for column in flat.T], axis=1).reshape(-1, *values.shape[1:])
