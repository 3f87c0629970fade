"""Acclaim motion in: an .asf skeleton and an .amc of its bones' angles, as CMU's recordings come.

An Acclaim bone turns at its beginning and reaches from its parent's end along `direction` for `length`; here it is the
joint at its beginning, so its length is its children's offset. All joint axes are the world's at rest, as in BVH.
Source: Lander, "Working with Motion Capture File Formats", Game Developer, January 1998.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import rotation
from .errors import RetargetError
from .motion import Motion, Skeleton

_INCH = 0.0254
_TURNS = {"rx": "X", "ry": "Y", "rz": "Z"}
_SHIFTS = {"tx": 0, "ty": 1, "tz": 2}
_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
_SECTIONS = ("version", "name", "units", "documentation", "root", "bonedata", "hierarchy")


@dataclass
class _Bone:
    """A bone as the file states it, in the file's units and axes."""

    name: str
    line: int
    direction: np.ndarray = field(default_factory=lambda: np.zeros(3))
    length: float = 0.0
    axis: np.ndarray = field(default_factory=lambda: np.zeros(3))
    """Angles of its own axes, in the file's unit."""
    axis_order: str = "XYZ"
    dof: tuple[str, ...] = ()
    """What a frame gives: rx, ry, rz, and tx, ty, tz for the root, in this order."""


@dataclass
class _Asf:
    """A skeleton file; bone 0 is the root."""

    path: Path
    bones: list[_Bone] = field(default_factory=lambda: [_Bone("root", 0)])
    parents: dict[str, str] = field(default_factory=dict)
    length: float = 1.0
    degrees: bool = True
    place: np.ndarray = field(default_factory=lambda: np.zeros(3))


def load(path: Path | str, skeleton_path: Path | str | None = None, fps: float = 120.0,
         scale: float | None = None) -> Motion:
    """Read an .amc file and its .asf skeleton. Raise RetargetError that names file and line.

    skeleton_path: None looks beside the motion, for 01_03.amc as 01_03.asf or 01.asf. fps: the format does not hold it.
    scale: metres per unit; None takes 0.0254 / the stated unit of length, as CMU documents.
    """
    path = Path(path)
    if not (np.isfinite(fps) and fps > 0):
        raise RetargetError(f"A motion needs a frame rate above 0, not {fps}.")
    lines = _lines(path, "motion")
    asf = _skeleton(_beside(path) if skeleton_path is None else Path(skeleton_path))
    values = _frames(path, lines, asf)
    metres = _INCH / asf.length if scale is None else scale
    if not (np.isfinite(metres) and metres > 0):
        raise RetargetError(f"'{asf.path}': the metres per unit are a number above 0, not {metres}.")
    return _assemble(asf, values, metres, fps)


def _beside(path: Path) -> Path:
    """Find the skeleton of a motion file by its name."""
    for stem in (path.stem, path.stem.partition("_")[0]):
        for suffix in (".asf", ".ASF"):
            if path.with_name(stem + suffix).is_file():
                return path.with_name(stem + suffix)
    wanted = path.with_name(path.stem.partition("_")[0] + ".asf")
    raise RetargetError(f"'{path}' needs its skeleton, and there is no '{wanted.name}' beside it. Put it there.")


def _lines(path: Path, what: str) -> list[str]:
    """Read a file as text; refuse what cannot be an Acclaim file."""
    if not path.is_file():
        raise RetargetError(f"No Acclaim {what} file '{path}'.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RetargetError(f"'{path}' cannot be read: {error}.") from error
    if not data.strip():
        raise RetargetError(f"'{path}' is empty. It should be an Acclaim {what} file.")
    if b"\0" in data[:4096]:
        raise RetargetError(f"'{path}' is not an Acclaim {what} file: it is not text.")
    return data.decode("utf-8", errors="replace").lstrip("\ufeff").splitlines()


def _skeleton(path: Path) -> _Asf:
    """Read an .asf file."""
    asf, section, bone = _Asf(path), "", None
    lines = _lines(path, "skeleton")
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0].startswith(":"):
            section = words[0][1:].lower()
            if section not in _SECTIONS:
                raise _wrong(path, number, f"'{words[0][:40]}' is no part of a skeleton file; it has "
                                           f"{', '.join(':' + name for name in _SECTIONS)}")
        elif section == "units":
            _read_unit(asf, number, words)
        elif section == "root":
            _read_root(asf, number, words)
        elif section == "bonedata":
            bone = _read_bone(asf, number, words, bone)
        elif section == "hierarchy":
            _read_children(asf, number, words)
        elif not section:
            raise _wrong(path, number, "a skeleton file begins with :version")
    if len(asf.bones) < 2:
        raise _wrong(path, len(lines), "there are no bones; the file is cut off or no skeleton file")
    for bone in asf.bones[1:]:
        if bone.name not in asf.parents:
            raise _wrong(path, bone.line, f"the bone '{bone.name}' has no parent in :hierarchy; the file is cut off")
    return asf


def _read_unit(asf: _Asf, number: int, words: list[str]) -> None:
    if words[0].lower() == "length":
        asf.length = float(_numbers(asf.path, number, words[1:], 1)[0])
        if asf.length <= 0:
            raise _wrong(asf.path, number, f"the unit of length is above 0, not {asf.length}")
    elif words[0].lower() == "angle":
        asf.degrees = _is_degrees(asf.path, number, words[-1])


def _is_degrees(path: Path, number: int, word: str) -> bool:
    if not word.lower().startswith(("deg", "rad")):
        raise _wrong(path, number, f"angles are in deg or rad, not '{word[:40]}'")
    return word.lower().startswith("deg")


def _read_root(asf: _Asf, number: int, words: list[str]) -> None:
    key, root = words[0].lower(), asf.bones[0]
    if key == "order":
        root.dof, root.line = _dof(asf.path, number, words[1:], (*_SHIFTS, *_TURNS)), number
    elif key == "axis":
        root.axis_order = _order(asf.path, number, words[1:])
    elif key == "position":
        asf.place = _numbers(asf.path, number, words[1:], 3)
    elif key == "orientation":
        root.axis = _numbers(asf.path, number, words[1:], 3)


def _read_bone(asf: _Asf, number: int, words: list[str], bone: _Bone | None) -> _Bone | None:
    """Read one line of :bonedata; return the bone that is open after it."""
    key, path = words[0].lower(), asf.path
    if key == "begin":
        return _Bone("", number)
    if bone is None:
        raise _wrong(path, number, f"'{words[0][:40]}' stands outside of begin and end")
    if key == "end":
        if not bone.name or bone.name in (other.name for other in asf.bones):
            raise _wrong(path, bone.line, f"a bone has a name of its own, not '{bone.name}'")
        asf.bones.append(bone)
        return None
    if key == "name":
        bone.name = " ".join(words[1:])
    elif key == "direction":
        bone.direction = _numbers(path, number, words[1:], 3)
    elif key == "length":
        bone.length = float(_numbers(path, number, words[1:], 1)[0])
    elif key == "axis":
        bone.axis = _numbers(path, number, words[1:4], 3)
        bone.axis_order = _order(path, number, words[4:])
    elif key == "dof":
        bone.dof = _dof(path, number, words[1:], tuple(_TURNS))
    return bone


def _read_children(asf: _Asf, number: int, words: list[str]) -> None:
    if words[0].lower() in ("begin", "end"):
        return
    known = {bone.name for bone in asf.bones}
    above = words[0]
    for child in words[1:]:
        missing = next((name for name in (above, child) if name not in known), None)
        if missing is not None:
            raise _wrong(asf.path, number, f"there is no bone '{missing[:40]}'; there are {', '.join(sorted(known))}")
        if child in asf.parents or child == asf.bones[0].name:
            raise _wrong(asf.path, number, f"the bone '{child}' has a parent already")
        line = above
        while line in asf.parents:
            line = asf.parents[line]
        if line == child:
            raise _wrong(asf.path, number, f"the bone '{child}' would hang below itself")
        asf.parents[child] = above


def _dof(path: Path, number: int, words: list[str], allowed: tuple[str, ...]) -> tuple[str, ...]:
    dof = tuple(word.lower() for word in words)
    if not dof or set(dof) - set(allowed) or len(set(dof)) < len(dof):
        raise _wrong(path, number, f"degrees of freedom are some of {', '.join(allowed)}, each once, not "
                                   f"'{' '.join(words)[:60]}'")
    return dof


def _order(path: Path, number: int, words: list[str]) -> str:
    order = "".join(words).upper()
    if sorted(order) != ["X", "Y", "Z"]:
        raise _wrong(path, number, f"the order of axes is X, Y and Z, each once, not '{order[:40]}'")
    return order


def _numbers(path: Path, number: int, words: list[str], count: int) -> np.ndarray:
    try:
        values = np.array([float(re.sub(r"[(),]", "", word)) for word in words])
    except ValueError:
        values = np.array([])
    if len(values) != count or not np.all(np.isfinite(values)):
        wanted = "a number stands" if count == 1 else f"{count} numbers stand"
        raise _wrong(path, number, f"here {wanted}, not '{' '.join(words)[:60]}'")
    return values


def _frames(path: Path, lines: list[str], asf: _Asf) -> dict[str, np.ndarray]:
    """Read the values of each bone that moves, (T, degrees of freedom) each, angles in the skeleton's unit."""
    widths = {bone.name: len(bone.dof) for bone in asf.bones if bone.dof}
    values: dict[str, list[list[float]]] = {name: [] for name in widths}
    frame, degrees = None, asf.degrees
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if words[0].startswith(":"):
            if words[0].upper() in (":DEGREES", ":RADIANS"):
                degrees = _is_degrees(path, number, words[0][1:])
        elif len(words) == 1 and words[0].isdigit():
            if frame is not None:
                _check_frame(path, number, frame, values)
                if int(words[0]) != frame[0] + frame[1]:
                    raise _wrong(path, number, f"frame {words[0][:20]} follows frame {frame[0] + frame[1] - 1}")
            frame = (frame[0], frame[1] + 1) if frame else (int(words[0]), 1)
        elif frame is None:
            raise _wrong(path, number, "a frame begins with its number")
        else:
            _read_pose(path, number, words, widths, values, frame[1], asf.path)
    if frame is None:
        raise _wrong(path, len(lines), "there are no frames; the file is cut off or no motion file")
    _check_frame(path, len(lines), frame, values)
    factor = {(True, False): np.pi / 180.0, (False, True): 180.0 / np.pi}.get((degrees, asf.degrees), 1.0)
    turning = {bone.name: np.array([factor if dof in _TURNS else 1.0 for dof in bone.dof]) for bone in asf.bones}
    return {name: np.array(rows) * turning[name] for name, rows in values.items()}


def _read_pose(path: Path, number: int, words: list[str], widths: dict[str, int],
               values: dict[str, list[list[float]]], frame: int, skeleton: Path) -> None:
    """Read what one line says of one bone in the frame that is the `frame`-th."""
    name = words[0]
    if name not in widths:
        raise _wrong(path, number, f"'{name[:40]}' is no bone that moves in '{skeleton.name}'; those are "
                                   f"{', '.join(widths)}")
    if len(values[name]) >= frame:
        raise _wrong(path, number, f"the bone '{name}' stands in this frame twice")
    if len(words) != widths[name] + 1:
        raise _wrong(path, number, f"the bone '{name}' has {widths[name]} numbers, not {len(words) - 1}; the file is "
                                   "cut off or belongs to another skeleton")
    try:
        row = [float(word) for word in words[1:]]
    except ValueError:
        row = [np.nan]
    if not np.all(np.isfinite(row)):
        raise _wrong(path, number, f"'{' '.join(words[1:])[:60]}' are not numbers")
    values[name].append(row)


def _check_frame(path: Path, number: int, frame: tuple[int, int], values: dict[str, list[list[float]]]) -> None:
    """Raise where the frame that ends before this line lacks a bone."""
    missing = [name for name, rows in values.items() if len(rows) < frame[1]]
    if missing:
        raise _wrong(path, number, f"frame {frame[0] + frame[1] - 1} lacks {', '.join(missing)}; the file is cut off "
                                   "or belongs to another skeleton")


def _assemble(asf: _Asf, values: dict[str, np.ndarray], metres: float, fps: float) -> Motion:
    """Turn the file's units and axes to ours, parents first."""
    bones = _parents_first(asf)
    index = {bone.name: j for j, bone in enumerate(bones)}
    parents = np.array([index[asf.parents[bone.name]] if bone.name in asf.parents else -1 for bone in bones])
    ends = [np.zeros(3), *(bone.direction * bone.length for bone in bones[1:])]
    offsets = np.array([asf.place, *(ends[parent] for parent in parents[1:])]) @ _Y_UP.T * metres
    frames = len(next(iter(values.values())))
    unit = np.pi / 180.0 if asf.degrees else 1.0
    local = np.stack([_local(bone, values.get(bone.name, np.zeros((frames, 0))), unit) for bone in bones], axis=1)
    local = np.concatenate([local[..., :1], local[..., 1:] @ _Y_UP.T], axis=-1)
    path = np.tile(asf.place, (frames, 1))
    for column, dof in enumerate(bones[0].dof):
        if dof in _SHIFTS:
            path[:, _SHIFTS[dof]] += values[bones[0].name][:, column]
    skeleton = Skeleton(tuple(index), parents, offsets, np.tile(rotation.IDENTITY, (len(bones), 1)), 0)
    return Motion(skeleton, fps, path @ _Y_UP.T * metres, rotation.continuous(local))


def _parents_first(asf: _Asf) -> list[_Bone]:
    """Order the bones by depth first, as :hierarchy names them."""
    by_name = {bone.name: bone for bone in asf.bones}
    ordered, waiting = [], [asf.bones[0].name]
    while waiting:
        name = waiting.pop()
        ordered.append(by_name[name])
        waiting += reversed([child for child, parent in asf.parents.items() if parent == name])
    return ordered


def _local(bone: _Bone, values: np.ndarray, unit: float) -> np.ndarray:
    """Return a bone's rotations (T, 4) in its parent's frame: C · M · C⁻¹ with C its own axes, M its motion.

    Angles stand in the order in which they are applied about fixed axes, hence the reversal.
    """
    turns = [(column, _TURNS[dof]) for column, dof in enumerate(bone.dof) if dof in _TURNS][::-1]
    moved = rotation.from_euler("".join(letter for _, letter in turns), values[:, [c for c, _ in turns]] * unit)
    own = rotation.from_euler(bone.axis_order[::-1],
                              np.array([bone.axis["XYZ".index(letter)] for letter in bone.axis_order[::-1]]) * unit)
    return rotation.multiply(rotation.multiply(own, moved), rotation.inverse(own))


def _wrong(path: Path, line: int, what: str) -> RetargetError:
    return RetargetError(f"'{path}', line {line}: {what}.")
