"""What moves as nobody can: jumps and speeds. Short jumps are taken out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from retarget.motion import Motion
from sfv_core.aid.finding import Finding, frames_text, joint_text, spans
from sfv_core.aid.recording import Recording

_FASTEST = 12.5
"""Speed of the root in m/s that nobody exceeds: the fastest sprint measured is 12.4."""
_KNOCK = 4.0
"""Change of the root's velocity in m/s from one frame to the next and back that no push gives."""
FARTHEST_MENDED = 1.0
"""Length of a jump in m up to which it is taken out."""
_SPIN = {"pelvis": 30.0, "spine3": 25.0, "neck": 30.0, "hip": 35.0, "knee": 40.0, "ankle": 40.0, "shoulder": 80.0,
         "elbow": 50.0}
"""Angular speed of joints in rad/s that nobody exceeds. Pitchers' elbows reach about 43 and their shoulders, twist
aside, about 60; kicking knees about 30; skaters spin at about 30."""


def find_jumps(recording: Recording) -> list[Finding]:
    """Find moments at which the body is somewhere else at once."""
    found = []
    for first, last in spans(_jumping(recording)):
        way = float(np.linalg.norm(_excess(recording, first, last)))
        found.append(Finding("jump", (first, last + 1), way, "m", f"Between frames {first} and {last + 1} the whole "
                             f"body jumps {way:.2g} m; nobody moves like that."))
    return found


def mend_jumps(recording: Recording, findings: list[Finding]) -> Motion:
    """Take short jumps over the ground out: all that follows is moved back."""
    root = recording.motion.root_pos.copy()
    for finding in findings:
        if finding.amount <= FARTHEST_MENDED:
            first, last = finding.frames[0], finding.frames[1] - 1
            excess = _excess(recording, first, last) * np.array([1.0, 1.0, 0.0])
            share = np.clip((np.arange(len(root)) - first) / (last + 1 - first), 0.0, 1.0)
            root -= share[:, None] * excess
    return replace(recording.motion, root_pos=root)


def find_speeds(recording: Recording) -> list[Finding]:
    """Find roots and joints that are faster than anybody's."""
    found = []
    speed = np.linalg.norm(recording.velocity, axis=1)
    for first, last in spans((speed > _FASTEST) & ~_jumping(recording)):
        amount = float(speed[first : last + 1].max())
        found.append(Finding("speed", (first, last + 1), amount, "m/s", f"The whole body moves at {amount:.3g} m/s in "
                             f"{frames_text((first, last + 1))}; the fastest sprinters reach 12."))
    for j, link in enumerate(recording.character.links):
        limit = _SPIN.get(link.name.rpartition("_")[2], 80.0)
        for first, last in spans(recording.spins[:, j] > limit, gap=1):
            amount = float(recording.spins[first : last + 1, j].max())
            found.append(Finding("speed", (first, last + 1), amount, "rad/s", f"The {joint_text(link.name)} turns at "
                                 f"{np.degrees(amount):.0f}°/s in {frames_text((first, last + 1))}; people's stay "
                                 f"below {np.degrees(limit):.0f}.", link.name))
    return found


def _jumping(recording: Recording) -> np.ndarray:
    """Return which steps from a frame to the next, at most two in a row, are out of line with others, (T − 1,) bool."""
    velocity, count = recording.velocity, len(recording.velocity)
    out = np.zeros(count, bool)
    for width in (1, 2) if count > 2 else ():
        usual = _usual(velocity, width)
        steps = np.lib.stride_tricks.sliding_window_view(velocity, width, axis=0)
        apart = np.linalg.norm(steps - usual[..., None], axis=1)
        jumps = np.flatnonzero(np.all(apart > (_KNOCK + np.linalg.norm(usual, axis=1))[:, None], axis=1))
        out[jumps[:, None] + np.arange(width)] = True
    return out


def _usual(velocity: np.ndarray, width: int) -> np.ndarray:
    """Return the velocity around each `width` steps in m/s, from two steps on each side, (N − width + 1, 3)."""
    padded = np.pad(velocity, ((2, 2), (0, 0)), constant_values=np.nan)
    count = len(velocity) - width + 1
    around = np.stack([padded[at : at + count] for at in (0, 1, width + 2, width + 3)])
    return np.nanmedian(around, axis=0)


def _excess(recording: Recording, first: int, last: int) -> np.ndarray:
    """Return how much farther than usual the body goes in the steps first … last, (3,) m."""
    width = last + 1 - first
    steps = recording.velocity[first : last + 1]
    usual = _usual(recording.velocity, width)[first] if width < len(recording.velocity) else np.zeros(3)
    return (steps - usual).sum(axis=0) / recording.motion.fps


