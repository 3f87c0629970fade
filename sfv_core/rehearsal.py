"""Tries that take seconds, so that nobody learns after a long training that the end could never have worked."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from retarget.motion import Motion

from .config import BakeConfig
from .extras import needing, require
from .progress import Progress


def try_video(video: Path) -> None:
    """Open the video; raise SfvError if it is none."""
    with needing("pose"):
        from .video import open_video
    open_video(video)


def try_engine(name: str) -> None:
    """Raise SfvError if the physics engine is an extra that is not installed."""
    if name == "mujoco":
        require("mujoco")


def try_rig(rig: Path, armature: str | None, progress: Progress) -> None:
    """Bake a body at rest onto the rig; raise SfvError if that cannot be done."""
    from .bake import bake
    from .body.model import load_body, skeleton_of

    def renamed(stage: str, done: float, total: float, **numbers: float) -> None:
        progress("try the rig", done, total, **numbers)

    skeleton = skeleton_of(load_body().joint_template)
    rest = Motion(skeleton, 30.0, np.zeros((2, 3)), np.broadcast_to(skeleton.rest_rotations, (2, len(skeleton), 4)))
    with tempfile.TemporaryDirectory() as folder:
        rest.save(Path(folder) / "rest.npz")
        bake({"rest": Path(folder) / "rest.npz"}, rig, Path(folder) / "rest.blend", renamed,
             BakeConfig(armature=armature))
