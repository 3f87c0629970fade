"""Proximal policy optimisation, data-parallel, in one file: collect, estimate advantages, update, repeat.

Every rank owns its worlds and a copy of the network; gradients and statistics are averaged, so the copies stay the
same. Large steps (the learning rate follows the divergence between old and new policy) and few samples per iteration.
Sources: Schulman et al. 2017; advantages: Schulman et al. 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from sfv_core.imitate.environment import Environment
from sfv_core.imitate.group import Group
from sfv_core.imitate.policy import Network, Normaliser

_STEADY = 0.8
"""Share of the time that a policy survives from which on it counts as steady, more and more up to 1."""


@dataclass(frozen=True)
class Recipe:
    """The numbers of the algorithm; the defaults learn fastest here, `PAPER` is DeepMimic's."""

    worlds: int = 32
    """Characters in each rank at most."""
    all_worlds: int = 128
    """Characters in all ranks together at most, unless each would have fewer than `fewest_worlds`; each world of
    PyBullet takes 35 MB of memory."""
    fewest_worlds: int = 8
    batch: int = 4096
    """Steps of all ranks in an iteration."""
    fewest_steps: int = 16
    """Steps that each character makes at least in an iteration, however many ranks there are."""
    minibatch: int = 512
    """Steps of all ranks behind one gradient."""
    epochs: int = 5
    widths: tuple[int, ...] = (256, 128)
    """Hidden units of actor and critic."""
    first_spread: float = 0.3
    """First standard deviation of the actions."""
    learn_spread: bool = True
    calm_spread: float | None = 0.1
    """Largest standard deviation once the policy does not fall any more; it shrinks to this from where four fifths of
    the time are survived. None leaves the spread alone."""
    sway: float = 0.15
    """Standard deviation of a slow noise on the actions that the policy is not told of: it learns to bear what errs.
    It grows to this as the spread shrinks, since before that it only hinders."""
    unsettle: float = 0.04
    """Largest standard deviation in rad of noise on the joints of an episode's first pose; it grows as the sway."""
    discount: float = 0.97
    trace: float = 0.95
    """λ of the advantage estimate and of the returns, TD(λ)."""
    clip: float = 0.2
    """How far the ratio of new to old probability may be from 1 and still count."""
    largest_advantage: float = 4.0
    """Advantages are cut here, in standard deviations."""
    value_weight: float = 2.0
    bound: float = 1.5
    """Means of actions beyond this are pulled back."""
    bound_weight: float = 0.01
    optimiser: Literal["adam", "sgd"] = "adam"
    """SGD has momentum 0.9."""
    learning_rate: float = 3e-4
    critic_rate: float | None = None
    """The critic's own learning rate; the same if not given."""
    decay: float = 0.0
    """Weight decay."""
    slowest: float = 5e-5
    fastest: float = 1e-3
    divergence: tuple[float, float] | None = (0.045, 0.09)
    """The learning rate is raised below and lowered above these divergences; it is fixed where there are none."""
    largest_divergence: float = 0.15
    """An iteration ends its updates early beyond this."""
    gradient_norm: float = 1.0
    averaging: float = 0.9
    """How much of the average network stays in an iteration: its weights are the mean of about the last ten. Less the
    shorter the policy survives, since what is learnt fast must not be held up. See docs/decisions/022."""

    def worlds_of(self, ranks: int) -> int:
        """Return the number of characters in each rank."""
        return min(self.worlds, max(self.all_worlds // ranks, self.fewest_worlds))


PAPER = Recipe(minibatch=256, epochs=1, widths=(1024, 512), first_spread=0.05, learn_spread=False, calm_spread=None,
               sway=0.0, unsettle=0.0, discount=0.95, optimiser="sgd", learning_rate=2.5e-6, critic_rate=1e-2,
               decay=5e-4, divergence=None, bound=4.8, averaging=0.0)
"""DeepMimic's numbers (its args and agent files; the actor's rate as in PyBullet's): 60 million steps for a walk."""


@dataclass(frozen=True)
class Batch:
    """What one rank collected: S steps."""

    observations: torch.Tensor
    """Normalised, (S, D)."""
    actions: torch.Tensor
    """(S, C)."""
    log_probabilities: torch.Tensor
    """(S,)."""
    advantages: torch.Tensor
    """In standard deviations over all ranks, (S,)."""
    returns: torch.Tensor
    """Discounted returns times (1 − discount), so about 0 to 1, (S,)."""


class Ppo:
    """A rank's part in the learning."""

    def __init__(self, environment: Environment, group: Group, seed: int, recipe: Recipe | None = None) -> None:
        """Make the same network in every rank."""
        self.environment, self.group, self.seed = environment, group, seed
        self.recipe = recipe or Recipe()
        size = environment.observe().shape[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Network(size, environment.character.coordinates, self.recipe.widths,
                                   self.recipe.first_spread)
        self.network.log_spread.requires_grad_(self.recipe.learn_spread)
        self.average = deepcopy(self.network).requires_grad_(False)
        """The policy that is measured and kept: large steps leave the network itself now better, now worse."""
        self.normaliser = Normaliser(size)
        self.optimiser = self._optimiser()
        self._survived = self._steadiness = 0.0
        self.iterations = 0
        self.samples = 0
        """Steps that all ranks have learnt from."""

    def calm(self, survived: float) -> None:
        """Take in which share of the time the policy survives without noise.

        A good one needs to explore less, and learns to bear noise that it did not ask for.
        """
        self._survived = survived
        self._steadiness = min(max((survived - _STEADY) / (1 - _STEADY), 0.0), 1.0)
        self.environment.unsettle = self.recipe.unsettle * self._steadiness

    def _largest_spread(self) -> float:
        """Return the largest standard deviation that actions may have now."""
        recipe, steady = self.recipe, self._steadiness
        if recipe.calm_spread is None or not steady:
            return float("inf")
        return recipe.first_spread ** (1 - steady) * recipe.calm_spread**steady

    def _optimiser(self) -> torch.optim.Optimizer:
        """Return the optimiser of actor and critic."""
        recipe, network = self.recipe, self.network
        actor = [*network.actor.parameters(), *([network.log_spread] if recipe.learn_spread else [])]
        groups: list[dict[str, Any]] = [
            {"params": actor, "lr": recipe.learning_rate},
            {"params": list(network.critic.parameters()), "lr": recipe.critic_rate or recipe.learning_rate}]
        if recipe.optimiser == "sgd":
            return torch.optim.SGD(groups, momentum=0.9, weight_decay=recipe.decay)
        return torch.optim.Adam(groups, weight_decay=recipe.decay)

    def iterate(self, tick: Callable[[], None]) -> dict[str, float]:
        """Collect and learn once; `tick` is called after every step. Return figures over all ranks.

        Random numbers depend on seed, rank and iteration alone: a run that goes on from a checkpoint needs no
        generator's state.
        """
        words = np.random.SeedSequence([self.seed, self.group.rank, self.iterations]).spawn(2)
        self.environment.limit = self.environment.rules.horizon(self.samples)
        self.environment.sway = self.recipe.sway * self._steadiness
        self.environment.generator = np.random.default_rng(words[0])
        self._generator = torch.Generator().manual_seed(int(words[1].generate_state(1)[0]))
        batch, mean_reward = self._collect(tick)
        divergence = self._update(batch)
        self._adapt(divergence)
        self._average()
        self.iterations += 1
        self.samples += len(batch.actions) * self.group.size
        return {"reward": mean_reward, "divergence": divergence, "learning_rate": self._learning_rate(),
                "spread": float(self.network.log_spread.detach().exp().mean())}

    def _collect(self, tick: Callable[[], None]) -> tuple[Batch, float]:
        """Act with noise; return the batch and the mean reward over all ranks."""
        environment, recipe, network = self.environment, self.recipe, self.network
        worlds = environment.engine.worlds
        steps = max(recipe.batch // (worlds * self.group.size), recipe.fewest_steps)
        seen, raw, acted, densities, values, following, rewards, ended = ([] for _ in range(8))
        observations, fresh = environment.observe(), []
        for step in range(steps):
            raw.append(observations)
            seen.append(self.normaliser(raw[-1]))
            with torch.no_grad():
                means = network.actor(seen[-1])
                noise = torch.randn(means.shape, generator=self._generator)
                acted.append(means + network.log_spread.exp() * noise)
                densities.append(network.log_probability(means, acted[-1]))
            values.append(self._value(seen[-1]))
            outcome = environment.step(acted[-1].double().numpy())
            environment.starts.note(environment.reference.lookup(environment.ticks)[0], outcome.failed)
            observations = environment.observe()
            after = self._value(self.normaliser(observations))
            following.append(np.where(outcome.failed, 0.0, after))
            rewards.append(outcome.rewards)
            ended.append(outcome.ended)
            if outcome.ended.any():
                again = np.flatnonzero(outcome.ended)
                environment.reset(again)
                fresh.append((np.full(len(again), step + 1), again))
                observations = environment.observe()
            tick()
        gains = self._advantages(*(np.array(a) for a in (rewards, values, following, ended)))
        returns = (gains + np.array(values)) * (1 - recipe.discount)
        self._learn_starts(fresh, returns)
        mean_reward = self._share_statistics(np.concatenate(raw), np.array(rewards), gains)
        gains = np.clip((gains - self._gain_mean) / self._gain_spread, -recipe.largest_advantage,
                        recipe.largest_advantage)
        return Batch(torch.cat(seen), torch.cat(acted), torch.cat(densities),
                     torch.from_numpy(gains.reshape(-1)).float(),
                     torch.from_numpy(returns.reshape(-1)).float()), mean_reward

    def _learn_starts(self, fresh: list[tuple[np.ndarray, np.ndarray]], returns: np.ndarray) -> None:
        """Tell the distribution of first states what came of its draws: steps and worlds where episodes began."""
        steps, worlds = (np.concatenate([np.zeros(0, int), *(part[i] for part in fresh)]) for i in range(2))
        known = steps < len(returns)
        brought = np.full(len(steps), np.nan)
        brought[known] = returns[steps[known], worlds[known]]
        self.environment.starts.learn(brought, self.group)

    def _value(self, observations: torch.Tensor) -> np.ndarray:
        """Return the expected discounted returns (N,)."""
        with torch.no_grad():
            return self.network.critic(observations)[:, 0].double().numpy() / (1 - self.recipe.discount)

    def _advantages(self, rewards: np.ndarray, values: np.ndarray, following: np.ndarray,
                    ended: np.ndarray) -> np.ndarray:
        """Estimate the advantages of steps (T, N); `following` are the values after each step, 0 after a failure."""
        recipe = self.recipe
        gains, running = np.empty_like(rewards), np.zeros(rewards.shape[1])
        for t in reversed(range(len(rewards))):
            surprise = rewards[t] + recipe.discount * following[t] - values[t]
            running = surprise + recipe.discount * recipe.trace * ~ended[t] * running
            gains[t] = running
        return gains

    def _share_statistics(self, raw: np.ndarray, rewards: np.ndarray, gains: np.ndarray) -> float:
        """Sum over the ranks what normalisation needs; return the mean reward."""
        raw = raw.astype(float)
        sums = self.group.sum(np.concatenate([
            raw.sum(0), (raw**2).sum(0), [len(raw), rewards.sum(), gains.sum(), (gains**2).sum()]]))
        size, count = raw.shape[1], sums[-4]
        self.normaliser.add(sums[:size], sums[size : 2 * size], count)
        self._gain_mean = sums[-2] / count
        self._gain_spread = np.sqrt(max(sums[-1] / count - self._gain_mean**2, 0.0)) + 1e-6
        return float(sums[-3] / count)

    def _update(self, batch: Batch) -> float:
        """Take gradient steps; return the divergence between the old and the new policy."""
        size = self.recipe.minibatch // self.group.size
        divergence = 0.0
        for _ in range(self.recipe.epochs):
            order = torch.randperm(len(batch.actions), generator=self._generator)
            recent = []
            for rows in order.split(size):
                loss, apart = self._loss(batch, rows)
                self.optimiser.zero_grad()
                loss.backward()
                self.group.average_gradients(self.network.parameters())
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.gradient_norm)
                self.optimiser.step()
                recent.append(apart)
            with torch.no_grad():
                self.network.log_spread.clamp_(max=float(np.log(self._largest_spread())))
            divergence = float(self.group.sum([float(np.mean(recent[-4:]))])[0]) / self.group.size
            if divergence > self.recipe.largest_divergence:
                break
        return divergence

    def _loss(self, batch: Batch, rows: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Return the loss of some steps and how far the new policy is from the old one on them."""
        recipe, observations = self.recipe, batch.observations[rows]
        means = self.network.actor(observations)
        log_ratio = self.network.log_probability(means, batch.actions[rows]) - batch.log_probabilities[rows]
        ratio, gains = log_ratio.exp(), batch.advantages[rows]
        gain = torch.min(ratio * gains, ratio.clamp(1 - recipe.clip, 1 + recipe.clip) * gains).mean()
        misjudged = ((self.network.critic(observations)[:, 0] - batch.returns[rows]) ** 2).mean()
        outside = ((means.abs() - recipe.bound).clamp(min=0) ** 2).sum(-1).mean()
        return (recipe.value_weight * misjudged + recipe.bound_weight * outside - gain,
                -float(log_ratio.detach().mean()))

    def _learning_rate(self) -> float:
        return float(self.optimiser.param_groups[0]["lr"])

    def _adapt(self, divergence: float) -> None:
        """Raise or lower the learning rate so that the policy changes by the recipe's divergence."""
        if self.recipe.divergence is None:
            return
        low, high = self.recipe.divergence
        factor = 1 / 1.5 if divergence > high else 1.2 if divergence < low else 1.0
        rate = min(max(self._learning_rate() * factor, self.recipe.slowest), self.recipe.fastest)
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def _average(self) -> None:
        """Move the average network towards the one that learns."""
        left = self.recipe.averaging * min(self._survived / _STEADY, 1.0)
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - left)

    def to_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: tensors, numbers and lists."""
        return {"network": self.network.state_dict(), "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(), "normaliser": self.normaliser.to_dict(),
                "iterations": self.iterations, "samples": self.samples,
                "starts": self.environment.starts.to_dict(), "survived": self._survived}

    def restore(self, data: dict[str, Any]) -> None:
        """Go on from what `to_dict` returned."""
        self.network.load_state_dict(data["network"])
        self.average.load_state_dict(data["average"])
        self.optimiser.load_state_dict(data["optimiser"])
        self.normaliser = Normaliser.from_dict(data["normaliser"])
        self.environment.starts.restore(data["starts"])
        self.calm(float(data["survived"]))
        self.iterations, self.samples = int(data["iterations"]), int(data["samples"])
