"""Slide, penetration and jitter of motions before and after first aid, and what it finds of faults that were put in.

python -m benchmarks.first_aid [--json] [--captures]

Captured clips: the rendered walk, spinkick and backflip through the whole capture (--captures; a minute each), else not
measured. Spoiled clips: DeepMimic's walk, kick and cartwheel with noise of 1.7° and 1 cm, standing feet 10 cm above the
floor for half a second, a foot dragged by 13 cm, and single frames 60° and 30 cm off. Their baseline is before first
aid; errors are those of the joints against the clip as it was. A clean clip is one of ten of DeepMimic's that is not to
change.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, main
from retarget import kinematics, rotation
from retarget.motion import Motion
from sfv_core.aid import first_aid, fit_with_aid
from sfv_core.aid.measures import measures
from sfv_core.aid.recording import Recording
from sfv_core.character.build import character_for
from sfv_core.character.character import Character
from sfv_core.character.deepmimic import load_clip
from sfv_core.character.fit import fit
from sfv_core.config import CaptureConfig
from sfv_core.progress import no_progress

_EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
CAPTURED = ("walk", "spinkick", "backflip")
SPOILED = ("walk", "kick", "cartwheel")
CLEAN = ("walk", "run", "jump", "kick", "punch", "cartwheel", "spinkick", "backflip", "crawl", "spin")
_UNITS = {"slide_cm_s": "cm/s", "penetration_cm": "cm", "jitter": "10 m/s³", "strength": "× limit"}


def measure(options: argparse.Namespace) -> list[Figure]:
    """Measure everything that was asked for."""
    figures = [Figure("clean_clips_changed_cm", max(_change(name) for name in CLEAN), "cm", goal=0.0)]
    for name in SPOILED:
        figures += _spoiled(name)
    for name in CAPTURED if options.captures else ():
        figures += _captured(name)
    return figures


def _change(name: str) -> float:
    """Return how far first aid moves a joint of a clean clip at most, in cm."""
    motion = load_clip(name, 30.0)
    character = character_for(motion.skeleton)
    before = fit(motion, character)
    return 100 * float(_distances(before, first_aid(before, character)[0]).max())


def _spoiled(name: str) -> list[Figure]:
    """Spoil a clip and mend it."""
    clip = replace(load_clip(name, 30.0), loop=False)
    character = character_for(clip.skeleton)
    clean = fit(clip, character)
    spoiled = _spoil(clean, character)
    mended, findings = first_aid(spoiled, character)
    figures = _both(f"spoiled_{name}", Recording(spoiled, character), Recording(mended, character))
    errors = [100 * float(_distances(clean, motion).mean()) for motion in (spoiled, mended)]
    faults = [finding for finding in findings if finding.kind not in ("support", "strength")]
    share = sum(finding.repaired for finding in faults) / max(len(faults), 1)
    return [*figures, Figure(f"spoiled_{name}_error_cm", errors[1], "cm", errors[0]),
            Figure(f"spoiled_{name}_mended_share", share, "of what was found", goal=1.0)]


def _spoil(motion: Motion, character: Character) -> Motion:
    """Put faults into a motion, the same ones each time."""
    generator, count = np.random.default_rng(0), len(motion)
    noise = rotation.from_rotvec(generator.normal(0.0, 0.03, (*motion.rotations.shape[:2], 3)))
    noise[:, character.hinges] = rotation.IDENTITY
    time, middle = np.arange(count), count // 2
    root = motion.root_pos + generator.normal(0.0, 0.01, motion.root_pos.shape)
    root[:, 2] += np.interp(time, [middle, middle + 3, middle + 15, middle + 18], [0.0, 0.1, 0.1, 0.0])
    root[:, 0] += 0.13 * np.clip((time - 2) / 11, 0.0, 1.0)
    root[middle - 6] += 0.3
    rotations = rotation.multiply(motion.rotations, noise)
    hip = character.index("left_hip")
    turn = rotation.from_rotvec(np.radians([60.0, 0.0, 0.0]))
    rotations[middle + 8, hip] = rotation.multiply(rotations[middle + 8, hip], turn)
    return replace(motion, root_pos=root, rotations=rotations)


def _captured(name: str) -> list[Figure]:
    """Capture a rendered clip and treat it as a training does."""
    from sfv_core.capture import capture

    with tempfile.TemporaryDirectory() as folder:
        capture(_EXAMPLES / f"{name}.mp4", Path(folder), CaptureConfig(), no_progress)
        motion = Motion.load(Path(folder) / "motion.npz")
    character = character_for(motion.skeleton)
    mended, findings = fit_with_aid(motion, character)
    figures = _both(f"captured_{name}", Recording(fit(motion, character), character), Recording(mended, character))
    return [*figures, Figure(f"captured_{name}_findings", float(len(findings)), "findings")]


def _both(name: str, before: Recording, after: Recording) -> list[Figure]:
    """Return the measures after first aid, with those before it as the baseline."""
    old, new = measures(before), measures(after)
    return [Figure(f"{name}_{key}", getattr(new, key), unit, getattr(old, key)) for key, unit in _UNITS.items()]


def _distances(one: Motion, other: Motion) -> np.ndarray:
    """Return the distances of the joints seen from the root in m, (T, J)."""
    seen = [kinematics.world_poses(motion)[0] - motion.root_pos[:, None] for motion in (one, other)]
    return np.linalg.norm(seen[0] - seen[1], axis=-1)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--captures", action="store_true", help="also capture the rendered clips, a minute each")


if __name__ == "__main__":
    main(measure, __doc__ or "", _arguments)
