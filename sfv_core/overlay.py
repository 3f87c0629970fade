"""Draw what was captured over the video: detected points, and the fitted body coloured by trust."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from retarget.kinematics import world_poses

from .pose.keypoints import Keypoints
from .progress import Progress
from .reconstruct.solve import Reconstruction
from .video import Video, ahead, frames, writer

_LARGEST_SIDE = 1280
"""The overlay is made smaller than this; reports are for looking at."""
_DOT = (255, 255, 255)


def write_overlay(path: Path, video: Video, keypoints: Keypoints, result: Reconstruction, untrusted: np.ndarray,
                  progress: Progress, keep: list[int]) -> dict[int, np.ndarray]:
    """Write the overlay video with the times of the original; return the drawn pictures whose numbers are in `keep`.

    untrusted: (T,) bool on the motion's frames; those get a red frame around the picture.
    """
    scale = min(1.0, _LARGEST_SIDE / max(video.width, video.height))
    width, height = round(video.width * scale), round(video.height * scale)
    kept: dict[int, np.ndarray] = {}
    first, last = float(keypoints.times[0]), float(keypoints.times[-1])
    with writer(path, width, height, video.fps) as write:
        drawn = draw(video, keypoints, result, untrusted, scale, first, last)
        for number, (time_s, picture) in enumerate(ahead(drawn)):
            write(time_s - first, picture)
            if number in keep:
                kept[number] = picture
            if number % 15 == 0:
                progress("report", number, len(keypoints))
    return kept


def draw(video: Video, keypoints: Keypoints, result: Reconstruction, untrusted: np.ndarray, scale: float,
         first: float, last: float) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (time in s, drawn picture (H, W, 3) uint8) for the frames from `first` to `last` in s."""
    motion = result.motion
    sampled = motion.at(keypoints.times - result.start, motion.fps)
    joints, _ = world_poses(sampled)
    shown = (keypoints.times - result.start) * motion.fps
    projected = result.camera.project(joints, result.camera.turns_at(shown)) * scale
    confidence = np.ones(joints.shape[:2]) if sampled.confidence is None else sampled.confidence
    inside = (shown > -0.75) & (shown < len(motion) - 0.25)
    nearest = np.clip(np.round(shown).astype(int), 0, len(motion) - 1)
    bones = [(j, int(p)) for j, p in enumerate(motion.skeleton.parents) if p >= 0]
    for frame, row in zip(ahead(frames(video, first, last)), range(len(keypoints)), strict=False):
        image = Image.fromarray(frame.rgb)
        if scale < 1.0:
            image = image.resize((round(video.width * scale), round(video.height * scale)))
        pen = ImageDraw.Draw(image)
        for joint, parent in bones if inside[row] else ():
            line = [*projected[row, parent], *projected[row, joint]]
            pen.line(line, fill=colour(confidence[row, joint]), width=max(2, image.height // 180))
        if keypoints.detected[row]:
            for x, y in keypoints.xy[row] * scale:
                pen.ellipse([x - 2, y - 2, x + 2, y + 2], fill=_DOT)
        if untrusted[nearest[row]]:
            pen.rectangle([0, 0, image.width - 1, image.height - 1], outline=(230, 40, 40), width=6)
        yield frame.time_s, np.asarray(image)


def colour(confidence: float) -> tuple[int, int, int]:
    """Blend from red (0) over yellow to green (1)."""
    c = float(np.clip(confidence, 0.0, 1.0))
    return round(255 * min(1.0, 2 - 2 * c)), round(230 * min(1.0, 2 * c)), 40
