"""One trial of a policy: from many moments of its motion at once, does the character stay up and go on with it?"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from sfv_core.imitate.environment import FARTHEST_LINK
from sfv_core.imitate.policy import Policy
from sfv_core.imitate.reference import Reference
from sfv_core.imitate.rules import CONTROL_RATE
from sfv_core.physics.engine import PHYSICS_RATE, State
from sfv_core.progress import Progress
from sfv_core.takes.disturbed import Disturbed
from sfv_core.takes.perform import environment_for
from sfv_core.takes.take import fallen
from sfv_core.threads import one_thread

LEAD_IN = 0.25
"""Time in s from a trial's start to its push, in which the character comes off the reference's own track."""
_LEAST = 0.5
"""Time in s that a clip which ends must still have at a trial's start."""


def moments(reference: Reference, count: int) -> np.ndarray:
    """Return reference ticks (count,) spread evenly over the cycle, or over the clip but for its end."""
    stop = reference.last
    if not reference.loop:
        stop = max(stop - round((LEAD_IN + _LEAST) * PHYSICS_RATE), 1)
    return np.linspace(0, stop, count, endpoint=not reference.loop).astype(int)


def survive(policy: Policy, reference: Reference, worlds: Disturbed, starts: np.ndarray, seconds: float,
            tick: Callable[[], None]) -> np.ndarray:
    """Act in all worlds from the reference ticks `starts` (N,); tell which characters bear it, bool (N,).

    Who bears it does not fall and is back in the motion at the end: no link, seen from the root, farther from its place
    than ends an episode of training, nor the root's height. Where on the ground it is does not count. A clip that ends
    may end a trial earlier than after `seconds`.
    """
    environment = environment_for(policy, worlds, reference)
    environment.reset(np.arange(worlds.worlds), lambda *_: starts)
    worlds.begin()
    up, running = np.ones(worlds.worlds, bool), np.arange(worlds.worlds)
    for _ in range(max(round(seconds * CONTROL_RATE), 1)):
        with one_thread():
            actions = policy.act(environment.observe())
        environment.step(actions, running)
        down = fallen(environment.now.state, environment.goal.state, worlds.character)
        up[running] &= ~(down | worlds.broken)[running]
        over = np.zeros(len(up), bool) if reference.loop else environment.ticks >= reference.last
        running = running[(up & ~over)[running]]
        tick()
        if not len(running):
            break
    return up & (_strays(environment.now.state, environment.goal.state) < FARTHEST_LINK)


def _strays(now: State, goal: State) -> np.ndarray:
    """Return how far in m the pose or the height of the root is from the reference's at most, (N,)."""
    way = now.positions - goal.positions
    return np.maximum(np.linalg.norm(way - way[:, :1], axis=-1).max(axis=1), np.abs(way[:, 0, 2]))


class Clock:
    """Tells how far the trials are: each ladder and each round of pushes is a part."""

    def __init__(self, stage: str, progress: Progress, parts: int) -> None:
        self._stage, self._progress, self._parts, self._done, self._told = stage, progress, parts, 0, 0.0

    def next(self) -> None:
        """Begin the next part."""
        self._done += 1
        self._progress(self._stage, self._done, self._parts)

    def tick(self) -> None:
        """Report about twice a second, so that the work can be stopped."""
        if time.monotonic() - self._told > 0.5:
            self._told = time.monotonic()
            self._progress(self._stage, self._done, self._parts)

    def end(self) -> None:
        """Report that all is done."""
        self._progress(self._stage, self._parts, self._parts)
