"""How good a take is, in numbers: pure functions of where the links are."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from retarget import kinematics, rotation
from retarget.motion import Motion
from sfv_core.character.character import Character
from sfv_core.physics.engine import State
from sfv_core.takes.disturbed import RECORD_RATE
from sfv_core.takes.take import Take

NEAR = 0.005
"""A corner of a sole stands on the ground below this height in m."""
_JITTER_RATE = 30
"""Frames per second that jitter is measured at, as is usual for captured motion."""
GOALS = {"error_cm": 6.0, "slide_cm_s": 1.0, "penetration_cm": 0.5, "jitter": 10.0}
"""What counts as good; the quality of a take is measured against these."""


@dataclass(frozen=True)
class Figures:
    """A take in numbers, up to its fall."""

    error_cm: float
    """Mean distance of the joints from where the reference has them, seen from the root, in cm."""
    drift_cm: float
    """Mean distance of the root from the reference's in the world, in cm."""
    slide_cm_s: float | None
    """Mean speed over the ground of soles that stand: of the feet's corners that are less than 5 mm above the ground
    in two frames running, the slowest of each foot, in cm/s; None where no foot stands."""
    penetration_cm: float
    """Depth of the lowest point of the body in the ground in the worst frame, in cm."""
    jitter: float
    """Mean jerk of the joints at 30 frames per second, in 10 m/s³."""
    torque: float
    """Mean torque of all joints, as a share of their limits."""
    limited: float
    """Share of the time in which some joint is at its limit."""


def figures(take: Take, character: Character) -> Figures:
    """Measure a take until its fall (all of it where it falls at once)."""
    stop = len(take) if take.fell is None else max(round(take.fell * RECORD_RATE), 4)
    now, goal, shares = take.state[slice(stop)], take.goal[slice(stop)], take.torques[:stop, 1:]
    lowest = character.lowest(now.positions, now.rotations).min(axis=1)
    speed = slide(sole_corners(character, now.positions, now.rotations), RECORD_RATE)
    return Figures(
        error_cm=float(100 * errors(now, goal).mean()),
        drift_cm=float(100 * np.linalg.norm(now.positions[:, 0] - goal.positions[:, 0], axis=-1).mean()),
        slide_cm_s=None if speed is None else 100 * speed,
        penetration_cm=float(round(100 * max(0.0, -lowest.min()), 6)), jitter=jitter(now.positions, RECORD_RATE),
        torque=float(shares.mean()), limited=float(np.mean(shares.max(axis=1) >= 0.999)))


def quality(f: Figures) -> float:
    """Return how good a take is: 1 where all figures are at their goals, less the farther they are from them, > 0."""
    shares = [value / goal for name, goal in GOALS.items() if (value := asdict(f)[name]) is not None]
    return float(2.0 / (1.0 + np.mean(shares)))


def errors(now: State, goal: State) -> np.ndarray:
    """Return how far each frame's joints are from the reference's, seen from the root, on average, in m. → (T,)."""
    far = (now.positions - now.positions[:, :1]) - (goal.positions - goal.positions[:, :1])
    return np.linalg.norm(far[:, 1:], axis=-1).mean(axis=1)


def sole_corners(character: Character, positions: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Return where the corners of the soles are in the world, (T, F, 4, 3) m, of F feet.

    positions, rotations: link frames (T, L, 3) m and (T, L, 4).
    """
    feet = []
    for i, corners in soles(character).items():
        feet.append(positions[:, i, None] + rotation.rotate(rotations[:, i, None], corners))
    return np.stack(feet, axis=1)


def soles(character: Character) -> dict[int, np.ndarray]:
    """Return the four lower corners of each foot's box in its link's frame in m, (4, 3), by link."""
    found = {}
    for i, link in enumerate(character.links):
        if link.name.endswith("_ankle"):
            corners, _ = link.shapes[0].corners()
            found[i] = corners[np.argsort(corners[:, 2], kind="stable")[:4]]
    return found


def slide(corners: np.ndarray, fps: float) -> float | None:
    """Return the mean level speed in m/s of feet that stand. corners: (T, F, 4, 3) m.

    A foot turns about one corner while it rolls, so the slowest of those that touch counts, in each frame.
    """
    down = corners[..., 2] < NEAR
    both = down[1:] & down[:-1]
    speed = np.linalg.norm(np.diff(corners[..., :2], axis=0), axis=-1) * fps
    stands = both.any(axis=-1)
    if not stands.any():
        return None
    return float(np.where(both, speed, np.inf).min(axis=-1)[stands].mean())


def jitter(places: np.ndarray, fps: float) -> float:
    """Return the mean size of the third derivative of places (T, J, 3) m, at 30 frames per second, in 10 m/s³."""
    places = places[:: max(round(fps / _JITTER_RATE), 1)]
    if len(places) < 4:
        return 0.0
    return float(np.linalg.norm(np.diff(places, 3, axis=0), axis=-1).mean() * _JITTER_RATE**3 / 10)


def state_of(motion: Motion, character: Character) -> State:
    """Return where the character's links are in a motion of its skeleton; velocities are left at 0."""
    places, turns = (a[:, : len(character.links)] for a in kinematics.world_poses(motion))
    return State(places, turns, np.zeros_like(places), np.zeros_like(places))
