"""How long work reports that it goes on, and learns that it should stop."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called every second or so by everything that takes longer than that."""

    def __call__(self, stage: str, done: float, total: float, **numbers: float) -> None:
        """Report `done` of `total` in a stage, with figures worth watching; raise Cancelled to stop the work."""


def no_progress(stage: str, done: float, total: float, **numbers: float) -> None:
    """Report to nobody."""
