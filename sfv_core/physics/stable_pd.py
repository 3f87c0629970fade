"""Stable PD control of many bodies at once, which takes what touches them into account.

Motors ask for τ = Kp (q* − q − Δt q̇) − Kd (q̇ + Δt q̈), with the acceleration q̈ of the step to come, so that no gain
is too high for the lightest limb (Tan et al., "Stable Proportional-Derivative Controllers", 2011). There q̈ is that of a
body which nothing touches. On the ground it is far off: a motor that carries weight gives Kp / (1 + Kd Δt W), W being
the inverse of the inertia that the free body has about the joint; a seventh of Kp in a spine, a fiftieth in an ankle
that turns nothing but a foot.

Here q̈ = W τ + f, where f is what moved the joints in the step before beside the motors: ground, pushes, Coriolis
forces. Whatever touches, its effect on joints is between none and holding them still, so each step leaves of an error
of f less than Kd Δt W / (1 + Kd Δt W) and it fades. A foot that leaves the ground is taken for held for a step
more; so that it is not flung, only most of f counts (TRUST). See docs/decisions/019.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retarget import rotation
from sfv_core.character.character import Character
from sfv_core.physics.engine import PHYSICS_RATE, State

TRUST = 0.95
"""How much of the last step's foreign acceleration counts."""
_STEP = 1.0 / PHYSICS_RATE


@dataclass(frozen=True)
class Response:
    """How N bodies in their poses answer to torques at their C coordinates, shapes (N, C, C)."""

    free: np.ndarray
    """W: accelerations in rad/s² per N·m of a body that nothing touches."""
    damped: np.ndarray
    """The same while the motors' damping of the coming step resists: (W⁻¹ + Kd Δt)⁻¹."""

    def __getitem__(self, ids: np.ndarray) -> Response:
        """Select bodies."""
        return Response(self.free[ids], self.damped[ids])


class StablePd:
    """The motors of a character."""

    def __init__(self, character: Character, axes: np.ndarray, inertias: np.ndarray | None = None) -> None:
        """Take the axis of each coordinate in its link's frame, shape (C, 3): balls have three, hinges one.

        inertias: those that the links have in the engine, (L, 3, 3), where they are not the character's.
        """
        links = character.links
        self._character, self._axes = character, axes
        self._owners = character.owners
        motors = [links[i] for i in self._owners]
        self._stiffness, self._damping, self._limit = (
            np.array([getattr(link, name) for link in motors]) for name in ("stiffness", "damping", "torque"))
        carries = np.eye(len(links))
        for i, link in enumerate(links):
            if link.parent >= 0:
                carries[:, i] += carries[:, link.parent]
        self._carries = carries
        """1 where the second link hangs on the first's joint, or is it; shape (L, L)."""
        above = carries[self._owners][:, self._owners] > 0
        self._above = above | above.T
        """Whether one of two coordinates moves the other's link; others share no inertia. Shape (C, C)."""
        self._swap = ~above
        self._masses = np.array([link.mass for link in links])
        self._inertias = character.inertias if inertias is None else inertias

    def response(self, state: State) -> Response:
        """Return how bodies in a state (N, …) answer to torques."""
        inertia = self._joint_inertia(state.positions - state.positions[:, :1], rotation.to_matrix(state.rotations))
        return Response(np.linalg.inv(inertia), np.linalg.inv(inertia + _STEP * np.diag(self._damping)))

    def torques(self, errors: np.ndarray, rates: np.ndarray, foreign: np.ndarray,
                response: Response) -> tuple[np.ndarray, np.ndarray]:
        """Return the torques in N·m for the coming step and the accelerations in rad/s² that they alone bring, (N, C).

        errors: how far each coordinate is from its target in rad. rates: its velocity in rad/s. foreign: acceleration
        in the step before beside what the motors brought.
        """
        wanted = self._stiffness * (errors - _STEP * rates) - self._damping * (rates + _STEP * TRUST * foreign)
        coming = (response.damped @ wanted[..., None])[..., 0]
        torques = np.clip(wanted - _STEP * self._damping * coming, -self._limit, self._limit)
        return torques, (response.free @ torques[..., None])[..., 0]

    def _joint_inertia(self, places: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """Return the inertia about the coordinates while the root floats, shape (N, C, C).

        By composite bodies: what hangs on a coordinate turns about its axis as one; the momentum that this brings is
        what the axes above and the root must hold. places: (N, L, 3) from the root. turns: (N, L, 3, 3).
        """
        masses, moments, inertias = self._composites(places, turns)
        axes = (turns[:, self._owners] @ self._axes[..., None])[..., 0]
        arms = np.cross(axes, places[:, self._owners])
        mass, moment = masses[self._owners, None], moments[:, self._owners]
        push = np.cross(axes, moment) - mass * arms
        twist = (inertias[:, self._owners] @ axes[..., None])[..., 0] - np.cross(moment, arms)
        shared = axes @ twist.swapaxes(-1, -2) - arms @ push.swapaxes(-1, -2)
        shared = np.where(self._swap, shared.swapaxes(-1, -2), shared) * self._above
        root = np.zeros((len(places), 6, 6))
        root[:, :3, :3] = masses[0] * np.eye(3)
        root[:, :3, 3:], root[:, 3:, :3] = -_skew(moments[:, 0]), _skew(moments[:, 0])
        root[:, 3:, 3:] = inertias[:, 0]
        coupling = np.concatenate([push, twist], axis=-1)
        return shared - coupling @ np.linalg.solve(root, coupling.swapaxes(-1, -2))

    def _composites(self, places: np.ndarray, turns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mass (L,), mass times centre (N, L, 3), inertia about the root (N, L, 3, 3) of what hangs on links."""
        count = len(places)
        centres = places + (turns @ self._character.centres[..., None])[..., 0]
        moments = self._masses[:, None] * centres
        inertias = turns @ self._inertias @ turns.swapaxes(-1, -2) - moments[..., None] * centres[..., None, :]
        inertias += np.sum(moments * centres, axis=-1)[..., None, None] * np.eye(3)
        return (self._carries @ self._masses, self._carries @ moments,
                (self._carries @ inertias.reshape(count, -1, 9)).reshape(inertias.shape))


def _skew(vectors: np.ndarray) -> np.ndarray:
    """Return the matrices (N, 3, 3) that multiply by the cross product with vectors (N, 3) from the left."""
    x, y, z = vectors.T
    zero = np.zeros_like(x)
    return np.moveaxis(np.array([[zero, -z, y], [z, zero, -x], [-y, x, zero]]), -1, 0)
