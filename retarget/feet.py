"""Feet where the source's feet are, at the target's size: goals for the ankles, and legs that reach them.

A foot is two points, heel and ball. The ball goes where the source's is, scaled about the floor with the hips' path;
feet keep their distance from the hip joints sideways; the lower of the two points keeps its height above the floor,
however long the foot is. While a point touches the ground it moves as the source's does, or not at all if feet are
locked. The hips stay above the ankles, and come down where a standing leg cannot reach. A foot high in the air is left
where the leg's own pose puts it.

Places here are in body axes: x to the character's left at rest, y backward, z up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import rotation
from .contact import LOWEST, SLIDES, held, runs, touching
from .ik import reach
from .legs import Leg
from .posing import Posing
from .rest import Body
from .roles import SIDES
from .size import Size
from .smoothing import at_least, rising, smooth

_TOES_UP = 0.98
"""Sine of the steepest that toes are bent up."""
_NEAR, _FAR = 0.12, 0.35
"""Height of a foot, in hip heights, up to which it goes to its goal, and from which on the leg keeps its own pose."""
_FOLLOW_S = 0.5
"""Time in s over which the hips follow where the ankles had to go."""
_COME_DOWN_S = 0.1
"""Time in s within which hips come down for a leg that cannot reach."""
_REACHED = 1e-6
"""Miss in m that does not count."""


@dataclass(frozen=True)
class Feet:
    """What plants a motion's feet on another body."""

    source: Posing
    target: Posing
    """The body that is being posed: its legs are turned and its root is moved."""
    bodies: tuple[Body, Body]
    size: Size
    """How the source's places become the target's."""
    fps: float
    locked: bool
    """Hold feet absolutely still while they touch, rather than as still as the source's."""

    def plant(self, given: np.ndarray | None) -> None:
        """Bring the target's feet to their goals. given: contact by source joint (T, J) bool, if it is known."""
        legs = [legs for side in SIDES if (legs := self._legs(side)) is not None]
        if not legs:
            return
        steps = [self._step(ours, theirs, given) for ours, theirs in legs]
        shift = np.mean([step.followed for step in steps], axis=0)
        self._move(smooth(shift, _FOLLOW_S * self.fps))
        self._move(self._down(legs, steps))
        for (ours, theirs), step in zip(legs, steps, strict=True):
            self._bend(theirs, step)
            if ours.with_ball:
                self._roll(ours, theirs)

    def _move(self, shift: np.ndarray) -> None:
        """Move the hips by (T, 3) m in body axes, unless by nothing."""
        if np.abs(shift).max() > _REACHED:
            self.target.move_root(shift @ self.bodies[1].axes.T)

    def _at(self, joint: int) -> np.ndarray:
        """Return where a joint of the target is in body axes, (T, 3) m."""
        return self.target.place(joint) @ self.bodies[1].axes

    def _legs(self, side: str) -> tuple[Leg, Leg] | None:
        ours, theirs = self.bodies
        if any(side + role not in body.roles for body in self.bodies for role in ("UpperLeg", "LowerLeg", "Foot")):
            return None
        ball = all(side + "Toes" in body.roles for body in self.bodies)
        return Leg(ours, side, ball), Leg(theirs, side, ball)

    def _step(self, ours: Leg, theirs: Leg, given: np.ndarray | None) -> Step:
        """Return where an ankle shall be in each frame."""
        hip_height = self.bodies[1].hip_height
        ankle = self.source.place(ours.joint("Foot"))
        points = ankle[:, None] + rotation.rotate(self.source.turn(ours.joint("Foot"))[:, None], ours.offsets)
        ankle, points = self.size.of(ankle), self.size.of(points)
        arms = rotation.rotate(self.target.turn(theirs.joint("Foot"))[:, None], theirs.offsets) @ theirs.body.axes
        touches = self._touches(ours, points, given)
        soles = self._soles(ours, theirs, points)
        clear = (points[..., 2] - soles[0]).min(axis=1)
        aside = (theirs.aside - self.size.scale * ours.aside) * self._left(touches.any(axis=1))
        goal = points[:, -1] - arms[:, -1]
        goal[:, 2] = clear - (arms[..., 2] - soles[1]).min(axis=1)
        followed = np.concatenate([goal[:, :2] - ankle[:, :2], np.zeros((len(goal), 1))], axis=1)
        goal[:, :2] += aside
        wanted = np.zeros_like(points[..., :2]) if self.locked else points[..., :2]
        slides = SLIDES * hip_height if self.locked else np.inf
        goal[:, :2] += held((goal[:, None] + arms)[..., :2], wanted, touches, self.fps, slides)
        near = 1.0 - rising((clear / hip_height - _NEAR) / (_FAR - _NEAR))
        return Step(goal, followed, touches.any(axis=1), np.where(touches.any(axis=1), 1.0, near))

    def _soles(self, ours: Leg, theirs: Leg, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the heights over the floor, at the target's size, at which the feet's points stand, (P,) m each.

        Where a body does not rest on the floor, the source's lowest heights tell, if it comes near the floor at all.
        """
        if ours.heights is not None:
            own = ours.heights * self.size.scale
        else:
            lowest = float(np.percentile(points[..., 2].min(axis=1), LOWEST))
            own = np.full(points.shape[1], lowest if abs(lowest) < _NEAR * self.bodies[1].hip_height else 0.0)
            if theirs.heights is not None:
                points[..., 2] = np.maximum(points[..., 2], own)
        return own, own if theirs.heights is None else theirs.heights

    def _touches(self, leg: Leg, points: np.ndarray, given: np.ndarray | None) -> np.ndarray:
        """Return when heel and ball touch the ground, (T, P) bool."""
        joints = [leg.joint("Foot"), leg.joint("Toes")] if leg.with_ball else [leg.joint("Foot")]
        if given is not None and given[:, joints].any():
            return given[:, joints]
        return touching(points, self.fps, self.bodies[1].hip_height)

    def _left(self, stands: np.ndarray) -> np.ndarray:
        """Return the level direction to the pelvis' left, (T, 2), one and the same while a foot stands."""
        body = self.bodies[0]
        if any(f"{side}UpperLeg" not in body.roles for side in SIDES):
            return np.zeros((len(stands), 2))
        left, right = (self.source.place(body.roles[f"{side}UpperLeg"]) @ body.axes for side in SIDES)
        way = (left - right)[:, :2]
        return _steady(way / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9), stands)

    def _down(self, legs: list[tuple[Leg, Leg]], steps: list[Step]) -> np.ndarray:
        """Return how far the hips come down, (T, 3) m, so that standing legs reach their goals."""
        need = np.zeros(len(steps[0].goal))
        for (_, leg), step in zip(legs, steps, strict=True):
            hip, knee, ankle = (self._at(leg.joint(role)) for role in ("UpperLeg", "LowerLeg", "Foot"))
            length = np.linalg.norm(knee - hip, axis=1) + np.linalg.norm(ankle - knee, axis=1)
            way = hip - step.goal
            level = np.linalg.norm(way[:, :2], axis=1)
            far = way[:, 2] - np.sqrt(np.maximum(length**2 - level**2, 0.0))
            need = np.maximum(need, np.where(step.stands & (level < length), far, 0.0))
        need[need < _REACHED] = 0.0
        return np.outer(at_least(need, round(_COME_DOWN_S * self.fps)), [0.0, 0.0, -1.0])

    def _bend(self, leg: Leg, step: Step) -> None:
        """Turn thigh and shin so that the ankle is at its goal; the foot keeps its direction."""
        upper, lower, foot = (leg.joint(role) for role in ("UpperLeg", "LowerLeg", "Foot"))
        hip, knee, ankle = (self.target.place(joint) for joint in (upper, lower, foot))
        goal = ankle + step.near[:, None] * (step.goal @ leg.body.axes.T - ankle)
        rest_place, rest_turn = leg.body.pose
        hinge = np.cross(rest_place[lower] - rest_place[upper], leg.body.axes[:, 1])
        hinge = rotation.rotate(rotation.inverse(rest_turn[upper]), hinge / max(float(np.linalg.norm(hinge)), 1e-9))
        turns = reach(hip, knee, ankle, goal, rotation.rotate(self.target.turn(upper), hinge))
        self.target.driven[foot] = self.target.turn(foot)
        self.target.turn_more((lower, *leg.body.between(lower, foot)), turns[1])
        self.target.turn_more((upper, *leg.body.between(upper, lower)), turns[0])


    def _roll(self, ours: Leg, theirs: Leg) -> None:
        """Bend the toes up where they would be deeper in the floor than the source's are.

        A source whose toes end nowhere, as SMPL's, says nothing of them.
        """
        toes = theirs.joint("Toes")
        tip = self.size.of(self.source.place(ours.joint("Toes")) + ours.toes(self.source))
        way = theirs.toes(self.target) @ theirs.body.axes
        known = ours.has_tip or not theirs.has_tip
        sunk = np.minimum(tip[:, 2] - self.size.scale * ours.tip_height, 0.0) if known else 0.0
        least = theirs.tip_height + sunk - self._at(toes)[:, 2]
        length = np.maximum(np.linalg.norm(way, axis=1), 1e-9)
        up = np.clip(least / length, -1.0, _TOES_UP)
        turn = np.arcsin(up) - np.arcsin(np.clip(way[:, 2] / length, -1.0, 1.0))
        if (low := turn > _REACHED).any():
            axis = np.stack([way[:, 1], -way[:, 0], np.zeros(len(way))], axis=1)
            axis *= np.where(low, turn, 0.0)[:, None] / np.maximum(np.linalg.norm(axis, axis=1, keepdims=True), 1e-9)
            self.target.turn_more((toes,), rotation.from_rotvec(axis @ theirs.body.axes.T))


@dataclass(frozen=True)
class Step:
    """Where an ankle shall be."""

    goal: np.ndarray
    """(T, 3) m."""
    followed: np.ndarray
    """How far that is from the source's scaled ankle, over the ground, (T, 3) m: what the hips go along with."""
    stands: np.ndarray
    """Whether the foot touches the ground, (T,) bool."""
    near: np.ndarray
    """How much the goal counts against the leg's own pose, 0 to 1, (T,)."""


def _steady(directions: np.ndarray, stands: np.ndarray) -> np.ndarray:
    """Keep a direction while a foot stands, and pass over to the next one while it swings. (T, n), (T,) bool."""
    spans = runs(stands)
    if not spans:
        return directions
    frames = np.concatenate([[first, last - 1] for first, last in spans])
    values = np.repeat([directions[first:last].mean(axis=0) for first, last in spans], 2, axis=0)
    time = np.arange(len(directions))
    return np.stack([np.interp(time, frames, column) for column in values.T], axis=1)
