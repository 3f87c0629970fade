"""Draw a character from the front and from its left: its solids, its joints, what weighs and pulls how much."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from retarget.whole import written_whole
from sfv_core.character.character import Character, Shape
from sfv_core.character.describe import height, plain_name, standing

_RIGHT = {"front": np.array([1.0, 0.0, 0.0]), "left side": np.array([0.0, 1.0, 0.0])}
"""What is to the right in each view; up is up."""
_TOWARDS = {"front": np.array([0.0, -1.0, 0.0]), "left side": np.array([1.0, 0.0, 0.0])}
"""Where each view is seen from."""
_LIGHT = np.array([-0.28, 0.36])
"""Where light comes from in the plane of the picture, as a share of a solid's radius."""
_TONES = 14
_SKIN, _SHADE = np.array([0.86, 0.80, 0.72]), np.array([0.36, 0.33, 0.33])
_BALL, _HINGE = "#1f77b4", "#d62728"


def draw(character: Character, path: Path) -> None:
    """Write a picture of the character at rest as a PNG."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    tall = height(character)
    ranges = {view: _range(character, view) for view in _RIGHT}
    ranges["front"] = (ranges["front"][0], ranges["front"][1] + 0.5 * tall)  # room for the labels
    widths = [right - left for left, right in ranges.values()]
    figure = Figure(figsize=(1.0 + 6.0 * sum(widths) / tall, 7.0), layout="constrained")
    front, side = figure.subplots(1, 2, sharey=True, width_ratios=widths)
    for axes, view in ((front, "front"), (side, "left side")):
        _draw_view(axes, character, view)
        axes.set(xlim=ranges[view], ylim=(-0.03 * tall, 1.05 * tall))
    _label(front, character)
    once = dict(zip(*reversed(front.get_legend_handles_labels()), strict=True))
    front.legend(once.values(), once.keys(), loc="upper left", frameon=False, fontsize=8)
    front.yaxis.set_major_formatter("{x:.2f} m")
    figure.suptitle(f"{character.mass:.1f} kg, {tall:.2f} m")
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _range(character: Character, view: str) -> tuple[float, float]:
    """Return what a view has to show from left to right in m."""
    places, _ = standing(character)
    ends = [((points + place) @ _RIGHT[view], radius) for link, place in zip(character.links, places, strict=True)
            for points, radius in (shape.corners() for shape in link.shapes)]
    margin = 0.06 * height(character)
    return (float(min(flat.min() - radius for flat, radius in ends)) - margin,
            float(max(flat.max() + radius for flat, radius in ends)) + margin)


def _draw_view(axes: Any, character: Character, view: str) -> None:
    """Draw solids from far to near, then the joints."""
    from matplotlib.collections import PolyCollection

    places, _ = standing(character)
    solids = [(place, shape) for link, place in zip(character.links, places, strict=True) for shape in link.shapes]
    solids.sort(key=lambda solid: float((solid[0] + solid[1].centre) @ _TOWARDS[view]))
    outlines, colours, edges = zip(*(layer for solid in solids for layer in _layers(*solid, view)), strict=True)
    axes.add_collection(PolyCollection(outlines, facecolors=colours, edgecolors=edges, linewidths=0.8))
    _draw_joints(axes, character, places, view)
    axes.axhline(0.0, color="0.5", linewidth=0.8)
    axes.set(title=view, aspect="equal")
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(bottom=False, labelbottom=False)


def _flat(points: np.ndarray, view: str) -> np.ndarray:
    """Project points (..., 3) m onto the picture, (..., 2)."""
    return np.stack([points @ _RIGHT[view], points[..., 2]], axis=-1)


def _layers(place: np.ndarray, shape: Shape, view: str) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return outline (P, 2), colour and edge's colour of what one solid is painted with, one on top of the other.

    A round solid is lit from above: each outline is smaller, brighter and nearer to the light.
    """
    points, radius = shape.corners()
    flat = _flat(points + place, view)
    if radius == 0:
        yield _outline(flat, 0.0), 0.7 * _SKIN + 0.3 * _SHADE, _SHADE
        return
    for tone in np.linspace(0.0, 1.0, _TONES):
        colour = _SHADE + np.sqrt(1 - (1 - tone) ** 2) * (_SKIN - _SHADE)
        outline = _outline(flat + tone * radius * _LIGHT, radius * (1.0 - tone) + 1e-4)
        yield outline, colour, _SHADE if tone == 0 else colour


def _outline(centres: np.ndarray, radius: float) -> np.ndarray:
    """Return the convex outline (P, 2) of equal discs around points (N, 2)."""
    from scipy.spatial import ConvexHull

    angles = np.linspace(0.0, 2 * np.pi, 48, endpoint=False)
    points = (centres[:, None] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)).reshape(-1, 2)
    return points[ConvexHull(points).vertices]


def _draw_joints(axes: Any, character: Character, places: np.ndarray, view: str) -> None:
    """Draw ball joints as points and hinges as their axes."""
    half = 0.045 * height(character)
    for link, place in zip(character.links, places, strict=True):
        x, y = _flat(place, view)
        if link.joint == "ball":
            axes.plot(x, y, "o", color=_BALL, markersize=5, markeredgecolor="white", label="ball joint")
        elif link.joint == "hinge":
            ends = _flat(place + np.outer([-half, half], link.axis), view)
            axes.plot(*ends.T, color=_HINGE, linewidth=2.5, solid_capstyle="round", label="hinge")
            axes.plot(x, y, "o", color=_HINGE, markersize=4, markeredgecolor="white")


def _label(axes: Any, character: Character) -> None:
    """Write mass and torque of the links beside the body, in the order of their heights; sides are alike."""
    places, _ = standing(character)
    shown = [(link, place) for link, place in zip(character.links, places, strict=True)
             if not link.name.startswith("right")]
    points = [_flat(place + link.centre_of_mass, "front") for link, place in shown]
    order = np.argsort([-point[1] for point in points], kind="stable")
    tall, edge = height(character), _range(character, "front")[1] + 0.05 * height(character)
    heights = np.linspace(0.97 * tall, 0.05 * tall, len(shown))
    for y, k in zip(heights, order, strict=True):
        link = shown[k][0]
        torque = f", {link.torque:.0f} N·m" if link.torque else ""
        axes.annotate(f"{plain_name(link).removeprefix('left ')}: {link.mass:.2f} kg{torque}", points[k], (edge, y),
                      fontsize=8, va="center",
                      arrowprops={"arrowstyle": "-", "color": "0.4", "linewidth": 0.6, "shrinkB": 0})
