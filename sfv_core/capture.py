"""A video becomes a motion: find the person, fit the body, report how well."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .body.model import load_body, skeleton_of
from .config import CaptureConfig
from .errors import SfvError
from .pose.keypoints import Keypoints
from .progress import Progress
from .video import Video, open_video

if TYPE_CHECKING:
    from .reconstruct.latent import LatentPoses
    from .reconstruct.solve import Lift

FILES = ("keypoints.npz", "camera.json", "overlay.mp4", "report.html", "report.json", "motion.npz")
"""What a capture writes, in the order in which it appears."""


def capture(video: Path, out: Path, config: CaptureConfig, progress: Progress) -> dict:
    """Write `FILES` into `out` and return report.json's content.

    Stages "detect", "background", "reconstruct", "closeup" (where hands or face are large) and "report". The files are
    made in a temporary folder beside `out` and moved when all are there, so a failure or a cancellation leaves nothing
    behind. Raise SfvError for a video that cannot be used.
    """
    out = Path(out).resolve()
    source = open_video(video)
    skeleton = skeleton_of(load_body(config.body).joint_template)
    with _workshop(out) as build:
        report = _build(source, build, config, skeleton, progress)
        out.mkdir(exist_ok=True)
        for name in FILES:
            (build / name).replace(out / name)
    return report


def _build(video: Video, build: Path, config: CaptureConfig, skeleton, progress: Progress) -> dict:
    from .background import camera_motion
    from .reconstruct.camera import guess_focal
    from .reconstruct.extremities import add_extremities
    from .reconstruct.fingers import without_fingers
    from .reconstruct.solve import reconstruct
    from .report import write_report

    clock = [time.perf_counter()]
    latent = _latent(config)
    keypoints, source = _detect(video, config, progress)
    keypoints.save(build / "keypoints.npz")
    clock.append(time.perf_counter())
    focal = config.focal or guess_focal(keypoints.size)
    camera = camera_motion(video, keypoints, focal, progress)
    result = reconstruct(keypoints, skeleton, progress, config.focal, config.iterations,
                         lift=_lifter(keypoints, config),
                         turns=camera.turns if camera.moving and camera.trusted else None,
                         latent=latent)
    result.camera.save(build / "camera.json")
    clock.append(time.perf_counter())
    seconds = {"detect": clock[1] - clock[0], "reconstruct": clock[2] - clock[1]}
    motion, extremities = result.motion, None
    if config.hands:
        motion, extremities = add_extremities(video, keypoints, result, progress)
        result = replace(result, motion=without_fingers(motion))
        clock.append(time.perf_counter())
        seconds["closeup"] = clock[3] - clock[2]
    motion.save(build / "motion.npz")
    return write_report(build, video, config, keypoints, result, seconds, progress, extremities, source, camera)


def _detect(video: Video, config: CaptureConfig, progress: Progress) -> tuple[Keypoints, dict]:
    """Return the person's keypoints, and where they come from for the report."""
    if config.keypoints is not None:
        from .pose.recorded import RecordedEstimator

        recorded = RecordedEstimator(Path(config.keypoints), config.keypoints_offset, config.person)
        return recorded(video, config.start, config.end, progress), recorded.report()
    from .pose.mediapipe import MediaPipeEstimator

    return MediaPipeEstimator(config.person)(video, config.start, config.end, progress), {"name": "mediapipe"}


def _latent(config: CaptureConfig) -> LatentPoses | None:
    """Return the latent space that the fit is to move in; None for rotation space."""
    if config.space == "rotation":
        if config.prior is not None:
            raise SfvError("A pose prior is for the latent space. Ask for it with --space latent.")
        return None
    from .reconstruct.latent import LatentPoses

    return LatentPoses(config.prior)


def _lifter(keypoints: Keypoints, config: CaptureConfig) -> Lift | None:
    """Return what corrects MediaPipe's depth or makes 3D of 2D: the lifter, or bone lengths where it has no weights.

    3D that another estimator recorded stays as it is: the lifter has learned MediaPipe's errors alone.
    """
    if keypoints.xyz is not None and config.keypoints is not None:
        return None
    from .lift.network import WEIGHTS

    if WEIGHTS.is_file():
        from .lift.lift import lift

        return lift
    from .reconstruct.flat import lift_by_lengths

    return None if keypoints.xyz is not None else lift_by_lengths


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `out`; raise SfvError where results cannot be written."""
    if out.exists() and not out.is_dir():
        raise SfvError(f"'{out}' is a file; the capture needs a folder there. Give another folder.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.")
    except OSError as error:
        raise SfvError(f"Nothing can be written to '{out.parent}' ({error.strerror}). Give another folder."
                       ) from error
    with folder as name:
        yield Path(name)
