"""Pins: what an animator corrected, read from pins.json and checked against the motion it is meant for."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from retarget.kinematics import world_poses
from retarget.motion import Motion

from ..errors import SfvError

FORMAT_VERSION = 1
MOST_PINS = 10_000
_MOST_BYTES = 32 * 2**20
_FARTHEST = 1e4
"""Largest coordinate of a position in m, and, a hundredfold, of a pixel."""
_SAME = 1e-6
"""Largest difference between two pins of one thing."""
_SHAPES = {"position": 3, "rotation": 4, "pixel": 2}
_KEYS = {"frame", "time_s", "joints", "pose", "contact", "start_frame", "start_s", "end_frame", "end_s", "position"}
_SOLES = {"ankle": "foot", "foot": "ankle"}


@dataclass(frozen=True)
class Pin:
    """What is held at one frame, by joint; values are exact."""

    frame: int
    rotations: dict[int, np.ndarray] = field(default_factory=dict)
    """Local rotations, each (4,) wxyz."""
    positions: dict[int, np.ndarray] = field(default_factory=dict)
    """Places in the world in m, each (3,)."""
    pixels: dict[int, np.ndarray] = field(default_factory=dict)
    """Places in the upright picture in px, each (2,)."""
    contacts: frozenset[int] = frozenset()
    """Joints that stand on something."""


@dataclass(frozen=True)
class Timeline:
    """When the motion's frames are."""

    frames: int
    fps: float
    start: float
    """Time of the first frame in s from the start of the video."""

    def frame(self, entry: dict[str, Any], what: str, prefix: str = "") -> int:
        """Return the frame that `frame` or `time_s` names; raise SfvError where it is outside of the motion."""
        number, time = f"{prefix}_frame".lstrip("_"), f"{prefix}_s" if prefix else "time_s"
        if (number in entry) == (time in entry):
            raise SfvError(f"{what} needs either '{number}' or '{time}'.")
        if number in entry:
            value = entry[number]
            if isinstance(value, bool) or not isinstance(value, int):
                raise SfvError(f"{what}: '{number}' is {_shown(value)}; give a whole number, counted from 0.")
            if not 0 <= value < self.frames:
                raise SfvError(f"{what} is at frame {_shown(value)}; the motion has the frames 0 to {self.frames - 1}.")
            return value
        seconds = _number(entry[time], f"{what}: '{time}'")
        frame = (seconds - self.start) * self.fps
        if not -0.5 <= frame <= self.frames - 0.5:
            end = self.start + (self.frames - 1) / self.fps
            raise SfvError(f"{what} is at {seconds:.6g} s; the motion lasts from {self.start:.3f} s to {end:.3f} s.")
        return min(max(round(frame), 0), self.frames - 1)


def parse_pins(data: Any, motion: Motion, start: float) -> list[Pin]:
    """Check the content of a pins.json and return one `Pin` per frame, in order; raise SfvError naming the entry.

    start: time of the motion's first frame in s from the start of the video.
    """
    if not isinstance(data, dict) or not isinstance(data.get("pins"), list):
        raise SfvError('this is no list of pins. It should be {"format": 1, "pins": […]}.')
    if data.get("format") != FORMAT_VERSION or isinstance(data["format"], bool):
        raise SfvError(f"pins format {_shown(data.get('format'))}; this version reads {FORMAT_VERSION}.")
    if unknown := sorted(set(data) - {"format", "pins"}):
        raise SfvError(f"unknown field {_shown(unknown[0])}. Fields: format, pins.")
    if len(data["pins"]) > MOST_PINS:
        raise SfvError(f"{len(data['pins'])} pins; there may be {MOST_PINS}.")
    timeline, held = Timeline(len(motion), motion.fps, start), {}
    for number, entry in enumerate(data["pins"]):
        for pin in _pins_of(entry, f"pin {number}", motion, timeline):
            held[pin.frame] = _merged(held[pin.frame], pin, motion) if pin.frame in held else pin
    return [held[frame] for frame in sorted(held)]


def read_json(path: Path) -> Any:
    """Read a file that anybody may have written; raise SfvError."""
    if not path.is_file():
        raise SfvError("there is no such file. Give the pins.json that holds your corrections.")
    if path.stat().st_size > _MOST_BYTES:
        raise SfvError(f"the file has {path.stat().st_size / 2**20:.0f} MiB; pins have {_MOST_BYTES >> 20} at most.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise SfvError("this is not a pins file: it is nested too deeply.") from None
    except (OSError, ValueError) as error:
        raise SfvError(f"this is not a pins file: {error}.") from error


def _pins_of(entry: Any, what: str, motion: Motion, timeline: Timeline) -> list[Pin]:
    """Return the pins of one entry: a frame's joints, a frame's whole pose, or a contact over several frames."""
    if not isinstance(entry, dict):
        raise SfvError(f"{what} is {_shown(entry)}; give an object.")
    if unknown := sorted(set(entry) - _KEYS):
        raise SfvError(f"{what} has the unknown field {_shown(unknown[0])}. Fields: {', '.join(sorted(_KEYS))}.")
    kinds = [kind for kind in ("joints", "pose", "contact") if kind in entry]
    if len(kinds) != 1:
        raise SfvError(f"{what} needs one of 'joints', 'pose' and 'contact'; it has {len(kinds)} of them.")
    if kinds == ["contact"]:
        return _contact(entry, what, motion, timeline)
    frame = timeline.frame(entry, what)
    what = f"{what} (frame {frame})"
    pins = _joints(entry["joints"], what, motion) if kinds == ["joints"] else _pose(entry["pose"], what, motion, frame)
    return [Pin(frame, pins["rotations"], pins["positions"], pins.get("pixels", {}))]


def _joints(joints: Any, what: str, motion: Motion) -> dict[str, dict[int, np.ndarray]]:
    if not isinstance(joints, dict) or not joints:
        raise SfvError(f"{what}: 'joints' is {_shown(joints)}; give an object of joint names.")
    held: dict[str, dict[int, np.ndarray]] = {"rotations": {}, "positions": {}, "pixels": {}}
    for name, values in joints.items():
        joint = _joint(name, what, motion)
        if not isinstance(values, dict) or not values or set(values) - set(_SHAPES):
            raise SfvError(f"{what}: '{name}' needs a position, a rotation or a pixel; it has {_shown(values)}.")
        if "position" in values and "pixel" in values:
            raise SfvError(f"{what}: '{name}' has a position and a pixel. Give one of them.")
        for kind, value in values.items():
            held[f"{kind}s"][joint] = _vector(value, kind, f"{what}: the {kind} of '{name}'")
    return held


def _pose(pose: Any, what: str, motion: Motion, frame: int) -> dict[str, dict[int, np.ndarray]]:
    """Hold every joint: as given, else as it was captured."""
    if not isinstance(pose, dict) or set(pose) - {"root", "rotations"} or not isinstance(pose.get("rotations"), dict):
        raise SfvError(f"{what}: 'pose' needs 'rotations' by joint name, and may have 'root'.")
    rotations = dict(enumerate(motion.rotations[frame]))
    for name, value in pose["rotations"].items():
        rotations[_joint(name, what, motion)] = _vector(value, "rotation", f"{what}: the rotation of '{name}'")
    root = motion.root_pos[frame]
    if "root" in pose:
        root = _vector(pose["root"], "position", f"{what}: the position of the root")
    return {"rotations": rotations, "positions": {motion.skeleton.root: root}}


def _contact(entry: dict[str, Any], what: str, motion: Motion, timeline: Timeline) -> list[Pin]:
    """Hold a joint where it stands; of a foot, ball and ankle together, so that it does not turn either."""
    if {"frame", "time_s"} & set(entry):
        raise SfvError(f"{what}: a contact has 'start_frame' or 'start_s' and 'end_frame' or 'end_s'.")
    joint = _joint(entry["contact"], what, motion)
    first, last = timeline.frame(entry, what, "start"), timeline.frame(entry, what, "end")
    if first > last:
        raise SfvError(f"{what}: the contact of '{entry['contact']}' ends (frame {last}) before it begins ({first}).")
    places, _ = world_poses(motion.slice(first, last + 1))
    target = places[:, joint].mean(axis=0)
    if "position" in entry:
        target = _vector(entry["position"], "position", f"{what}: the position")
    positions = {joint: target}
    partner = _sole_partner(motion, joint)
    if partner is not None:
        mean = (places[:, partner] - places[:, joint]).mean(axis=0)
        bone = motion.skeleton.offsets[max(joint, partner)]
        positions[partner] = target + mean * np.linalg.norm(bone) / max(float(np.linalg.norm(mean)), 1e-9)
    return [Pin(frame, positions=dict(positions), contacts=frozenset(positions)) for frame in range(first, last + 1)]


def _sole_partner(motion: Motion, joint: int) -> int | None:
    """Return the joint at the other end of the foot, if this is one of its ends."""
    side, _, part = motion.skeleton.names[joint].partition("_")
    other = f"{side}_{_SOLES.get(part)}"
    return motion.skeleton.index(other) if other in motion.skeleton.names else None


def _merged(a: Pin, b: Pin, motion: Motion) -> Pin:
    """Join the pins of one frame; raise SfvError where they contradict each other."""
    joined = {}
    for kind in ("rotations", "positions", "pixels"):
        ours, theirs = getattr(a, kind), getattr(b, kind)
        for joint in ours.keys() & theirs.keys():
            gap = min(float(np.abs(ours[joint] - sign * theirs[joint]).max())
                      for sign in ((1, -1) if kind == "rotations" else (1,)))
            if gap > _SAME:
                raise SfvError(f"two pins at frame {a.frame} contradict each other: '{motion.skeleton.names[joint]}' "
                               f"has two {kind}. Remove one of them.")
        joined[kind] = ours | theirs
    return Pin(a.frame, joined["rotations"], joined["positions"], joined["pixels"], a.contacts | b.contacts)


def _joint(name: Any, what: str, motion: Motion) -> int:
    if not isinstance(name, str) or name not in motion.skeleton.names:
        raise SfvError(f"{what}: there is no joint {_shown(name)}. Joints: {', '.join(motion.skeleton.names)}.")
    return motion.skeleton.index(name)


def _vector(value: Any, kind: str, what: str) -> np.ndarray:
    count = _SHAPES[kind]
    if not isinstance(value, list) or len(value) != count:
        raise SfvError(f"{what} is {_shown(value)}; give {count} numbers.")
    vector = np.array([_number(x, what) for x in value])
    if kind == "rotation":
        length = float(np.linalg.norm(vector))
        if not 1e-3 < length < 1e3:
            raise SfvError(f"{what} is {_shown(value)}; that is no quaternion (w, x, y, z).")
        return vector / length
    if np.abs(vector).max() > _FARTHEST * (100 if kind == "pixel" else 1):
        raise SfvError(f"{what} is {_shown(value)}; that is too far away to be meant.")
    return vector


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SfvError(f"{what} is {_shown(value)}; give a number.")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise SfvError(f"{what} holds a value that is not a number (NaN or infinity).")
    return number


def _shown(value: Any) -> str:
    """Show a value of a foreign file, in one short line."""
    try:
        text = json.dumps(value) if isinstance(value, dict | list) else repr(value)
    except (ValueError, TypeError, RecursionError):  # an integer of too many digits to write
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}…"
