"""Input files: whether they are there, and what they hold in one number."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .errors import SfvError


def existing_file(path: Path, what: str) -> Path:
    """Return the path of an input; raise SfvError if it is no file with something in it."""
    if path.is_dir():
        raise SfvError(f"'{path}' is a folder. Give the {what} file.")
    if not path.is_file():
        raise SfvError(f"There is no {what} '{path}'. Check the path.")
    if path.stat().st_size == 0:
        raise SfvError(f"The {what} '{path}' is empty (0 bytes). Give another file.")
    if not os.access(path, os.R_OK):
        raise SfvError(f"The {what} '{path}' may not be read. Change its permissions.")
    return path


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a folder's files, in hexadecimal."""
    if path.is_dir():
        parts = [f"{file.name} {content_hash(file)}" for file in sorted(path.iterdir()) if file.is_file()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
