"""A picture of how a motion repeats itself: each moment against each other, and the cycle that was cut out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retarget.motion import Motion
from retarget.whole import written_whole
from sfv_core.cycles.loop import Loop
from sfv_core.cycles.similarity import clouds

_MOMENTS = 400
"""Moments shown at most."""


def draw_loop(motion: Motion, loop: Loop, path: Path) -> None:
    """Write a PNG: dark where two moments of the motion look alike, so that a period is a line beside the diagonal."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    stride = max(-(-len(motion) // _MOMENTS), 1)
    few = clouds(motion, stride)
    table = few.lags(len(few) - 1)
    rows, columns = np.indices((len(few), len(few)))
    distances = 100 * table[np.minimum(rows, columns), np.abs(rows - columns)]
    times = np.array([loop.start, loop.end]) / motion.fps
    figure = Figure(figsize=(7.2, 6.6), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(distances, origin="lower", extent=(0, motion.duration, 0, motion.duration), cmap="magma",
                        vmin=0, vmax=float(np.percentile(distances, 98)))
    figure.colorbar(image, label="how far the joints are apart, cm (body against body)", shrink=0.8)
    for time in times:
        axes.axvline(time, color="deepskyblue", lw=1)
        axes.axhline(time, color="deepskyblue", lw=1)
    axes.plot(times[[0, 1, 1, 0, 0]], times[[0, 0, 1, 1, 0]], color="white", lw=2)
    axes.plot(times[:1], times[1:], "o", color="white", mec="deepskyblue", ms=9)
    axes.set(xlabel="time, s", ylabel="time, s", title=_title(loop, motion))
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _title(loop: Loop, motion: Motion) -> str:
    return (f"Cycle {loop.start / motion.fps:.2f}–{loop.end / motion.fps:.2f} s, {loop.seconds:.2f} s long, seen "
            f"{loop.repetitions:.1f} times\nseam {loop.seam_cm:.1f} cm, {loop.seam_deg:.1f}°; turn "
            f"{loop.turn_deg:+.1f}° a cycle; confidence {loop.confidence:.2f}")
