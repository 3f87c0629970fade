"""Keypoints as arrays over time: .npy, .npz, .pt, .json with named landmarks; 2D, 3D or both. Pickles are refused."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SfvError
from .layouts import H36M_17, flat_layout
from .openpose import read_json
from .recording import Recording, Sighting, sighting
from .space import camera_axes, in_metres, onto_picture

_LARGEST_FILE = 2**30
_BOTH = ("2d_pose.npy", "3d_pose.npy")
"""Files of a folder that holds 2D and 3D of the same person, as video2bvh writes them."""
_DEEP = {17: ("H36M-17", H36M_17)}


def read_arrays(path: Path) -> Recording:
    """Read a file of arrays. Raise SfvError that names the file and says what it should be."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise SfvError(f"it has {path.stat().st_size / 2**20:.0f} MiB, more than 1024")
        suffix = path.suffix.lower()
        if suffix in (".npz", ".json"):
            named = _from_json(path) if suffix == ".json" else _from_npz(path)
            return _named(named, f"named landmarks ({suffix})")
        return _unnamed(_from_torch(path) if suffix in (".pt", ".pth") else np.load(path, allow_pickle=False))
    except (SfvError, ValueError, TypeError, KeyError, EOFError, OSError, zipfile.BadZipFile, MemoryError) as error:
        reason = f"it has no array {error}" if isinstance(error, KeyError) else _first_line(error)
        raise SfvError(f"'{path}' does not hold keypoints that can be read: {reason}. docs/protocol.md lists what can."
                       ) from error


def read_both(folder: Path) -> Recording | None:
    """Read a folder with `2d_pose.npy` and `3d_pose.npy` of the same pictures; None where they are not there.

    The 3D places may stand in any axes that keep still: they are turned to lie behind the 2D places as well as can be.
    """
    if not all((folder / name).is_file() for name in _BOTH):
        return None
    flat, deep = (read_arrays(folder / name) for name in _BOTH)
    by_picture = {one.picture: one for one in deep.sightings}
    pairs = [(one, by_picture[one.picture]) for one in flat.sightings if one.picture in by_picture]
    if not pairs or any(one.xy is None or two.xyz is None for one, two in pairs):
        raise SfvError(f"'{folder}': {_BOTH[0]} and {_BOTH[1]} do not hold 2D and 3D of the same pictures.")
    shared = [name for name in flat.names if name in deep.names]
    left = [flat.names.index(name) for name in shared]
    right = [deep.names.index(name) for name in shared]
    xy = np.stack([one.xy for one, _ in pairs if one.xy is not None])[:, left]
    confidence = np.stack([one.confidence for one, _ in pairs])[:, left]
    xyz = onto_picture(np.stack([two.xyz for _, two in pairs if two.xyz is not None])[:, right], xy, confidence)
    found = [Sighting(one.picture, xy[i], confidence[i], xyz[i]) for i, (one, _) in enumerate(pairs)]
    return Recording(f"{flat.format} with {deep.format}", tuple(shared), tuple(found))


def _unnamed(array: np.ndarray) -> Recording:
    """Recognise the layout by the number of points and what the third column is."""
    array = np.asarray(array)
    if array.ndim == 4 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 3 or array.shape[2] not in (2, 3) or not len(array) or array.dtype.kind not in "fiu":
        raise SfvError(f"its shape is {array.shape} {array.dtype}; (T, K, 2) px, (T, K, 3) px and confidence or "
                       "(T, 17, 3) m (Human3.6M's joints) is needed")
    array = array.astype(float)
    if not np.all(np.isfinite(array)):
        raise SfvError("it holds values that are not numbers (NaN or infinity)")
    if array.shape[2] == 3 and not _is_confidence(array[..., 2]):
        name, names = _deep_layout(array.shape[1])
        return _recording(f"3D {name}", names, None, np.ones(array.shape[:2]), in_metres(names, array))
    name, names = flat_layout(array.shape[1])
    confidence = array[..., 2] if array.shape[2] == 3 else np.ones(array.shape[:2])
    return _recording(name, names, array[:, :len(names), :2], confidence[:, :len(names)], None)


def _is_confidence(column: np.ndarray) -> bool:
    return bool(column.min() >= 0.0 and column.max() <= 1.1)


def _deep_layout(points: int) -> tuple[str, tuple[str, ...]]:
    if points not in _DEEP:
        raise SfvError(f"it has {points} points a person in 3D; 17 (Human3.6M's joints) are known. Name other "
                       "landmarks in an .npz")
    return _DEEP[points]


def _named(arrays: dict[str, np.ndarray], what: str) -> Recording:
    """Take names (K), xy (T, K, 2) or xyz (T, K, 3) or both, confidence (T, K) if there, size (2) if there."""
    names = tuple(str(name) for name in np.asarray(arrays["names"]).ravel().tolist())
    if len(set(names)) != len(names):
        raise SfvError("its names are not all different")
    xy, xyz = (np.asarray(arrays[key], float) if key in arrays else None for key in ("xy", "xyz"))
    first = xy if xy is not None else xyz
    if first is None:
        raise KeyError("xy")
    for key, array, axes in (("xy", xy, 2), ("xyz", xyz, 3)):
        if array is not None and array.shape != (len(first), len(names), axes):
            raise SfvError(f"{key} has the shape {array.shape}; {len(first)} pictures of {len(names)} landmarks need "
                           f"{(len(first), len(names), axes)}")
    confidence = np.asarray(arrays.get("confidence", np.ones(first.shape[:2])), float)
    if confidence.shape != first.shape[:2]:
        raise SfvError(f"confidence has the shape {confidence.shape}, not {first.shape[:2]}")
    if not all(np.all(np.isfinite(array)) for array in (first, xyz if xyz is not None else first, confidence)):
        raise SfvError("it holds values that are not numbers (NaN or infinity)")
    size = tuple(int(n) for n in np.asarray(arrays["size"]).ravel()) if "size" in arrays else None
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise SfvError(f"its size is {size}, not a width and a height in px")
    if xyz is not None:
        xyz = in_metres(names, xyz)
    return _recording(what, names, xy, confidence, xyz, size)


def _recording(what: str, names: tuple[str, ...], xy: np.ndarray | None, confidence: np.ndarray,
               xyz: np.ndarray | None, size: tuple[int, int] | None = None) -> Recording:
    """Make one person's recording of arrays; a recording of 3D alone is put into camera axes."""
    found: list[Sighting] = []
    if xy is None:
        assert xyz is not None
        deep = camera_axes(names, xyz)
        found = [Sighting(i, None, np.clip(confidence[i], 0, 1), deep[i]) for i in range(len(deep))]
    else:
        for i in range(len(xy)):
            one = sighting(i, np.concatenate([xy[i], confidence[i, :, None]], axis=1))
            if one is not None:
                found.append(one if xyz is None else Sighting(i, one.xy, one.confidence, xyz[i]))
    if not found:
        raise SfvError("nobody is in it: all points are missing or have confidence 0")
    return Recording(what, names, tuple(found), size)


def _from_npz(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as data:
        return {key: data[key] for key in data.files}


def _from_json(path: Path) -> dict[str, Any]:
    data = read_json(path, _LARGEST_FILE)
    if not isinstance(data, dict):
        raise SfvError("it is not an object with names and xy")
    return data


def _from_torch(path: Path) -> np.ndarray:
    """Read a tensor without running code: no pickled object but tensors and containers is let through."""
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise SfvError("it is not a file of tensors alone") from error
    if not isinstance(content, torch.Tensor):
        raise SfvError(f"it holds a {type(content).__name__}; a tensor (T, K, 2 or 3) is needed")
    return content.numpy()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
