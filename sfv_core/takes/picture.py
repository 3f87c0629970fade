"""A picture of a take over time: how far it is from the reference, what the joints work, what touches, what pushes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from retarget.contact import runs
from retarget.whole import written_whole
from sfv_core.character.character import Character
from sfv_core.config import SimulateConfig
from sfv_core.takes.disturbed import RECORD_RATE
from sfv_core.takes.figures import errors
from sfv_core.takes.take import Take

_PUSH, _FALL = "#d9480f", "#c92a2a"


def draw_take(take: Take, character: Character, config: SimulateConfig, path: Path) -> None:
    """Draw the take as a PNG of three rows that share the time."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    rows: Any = figure.subplots(3, 1, sharex=True, height_ratios=(1.1, 1.6, 0.9))
    time = np.arange(len(take)) / RECORD_RATE
    rows[0].plot(time, 100 * errors(take.state, take.goal), label="joints, seen from the root")
    rows[0].plot(time, 100 * np.linalg.norm(take.state.positions[:, 0] - take.goal.positions[:, 0], axis=-1),
                 label="root in the world", color="0.6")
    rows[0].set(ylabel="from the reference, cm", ylim=(0, None))
    rows[0].legend(frameon=False, fontsize=8, loc="upper left")
    _torques(rows[1], figure, take, character)
    _contacts(rows[2], take, character)
    rows[2].set(xlabel="time, s", xlim=(0, time[-1]))
    for axes in rows:
        _events(axes, take, config)
    for push in config.pushes():
        rows[0].annotate(push.text(), (push.time, 1.02), xycoords=("data", "axes fraction"), fontsize=8, color=_PUSH)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _torques(axes: Any, figure: Any, take: Take, character: Character) -> None:
    """Show each joint's torque as a row of colours."""
    names = [link.name.replace("_", " ") for link in character.links[1:]]
    image = axes.imshow(take.torques[:, 1:].T, aspect="auto", interpolation="nearest", cmap="magma_r", vmin=0, vmax=1,
                        extent=(0, take.seconds, len(names) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylabel("torque")
    figure.colorbar(image, ax=axes, label="share of the limit", pad=0.01)


def _contacts(axes: Any, take: Take, character: Character) -> None:
    """Show when each link that ever does touches the ground."""
    touching = np.flatnonzero(take.contacts.any(axis=0))
    for row, link in enumerate(touching):
        spans = [(first / RECORD_RATE, (last - first) / RECORD_RATE) for first, last in runs(take.contacts[:, link])]
        axes.broken_barh(spans, (row - 0.35, 0.7), color="#2b8a3e")
    axes.set_yticks(range(len(touching)), [character.links[i].name.replace("_", " ") for i in touching], fontsize=8)
    axes.set(ylabel="on the ground", ylim=(len(touching) - 0.5, -0.5) if len(touching) else (0, 1))


def _events(axes: Any, take: Take, config: SimulateConfig) -> None:
    """Mark the pushes and the fall."""
    for push in config.pushes():
        axes.axvspan(push.time, push.time + push.duration, color=_PUSH, alpha=0.25, linewidth=0)
    for when, style in ((take.fell, "-"), (take.lost, ":")):
        if when is not None:
            axes.axvline(when, color=_FALL, linestyle=style, linewidth=1.2)
