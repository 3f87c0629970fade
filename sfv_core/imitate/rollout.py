"""A policy becomes a motion: the character performs the reference under physics, without noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from retarget import kinematics, rotation
from retarget.motion import Motion
from sfv_core.config import SimulateConfig
from sfv_core.errors import SfvError
from sfv_core.imitate.environment import CONTROL_RATE, SUBSTEPS, Environment
from sfv_core.imitate.policy import Policy
from sfv_core.imitate.reference import make_reference
from sfv_core.imitate.start import fixed
from sfv_core.physics.engine import PHYSICS_RATE, State, open_engine
from sfv_core.progress import Progress

STAGE = "simulate"
LONGEST = 600.0
"""Longest rollout in s."""


def simulate(policy: Path, out: Path, config: SimulateConfig, progress: Progress) -> dict[str, Any]:
    """Perform the motion from its first moment and write it to `out` as a Motion at 30 frames per second.

    policy: a policy file or the folder that a training wrote. A fall ends nothing: it is reported and the frames stay.
    The wrists, which physics holds stiff, move as in the reference. Raise SfvError if the policy cannot be used.
    """
    policy = Path(policy)
    trained = Policy.load(policy / "policy.pt" if policy.is_dir() else policy)
    if trained.control_rate != CONTROL_RATE:
        raise SfvError(f"'{policy}' acts {trained.control_rate} times a second; this version {CONTROL_RATE} times. "
                       "Train the policy again.")
    length = _length(trained.motion, config.seconds)
    engine = open_engine(trained.engine, trained.character, 1)
    try:
        environment = Environment(engine, make_reference(trained.motion, trained.character),
                                  np.random.default_rng(config.seed))
        record = _perform(environment, trained, round(length * CONTROL_RATE), progress)
    finally:
        engine.close()
    record.motion(trained).save(out)
    return {"motion": str(out), **record.report(trained)}


def _length(motion: Motion, seconds: float | None) -> float:
    """Return the rollout's length in s: a motion that loops goes on as long as asked, any other ends with the clip."""
    length = motion.duration if seconds is None else seconds
    if not 1 / CONTROL_RATE <= length <= LONGEST:
        raise SfvError(f"A rollout of {length:g} s cannot be made; ask for {1 / CONTROL_RATE:.2f} to {LONGEST:.0f} s.")
    return length if motion.loop else min(length, motion.duration)


class _Record:
    """What happened at each control step, the start included."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._states: list[State] = []
        self._goals: list[State] = []
        self._ticks: list[int] = []
        self._contacts: list[np.ndarray] = []
        self.rewards: list[float] = []
        self.fell: int | None = None

    def take(self) -> None:
        """Note the state of the only world."""
        self._states.append(self._environment.now.state)
        self._goals.append(self._environment.goal.state)
        self._ticks.append(int(self._environment.ticks[0]))
        self._contacts.append(self._environment.engine.contacts()[0])

    def motion(self, policy: Policy) -> Motion:
        """Return the frames where the reference was, on the character's skeleton, with the wrists of the reference."""
        character, skeleton = policy.character, policy.character.skeleton
        count = len(character.links)
        reference = self._environment.reference
        rows, _ = reference.lookup(np.array(self._ticks))
        local = policy.motion.at(rows / PHYSICS_RATE, CONTROL_RATE).rotations.copy()
        world = np.concatenate([state.rotations for state in self._states])
        local[:, :count] = kinematics.local_rotations(skeleton, _padded(world, len(skeleton)))[:, :count]
        root = np.concatenate([state.positions[:, 0] for state in self._states])
        start = reference.state.positions[self._ticks[0], 0] * np.array([1.0, 1.0, 0.0])
        contacts = np.zeros((len(rows), len(skeleton)))
        contacts[:, :count] = self._contacts
        return Motion(skeleton, CONTROL_RATE, root + start, rotation.continuous(local), contacts=contacts)

    def report(self, policy: Policy) -> dict[str, Any]:
        """Return how well it went: time before a fall, normalised return, tracking error and foot slide."""
        now = np.concatenate([state.positions for state in self._states])
        goal = np.concatenate([state.positions for state in self._goals])
        relative = np.linalg.norm((now - now[:, :1]) - (goal - goal[:, :1]), axis=-1)
        steps = len(self.rewards)
        advice = {} if self.fell is None else {"advice": (
            f"The simulated body falls after {self.fell / CONTROL_RATE:.1f} of {steps / CONTROL_RATE:.1f} s. "
            "Train it for more minutes: the training goes on where it stopped.")}
        return {**advice, "seconds": steps / CONTROL_RATE, "frames": steps + 1, "fell": self.fell is not None,
                "upright_seconds": (steps if self.fell is None else self.fell) / CONTROL_RATE,
                "nr": float(np.sum(self.rewards) / steps), "tracking_error_m": float(relative.mean()),
                "root_error_m": float(np.linalg.norm(now[:, 0] - goal[:, 0], axis=-1).mean()),
                "foot_slide_m_per_s": self._slide(policy, now), "engine": policy.engine}

    def _slide(self, policy: Policy, places: np.ndarray) -> float | None:
        """Return the mean speed over the ground of feet that touch it, in m/s; None where none does."""
        feet = [policy.character.index(f"{side}_ankle") for side in ("left", "right")]
        touching = np.array(self._contacts)[:, feet]
        both = touching[1:] & touching[:-1]
        speed = np.linalg.norm(np.diff(places[:, feet, :2], axis=0), axis=-1) * CONTROL_RATE
        return float(speed[both].mean()) if both.any() else None


def _perform(environment: Environment, policy: Policy, steps: int, progress: Progress) -> _Record:
    """Act for `steps` control steps in one world."""
    record = _Record(environment)
    environment.reset(np.array([0]), fixed)
    record.take()
    for step in range(max(steps, 1)):
        outcome = environment.step(policy.act(environment.observe()))
        record.take()
        if outcome.failed[0] and record.fell is None:
            record.fell = step
        record.rewards.append(float(outcome.rewards[0]) if record.fell is None else 0.0)
        if step % SUBSTEPS == 0:
            progress(STAGE, step + 1, steps)
    progress(STAGE, steps, steps)
    return record


def _padded(world: np.ndarray, joints: int) -> np.ndarray:
    """Add identity rotations for the joints that have no link. (T, L, 4) → (T, J, 4)."""
    missing = np.tile(rotation.IDENTITY, (len(world), joints - world.shape[1], 1))
    return np.concatenate([world, missing], axis=1)
