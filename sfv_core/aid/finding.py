"""What an examination finds, as numbers for programs and as a sentence for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from retarget.contact import runs

_CALLED = {"pelvis": "hips", "spine3": "back", "left_ankle": "left ankle", "right_ankle": "right ankle"}
_BODIES = {"pelvis": "pelvis", "spine3": "chest", "neck": "head", "hip": "thigh", "knee": "shin", "ankle": "foot",
           "shoulder": "upper arm", "elbow": "forearm"}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with some frames of a motion."""

    kind: str
    """What is wrong, a name of `CHECKS` in sfv_core/aid/treat.py."""
    frames: tuple[int, int]
    """First and last frame, counted from 0."""
    amount: float
    """How bad it is at its worst."""
    unit: str
    text: str
    """A sentence for people."""
    joint: str | None = None
    """The character's joint or body; None where it is the whole body."""
    repaired: bool = False
    """Whether the motion that came back no longer has it."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {**asdict(self), "frames": list(self.frames)}

    def overlaps(self, other: Finding) -> bool:
        """Tell whether another finding is of the same kind and joint and shares a frame with this one."""
        same = (self.kind, self.joint) == (other.kind, other.joint)
        return same and self.frames[0] <= other.frames[1] and other.frames[0] <= self.frames[1]


def spans(flags: np.ndarray, shortest: int = 1, gap: int = 0) -> list[tuple[int, int]]:
    """Return first and last index of runs of true values; gaps of up to `gap` are closed, shorter runs dropped. (T,)"""
    closed: list[tuple[int, int]] = []
    for first, past in runs(np.asarray(flags, bool)):
        if closed and first - closed[-1][1] - 1 <= gap:
            closed[-1] = (closed[-1][0], past - 1)
        else:
            closed.append((first, past - 1))
    return [span for span in closed if span[1] - span[0] + 1 >= shortest]


def frames_text(frames: Sequence[int], capital: bool = False) -> str:
    """Say which frames: 'frame 41' or 'frames 41–47'."""
    first, last = frames
    text = f"frame {first}" if first == last else f"frames {first}–{last}"
    return text[0].upper() + text[1:] if capital else text


def joint_text(name: str) -> str:
    """Say a joint's name for people: 'left ankle', 'back'."""
    return _CALLED.get(name, name.replace("_", " "))


def body_text(name: str) -> str:
    """Say for people which body hangs on a joint: 'left foot', 'chest'."""
    side, _, joint = name.rpartition("_")
    return f"{side} {_BODIES.get(joint, joint)}".strip()
