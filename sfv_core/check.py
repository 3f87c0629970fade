"""A motion is examined before physics learns it: what is wrong, what first aid mends, whether it can be learnt."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from retarget.errors import RetargetError
from retarget.files import read_motion
from retarget.whole import written_whole
from sfv_core.aid.finding import Finding
from sfv_core.aid.measures import measures
from sfv_core.aid.picture import draw_examination
from sfv_core.aid.recording import Recording
from sfv_core.aid.treat import hopeless, treat_and_fit
from sfv_core.character.build import PlanName, character_for
from sfv_core.character.fit import fit
from sfv_core.errors import SfvError
from sfv_core.imitate.reference import check_length
from sfv_core.progress import Progress

FORMAT_VERSION = 1
STAGE = "check"
FILES = ("findings.json", "repaired.npz", "findings.png")
"""The findings, the mended motion on the character's skeleton, and both as a picture over time."""
_PER_KIND = 6
"""Findings of a kind that are said one by one."""


def check(motion: Path, out: Path | None, plan: PlanName, mass: float | None, progress: Progress) -> dict[str, Any]:
    """Examine a motion file (.npz, .bvh, .amc) for the body `plan` of this mass in kg; see character_for.

    Write `FILES` into `out` if it is given. Raise SfvError that names the file if it is too short, too long or no
    person's.
    """
    progress(STAGE, 0, 4)
    try:
        captured = read_motion(motion)
        check_length(captured)
        character = character_for(captured.skeleton, plan, mass)
        before = Recording(fit(captured, character), character)
        progress(STAGE, 1, 4)
        after, findings = treat_and_fit(captured, character)
    except (SfvError, RetargetError) as error:
        raise SfvError(f"'{motion}': {error}" if str(motion) not in str(error) else str(error)) from error
    progress(STAGE, 2, 4)
    report = {"format": FORMAT_VERSION, "frames": len(captured), "fps": captured.fps, "mass_kg": character.mass,
              "refused": hopeless(findings), "findings": [finding.to_json() for finding in findings],
              "before": asdict(measures(before)), "after": asdict(measures(after))}
    progress(STAGE, 3, 4)
    if out is not None:
        with written_whole(out / FILES[0]) as temporary:
            temporary.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        after.motion.save(out / FILES[1])
        draw_examination(before, after, findings, out / FILES[2])
    progress(STAGE, 4, 4)
    return report


def lines(report: dict[str, Any]) -> list[str]:
    """Say a report for people: what was mended, what remains, and whether it can be learnt."""
    findings = [Finding(**{**row, "frames": tuple(row["frames"])}) for row in report["findings"]]
    said = _listed("mended", [f for f in findings if f.repaired]) + _listed("remains", [f for f in findings
                                                                                       if not f.repaired])
    said += [f"{name}: {report['before'][key]:.3g} {unit}, after first aid {report['after'][key]:.3g}"
             for name, key, unit in (("feet slide", "slide_cm_s", "cm/s"), ("in the ground", "penetration_cm", "cm"),
                                     ("jitter", "jitter", "× 10 m/s³"), ("strength asked for", "strength", "×"))]
    if report["refused"]:
        return [*said, f"It cannot be learnt: {report['refused']}"]
    return [*said, "It can be learnt." if findings else "Nothing is wrong; it can be learnt."]


def _listed(what: str, findings: list[Finding]) -> list[str]:
    """Say each finding, and of many of a kind how many more there are."""
    said = []
    for kind in dict.fromkeys(finding.kind for finding in findings):
        same = sorted((f for f in findings if f.kind == kind), key=lambda finding: -finding.amount)
        worst = sorted(same[:_PER_KIND], key=lambda finding: finding.frames)
        said += [f"{what}: {finding.text}" for finding in worst]
        if len(same) > _PER_KIND:
            said.append(f"{what}: … and {len(same) - _PER_KIND} more of this kind ({kind}), less bad.")
    return said
