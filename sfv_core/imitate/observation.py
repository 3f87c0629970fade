"""What the policy sees: where the motion is, how far the character is from it, and the character's own body.

Places and velocities are seen from the root, in axes that turn with its heading. The errors of every link's place,
turn and motion in the world say what the reward and the end of an episode depend on, and need no learning of what the
reference does at which phase: with them a cartwheel takes half the samples (docs/decisions/017). The variant `paper`
is DeepMimic's state, which knows the reference only by the phase: 197 numbers for its humanoid of 15 solids (Peng et
al. 2018 §5.1 and cCtController of its code).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from retarget import rotation
from sfv_core.character.character import Character
from sfv_core.imitate.posture import Posture


@dataclass(frozen=True)
class View:
    """Everything that observations are made from."""

    character: Character
    now: Posture
    goal: Posture
    """The reference at this moment."""
    phase: np.ndarray
    """Part of the cycle or clip that is over, 0 to 1, shape (N,)."""
    loop: bool
    target_error: np.ndarray
    """Joint coordinates of the reference when the next action ends, less the character's, in rad, shape (N, C)."""
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


def drift(view: View) -> np.ndarray:
    """Way from the root to the reference's root in m."""
    return rotation.rotate(view.to_heading[:, 0], view.goal.root - view.now.root)


def root_errors(view: View) -> np.ndarray:
    """Rotation from the root to the reference's as a vector, and what its velocity and spin lack, scaled and cut."""
    now, goal = view.now.state, view.goal.state
    turn = rotation.to_rotvec(rotation.multiply(goal.rotations[:, 0], rotation.inverse(now.rotations[:, 0])))
    velocity, spin = goal.velocities[:, 0] - now.velocities[:, 0], goal.spins[:, 0] - now.spins[:, 0]
    errors = (np.clip(turn, -2.0, 2.0), np.clip(velocity, -4.0, 4.0), np.clip(0.1 * spin, -2.0, 2.0))
    return rotation.rotate(view.to_heading, np.stack(errors, 1))


def place_errors(view: View) -> np.ndarray:
    """Ways in the world from the other links to the reference's in m, cut at ±1 m."""
    error = view.goal.state.positions[:, 1:] - view.now.state.positions[:, 1:]
    return np.clip(rotation.rotate(view.to_heading, error), -1.0, 1.0)


def turn_errors(view: View) -> np.ndarray:
    """Rotations in the world from the other links to the reference's as rotation vectors, cut at ±2 rad."""
    now, goal = view.now.state.rotations[:, 1:], view.goal.state.rotations[:, 1:]
    error = rotation.to_rotvec(rotation.multiply(goal, rotation.inverse(now)))
    return np.clip(rotation.rotate(view.to_heading, error), -2.0, 2.0)


def velocity_errors(view: View) -> np.ndarray:
    """Velocities of the reference's other links less those of the character's, in 1/0.3 m/s, cut at ±2."""
    error = view.goal.state.velocities[:, 1:] - view.now.state.velocities[:, 1:]
    return np.clip(0.3 * rotation.rotate(view.to_heading, error), -2.0, 2.0)


def plain_phase(view: View) -> np.ndarray:
    """Phase as a number."""
    return view.phase[:, None]


def solid_places(view: View) -> np.ndarray:
    """Centres of the links' solids relative to the root in m."""
    links, arms = _solids(view)
    centres = view.now.state.positions[:, links] + rotation.rotate(view.now.state.rotations[:, links], arms)
    return rotation.rotate(view.to_heading, centres - view.now.root[:, None])


def solid_turns(view: View) -> np.ndarray:
    """Rotations of the links' solids as quaternions with w ≥ 0."""
    links, _ = _solids(view)
    turns = rotation.multiply(view.to_heading, view.now.state.rotations[:, links])
    return np.where(turns[..., :1] < 0, -turns, turns)


def solid_velocities(view: View) -> np.ndarray:
    """Velocities of the solids' centres in m/s."""
    links, arms = _solids(view)
    state = view.now.state
    arms = rotation.rotate(state.rotations[:, links], arms - view.character.centres[links])
    return rotation.rotate(view.to_heading, state.velocities[:, links] + np.cross(state.spins[:, links], arms))


def solid_spins(view: View) -> np.ndarray:
    """Angular velocities of the solids in rad/s."""
    links, _ = _solids(view)
    return rotation.rotate(view.to_heading, view.now.state.spins[:, links])


def _solids(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Return each solid's link (S,) and its centre in the link's frame in m (S, 3); a hand is a solid of its own."""
    rows = [(i, shape.centre) for i, link in enumerate(view.character.links) for shape in link.shapes]
    return np.array([i for i, _ in rows]), np.array([centre for _, centre in rows])


OBSERVATIONS: dict[str, tuple[tuple[str, Observe], ...]] = {
    "fast": (
        ("phase", phase), ("height", height), ("drift", drift), ("target_error", target_error),
        ("places", places), ("axes", axes), ("spins", spins), ("velocities", velocities),
        ("root_errors", root_errors), ("place_errors", place_errors), ("turn_errors", turn_errors),
        ("velocity_errors", velocity_errors),
    ),
    "paper": (
        ("phase", plain_phase), ("height", height), ("places", solid_places), ("turns", solid_turns),
        ("velocities", solid_velocities), ("spins", solid_spins),
    ),
}
"""Name and function of each variant's terms; the observation is their values in this order."""


def observe(view: View, variant: str = "fast") -> np.ndarray:
    """Return the variant's observation, float32 of shape (N, D)."""
    parts = [term(view).reshape(len(view.phase), -1) for _, term in OBSERVATIONS[variant]]
    return np.concatenate(parts, axis=1, dtype=np.float32)
