"""What a take's report says: in words where something went wrong, and as curves over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from retarget.contact import runs
from sfv_core.character.character import Character
from sfv_core.config import SimulateConfig
from sfv_core.push import Push
from sfv_core.takes.disturbed import RECORD_RATE
from sfv_core.takes.figures import errors
from sfv_core.takes.take import Take

FORMAT_VERSION = 1
_BLAMED_S = 3.0
"""A fall within this time in s after a push began is said to be its doing."""


def advice(take: Take, config: SimulateConfig) -> str:
    """Say what went wrong and what to do about it; empty where nothing did."""
    if take.fell is None and take.lost is None:
        return ""
    what, when = ("falls", take.fell) if take.fell is not None else ("loses the motion", take.lost)
    assert when is not None
    push = blamed(when, config.pushes())
    if push is not None:
        return f"The simulated body {what} at {when:.1f} s, {when - push.time:.1f} s after the push of {push.text()}."
    said = f"The simulated body {what} at {when:.1f} of {take.seconds:.1f} s"
    other = changes(config)
    if other:
        return f"{said} with {', '.join(other)}."
    return f"{said}. Train it for more minutes: the training goes on where it stopped."


def blamed(fell: float, pushes: tuple[Push, ...]) -> Push | None:
    """Return the last push before a fall, unless it was long ago."""
    before = [push for push in pushes if 0 <= fell - push.time <= _BLAMED_S]
    return max(before, key=lambda push: push.time, default=None)


def changes(config: SimulateConfig) -> list[str]:
    """Return what was different from the training, in words."""
    said = [f"{getattr(config, name):g} × {name}" for name in ("mass", "strength", "friction", "gravity")
            if getattr(config, name) != 1.0]
    if config.slope:
        said.append(f"a slope of {config.slope:g}° {config.slope_dir}")
    return said + ([f"{config.latency:g} ms latency"] if config.latency else [])


def take_json(take: Take, character: Character, config: SimulateConfig) -> dict[str, Any]:
    """Return the curves of a take, plain lists that JSON takes."""
    links = [link.name for link in character.links]
    contacts = {links[i]: [[first / RECORD_RATE, (last - 1) / RECORD_RATE] for first, last in runs(take.contacts[:, i])]
                for i in np.flatnonzero(take.contacts.any(axis=0))}
    return {"format": FORMAT_VERSION, "fps": RECORD_RATE, "links": links,
            "error_cm": (100 * errors(take.state, take.goal)).round(3).tolist(),
            "drift_cm": (100 * np.linalg.norm(take.state.positions[:, 0] - take.goal.positions[:, 0], axis=-1)
                         ).round(3).tolist(),
            "torque_share": {links[i]: take.torques[:, i].round(3).tolist() for i in range(1, len(links))},
            "contacts_s": contacts, "fell_s": take.fell, "lost_s": take.lost, "changes": changes(config),
            "pushes": [{"time_s": push.time, "duration_s": push.duration, "force_n": push.force, "body": push.body,
                        "direction": push.direction, "text": push.text()} for push in config.pushes()]}


def ranking_lines(report: dict[str, Any]) -> list[str]:
    """Lay the ranking of several takes out for people; empty where there was but one."""
    def cell(value: float | None, digits: int = 1) -> str:
        return "–" if value is None else f"{value:.{digits}f}"

    if "takes" not in report:
        return []
    rows = [("rank", "take", "falls at", "error", "drift", "slide", "sinks", "jitter", "quality")]
    rows += [(str(row["rank"]), str(row["take"]), "–" if row["fell_s"] is None else f"{row['fell_s']:.1f} s",
              f"{row['error_cm']:.1f} cm", f"{row['drift_cm']:.0f} cm", f"{cell(row['slide_cm_s'])} cm/s",
              f"{row['penetration_cm']:.1f} cm", cell(row["jitter"]), cell(row["quality"], 2))
             for row in report["takes"]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
