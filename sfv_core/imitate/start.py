"""Where episodes start: the first moment, anywhere (RSI), before frequent failures, or where learning leads (ASI)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np

from retarget import rotation
from sfv_core.character.character import Character
from sfv_core.imitate.group import Group
from sfv_core.imitate.reference import Reference
from sfv_core.imitate.states import Reduced, compose, reduce
from sfv_core.physics.engine import PHYSICS_RATE, State

Start = Callable[[Reference, int, np.random.Generator], np.ndarray]
"""(reference, number N of episodes, generator) → ticks (N,)."""
StartName = Literal["fixed", "rsi", "asi", "bins"]


def fixed(reference: Reference, count: int, generator: np.random.Generator) -> np.ndarray:
    """Start at the motion's first moment."""
    return np.zeros(count, int)


def anywhere(reference: Reference, count: int, generator: np.random.Generator) -> np.ndarray:
    """Start at any moment with equal chance: reference-state initialisation (DeepMimic §6.1).

    A clip that ends leaves at least an eighth of a second to act in.
    """
    return generator.integers(0, _stop(reference), count)


def beginning(reference: Reference, count: int, generator: np.random.Generator) -> np.ndarray:
    """Start within the first quarter of a second (a tenth of a short clip), once exactly at the first moment."""
    ticks = generator.integers(0, max(min(PHYSICS_RATE // 4, reference.last // 10), 1), count)
    ticks[:1] = 0
    return ticks


def _stop(reference: Reference) -> int:
    return reference.last if reference.loop else reference.last - PHYSICS_RATE // 8


class Starts(Protocol):
    """A distribution of first states that may learn."""

    def draw(self, count: int, generator: np.random.Generator) -> tuple[np.ndarray, State]:
        """Return the ticks (N,) and the states (N, …) of new episodes."""
        ...

    def note(self, ticks: np.ndarray, failed: np.ndarray) -> None:
        """Take in that the worlds came to these ticks (N,) of the clip and which of them failed there, (N,)."""
        ...

    def learn(self, returns: np.ndarray, group: Group) -> None:
        """Learn from all ranks' episodes. returns: of the last so many draws, in their order, NaN if unknown.

        A return is a discounted sum of rewards times 1 − discount, so about 0 to 1.
        """
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        ...

    def restore(self, data: dict[str, Any]) -> None:
        """Go on from what `to_dict` returned."""
        ...


def make_starts(name: StartName, reference: Reference, character: Character) -> Starts:
    """Return the distribution called `name`."""
    if name == "bins":
        return FailureBins(reference)
    if name == "asi":
        return Adaptive(reference, character)
    return Plain(reference, fixed if name == "fixed" else anywhere)


class Plain:
    """States of the reference, at moments that a function chooses; learns nothing."""

    def __init__(self, reference: Reference, start: Start = anywhere) -> None:
        """Choose moments of the reference by `start`."""
        self.reference, self._start = reference, start

    def draw(self, count: int, generator: np.random.Generator) -> tuple[np.ndarray, State]:
        """Return ticks and the reference's states there."""
        ticks = self._start(self.reference, count, generator)
        return ticks, self.reference.state[ticks]

    def note(self, ticks: np.ndarray, failed: np.ndarray) -> None:
        """Do nothing."""

    def learn(self, returns: np.ndarray, group: Group) -> None:
        """Do nothing."""

    def to_dict(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def restore(self, data: dict[str, Any]) -> None:
        """Do nothing."""


class FailureBins(Plain):
    """Starts more often shortly before moments at which episodes fail. Source of the idea: BeyondMimic (2025)."""

    SECONDS = 0.1
    """Length of a bin."""
    SHARE = 0.5
    """Part of the starts that go where failures are; the others are anywhere."""
    FIRST = 0.1
    """Part of the starts that go to the first moment of a clip that ends: takes start there."""
    REACH, FADE = 7, 0.85
    """A failure counts for so many bins up to it, each so much of the later one."""
    MEMORY = 0.9
    """How much of what was counted stays in an iteration."""

    def __init__(self, reference: Reference) -> None:
        """Begin with equal chances."""
        super().__init__(reference)
        self.bins = max(round(reference.last / PHYSICS_RATE / self.SECONDS), 4)
        self._visits, self._failures = np.zeros(self.bins), np.zeros(self.bins)
        self._new = np.zeros((2, self.bins))

    def chances(self) -> np.ndarray:
        """Return the chance of each bin, shape (bins,)."""
        hazard = self._failures / np.maximum(self._visits, 1.0)
        before = sum(self.FADE**k * self._back(hazard, k) for k in range(self.REACH))
        even = np.full(self.bins, 1.0 / self.bins)
        total = np.sum(before)
        return even if total <= 0 else self.SHARE * before / total + (1 - self.SHARE) * even

    def _back(self, hazard: np.ndarray, bins: int) -> np.ndarray:
        """Move the bins' values to earlier ones; around the end of a motion that loops."""
        moved = np.roll(hazard, -bins)
        if bins and not self.reference.loop:
            moved[-bins:] = 0.0
        return moved

    def draw(self, count: int, generator: np.random.Generator) -> tuple[np.ndarray, State]:
        """Return ticks and the reference's states there."""
        chosen = generator.choice(self.bins, count, p=self.chances()) + generator.random(count)
        ticks = np.minimum((chosen * self.reference.last / self.bins).astype(int), _stop(self.reference) - 1)
        if not self.reference.loop:
            ticks[generator.random(count) < self.FIRST] = 0
        return ticks, self.reference.state[ticks]

    def note(self, ticks: np.ndarray, failed: np.ndarray) -> None:
        """Count visits and failures."""
        place = ticks * self.bins // (self.reference.last + 1)
        self._new += [np.bincount(place, minlength=self.bins), np.bincount(place[failed], minlength=self.bins)]

    def learn(self, returns: np.ndarray, group: Group) -> None:
        """Forget a little and add what all ranks counted."""
        visits, failures = group.sum(self._new.ravel()).reshape(2, -1)
        self._visits = self.MEMORY * self._visits + visits
        self._failures = self.MEMORY * self._failures + failures
        self._new[:] = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the counts."""
        return {"visits": self._visits.tolist(), "failures": self._failures.tolist()}

    def restore(self, data: dict[str, Any]) -> None:
        """Take the counts over."""
        self._visits, self._failures = np.array(data["visits"]), np.array(data["failures"])


class Adaptive(Plain):
    """SFV's adaptive state initialisation: a mixture of Gaussians over states, trained by the policy gradient.

    ρ(s) = Σ p_i N(s; μ_i, diag σ_i²), p = (1 − ε) softmax(w) + ε / K, with one component for each of K evenly spaced
    phases; w, μ and log σ climb ∇ log ρ(s₀) · (R − b) with their own rate and baseline. s are reduced coordinates and
    velocities; they are counted from the reference's at the component's phase, in units of their spread over the whole
    clip times `SPREAD`, so that one rate fits all. The root's place over the ground stays, as the task does not depend
    on it.
    Source: Peng et al. 2018 (SFV) §7.
    """

    COMPONENTS = 10
    EVEN = 0.5
    """ε, the part of the starts that stays even over the phases; SFV has none. The gradient leaves phases where the
    policy fails; with few samples it does so before they are learnt, and then they are not."""
    RATE = 1e-3
    SPREAD = 0.1
    """First standard deviation as a share of the clip's; SFV's 1 starts most episodes outside of what counts as
    imitation here, where a link may be 0.5 m off."""
    SMALLEST, LARGEST = 0.1, 3.0
    """Bounds of σ in its units."""

    def __init__(self, reference: Reference, character: Character) -> None:
        """Begin at the reference, all phases alike."""
        super().__init__(reference)
        self.character = character
        phases = np.arange(self.COMPONENTS) / self.COMPONENTS
        self._ticks = (phases * (reference.last if reference.loop else _stop(reference))).astype(int)
        self._base = reduce(character, reference.state[self._ticks])
        whole = _vectors(reduce(character, reference.state), reduce(character, reference.state[:1]))
        self._unit = self.SPREAD * whole.std(0)
        self._unit[:2] = 0.0
        self.weights = np.zeros(self.COMPONENTS)
        self.means, self.log_spreads = (np.zeros((self.COMPONENTS, len(self._unit))) for _ in range(2))
        self.baseline: float | None = None
        self._taken: list[tuple[np.ndarray, np.ndarray]] = []

    def chances(self) -> np.ndarray:
        """Return the chance of each component, shape (K,)."""
        return (1 - self.EVEN) * self._soft() + self.EVEN / self.COMPONENTS

    def _soft(self) -> np.ndarray:
        """Return softmax(w), shape (K,)."""
        raised = np.exp(self.weights - self.weights.max())
        return raised / raised.sum()

    def draw(self, count: int, generator: np.random.Generator) -> tuple[np.ndarray, State]:
        """Return ticks and states; they are kept until `learn`."""
        chosen = generator.choice(self.COMPONENTS, count, p=self.chances())
        noise = generator.normal(size=(count, len(self._unit)))
        points = self.means[chosen] + np.exp(self.log_spreads[chosen]) * noise
        self._taken.append((chosen, points))
        return self._ticks[chosen], self._state(chosen, points * self._unit)

    def _state(self, chosen: np.ndarray, offsets: np.ndarray) -> State:
        """Move the components' states by offsets (N, D), within the joints' limits and out of the ground."""
        base, c = self._base, self.character.coordinates
        coordinates = base.coordinates[chosen] + offsets[:, 6 : 6 + c]
        for column, i in enumerate(self.character.hinges, 3 * len(self.character.balls)):
            coordinates[:, column] = np.clip(coordinates[:, column], *self.character.links[i].limits)
        turn = rotation.multiply(rotation.from_rotvec(offsets[:, 3:6]), base.turn[chosen])
        moved = compose(self.character, Reduced(
            base.place[chosen] + offsets[:, :3], turn, coordinates,
            base.velocity[chosen] + offsets[:, 6 + c : 9 + c], base.spin[chosen] + offsets[:, 9 + c : 12 + c],
            base.rates[chosen] + offsets[:, 12 + c :]))
        reference = self.reference.state[self._ticks[chosen]]
        depth = [np.minimum(self.character.lowest(s.positions, s.rotations).min(1), 0.0) for s in (moved, reference)]
        moved.positions[..., 2] += np.maximum(depth[1] - depth[0], 0.0)[:, None]
        return moved

    def learn(self, returns: np.ndarray, group: Group) -> None:
        """Climb the gradient of the expected return; the baseline follows the mean return."""
        if self._taken:
            chosen, points = (np.concatenate([taken[i] for taken in self._taken]) for i in range(2))
        else:
            chosen, points = np.zeros(0, int), np.zeros((0, len(self._unit)))
        self._taken = []
        chosen, points = chosen[len(chosen) - len(returns):], points[len(points) - len(returns):]
        known = np.isfinite(returns)
        chosen, points, returns = chosen[known], points[known], returns[known]
        count, total, squares = group.sum([float(len(returns)), float(returns.sum()), float((returns**2).sum())])
        if count < 2:
            return
        mean = total / count
        spread = np.sqrt(max(squares / count - mean**2, 0.0)) + 1e-6
        baseline = mean if self.baseline is None else self.baseline
        self.baseline = baseline + 0.1 * (mean - baseline)
        gradient = group.sum(self._gradient(chosen, points, (returns - baseline) / spread).ravel())
        weights, means, spreads = np.split(gradient.reshape(self.COMPONENTS, -1), [1, 1 + points.shape[1]], axis=1)
        self.weights += self.RATE * weights[:, 0]
        self.means += self.RATE * means
        self.log_spreads = np.clip(self.log_spreads + self.RATE * spreads, np.log(self.SMALLEST), np.log(self.LARGEST))

    def _gradient(self, chosen: np.ndarray, points: np.ndarray, gains: np.ndarray) -> np.ndarray:
        """Return Σ gain · ∇ log ρ by weight, means and log σ of each component, shape (K, 1 + 2 D)."""
        own = np.eye(self.COMPONENTS)[chosen] * gains[:, None]
        deviation = (points - self.means[chosen]) / np.exp(self.log_spreads[chosen])
        toward = deviation / np.exp(self.log_spreads[chosen])
        soft = self._soft()
        share = gains * ((1 - self.EVEN) * soft / self.chances())[chosen]
        weights = np.bincount(chosen, share, minlength=self.COMPONENTS) - soft * share.sum()
        return np.concatenate([weights[:, None], own.T @ toward, own.T @ (deviation**2 - 1)], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Return weights, means, spreads and baseline."""
        return {"weights": self.weights.tolist(), "means": self.means.tolist(),
                "log_spreads": self.log_spreads.tolist(), "baseline": self.baseline}

    def restore(self, data: dict[str, Any]) -> None:
        """Take them over."""
        self.weights, self.means = np.array(data["weights"]), np.array(data["means"])
        self.log_spreads, self.baseline = np.array(data["log_spreads"]), data["baseline"]


def _vectors(reduced: Reduced, base: Reduced) -> np.ndarray:
    """Return reduced coordinates (N, …) counted from one base state, (N, D)."""
    turn = rotation.to_rotvec(rotation.multiply(reduced.turn, rotation.inverse(base.turn)))
    return np.concatenate([reduced.place - base.place, turn, reduced.coordinates - base.coordinates,
                           reduced.velocity - base.velocity, reduced.spin - base.spin, reduced.rates - base.rates], 1)
