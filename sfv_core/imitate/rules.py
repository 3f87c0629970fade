"""The rules of the game: what is rewarded, what the policy sees and moves, and what ends an episode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np

from sfv_core.character.character import Character
from sfv_core.errors import SfvError
from sfv_core.imitate.reference import Reference
from sfv_core.physics.engine import PHYSICS_RATE, State

CONTROL_RATE = 30
"""Actions per second."""
SUBSTEPS = PHYSICS_RATE // CONTROL_RATE
EPISODE = 20 * CONTROL_RATE
"""Longest episode in control steps."""
ACTION_SCALE = 0.5
"""How far in rad an action of 1 moves a joint's target."""
LEAD = PHYSICS_RATE // 30
"""Ticks by which the target is ahead: it is where the reference will be when the action ends."""
NEAR = 0.03
"""Links whose lowest point comes this close in m to the ground in the reference may touch it."""
LYING = 0.2
"""A reference whose pelvis or chest comes this close in m to the ground rolls, crawls or gets up: all may touch."""
TOUCH = 0.005
"""A link touches the ground when its lowest point is below this height in m."""


@dataclass(frozen=True)
class Rules:
    """How imitation is set as a task; the defaults learn fastest, `PAPER` is DeepMimic's own."""

    reward: Literal["code", "paper"] = "code"
    """Weights and terms of DeepMimic's published code, or those of its paper (reward.REWARDS)."""
    observation: Literal["fast", "paper"] = "fast"
    """With the error to the reference, or DeepMimic's state (observation.OBSERVATIONS)."""
    action: Literal["residual", "absolute"] = "residual"
    """Whether an action of 0 asks for the reference or for the middle of the joints' ranges, the straight limb."""
    action_scale: float = ACTION_SCALE
    """How far in rad an action of 1 moves a joint's target."""
    feedforward: bool = True
    """Whether a residual action of 0 asks for what would perform the reference undisturbed, or for the reference."""
    lead: int = LEAD
    """Ticks of 1/240 s by which the target of a residual action is ahead of the moment."""
    terminate: Literal["deviation", "contact", "both"] = "deviation"
    """What ends an episode as a failure: being far from the reference, or touching the ground with a link that the
    reference keeps off it."""
    first_horizon: float = EPISODE / CONTROL_RATE
    """Longest episode in s while nothing is learnt."""
    horizon_samples: int = 32_000_000
    """Control steps of learning until episodes last 20 s."""
    sync_root: bool = False
    """Whether each cycle starts under the character: the reference's root is moved over the ground to the character's
    (DeepMimic's sync_char_root_pos), so that drifting costs nothing across cycles."""

    def __post_init__(self) -> None:
        """Raise SfvError for values that no environment knows; rules also come from files."""
        for name, known in get_type_hints(Rules).items():
            value = getattr(self, name)
            if get_origin(known) is Literal and value not in get_args(known):
                raise SfvError(f"The rule '{name}' is {value!r}; it can be {', '.join(get_args(known))}.")
            if known in (int, float) and not (isinstance(value, int | float) and 0 <= value < float("inf")):
                raise SfvError(f"The rule '{name}' is {value!r}; it must be a number from 0 on.")

    def horizon(self, samples: int) -> int:
        """Return the longest episode in control steps after so many steps of learning.

        It grows with the fourth power, as in cRLSceneSimChar of DeepMimic.
        """
        part = min(samples / max(self.horizon_samples, 1), 1.0) ** 4
        first = max(round(self.first_horizon * CONTROL_RATE), 1)
        return round(first + part * (EPISODE - first))


PAPER = Rules(reward="paper", observation="paper", action="absolute", action_scale=2 * np.pi, terminate="contact",
              first_horizon=0.5, sync_root=True)
"""DeepMimic's. One action scale stands for its two (about 2π rad for hinges, 4.8 rad for balls; action noise 0.05)."""


def middle(character: Character) -> np.ndarray:
    """Return the joint coordinates that absolute actions start from: rest, hinges halfway. (C,)."""
    limits = [character.links[i].limits for i in character.hinges]
    return np.concatenate([np.zeros(3 * len(character.balls)), [0.5 * (low + high) for low, high in limits]])


def allowed(reference: Reference, character: Character) -> np.ndarray:
    """Tell which links may touch the ground: feet, and whatever the reference brings near it. bool (L,).

    DeepMimic lists them by hand for each clip, and lets none end a roll, a crawl or a getup.
    """
    lowest = character.lowest(reference.state.positions, reference.state.rotations).min(0)
    feet = [link.name.endswith("_ankle") for link in character.links]
    lying = min(lowest[character.index(name)] for name in ("pelvis", "spine3")) < LYING
    return (lowest < NEAR) | feet | lying


class Touch:
    """Which characters touch the ground with links that may not, by the place of the links' solids.

    Geometry costs a few µs a world; MuJoCo's own contacts take a forward pass. Both look only at the moment itself.
    """

    def __init__(self, character: Character, links: np.ndarray) -> None:
        """Watch some links, bool (L,)."""
        parts = [(i, *shape.corners()) for i in np.flatnonzero(links) for shape in character.links[i].shapes]
        self._links = np.concatenate([np.full(len(points), i) for i, points, _ in parts] or [np.zeros(0, int)])
        self._points = np.concatenate([points for _, points, _ in parts] or [np.zeros((0, 3))])
        self._radii = np.concatenate([np.full(len(points), radius) for _, points, radius in parts] or [np.zeros(0)])

    def __call__(self, state: State) -> np.ndarray:
        """Tell which of the characters (N, …) touch, bool (N,)."""
        w, x, y, z = np.moveaxis(state.rotations[:, self._links], -1, 0)
        up = np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1)
        lowest = state.positions[:, self._links, 2] + np.sum(up * self._points, -1) - self._radii
        return np.any(lowest < TOUCH, axis=1)
