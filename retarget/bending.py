"""A limb of a body that is being posed, bent so that its end is somewhere."""

from __future__ import annotations

import numpy as np

from . import rotation
from .ik import reach
from .posing import Posing
from .rest import Body


def bend_limb(posing: Posing, body: Body, limb: tuple[int, int, int], goal: np.ndarray, bends_to: np.ndarray) -> None:
    """Turn a limb's two bones so that its end is at the goal, (T, 3) m; the end keeps its direction.

    limb: joints of hip, knee, ankle or shoulder, elbow, wrist; bends_to: the way in the world at rest, (3,), that the
    lower bone takes when the limb bends: backward for legs, forward for arms.
    """
    upper, lower, end = limb
    place, turn = body.pose
    hinge = np.cross(place[lower] - place[upper], bends_to)
    hinge = rotation.rotate(rotation.inverse(turn[upper]), hinge / max(float(np.linalg.norm(hinge)), 1e-9))
    start, middle, tip = posing.place(upper), posing.place(lower), posing.place(end)
    turns = reach(start, middle, tip, goal, rotation.rotate(posing.turn(upper), hinge))
    posing.turn_to(end, posing.turn(end))
    posing.turn_more((lower, *body.between(lower, end)), turns[1])
    posing.turn_more((upper, *body.between(upper, lower)), turns[0])
