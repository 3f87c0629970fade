"""Let a policy act in some worlds, side by side, and take notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sfv_core.errors import SfvError
from sfv_core.imitate.environment import Environment
from sfv_core.imitate.policy import Policy
from sfv_core.imitate.reference import Reference
from sfv_core.imitate.start import fixed
from sfv_core.imitate.states import unsettled
from sfv_core.physics.engine import Engine, State
from sfv_core.progress import Progress
from sfv_core.takes.circumstances import MOST_WORLDS, Circumstances
from sfv_core.takes.disturbed import Disturbed, Shove
from sfv_core.takes.take import Take, take_of
from sfv_core.threads import one_thread

STAGE = "simulate"
_POSE = 0.2
"""Noise on each joint of the first pose in rad, per noise of the actions."""


def perform(policy: Policy, reference: Reference, circumstances: Circumstances, shoves: tuple[Shove, ...], steps: int,
            count: int, noise: float, seed: int, progress: Progress) -> list[Take]:
    """Act for `steps` control steps from the motion's first moment, `count` times; the first time without noise."""
    takes: list[Take] = []
    most = MOST_WORLDS.get(circumstances.engine, 1)
    while len(takes) < count:
        done, worlds = len(takes), min(count - len(takes), most)
        scale = noise * (np.arange(done, done + worlds) > 0)[:, None]
        some = tuple(replace(shove, force=shove.force[done:done + worlds]) for shove in shoves)

        def tell(stage: str, step: float, total: float, done: int = done, worlds: int = worlds) -> None:
            progress(stage, done * total + worlds * step, count * total)

        takes += _batch(policy, reference, circumstances, some, steps, scale, np.random.default_rng([seed, done]), tell)
    return takes


def _batch(policy: Policy, reference: Reference, circumstances: Circumstances, shoves: tuple[Shove, ...], steps: int,
           scale: np.ndarray, generator: np.random.Generator, progress: Callable[[str, float, float], None]
           ) -> list[Take]:
    """Act in N worlds side by side; scale: (N, 1) of the noise."""
    def unsettle(state: State) -> State:
        return unsettled(state, policy.character, _POSE * scale, generator)

    engine = circumstances.open(policy.character, len(scale), shoves, noting=True)
    try:
        with one_thread():
            environment = environment_for(policy, engine, reference)
            environment.generator, environment.sway = generator, scale
            engine.unsettle = unsettle
            environment.reset(np.arange(len(scale)), fixed)
            engine.begin()
            rewards = _act(environment, engine, policy, steps, progress)
    finally:
        engine.close()
    return [take_of(world, engine.notes, rewards[:, world], 0, reference, policy.character)
            for world in range(len(scale))]


def environment_for(policy: Policy, engine: Engine, reference: Reference) -> Environment:
    """Make the environment that a policy learnt in. Raise SfvError if it is another character's."""
    environment = Environment(engine, reference, np.random.default_rng(0), policy.rules)
    needs = (environment.observe().shape[1], policy.character.coordinates)
    has = (len(policy.normaliser.mean), len(policy.network.log_spread))
    if needs != has:
        raise SfvError(f"The policy is not this character's: its network takes {has[0]} numbers and gives {has[1]}; "
                       f"the character in the file shows {needs[0]} and has {needs[1]} joint coordinates. Train the "
                       "policy again.")
    return environment


def _act(environment: Environment, engine: Disturbed, policy: Policy, steps: int,
         progress: Callable[[str, float, float], None]) -> np.ndarray:
    """Act; return the rewards (steps, N), 0 once an episode would have failed."""
    rewards, failed = np.zeros((steps, engine.worlds)), np.zeros(engine.worlds, bool)
    for step in range(steps):
        outcome = environment.step(policy.act(environment.observe()))
        failed |= outcome.failed | engine.broken
        rewards[step] = np.where(failed, 0.0, outcome.rewards)
        if step % 8 == 0:
            progress(STAGE, step + 1, steps)
    progress(STAGE, steps, steps)
    return rewards
