"""Solve a motion again around pins: a smooth correction of the captured pose that meets every pin exactly.

The unknowns are a correction δ per frame (see turning.py). The objective is a sum of squares: little bending of δ over
time, little departure from the captured pose (robust, so that a wrong capture lets go), the picture's evidence, and
feet that stay where they stood. It is minimised by Gauss-Newton steps on a banded system; pins are equations that each
step meets, moving in their null space, and Newton's method makes them exact at the end. Outside of the window nothing
changes; at its borders δ and its speed are zero. numpy and LAPACK alone: loading torch would take longer than solving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from retarget import rotation
from retarget.motion import Motion

from ..errors import SfvError
from . import banded
from .camera import Camera
from .evidence import Evidence, on_body, robust
from .landmarks import JOINTS
from .pins import Pin
from .reach import EXACT, camera_jacobian, equations, fixed, moving_for
from .standing import FEET, Feet, standing
from .turning import Moving, Pose, posed
from .winding import unwound

WINDOW_S = 0.6
"""How far before and after a pin the motion may change, in s."""
_TUNED_FPS = 30.0
_BENDING = 1 / 0.02**2
"""Weight of squared second differences of a limb's turn (unit .02 rad per frame² at 30 fps)."""
_TRAVEL_BENDING = 1 / 0.005**2
"""Weight of squared second differences of the root's shift (unit 5 mm per frame² at 30 fps)."""
_STIFFEST = 10.0
_RETURN_S = 0.2
"""Time in s within which a correction fades where nothing else holds it."""
_LET_GO = 0.35
"""Departure from the captured pose in rad beyond which that pose does not pull any more."""
_PICTURE = 1 / 0.012**2
"""Weight of squared misses in the picture (unit .012 person sizes, 2 cm)."""
_DOUBT_S = 0.2
"""Time in s around a pin over which a detection that contradicts it is not believed either."""
_ROUNDS = 8
_SETTLED = 1e-3


@dataclass(frozen=True)
class Window:
    """Frames that are solved again together."""

    start: int
    stop: int
    """The first frame after the window."""
    pins: tuple[Pin, ...]


@dataclass(frozen=True)
class Correction:
    """A motion solved again in one window of N frames."""

    window: Window
    travels: bool
    """Whether the root's path changed."""
    root_pos: np.ndarray
    """Shape (N, 3) m."""
    rotations: np.ndarray
    """Local, shape (N, J, 4)."""
    rounds: int
    """How many Gauss-Newton steps were taken."""


@dataclass(frozen=True)
class _Problem:
    """What is solved in one window, apart from the unknowns δ (N, n)."""

    motion: Motion
    moving: Moving
    camera: Camera | None
    """With the turns of the whole motion."""
    pins: dict[int, Pin]
    """By row of the window."""
    free_ends: tuple[bool, bool]
    """Whether the window begins or ends with the motion."""
    bending: np.ndarray
    """Weight of each column's squared second differences, shape (n,)."""
    holding: np.ndarray
    """Weight of each column's squared departure, shape (n,)."""
    evidence: Evidence | None
    feet: Feet | None = None


def windows(pins: Sequence[Pin], frames: int, reach: int) -> list[Window]:
    """Return the spans of `reach` frames around the pins, joined where they meet."""
    spans: list[Window] = []
    for pin in pins:
        start, stop = max(pin.frame - reach, 0), min(pin.frame + reach + 1, frames)
        if spans and start <= spans[-1].stop + 2:
            spans[-1] = Window(spans[-1].start, stop, (*spans[-1].pins, pin))
        else:
            spans.append(Window(start, stop, (pin,)))
    return spans


def correct(motion: Motion, window: Window, evidence: Evidence | None, camera: Camera | None) -> Correction:
    """Solve a window of the motion again. Raise SfvError where a pin cannot be met."""
    moving, at_pins = moving_for(motion, window.pins, camera)
    motion, at_pins = _turned_right(motion, window, moving, at_pins)
    at_pins = _same_way(at_pins, moving)
    motion, moving, at_pins = _without_loose(motion, window, moving, at_pins)
    problem = _problem(motion, window, moving, evidence, camera)
    delta = _led_through(problem, at_pins)
    problem = replace(problem, feet=standing(motion, window.start, moving, problem.pins, delta),
                      evidence=_doubted(problem, delta))
    delta, rounds = _settled(problem, delta)
    pose = posed(problem.motion, moving, _exact(problem, delta))
    return Correction(window, moving.travels, pose.root_pos, pose.rotations, rounds)


def _turned_right(motion: Motion, window: Window, moving: Moving, at_pins: np.ndarray) -> tuple[Motion, np.ndarray]:
    """Take out a turn that was captured the wrong way round, where the pins say how the root is turned."""
    root = motion.skeleton.root
    told = [row for row, pin in enumerate(window.pins) if root in pin.rotations]
    if not told:
        return motion, at_pins
    columns, frames = moving.columns_of([root]), np.array([window.pins[row].frame for row in told])
    out = at_pins.copy()
    motion, turns = unwound(motion, window.start, window.stop, frames, at_pins[told][:, columns])
    for row, turn in zip(told, turns, strict=True):
        out[row, columns] = turn
    return motion, out


def _without_loose(motion: Motion, window: Window, moving: Moving, at_pins: np.ndarray
                   ) -> tuple[Motion, Moving, np.ndarray]:
    """Solve fingers and the like one by one, since nothing observed hangs on them; return what is left to solve."""
    watched = {int(joint) for joint in JOINTS}
    watched |= {joint for pin in window.pins for joint in (*pin.positions, *pin.pixels)}
    watched |= {j for j, name in enumerate(motion.skeleton.names) if name.endswith(FEET)}
    loose = [joint for place, joint in enumerate(moving.joints)
             if watched.isdisjoint(np.flatnonzero(moving.carries[place]).tolist())]
    rotations, rows = motion.rotations.copy(), slice(window.start, window.stop)
    for joint in loose:
        alone, columns = Moving(motion.skeleton, (joint,), travels=False), moving.columns_of([joint])
        if at_pins[:, columns].any():
            delta = _led_through(_problem(motion, window, alone, None, None), at_pins[:, columns])
            rotations[rows, joint] = rotation.multiply(rotations[rows, joint], rotation.from_rotvec(delta))
    left = Moving(motion.skeleton, tuple(j for j in moving.joints if j not in loose), moving.travels)
    return replace(motion, rotations=rotations), left, at_pins[:, ~moving.columns_of(loose)]


def _problem(motion: Motion, window: Window, moving: Moving, evidence: Evidence | None, camera: Camera | None
             ) -> _Problem:
    speed = (motion.fps / _TUNED_FPS) ** 4
    bending = _BENDING * speed * np.minimum(moving.stiffness, _STIFFEST)
    bending[moving.columns_of([motion.skeleton.root])] = _BENDING * speed
    if moving.travels:
        bending[-3:] = _TRAVEL_BENDING * speed
    part = motion.slice(window.start, window.stop)
    return _Problem(part, moving, camera, {pin.frame - window.start: pin for pin in window.pins},
                    (window.start == 0, window.stop == len(motion)), bending, bending / (_RETURN_S * motion.fps) ** 4,
                    evidence.slice(window.start, window.stop) if evidence else None)


def _same_way(at_pins: np.ndarray, moving: Moving) -> np.ndarray:
    """Write each turn about its axis in the sense that is nearest to the pin before."""
    turns = moving.turns(at_pins).copy()
    for row in range(1, len(turns)):
        angle = np.linalg.norm(turns[row], axis=-1, keepdims=True)
        other = turns[row] * (1 - 2 * np.pi / np.maximum(angle, 1e-9))
        nearer = np.linalg.norm(other - turns[row - 1], axis=-1) < np.linalg.norm(turns[row] - turns[row - 1], axis=-1)
        turns[row] = np.where((nearer & (angle[..., 0] > 1e-3))[:, None], other, turns[row])
    out = at_pins.copy()
    out[:, : turns[0].size] = turns.reshape(len(turns), -1)
    return out


def _led_through(p: _Problem, at_pins: np.ndarray) -> np.ndarray:
    """Lead δ through the pins' corrections on the least bent way, as if there were no evidence, (N, n)."""
    count, n = len(p.motion), p.moving.columns
    rules = {}
    for known, (row, pin) in zip(at_pins, p.pins.items(), strict=True):
        held = fixed(pin, p.moving)
        for joint in (*pin.positions, *pin.pixels):
            above = [j for place, j in enumerate(p.moving.joints) if p.moving.carries[place, joint] and j != joint]
            held |= p.moving.columns_of(above) & (known != 0)
        rules[row] = (np.eye(n)[held], known[held])
    square = np.zeros((count, n, n)) + np.diag(p.holding)
    return banded.step(square, np.zeros((count - 1, n, n)), p.bending, p.free_ends, np.zeros((count, n)), rules)


def _doubted(p: _Problem, delta: np.ndarray) -> Evidence | None:
    """Believe a landmark less near a pin that contradicts it."""
    if p.evidence is None:
        return None
    pose = posed(p.motion, p.moving, delta)
    apart = np.linalg.norm(p.evidence.misses(on_body(pose.places, pose.world)), axis=-1)
    weight, frames = p.evidence.weight.copy(), np.arange(len(delta))
    for row in p.pins:
        contradicted = np.clip((apart[row] - 0.02) / 0.04, 0.0, 1.0)
        near = np.exp(-0.5 * ((frames - row) / (_DOUBT_S * p.motion.fps)) ** 2)
        weight *= 1 - near[:, None] * contradicted
    return replace(p.evidence, weight=weight)


def _settled(p: _Problem, delta: np.ndarray) -> tuple[np.ndarray, int]:
    """Take Gauss-Newton steps as long as they help; return δ and how many were taken."""
    cost = _cost(p, delta)
    for round_ in range(_ROUNDS):
        move = _move(p, delta)
        tries = [delta + share * move for share in (1.0, 0.5, 0.2)]
        costs = (_cost(p, trial) for trial in tries)
        trial, new = next(((t, c) for t, c in zip(tries, costs, strict=True) if c < cost), (delta, cost))
        if cost - new <= _SETTLED * cost:
            return trial, round_ + 1
        delta, cost = trial, new
    return delta, _ROUNDS


def _move(p: _Problem, delta: np.ndarray) -> np.ndarray:
    """Return the Gauss-Newton step from δ that meets the pins' equations, (N, n)."""
    pose = posed(p.motion, p.moving, delta)
    square, slope = _departure(p, delta)[1:]
    coupling = np.zeros((len(delta) - 1, *square.shape[1:]))
    if p.evidence is not None:
        _add_picture(p.evidence, pose, square, slope)
    if p.feet is not None:
        p.feet.add(pose, square, coupling, slope)
    slope += banded.bent(delta, p.free_ends) * p.bending
    return banded.step(square, coupling, p.bending, p.free_ends, slope, _rules(p, pose))


def _cost(p: _Problem, delta: np.ndarray) -> float:
    """Return the objective at δ, its robust terms as they are."""
    pose = posed(p.motion, p.moving, delta)
    cost = float((banded.bent(delta, p.free_ends) * delta * p.bending).sum()) + _departure(p, delta)[0]
    if p.evidence is not None:
        squared = (p.evidence.misses(on_body(pose.places, pose.world)) ** 2).sum(axis=-1)
        cost += _PICTURE * float((p.evidence.weight * robust(squared)[0]).sum())
    if p.feet is not None:
        cost += p.feet.cost(pose)
    return cost


def _departure(p: _Problem, delta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the cost of departing from the captured pose, its square's weights (N, n, n) and slope (N, n)."""
    weights = np.tile(p.holding, (len(delta), 1))
    turning = 3 * len(p.moving.joints)
    squared = np.repeat((p.moving.turns(delta) ** 2).sum(axis=-1), 3, axis=1)
    share = _LET_GO**2 / (squared + _LET_GO**2)
    cost = float((p.holding[:turning] * squared * share).sum() / 3 + (weights[:, turning:] * delta[:, turning:] ** 2
                                                                       ).sum())
    weights[:, :turning] *= share**2
    return cost, weights[:, :, None] * np.eye(delta.shape[1]), weights * delta


def _add_picture(e: Evidence, pose: Pose, square: np.ndarray, slope: np.ndarray) -> None:
    """Add the derivatives of the picture's cost to the blocks per frame (N, n, n) and the slope (N, n)."""
    landmarks = on_body(pose.places, pose.world)
    turns = None if e.camera.turns is None else e.camera.turns[:, None]
    seen, change = camera_jacobian(e.camera, landmarks, turns)
    miss = (seen - e.xy) / e.size[:, None, None]
    follow = change @ pose.jacobian(landmarks, JOINTS) / e.size[:, None, None, None]
    weight = np.repeat(_PICTURE * e.weight * robust((miss**2).sum(axis=-1))[1], 2, axis=1)
    rows = follow.reshape(len(slope), -1, slope.shape[1])
    heavy = np.swapaxes(rows * weight[..., None], 1, 2)
    square += heavy @ rows
    slope += (heavy @ miss.reshape(len(slope), -1, 1))[..., 0]


def _rules(p: _Problem, pose: Pose) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return the equations C · dδ = b of each pinned row: what is given outright stays, places are met."""
    rows = list(p.pins)
    at_pins = Pose(p.moving, *(a[rows] for a in (pose.root_pos, pose.rotations, pose.places, pose.world, pose.axes)))
    rules = {}
    for row, (c, b) in zip(rows, equations(at_pins, list(p.pins.values()), p.camera), strict=True):
        held = np.eye(p.moving.columns)[fixed(p.pins[row], p.moving)]
        rules[row] = (np.concatenate([held, c]), np.concatenate([np.zeros(len(held)), b]))
    return rules


def _exact(p: _Problem, delta: np.ndarray) -> np.ndarray:
    """Return δ with every pin met to the last digit, by Newton's method at the pinned rows."""
    delta = delta.copy()
    for _ in range(30):
        rules = _rules(p, posed(p.motion, p.moving, delta))
        if max((float(np.abs(b).max(initial=0.0)) for _, b in rules.values()), default=0.0) < 1e-3 * EXACT:
            return delta
        for row, (c, b) in rules.items():
            delta[row] += np.linalg.lstsq(c / p.moving.stiffness, b, rcond=1e-9)[0] / p.moving.stiffness
    raise SfvError("The pins of frames "
                   f"{', '.join(str(pin.frame) for pin in p.pins.values())} cannot be met together. Remove one.")
