"""A policy becomes takes: the character performs the reference under physics, as asked for, and the best is kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retarget.motion import Motion
from sfv_core.config import SimulateConfig
from sfv_core.errors import SfvError, naming
from sfv_core.imitate.policy import Policy
from sfv_core.imitate.reference import Reference, make_reference
from sfv_core.imitate.rules import CONTROL_RATE
from sfv_core.imitate.run import write_json
from sfv_core.progress import Progress
from sfv_core.takes.circumstances import Circumstances, circumstances_of, shoves_of
from sfv_core.takes.figures import Figures, figures, quality
from sfv_core.takes.onto import onto_captured, tilted
from sfv_core.takes.perform import perform
from sfv_core.takes.picture import draw_take
from sfv_core.takes.report import advice, take_json
from sfv_core.takes.settle import settle
from sfv_core.takes.take import Take, motion_of, with_motion

LONGEST = 600.0
"""Longest take, and longest all takes together may be, times ten, in s: about 1 GB of notes."""


@dataclass(frozen=True)
class Result:
    """A take that is done."""

    number: int
    """Its number among those simulated, from 0; the first has no noise."""
    take: Take
    raw: Figures
    """As the physics gave it."""
    figures: Figures
    """As it is written."""
    motion: Motion
    """On the character's skeleton, on level ground."""
    moved: np.ndarray
    """How far feet and root were moved to stand still, in m, (T,)."""

    @property
    def rank(self) -> tuple[float, float]:
        """Sort key, the best first: a later fall or none, then higher quality."""
        return (-(self.take.seconds if self.take.fell is None else self.take.fell), -quality(self.figures))


def simulate(policy: Path, out: Path, config: SimulateConfig, progress: Progress) -> dict[str, Any]:
    """Perform the motion from its first moment; write the take to `out` at 60 frames per second, .json and .png beside.

    policy: a policy file or the folder that a training wrote. The take is on the skeleton that the motion was captured
    on, where the policy knows it. A fall ends nothing: it is reported and the frames stay. Raise SfvError if the policy
    cannot be used or the configuration asks for what it cannot do.
    """
    trained = load_policy(policy)
    with naming(policy):
        takes, reference, circumstances = _performed(trained, config, progress)
    results = []
    for number, take in enumerate(takes):
        results.append(_result(number, take, trained, reference, config.raw))
        progress("settle", number + 1, len(takes))
    ranked = sorted(results, key=lambda result: result.rank)
    best = ranked[0]
    _finished(best, trained, circumstances).save(out)
    files = [str(out), *_write_report(out, best, ranked, trained, circumstances, config)]
    if config.all:
        files.append(str(_write_all(out, ranked, trained, circumstances)))
    return {"motion": str(out), **_report(best, trained, circumstances, config), **_ranking(ranked), "files": files}


def _performed(policy: Policy, config: SimulateConfig,
               progress: Progress) -> tuple[list[Take], Reference, Circumstances]:
    """Return the takes, what they imitate and under what circumstances."""
    length = _length(policy.motion, config.seconds)
    reference = make_reference(policy.motion, policy.character)
    circumstances = circumstances_of(config, policy, reference)
    steps = max(round(length * CONTROL_RATE), 1)
    if config.takes * length > 10 * LONGEST:
        raise SfvError(f"{config.takes} takes of {length:g} s are too much for the memory; {10 * LONGEST:.0f} s "
                       "altogether may be asked for. Make fewer or shorter takes.")
    shoves = shoves_of(config.pushes(), policy.character, config.takes, circumstances, steps / CONTROL_RATE)
    takes = perform(policy, reference, circumstances, shoves, steps, config.takes, config.noise, config.seed, progress)
    return takes, reference, circumstances


def load_policy(path: Path) -> Policy:
    """Read a policy file or the one in a training's folder. Raise SfvError if it cannot be used."""
    path = Path(path)
    policy = Policy.load(path / "policy.pt" if path.is_dir() else path)
    if policy.control_rate != CONTROL_RATE:
        raise SfvError(f"'{path}' acts {policy.control_rate} times a second; this version {CONTROL_RATE} times. "
                       "Train the policy again.")
    return policy


def _length(motion: Motion, seconds: float | None) -> float:
    """Return the take's length in s: a motion that loops goes on as long as asked, any other ends with the clip."""
    length = motion.duration if seconds is None else seconds
    if not 1 / CONTROL_RATE <= length <= LONGEST:
        raise SfvError(f"A rollout of {length:g} s cannot be made; ask for {1 / CONTROL_RATE:.2f} to {LONGEST:.0f} s.")
    return length if motion.loop else min(length, motion.duration)


def _result(number: int, take: Take, policy: Policy, reference: Reference, raw: bool) -> Result:
    """Let the feet of a take stand, unless it is to stay raw, and measure it."""
    character = policy.character
    motion, before = motion_of(take, reference, character), figures(take, character)
    if raw:
        return Result(number, take, before, before, motion, np.zeros(len(take)))
    settled = settle(motion, character)
    take = with_motion(take, settled.motion, character)
    return Result(number, take, before, figures(take, character), settled.motion, settled.moved)


def _finished(result: Result, policy: Policy, circumstances: Circumstances) -> Motion:
    """Return the motion to write: on the captured skeleton if it is known, on the slope if there is one."""
    motion = result.motion
    if policy.captured is not None:
        motion = onto_captured(motion, result.take.times, policy.captured, policy.character)
    return tilted(motion, circumstances.tilt) if circumstances.tilt != Circumstances("").tilt else motion


def _report(best: Result, policy: Policy, circumstances: Circumstances, config: SimulateConfig) -> dict[str, Any]:
    """Return what the command says of the take."""
    take = best.take
    words = advice(take, config)
    return {**({"advice": words} if words else {}), "seconds": take.seconds, "frames": len(take),
            "fell": take.fell is not None, "upright_seconds": take.seconds if take.fell is None else take.fell,
            "lost_s": take.lost, "nr": take.nr, "quality": quality(best.figures), **asdict(best.figures),
            "moved_cm": float(100 * best.moved.max()), "engine": circumstances.engine,
            "skeleton": "captured" if policy.captured is not None else "character"}


def _ranking(ranked: list[Result]) -> dict[str, Any]:
    """Return a row for each take, the best first; nothing where there is but one."""
    if len(ranked) == 1:
        return {}
    return {"takes": [{"rank": rank, "take": result.number, "fell_s": result.take.fell,
                       "lost_s": result.take.lost, "nr": result.take.nr,
                       "quality": quality(result.figures), **asdict(result.figures)}
                      for rank, result in enumerate(ranked, start=1)]}


def _write_report(out: Path, best: Result, ranked: list[Result], policy: Policy, circumstances: Circumstances,
                  config: SimulateConfig) -> list[str]:
    """Write the report and the picture beside the motion; return their paths."""
    report, picture = out.with_suffix(".json"), out.with_suffix(".png")
    write_json(report, take_json(best.take, policy.character, config) | {
        "report": _report(best, policy, circumstances, config) | _ranking(ranked), "as_simulated": asdict(best.raw),
        "moved_cm": (100 * best.moved).round(3).tolist()})
    draw_take(best.take, policy.character, config, picture)
    return [str(report), str(picture)]


def _write_all(out: Path, ranked: list[Result], policy: Policy, circumstances: Circumstances) -> Path:
    """Write every take into the folder named after the motion, without those of an earlier call; return it."""
    folder = out.with_suffix("")
    folder.mkdir(exist_ok=True)
    for rank, result in enumerate(ranked, start=1):
        _finished(result, policy, circumstances).save(folder / f"{rank:03d}.npz")
    for old in folder.glob("[0-9][0-9][0-9].npz"):
        if int(old.stem) > len(ranked):
            old.unlink()
    return folder
