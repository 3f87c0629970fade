"""Skeleton and Motion: the two types that every other file speaks.

A `Motion` is what a video becomes, what a policy performs and what is baked onto an armature.
Metres, seconds, radians; right-handed, Z up, a character at rest faces −Y with its left at +X;
quaternions wxyz in float64.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from . import rotation
from .errors import RetargetError
from .whole import written_whole

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Skeleton:
    """A tree of joints, parents before children."""

    names: tuple[str, ...]
    """Unique joint names, length J."""
    parents: np.ndarray
    """Index of each joint's parent, −1 at the top of a tree, shape (J,), parents[j] < j."""
    offsets: np.ndarray
    """Joint positions in the parent's frame in m, shape (J, 3); in the world where there is no parent."""
    rest_rotations: np.ndarray
    """Rotation of each joint's frame in its parent's at rest, shape (J, 4) wxyz."""
    root: int = 0
    """The joint that carries the body through the world (the hips); joints above it stay at rest."""

    def __post_init__(self) -> None:
        count = len(self.names)
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        object.__setattr__(self, "parents", np.asarray(self.parents, int).reshape(-1))
        object.__setattr__(self, "offsets", np.asarray(self.offsets, float))
        object.__setattr__(self, "rest_rotations", rotation.normalize(self.rest_rotations))
        if count == 0:
            raise RetargetError("A skeleton needs at least one joint; this one has none.")
        if len(set(self.names)) != count:
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise RetargetError(f"Joint names must be unique; these occur twice: {', '.join(twice)}.")
        shapes = (self.parents.shape, self.offsets.shape, self.rest_rotations.shape)
        if shapes != ((count,), (count, 3), (count, 4)):
            raise RetargetError(f"{count} joints need parents ({count},), offsets ({count}, 3) and rest rotations "
                                f"({count}, 4); there are {shapes}.")
        if np.any(self.parents >= np.arange(count)) or np.any(self.parents < -1):
            raise RetargetError("Each joint must come after its parent in the list.")
        if not 0 <= self.root < count:
            raise RetargetError(f"The root joint is number {self.root}, but there are {count} joints.")
        if not np.all(np.isfinite(self.offsets)) or not np.all(np.isfinite(self.rest_rotations)):
            raise RetargetError("The skeleton holds values that are not numbers (NaN or infinity).")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def levels(self) -> tuple[np.ndarray, ...]:
        """Joints by how many carry them, from the tops of the trees down, index arrays that hold each joint once."""
        depth = np.zeros(len(self), int)
        for joint, parent in enumerate(self.parents):
            depth[joint] = depth[parent] + 1 if parent >= 0 else 0
        return tuple(np.flatnonzero(depth == level) for level in range(int(depth.max()) + 1))

    def index(self, name: str) -> int:
        """Return the joint's index; the error lists what is there."""
        try:
            return self.names.index(name)
        except ValueError:
            raise RetargetError(f"No joint '{name}'. Joints: {', '.join(self.names)}.") from None


@dataclass(frozen=True)
class Motion:
    """A skeleton moving through T frames."""

    skeleton: Skeleton
    fps: float
    """Frames per second."""
    root_pos: np.ndarray
    """Position of the skeleton's root joint in the world in m, shape (T, 3)."""
    rotations: np.ndarray
    """Rotation of each joint's frame in its parent's (in the world where there is none), shape (T, J, 4) wxyz."""
    confidence: np.ndarray | None = None
    """How far each joint is to be trusted, 0 to 1, shape (T, J)."""
    contacts: np.ndarray | None = None
    """Weight of each joint's contact with the ground, 0 to 1, shape (T, J)."""
    loop: bool = False
    """The last frame leads on to the first, apart from the way covered over the ground."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "root_pos", np.asarray(self.root_pos, float))
        object.__setattr__(self, "rotations", np.asarray(self.rotations, float))
        frames, joints = len(self.root_pos), len(self.skeleton)
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise RetargetError(f"A motion needs a frame rate above 0; this one has {self.fps}.")
        if frames == 0:
            raise RetargetError("A motion needs at least one frame; this one has none.")
        expected = {"root_pos": (frames, 3), "rotations": (frames, joints, 4),
                    "confidence": (frames, joints), "contacts": (frames, joints)}
        for name, shape in expected.items():
            array = getattr(self, name)
            if array is None:
                continue
            if array.shape != shape:
                raise RetargetError(f"{name} has the shape {array.shape}; {frames} frames of {joints} joints "
                                    f"need {shape}.")
            if not np.all(np.isfinite(array)):
                raise RetargetError(f"{name} holds values that are not numbers (NaN or infinity).")
        object.__setattr__(self, "rotations", rotation.normalize(self.rotations))

    def __len__(self) -> int:
        return len(self.root_pos)

    @property
    def duration(self) -> float:
        """Time from the first to the last frame in s."""
        return (len(self) - 1) / self.fps

    def slice(self, start: int, stop: int) -> Motion:
        """Return the frames from `start` up to, not including, `stop`."""
        def cut(a: np.ndarray | None) -> np.ndarray | None:
            return None if a is None else a[start:stop]

        return replace(self, root_pos=self.root_pos[start:stop], rotations=self.rotations[start:stop],
                       confidence=cut(self.confidence), contacts=cut(self.contacts))

    def resample(self, fps: float) -> Motion:
        """Return the same motion at another frame rate: positions linear, rotations slerp."""
        count = int(np.floor(self.duration * fps + 1e-6)) + 1
        return self.at(np.arange(count) / fps, fps)

    def at(self, times: np.ndarray, fps: float) -> Motion:
        """Sample at times in s from the first frame, clamped to the motion. times: (N,) → N frames."""
        position = np.clip(np.asarray(times, float) * self.fps, 0, len(self) - 1)
        low = np.minimum(position.astype(int), max(len(self) - 2, 0))
        high = np.minimum(low + 1, len(self) - 1)
        t = position - low

        def mix(a: np.ndarray | None) -> np.ndarray | None:
            return None if a is None else a[low] + t[:, None] * (a[high] - a[low])

        root_pos = self.root_pos[low] + t[:, None] * (self.root_pos[high] - self.root_pos[low])
        rotations = rotation.slerp(self.rotations[low], self.rotations[high], t[:, None])
        return replace(self, fps=fps, root_pos=root_pos, rotations=rotations,
                       confidence=mix(self.confidence), contacts=mix(self.contacts))

    def with_rest(self, frame: int) -> Motion:
        """Return the same motion with the pose of one frame as its skeleton's rest pose.

        For files whose own rest pose is not a standing body.
        """
        offsets = self.skeleton.offsets.copy()
        if self.skeleton.parents[self.skeleton.root] < 0:
            offsets[self.skeleton.root] = self.root_pos[frame]
        return replace(self, skeleton=replace(self.skeleton, offsets=offsets, rest_rotations=self.rotations[frame]))

    def save(self, path: Path | str) -> None:
        """Write an npz without pickles, whole or not at all."""
        s = self.skeleton
        arrays = {"format": np.array(FORMAT_VERSION), "names": np.array(s.names, dtype=np.str_),
                  "parents": s.parents.astype(np.int32), "offsets": s.offsets, "rest_rotations": s.rest_rotations,
                  "root": np.array(s.root), "fps": np.array(float(self.fps)), "root_pos": self.root_pos,
                  "rotations": self.rotations, "loop": np.array(self.loop)}
        for name in ("confidence", "contacts"):
            if getattr(self, name) is not None:
                arrays[name] = np.asarray(getattr(self, name), np.float32)
        with written_whole(Path(path)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: Path | str) -> Motion:
        """Read a motion that `save` wrote; pickles are refused. Raise RetargetError that names the file."""
        path = Path(path)
        if not path.is_file():
            raise RetargetError(f"No motion file '{path}'. Give the motion.npz that a capture wrote.")
        try:
            with np.load(path, allow_pickle=False) as data:
                arrays = {key: data[key] for key in data.files}
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            raise RetargetError(f"'{path}' is not a motion file: {error}. Give the motion.npz that a capture wrote."
                                ) from error
        try:
            version = int(arrays["format"])
            if version != FORMAT_VERSION:
                raise RetargetError(f"'{path}' has motion format {version}; this version reads {FORMAT_VERSION}. "
                                    "Update the program that reads it.")
            skeleton = Skeleton(tuple(arrays["names"].tolist()), arrays["parents"], arrays["offsets"],
                                arrays["rest_rotations"], int(arrays["root"]))
            return cls(skeleton, float(arrays["fps"]), arrays["root_pos"], arrays["rotations"],
                       arrays.get("confidence"), arrays.get("contacts"), bool(arrays["loop"]))
        except KeyError as error:
            raise RetargetError(f"'{path}' is not a motion file: it has no {error}. "
                                "Give the motion.npz that a capture wrote.") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise RetargetError(f"'{path}' is not a motion file: {error}. Give the motion.npz that a capture wrote."
                                ) from error
        except RetargetError as error:
            raise RetargetError(f"'{path}': {error}") from error


def other_side(names: Sequence[str]) -> np.ndarray:
    """Return where each name's counterpart is, left for right and right for left; a middle one is its own. (J,)."""
    return np.array([names.index(name.replace("left", "?").replace("right", "left").replace("?", "right"))
                     for name in names])
