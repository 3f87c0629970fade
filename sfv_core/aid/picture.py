"""A picture of an examination: what the body does over time, where it asks for too much, and what was mended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from retarget.contact import runs
from retarget.whole import written_whole
from sfv_core.aid.finding import Finding, body_text, joint_text
from sfv_core.aid.forces import HELD, STRONG
from sfv_core.aid.recording import Recording

_MENDED, _OPEN, _GROUND, _BEFORE = "#2b8a3e", "#c92a2a", "#8d6e63", "0.65"


def draw_examination(before: Recording, after: Recording, findings: tuple[Finding, ...], path: Path) -> None:
    """Draw the motion before and after first aid as a PNG of rows that share the time."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(finding.kind for finding in findings))
    figure = Figure(figsize=(10, 10.5 + 0.22 * len(kinds)), layout="constrained")
    rows: Any = figure.subplots(6, 1, sharex=True, height_ratios=(1.5, 0.5, 1.0, 1.0, 1.7, 0.3 + 0.22 * len(kinds)))
    time = np.arange(len(after.motion)) / after.motion.fps
    _heights(rows[0], before, after, time)
    _feet(rows[1], after)
    _speeds(rows[2], before, after, time)
    _support(rows[3], after, time)
    _strength(rows[4], figure, after)
    _findings(rows[5], kinds, findings, after.motion.fps)
    rows[5].set(xlabel="time, s", xlim=(0, max(time[-1], 1e-3)))
    upper = rows[0].secondary_xaxis("top", functions=(lambda s: s * after.motion.fps, lambda f: f / after.motion.fps))
    upper.set_xlabel("frame")
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")


def _heights(axes: Any, before: Recording, after: Recording, time: np.ndarray) -> None:
    """Show how high the hips and the lowest point are."""
    if _changed(before, after):
        axes.plot(time, before.motion.root_pos[:, 2], color=_BEFORE, label="hips as captured")
        axes.plot(time, before.lowest.min(axis=1), color=_BEFORE, linestyle="--", label="lowest point as captured")
    axes.plot(time, after.motion.root_pos[:, 2], color="#1864ab", label="hips")
    axes.plot(time, after.lowest.min(axis=1), color="#e67700", label="lowest point")
    axes.axhspan(min(-0.15, before.lowest.min() - 0.05), 0.0, color=_GROUND, alpha=0.25, linewidth=0)
    axes.set(ylabel="height, m", ylim=(min(-0.1, before.lowest.min() - 0.03), None))
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="best")


def _feet(axes: Any, recording: Recording) -> None:
    """Show when each foot carries the body."""
    carries, fps = recording.carries.any(axis=2), recording.motion.fps
    for row in range(carries.shape[1]):
        spans = [(first / fps, (past - first) / fps) for first, past in runs(carries[:, row])]
        axes.broken_barh(spans, (row - 0.35, 0.7), color=_GROUND)
    names = [body_text(recording.character.links[foot].name) for foot in recording.feet]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set(ylabel="stands", ylim=(len(names) - 0.5, -0.5) if names else (0, 1))


def _speeds(axes: Any, before: Recording, after: Recording, time: np.ndarray) -> None:
    """Show how fast standing feet slide and how fast the hips are."""
    if len(time) < 2:
        return
    middle = 0.5 * (time[1:] + time[:-1])
    axes.plot(middle, np.linalg.norm(after.velocity, axis=1), color="#1864ab", label="hips")
    drawn = [(before, _BEFORE, "standing feet as captured"), (after, "#e67700", "standing feet")]
    for recording, color, label in drawn if _changed(before, after) else drawn[1:]:
        both = recording.carries[1:] & recording.carries[:-1]
        step = np.linalg.norm(np.diff(recording.soles[..., :2], axis=0), axis=-1) * recording.motion.fps
        slide = np.where(both, step, np.nan).reshape(len(middle), -1)
        known = np.isfinite(slide).any(axis=1)
        values = np.full(len(middle), np.nan)
        values[known] = np.nanmax(slide[known], axis=1)
        axes.plot(middle, values, color=color, label=label)
    axes.set(ylabel="speed, m/s", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper right")


def _support(axes: Any, recording: Recording, time: np.ndarray) -> None:
    """Show what force neither gravity nor the ground gives."""
    missing = recording.effort.missing
    axes.fill_between(time, np.linalg.norm(missing, axis=1), color=_OPEN, alpha=0.25, linewidth=0)
    axes.plot(time, missing[:, 2], color=_OPEN, label="upward")
    axes.plot(time, np.linalg.norm(missing[:, :2], axis=1), color="#862e9c", label="sideways")
    axes.axhline(HELD, color="0.3", linestyle=":", linewidth=1)
    axes.set(ylabel="force from nowhere,\nbody weights")
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")


def _strength(axes: Any, figure: Any, recording: Recording) -> None:
    """Show the share of each joint's strength as a row of colours; from black on it is asked for too much."""
    shares = recording.effort.shares[:, 1:]
    names = [joint_text(link.name) for link in recording.character.links[1:]]
    half = 0.5 / recording.motion.fps
    image = axes.imshow(shares.T, aspect="auto", interpolation="nearest", cmap="magma_r", vmin=0, vmax=STRONG,
                        extent=(-half, len(shares) / recording.motion.fps - half, len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names, fontsize=8)
    figure.colorbar(image, ax=axes, label="torque, share of strength", pad=0.01, extend="max")


def _changed(before: Recording, after: Recording) -> bool:
    """Tell whether first aid changed the motion."""
    same = [np.array_equal(getattr(before.motion, name), getattr(after.motion, name))
            for name in ("root_pos", "rotations")]
    return not all(same)


def _findings(axes: Any, kinds: list[str], findings: tuple[Finding, ...], fps: float) -> None:
    """Show when something was found: green where it was mended, red where it remains."""
    for finding in findings:
        first, last = finding.frames
        axes.broken_barh([((first - 0.5) / fps, (last - first + 1) / fps)], (kinds.index(finding.kind) - 0.35, 0.7),
                         color=_MENDED if finding.repaired else _OPEN)
    if not findings:
        axes.text(0.5, 0.5, "nothing", transform=axes.transAxes, ha="center", va="center", color=_MENDED)
    axes.set_yticks(range(len(kinds)), kinds, fontsize=8)
    axes.set(ylabel="found", ylim=(len(kinds) - 0.5, -0.5) if kinds else (0, 1))
