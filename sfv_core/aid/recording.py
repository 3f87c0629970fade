"""A motion on a character's skeleton and what follows from it; everything that the checks look at."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter1d

from retarget import kinematics, rotation
from retarget.contact import runs, touching
from retarget.motion import Motion
from sfv_core.aid.dynamics import GRAVITY, Effort, find_effort
from sfv_core.character.character import Character

_LOW = 0.025
"""Height in m up to which a sole may carry the body."""
_CARRIES_S = 0.4
"""Shortest time in s in which a foot carries a body although it slides; steps that only begin so are shorter."""
_STILL, _HIGHEST = 0.3, 0.5
"""Speed upward or downward in m/s below which a foot is still, and height in m up to which a body may rest on one."""
_NEAR = 0.12
"""Height in m above the ground up to which a sole that stands still counts as standing."""


@dataclass(frozen=True)
class Recording:
    """A motion on a character's skeleton (see sfv_core/character/fit.py). L links, F feet."""

    motion: Motion
    character: Character

    @cached_property
    def frames(self) -> tuple[np.ndarray, np.ndarray]:
        """Frames of the links in the world: places (T, L, 3) m and rotations (T, L, 4)."""
        count = len(self.character.links)
        places, turns = kinematics.world_poses(self.motion)
        return places[:, :count], turns[:, :count]

    @cached_property
    def joints(self) -> np.ndarray:
        """Places of all joints in the world in m, wrists included, shape (T, J, 3)."""
        return kinematics.world_poses(self.motion)[0]

    @cached_property
    def lowest(self) -> np.ndarray:
        """Height of each link's lowest point in m, shape (T, L)."""
        return self.character.lowest(*self.frames)

    @cached_property
    def centre(self) -> np.ndarray:
        """Centre of mass of the whole body in the world in m, shape (T, 3)."""
        places, turns = self.frames
        masses = np.array([link.mass for link in self.character.links]) / self.character.mass
        return np.einsum("l,tlk->tk", masses, places + rotation.rotate(turns, self.character.centres))

    @cached_property
    def feet(self) -> list[int]:
        """Links that are feet."""
        return [i for i, link in enumerate(self.character.links) if link.name.endswith("_ankle")]

    @cached_property
    def sole_offsets(self) -> np.ndarray:
        """Heel and toe of each foot's sole in its link's frame in m, shape (F, 2, 3)."""
        out = np.zeros((len(self.feet), 2, 3))
        for row, foot in enumerate(self.feet):
            points = np.concatenate([shape.corners()[0] for shape in self.character.links[foot].shapes])
            low = points[points[:, 2] < points[:, 2].mean() + 1e-9]
            for end, side in enumerate((np.argmax, np.argmin)):
                at = low[np.isclose(low[:, 1], low[side(low[:, 1]), 1])]
                out[row, end] = at.mean(axis=0)
        return out

    @cached_property
    def soles(self) -> np.ndarray:
        """Places of heel and toe of each foot in the world in m, shape (T, F, 2, 3)."""
        places, turns = (a[:, self.feet, None] for a in self.frames)
        return places + rotation.rotate(turns, self.sole_offsets)

    @property
    def _hip_height(self) -> float:
        return max(float(np.median(self.frames[0][:, 0, 2])), 0.3)

    @cached_property
    def stands(self) -> np.ndarray:
        """Whether heel and toe of each foot stand on the ground, shape (T, F, 2): slow and low, or captured as such."""
        count, feet = len(self.motion), len(self.feet)
        points = self.soles.reshape(count, feet * 2, 3)
        stands = touching(points, self.motion.fps, self._hip_height).reshape(count, feet, 2)
        stands &= self.soles[..., 2] < _NEAR
        if self.motion.contacts is not None:
            captured = self.motion.contacts[:, self.feet] > 0.5
            lower = self.soles[..., 2] <= self.soles[..., 2].min(axis=2, keepdims=True) + 0.01
            stands |= captured[..., None] & lower & (self.soles[..., 2] < _NEAR)
        return stands

    @cached_property
    def rests(self) -> np.ndarray:
        """Whether the body rests on a foot at whatever height: a foot is still, nothing is lower and the body does not
        fall, shape (T,)."""
        level = self.soles.reshape(len(self.motion), -1, 3) * np.array([1.0, 1.0, 0.0])
        rise = np.abs(np.gradient(self.soles[..., 2], axis=0)).min(axis=2) * self.motion.fps if len(level) > 1 else 0.0
        still = touching(level, self.motion.fps, self._hip_height).reshape(self.soles.shape[:3]).any(axis=2)
        lowest = self.lowest.min(axis=1, keepdims=True)
        under = self.soles[..., 2].min(axis=2) < lowest + _LOW
        return (still & (rise < _STILL) & under).any(axis=1) & ~self.falls & (lowest[:, 0] < _HIGHEST)

    @cached_property
    def carries(self) -> np.ndarray:
        """Whether heel and toe of each foot carry the body, shape (T, F, 2): `stands`, and where nothing else carries a
        body that is not falling, the low ends of the slower foot, however fast it slides."""
        carries = self.stands.copy()
        if not self.feet:
            return carries
        others = np.delete(self.lowest, self.feet, axis=1).min(axis=1)
        low = self.soles[..., 2] < _LOW
        open_frames = low.any(axis=(1, 2)) & ~carries.any(axis=(1, 2)) & (others > _LOW) & ~self.falls
        speed = np.linalg.norm(np.gradient(self.soles[..., :2], axis=0), axis=-1).min(axis=2) * self.motion.fps
        for first, past in runs(open_frames):
            if past - first >= round(_CARRIES_S * self.motion.fps):
                row = int(np.argmin(np.where(low[first:past].any(axis=2), speed[first:past], np.inf).mean(axis=0)))
                carries[first:past, row] = low[first:past, row]
        return carries

    @cached_property
    def falls(self) -> np.ndarray:
        """Whether the body falls freely, at more than half of gravity, shape (T,)."""
        if len(self.motion) < 3:
            return np.zeros(len(self.motion), bool)
        height = gaussian_filter1d(self.centre[:, 2], 0.04 * self.motion.fps)
        return np.gradient(np.gradient(height)) * self.motion.fps**2 < -0.5 * GRAVITY

    @cached_property
    def effort(self) -> Effort:
        """What the motion asks of the joints and the ground."""
        return find_effort(self.character, *self.frames, self.motion.fps)

    @cached_property
    def velocity(self) -> np.ndarray:
        """Velocity of the root from each frame to the next in m/s, shape (T − 1, 3)."""
        return np.diff(self.motion.root_pos, axis=0) * self.motion.fps

    @cached_property
    def spins(self) -> np.ndarray:
        """Angular speed of each joint from each frame to the next in rad/s, shape (T − 1, L)."""
        local = self.motion.rotations[:, : len(self.character.links)]
        return rotation.angle(local[:-1], local[1:]) * self.motion.fps
