"""How a body meets the ground: above it, in it, sliding on it; and how it is put right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import uniform_filter1d

from retarget import kinematics, rotation
from retarget.contact import SLIDES, held, runs
from retarget.motion import Motion
from retarget.smoothing import at_least, smooth
from sfv_core.aid.finding import Finding, body_text, frames_text, spans
from sfv_core.aid.recording import Recording
from sfv_core.reconstruct.legs import bend_leg, lowering

_HOVERS = 0.06
"""Height in m above the ground at which a standing sole hovers; those of clean clips that roll reach 5 cm."""
_HOVERS_S = 0.1
"""Time in s from which it counts."""
_SUNK = 0.02
"""Depth in m at which a body is in the ground; engines and soles give way by about one."""
_KEPT = 0.01
"""Depth in m that may remain: a foot that rolls needs it."""
_SLIDING, _SLIDING_S, _DRIFT = 0.35, 0.25, 0.05
"""Mean speed in m/s over a time in s, and way in m, above which a foot that stands slides; in clean clips feet shuffle
at up to 0.33."""
_SOON_S = 0.1
"""Time in s within which a correction of the height sets in."""
_KNEES_BEND = np.array([0.0, -1.0, 0.0])


def find_hovering(recording: Recording) -> list[Finding]:
    """Find stances whose soles are above the ground."""
    heights = _stance_heights(recording)
    found = []
    for first, last in spans(np.nan_to_num(heights) > _HOVERS, round(_HOVERS_S * recording.motion.fps)):
        amount = float(np.nanmax(heights[first : last + 1]))
        found.append(Finding("hovering", (first, last), 100 * amount, "cm", f"The feet stand {100 * amount:.0f} cm "
                             f"above the ground in {frames_text((first, last))}."))
    return found


def mend_hovering(recording: Recording, findings: list[Finding]) -> Motion:
    """Move the body down where it stands too high; between stances the correction goes over smoothly."""
    heights = _stance_heights(recording)
    known = np.flatnonzero(np.isfinite(heights))
    if not len(known):
        return recording.motion
    wrong = np.where(heights[known] > 0.5 * _HOVERS, heights[known], 0.0)
    down = np.interp(np.arange(len(heights)), known, wrong)
    down = smooth(down[:, None], _SOON_S * recording.motion.fps / 2)[:, 0]
    root = recording.motion.root_pos.copy()
    root[:, 2] -= down
    return replace(recording.motion, root_pos=root)


def find_sunk(recording: Recording) -> list[Finding]:
    """Find bodies that are in the ground."""
    found = []
    for i, link in enumerate(recording.character.links):
        depth = -recording.lowest[:, i]
        for first, last in spans(depth > _SUNK, gap=2):
            amount = float(100 * depth[first : last + 1].max())
            found.append(Finding("sunk", (first, last), amount, "cm", f"The {body_text(link.name)} is {amount:.1f} cm "
                                 f"in the ground in {frames_text((first, last))}.", link.name))
    return found


def mend_sunk(recording: Recording, findings: list[Finding]) -> Motion:
    """Lift the body where a part of it is in the ground, smoothly."""
    need = np.maximum(-_KEPT - recording.lowest.min(axis=1), 0.0)
    lift = np.maximum(at_least(need, max(round(_SOON_S * recording.motion.fps), 1)), need)
    root = recording.motion.root_pos.copy()
    root[:, 2] += lift
    return replace(recording.motion, root_pos=root)


def find_skating(recording: Recording) -> list[Finding]:
    """Find feet that slide while they stand."""
    found = []
    for row, foot in enumerate(recording.feet):
        name = recording.character.links[foot].name
        for first, last, speed, way in _slides(recording, row):
            found.append(Finding("skating", (first, last), 100 * speed, "cm/s", f"The {body_text(name)} slides "
                                 f"{100 * way:.0f} cm at {100 * speed:.0f} cm/s while it stands in "
                                 f"{frames_text((first, last))}.", name))
    return found


def mend_skating(recording: Recording, findings: list[Finding]) -> Motion:
    """Hold feet that slide where they stand, bending the legs; the root comes down where a leg cannot reach."""
    motion, character = recording.motion, recording.character
    places, turns = kinematics.world_poses(motion)
    limit = SLIDES * float(np.median(motion.root_pos[:, 2]))
    goals, need = {}, np.zeros(len(motion))
    for name in sorted({finding.joint for finding in findings if finding.joint}):
        row = recording.feet.index(character.index(name))
        foot, knee = recording.feet[row], character.links[recording.feet[row]].parent
        hip = character.links[knee].parent
        stands = _in_findings(recording.carries[:, row], [f for f in findings if f.joint == name])
        soles = recording.soles[:, row, :, :2]
        move = held(soles, np.zeros_like(soles), stands, motion.fps, limit)
        goal = places[:, foot] + np.concatenate([move, np.zeros((len(move), 1))], axis=1)
        goals[(hip, knee, foot)] = goal
        length = float(np.linalg.norm(character.offsets[[knee, foot]], axis=1).sum())
        need = np.maximum(need, lowering(places[:, hip], goal, length) * stands.any(axis=1))
    down = at_least(need, max(round(_SOON_S * motion.fps), 1))[:, None] * np.array([0.0, 0.0, -1.0])
    places, turns = places + down[:, None], turns.copy()
    for leg, goal in goals.items():
        turns[:, leg[:2]] = bend_leg(places[:, leg], turns[:, leg[:2]], goal, _KNEES_BEND)
    return replace(motion, root_pos=motion.root_pos + down, rotations=_hinged(recording, turns))


def slide(recording: Recording) -> float:
    """Return the mean speed in m/s of the soles' standing ends; 0 where nothing stands."""
    steps, both = _sole_steps(recording)
    speeds = np.linalg.norm(steps, axis=-1) * recording.motion.fps
    return float(speeds[both].mean()) if both.any() else 0.0


def _hinged(recording: Recording, turns: np.ndarray) -> np.ndarray:
    """Return local rotations (T, J, 4) of world rotations, with knees and elbows about their hinges alone."""
    character = recording.character
    local = kinematics.local_rotations(character.skeleton, turns)
    for i in character.hinges:
        link = character.links[i]
        angle = np.clip(rotation.to_rotvec(local[:, i]) @ np.array(link.axis), *link.limits)
        local[:, i] = rotation.from_rotvec(angle[:, None] * np.array(link.axis))
    return rotation.continuous(local)


def _stance_heights(recording: Recording) -> np.ndarray:
    """Return the height in m of the lowest body while it rests on a foot or touches; NaN in the air, (T,)."""
    lowest = np.maximum(recording.lowest.min(axis=1), 0.0)
    stands = recording.stands.any(axis=(1, 2)) | recording.rests
    return np.where(stands | (lowest < 0.5 * _HOVERS), lowest, np.nan)


def _sole_steps(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Return level steps of the soles' ends from each frame to the next in m, (T − 1, F, 2, 2), and whether they carry
    the body in both, (T − 1, F, 2)."""
    return np.diff(recording.soles[..., :2], axis=0), recording.carries[1:] & recording.carries[:-1]


def _slides(recording: Recording, row: int) -> list[tuple[int, int, float, float]]:
    """Return first and last frame, highest speed in m/s and way in m of the stances of one foot that slide.

    A foot moves as those of its ends do, on average, that carry the body: one that rolls or turns moves little.
    """
    steps, both = (a[:, row] for a in _sole_steps(recording))
    fps = recording.motion.fps
    window = max(round(_SLIDING_S * fps), 1)
    mean = (steps * both[..., None]).sum(axis=1) / np.maximum(both.sum(axis=1), 1)[:, None]
    found = []
    for first, past in runs(both.any(axis=1)):
        speeds = np.linalg.norm(mean[first:past], axis=1) * fps
        fastest = float(uniform_filter1d(speeds, min(window, len(speeds)), mode="nearest").max())
        way = float(np.linalg.norm(np.cumsum(mean[first:past], axis=0), axis=1).max())
        if fastest > _SLIDING and way > _DRIFT:
            found.append((first, past, fastest, way))
    return found


def _in_findings(stands: np.ndarray, findings: list[Finding]) -> np.ndarray:
    """Return which of the stances (T, 2) belong to findings."""
    inside = np.zeros(len(stands), bool)
    for finding in findings:
        inside[finding.frames[0] : finding.frames[1] + 1] = True
    return stands & inside[:, None]
