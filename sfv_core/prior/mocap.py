"""A folder of motion capture → the body's local rotations on SMPL's joints, at one frame rate."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from retarget import RetargetError, rotation
from retarget.files import SUFFIXES, read_motion
from retarget.kinematics import rest_pose
from retarget.mapping import BoneMap, guess
from retarget.motion import Motion, Skeleton, other_side
from retarget.reference import standing_skeleton
from retarget.roles import find_roles
from retarget.solve import retarget

from ..body.model import SMPL_NAMES, load_body, skeleton_of
from ..errors import SfvError
from ..progress import Progress, no_progress

FPS = 30.0
_NEEDED = tuple(side + part for side in ("Left", "Right")
                for part in ("UpperArm", "LowerArm", "UpperLeg", "LowerLeg"))
"""Roles without which a motion says too little about a human body."""
_UPRIGHT = 0.5
"""Sine of the angle that a standing human's trunk makes with the ground at least."""
_OTHER_SIDE = other_side(SMPL_NAMES)
_ACROSS_X = np.array([1.0, 1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Mocap:
    """The motions that a folder holds, on SMPL's joints at `FPS`."""

    names: tuple[str, ...]
    """Path of each clip's file below the folder."""
    clips: tuple[Motion, ...]
    skipped: tuple[str, ...]
    """Files that could not be used, each with the reason."""

    @property
    def frames(self) -> int:
        """Number of frames of all clips together."""
        return sum(len(clip) for clip in self.clips)


def read_folder(folder: Path, progress: Progress = no_progress) -> Mocap:
    """Read every motion below a folder and put it on the mean body's skeleton.

    Files that cannot be read or are no human are listed in `skipped`. Raise SfvError where nothing is left.
    """
    if not folder.is_dir():
        raise SfvError(f"There is no folder '{folder}'. Give a folder with motion capture ({', '.join(SUFFIXES)}).")
    files = motion_files(folder)
    skeleton = skeleton_of(load_body().joints(np.zeros(10)))
    names, clips, skipped = [], [], []
    for number, path in enumerate(files):
        progress("read mocap", number, len(files), clips=len(clips))
        name = path.relative_to(folder).as_posix()
        try:
            clips.append(on_skeleton(read_motion(path), skeleton))
            names.append(name)
        except (RetargetError, SfvError) as error:
            skipped.append(f"{name}: {error}")
    if not clips:
        reason = f" The first of {len(skipped)} that cannot be used: {skipped[0]}" if skipped else ""
        raise SfvError(f"'{folder}' holds no motion of a human body as {', '.join(SUFFIXES)}.{reason}")
    progress("read mocap", len(files), len(files), clips=len(clips))
    return Mocap(tuple(names), tuple(clips), tuple(skipped))


def motion_files(folder: Path) -> list[Path]:
    """List the files below a folder that may hold a motion, hidden ones left out, in a fixed order."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names
                  if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES]
    return sorted(found)


def on_skeleton(motion: Motion, skeleton: Skeleton) -> Motion:
    """Return a motion at `FPS` on SMPL's joints. Raise RetargetError where it is no human body."""
    bone_map = guess(motion.skeleton, skeleton)
    missing = [role for role in _NEEDED if role not in {pair.role for pair in bone_map.pairs}]
    if missing:
        raise RetargetError(f"no joint was recognised as {', '.join(missing)}; the joints are "
                            f"{', '.join(motion.skeleton.names[:8])}, …")
    if not _upright(motion):
        raise RetargetError("its trunk lies level where it stands, as an animal's does")
    even = replace(motion.resample(FPS), confidence=None, contacts=None)
    return retarget(even, skeleton, BoneMap(bone_map.pairs))


def _upright(motion: Motion) -> bool:
    """Tell whether the trunk rises from the hips to the head where the body stands."""
    roles, place = find_roles(motion.skeleton).joints, rest_pose(standing_skeleton(motion))[0]
    if not {"Hips", "Head"} <= set(roles):
        return True
    trunk = place[roles["Head"]] - place[roles["Hips"]]
    return bool(trunk[2] > _UPRIGHT * np.linalg.norm(trunk))


def mirrored(motion: Motion) -> Motion:
    """Return a motion of SMPL's joints with left and right exchanged."""
    return replace(motion, root_pos=motion.root_pos * [-1.0, 1.0, 1.0],
                   rotations=rotation.continuous(motion.rotations[:, _OTHER_SIDE] * _ACROSS_X))
