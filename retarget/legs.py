"""One leg of a body at rest: where its foot's points are, how high they stand, where it begins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import rotation
from .posing import Posing
from .rest import Body
from .roles import SIDES

_HEEL = 0.3
"""How far the heel lies behind the ankle, as a share of the way from the ankle to the ball."""
_TOES = 0.5
"""Length of toes without an end of their own, as a share of the level way from the ankle to the ball."""


@dataclass(frozen=True)
class Leg:
    """One leg of a body at rest."""

    body: Body
    side: str
    with_ball: bool
    """Whether both bodies have a ball; a foot without is its ankle alone."""

    def joint(self, role: str) -> int:
        """Return the joint of a role of this side."""
        return self.body.roles[self.side + role]

    @cached_property
    def joints(self) -> tuple[int, int, int]:
        """Hip, knee and ankle."""
        return self.joint("UpperLeg"), self.joint("LowerLeg"), self.joint("Foot")

    @cached_property
    def offsets(self) -> np.ndarray:
        """Where heel and ball, or the ankle alone, lie in the foot's frame in m, (P, 3)."""
        place, turn = self.body.pose
        foot = self.joint("Foot")
        if not self.with_ball:
            return np.zeros((1, 3))
        way = place[self.joint("Toes")] - place[foot]
        down = (way @ self.body.up) * self.body.up
        heel = down - _HEEL * (way - down)
        return rotation.rotate(rotation.inverse(turn[foot]), np.stack([heel, way]))

    @cached_property
    def heights(self) -> np.ndarray:
        """Heights of these points at rest over the body's lowest joint in m, (P,)."""
        place, turn = self.body.pose
        foot = self.joint("Foot")
        return (place[foot] + rotation.rotate(turn[foot], self.offsets)) @ self.body.up - self.body.lowest

    def points(self, posing: Posing) -> np.ndarray:
        """Return where heel and ball are in the world, (T, P, 3) m."""
        foot = self.joint("Foot")
        return posing.place(foot)[:, None] + rotation.rotate(posing.turn(foot)[:, None], self.offsets)

    @cached_property
    def has_tip(self) -> bool:
        """Whether the body has a joint at the toes' end."""
        return bool(np.any(self.body.skeleton.parents == self.joint("Toes")))

    @cached_property
    def _tip(self) -> np.ndarray:
        """Where the toes end at rest, seen from the ball in the world in m, (3,): their own end if the body has one."""
        place, ball = self.body.pose[0], self.joint("Toes")
        ends = np.flatnonzero(self.body.skeleton.parents == ball)
        way = place[ball] - place[self.joint("Foot")]
        way = way - (way @ self.body.up) * self.body.up
        return place[ends[0]] - place[ball] if len(ends) else _TOES * way

    @cached_property
    def tip_height(self) -> float:
        """Height of the toes' end at rest over the body's lowest joint in m."""
        return float((self.body.pose[0][self.joint("Toes")] + self._tip) @ self.body.up - self.body.lowest)

    def toes(self, posing: Posing) -> np.ndarray:
        """Return the way from the ball to the toes' end in the world, (T, 3) m."""
        ball = self.joint("Toes")
        return rotation.rotate(posing.turn(ball), rotation.rotate(rotation.inverse(self.body.pose[1][ball]), self._tip))

    @cached_property
    def length(self) -> float:
        """Length of thigh and shin in m."""
        places = self.body.pose[0][list(self.joints)]
        return max(float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum()), 1e-9)

    @cached_property
    def aside(self) -> float:
        """How far to the left of the pelvis' middle the leg begins at rest, in m."""
        place = self.body.pose[0]
        middle = place[list(self.body.pelvis)].mean(axis=0)
        return float((place[self.joint("UpperLeg")] - middle) @ self.body.axes[:, 0])


def legs_of(ours: Body, theirs: Body) -> list[tuple[Leg, Leg]]:
    """Return the legs that both bodies have whole."""
    found = []
    for side in SIDES:
        if all(side + role in body.roles for body in (ours, theirs) for role in ("UpperLeg", "LowerLeg", "Foot")):
            ball = all(side + "Toes" in body.roles for body in (ours, theirs))
            found.append((Leg(ours, side, ball), Leg(theirs, side, ball)))
    return found
