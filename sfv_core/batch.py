"""Many motions onto many rigs: a file for each rig with an Action of each motion; one that fails stops no other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .bake import bake
from .config import BakeConfig
from .errors import SfvError
from .inputs import existing_file
from .progress import Progress, no_progress

Report = dict[str, Any]


def bake_all(motions: Sequence[Path], rigs: Sequence[Path], outs: Sequence[Path], config: BakeConfig,
             progress: Progress = no_progress) -> Report:
    """Bake every motion onto every rig; outs: the file to write for each rig.

    Return {"rigs": [a bake's report each], "failed": {path, or "motion onto rig": text}}.
    """
    failed: dict[str, str] = {}
    names = {name: path for name, path in named(motions).items() if _usable(path, "motion", failed)}
    reports: list[Report] = []
    for number, (rig, out) in enumerate(zip(rigs, outs, strict=True)):
        if names and _usable(rig, "rig", failed):
            try:
                report = bake(names, rig, out, _counting(progress, rig, number, len(rigs), len(names)), config, True)
            except SfvError as error:
                failed[str(rig)] = str(error)
                continue
            failed |= {f"{names[name]} onto {rig}": text for name, text in report["failed"].items()}
            reports += [report] if report["actions"] else []
    return {"rigs": reports, "failed": failed}


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Give each file a name: its stem, with folders before it as far as it takes to tell files apart."""
    unique = list({path.absolute(): path for path in paths}.values())
    found: dict[str, Path] = {}
    for path in unique:
        parts = (*path.absolute().parts[1:-1], path.stem)
        others = [(*other.absolute().parts[1:-1], other.stem) for other in unique if other != path]
        depth = next((n for n in range(1, len(parts)) if parts[-n:] not in [other[-n:] for other in others]),
                     len(parts))
        name = " ".join(parts[-depth:])
        found[path.name if name in found else name] = path
    return found


def lines(report: Report) -> list[str]:
    """Say what was baked, an Action a line."""
    said, file = [], Path(report["out"]).name
    for name, action in report["actions"].items():
        first, last = action["frames"]
        keys = f"{action['keys']:,} keys".replace(",", " ")
        if action["keys"] < action["all_keys"]:
            keys = (f"{action['all_keys']:,} → {action['keys']:,} keys".replace(",", " ")
                    + f", at most {action['error_deg']:.2f}° and {action['error_mm']:.1f} mm off")
        said.append(f"{file}  {name}  frames {first:g} to {last:g}  {action['bones']} bones  {keys}")
    return said + [f"  note: {note}" for note in report["notes"]]


def _usable(path: Path, what: str, failed: dict[str, str]) -> bool:
    """Tell whether an input is there; note why not."""
    try:
        existing_file(path, what)
    except SfvError as error:
        failed[str(path)] = str(error)
        return False
    return True


def _counting(progress: Progress, rig: Path, number: int, rigs: int, motions: int) -> Progress:
    """Count motions over all rigs."""
    def counted(stage: str, done: float, total: float, **numbers: float) -> None:
        if stage == "bake":
            progress(f"{rig.stem} ({number + 1} of {rigs})", number * motions + done, rigs * motions, **numbers)

    return counted
