"""What the policy sees: where the motion is, how far the character is from it, and the character's own body.

Places and velocities are seen from the root, in axes that turn with its heading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from retarget import rotation
from sfv_core.imitate.posture import Posture


@dataclass(frozen=True)
class View:
    """Everything that observations are made from."""

    now: Posture
    goal: Posture
    """The reference at this moment."""
    phase: np.ndarray
    """Part of the cycle or clip that is over, 0 to 1, shape (N,)."""
    loop: bool
    target_error: np.ndarray
    """Reference joint coordinates that the next action starts from, less the character's, in rad, shape (N, C)."""
    to_heading: np.ndarray
    """Rotation from the world into the root's heading, shape (N, 1, 4)."""


Observe = Callable[[View], np.ndarray]


def heading(q_world_root: np.ndarray) -> np.ndarray:
    """Return the rotation about the vertical from the way the root faces (forward is −Y) to −Y. (N, 4) → (N, 4)."""
    forward = rotation.rotate(q_world_root, np.array([0.0, -1.0, 0.0]))
    yaw = np.arctan2(forward[:, 0], -forward[:, 1])
    return rotation.from_rotvec(-yaw[:, None] * np.array([0.0, 0.0, 1.0]))


def phase(view: View) -> np.ndarray:
    """Phase as a point on a circle (a half one for a clip that ends), and as a number."""
    angle = view.phase * np.pi * (2.0 if view.loop else 1.0)
    return np.stack([np.cos(angle), np.sin(angle), view.phase], -1)


def height(view: View) -> np.ndarray:
    """Height of the root in m."""
    return view.now.root[:, 2:]


def drift(view: View) -> np.ndarray:
    """Way from the root to the reference's root in m."""
    return rotation.rotate(view.to_heading[:, 0], view.goal.root - view.now.root)


def target_error(view: View) -> np.ndarray:
    """Joint coordinates still to go, cut at ±2 rad."""
    return np.clip(view.target_error, -2.0, 2.0)


def places(view: View) -> np.ndarray:
    """Places of the links relative to the root in m."""
    return rotation.rotate(view.to_heading, view.now.state.positions[:, 1:] - view.now.root[:, None])


def axes(view: View) -> np.ndarray:
    """Two axes of each link."""
    turned = rotation.to_matrix(rotation.multiply(view.to_heading, view.now.state.rotations))
    return turned[..., :2]


def spins(view: View) -> np.ndarray:
    """Angular velocities of the links in tenths of rad/s."""
    return 0.1 * rotation.rotate(view.to_heading, view.now.state.spins)


def velocities(view: View) -> np.ndarray:
    """Velocities of the links' centres of mass, in 1/0.3 m/s."""
    return 0.3 * rotation.rotate(view.to_heading, view.now.state.velocities)


TERMS: tuple[tuple[str, Observe], ...] = (
    ("phase", phase), ("height", height), ("drift", drift), ("target_error", target_error),
    ("places", places), ("axes", axes), ("spins", spins), ("velocities", velocities),
)
"""Name and function; the observation is their values in this order."""


def observe(view: View) -> np.ndarray:
    """Return the observation, float32 of shape (N, D)."""
    parts = [term(view).reshape(len(view.phase), -1) for _, term in TERMS]
    return np.concatenate(parts, axis=1, dtype=np.float32)
