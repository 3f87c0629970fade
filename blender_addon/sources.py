"""Where a motion comes from: a take of the scene, a file, or what another armature performs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import bpy

from retarget import Motion
from retarget.files import SUFFIXES, read_motion

from .errors import AddonError
from .sampled import sampled

WORDS = {"capture": "captured", "simulate": "simulated"}
REMEMBERED = 8
"""How many files are kept in memory, so that a change of an option reads none again."""
_read: dict[tuple[str, int], Motion] = {}


@dataclass(frozen=True)
class Source:
    """A motion that can be read."""

    name: str
    """Name of the Action that it becomes."""
    read: Callable[[], Motion]
    """Raise AddonError, RetargetError."""


def chosen(scene: bpy.types.Scene, kind: str = "") -> Source:
    """Return the source that the panel shows, or that of another kind. Raise AddonError where nothing is chosen."""
    kind = kind or scene.sfv.retarget.source
    if kind in WORDS:
        return _take(scene, kind)
    return _performer(scene) if kind == "armature" else _file(scene)


def files(scene: bpy.types.Scene) -> list[Source]:
    """Return all motion files of the list. Raise AddonError if it is empty."""
    listed = scene.sfv.retarget.files
    if not listed:
        raise AddonError(f"The list of motion files is empty. Add files ({', '.join(SUFFIXES)}).")
    return [_of_file(entry.path) for entry in listed]


def add_files(scene: bpy.types.Scene, paths: list[Path]) -> int:
    """Put files on the list, each once, choose the first new one, and return how many are new."""
    held = scene.sfv.retarget
    known = {bpy.path.abspath(entry.path) for entry in held.files}
    new = [path for path in dict.fromkeys(paths) if path.suffix.lower() in SUFFIXES and str(path) not in known]
    if not new and not known & set(map(str, paths)):
        raise AddonError(f"None of these files is a motion. Choose {', '.join(SUFFIXES)} files.")
    first = len(held.files)
    for path in new:
        entry = held.files.add()
        entry.name, entry.path = path.name, str(path)
    held.source = "file"
    held.file = first if new else held.file
    return len(new)


def read_file(path: Path) -> Motion:
    """Read a motion file, or remember it. Raise RetargetError that names it."""
    key = (str(path), path.stat().st_mtime_ns if path.is_file() else 0)
    if key not in _read:
        motion = read_motion(path)
        while len(_read) >= REMEMBERED:
            _read.pop(next(iter(_read)))
        _read[key] = motion
    return _read[key]


def _take(scene: bpy.types.Scene, kind: str) -> Source:
    take = getattr(scene.sfv, WORDS[kind])
    if not take.motion:
        raise AddonError(f"There is no {WORDS[kind]} motion yet. {kind.capitalize()} first, or choose another source.")
    return Source(f"SFV {WORDS[kind]} {take.name}".strip(), lambda path=take.motion: read_file(Path(path)))


def _file(scene: bpy.types.Scene) -> Source:
    held = scene.sfv.retarget
    if not 0 <= held.file < len(held.files):
        raise AddonError("No motion file is chosen. Add one to the list.")
    return _of_file(held.files[held.file].path)


def _of_file(path: str) -> Source:
    whole = Path(bpy.path.abspath(path))
    return Source(whole.stem, lambda: read_file(whole))


def _performer(scene: bpy.types.Scene) -> Source:
    performer = scene.sfv.retarget.performer
    if performer is None:
        raise AddonError("No performer is chosen. Choose the armature whose animation is to be taken over.")
    if performer == scene.sfv.target:
        raise AddonError(f"'{performer.name}' is performer and target at once. Choose another armature as target.")
    playing = performer.animation_data and performer.animation_data.action
    name = f"{performer.name} {playing.name}" if playing else performer.name
    return Source(name, lambda: sampled(performer, scene))
