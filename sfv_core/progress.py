"""How long work reports that it goes on, and learns that it should stop."""

from __future__ import annotations

import time
from typing import Protocol


class Progress(Protocol):
    """Called every second or so by everything that takes longer than that."""

    def __call__(self, stage: str, done: float, total: float, **numbers: float) -> None:
        """Report `done` of `total` in a stage, with figures worth watching; raise Cancelled to stop the work."""


def no_progress(stage: str, done: float, total: float, **numbers: float) -> None:
    """Report to nobody."""


class TimeLeft:
    """Estimate how long a stage still takes, from what it did since it was first heard of."""

    def __init__(self) -> None:
        self._what: tuple[str, float] | None = None
        self._start = (0.0, 0.0)

    def __call__(self, stage: str, done: float, total: float) -> float | None:
        """Return the estimate in s; None while there is nothing to base it on."""
        now = time.monotonic()
        if (stage, total) != self._what or done < self._start[1]:
            self._what, self._start = (stage, total), (now, done)
        began, done_then = self._start
        if done <= done_then or total <= 0:
            return None
        return max(total - done, 0.0) * (now - began) / (done - done_then)
