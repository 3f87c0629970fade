"""Normalised return: the share of the largest possible reward that a policy gets, 0 to 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from sfv_core.imitate.environment import Environment
from sfv_core.imitate.group import Group
from sfv_core.imitate.policy import Policy
from sfv_core.imitate.reference import make_reference
from sfv_core.imitate.rules import EPISODE
from sfv_core.imitate.start import anywhere, beginning
from sfv_core.physics.engine import open_engine
from sfv_core.threads import one_thread


@dataclass(frozen=True)
class Evaluation:
    """Sums over episodes, so that several can be added."""

    reward: float
    steps: float
    """Steps survived."""
    possible: float
    """Steps that the episodes had."""
    episodes: float
    squares: float
    """Sum of the squares of the episodes' rewards."""

    @property
    def nr(self) -> float:
        """Normalised return; a fall ends the rewards but not the episode."""
        return self.reward / self.possible

    @property
    def survived(self) -> float:
        """Share of the time until a fall."""
        return self.steps / self.possible

    @property
    def error(self) -> float:
        """Standard error of the normalised return: how far off luck puts it."""
        variance = max(self.squares / self.episodes - (self.reward / self.episodes) ** 2, 0.0)
        return float(np.sqrt(variance * self.episodes) / self.possible)

    def __add__(self, other: Evaluation) -> Evaluation:
        return Evaluation(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))


def evaluate(environment: Environment, act: Callable[[np.ndarray], np.ndarray], episodes: int, group: Group,
             tick: Callable[[], None], sway: float = 0.0, unsettle: float = 0.0) -> Evaluation:
    """Run episodes in all ranks together: of 20 s from random phases, or of the whole clip where it ends.

    From random phases most of a clip's episodes would be short, and a policy that falls on the way would look good.
    The worlds start new episodes when it is over. sway, unsettle: noise on the actions and on the first poses, see
    Environment.
    """
    worlds = np.arange(environment.engine.worlds)
    before = environment.unsettle
    environment.limit, environment.sway, environment.unsettle = EPISODE, sway, unsettle
    environment.reset(worlds, anywhere if environment.reference.loop else beginning)
    running = worlds[: -(-episodes // group.size)]
    possible = float(environment.remaining()[running].sum())
    rewards, steps = np.zeros(len(running)), 0
    while len(running):
        outcome = environment.step(act(environment.observe()), running)
        rewards[running] += outcome.rewards[running]
        steps += int(np.sum(~outcome.failed[running]))
        running = running[~outcome.ended[running]]
        tick()
    environment.unsettle = before
    environment.reset(worlds)
    sums = [rewards.sum(), float(steps), possible, float(len(rewards)), (rewards**2).sum()]
    return Evaluation(*(float(value) for value in group.sum(sums)))


def judge(policy: Policy, episodes: int, engine: str | None = None, seed: int = 0) -> Evaluation:
    """Measure a trained policy on new episodes, in the engine it learnt in or in another one.

    Without a training around it, this process uses one thread.
    """
    reference = make_reference(policy.motion, policy.character)
    worlds = open_engine(engine or policy.engine, policy.character, min(episodes, 64))
    try:
        with one_thread():
            environment, parts = Environment(worlds, reference, np.random.default_rng(seed), policy.rules), []
            for part in range(-(-episodes // worlds.worlds)):
                environment.generator = np.random.default_rng([seed, part])
                parts.append(evaluate(environment, policy.act, worlds.worlds, Group(0, 1, 0), lambda: None))
    finally:
        worlds.close()
    return sum(parts[1:], parts[0])
