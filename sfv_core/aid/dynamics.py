"""What a motion asks of a character: its joints' torques and the ground's forces, by inverse dynamics.

Forces and moments of the links are summed from the ends to the root (recursive Newton–Euler, Featherstone, "Rigid Body
Dynamics Algorithms", 2008, §5.3). The ground may push, within its friction, at those points of the body that are near
it. Of all its forces those count that move the root as it moves and, that being met, ask least of the joints: no
character can do with less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.signal import butter, sosfiltfilt

from retarget import kinematics, rotation
from sfv_core.character.character import Character
from sfv_core.physics.engine import Conditions

GRAVITY = 9.81
"""In m/s²."""
_CUTOFF = 8.0
"""Frequency in Hz above which movement is taken for noise."""
_RATE, _MOMENTS = 30.0, 4000
"""Moments per second at which efforts are found, and how many at most; between them they are interpolated."""
_POINTS = 10
"""Number of the body's lowest points at which the ground may push."""
_REACH = 0.05
"""Height in m at which a point no longer counts as touching; captured feet stand as high at times."""
_EXACT = 0.02
"""Error of the root's wrench, as a share of weight and of weight times 1 m, that weighs as much as a whole joint."""
_THRIFT = 0.03
"""Weight of forces of one body weight at points on the ground, against torques at their limit."""
_WEAKEST = 1.0
"""Limit in N·m that is taken for joints without one."""


@dataclass(frozen=True)
class Effort:
    """What a motion asks for."""

    torques: np.ndarray
    """Torque at each joint about the axes of its link's frame, a hinge's about its own, in N·m, shape (T, L, 3)."""
    shares: np.ndarray
    """Largest torque about an axis of each joint over its limit, shape (T, L)."""
    missing: np.ndarray
    """Force on the root that neither gravity nor the ground gives, in body weights, shape (T, 3)."""
    ground: np.ndarray
    """Force of the ground on each link in the world in N, shape (T, L, 3)."""


@dataclass(frozen=True)
class Muscles:
    """What moves a character's joints."""

    character: Character
    axes: np.ndarray
    """Axes of each joint in its link's frame, as rows; a hinge has one, the root none, shape (L, 3, 3)."""
    limits: np.ndarray
    """Largest torque about an axis of each joint in N·m, shape (L,)."""
    carries: np.ndarray
    """Whether the second link hangs on the first's joint, shape (L, L)."""
    owners: np.ndarray
    """Link of each point at which the ground may push, shape (P,)."""

    @classmethod
    def of(cls, character: Character) -> Muscles:
        """Read them off a character."""
        count = len(character.links)
        axes, carries = np.zeros((count, 3, 3)), np.eye(count, dtype=bool)
        for i, link in enumerate(character.links):
            if link.joint == "hinge":
                axes[i, 0] = link.axis
            elif link.joint == "ball":
                axes[i] = np.eye(3)
            if link.parent >= 0:
                carries[:, i] |= carries[:, link.parent]
        limits = np.array([max(link.torque, _WEAKEST) for link in character.links])
        points = [sum(len(shape.corners()[0]) for shape in link.shapes) for link in character.links]
        return cls(character, axes, limits, carries, np.repeat(np.arange(count), points))


def find_effort(character: Character, places: np.ndarray, turns: np.ndarray, fps: float) -> Effort:
    """Find the least effort of a motion from its links' frames in the world, (T, L, 3) m and (T, L, 4).

    Fewer than three frames ask for nothing.
    """
    count, links = len(places), len(character.links)
    if count < 3:
        return Effort(np.zeros((count, links, 3)), np.zeros((count, links)), np.zeros((count, 3)),
                      np.zeros((count, links, 3)))
    step = max(1, round(fps / _RATE), count // _MOMENTS)
    at = np.unique(np.append(np.arange(0, count, step), count - 1))
    muscles = Muscles.of(character)
    force, moments = _needed(character, places, turns, fps)
    points = _undersides(character, places, turns)
    axes = muscles.axes @ rotation.to_matrix(turns).swapaxes(-1, -2)
    found = [_solve(muscles, places[t], axes[t], points[t], force[t], moments[t]) for t in at]
    torques, missing, ground = (_between(at, np.array(values), count) for values in zip(*found, strict=True))
    return Effort(torques, np.abs(torques).max(axis=2) / muscles.limits, missing, ground)


def _needed(character: Character, places: np.ndarray, turns: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what accelerates the body against gravity: the force on the root (T, 3) N, and the moments (T, L, 3) N·m
    about each joint of all that hangs on it."""
    masses = np.array([link.mass for link in character.links])
    centres = places + rotation.rotate(turns, character.centres)
    smooth = low_pass(centres, fps, _CUTOFF)
    accelerations = np.empty_like(smooth)
    accelerations[1:-1] = np.diff(smooth, 2, axis=0) * fps**2
    accelerations[[0, -1]] = accelerations[[1, -2]]
    forces = masses[:, None] * (accelerations + np.array([0.0, 0.0, GRAVITY]))
    moments = _spun_up(character, low_pass(rotation.continuous(turns), fps, _CUTOFF), fps)
    moments += np.cross(centres - places, forces)
    for i in range(len(character.links) - 1, 0, -1):
        parent = character.links[i].parent
        moments[:, parent] += moments[:, i] + np.cross(places[:, i] - places[:, parent], forces[:, i])
        forces[:, parent] += forces[:, i]
    return forces[:, 0], moments


def _spun_up(character: Character, turns: np.ndarray, fps: float) -> np.ndarray:
    """Return the moments in N·m about the links' centres of mass that change their spin, (T, L, 3)."""
    turns = rotation.normalize(turns)
    spins = rotation.rotate(rotation.inverse(turns), kinematics.angular_velocity(turns, fps))
    inertias = np.array([link.inertia() for link in character.links])
    momenta = rotation.rotate(turns, np.einsum("lij,tlj->tli", inertias, spins))
    return np.gradient(momenta, 1.0 / fps, axis=0)


def _solve(muscles: Muscles, places: np.ndarray, axes: np.ndarray, points: np.ndarray, force: np.ndarray,
           moments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return torques (L, 3) N·m, missing force (3,) in body weights and the ground's forces (L, 3) N in one frame.

    places: of the joints (L, 3) m; axes: of the joints in the world, as rows (L, 3, 3); points: where the ground may
    push (P, 3) m; force, moments: see `_needed`.
    """
    weight = muscles.character.mass * GRAVITY
    wanted = (axes @ moments[..., None])[..., 0]
    owners, arms, pushes = _pushes(muscles, points)
    if not len(owners):
        return wanted, force / weight, np.zeros_like(places)
    levers = np.cross(arms - places[:, None], pushes) * muscles.carries[:, owners, None]
    own = axes @ levers.swapaxes(1, 2)
    exact, limits = 1.0 / (_EXACT * weight), muscles.limits[1:, None]
    thrift = _THRIFT * (1.0 + 9.0 * (np.maximum(arms[:, 2], 0.0) / _REACH) ** 2)
    rows = [pushes.T * exact, levers[0].T * exact, (own[1:] / limits[..., None]).reshape(-1, len(owners)),
            np.diag(thrift)]
    right = [force * exact, moments[0] * exact, (wanted[1:] / limits).ravel(), np.zeros(len(owners))]
    shares, _ = nnls(np.concatenate(rows), np.concatenate(right))
    ground = np.zeros_like(places)
    np.add.at(ground, owners, pushes * shares[:, None])
    return wanted - own @ shares, (force - ground.sum(axis=0)) / weight, ground


def _pushes(muscles: Muscles, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return links (N,), points (N, 3) m and forces (N, 3) N of the pushes that the ground may give a share of.

    They lie along the edges of a pyramid inside the cone of friction, each of one body weight upward.
    """
    lowest = np.argsort(points[:, 2])[:_POINTS]
    lowest = lowest[points[lowest, 2] < _REACH]
    level = Conditions().friction * np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    edges = muscles.character.mass * GRAVITY * np.concatenate([level, np.ones((4, 1))], axis=1)
    owners = muscles.owners[lowest]
    return np.repeat(owners, 4), np.repeat(points[lowest], 4, axis=0), np.tile(edges, (len(lowest), 1))


def _undersides(character: Character, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """Return the lowest points in the world in m of the balls whose hulls the bodies are, (T, P, 3)."""
    points = []
    for i, link in enumerate(character.links):
        for shape in link.shapes:
            centres, radius = shape.corners()
            world = places[:, i, None] + rotation.rotate(turns[:, i, None], centres)
            points.append(world - np.array([0.0, 0.0, radius]))
    return np.concatenate(points, axis=1)


def low_pass(values: np.ndarray, fps: float, cutoff: float) -> np.ndarray:
    """Return values (T, …) without what is faster than `cutoff` Hz, without delay; unchanged if frames are too few."""
    if fps <= 2.2 * cutoff or len(values) < 9:
        return values
    padding = min(len(values) - 1, round(fps / 2))
    return sosfiltfilt(butter(2, cutoff, fs=fps, output="sos"), values, axis=0, padlen=padding)


def _between(at: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Interpolate values (N, …) at the frames `at` over all frames, (count, …)."""
    flat = values.reshape(len(at), -1)
    out = np.stack([np.interp(np.arange(count), at, column) for column in flat.T], axis=1)
    return out.reshape(count, *values.shape[1:])
