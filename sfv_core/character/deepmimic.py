"""Read DeepMimic's clip files (humanoid3d_*.txt) as motions of its own humanoid.

DeepMimic's world is Y up, faces +x and has z to the right; a frame holds its duration, the root's position and the
local rotations of the joints in the order of `_JOINTS`, as wxyz quaternions; knees and elbows as angles about z.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from retarget import rotation
from retarget.motion import Motion, Skeleton
from sfv_core.errors import SfvError

_LEG = (("hip", 4), ("knee", 1), ("ankle", 4))
_ARM = (("shoulder", 4), ("elbow", 1))
_JOINTS = (("pelvis", 4), ("chest", 4), ("neck", 4),
           *((f"{side}_{joint}", size) for side in ("right", "left") for joint, size in (*_LEG, *_ARM)))
"""Joint name and number of values, in the order of a frame after its duration and root position."""

_FRAME_SIZE = 1 + 3 + sum(size for _, size in _JOINTS)

_OFFSETS = {"chest": ("pelvis", (0.0, 0.236151, 0.0)), "neck": ("chest", (0.0, 0.223894, 0.0)),
            "hip": ("pelvis", (0.0, 0.0, 0.084887)), "knee": ("hip", (0.0, -0.421546, 0.0)),
            "ankle": ("knee", (0.0, -0.40987, 0.0)), "shoulder": ("chest", (-0.02405, 0.2435, 0.18311)),
            "elbow": ("shoulder", (0.0, -0.274788, 0.0)), "wrist": ("elbow", (0.0, -0.258947, 0.0))}
"""Parent and place in it in m, in DeepMimic's axes and for the right side (data/characters/humanoid3d.txt)."""


def skeleton() -> Skeleton:
    """Return DeepMimic's humanoid: 13 moving joints and two fixed wrists, arms hanging down at rest."""
    names, parents, offsets = ["pelvis"], [-1], [(0.0, 0.0, 0.0)]
    for name in ("chest", "neck", *(f"{side}_{part}" for side in ("right", "left")
                                    for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"))):
        side, _, part = name.rpartition("_")
        parent, (x, y, z) = _OFFSETS[part]
        parent_name = f"{side}_{parent}" if side and parent not in ("pelvis", "chest") else parent
        names.append(name)
        parents.append(names.index(parent_name))
        offsets.append((x, y, -z if side == "left" else z))
    rest = np.tile(rotation.IDENTITY, (len(names), 1))
    return Skeleton(tuple(names), np.array(parents), _ours(np.array(offsets)), rest)


def load_clip(name_or_path: str | Path, fps: float = 60.0) -> Motion:
    """Read a clip by PyBullet's name for it ("walk") or by its path, as a motion at `fps`.

    The clip's frames have durations of their own. They are resampled so that the first and the last pose stay, which
    changes the speed by less than half a frame over the whole clip. Raise SfvError that names the file.
    """
    path = _find(name_or_path)
    frames, loop = _read(path)
    times = np.concatenate([[0.0], np.cumsum(frames[:-1, 0])])
    count = max(round(times[-1] * fps), 1)
    return _resample(times, _motion(frames, fps, loop), np.linspace(0.0, times[-1], count + 1))


def clip_names() -> list[str]:
    """List the clips that come with PyBullet; empty where it is not installed."""
    folder = _clip_folder()
    return sorted(path.stem.removeprefix("humanoid3d_") for path in folder.glob("humanoid3d_*.txt")) if folder else []


def _clip_folder() -> Path | None:
    try:
        import pybullet_data
    except ImportError:
        return None
    return Path(pybullet_data.getDataPath()) / "data" / "motions"


def _find(name_or_path: str | Path) -> Path:
    """Return the clip's file."""
    path = Path(name_or_path)
    if path.is_file():
        return path
    folder = _clip_folder()
    if folder is not None and str(name_or_path) in clip_names():
        return folder / f"humanoid3d_{name_or_path}.txt"
    known = ", ".join(clip_names()) or "none, as PyBullet is not installed (extra 'physics')"
    raise SfvError(f"No DeepMimic clip '{name_or_path}'. Give a file humanoid3d_*.txt or one of these names: {known}.")


def _read(path: Path) -> tuple[np.ndarray, bool]:
    """Return the frames (T, 44) and whether the clip loops."""
    hint = "Give a file humanoid3d_*.txt of DeepMimic."
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SfvError(f"'{path}' is not a DeepMimic clip: {error}. {hint}") from error
    if not isinstance(data, dict) or not isinstance(data.get("Frames"), list):
        raise SfvError(f"'{path}' is not a DeepMimic clip: it has no list 'Frames'. {hint}")
    try:
        frames = np.array(data["Frames"], float)
    except (ValueError, TypeError) as error:
        raise SfvError(f"'{path}': its frames are not rows of {_FRAME_SIZE} numbers ({error}). {hint}") from error
    if frames.ndim != 2 or frames.shape[1] != _FRAME_SIZE or len(frames) < 2:
        raise SfvError(f"'{path}': a humanoid clip needs two or more frames of {_FRAME_SIZE} numbers; its frames have "
                       f"the shape {frames.shape}. {hint}")
    if not np.all(np.isfinite(frames)):
        raise SfvError(f"'{path}' holds values that are not numbers (NaN or infinity). {hint}")
    if np.any(frames[:-1, 0] <= 0):
        raise SfvError(f"'{path}': every frame but the last needs a duration above 0 s. {hint}")
    return frames, data.get("Loop") == "wrap"


def _motion(frames: np.ndarray, fps: float, loop: bool) -> Motion:
    """Return the frames (T, 44) one for one, as a motion of our axes; its frame rate is yet to come true."""
    body = skeleton()
    rotations = np.tile(rotation.IDENTITY, (len(frames), len(body), 1))
    column = 4
    for name, size in _JOINTS:
        values = frames[:, column : column + size]
        if size == 1:
            quaternions = rotation.from_rotvec(values * _ours(np.array([0.0, 0.0, 1.0])))
        else:
            quaternions = np.concatenate([values[:, :1], _ours(values[:, 1:])], axis=-1)
        rotations[:, body.index(name)] = quaternions
        column += size
    return Motion(body, fps, _ours(frames[:, 1:4]), rotation.continuous(rotations), loop=loop)


def _resample(times: np.ndarray, motion: Motion, at: np.ndarray) -> Motion:
    """Sample a motion whose frames stand at `times` (T,) s at the times `at` (N,) s."""
    frame = np.interp(at, times, np.arange(len(times)))
    return motion.at(frame / motion.fps, motion.fps)


def _ours(v: np.ndarray) -> np.ndarray:
    """Turn DeepMimic's axes (forward, up, right) into ours, x left, −y forward, z up. (..., 3)."""
    return np.stack([-v[..., 2], -v[..., 0], v[..., 1]], axis=-1)
