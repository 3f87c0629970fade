"""Trembling: noise from frame to frame, found by its sixth differences and taken out without touching fast motion.

The nth difference of white noise grows as √(2n over n), that of a smooth motion shrinks; what is left at n = 6 is
noise. The median over half a second and over all joints keeps kicks and landings, which are short and of few joints,
from counting.
"""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, median_filter

from retarget import rotation
from retarget.motion import Motion
from sfv_core.aid.dynamics import low_pass
from sfv_core.aid.finding import Finding, frames_text, spans
from sfv_core.aid.recording import Recording

_ORDER = 6
_TURNS, _PLACE = 0.012, 0.009
"""Standard deviation of the joints' angles in rad, and of the root's place in m, above which a motion trembles."""
_WINDOW_S = 0.6
_CUTOFF = 6.0
"""Frequency in Hz above which trembling is taken out; people's own motion lies below it but for impacts and kicks."""
_SURE = 2.0
"""Standard deviations of the noise beyond which a difference from the smooth motion is motion."""
_PASSES = 3
_MEDIAN = 2.366 / 3
"""Median of the mean square of three normal numbers."""


def jitter(places: np.ndarray, fps: float) -> np.ndarray:
    """Return the joints' mean third derivative in units of 10 m/s³ for each frame. places: (T, J, 3) m → (T,)."""
    out = np.zeros(len(places))
    if len(places) > 3:
        third = np.linalg.norm(np.diff(places, 3, axis=0), axis=-1).mean(axis=1) * fps**3 / 10
        out[1:-2] = third
        out[[0, -2, -1]] = third[[0, -1, -1]]
    return out


def find_jitter(recording: Recording) -> list[Finding]:
    """Find spans in which the joints or the root tremble."""
    turns, place = _noises(recording)
    values = jitter(recording.joints, recording.motion.fps)
    found = []
    for first, last in spans((turns > _TURNS) | (place > _PLACE), shortest=3, gap=round(0.2 * recording.motion.fps)):
        span = (first, last)
        amount = float(values[first : last + 1].mean())
        noise = float(np.degrees(turns[first : last + 1].max()))
        found.append(Finding("jitter", span, amount, "10 m/s³", f"The body trembles in {frames_text(span)}: its "
                             f"joints by about {noise:.1f}°, {100 * place[first : last + 1].max():.1f} cm as a whole."))
    return found


def mend_jitter(recording: Recording, findings: list[Finding]) -> Motion:
    """Smooth trembling spans, again where noise remains; what differs from the smooth motion by more stays as it is."""
    motion = recording.motion
    for _ in range(_PASSES):
        motion = _smoothed(recording, findings)
        recording = Recording(motion, recording.character)
        findings = find_jitter(recording)
        if not findings:
            break
    return motion


def _smoothed(recording: Recording, findings: list[Finding]) -> Motion:
    """Take trembling out once."""
    motion = recording.motion
    turns, place = _noises(recording)
    fade = _fade(findings, len(motion), motion.fps)
    rotations = rotation.continuous(motion.rotations)
    smooth = rotation.continuous(rotation.normalize(low_pass(rotations, motion.fps, _CUTOFF)))
    step = rotation.to_rotvec(rotation.multiply(rotation.inverse(rotations), smooth))
    step *= (fade * _noise_share(np.linalg.norm(step, axis=-1).T, turns))[..., None].swapaxes(0, 1)
    move = low_pass(motion.root_pos, motion.fps, _CUTOFF) - motion.root_pos
    move *= (fade * _noise_share(np.linalg.norm(move, axis=-1), place))[:, None]
    rotations = rotation.multiply(rotations, rotation.from_rotvec(step))
    for i in recording.character.hinges:
        link = recording.character.links[i]
        angle = np.clip(rotation.to_rotvec(rotations[:, i]) @ np.array(link.axis), *link.limits)
        rotations[:, i] = rotation.from_rotvec(angle[:, None] * np.array(link.axis))
    return replace(motion, root_pos=motion.root_pos + move, rotations=rotations)


def _noises(recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    """Return the noise of the joints' angles in rad, and of the root's place in m, around each frame, (T,) each."""
    motion = recording.motion
    local = rotation.continuous(motion.rotations[:, : len(recording.character.links)])
    return (np.median(_noise(2 * local[..., 1:], motion.fps), axis=1),
            _noise(motion.root_pos[:, None], motion.fps)[:, 0])


def _noise(values: np.ndarray, fps: float) -> np.ndarray:
    """Return the standard deviation of the noise in values (T, J, 3) around each frame, (T, J)."""
    out = np.zeros(values.shape[:2])
    if len(values) < _ORDER + 3:
        return out
    square = (np.diff(values, _ORDER, axis=0) ** 2).sum(axis=-1) / (3 * _MEDIAN * comb(2 * _ORDER, _ORDER))
    half = _ORDER // 2
    out[half:-half] = median_filter(np.sqrt(square), size=(max(9, round(_WINDOW_S * fps)) | 1, 1), mode="nearest")
    out[:half], out[-half:] = out[half], out[-half - 1]
    return out


def _noise_share(difference: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return how much of a difference is noise, 0 to 1. difference: (…, T), noise: (T,)."""
    return 1.0 / (1.0 + (difference / np.maximum(_SURE * noise, 1e-9)) ** 4)


def _fade(findings: list[Finding], count: int, fps: float) -> np.ndarray:
    """Return a weight that is 1 in the findings and fades within a tenth of a second around them, (T,)."""
    inside = np.zeros(count)
    for finding in findings:
        inside[finding.frames[0] : finding.frames[1] + 1] = 1.0
    reach = max(round(0.1 * fps), 1)
    return np.maximum(gaussian_filter1d(maximum_filter1d(inside, 2 * reach + 1), reach / 2), inside)
