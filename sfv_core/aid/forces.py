"""What a motion asks for that the character or the ground cannot give."""

from __future__ import annotations

import numpy as np

from sfv_core.aid.finding import Finding, frames_text, joint_text, spans
from sfv_core.aid.recording import Recording

STRONG = 1.5
"""Share of a joint's limit above which it is asked for too much; clean acrobatics reach it for moments."""
HELD = 0.75
"""Force in body weights above which a body moves as if somebody held or pushed it."""
_SHORTEST_S = 0.1
"""Shorter moments in s are impacts, which the body's own give carries."""


def find_weakness(recording: Recording) -> list[Finding]:
    """Find moments that ask a joint for more than its strength."""
    found = []
    shares = recording.effort.shares
    for i, link in enumerate(recording.character.links):
        for first, last in _lasting(shares[:, i] > STRONG, recording.motion.fps):
            amount = float(shares[first : last + 1, i].max())
            found.append(Finding("strength", (first, last), amount, "× strength", f"{frames_text((first, last), True)} "
                                 f"ask for {amount:.1f} × the {joint_text(link.name)}'s strength.", link.name))
    return found


def find_support(recording: Recording) -> list[Finding]:
    """Find moments in which neither gravity nor the ground moves the body as it moves."""
    missing = recording.effort.missing
    size = np.linalg.norm(missing, axis=1)
    found = []
    for first, last in _lasting(size > HELD, recording.motion.fps):
        mean = missing[first : last + 1].mean(axis=0)
        amount = float(size[first : last + 1].max())
        found.append(Finding("support", (first, last), amount, "body weights", f"In {frames_text((first, last))} "
                             f"{_how(mean)}, by up to {amount:.1f} × its weight."))
    return found


def _how(force: np.ndarray) -> str:
    """Say what a missing force looks like. force: (3,) in body weights."""
    if abs(force[2]) < np.linalg.norm(force[:2]):
        return "the body is pushed along with nothing to push it"
    return "the body is held up with nothing under it" if force[2] > 0 else "the body falls faster than it can"


def _lasting(flags: np.ndarray, fps: float) -> list[tuple[int, int]]:
    """Return first and last frame of what lasts long enough to count, (T,) bool."""
    return spans(flags, shortest=max(round(_SHORTEST_S * fps), 2), gap=1)
