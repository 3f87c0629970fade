"""Pins as equations, and the nearest pose that meets them: inverse kinematics with least turning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retarget import rotation
from retarget.motion import Motion, Skeleton

from ..errors import SfvError
from .camera import Camera
from .pins import Pin
from .turning import Moving, Pose, posed

EXACT = 1e-7
"""Largest miss of a pin that counts as met, in m (for a pixel: in picture heights)."""
_HINGES = {"left_elbow": (0.0, 0.0, -0.3), "right_elbow": (0.0, 0.0, 0.3),
           "left_knee": (0.3, 0.0, 0.0), "right_knee": (0.3, 0.0, 0.0)}
"""A bend in rad in the natural direction, to leave a straight limb, which cannot shorten to first order."""
_ROUNDS = 60
_LONGEST = 0.4
"""Most that a joint may turn in one round, in rad."""


def moving_for(motion: Motion, pins: Sequence[Pin], camera: Camera | None) -> tuple[Moving, np.ndarray]:
    """Return what has to move to meet the pins of some frames and the least correction that does, (P, n).

    Limbs reach by themselves where they can, else with the spine's help. Raise SfvError where that is not enough.
    """
    if camera is None and any(pin.pixels for pin in pins):
        raise SfvError("A pin with a pixel needs the camera; there is no camera.json beside the motion.")
    rows = frames_of(motion, [pin.frame for pin in pins])
    for spine in (False, True):
        moving = _moving(motion, pins, spine)
        delta, miss = _reach(rows, pins, moving, camera)
        if miss.max(initial=0.0) < EXACT:
            return moving, delta
    raise SfvError(_out_of_reach(motion.skeleton, pins, posed(rows, moving, delta), miss, camera))


def frames_of(motion: Motion, frames: Sequence[int]) -> Motion:
    """Return some frames of a motion as they are."""
    return Motion(motion.skeleton, motion.fps, motion.root_pos[list(frames)], motion.rotations[list(frames)])


def equations(pose: Pose, pins: Sequence[Pin], camera: Camera | None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return for each frame the rows C and the misses b of its pins on places and pixels: C · dδ = b."""
    found = []
    for row, pin in enumerate(pins):
        root = pose.moving.skeleton.root
        joints = [joint for joint in pin.positions if joint != root] + list(pin.pixels)
        points = pose.places[row : row + 1, joints]
        one = Pose(pose.moving, *(a[row : row + 1] for a in (pose.root_pos, pose.rotations, pose.places, pose.world,
                                                             pose.axes)))
        follow = one.jacobian(points, np.array(joints, int))[0]
        rows, misses = [np.zeros((0, pose.moving.columns))], [np.zeros(0)]
        for k, joint in enumerate(joints):
            if k < len(joints) - len(pin.pixels):
                rows.append(follow[k])
                misses.append(pin.positions[joint] - points[0, k])
            elif camera is not None:
                seen, change = camera_jacobian(camera, points[0, k], turn_of(camera, pin))
                rows.append(change @ follow[k] / camera.size[1])
                misses.append((pin.pixels[joint] - seen) / camera.size[1])
        found.append((np.concatenate(rows), np.concatenate(misses)))
    return found


def fixed(pin: Pin, moving: Moving) -> np.ndarray:
    """Return which columns a pin gives outright: turned joints, and the root's place. (n,) bool."""
    columns = moving.columns_of(pin.rotations)
    if moving.travels:
        columns[-3:] = moving.skeleton.root in pin.positions
    return columns


def turn_of(camera: Camera, pin: Pin) -> np.ndarray | None:
    """Return how a turning camera has turned at a pin's frame, (3, 3)."""
    return None if camera.turns is None else camera.turns[min(pin.frame, len(camera.turns) - 1)]


def camera_jacobian(camera: Camera, points: np.ndarray, turns: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return where world points (..., 3) appear in px (..., 2), and how that changes with them, (..., 2, 3).

    turns: R_frame_reference (..., 3, 3) of a camera that turns.
    """
    axes = rotation.to_matrix(rotation.inverse(camera.rotation))
    axes = axes if turns is None else turns @ axes
    p = (axes @ (points - camera.position)[..., None])[..., 0]
    z = np.maximum(p[..., 2], 1e-3)[..., None]
    seen = p[..., :2] / z
    change = (axes[..., :2, :] - seen[..., None] * axes[..., 2:, :]) * (camera.focal / z)[..., None]
    return seen * camera.focal + camera.centre, change


def _moving(motion: Motion, pins: Sequence[Pin], spine: bool) -> Moving:
    """Return what takes part: pinned joints, what leads to pinned places, and the legs of a body that moves."""
    skeleton, turning, travels = motion.skeleton, set(), False
    for pin in pins:
        turning |= set(pin.rotations)
        travels |= skeleton.root in pin.positions or skeleton.root in pin.pixels
        for joint in (*pin.positions, *pin.pixels):
            turning |= _leading_to(skeleton, joint, spine)
    if travels or skeleton.root in turning:
        turning |= {skeleton.index(name) for name in skeleton.names if name.endswith(("_hip", "_knee", "_ankle"))}
    return Moving(skeleton, tuple(sorted(turning)), travels)


def _leading_to(skeleton: Skeleton, joint: int, spine: bool) -> set[int]:
    """Return the joints below the root that can bring a joint somewhere; without spine, those of its own limb."""
    path, above = [], int(skeleton.parents[joint])
    while above >= 0 and joint != skeleton.root and above != skeleton.root:
        path.append(above)
        above = int(skeleton.parents[above])
    limb = [j for j in path if not skeleton.names[j].startswith(("spine", "neck"))]
    return set(limb if limb and not spine else path)


def _reach(rows: Motion, pins: Sequence[Pin], moving: Moving, camera: Camera | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the least corrections (P, n) that bring each frame to its pin, and how far each still misses."""
    delta = np.zeros((len(pins), moving.columns))
    for row, pin in enumerate(pins):
        _take_over(delta[row], rows, row, pin, moving)
    free = [~fixed(pin, moving) for pin in pins]
    miss, bent = np.full(len(pins), np.inf), np.zeros(len(pins), bool)
    for round_ in range(_ROUNDS):
        found = equations(posed(rows, moving, delta), pins, camera)
        last, miss = miss, np.array([np.abs(b).max(initial=0.0) for _, b in found])
        if miss.max(initial=0.0) < 1e-3 * EXACT:
            break
        for row, (c, b) in enumerate(found):
            if miss[row] > EXACT and not bent[row] and round_ > 3 and miss[row] > 0.98 * last[row]:
                bent[row] = True
                _bend(delta[row], moving, pins[row])
                continue
            delta[row, free[row]] += _least_step(c[:, free[row]], b, moving.stiffness[free[row]])
    return delta, miss


def _take_over(delta: np.ndarray, rows: Motion, row: int, pin: Pin, moving: Moving) -> None:
    """Write what a pin gives outright into one frame's correction."""
    turns = moving.turns(delta)
    for place, joint in enumerate(moving.joints):
        if joint in pin.rotations:
            turns[place] = rotation.to_rotvec(rotation.multiply(rotation.inverse(rows.rotations[row, joint]),
                                                                pin.rotations[joint]))
    root = moving.skeleton.root
    if root in pin.positions:
        delta[-3:] = pin.positions[root] - rows.root_pos[row]


def _bend(delta: np.ndarray, moving: Moving, pin: Pin) -> None:
    """Bend straight elbows and knees that lead to the pin a little."""
    turns = moving.turns(delta)
    for place, joint in enumerate(moving.joints):
        hinge = _HINGES.get(moving.skeleton.names[joint])
        if hinge is not None and joint not in pin.rotations and any(
                moving.carries[place, target] for target in (*pin.positions, *pin.pixels)):
            turns[place] += hinge


def _least_step(c: np.ndarray, b: np.ndarray, stiffness: np.ndarray) -> np.ndarray:
    """Return the least move, by stiffness, that meets C · x = b, damped far away and short enough to be true."""
    eased = c / stiffness
    normal = eased @ c.T
    damping = 0.3 * float(np.linalg.norm(b)) + 1e-12  # about how much the way bends: right for what is out of reach
    step = eased.T @ np.linalg.solve(normal + damping * np.eye(len(b)), b)
    return step * min(1.0, _LONGEST / max(float(np.abs(step).max(initial=0.0)), 1e-12))


def _out_of_reach(skeleton: Skeleton, pins: Sequence[Pin], pose: Pose, miss: np.ndarray, camera: Camera | None) -> str:
    """Say which pin cannot be met and how far away it stays."""
    row = int(miss.argmax())
    pin = pins[row]
    gaps = {joint: float(np.linalg.norm(target - pose.places[row, joint])) for joint, target in pin.positions.items()
            if joint != skeleton.root}
    if gaps:
        joint = max(gaps, key=lambda j: gaps[j])
        if gaps[joint] > EXACT:
            return (f"The pin of '{skeleton.names[joint]}' at frame {pin.frame} is out of reach by "
                    f"{100 * gaps[joint]:.1f} cm. Pin it nearer, or pin what it hangs on (such as the "
                    f"{skeleton.names[skeleton.root]}) as well.")
    assert camera is not None
    misses = {}
    for joint, xy in pin.pixels.items():
        seen, _ = camera_jacobian(camera, pose.places[row, joint], turn_of(camera, pin))
        misses[joint] = float(np.linalg.norm(seen - xy))
    joint = max(misses, key=lambda j: misses[j])
    return (f"The pin of '{skeleton.names[joint]}' at frame {pin.frame} is out of reach: it stays "
            f"{misses[joint]:.0f} px away in the picture. Pin it nearer, or pin what it hangs on as well.")
