"""How much a policy bears: the strongest push from each side, and how far the world may change, as in DeepMimic.

DeepMimic (Peng et al. 2018, table 6) pushes the pelvis for 0.2 s, forward and sideways, with more and more force until
the character falls. Here every force is tried from many moments of the motion, side by side in one batch, and counts as
borne if four of five characters stay up and are back in the motion at the end; so do the other changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sfv_core.config import RobustnessConfig
from sfv_core.errors import naming
from sfv_core.imitate.policy import Policy
from sfv_core.imitate.reference import Reference, make_reference
from sfv_core.imitate.run import write_json
from sfv_core.physics.engine import PHYSICS_RATE
from sfv_core.progress import Progress
from sfv_core.push import DIRECTIONS
from sfv_core.takes.circumstances import MOST_WORLDS, Circumstances, link_of
from sfv_core.takes.disturbed import Disturbed, Shove
from sfv_core.takes.robustness_picture import draw_robustness
from sfv_core.takes.robustness_report import SHARE, Span, Strength
from sfv_core.takes.rollout import load_policy
from sfv_core.takes.trial import LEAD_IN, Clock, moments, survive

STAGE = "robustness"
FORMAT_VERSION = 1
FILES = ("robustness.json", "robustness.png")
SIDES = ("front", "back", "left", "right")
LEVELS, ROUNDS = 10, 2
"""Forces tried at a time, and how often the step between the last one borne and the first one not is divided again."""
_DOWN = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
_UP = (1.1, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0)
_LATE = tuple(tick * 1000 / PHYSICS_RATE for tick in (2, 4, 6, 8, 12, 16, 24, 32))
"""Multiples and ms that are tried in turn until one is not borne."""
MULTIPLES = ("mass", "friction", "gravity", "strength")

Try = Callable[[Circumstances], float]
"""Circumstances → share of the characters that stay up."""


def robustness(policy: Path, out: Path, config: RobustnessConfig, progress: Progress) -> dict[str, Any]:
    """Try a policy out; write robustness.json and robustness.png into `out` and return the report.

    Raise SfvError if the policy cannot be used or has no such part to push.
    """
    trained = load_policy(policy)
    with naming(policy):
        reference = make_reference(trained.motion, trained.character)
        usual = Circumstances(config.engine or trained.engine)
        link = link_of(config.body, trained.character)
        clock = Clock(STAGE, progress, ROUNDS + 2 * len(MULTIPLES) + 2)
        attempt = partial(_share, trained, reference, config, clock)
        base = attempt(usual)
        clock.next()
        pushes = pushes_borne(trained, reference, usual, link, config, clock)
        spans = tuple(span(name, usual, base, attempt, clock) for name in MULTIPLES)
        spans += (latency_span(usual, base, attempt, clock),)
        clock.end()
    report = {"format": FORMAT_VERSION, "engine": usual.engine, "body": config.body, "push_s": config.duration,
              "starts": config.starts, "seconds": config.seconds, "share": SHARE, "usual": base,
              "pushes": [asdict(push) for push in pushes], "spans": [asdict(one) for one in spans]}
    write_json(out / FILES[0], report)
    draw_robustness(pushes, spans, f"{config.duration:g} s on the {config.body}", out / FILES[1])
    return report


def pushes_borne(policy: Policy, reference: Reference, usual: Circumstances, link: int, config: RobustnessConfig,
                 clock: Clock) -> tuple[Strength, ...]:
    """Try forces from all sides at once, first coarsely, then between the last one borne and the next."""
    starts = np.tile(moments(reference, config.starts), len(SIDES) * LEVELS)
    worlds = usual.open(policy.character, min(len(starts), MOST_WORLDS.get(usual.engine, 1)))
    first = round(LEAD_IN * PHYSICS_RATE)
    stop = first + max(round(config.duration * PHYSICS_RATE), 1)
    tried: dict[str, dict[float, float]] = {side: {} for side in SIDES}
    step = config.force / LEVELS
    try:
        for _ in range(ROUNDS):
            forces = {side: borne(tried[side]) + step * np.arange(1, LEVELS + 1) for side in SIDES}
            way = np.stack([np.outer(forces[side], DIRECTIONS[side]) for side in SIDES]).reshape(-1, 3)
            push = Shove(link, first, stop, np.repeat(way, config.starts, axis=0))
            up = _batches(policy, reference, worlds, push, starts, config, clock)
            shares = up.reshape(len(SIDES), LEVELS, config.starts).mean(axis=2)
            for side, row in zip(SIDES, shares, strict=True):
                tried[side].update(zip(forces[side].tolist(), row.tolist(), strict=True))
            step /= LEVELS
            clock.next()
    finally:
        worlds.close()
    return tuple(Strength(side, borne(tried[side]), tuple(sorted(tried[side].items()))) for side in SIDES)


def _batches(policy: Policy, reference: Reference, worlds: Disturbed, push: Shove, starts: np.ndarray,
             config: RobustnessConfig, clock: Clock) -> np.ndarray:
    """Push N characters in as many batches as the worlds need; tell which of them bear it, bool (N,)."""
    up = np.zeros(len(starts), bool)
    for first in range(0, len(starts), worlds.worlds):
        rows = (first + np.arange(worlds.worlds)) % len(starts)
        worlds.shoves = (replace(push, force=push.force[rows]),)
        seconds = LEAD_IN + config.duration + config.seconds
        up[rows] = survive(policy, reference, worlds, starts[rows], seconds, clock.tick)
    return up


def borne(tried: dict[float, float]) -> float:
    """Return the largest force (or change) such that it and all smaller ones are borne; 0 if none is."""
    best = 0.0
    for force, share in sorted(tried.items()):
        if share < SHARE:
            break
        best = force
    return best


def span(name: str, usual: Circumstances, base: float, attempt: Try, clock: Clock) -> Span:
    """Change a multiple away from 1, down and up, until it is not borne."""
    tried, ends = {1.0: base}, []
    for ladder in (_DOWN, _UP):
        ends.append(_climb(ladder, lambda value: replace(usual, **{name: value}), tried, base, attempt, 1.0))
        clock.next()
    return Span(name, ends[0], ends[1], tuple(sorted(tried.items())))


def latency_span(usual: Circumstances, base: float, attempt: Try, clock: Clock) -> Span:
    """Let commands come later and later, in ms, until it is not borne."""
    tried = {0.0: base}
    high = _climb(_LATE, lambda ms: replace(usual, latency=round(ms * PHYSICS_RATE / 1000)), tried, base, attempt, 0.0)
    clock.next()
    return Span("latency", None if high is None else 0.0, high, tuple(sorted(tried.items())))


def _climb(ladder: tuple[float, ...], change: Callable[[float], Circumstances], tried: dict[float, float], base: float,
           attempt: Try, start: float) -> float | None:
    """Go up a ladder of values until one is not borne; return the last that was, None if not even the usual is."""
    if base < SHARE:
        return None
    best = start
    for value in ladder:
        tried[value] = attempt(change(value))
        if tried[value] < SHARE:
            break
        best = value
    return best


def _share(policy: Policy, reference: Reference, config: RobustnessConfig, clock: Clock,
           circumstances: Circumstances) -> float:
    """Return the share of the characters that stay up under some circumstances."""
    starts = moments(reference, config.starts)
    worlds = circumstances.open(policy.character, len(starts))
    try:
        return float(survive(policy, reference, worlds, starts, config.seconds, clock.tick).mean())
    finally:
        worlds.close()
