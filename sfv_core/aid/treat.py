"""Examine a motion on a character's skeleton, mend what is safe to mend, and say what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from retarget.motion import Motion
from sfv_core.aid import forces, ground, jitter, outliers, speeds
from sfv_core.aid.finding import Finding
from sfv_core.aid.recording import Recording
from sfv_core.character.character import Character
from sfv_core.errors import SfvError

_FARTHEST = 1000.0
"""Distance from the world's origin in m beyond which numbers are no places of a person."""


@dataclass(frozen=True)
class Check:
    """One thing that may be wrong."""

    kind: str
    find: Callable[[Recording], list[Finding]]
    mend: Callable[[Recording, list[Finding]], Motion] | None = None
    """Returns the motion without it; None where nothing is safe."""


CHECKS: tuple[Check, ...] = (
    Check("stall", outliers.find_stalls, outliers.mend_stalls),
    Check("outlier", outliers.find_outliers, outliers.mend_outliers),
    Check("jump", speeds.find_jumps, speeds.mend_jumps),
    Check("jitter", jitter.find_jitter, jitter.mend_jitter),
    Check("hovering", ground.find_hovering, ground.mend_hovering),
    Check("skating", ground.find_skating, ground.mend_skating),
    Check("sunk", ground.find_sunk, ground.mend_sunk),
    Check("speed", speeds.find_speeds),
    Check("support", forces.find_support),
    Check("strength", forces.find_weakness),
)
"""In the order in which they are mended: each one spoils those after it."""


def examine(motion: Motion, character: Character) -> tuple[Finding, ...]:
    """Return what is wrong with a motion on the character's skeleton (see sfv_core/character/fit.py)."""
    _check_places(motion)
    recording = Recording(motion, character)
    return tuple(finding for check in CHECKS for finding in check.find(recording))


def first_aid(motion: Motion, character: Character) -> tuple[Motion, tuple[Finding, ...]]:
    """Return the motion with what is safe to mend mended, and what was found; a clean motion comes back as it is.

    Raise SfvError where nothing can be learnt from it: what is left jumps by metres or is faster than anybody.
    """
    _check_places(motion)
    found: list[Finding] = []
    for check in CHECKS:
        recording = Recording(motion, character)
        findings = check.find(recording)
        if findings and check.mend:
            motion = check.mend(recording, findings)
            left = check.find(Recording(motion, character))
            findings = [replace(finding, repaired=not any(map(finding.overlaps, left))) for finding in findings]
        found += findings
    reason = hopeless(found)
    if reason:
        raise SfvError(reason)
    return motion, tuple(found)


def hopeless(findings: list[Finding] | tuple[Finding, ...]) -> str | None:
    """Return why no character can learn this motion, and what to do; None if one may."""
    for finding in findings:
        if finding.repaired or finding.joint is not None:
            continue
        if finding.kind == "jump" or (finding.kind == "speed" and finding.unit == "m/s"):
            first, last = finding.frames
            return (f"{finding.text} Nothing can be learnt across that: cut the motion before frame {first} or after "
                    f"frame {last}, or capture it again.")
    return None


def _check_places(motion: Motion) -> None:
    """Raise SfvError if the motion cannot be a person's at all."""
    far = np.abs(motion.root_pos).max(axis=1)
    if far.max() > _FARTHEST:
        frame = int(np.argmax(far > _FARTHEST))
        raise SfvError(f"In frame {frame} the body is {far[frame]:.3g} m away from the world's origin. Give a motion "
                       "in metres, near the origin.")
