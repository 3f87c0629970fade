"""Checkpoints of a training: whole files, the last three kept, a damaged one passed over."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from retarget.whole import written_whole
from sfv_core.errors import SfvError
from sfv_core.imitate.policy import load_tensors

KEPT = 3
_NAME = re.compile(r"checkpoint_(\d+)\.pt")


def save_checkpoint(folder: Path, samples: int, data: dict[str, Any]) -> None:
    """Write a checkpoint and remove all but the newest three."""
    with written_whole(folder / f"checkpoint_{samples:012d}.pt") as temporary:
        torch.save(data, temporary)
    for old in checkpoints(folder)[:-KEPT]:
        old.unlink(missing_ok=True)


def checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints, oldest first."""
    found = [path for path in folder.glob("checkpoint_*.pt") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.name)


def load_newest(folder: Path) -> dict[str, Any] | None:
    """Read the newest checkpoint that can be read; None where there is none."""
    for path in reversed(checkpoints(folder)):
        try:
            return load_tensors(path, "Training goes on from an older one.")
        except SfvError:
            continue
    return None
