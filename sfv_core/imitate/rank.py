"""One process of a training: `python -m sfv_core.imitate.rank FOLDER RANK SIZE PORT`, started by train.

The first rank writes the files and reports on its standard output, one JSON object per line. Every rank ends when its
standard input does, so none outlives the process that started it; the line "stop" asks for a checkpoint and an end.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retarget.motion import Motion
from sfv_core.config import TrainConfig
from sfv_core.errors import SfvError
from sfv_core.imitate.checkpoint import go_on, require_alike, save_checkpoint
from sfv_core.imitate.environment import Environment
from sfv_core.imitate.evaluate import evaluate
from sfv_core.imitate.group import Group
from sfv_core.imitate.policy import Policy
from sfv_core.imitate.ppo import Ppo
from sfv_core.imitate.preset import preset_for
from sfv_core.imitate.reference import make_reference
from sfv_core.imitate.run import EXPLAINED, Run, write_json
from sfv_core.imitate.start import make_starts
from sfv_core.physics.engine import open_engine

KEEP_EVERY = 16
"""Iterations between checkpoints, after which all worlds start anew: a training that goes on from one is the same."""
EPISODES = 32
"""Episodes of an evaluation; as many again, swayed, decide whether a policy that may be the best is."""
AGAIN, SURE = 3, 2.0
"""Evaluations more, at most, of a policy that would end the training, until its return is this many standard errors
above the goal: returns of 32 episodes scatter by 0.05 where some fall, and the best of many is the luckiest."""
LEARNT_PER_LOOK = 3
"""Control steps that are learnt from for each that an evaluation takes, but for those `AGAIN`: one of a policy that
falls takes few."""
CURVE = ("samples", "minutes", "nr", "survived", "reward", "looked")
"""What each point of the curve has; `looked` are the control steps that its evaluation took, but for those `AGAIN`."""
ORPHANED = 3
"""Exit code of a rank whose parent is gone."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """How good the policy is that is kept as the best so far."""

    nr: float = -1.0
    """Its normalised return without noise, in the evaluation that it was chosen by."""
    swayed: float = -1.0
    """The same with noise on actions and first poses, as in learning."""
    steady: float = 0.0
    """Share of the time that it survived then."""

    @property
    def worth(self) -> float:
        """What policies are chosen by: who follows the motion well and falls at a touch is not the best."""
        return (self.nr + self.swayed) / 2


class Rank:
    """A training process: its learner, its clock, its curve."""

    def __init__(self, run: Run, group: Group) -> None:
        """Make the worlds and go on from the newest checkpoint."""
        self.run, self.group = run, group
        self.config, self.motion, self.character = run.read()
        self.captured = Motion.load(run.captured)
        reference = make_reference(self.motion, self.character)
        self.preset = preset_for(self.config, reference)
        engine = open_engine(self.config.engine, self.character, self.preset.recipe.worlds_of(group.size))
        starts = make_starts(self.preset.start, reference, self.character)
        self.environment = Environment(engine, reference, self._generator(0), self.preset.rules, starts)
        self.ppo = Ppo(self.environment, group, self.config.seed, self.preset.recipe)
        self.curve: list[dict[str, float]] = []
        self.kept = Kept()
        self._earlier = 0.0
        self._figures: dict[str, float] = {}
        self._told = self._started = time.monotonic()
        if go_on(run.checkpoints, self._restore):
            log.info("went on from %d samples", self.ppo.samples)
            self._begin_anew()

    def _restore(self, data: dict[str, Any]) -> None:
        """Take a checkpoint over. Raise an error of checkpoint.go_on's where it is not of this training."""
        known = self.ppo.to_dict()
        del known["optimiser"]  # it may be left over from a newer checkpoint that did not serve
        require_alike(data["learner"], known, "its learner")
        curve = [{name: point[name] + 0 for name in CURVE} for point in data["curve"]]
        kept = Kept(**{name: float(value) for name, value in data["kept"].items()})
        minutes = float(data["minutes"])
        self.ppo.restore(data["learner"])
        for parameter, moments in self.ppo.optimiser.state.items():
            if any(np.shape(moment) not in ((), parameter.shape) for moment in moments.values()):
                raise ValueError("its optimiser is of another network")
        self.curve, self.kept, self._earlier = curve, kept, minutes
        if self.curve:
            self._figures = {name: self.curve[-1][name] for name in ("nr", "survived")}

    def _generator(self, purpose: int) -> np.random.Generator:
        """Return random numbers that depend on nothing but seed, rank, iteration and purpose."""
        done = self.ppo.iterations if hasattr(self, "ppo") else 0
        return np.random.default_rng([self.config.seed, self.group.rank, done, purpose])

    def _begin_anew(self) -> None:
        """Start an episode in every world, as a training does that goes on from the checkpoint of this iteration."""
        self.environment.generator = self._generator(1)
        self.environment.reset(np.arange(self.environment.engine.worlds))

    def minutes(self) -> float:
        """Return the time trained so far, earlier runs included."""
        return self._earlier + (time.monotonic() - self._started) / 60

    def train(self, stop: threading.Event) -> str:
        """Learn until a limit, the goal or `stop`; return why it ended."""
        while True:
            reason = self._shared_reason(stop)
            if reason:
                break
            self._figures.update(self.ppo.iterate(self._tick))
            if self.ppo.iterations == 1 or (self.ppo.iterations % KEEP_EVERY == 0 and self._due()):
                self._evaluate()
            if self.ppo.iterations % KEEP_EVERY == 0 or self.ppo.iterations == 1:
                self._keep()
                self._begin_anew()
        if reason != "stopped" and (not self.curve or self.curve[-1]["samples"] < self.ppo.samples):
            self._evaluate(again=0)
        self._keep()
        return reason

    def _shared_reason(self, stop: threading.Event) -> str:
        """Return why all ranks should end now; empty while they should go on."""
        config: TrainConfig = self.config
        reached = bool(self.curve) and self.kept.nr >= config.goal
        asked, late = (self.group.sum([float(stop.is_set()), float(self.minutes() >= config.minutes)]) > 0)
        if asked:
            return "stopped"
        if reached:
            return "goal"
        if late:
            return "minutes"
        return "samples" if self.ppo.samples >= config.samples else ""

    def _due(self) -> bool:
        """Tell whether enough was learnt since the policy was measured last."""
        last = self.curve[-1]
        return self.ppo.samples - last["samples"] >= LEARNT_PER_LOOK * last["looked"]

    def _evaluate(self, again: int = AGAIN) -> None:
        """Measure the policy, and with noise too where it may be the best; add to the curve and keep the best.

        One that would end the training is measured up to `again` times more.
        """
        policy = Policy(self.ppo.average, self.ppo.normaliser, self.character, self.motion, self.config.engine,
                        captured=self.captured, rules=self.preset.rules)
        result = evaluate(self.environment, policy.act, EPISODES, self.group, self._tick)
        looked, better = result.steps, False
        if result.nr > self.kept.worth:
            recipe = self.preset.recipe
            swayed = evaluate(self.environment, policy.act, EPISODES, self.group, self._tick, recipe.sway,
                              recipe.unsettle)
            looked += swayed.steps
            goal = self.config.goal
            for _ in range(again):
                if result.nr < goal or result.nr - SURE * result.error >= goal:
                    break
                result += evaluate(self.environment, policy.act, EPISODES, self.group, self._tick)
            found = Kept(result.nr, swayed.nr, swayed.survived)
            better = found.worth > self.kept.worth
            self.kept = found if better else self.kept
        self.curve.append({"samples": self.ppo.samples, "minutes": round(self.minutes(), 4), "nr": result.nr,
                           "survived": result.survived, "reward": self._figures.get("reward", 0.0), "looked": looked})
        self._figures.update(nr=result.nr, survived=result.survived)
        self.ppo.calm(result.survived)
        if self.group.rank == 0:
            write_json(self.run.curve, self.curve)
            if better:
                policy.save(self.run.policy)

    def _keep(self) -> None:
        """Write a checkpoint."""
        if self.group.rank == 0:
            save_checkpoint(self.run.checkpoints, self.ppo.samples, {
                "learner": self.ppo.to_dict(), "curve": self.curve, "kept": asdict(self.kept),
                "minutes": self.minutes()})

    def _tick(self) -> None:
        """Report, about once a second."""
        if self.group.rank == 0 and time.monotonic() - self._told > 1.0:
            self._told = time.monotonic()
            tell("progress", samples=self.ppo.samples, minutes=self.minutes(), broken=self.environment.broken,
                 **self._figures)


def tell(kind: str, **data: Any) -> None:
    """Write one report to the process that started this one."""
    sys.stdout.write(json.dumps({"type": kind, **data}) + "\n")
    sys.stdout.flush()


def _listen(stop: threading.Event) -> None:
    """End with the parent; set `stop` when it asks for it. Reads below sys.stdin, whose lock would bar the exit."""
    heard = b""
    while piece := os.read(0, 64):
        heard += piece
        if b"stop" in heard:
            stop.set()
    os._exit(ORPHANED)


def main(folder: str, rank: int, size: int, port: int) -> int:
    """Train as one rank; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent too, which asks for a checkpoint
    threading.Thread(target=_listen, args=(stop,), daemon=True).start()
    torch.set_num_threads(1)
    try:
        group = Group(rank, size, port)
        process = Rank(Run(Path(folder)), group)
        reason = process.train(stop)
        broken = int(group.sum([process.environment.broken])[0])
    except SfvError as error:
        sys.stderr.write(f"{error}\n")
        return EXPLAINED
    if rank == 0:
        tell("finished", reason=reason, samples=process.ppo.samples, minutes=process.minutes(), nr=process.kept.nr,
             steady=process.kept.steady, broken=broken)
    group.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *(int(text) for text in sys.argv[2:5])))
