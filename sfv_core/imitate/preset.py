"""Which recipe, rules and starts a training follows."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sfv_core.config import TrainConfig
from sfv_core.imitate import ppo, rules
from sfv_core.imitate.ppo import Recipe
from sfv_core.imitate.reference import Reference
from sfv_core.imitate.rules import Rules
from sfv_core.imitate.start import StartName


@dataclass(frozen=True)
class Preset:
    """Everything that is fixed before a training begins."""

    recipe: Recipe
    rules: Rules
    start: StartName


def preset_for(config: TrainConfig, reference: Reference) -> Preset:
    """Return what the configuration asks for with this reference."""
    if config.preset == "paper":
        recipe, chosen, start = ppo.PAPER, rules.PAPER, "rsi"
    else:
        recipe, chosen, start = Recipe(), Rules(), "bins"
    if config.engine == "mujoco":
        recipe = replace(recipe, worlds=128, all_worlds=256)
    return Preset(recipe, chosen, start if config.start == "auto" else config.start)
