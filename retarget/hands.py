"""Hands where the source's hands are, at the target's size: arms that reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .bending import bend_limb
from .contact import bound
from .posing import Posing
from .rest import Body
from .roles import SIDES
from .size import Size


@dataclass(frozen=True)
class Hands:
    """What brings a motion's hands to their places on another body."""

    source: Posing
    target: Posing
    bodies: tuple[Body, Body]
    size: Size
    seen_from: Literal["body", "floor"]
    """Places relative to the shoulders, at the arms' size; or, near the floor, on it, at the body's size."""

    def place(self) -> None:
        """Turn the arms so that the hands are at their goals; the hands keep their directions."""
        roles = [side + part for side in SIDES for part in ("UpperArm", "LowerArm", "Hand")]
        if any(role not in body.roles for role in roles for body in self.bodies):
            return
        theirs, goals = self.bodies[1], [self._goal(side) for side in SIDES]
        for side, goal in zip(SIDES, goals, strict=True):
            limb = theirs.roles[side + "UpperArm"], theirs.roles[side + "LowerArm"], theirs.roles[side + "Hand"]
            bend_limb(self.target, theirs, limb, goal, -theirs.axes[:, 1])

    def _goal(self, side: str) -> np.ndarray:
        """Return where a hand shall be in the target's world, (T, 3) m."""
        ours, theirs = self.bodies
        hand = self.source.place(ours.roles[f"{side}Hand"])
        if self.seen_from == "body":
            seen = (hand - _shoulders(ours, self.source)) @ ours.axes * (_arm(theirs) / _arm(ours))
            return _shoulders(theirs, self.target) + seen @ theirs.axes.T
        goal, own = self.size.of(hand), self.target.place(theirs.roles[f"{side}Hand"]) @ theirs.axes
        near = bound(goal[:, 2], theirs.hip_height)[:, None]
        return (own + near * (goal - own)) @ theirs.axes.T


def _shoulders(body: Body, posing: Posing) -> np.ndarray:
    """Return the middle between the shoulders, (T, 3) m."""
    return np.mean([posing.place(body.roles[f"{side}UpperArm"]) for side in SIDES], axis=0)


def _arm(body: Body) -> float:
    """Return the mean length of the arms in m."""
    place = body.pose[0]
    ways = [place[body.roles[side + b]] - place[body.roles[side + a]] for side in SIDES
            for a, b in (("UpperArm", "LowerArm"), ("LowerArm", "Hand"))]
    return max(float(np.linalg.norm(ways, axis=1).sum()) / len(SIDES), 1e-9)
