"""Two bodies at rest, compared: where up and forward are, how high the hips stand, which limbs rest elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import rotation
from .errors import RetargetError
from .kinematics import rest_pose
from .motion import Skeleton
from .roles import SIDES, path_down

_STANDING = (-0.02, 0.15)
"""Range of the lowest joint's height over z = 0, in hip heights, in which a body stands on z = 0."""
_NO_HEIGHT = 1e-9
"""Height in m up to which a body has none."""
_TILTED = float(np.radians(20.0))
"""Lean of a whole body at rest, in rad, from which on it is set upright; a natural stance leans less."""


@dataclass(frozen=True)
class Body:
    """A skeleton at rest, seen through one side of a bone map."""

    skeleton: Skeleton
    joints: tuple[int, ...]
    """The joint of each pair of the map, length P."""
    roles: dict[str, int]
    """The joint of each role in the map."""
    hips: int
    """The joint that carries the body through the world."""

    @cached_property
    def pose(self) -> tuple[np.ndarray, np.ndarray]:
        """World positions (J, 3) m and rotations (J, 4) at rest, set upright where the whole body rests tilted."""
        place, turn = rest_pose(self.skeleton)
        upright = self._upright(place)
        return rotation.rotate(upright, place), rotation.multiply(upright, turn)

    @cached_property
    def up(self) -> np.ndarray:
        """The axis of the world nearest to the way from the feet to the hips, (3,); Z where no leg is mapped."""
        for role in ("Foot", "LowerLeg"):
            feet = self.mean(role)
            if feet is not None:
                return _nearest_axis(self.pose[0][self.hips] - feet)
        return np.array([0.0, 0.0, 1.0])

    @cached_property
    def left(self) -> np.ndarray | None:
        """Unit vector to the character's left, level, (3,); None where no pair of sides is mapped."""
        total = np.zeros(3)
        for role in ("UpperLeg", "Shoulder", "UpperArm"):
            if f"Left{role}" in self.roles and f"Right{role}" in self.roles:
                total += self.pose[0][self.roles[f"Left{role}"]] - self.pose[0][self.roles[f"Right{role}"]]
        total -= np.dot(total, self.up) * self.up
        length = np.linalg.norm(total)
        return total / length if length > 1e-9 else None

    @cached_property
    def frame(self) -> np.ndarray | None:
        """Columns left, backward, up in the world, (3, 3); None where no pair of sides is mapped."""
        return None if self.left is None else np.stack([self.left, np.cross(self.up, self.left), self.up], axis=-1)

    @cached_property
    def axes(self) -> np.ndarray:
        """Columns left, backward, up in the world, (3, 3); the world's own where no pair of sides is mapped."""
        return np.eye(3) if self.frame is None else self.frame

    @cached_property
    def pelvis(self) -> tuple[int, ...]:
        """The joints in whose middle the body is carried: where both legs begin, else the hips.

        Rigs put the bone called hips a tenth of its height above the legs or a quarter below.
        """
        legs = tuple(self.roles[f"{side}UpperLeg"] for side in SIDES if f"{side}UpperLeg" in self.roles)
        whole = len(legs) == len(SIDES) and all(self.path(self.hips, leg) is not None for leg in legs)
        return legs if whole else (self.hips,)

    @cached_property
    def hip_height(self) -> float:
        """Height in m of the pelvis over the lowest mapped joint when the legs are straight; over any without feet.

        Never less than `_NO_HEIGHT`, so that it may divide.
        """
        leg, place = ("UpperLeg", "LowerLeg", "Foot"), self.pose[0]
        height = place[list(self.pelvis)].mean(axis=0) @ self.up - self.lowest
        for side in SIDES:
            if all(side + role in self.roles for role in leg):
                hip, knee, foot = (place[self.roles[side + role]] for role in leg)
                bent = np.linalg.norm(hip - knee) + np.linalg.norm(knee - foot) - (hip - foot) @ self.up
                height += bent / len(SIDES)
        return max(float(height), _NO_HEIGHT)

    @cached_property
    def sole(self) -> float | None:
        """Height in m of the lowest mapped joint over z = 0 at rest; None where the body does not stand there."""
        low, high = (part * self.hip_height for part in _STANDING)
        return self.lowest if low <= self.lowest <= high else None

    @cached_property
    def stands(self) -> bool:
        """Whether the head is not below the hips; some files rest as a pole with all bones along one axis."""
        top = self.roles.get("Head", self.roles.get("LeftUpperArm"))
        if top is None:
            return True
        way = self.pose[0][top] - self.pose[0][self.hips]
        return bool(way @ self.up >= -0.3 * np.linalg.norm(way))

    @cached_property
    def lowest(self) -> float:
        """Height in m of the lowest mapped joint at rest; of any joint without feet."""
        joints = self.joints if self.mean("Foot") is not None else range(len(self.skeleton))
        return float(np.min(self.pose[0][list(joints)] @ self.up))

    def path(self, ancestor: int, joint: int) -> tuple[int, ...] | None:
        """Return the joints from below one joint down to another; None where the one is not above the other."""
        return path_down(self.skeleton.parents, ancestor, joint)

    def between(self, ancestor: int, joint: int) -> tuple[int, ...]:
        """Return the joints between two of which the one carries the other."""
        return (self.path(ancestor, joint) or ())[:-1]

    def mean(self, role: str) -> np.ndarray | None:
        """Return the mean rest position of the role's joints of both sides."""
        there = [self.pose[0][self.roles[side + role]] for side in SIDES if side + role in self.roles]
        return np.mean(there, axis=0) if there else None

    def _upright(self, place: np.ndarray) -> np.ndarray:
        """Return the rotation (4,) that stands a rest pose up which is tilted as a whole; place: (J, 3) m."""
        feet = [place[self.roles[side + "Foot"]] for side in SIDES if side + "Foot" in self.roles]
        if len(feet) < 2 or not {"Head", "LeftUpperLeg", "RightUpperLeg"} <= set(self.roles):
            return rotation.IDENTITY
        ways = np.array([place[self.roles["Head"]] - place[self.hips], place[self.hips] - np.mean(feet, axis=0)])
        ways /= np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-9)
        tilt = rotation.between(ways.sum(axis=0), _nearest_axis(ways.sum(axis=0)))
        bent = rotation.angle(rotation.between(ways[0], ways[1]), rotation.IDENTITY)
        if rotation.angle(tilt, rotation.IDENTITY) < _TILTED or bent > _TILTED:
            return rotation.IDENTITY
        left = rotation.rotate(tilt, place[self.roles["LeftUpperLeg"]] - place[self.roles["RightUpperLeg"]])
        left -= np.dot(left, up := _nearest_axis(ways.sum(axis=0))) * up
        return rotation.multiply(rotation.between(left, _nearest_axis(left)), tilt)

    def direction(self, role: str, end: str) -> np.ndarray | None:
        """Return the unit vector from one role's joint to another's at rest; None where one is missing."""
        if role not in self.roles or end not in self.roles:
            return None
        way = self.pose[0][self.roles[end]] - self.pose[0][self.roles[role]]
        length = np.linalg.norm(way)
        return way / length if length > 1e-9 else None


def scale_between(source: Body, target: Body) -> float:
    """Return the ratio of the heights at which the legs begin over the lowest joints."""
    ours, theirs = source.hip_height, target.hip_height
    return theirs / ours if min(ours, theirs) > _NO_HEIGHT else 1.0


def facing_between(source: Body, target: Body) -> np.ndarray:
    """Return the world rotation that turns the source's up and left to the target's, (4,)."""
    if source.stands != target.stands:
        which = "target" if source.stands else "source"
        raise RetargetError(f"The {which} skeleton's rest pose is not a body: its head lies below its hips, as in "
                            "files that lay all bones along one axis. Take a frame in which it stands as the rest pose "
                            "(Motion.with_rest).")
    ours, theirs = source.frame, target.frame
    return rotation.IDENTITY if ours is None or theirs is None else rotation.from_matrix(theirs @ ours.T)


def chain_fractions(body: Body, chain: tuple[int, ...], end: np.ndarray) -> np.ndarray:
    """Return how far along the chain each of its bones ends, 0 to 1, by rest length. end: (3,) m → (n,)."""
    points = np.vstack([body.pose[0][list(chain)], end])
    ways = np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))
    return ways / ways[-1] if ways[-1] > 1e-9 else np.arange(1, len(chain) + 1) / len(chain)


def chain_end(body: Body, last: int) -> np.ndarray:
    """Return where a spine that ends with joint `last` passes on to neck or arms at rest, (3,) m."""
    head = body.roles.get("Head")
    above = body.path(last, head) if head is not None else None
    if above:
        return body.pose[0][above[0]]
    arms = body.mean("UpperArm")
    return arms if arms is not None else body.pose[0][last]


def _nearest_axis(way: np.ndarray) -> np.ndarray:
    """Return the axis of the world nearest to a direction, (3,)."""
    largest = int(np.argmax(np.abs(way)))
    return np.sign(way[largest]) * np.eye(3)[largest]
