"""A motion that goes on for ever is mended amid its own repetitions, so that its end still leads on to its start."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from retarget import rotation
from retarget.motion import Motion

_LEVEL = np.array([1.0, 1.0, 0.0])


def three_cycles(motion: Motion) -> Motion:
    """Return a motion that loops three times over, as one that ends; its last frame is the first of the next cycle."""
    way = (motion.root_pos[-1] - motion.root_pos[0]) * _LEVEL
    rows = np.concatenate([np.arange(len(motion) - 1)] * 2 + [np.arange(len(motion))])
    cycles = np.minimum(np.arange(len(rows)) // (len(motion) - 1), 2)

    def repeated(a: np.ndarray | None) -> np.ndarray | None:
        return None if a is None else a[rows]

    return replace(motion, loop=False, root_pos=motion.root_pos[rows] + (cycles - 1)[:, None] * way,
                   rotations=rotation.continuous(motion.rotations[rows]), confidence=repeated(motion.confidence),
                   contacts=repeated(motion.contacts))


def middle_cycle(repeated: Motion, motion: Motion) -> Motion:
    """Return the second of three cycles of a motion that were changed, as a motion that loops.

    Its last frame changes as the first of the next cycle did, since the two are only nearly the same.
    """
    count = len(motion) - 1
    middle = repeated.slice(count, 2 * count + 1)
    root, rotations = middle.root_pos.copy(), middle.rotations.copy()
    way = (motion.root_pos[-1] - motion.root_pos[0]) * _LEVEL
    root[-1] += motion.root_pos[-1] - motion.root_pos[0] - way
    turned = rotation.multiply(rotation.inverse(motion.rotations[0]), rotations[-1])
    rotations[-1] = rotation.multiply(motion.rotations[-1], turned)
    return replace(middle, root_pos=root, rotations=rotation.continuous(rotations), loop=True)
