"""BVH in and out: y-up files at the border, z-up Motions inside.

A BVH joint's axes are the world's at rest, so a rest pose is its offsets alone. End Sites have no joint here; they
count for the guess of the unit only. Positions on joints other than the one that carries the body are constant in
nearly all files and replace the offset by their mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from . import rotation
from .errors import RetargetError
from .kinematics import local_rotations, rest_pose, world_poses
from .motion import Motion, Skeleton
from .whole import written_whole

_CHANNELS = ("Xposition", "Yposition", "Zposition", "Xrotation", "Yrotation", "Zrotation")
_AXES = {"y": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]), "z": np.eye(3)}
_METRIC = (1.0, 0.01, 0.001)
_OTHER_UNITS = (0.0254, 0.0254 / 0.45)
"""Inches, and the unit of CMU's recordings."""


@dataclass
class _Joint:
    """A joint as the file states it, in the file's units and axes."""

    name: str
    parent: int
    line: int
    offset: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    channels: list[str] = field(default_factory=list)
    ends: list[list[float]] = field(default_factory=list)


def load(path: Path | str, scale: float | None = None, up: str = "y") -> Motion:
    """Read a BVH file. Raise RetargetError that names file and line.

    scale: metres per unit of the file; None guesses from the rest pose's size: metres, centimetres or millimetres
    where that makes a body of 0.9 to 2.6 m, else inches or CMU's unit. up: the file's upward axis, "y" or "z".
    """
    path = Path(path)
    if up not in _AXES:
        raise RetargetError(f"The upward axis of a BVH file is 'y' or 'z', not '{up}'.")
    lines = _lines(path)
    joints, start = _hierarchy(path, lines)
    values, frame_time, decimals = _motion(path, lines, start, joints)
    positions, rotations = _channels(joints, values)
    scale = _guess_scale(joints) if scale is None else scale
    if not (np.isfinite(scale) and scale > 0):
        raise RetargetError(f"The scale of a BVH file is the metres per unit, above 0, not {scale}.")
    return _assemble(joints, positions, rotations, _fps(frame_time, decimals), scale, _AXES[up])


def unit_of(path: Path | str) -> float:
    """Guess the metres per unit of a BVH file from its rest pose, as `load` does."""
    path = Path(path)
    return _guess_scale(_hierarchy(path, _lines(path))[0])


def save(motion: Motion, path: Path | str, scale: float = 1.0) -> None:
    """Write a y-up BVH file, whole or not at all. scale: metres per unit of the file, 0.01 for centimetres.

    BVH has no rest rotations: joint axes become the world's at rest, joint positions stay exactly the same.
    """
    plain = _world_axes(motion)
    skeleton = plain.skeleton
    order = _depth_first(skeleton)
    carriers = {j for j in order if skeleton.parents[j] < 0} | {skeleton.root}
    columns: list[np.ndarray] = []
    for j in order:
        if j in carriers:
            columns.append(_in_parent(plain, j) @ _AXES["y"] / scale)
        q = plain.rotations[:, j]
        columns.append(np.degrees(rotation.to_euler("ZXY", np.hstack([q[:, :1], q[:, 1:] @ _AXES["y"]]))))
    header = _header(skeleton, order, carriers, skeleton.offsets @ _AXES["y"] / scale)
    header += ["MOTION", f"Frames: {len(motion)}", f"Frame Time: {1.0 / motion.fps:.12g}", ""]
    with written_whole(Path(path)) as temporary, temporary.open("wb") as file:
        file.write("\n".join(header).encode())
        np.savetxt(file, np.concatenate(columns, axis=1), fmt="%.9f")


def _lines(path: Path) -> list[str]:
    """Read the file as text; refuse what cannot be a BVH file."""
    if not path.is_file():
        raise RetargetError(f"No BVH file '{path}'.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RetargetError(f"'{path}' cannot be read: {error}.") from error
    if not data.strip():
        raise RetargetError(f"'{path}' is empty. A BVH file begins with HIERARCHY.")
    head = data[:4096]
    if b"\0" in head or b"HIERARCHY" not in head.upper():
        raise RetargetError(f"'{path}' is not a BVH file: it does not begin with HIERARCHY.")
    return data.decode("utf-8", errors="replace").lstrip("\ufeff").splitlines()


def _hierarchy(path: Path, lines: list[str]) -> tuple[list[_Joint], int]:
    """Read the joints; return them, parents first, and the number of the line after MOTION."""
    joints: list[_Joint] = []
    stack: list[int | None] = []
    opened: int | None = None
    for number, line in enumerate(lines, 1):
        for piece in line.replace("{", "\n{\n").replace("}", "\n}\n").split("\n"):
            words = piece.split()
            if not words:
                continue
            key = words[0].upper()
            if key == "MOTION":
                if stack or not joints:
                    raise _wrong(path, number, f"{len(stack)} braces are open" if stack else "there is no joint before")
                return joints, number
            if key in ("ROOT", "JOINT"):
                parent = next((j for j in reversed(stack) if j is not None), -1)
                name = _free_name(" ".join(words[1:]) or f"joint{len(joints)}", joints)
                opened = len(joints)
                joints.append(_Joint(name, parent, number))
            elif key == "END":
                opened = None
            elif key == "{":
                stack.append(opened)
            elif key == "}":
                if not stack:
                    raise _wrong(path, number, "a brace closes that none opened")
                stack.pop()
            elif key in ("OFFSET", "CHANNELS"):
                _describe(path, number, words, joints, stack)
            elif key != "HIERARCHY":
                raise _wrong(path, number, f"'{piece.strip()[:40]}' is not expected in the hierarchy")
    raise _wrong(path, len(lines), "the file ends before MOTION; it is cut off")


def _describe(path: Path, number: int, words: list[str], joints: list[_Joint], stack: list[int | None]) -> None:
    """Read an OFFSET or CHANNELS line into the joint it stands in."""
    owner = next((j for j in reversed(stack) if j is not None), None)
    if owner is None:
        raise _wrong(path, number, f"{words[0]} stands outside of a joint")
    joint = stack[-1]
    if words[0].upper() == "OFFSET":
        try:
            offset = [float(word) for word in words[1:]]
        except ValueError:
            offset = []
        if len(offset) != 3 or not np.all(np.isfinite(offset)):
            raise _wrong(path, number, f"an OFFSET has three numbers, not '{' '.join(words[1:])[:60]}'")
        if joint is not None:
            joints[joint].offset = offset
        else:
            joints[owner].ends.append(offset)
        return
    channels = [word.capitalize() for word in words[2:]]
    known = all(channel in _CHANNELS for channel in channels)
    if joint is None or not known or len(words) < 2 or words[1] != str(len(channels)):
        raise _wrong(path, number, f"CHANNELS has a count and as many of {', '.join(_CHANNELS)}, not "
                                   f"'{' '.join(words[1:])[:60]}'")
    joints[joint].channels = channels


def _motion(path: Path, lines: list[str], start: int, joints: list[_Joint]) -> tuple[np.ndarray, float, int]:
    """Read the frames: values (T, C), frame time in s, and how many decimals the frame time is written with."""
    stated: dict[str, tuple[int, str]] = {}
    row = start
    while row < len(lines) and len(stated) < 2:
        key, _, value = lines[row].partition(":")
        row += 1
        if key.strip():
            stated[" ".join(key.lower().split())] = (row, value.strip())
    try:
        count, frame_time = int(stated["frames"][1]), float(stated["frame time"][1])
    except (KeyError, ValueError):
        raise _wrong(path, row, "after MOTION come 'Frames: N' and 'Frame Time: S'") from None
    if count < 1:
        raise _wrong(path, stated["frames"][0], f"a motion needs at least one frame; there are {count}")
    if not (np.isfinite(frame_time) and frame_time > 0):
        raise _wrong(path, stated["frame time"][0], f"the frame time is a number of seconds above 0, not {frame_time}")
    width = sum(len(joint.channels) for joint in joints)
    try:
        values = np.array(" ".join(lines[row:]).split(), float)
    except ValueError:
        values = np.array([np.nan])
    if values.size != count * width or not np.all(np.isfinite(values)):
        raise _bad_frames(path, lines, row, count, width)
    decimals = len(stated["frame time"][1].partition(".")[2])
    return values.reshape(count, width), frame_time, decimals


def _bad_frames(path: Path, lines: list[str], start: int, count: int, width: int) -> RetargetError:
    """Find the first line of the frames that is wrong."""
    rows = 0
    for number, line in enumerate(lines[start:], start + 1):
        words = line.split()
        for word in words:
            try:
                good = np.isfinite(float(word))
            except ValueError:
                good = False
            if not good:
                return _wrong(path, number, f"'{word[:40]}' is not a number")
        if words and len(words) != width:
            return _wrong(path, number, f"a frame has {width} numbers, one for each channel, not {len(words)}")
        rows += bool(words)
    return _wrong(path, len(lines), f"'Frames:' states {count} frames, but there are {rows}; the file is cut off or "
                                    "the count is wrong")


def _wrong(path: Path, line: int, what: str) -> RetargetError:
    return RetargetError(f"'{path}', line {line}: {what}.")


def _free_name(name: str, joints: list[_Joint]) -> str:
    """Return the name, numbered where a joint has it already."""
    taken = {joint.name for joint in joints}
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def _channels(joints: list[_Joint], values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort the columns into positions (T, J, 3) in file units and rotations (T, J, 4), in the file's axes."""
    positions = np.broadcast_to([joint.offset for joint in joints], (len(values), len(joints), 3)).copy()
    rotations = np.broadcast_to(rotation.IDENTITY, (len(values), len(joints), 4)).copy()
    orders: dict[str, tuple[list[int], list[list[int]]]] = {}
    column = 0
    for j, joint in enumerate(joints):
        turns = []
        for i, channel in enumerate(joint.channels, column):
            if channel.endswith("position"):
                positions[:, j, "XYZ".index(channel[0])] = values[:, i]
            else:
                turns.append(i)
        column += len(joint.channels)
        order = "".join(joint.channels[i - column + len(joint.channels)][0] for i in turns)
        members, columns = orders.setdefault(order, ([], []))
        members.append(j)
        columns.append(turns)
    for order, (members, columns) in orders.items():
        if order:
            rotations[:, members] = rotation.from_euler(order, np.radians(values[:, columns]))
    return positions, rotations


def _guess_scale(joints: list[_Joint]) -> float:
    """Guess the metres per unit from the largest extent of the rest pose with its End Sites."""
    rest = np.zeros((len(joints), 3))
    points = []
    for j, joint in enumerate(joints):
        rest[j] = (rest[joint.parent] if joint.parent >= 0 else 0.0) + np.array(joint.offset)
        points += [rest[j], *(rest[j] + np.array(end) for end in joint.ends)]
    size = float(np.max(np.ptp(np.array(points), axis=0)))
    for unit in (*_METRIC, *_OTHER_UNITS):
        if 0.9 <= size * unit <= 2.6:
            return unit
    return 1.0 if size < 10.0 else 0.01


def _fps(frame_time: float, decimals: int) -> float:
    """Return the frame rate; a whole one where the frame time is that rate's to the decimals written."""
    whole = round(1.0 / frame_time)
    if whole > 0 and abs(1.0 / whole - frame_time) <= 10.0 ** -decimals:
        return float(whole)
    return 1.0 / frame_time


def _assemble(joints: list[_Joint], positions: np.ndarray, rotations: np.ndarray, fps: float, scale: float,
              axes: np.ndarray) -> Motion:
    """Turn the file's units and axes to ours and choose the joint that carries the body."""
    positions = positions @ axes.T * scale
    stated = np.array([joint.offset for joint in joints]) @ axes.T * scale
    rotations = np.concatenate([rotations[..., :1], rotations[..., 1:] @ axes.T], axis=-1)
    parents = np.array([joint.parent for joint in joints])
    root = _carrier(parents, positions)
    offsets = positions.mean(axis=0)
    if parents[root] < 0:
        offsets[root] = stated[root]
    skeleton = Skeleton(tuple(joint.name for joint in joints), parents, offsets,
                        np.broadcast_to(rotation.IDENTITY, (len(joints), 4)), root)
    return Motion(skeleton, fps, _world_path(parents, positions, rotations, root), rotation.continuous(rotations))


def _carrier(parents: np.ndarray, positions: np.ndarray) -> int:
    """Return the joint that carries the body: the lowest that moves in its parent and bears half of all joints."""
    bears = np.ones(len(parents), int)
    for j in range(len(parents) - 1, 0, -1):
        if parents[j] >= 0:
            bears[parents[j]] += bears[j]
    moves = np.ptp(positions, axis=0).max(axis=-1) > 1e-4 * np.abs(positions).max(initial=1e-9)
    return int(max(np.flatnonzero(moves & (2 * bears >= len(parents))), default=0))


def _world_path(parents: np.ndarray, positions: np.ndarray, rotations: np.ndarray, joint: int) -> np.ndarray:
    """Return the world positions (T, 3) of a joint whose ancestors may move too."""
    path = positions[:, joint]
    while (joint := int(parents[joint])) >= 0:
        path = positions[:, joint] + rotation.rotate(rotations[:, joint], path)
    return path


def _world_axes(motion: Motion) -> Motion:
    """Return the motion with joint axes that are the world's at rest, as BVH has them; positions stay."""
    skeleton, rest = motion.skeleton, rest_pose(motion.skeleton)[1]
    turned = rotation.multiply(world_poses(motion)[1], rotation.inverse(rest))
    child = skeleton.parents >= 0
    offsets = skeleton.offsets.copy()
    offsets[child] = rotation.rotate(rest[skeleton.parents[child]], offsets[child])
    plain = replace(skeleton, offsets=offsets, rest_rotations=np.broadcast_to(rotation.IDENTITY, rest.shape))
    return replace(motion, skeleton=plain, rotations=local_rotations(plain, turned))


def _in_parent(motion: Motion, joint: int) -> np.ndarray:
    """Return a joint's positions in its parent's frame, (T, 3) m."""
    skeleton, parent = motion.skeleton, int(motion.skeleton.parents[joint])
    if joint != skeleton.root:
        return np.broadcast_to(skeleton.offsets[joint], motion.root_pos.shape)
    if parent < 0:
        return motion.root_pos
    positions, world = world_poses(motion)
    return rotation.rotate(rotation.inverse(world[:, parent]), motion.root_pos - positions[:, parent])


def _depth_first(skeleton: Skeleton) -> list[int]:
    """Return the joints in the order in which a hierarchy is written."""
    order: list[int] = []
    waiting = [j for j in range(len(skeleton) - 1, -1, -1) if skeleton.parents[j] < 0]
    while waiting:
        order.append(waiting.pop())
        waiting += [j for j in range(len(skeleton) - 1, -1, -1) if skeleton.parents[j] == order[-1]]
    return order


def _header(skeleton: Skeleton, order: list[int], carriers: set[int], offsets: np.ndarray) -> list[str]:
    """Write the hierarchy; a leaf's End Site goes on as far as half of the leaf's offset. offsets: (J, 3)."""
    def row(depth: int, *words: str) -> str:
        return "\t" * depth + " ".join(words)

    text, open_joints = ["HIERARCHY"], []
    for j in [*order, -1]:
        while open_joints and (j < 0 or open_joints[-1] != skeleton.parents[j]):
            text.append(row(len(open_joints) - 1, "}"))
            open_joints.pop()
        if j < 0:
            break
        depth = len(open_joints)
        turns = "Zrotation Xrotation Yrotation"
        channels = f"6 Xposition Yposition Zposition {turns}" if j in carriers else f"3 {turns}"
        text += [row(depth, "JOINT" if depth else "ROOT", skeleton.names[j]), row(depth, "{"),
                 row(depth + 1, "OFFSET", *(f"{v:.9f}" for v in offsets[j])), row(depth + 1, "CHANNELS", channels)]
        open_joints.append(j)
        if j not in skeleton.parents:
            text += [row(depth + 1, "End Site"), row(depth + 1, "{"),
                     row(depth + 2, "OFFSET", *(f"{v / 2:.9f}" for v in offsets[j])), row(depth + 1, "}")]
    return text
