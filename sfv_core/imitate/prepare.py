"""A captured motion becomes what a training needs: its cycle or the whole clip, a character, a sound reference."""

from __future__ import annotations

from dataclasses import dataclass, replace

from retarget.motion import Motion
from sfv_core.aid import Finding, fit_with_aid
from sfv_core.character.build import character_for
from sfv_core.character.character import Character
from sfv_core.character.fit import fit
from sfv_core.config import TrainConfig
from sfv_core.cycles.cycle import make_loop
from sfv_core.cycles.loop import best_loop, find_loop
from sfv_core.errors import SfvError
from sfv_core.imitate.reference import LONGEST, check_length, make_reference


@dataclass(frozen=True)
class Prepared:
    """What is learnt, by whom."""

    captured: Motion
    """The motion on its own skeleton, cut to a cycle where one was asked for."""
    character: Character
    reference: Motion
    """The motion on the character's skeleton."""
    findings: tuple[Finding, ...]
    """What first aid found."""
    notes: tuple[str, ...]
    """Sentences for people."""


def prepare(motion: Motion, config: TrainConfig) -> Prepared:
    """Make a motion ready to be learnt. Raise SfvError if no body can learn it."""
    motion, notes = _cycle(motion, config)
    check_length(motion)
    character = character_for(motion.skeleton, config.character, config.mass)
    if config.repair:
        reference, findings = fit_with_aid(motion, character)
    else:
        reference, findings = fit(motion, character), ()
    make_reference(reference, character)
    return Prepared(motion, character, reference, findings, tuple(notes))


def _cycle(motion: Motion, config: TrainConfig) -> tuple[Motion, list[str]]:
    """Return the motion to perform: as it is, once, or its best cycle for ever; and what to say about it."""
    if config.loop == "no":
        return replace(motion, loop=False), []
    if motion.loop or len(motion) < 2:
        return motion, []
    if config.loop == "yes":
        loop = best_loop(motion)
        if loop is None:
            raise SfvError("This motion has no cycle that could be repeated. Perform it once: --loop no.")
        return make_loop(motion, loop), [f"The cycle from {loop.start / motion.fps:.2f} to {loop.end / motion.fps:.2f} "
                                         "s is learnt and goes on for ever."]
    found = find_loop(motion) if motion.duration <= LONGEST else None
    if found is None:
        return motion, []
    return motion, [f"This motion repeats itself every {found.seconds:.2f} s. One cycle of it is learnt sooner and can "
                    "go on for ever: --loop yes."]
