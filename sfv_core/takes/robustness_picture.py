"""A picture of what a policy bears: pushes as seen from above, other changes as bars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from retarget.whole import written_whole
from sfv_core.takes.robustness_report import SHARE, Span, Strength

_ANGLES = {"front": 0.5 * np.pi, "left": np.pi, "back": 1.5 * np.pi, "right": 0.0}
_COLOUR, _PALE = "#1971c2", "#a5d8ff"


def draw_robustness(pushes: tuple[Strength, ...], spans: tuple[Span, ...], what: str, path: Path) -> None:
    """Draw a PNG; `what` says how it is pushed."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    round_axes: Any = figure.add_subplot(1, 2, 1, projection="polar")
    _pushes(round_axes, pushes)
    round_axes.set_title(f"Pushes borne, N ({what})", fontsize=10)
    _spans(figure.add_subplot(1, 2, 2), spans)
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _pushes(axes: Any, pushes: tuple[Strength, ...]) -> None:
    order = sorted(pushes, key=lambda push: _ANGLES[push.side])
    angles, forces = [_ANGLES[push.side] for push in order], [push.borne_n for push in order]
    axes.fill(angles, forces, color=_PALE, alpha=0.6)
    axes.plot([*angles, angles[0]], [*forces, forces[0]], "o-", color=_COLOUR)
    axes.set_xticks(angles, [f"{push.side}\n{push.borne_n:.0f} N" for push in order])
    axes.set_ylim(0, 1.15 * max([*forces, 1.0]))
    axes.tick_params(axis="y", labelsize=7)


def _spans(axes: Any, spans: tuple[Span, ...]) -> None:
    multiples = [span for span in spans if span.name != "latency"]
    for row, span in enumerate(multiples):
        if span.low is not None and span.high is not None:
            axes.barh(row, np.log2(span.high / span.low), left=np.log2(span.low), height=0.5, color=_PALE)
            axes.text(np.log2(span.low), row - 0.36, f"{span.low:g} ×", ha="center", fontsize=8)
            axes.text(np.log2(span.high), row - 0.36, f"{span.high:g} ×", ha="center", fontsize=8)
        for value, share in span.tried:
            axes.plot(np.log2(value), row, "o" if share >= SHARE else "x", color=_COLOUR, markersize=5)
    late = next((span for span in spans if span.name == "latency"), None)
    labels = [span.name for span in multiples]
    axes.set_yticks(range(len(labels)), labels)
    ticks = (0.1, 0.25, 0.5, 1, 2, 4)
    axes.set_xticks(np.log2(ticks), [f"{tick:g} ×" for tick in ticks])
    axes.set(xlim=(np.log2(0.08), np.log2(6.5)), ylim=(len(labels) - 0.4, -0.8))
    axes.axvline(0, color="0.6", linewidth=0.8)
    axes.grid(axis="x", alpha=0.3)
    said = "falls as it is" if late is None or late.high is None else f"latency borne: {late.high:.0f} ms"
    axes.set_title(f"Changes borne (dots; crosses: not) · {said}", fontsize=10)
