"""What every source of keypoints does, whichever network is behind it."""

from __future__ import annotations

from typing import Protocol

from ..progress import Progress
from ..video import Video
from .keypoints import Keypoints


class Estimator(Protocol):
    """Find one person in the pictures of a video."""

    def __call__(self, video: Video, start: float, end: float | None, progress: Progress) -> Keypoints:
        """Return the person's landmarks from `start` to `end` in s; report as stage "detect".

        Raise SfvError where nobody is found.
        """
        ...
