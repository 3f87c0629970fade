"""Frames that do not belong to their path: joints or roots that leave it for a moment, and frames that were lost.

An outlier lies far from a cubic through the frames on both sides of it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from retarget import rotation
from retarget.motion import Motion, Skeleton
from sfv_core.aid.finding import Finding, frames_text, joint_text, spans
from sfv_core.aid.recording import Recording

LONGEST = 3
"""Number of frames up to which outliers and lost frames are replaced by a curve through their neighbours."""
_TURN, _MOVE = np.radians(30.0), 0.10
"""Distance from that curve in rad and m at 30 frames per second above which frames are outliers; 16 clean clips of
DeepMimic and 32 of CMU's reach 29° and, while running, 9.6 cm."""
_END = 2.0
"""How many times the limit the first and the last frame may be off the line through their neighbours."""
_PASSES = 8
_MOVES = 0.3
"""Mean speed of the joints in m/s above which a body cannot have stopped dead for some frames."""


def find_outliers(recording: Recording, carried: int = 0) -> list[Finding]:
    """Find joints and roots that leave their path for at most three frames.

    carried: look only at joints that carry a chain of as many others.
    """
    motion = recording.motion
    limits = _limits(motion.fps)
    found = []
    moved = len(recording.character.links) if motion.skeleton is recording.character.skeleton else None
    for j in np.flatnonzero(_chains(motion.skeleton)[:moved] >= carried):
        name = motion.skeleton.names[j]
        _, flags, worst = _without_outliers(motion.rotations[:, j], limits[0], turns=True)
        for span in spans(flags, gap=1):
            amount = float(np.degrees(worst[span[0] : span[1] + 1].max()))
            found.append(Finding("outlier", span, amount, "°", f"The {joint_text(name)} leaves its path by "
                                 f"{amount:.0f}° in {frames_text(span)}.", name))
    _, flags, worst = _without_outliers(motion.root_pos, limits[1])
    for span in spans(flags, gap=1):
        amount = float(worst[span[0] : span[1] + 1].max())
        found.append(Finding("outlier", span, amount, "m", f"The whole body leaves its path by {amount:.2f} m in "
                             f"{frames_text(span)}."))
    return found


def mend_outliers(recording: Recording, findings: list[Finding]) -> Motion:
    """Replace outliers by a curve through their neighbours."""
    motion = recording.motion
    limits = _limits(motion.fps)
    rotations = motion.rotations.copy()
    for name in {finding.joint for finding in findings if finding.joint}:
        j = motion.skeleton.index(name)
        rotations[:, j] = _without_outliers(motion.rotations[:, j], limits[0], turns=True)[0]
    root, _, _ = _without_outliers(motion.root_pos, limits[1])
    return replace(motion, root_pos=root, rotations=rotations)


def find_stalls(recording: Recording) -> list[Finding]:
    """Find frames that repeat the one before while the body moves: frames that were lost."""
    same = _stalled(recording)
    return [Finding("stall", span, float(span[1] - span[0] + 1), "frames",
                    f"The body stops dead in {frames_text(span)} "
                    "amid a movement; frames were lost.") for span in spans(same)]


def mend_stalls(recording: Recording, findings: list[Finding]) -> Motion:
    """Interpolate short stalls."""
    motion, root, rotations = recording.motion, recording.motion.root_pos.copy(), recording.motion.rotations.copy()
    for finding in findings:
        first, last = finding.frames
        if last - first + 1 <= LONGEST:
            times = np.arange(first, last + 1)
            share = (times - first + 1) / (last - first + 2)
            root[times] = root[first - 1] + share[:, None] * (root[last + 1] - root[first - 1])
            rotations[times] = rotation.slerp(motion.rotations[first - 1], motion.rotations[last + 1], share[:, None])
    return replace(motion, root_pos=root, rotations=rotations)


def _chains(skeleton: Skeleton) -> np.ndarray:
    """Return the length of the longest chain of joints below each, (J,)."""
    below = np.zeros(len(skeleton), int)
    for joint in range(len(skeleton) - 1, 0, -1):
        parent = skeleton.parents[joint]
        if parent >= 0:
            below[parent] = max(below[parent], below[joint] + 1)
    return below


def _limits(fps: float) -> tuple[float, float]:
    """Return the limits at this frame rate: frames that are closer together lie closer to the curve."""
    return tuple(limit * float(np.clip(30.0 / fps, 0.3, 3.0)) for limit in (_TURN, _MOVE))  # type: ignore[return-value]


def _without_outliers(values: np.ndarray, limit: float, turns: bool = False
                      ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values (T, n) without outliers, which frames were, (T,) bool, and how far off each of them was, (T,).

    The worst are replaced first, since an outlier spoils the curves of its neighbours too.
    """
    values = rotation.continuous(values) if turns else np.array(values)
    flags, worst = np.zeros(len(values), bool), np.zeros(len(values))
    for _ in range(_PASSES):
        options = [_off_curve(values, width, turns) for width in range(1, LONGEST + 1)]
        score = np.max([off for off, _ in options], axis=0)
        peaks = [t for t in np.flatnonzero(score > limit)
                 if score[t] >= score[max(t - 4, 0) : t + 5].max() - 1e-12 and not flags[max(t - 4, 0) : t].any()]
        if not peaks:
            break
        for t in peaks:
            width = next(w for w, (off, _) in enumerate(options, start=1) if off[t] >= score[t] - 1e-12)
            rows = np.arange(t, t + width)
            flags[rows], worst[rows] = True, np.maximum(worst[rows], score[t])
            values[rows] = options[width - 1][1][t]
        values = rotation.continuous(rotation.normalize(values)) if turns else values
    for end, near, next_ in ((0, 1, 2), (-1, -2, -3)) if len(values) > 3 else ():
        guess = 2 * values[near] - values[next_]
        guess = rotation.normalize(guess) if turns else guess
        off = float(rotation.angle(guess, values[end]) if turns else np.linalg.norm(guess - values[end]))
        if off > _END * limit:  # as where a file begins with its rest pose
            values[end], flags[end], worst[end] = guess, True, off
    return values, flags, worst


def _off_curve(values: np.ndarray, width: int, turns: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return how far the nearest of `width` frames from each one on is off a cubic through two frames before and two
    after them, (T,), and what the cubic gives there, (T, width, n).

    Where the frames before and after do not join either, it is a jump and no outlier: 0.
    """
    count = len(values)
    off, curve = np.zeros(count), np.zeros((count, width, values.shape[1]))
    starts = np.arange(2, count - width - 1)
    if not len(starts):
        return off, curve
    nodes = np.array([-2.0, -1.0, width, width + 1.0])
    around = values[starts[:, None] + nodes.astype(int)]
    at = np.arange(width)
    weights = np.stack([np.prod([(at - other) / (node - other) for other in nodes if other != node], axis=0)
                        for node in nodes], axis=1)
    curve[starts] = np.einsum("wm,tmn->twn", weights, around)
    real = values[starts[:, None] + at]
    if turns:
        distance = rotation.angle(rotation.normalize(curve[starts]), real)
    else:
        distance = np.linalg.norm(curve[starts] - real, axis=-1)
    across = around[:, 2] - around[:, 1]
    usual = 0.5 * (width + 1) * (around[:, 1] - around[:, 0] + around[:, 3] - around[:, 2])
    apart = np.linalg.norm(across - usual, axis=1) * (2.0 if turns else 1.0)
    nearest = distance.min(axis=1)
    off[starts] = np.where(nearest > apart, nearest, 0.0)
    return off, curve


def _stalled(recording: Recording) -> np.ndarray:
    """Return which frames are the same as the one before, between frames of a body that moves, (T,) bool."""
    motion, joints = recording.motion, recording.joints
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1).mean(axis=1) * motion.fps
    same = np.concatenate([[False], speed < 1e-6])
    out = np.zeros(len(same), bool)
    for first, last in spans(same):
        moves = first > 1 and last < len(same) - 1 and min(speed[first - 2], speed[last]) > _MOVES
        out[first : last + 1] = moves
    return out
