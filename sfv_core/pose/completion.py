"""Landmarks that a recording lacks: bridged in time, or put where the body must have them, at hardly any weight."""

from __future__ import annotations

import numpy as np

from ..errors import SfvError

LIMBS = tuple(f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
              for side in ("left", "right"))
"""What every recording must have."""
_HARDLY = 0.02
"""Weight of a derived landmark by that of its limb: enough to say that it is there, too little to pull."""
_DERIVED: dict[str, tuple[str, str, tuple[float, float, float]]] = {
    **{f"{side}_{part}": (f"{side}_knee", f"{side}_ankle", place) for side in ("left", "right")
       for part, place in (("heel", (0.12, -0.05, 0.0)), ("foot_index", (0.16, 0.13, 0.0)))},
    **{f"{side}_index": (f"{side}_elbow", f"{side}_wrist", (0.5, 0.0, 0.0)) for side in ("left", "right")},
}
"""Landmark → limb from, limb to, and its place beyond it: share of the limb, m forward, m to the left."""
_HEAD = {"nose": (0.45, 0.11, 0.0), "left_ear": (0.45, 0.0, 0.075), "right_ear": (0.45, 0.0, -0.075)}
"""Landmark → share of the trunk above the shoulders, m forward, m to the left."""


def bridged(xy: np.ndarray, confidence: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Fill the places (T, K, 2) of landmarks that are missing (confidence 0) from the times around them."""
    out = xy.copy()
    for column in range(xy.shape[1]):
        seen = confidence[:, column] > 0
        if seen.any():
            for axis in range(xy.shape[2]):
                out[:, column, axis] = np.interp(times, times[seen], xy[seen, column, axis])
    return out


def lacking(names: tuple[str, ...]) -> list[str]:
    """Return the landmarks that a recording with these names lacks and `completed` adds."""
    return [name for name in (*_DERIVED, *_HEAD) if name not in names]


def completed(names: tuple[str, ...], xy: np.ndarray, xyz: np.ndarray | None, confidence: np.ndarray
              ) -> tuple[tuple[str, ...], np.ndarray, np.ndarray | None, np.ndarray]:
    """Add heels, toes, finger tips, nose and ears where they are not: along the limbs, turned as the hips are.

    Also for landmarks that are named but never seen. Raise SfvError where limbs are missing.
    """
    unseen = [name for name in LIMBS if name not in names or not confidence[:, names.index(name)].any()]
    if unseen:
        raise SfvError(f"The recording lacks {', '.join(unseen)}. Shoulders, elbows, wrists, hips, knees and ankles "
                       "are needed.")
    wanted = [name for name in (*_DERIVED, *_HEAD)
              if name not in names or not confidence[:, names.index(name)].any()]
    flat, deep, weight = dict(zip(names, np.moveaxis(xy, 1, 0), strict=True)), None, \
        dict(zip(names, confidence.T, strict=True))
    if xyz is not None:
        deep = dict(zip(names, np.moveaxis(xyz, 1, 0), strict=True))
    scale = _px_per_metre(flat, deep)
    for name in wanted:
        chain, place = _chain(name)
        weight[name] = _HARDLY * np.min([_middle(weight, part) for part in chain], axis=0)
        if deep is not None:
            deep[name] = _beyond(deep, chain, place, _turned(deep))
            end = _middle(deep, chain[-1])
            flat[name] = _middle(flat, chain[-1]) + (deep[name] - end)[:, :2] * scale[:, None]
        else:
            flat[name] = _beyond(flat, chain, (place[0], 0.0, 0.0), None)
    every = tuple(flat)
    return (every, np.stack([flat[name] for name in every], axis=1),
            None if deep is None else np.stack([deep[name] for name in every], axis=1),
            np.stack([weight[name] for name in every], axis=1))


def _chain(name: str) -> tuple[tuple[str, str], tuple[float, float, float]]:
    if name in _HEAD:
        return ("hip", "shoulder"), _HEAD[name]
    start, end, place = _DERIVED[name]
    return (start, end), place


def _middle(places: dict[str, np.ndarray], part: str) -> np.ndarray:
    """Return a landmark's places (T, d); of a part without side, the middle of both sides."""
    if part in places:
        return places[part]
    return (places[f"left_{part}"] + places[f"right_{part}"]) / 2


def _beyond(places: dict[str, np.ndarray], chain: tuple[str, str], place: tuple[float, float, float],
            turned: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """Go on from the limb's end by a share of the limb, and forward and left where these are known. (T, d)."""
    start, end = (_middle(places, part) for part in chain)
    along = end + place[0] * (end - start)
    if turned is None:
        return along
    forward, left = turned
    return along + place[1] * forward + place[2] * left


def _turned(deep: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the directions forward and left of the trunk (T, 3) each."""
    left = deep["left_hip"] - deep["right_hip"] + deep["left_shoulder"] - deep["right_shoulder"]
    up = _middle(deep, "shoulder") - _middle(deep, "hip")
    left = left / np.maximum(np.linalg.norm(left, axis=-1, keepdims=True), 1e-9)
    forward = np.cross(left, up)
    return forward / np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-9), left


def _px_per_metre(flat: dict[str, np.ndarray], deep: dict[str, np.ndarray] | None) -> np.ndarray:
    """Return px for 1 m at the person, (T,); ones where there is no 3D."""
    if deep is None:
        return np.ones(len(flat["left_hip"]))
    px, metres = (np.stack([places[name][:, :2] for name in LIMBS], axis=1).std(axis=1).mean(axis=-1)
                  for places in (flat, deep))
    return px / np.maximum(metres, 1e-3)
