"""Two bodies at rest, compared: where up and forward are, how high the hips stand, which limbs rest elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import rotation
from .errors import RetargetError
from .kinematics import rest_pose
from .motion import Skeleton
from .roles import FINGERS, SIDES, path_down

_LIMBS = (("UpperArm", "LowerArm"), ("LowerArm", "Hand"), ("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot"))
_STANDING = (-0.02, 0.15)
"""Range of the lowest joint's height over z = 0, in hip heights, in which a body stands on z = 0."""


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
        """World positions (J, 3) m and rotations (J, 4) at rest."""
        return rest_pose(self.skeleton)

    @cached_property
    def up(self) -> np.ndarray:
        """The axis of the world nearest to the way from the feet to the hips, (3,); Z where no leg is mapped."""
        for role in ("Foot", "LowerLeg"):
            feet = self.mean(role)
            if feet is not None:
                way = self.pose[0][self.hips] - feet
                largest = int(np.argmax(np.abs(way)))
                return np.sign(way[largest]) * np.eye(3)[largest]
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
    def hip_height(self) -> float:
        """Height of the hips over the lowest mapped joint at rest in m."""
        return float(self.pose[0][self.hips] @ self.up) - self._lowest

    @cached_property
    def on_floor(self) -> bool:
        """Whether the body stands on z = 0: its feet, or its lowest joint at all, are about there."""
        low, high = (part * self.hip_height for part in _STANDING)
        return any(low <= lowest <= high for lowest in (self._lowest, float(np.min(self.pose[0] @ self.up))))

    @cached_property
    def floor(self) -> float:
        """Height of the floor in m: 0 for a body that stands on it or has its hips about the origin."""
        about_origin = abs(self.pose[0][self.hips] @ self.up) < 0.5 * self.hip_height
        return 0.0 if self.on_floor or about_origin else self._lowest

    @cached_property
    def stands(self) -> bool:
        """Whether the head is not below the hips; some files rest as a pole with all bones along one axis."""
        top = self.roles.get("Head", self.roles.get("LeftUpperArm"))
        if top is None:
            return True
        way = self.pose[0][top] - self.pose[0][self.hips]
        return bool(way @ self.up >= -0.3 * np.linalg.norm(way))

    @cached_property
    def _lowest(self) -> float:
        return float(np.min(self.pose[0][list(self.joints)] @ self.up))

    def mean(self, role: str) -> np.ndarray | None:
        """Return the mean rest position of the role's joints of both sides."""
        there = [self.pose[0][self.roles[side + role]] for side in SIDES if side + role in self.roles]
        return np.mean(there, axis=0) if there else None

    def direction(self, role: str, end: str) -> np.ndarray | None:
        """Return the unit vector from one role's joint to another's at rest; None where one is missing."""
        if role not in self.roles or end not in self.roles:
            return None
        way = self.pose[0][self.roles[end]] - self.pose[0][self.roles[role]]
        length = np.linalg.norm(way)
        return way / length if length > 1e-9 else None


def scale_between(source: Body, target: Body) -> float:
    """Return the ratio of hip heights, over the floor where both bodies show it and over the feet where not."""
    heights = (source.hip_height, target.hip_height)
    if source.on_floor and target.on_floor:
        heights = tuple(float(body.pose[0][body.hips] @ body.up) for body in (source, target))
    return heights[1] / heights[0] if min(heights) > 1e-9 else 1.0


def facing_between(source: Body, target: Body) -> np.ndarray:
    """Return the world rotation that turns the source's up and left to the target's, (4,)."""
    if source.stands != target.stands:
        which = "target" if source.stands else "source"
        raise RetargetError(f"The {which} skeleton's rest pose is not a body: its head lies below its hips, as in "
                            "files that lay all bones along one axis. Take a frame in which it stands as the rest pose "
                            "(Motion.with_rest).")
    ours, theirs = source.frame, target.frame
    return rotation.IDENTITY if ours is None or theirs is None else rotation.from_matrix(theirs @ ours.T)


def alignments(source: Body, target: Body, facing: np.ndarray, over: float) -> dict[int, np.ndarray]:
    """Return by target joint the world rotation (4,) that takes its rest to the pose the source rests in.

    Only limbs whose directions differ by more than `over` rad are aligned; a hand goes with its forearm. Feet rest
    flat in nearly all rigs, whatever the legs do, and stay; a foot that was rolled outwards with its leg is put flat.
    """
    aligned: dict[int, np.ndarray] = {}
    for side in SIDES:
        for role, end in _LIMBS:
            ours, theirs = source.direction(side + role, side + end), target.direction(side + role, side + end)
            if ours is None or theirs is None:
                continue
            turn = rotation.between(theirs, rotation.rotate(facing, ours))
            if rotation.angle(turn, rotation.IDENTITY) > over:
                aligned[target.roles[side + role]] = turn
        forearm = aligned.get(target.roles.get(side + "LowerArm", -1))
        if forearm is not None:
            ends = ("Hand", *(f"{finger}{i}" for finger in FINGERS for i in (1, 2, 3)))
            aligned.update({target.roles[side + end]: forearm for end in ends if side + end in target.roles})
        ours = rotation.multiply(rotation.multiply(facing, _foot_roll(source, side, over)), rotation.inverse(facing))
        roll = rotation.multiply(ours, rotation.inverse(_foot_roll(target, side, over)))
        if rotation.angle(roll, rotation.IDENTITY) > 1e-6:
            aligned.update({target.roles[side + end]: roll for end in ("Foot", "Toes") if side + end in target.roles})
    return aligned


def _foot_roll(body: Body, side: str, over: float) -> np.ndarray:
    """Return how far a foot was rolled outwards together with a splayed leg at rest, (4,).

    Skeletons from optical capture (CMU's) splay the legs at rest and keep the foot in the leg's own plane; a foot
    counts as rolled when it lies in the plane of shin and forward within one degree.
    """
    shin, foot = body.direction(side + "LowerLeg", side + "Foot"), body.direction(side + "Foot", side + "Toes")
    if shin is None or foot is None or body.left is None:
        return rotation.IDENTITY
    forward = np.cross(body.left, body.up)
    splayed = shin - np.dot(shin, forward) * forward
    roll = rotation.between(-body.up, splayed)
    across = np.cross(splayed, forward)
    out_of_plane = abs(np.dot(foot, across)) / max(np.linalg.norm(across), 1e-9)
    if rotation.angle(roll, rotation.IDENTITY) <= over or out_of_plane > np.sin(np.radians(1.0)):
        return rotation.IDENTITY
    return roll


def chain_fractions(body: Body, chain: tuple[int, ...], end: np.ndarray) -> np.ndarray:
    """Return how far along the chain each of its bones ends, 0 to 1, by rest length. end: (3,) m → (n,)."""
    points = np.vstack([body.pose[0][list(chain)], end])
    ways = np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))
    return ways / ways[-1] if ways[-1] > 1e-9 else np.arange(1, len(chain) + 1) / len(chain)


def chain_end(body: Body, last: int) -> np.ndarray:
    """Return where a spine that ends with joint `last` passes on to neck or arms at rest, (3,) m."""
    head = body.roles.get("Head")
    above = path_down(body.skeleton, last, head) if head is not None else None
    if above:
        return body.pose[0][above[0]]
    arms = body.mean("UpperArm")
    return arms if arms is not None else body.pose[0][last]
