"""Character: a skeleton with bodies, masses, hinges and muscles, ready for a physics engine.

Its links are its skeleton's first joints, in the same order; the joints after them (the wrists) are fixed to their
parents. At rest every link's frame lies along the world's axes, so all rest rotations are the identity.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from retarget import rotation
from retarget.motion import Skeleton
from sfv_core.errors import SfvError

ARMATURE = 2e-3
"""Inertia of the motors about their joints as a share of the damping, in kg·m² per N·m·s/rad: 0.1 at hips and knees.
With less, a motor at its limit throws a light limb past its target within a step; with more, it starts late."""


@dataclass(frozen=True)
class Shape:
    """A solid fixed to a link."""

    kind: Literal["sphere", "capsule", "box"]
    size: tuple[float, ...]
    """Sphere: radius; capsule: radius and length of its cylinder; box: its three full edges; in m."""
    mass: float
    """Mass in kg, spread evenly."""
    centre: tuple[float, float, float]
    """Centre in the link's frame in m."""
    direction: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Unit direction of a capsule in the link's frame; a box lies along the frame's axes."""

    def inertia(self) -> np.ndarray:
        """Return the inertia about the shape's centre, in the link's axes, in kg·m², shape (3, 3)."""
        if self.kind == "sphere":
            return 0.4 * self.mass * self.size[0] ** 2 * np.eye(3)
        if self.kind == "box":
            squares = np.square(self.size)
            return self.mass / 12 * np.diag(squares.sum() - squares)
        radius, length = self.size
        tube = self.mass * length / (length + 4 / 3 * radius)
        caps = self.mass - tube
        across = (tube * (radius**2 / 4 + length**2 / 12)
                  + caps * (0.4 * radius**2 + length**2 / 4 + 3 / 8 * length * radius))
        along = tube * radius**2 / 2 + caps * 0.4 * radius**2
        axis = np.array(self.direction)
        return across * np.eye(3) + (along - across) * np.outer(axis, axis)

    def corners(self) -> tuple[np.ndarray, float]:
        """Return points (P, 3) m in the link's frame and a radius: the shape is the hull of balls around them."""
        centre = np.array(self.centre)
        if self.kind == "sphere":
            return centre[None], self.size[0]
        if self.kind == "capsule":
            half = 0.5 * self.size[1] * np.array(self.direction)
            return np.stack([centre - half, centre + half]), self.size[0]
        signs = np.stack(np.meshgrid(*[[-0.5, 0.5]] * 3, indexing="ij"), -1).reshape(-1, 3)
        return centre + signs * np.array(self.size), 0.0


@dataclass(frozen=True)
class Link:
    """A rigid body and the joint that ties it to its parent."""

    name: str
    parent: int
    """Index of the parent link; −1 for the root."""
    joint: Literal["free", "ball", "hinge"]
    shapes: tuple[Shape, ...]
    axis: tuple[float, float, float] = (1.0, 0.0, 0.0)
    """A hinge's axis, the same in the parent's and in the link's frame; positive angles bend the limb."""
    limits: tuple[float, float] = (0.0, 0.0)
    """A hinge's smallest and largest angle in rad."""
    stiffness: float = 0.0
    """Gain on the angle in N·m/rad."""
    damping: float = 0.0
    """Gain on the angular velocity in N·m·s/rad."""
    torque: float = 0.0
    """Largest torque about each axis in N·m."""
    weight: float = 0.0
    """Weight of this joint's error in the reward; the weights of a character sum to 1."""

    @property
    def mass(self) -> float:
        """Mass in kg."""
        return sum(shape.mass for shape in self.shapes)

    @property
    def armature(self) -> float:
        """Inertia of the joint's motor about each of its axes in kg·m²."""
        return ARMATURE * self.damping

    @property
    def centre_of_mass(self) -> np.ndarray:
        """Centre of mass in the link's frame in m, shape (3,)."""
        return sum((shape.mass * np.array(shape.centre) for shape in self.shapes), np.zeros(3)) / self.mass

    def inertia(self) -> np.ndarray:
        """Return the inertia about the centre of mass, in the link's axes, in kg·m², shape (3, 3)."""
        total = np.zeros((3, 3))
        for shape in self.shapes:
            arm = np.array(shape.centre) - self.centre_of_mass
            total += shape.inertia() + shape.mass * (arm @ arm * np.eye(3) - np.outer(arm, arm))
        return total


@dataclass(frozen=True)
class Character:
    """A skeleton with a body for each of its first L joints."""

    skeleton: Skeleton
    links: tuple[Link, ...]

    @cached_property
    def parents(self) -> np.ndarray:
        """Parent of each link, −1 for the root, shape (L,)."""
        return np.array([link.parent for link in self.links])

    @cached_property
    def offsets(self) -> np.ndarray:
        """Place of each link's joint in its parent link's frame in m, shape (L, 3)."""
        return self.skeleton.offsets[: len(self.links)]

    @cached_property
    def centres(self) -> np.ndarray:
        """Centre of mass of each link in its own frame in m, shape (L, 3)."""
        return np.array([link.centre_of_mass for link in self.links])

    @cached_property
    def inertias(self) -> np.ndarray:
        """Inertia of each link about its centre of mass, in its own axes, in kg·m², shape (L, 3, 3)."""
        return np.array([link.inertia() for link in self.links])

    @cached_property
    def weights(self) -> np.ndarray:
        """Weight of each joint's error in the reward, shape (L,)."""
        return np.array([link.weight for link in self.links])

    @cached_property
    def balls(self) -> np.ndarray:
        """Indices of the links on ball joints, shape (B,)."""
        return np.array([i for i, link in enumerate(self.links) if link.joint == "ball"])

    @cached_property
    def hinges(self) -> np.ndarray:
        """Indices of the links on hinges, shape (H,)."""
        return np.array([i for i, link in enumerate(self.links) if link.joint == "hinge"])

    @cached_property
    def axes(self) -> np.ndarray:
        """Axes of the hinges, shape (H, 3)."""
        return np.array([self.links[i].axis for i in self.hinges])

    @cached_property
    def owners(self) -> np.ndarray:
        """Link that each joint coordinate moves, shape (C,)."""
        return np.concatenate([np.repeat(self.balls, 3), self.hinges]).astype(int)

    @cached_property
    def mass(self) -> float:
        """Mass of the whole body in kg."""
        return sum(link.mass for link in self.links)

    @property
    def coordinates(self) -> int:
        """Number C of joint coordinates: three for each ball joint, then one for each hinge."""
        return 3 * len(self.balls) + len(self.hinges)

    def index(self, name: str) -> int:
        """Return the link's index."""
        return self.skeleton.names[: len(self.links)].index(name)

    def to_coordinates(self, local: np.ndarray) -> np.ndarray:
        """Turn rotations in the parents' frames (..., L, 4) into joint coordinates (..., C) in rad.

        Ball joints give axis times angle, in the order of `balls`; then hinges give their angle in (−π, π].
        """
        turns = rotation.to_rotvec(local[..., self.balls, :])
        quaternions = local[..., self.hinges, :]
        half = np.arctan2(np.sum(quaternions[..., 1:] * self.axes, axis=-1), quaternions[..., 0])
        angles = np.remainder(2 * half + np.pi, 2 * np.pi) - np.pi
        return np.concatenate([turns.reshape(*turns.shape[:-2], -1), angles], axis=-1)

    def to_rotations(self, coordinates: np.ndarray) -> np.ndarray:
        """Turn joint coordinates (..., C) into rotations in the parents' frames (..., L, 4); the root's is 1."""
        split = 3 * len(self.balls)
        local = np.zeros((*coordinates.shape[:-1], len(self.links), 4))
        local[..., 0] = 1.0
        balls = coordinates[..., :split].reshape(*coordinates.shape[:-1], -1, 3)
        local[..., self.balls, :] = rotation.from_rotvec(balls)
        local[..., self.hinges, :] = rotation.from_rotvec(coordinates[..., split:, None] * self.axes)
        return local

    def lowest(self, positions: np.ndarray, rotations: np.ndarray) -> np.ndarray:
        """Return the height in m of each link's lowest point. Link frames (..., L, 3), (..., L, 4) → (..., L)."""
        heights = []
        for i, link in enumerate(self.links):
            ends = []
            for shape in link.shapes:
                points, radius = shape.corners()
                world = rotation.rotate(rotations[..., i, None, :], points)
                ends.append(np.min(world[..., 2], axis=-1) - radius)
            heights.append(positions[..., i, 2] + np.min(ends, axis=0))
        return np.stack(heights, axis=-1)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and texts that `from_dict` reads."""
        s = self.skeleton
        return {"names": list(s.names), "parents": s.parents.tolist(), "offsets": s.offsets.tolist(),
                "links": [asdict(link) for link in self.links]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Character:
        """Read what `to_dict` returned."""
        try:
            names = tuple(data["names"])
            skeleton = Skeleton(names, np.array(data["parents"]), np.array(data["offsets"]),
                                np.tile(rotation.IDENTITY, (len(names), 1)))
            links = []
            for row in data["links"]:
                shapes = tuple(Shape(**{key: _tuple(value) for key, value in shape.items()})
                               for shape in row["shapes"])
                links.append(Link(**{key: _tuple(value) for key, value in row.items() if key != "shapes"},
                                  shapes=shapes))
            return cls(skeleton, tuple(links))
        except (KeyError, TypeError, ValueError) as error:
            raise SfvError(f"The character is damaged ({error}). Train the policy again.") from error


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
