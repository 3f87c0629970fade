"""How well the character imitates: DeepMimic's reward, as its published code weighs it, and as its paper does.

Each term is exp(−scale · error), 1 at the reference; the weights sum to 1, so that a step's reward is 0 to 1.
Sources: `code`: calcReward of DeepMimic's SceneImitate; there the ends' places are seen from the root's heading, here
along the world's axes. `paper`: Peng et al. 2018 §5.3, whose sums are over joints without weights, the root's turn
among them; its scales are harsh, so that far from the reference nothing tells worse from better.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from retarget import rotation
from sfv_core.character.character import Character
from sfv_core.imitate.posture import Posture
from sfv_core.imitate.posture import centre_of_mass as centre_of

Term = Callable[[Posture, Posture, Character], np.ndarray]


def pose(now: Posture, goal: Posture, character: Character) -> np.ndarray:
    """exp(−2 · Σ weighted squared joint angle error), the root's in the world. → (N,)."""
    return np.exp(-2.0 * (rotation.angle(now.local, goal.local) ** 2 @ character.weights))


def spin(now: Posture, goal: Posture, character: Character) -> np.ndarray:
    """exp(−0.1 · Σ weighted squared error of the joints' angular velocities). → (N,)."""
    return np.exp(-0.1 * (np.sum((now.local_spins - goal.local_spins) ** 2, -1) @ character.weights))


def ends(now: Posture, goal: Posture, character: Character) -> np.ndarray:
    """exp(−40 · mean squared error of ankles and wrists relative to the root). → (N,)."""
    error = (now.ends - now.root[:, None]) - (goal.ends - goal.root[:, None])
    return np.exp(-40.0 * np.mean(np.sum(error**2, -1), -1))


def root(now: Posture, goal: Posture, character: Character) -> np.ndarray:
    """exp(−5 · (place² + 0.1 angle² + 0.01 velocity² + 0.001 spin²)), errors of the root. → (N,)."""
    place = np.sum((now.root - goal.root) ** 2, -1)
    angle = rotation.angle(now.state.rotations[:, 0], goal.state.rotations[:, 0]) ** 2
    velocity = np.sum((now.state.velocities[:, 0] - goal.state.velocities[:, 0]) ** 2, -1)
    turning = np.sum((now.state.spins[:, 0] - goal.state.spins[:, 0]) ** 2, -1)
    return np.exp(-5.0 * (place + 0.1 * angle + 0.01 * velocity + 0.001 * turning))


def centre_of_mass(now: Posture, goal: Posture, character: Character) -> np.ndarray:
    """exp(−10 · 0.1 · squared error of the whole body's velocity). → (N,)."""
    return np.exp(-np.sum((now.momentum - goal.momentum) ** 2, -1))


def paper_pose(now: Posture, goal: Posture, character: Character) -> np.ndarray:
    """exp(−2 · Σ squared joint angle error), the root's in the world. → (N,)."""
    return np.exp(-2.0 * np.sum(rotation.angle(now.local, goal.local) ** 2, -1))


def paper_spin(now: Posture, goal: Posture, character: Character) -> np.ndarray:
    """exp(−0.1 · Σ squared error of the joints' angular velocities). → (N,)."""
    return np.exp(-0.1 * np.sum((now.local_spins - goal.local_spins) ** 2, (-2, -1)))


def paper_ends(now: Posture, goal: Posture, character: Character) -> np.ndarray:
    """exp(−40 · Σ squared error of ankles and wrists in the world). → (N,)."""
    return np.exp(-40.0 * np.sum((now.ends - goal.ends) ** 2, (-2, -1)))


def paper_centre_of_mass(now: Posture, goal: Posture, character: Character) -> np.ndarray:
    """exp(−10 · squared error of the whole body's place). → (N,)."""
    error = centre_of(character, now.state) - centre_of(character, goal.state)
    return np.exp(-10.0 * np.sum(error**2, -1))


REWARDS: dict[str, tuple[tuple[str, float, Term], ...]] = {
    "code": (
        ("pose", 0.5, pose),
        ("spin", 0.05, spin),
        ("ends", 0.15, ends),
        ("root", 0.2, root),
        ("centre_of_mass", 0.1, centre_of_mass),
    ),
    "paper": (
        ("pose", 0.65, paper_pose),
        ("spin", 0.1, paper_spin),
        ("ends", 0.15, paper_ends),
        ("centre_of_mass", 0.1, paper_centre_of_mass),
    ),
}
"""Name, weight, function of each variant's terms."""


def reward(now: Posture, goal: Posture, character: Character, variant: str = "code") -> np.ndarray:
    """Return the weighted sum of the variant's terms, 1 at the reference. → (N,)."""
    return np.sum([weight * term(now, goal, character) for _, weight, term in REWARDS[variant]], axis=0)
