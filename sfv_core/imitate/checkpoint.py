"""Checkpoints of a training: whole files, the last three kept, a damaged one passed over."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from retarget.whole import written_whole
from sfv_core.errors import SfvError
from sfv_core.imitate.policy import load_tensors

KEPT = 3
_NAME = re.compile(r"checkpoint_(\d+)\.pt")

log = logging.getLogger(__name__)


def save_checkpoint(folder: Path, samples: int, data: dict[str, Any]) -> None:
    """Write a checkpoint and keep the newest three. Raise SfvError if it holds values that are not numbers.

    Those of more samples were passed over when the training went on from an older one, and go.
    """
    if not finite(data):
        raise SfvError("The training came to values that are not numbers (NaN or infinity), which are not kept. "
                       "Train with another seed.")
    path = folder / f"checkpoint_{samples:012d}.pt"
    with written_whole(path) as temporary:
        torch.save(data, temporary)
    for other in checkpoints(folder):
        if other.name > path.name:
            other.unlink(missing_ok=True)
    for old in checkpoints(folder)[:-KEPT]:
        old.unlink(missing_ok=True)


def checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints, oldest first."""
    found = [path for path in folder.glob("checkpoint_*.pt") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: path.name)


def go_on(folder: Path, restore: Callable[[dict[str, Any]], None]) -> Path | None:
    """Give the newest checkpoint that serves to `restore` and return its path; None where there is none.

    restore: raises KeyError, TypeError, AttributeError, ValueError or RuntimeError for one that does not serve, and is
    then given an older one. Raise SfvError that names the folder where there are some and none serves.
    """
    problem = ""
    for path in reversed(checkpoints(folder)):
        try:
            data = load_tensors(path, "Training goes on from an older one.")
            if not finite(data):
                raise ValueError("it holds values that are not numbers (NaN or infinity)")
            restore(data)
            return path
        except SfvError as error:
            problem = str(error)
        except KeyError as error:
            problem = f"'{path}' lacks {error}."
        except (TypeError, AttributeError, ValueError, RuntimeError) as error:
            problem = f"'{path}' is not of this training: {' '.join(str(error).split()).rstrip('.')}."
        log.warning("passed over: %s", problem)
    if problem:
        raise SfvError(f"No checkpoint in '{folder}' can be gone on from; the last one tried: {problem} Remove that "
                       "folder to start the training anew, or choose another folder for its results (-o).")
    return None


def finite(data: Any) -> bool:
    """Tell whether all tensors in dictionaries and lists are finite, and no other number is NaN; a limit may be inf."""
    if isinstance(data, torch.Tensor):
        return bool(torch.isfinite(data).all())
    if isinstance(data, dict):
        return all(finite(value) for value in data.values())
    if isinstance(data, list | tuple):
        return all(finite(value) for value in data)
    return not isinstance(data, float) or not math.isnan(data)


def require_alike(data: Any, like: Any, name: str = "it") -> None:
    """Raise ValueError where `data` has what `like` has too, but in another shape."""
    if isinstance(like, dict):
        if not isinstance(data, dict):
            raise ValueError(f"{name} is a {type(data).__name__}")
        for key in data.keys() & like.keys():
            require_alike(data[key], like[key], f"'{key}'")
    elif np.shape(data) != np.shape(like):
        raise ValueError(f"{name} has the shape {tuple(np.shape(data))} instead of {tuple(np.shape(like))}")
