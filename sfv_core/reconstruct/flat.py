"""A first guess at depth from 2D alone, without anything learned: how short bones look says how far they lean.

How far is geometry (a bone of known length, seen from afar); towards or away from the camera is not in the picture.
It is chosen so that knees and elbows bend the way they can and nothing jumps from frame to frame. The fit takes it as
very uncertain.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from .landmarks import HIPS, NAMES, Observations

_SHOULDERS = (NAMES.index("left_shoulder"), NAMES.index("right_shoulder"))
_WIDTHS = 0.36, 0.20
"""Width of shoulders and hips in m."""
_TRUNK = 0.45
"""Length in m that a trunk has at least; shorter ones lean forward."""
_UPPER_ARM, _FOREARM, _THIGH, _SHIN = 0.28, 0.25, 0.41, 0.41
_FOOT, _HEEL, _FACE, _HALF_HEAD = 0.13, -0.05, 0.11, 0.075
"""How far toes, heels and nose are in front of ankles and ears, and ears beside the middle, in m."""
_SHORTEST = 0.75
"""Length of a bone by the usual one that it has at least."""
_ASIDE, _ACROSS = 0.1, 0.3
"""Cost of a thigh to the side, and of an upper arm to the inner side, per m."""
_JUMP = 16.0
"""Cost of a change of depth between frames, per m² at 30 frames per second."""
_SPREAD = np.array([0.05, 0.05, 0.25])
"""Standard deviation of the guess in m."""


def lift_by_lengths(observations: Observations, focal: float, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return landmarks relative to the hips in m, camera axes, and the deviation of their errors, (T, L, 3) each."""
    metres = (observations.xy - observations.xy[:, HIPS].mean(axis=1, keepdims=True)) / observations.size[:, None, None]
    xyz = np.concatenate([1.7 * metres, np.zeros((*metres.shape[:2], 1))], axis=-1)
    left = _left(xyz, observations.fps)
    forward = np.stack([left[:, 2], np.zeros(len(left)), -left[:, 0]], axis=-1)
    trunk = np.linalg.norm(xyz[:, _SHOULDERS, :2].mean(axis=1), axis=-1)
    lean = np.sqrt(np.maximum(_TRUNK**2 - trunk**2, 0.0)) * np.sign(forward[:, 2])
    for joint, side in zip(HIPS, (0.5, -0.5), strict=True):
        xyz[:, joint, 2] = side * _WIDTHS[1] * left[:, 2]
    for joint, side in zip(_SHOULDERS, (0.5, -0.5), strict=True):
        xyz[:, joint, 2] = lean + side * _WIDTHS[0] * left[:, 2]
    for parts, usual, bends in ((("hip", "knee", "ankle"), (_THIGH, _SHIN), 1.0),
                                (("shoulder", "elbow", "wrist"), (_UPPER_ARM, _FOREARM), -1.0)):
        chains = [[NAMES.index(f"{side}_{part}") for part in parts] for side in ("left", "right")]
        lengths = _own_lengths(xyz, chains, usual)
        for chain, outward in zip(chains, (left, -left), strict=True):
            _limb(xyz, chain, lengths, left, forward, outward, bends, observations.fps)
    _ends(xyz, left, forward, lean)
    return xyz, np.broadcast_to(_SPREAD, xyz.shape).copy()


def _left(xyz: np.ndarray, fps: float) -> np.ndarray:
    """Return the direction to the person's left, level, (T, 3).

    How far left and right are apart tells the turn but for its sign; nose and toes tell to which side the person looks.
    """
    apart = sum(xyz[:, a, 0] - xyz[:, b, 0] for a, b in (_SHOULDERS, HIPS))
    cos = np.clip(gaussian_filter1d(apart, 0.05 * fps, mode="nearest") / sum(_WIDTHS), -1.0, 1.0)
    sin = np.sqrt(1.0 - cos**2)
    looks = xyz[:, NAMES.index("nose"), 0] - xyz[:, _SHOULDERS, 0].mean(axis=1)
    for side in ("left", "right"):
        looks = looks + 0.5 * (xyz[:, NAMES.index(f"{side}_foot_index"), 0] - xyz[:, NAMES.index(f"{side}_heel"), 0])
    own = np.stack([np.maximum(-looks, 0.0), np.maximum(looks, 0.0)], axis=1)
    states = np.stack([sin, -sin], axis=1)
    sign = 1.0 - 2.0 * _path(own, states[..., None], fps)
    return np.stack([cos, np.zeros_like(cos), sin * sign], axis=-1)


def _own_lengths(xyz: np.ndarray, chains: list[list[int]], usual: tuple[float, float]) -> list[float]:
    """Return the person's upper and lower bone in m: as long as they look at most, near the usual length."""
    lengths = []
    for i, length in enumerate(usual):
        seen = [np.linalg.norm(xyz[:, chain[i + 1], :2] - xyz[:, chain[i], :2], axis=-1) for chain in chains]
        lengths.append(float(np.clip(np.percentile(seen, 97), _SHORTEST * length, length)))
    return lengths


def _limb(xyz: np.ndarray, chain: list[int], lengths: list[float], left: np.ndarray, forward: np.ndarray,
          outward: np.ndarray, bends: float, fps: float) -> None:
    """Put the two lower landmarks of a limb in depth. bends: +1 as knees do, −1 as elbows do."""
    top, middle, end = chain
    flat = [xyz[:, middle, :2] - xyz[:, top, :2], xyz[:, end, :2] - xyz[:, middle, :2]]
    deep = [np.sqrt(np.maximum(length**2 - (f**2).sum(-1), 0.0)) for f, length in zip(flat, lengths, strict=True)]
    signs = np.array([(a, b) for a in (-1, 1) for b in (-1, 1)], float)
    depths = np.stack(deep, axis=-1)[:, None] * signs
    upper, lower = (np.concatenate([np.repeat(f[:, None], 4, axis=1), depths[..., i, None]], axis=-1)
                    for i, f in enumerate(flat))
    wrong = np.maximum(-bends * np.einsum("tsi,ti->ts", np.cross(upper, lower), left), 0.0)
    sideways = np.einsum("tsi,ti->ts", upper, outward)
    across = _ASIDE * np.abs(sideways) if bends > 0 else _ACROSS * np.maximum(-sideways, 0.0)
    behind = np.maximum(-np.einsum("tsi,ti->ts", upper if bends > 0 else upper + lower, forward), 0.0)
    chosen = _path(4.0 * wrong + 0.3 * behind + across, depths, fps)
    rows = np.arange(len(xyz))
    xyz[:, middle, 2] = xyz[:, top, 2] + depths[rows, chosen, 0]
    xyz[:, end, 2] = xyz[:, middle, 2] + depths[rows, chosen, 1]


def _path(own: np.ndarray, states: np.ndarray, fps: float) -> np.ndarray:
    """Choose a state for each frame: least own cost (T, S) plus jumps of the states (T, S, d) between. Viterbi."""
    jump = _JUMP * (fps / 30.0) ** 2
    cost, back = own[0], []
    for t in range(1, len(own)):
        step = cost[:, None] + jump * ((states[t - 1][:, None] - states[t][None]) ** 2).sum(-1)
        back.append(step.argmin(axis=0))
        cost = step.min(axis=0) + own[t]
    chosen = [int(cost.argmin())]
    for pointers in reversed(back):
        chosen.append(int(pointers[chosen[-1]]))
    return np.array(chosen[::-1])


def _ends(xyz: np.ndarray, left: np.ndarray, forward: np.ndarray, lean: np.ndarray) -> None:
    """Put hands, feet and head in depth beside the limbs and the trunk that carry them."""
    xyz[:, NAMES.index("nose"), 2] = lean + _FACE * forward[:, 2]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        ankle = xyz[:, NAMES.index(f"{side}_ankle"), 2]
        xyz[:, NAMES.index(f"{side}_heel"), 2] = ankle + _HEEL * forward[:, 2]
        xyz[:, NAMES.index(f"{side}_foot_index"), 2] = ankle + _FOOT * forward[:, 2]
        xyz[:, NAMES.index(f"{side}_ear"), 2] = lean + sign * _HALF_HEAD * left[:, 2]
        elbow, wrist = (xyz[:, NAMES.index(f"{side}_{part}"), 2] for part in ("elbow", "wrist"))
        xyz[:, NAMES.index(f"{side}_index"), 2] = wrist + 0.4 * (wrist - elbow)
