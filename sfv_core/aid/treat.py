"""Examine a motion on a character's skeleton, mend what is safe to mend, and say what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from retarget.motion import Motion
from sfv_core.aid import captured, forces, ground, jitter, outliers, speeds
from sfv_core.aid.cycles import middle_cycle, three_cycles
from sfv_core.aid.finding import Finding
from sfv_core.aid.recording import Recording
from sfv_core.character.character import Character
from sfv_core.character.fit import fit
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
    spreads: bool = False
    """Whether it changes frames far around, so that a motion that loops is to be mended amid its repetitions."""


_STALL = Check("stall", outliers.find_stalls, outliers.mend_stalls)
_JUMP = Check("jump", speeds.find_jumps, speeds.mend_jumps)
CAPTURED: tuple[Check, ...] = (
    Check("ground", captured.find_offset),
    Check("unseen", captured.find_unseen),
    _STALL, Check("outlier", partial(outliers.find_outliers, carried=2), outliers.mend_outliers), _JUMP,
)
"""What is looked for on the captured skeleton, before a single wrong frame can spoil the fit to the ground."""

CHECKS: tuple[Check, ...] = (
    _STALL, Check("outlier", outliers.find_outliers, outliers.mend_outliers), _JUMP,
    Check("jitter", jitter.find_jitter, jitter.mend_jitter),
    Check("hovering", ground.find_hovering, ground.mend_hovering, spreads=True),
    Check("skating", ground.find_skating, ground.mend_skating, spreads=True),
    Check("sunk", ground.find_sunk, ground.mend_sunk, spreads=True),
    Check("speed", speeds.find_speeds),
    Check("support", forces.find_support),
    Check("strength", forces.find_weakness),
)
"""What is looked for on the character's skeleton, in the order in which it is mended: each spoils those after it."""


def examine(motion: Motion, character: Character) -> tuple[Finding, ...]:
    """Return what is wrong with a motion on the character's skeleton (see sfv_core/character/fit.py)."""
    _check_places(motion)
    recording = Recording(motion, character)
    return tuple(finding for check in CHECKS for finding in check.find(recording))


def first_aid(motion: Motion, character: Character) -> tuple[Motion, tuple[Finding, ...]]:
    """Return the motion with what is safe to mend mended, and what was found; a clean motion comes back as it is.

    motion: on the character's skeleton. Raise SfvError where nothing can be learnt from it: what is left jumps by
    metres or is faster than anybody.
    """
    recording, found = treat(motion, character, CHECKS)
    _refuse(found)
    return recording.motion, found


def fit_with_aid(motion: Motion, character: Character) -> tuple[Motion, tuple[Finding, ...]]:
    """Fit a captured motion to the character (see sfv_core/character/fit.py), with first aid before and after.

    Raise SfvError as `fit` and `first_aid` do.
    """
    recording, found = treat_and_fit(motion, character)
    _refuse(found)
    return recording.motion, found


def treat_and_fit(motion: Motion, character: Character) -> tuple[Recording, tuple[Finding, ...]]:
    """Do the same for a motion that nothing can be learnt from, too: to look at what is wrong."""
    captured, before = treat(motion, character, CAPTURED)
    fitted, after = treat(fit(captured.motion, character), character, CHECKS)
    return fitted, before + tuple(finding for finding in after if not any(map(finding.overlaps, before)))


def treat(motion: Motion, character: Character, checks: tuple[Check, ...]
          ) -> tuple[Recording, tuple[Finding, ...]]:
    """Return the motion after these checks' remedies, and their findings: mended is what is not found again."""
    _check_places(motion)
    found: list[Finding] = []
    recording = Recording(motion, character)
    for check in checks:
        findings = check.find(recording)
        if findings and check.mend:
            recording = Recording(_mended(check, recording, findings), character)
            left = check.find(recording)
            findings = [replace(finding, repaired=not any(map(finding.overlaps, left))) for finding in findings]
        found += findings
    return recording, tuple(found)


def _mended(check: Check, recording: Recording, findings: list[Finding]) -> Motion:
    """Return the motion without these findings."""
    assert check.mend is not None
    if not check.spreads or not recording.motion.loop or len(recording.motion) < 2:
        return check.mend(recording, findings)
    repeated = Recording(three_cycles(recording.motion), recording.character)
    return middle_cycle(check.mend(repeated, check.find(repeated)), recording.motion)


def _refuse(found: tuple[Finding, ...]) -> None:
    """Raise SfvError if nothing can be learnt from a motion with these findings."""
    reason = hopeless(found)
    if reason:
        raise SfvError(reason)


def hopeless(findings: tuple[Finding, ...]) -> str | None:
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
