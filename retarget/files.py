"""Motion files by their suffix."""

from __future__ import annotations

from pathlib import Path

from . import amc, bvh
from .errors import RetargetError
from .motion import Motion

SUFFIXES = (".amc", ".bvh", ".npz")


def read_motion(path: Path | str) -> Motion:
    """Read a motion: .bvh, .amc with its .asf beside it, or a motion .npz. Raise RetargetError that names the file."""
    path = Path(path)
    readers = {".amc": amc.load, ".bvh": bvh.load, ".npz": Motion.load}
    if path.suffix.lower() not in readers:
        raise RetargetError(f"'{path}' is no kind of motion that can be read. Give a {', '.join(SUFFIXES)} file.")
    return readers[path.suffix.lower()](path)
