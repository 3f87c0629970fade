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
from .bending import bend_limb
from .contact import SLIDES, bound, held, runs, touching
from .legs import Leg, legs_of
from .posing import Posing
from .rest import Body
from .roles import SIDES
from .size import Size
from .smoothing import at_least, smooth

_TOES_UP = 0.98
"""Sine of the steepest that toes are bent up."""
_FOLLOW_S = 0.5
"""Time in s over which the hips follow where the ankles had to go."""
_EASY = 0.97
"""Share of its length to which a leg may be stretched even if the source's is not."""
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
        legs = legs_of(*self.bodies)
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

    def _step(self, ours: Leg, theirs: Leg, given: np.ndarray | None) -> Step:
        """Return where an ankle shall be in each frame."""
        hip_height = self.bodies[1].hip_height
        ankle, points = self.size.of(self.source.place(ours.joint("Foot"))), self.size.of(ours.points(self.source))
        arms = rotation.rotate(self.target.turn(theirs.joint("Foot"))[:, None], theirs.offsets) @ theirs.body.axes
        touches = self._touches(ours, points, given)
        soles = [self.size.floors[1] + height for height in (self.size.scale * ours.heights, theirs.heights)]
        clear = (points[..., 2] - soles[0]).min(axis=1)
        if ours.body.sole is None and theirs.body.sole is not None:
            clear = np.maximum(clear, 0.0)
        aside = (theirs.aside - self.size.scale * ours.aside) * self._left(touches.any(axis=1))
        goal = points[:, -1] - arms[:, -1]
        goal[:, 2] = clear - (arms[..., 2] - soles[1]).min(axis=1)
        followed = np.concatenate([goal[:, :2] - ankle[:, :2], np.zeros((len(goal), 1))], axis=1)
        goal[:, :2] += aside
        wanted = np.zeros_like(points[..., :2]) if self.locked else points[..., :2]
        slides = SLIDES * hip_height if self.locked else np.inf
        goal[:, :2] += held((goal[:, None] + arms)[..., :2], wanted, touches, self.fps, slides)
        near = bound(clear, hip_height)
        return Step(goal, followed, touches.any(axis=1), np.where(touches.any(axis=1), 1.0, near))

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
            way = self._at(leg.joint("UpperLeg")) - step.goal
            level = np.linalg.norm(way[:, :2], axis=1)
            easy = self._easy(leg)
            far = way[:, 2] - np.sqrt(np.maximum(easy**2 - level**2, 0.0))
            need = np.maximum(need, np.where(step.stands & (level < easy), far, 0.0))
        need[need < _REACHED] = 0.0
        return np.outer(at_least(need, round(_COME_DOWN_S * self.fps)), [0.0, 0.0, -1.0])

    def _easy(self, leg: Leg) -> np.ndarray:
        """Return the distance of the ankle from the hip up to which a leg is not straighter than it is by its own
        turns, or straight but for a little, (T,) m."""
        hip, ankle = (self.target.place(leg.joint(role)) for role in ("UpperLeg", "Foot"))
        return np.maximum(np.linalg.norm(ankle - hip, axis=1), _EASY * leg.length)

    def _bend(self, leg: Leg, step: Step) -> None:
        """Turn thigh and shin so that the ankle is at its goal; the foot keeps its direction.

        A leg that would have to be straighter than easy comes short of its goal, the more the straighter it is, so
        that no knee snaps.
        """
        hip, _, ankle = (self.target.place(joint) for joint in leg.joints)
        goal = ankle + step.near[:, None] * (step.goal @ leg.body.axes.T - ankle)
        goal = _eased(hip, goal, self._easy(leg), leg.length)
        bend_limb(self.target, leg.body, leg.joints, goal, leg.body.axes[:, 1])

    def _roll(self, ours: Leg, theirs: Leg) -> None:
        """Bend the toes up where they would be deeper in the floor than the source's are.

        A source whose toes end nowhere, as SMPL's, says nothing of them.
        """
        if theirs.body.sole is None:
            return
        toes, floor = theirs.joint("Toes"), self.size.floors[1]
        tip = self.size.of(self.source.place(ours.joint("Toes")) + ours.toes(self.source))
        way = theirs.toes(self.target) @ theirs.body.axes
        known = ours.has_tip or not theirs.has_tip
        sunk = np.minimum(tip[:, 2] - floor - self.size.scale * ours.tip_height, 0.0) if known else 0.0
        least = floor + theirs.tip_height + sunk - self._at(toes)[:, 2]
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


def _eased(start: np.ndarray, goal: np.ndarray, easy: np.ndarray, longest: float) -> np.ndarray:
    """Bring goals (T, 3) m that are farther than easy (T,) nearer, smoothly, so that none is at the longest."""
    way = goal - start
    far = np.linalg.norm(way, axis=1)
    rest = np.maximum(longest - easy, 1e-9)
    beyond = np.maximum(far - easy, 0.0)
    eased = np.where(beyond > _REACHED, easy + rest * (1.0 - np.exp(-beyond / rest)), far)
    return start + way * (eased / np.maximum(far, 1e-12))[:, None]


def _steady(directions: np.ndarray, stands: np.ndarray) -> np.ndarray:
    """Keep a direction while a foot stands, and pass over to the next one while it swings. (T, n), (T,) bool."""
    spans = runs(stands)
    if not spans:
        return directions
    frames = np.concatenate([[first, last - 1] for first, last in spans])
    values = np.repeat([directions[first:last].mean(axis=0) for first, last in spans], 2, axis=0)
    time = np.arange(len(directions))
    return np.stack([np.interp(time, frames, column) for column in values.T], axis=1)
