"""A skeleton while it is being posed: some bones are driven in the world, the others hang on them as at rest."""

from __future__ import annotations

import numpy as np

from . import rotation
from .motion import Skeleton


class Posing:
    """World rotations of driven bones, and where these put all the others. Joints above the root stay at rest."""

    def __init__(self, skeleton: Skeleton, root: int, root_pos: np.ndarray, driven: dict[int, np.ndarray]) -> None:
        """Take (T, 3) m for the root and (T, 4) world rotations by joint."""
        self.skeleton, self.root, self.root_pos, self.driven = skeleton, root, root_pos, driven
        self._turns: dict[int, np.ndarray] = {}
        self._places: dict[int, np.ndarray] = {}

    def turn(self, joint: int) -> np.ndarray:
        """Return a joint's world rotation, (T, 4) or (4,) where it never changes."""
        if joint < 0:
            return rotation.IDENTITY
        if joint in self.driven:
            return self.driven[joint]
        if joint not in self._turns:
            above, rest = self.turn(int(self.skeleton.parents[joint])), self.skeleton.rest_rotations[joint]
            self._turns[joint] = above @ rotation.right_matrix(rest)
        return self._turns[joint]

    def place(self, joint: int) -> np.ndarray:
        """Return a joint's place in the world, (T, 3) m or (3,) where it never changes."""
        if joint == self.root:
            return self.root_pos
        parent = int(self.skeleton.parents[joint])
        if parent < 0:
            return self.skeleton.offsets[joint]
        if joint not in self._places:
            self._places[joint] = self.place(parent) + rotation.rotate(self.turn(parent), self.skeleton.offsets[joint])
        return self._places[joint]

    def move_root(self, shift: np.ndarray) -> None:
        """Shift the whole body by (T, 3) m."""
        self.root_pos = self.root_pos + shift
        self._places.clear()

    def turn_to(self, joint: int, turn: np.ndarray) -> None:
        """Give a joint a world rotation (T, 4); what is not driven below it follows."""
        self.driven[joint] = turn
        self._turns.clear()
        self._places.clear()

    def turn_more(self, joints: tuple[int, ...], turn: np.ndarray) -> None:
        """Turn joints by a further world rotation (T, 4); what is not driven below them follows."""
        turned = {joint: rotation.multiply(turn, self.turn(joint)) for joint in joints}
        for joint, world in turned.items():
            self.turn_to(joint, world)

    def local(self, frames: int) -> np.ndarray:
        """Return the rotations in the parents' frames, (T, J, 4), neighbouring frames the short way apart."""
        joints = sorted(self.driven)
        parents = [int(self.skeleton.parents[j]) for j in joints]
        above = np.stack([np.broadcast_to(self.turn(p), (frames, 4)) for p in parents])
        local = rotation.multiply(rotation.inverse(above), np.stack([self.driven[j] for j in joints]))
        out = np.empty((frames, len(self.skeleton), 4))
        out[:] = self.skeleton.rest_rotations
        out[:, joints] = rotation.continuous(np.swapaxes(local, 0, 1))
        return out
