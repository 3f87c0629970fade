"""The quality report of a capture as numbers: what is to be trusted, and how well the motion explains the video."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retarget.whole import written_whole

from . import __version__
from .background import CameraMotion
from .config import CaptureConfig
from .overlay import write_overlay
from .page import page
from .pose.keypoints import Keypoints
from .progress import Progress
from .reconstruct import landmarks
from .reconstruct.solve import Reconstruction
from .video import Video

FORMAT_VERSION = 1
_MISSED = 0.035
"""Residual in person sizes above which the fitted body does not lie on the detected points (6 cm)."""
_HIDDEN = 0.5
"""Mean confidence of the landmarks below which too little of the person is seen."""
_CONTRADICTED = 0.5
"""Trust below which the 3D estimate contradicts the picture."""
_SAME = 0.6
"""Identity below which the person may be another one."""
_FEET = ("left_ankle", "left_foot", "right_ankle", "right_foot")
_PICTURES = 6


@dataclass(frozen=True)
class Doubt:
    """One reason not to trust some frames."""

    reason: str
    frames: np.ndarray
    """Which frames it concerns, shape (T,) bool."""


def write_report(folder: Path, video: Video, config: CaptureConfig, keypoints: Keypoints, result: Reconstruction,
                 seconds: dict[str, float], progress: Progress, extremities: dict | None = None,
                 estimator: dict | None = None, camera: CameraMotion | None = None) -> dict:
    """Write overlay.mp4, report.json and report.html into the folder; return report.json's content.

    extremities: what is to be said of hands and head, if they were looked at. estimator: where the keypoints come
    from. camera: how the camera moves.
    """
    begun = time.perf_counter()
    doubts = find_doubts(result, keypoints)
    untrusted = np.any([doubt.frames for doubt in doubts], axis=0)
    report = summary(video, config, keypoints, result, doubts) | (extremities or {})
    report["estimator"] = estimator or {"name": "mediapipe"}
    if camera is not None:
        report["camera"] |= camera.report()
        report["warnings"] += [] if camera.trusted or not camera.moving else [
            f"{camera.reason[0].upper()}{camera.reason[1:]}. It is taken to stand still, so feet may slide."]
    pictures = write_overlay(folder / "overlay.mp4", video, keypoints, result, untrusted, progress,
                             _worth_showing(keypoints, result))
    seconds = {**seconds, "report": time.perf_counter() - begun}
    report["seconds"] = {name: round(value, 2) for name, value in seconds.items()}
    span = float(keypoints.times[-1] - keypoints.times[0]) + 1.0 / keypoints.fps
    report["realtime_factor"] = round(span / sum(seconds.values()), 3)
    with written_whole(folder / "report.json") as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n")
    with written_whole(folder / "report.html") as temporary:
        temporary.write_text(page(report, result, pictures), encoding="utf-8")
    progress("report", len(keypoints), len(keypoints))
    return report


def find_doubts(result: Reconstruction, keypoints: Keypoints) -> list[Doubt]:
    """Say which frames are not to be trusted, and why."""
    observations = result.observations
    seen = observations.detected
    same = keypoints.at(result.start + np.arange(len(seen)) / result.motion.fps).identity
    return [
        Doubt("nobody was found", ~seen),
        Doubt("the body does not lie on the detected points", seen & (result.residual / observations.size > _MISSED)),
        Doubt("much of the person is hidden or outside the picture",
              seen & (observations.weight.mean(axis=1) < _HIDDEN)),
        Doubt("the estimated depth contradicts the picture", seen & (result.trust < _CONTRADICTED)),
        Doubt("this may be another person", np.zeros_like(seen) if same is None else seen & (same < _SAME)),
    ]


def summary(video: Video, config: CaptureConfig, keypoints: Keypoints, result: Reconstruction, doubts: list[Doubt]
            ) -> dict:
    """Return the report's numbers, ready for JSON."""
    motion, residual = result.motion, result.residual
    seen = result.observations.detected
    relative = residual / result.observations.size
    untrusted = np.any([doubt.frames for doubt in doubts], axis=0)
    return {
        "format": FORMAT_VERSION,
        "video": {"name": video.path.name, "width": video.width, "height": video.height, "fps": video.fps,
                  "duration_s": video.duration, "pictures_used": len(keypoints)},
        "motion": {"frames": len(motion), "fps": motion.fps, "start_s": result.start, "duration_s": motion.duration,
                   "travel_m": float(np.linalg.norm(np.diff(motion.root_pos, axis=0), axis=1).sum())},
        "detection_rate": float(keypoints.detected.mean()),
        "people": {"captured": keypoints.person, "others": _others(keypoints)},
        "sides_swapped_back": result.swaps,
        "reprojection": {"mean_px": float(residual[seen].mean()), "median_px": float(np.median(residual[seen])),
                         "largest_px": float(residual[seen].max()),
                         "mean_percent_of_person": float(100 * relative[seen].mean()),
                         "per_frame_px": [round(float(value), 2) for value in residual]},
        "untrusted": {"share": float(untrusted.mean()), "spans": _spans(doubts, motion.fps, result.start)},
        "feet": _feet(result),
        "bone_lengths_m": {name: round(float(np.linalg.norm(offset)), 4) for name, offset, parent in
                           zip(motion.skeleton.names, motion.skeleton.offsets, motion.skeleton.parents, strict=True)
                           if parent >= 0},
        "camera": {"focal_px": result.camera.focal, "height_m": float(result.camera.position[2])},
        "warnings": _warnings(video, config, keypoints, untrusted),
        "versions": _versions(),
    }


def _feet(result: Reconstruction) -> dict[str, float]:
    """Measure how the feet meet the ground: heels and toes, as fitted."""
    motion = result.motion
    columns = [landmarks.CONTACTS[i] for i in range(4)]
    places = result.places[:, columns]
    joints = [landmarks.CONTACT_JOINTS[i] for i in range(4)]
    assert motion.contacts is not None
    touching = motion.contacts[:, joints] > 0.5
    speed = np.linalg.norm(np.diff(places, axis=0), axis=-1) * motion.fps
    standing = touching[1:] & touching[:-1]
    return {"contact_share": float(touching.any(axis=1).mean()),
            "slide_m_per_s": float(speed[standing].mean()) if standing.any() else 0.0,
            "deepest_m": float(max(0.0, -places[..., 2].min())),
            "mean_depth_below_m": float(np.maximum(0.0, -places[..., 2].min(axis=1)).mean())}


def _spans(doubts: list[Doubt], fps: float, start: float) -> list[dict]:
    """Join doubtful frames to spans of time; gaps of up to three frames are closed."""
    spans = []
    for doubt in doubts:
        rows = np.flatnonzero(doubt.frames)
        if not len(rows):
            continue
        for part in np.split(rows, np.flatnonzero(np.diff(rows) > 4) + 1):
            spans.append({"start_frame": int(part[0]), "end_frame": int(part[-1]),
                          "start_s": round(start + float(part[0]) / fps, 3),
                          "end_s": round(start + float(part[-1]) / fps, 3), "reason": doubt.reason})
    return sorted(spans, key=lambda span: span["start_frame"])


def _warnings(video: Video, config: CaptureConfig, keypoints: Keypoints, untrusted: np.ndarray) -> list[str]:
    warnings = []
    expected = video.duration if config.end is None else min(config.end, video.duration)
    last = float(keypoints.times[-1])
    if last < expected - max(0.3, 3.0 / video.fps):
        warnings.append(f"The file says it lasts {video.duration:.2f} s, but pictures could be read only up to "
                        f"{last:.2f} s. It may be damaged or incomplete.")
    if others := _others(keypoints):
        warnings.append(f"{others + 1} people are in the picture; this is person {keypoints.person}. `sfv people` "
                        "shows them, and --person N (Person, in Blender) captures another.")
    if keypoints.detected.mean() < 0.9:
        warnings.append(f"The person was found in only {100 * keypoints.detected.mean():.0f} % of the pictures.")
    if untrusted.mean() > 0.3:
        warnings.append(f"{100 * untrusted.mean():.0f} % of the frames are not to be trusted.")
    return warnings


def _others(keypoints: Keypoints) -> int:
    """Return how many other people are seen for at least a tenth of the time."""
    if keypoints.others is None:
        return 0
    return int((keypoints.others.any(axis=-1).mean(axis=0) >= 0.1).sum())


def _versions() -> dict[str, str]:
    versions = {"sfv": __version__, "python": platform.python_version()}
    for name in ("mediapipe", "torch", "av", "numpy", "scipy"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _worth_showing(keypoints: Keypoints, result: Reconstruction) -> list[int]:
    """Return the numbers of some evenly spaced pictures and of the worst one."""
    even = np.linspace(0, len(keypoints) - 1, _PICTURES).round().astype(int).tolist()
    worst = result.start + float(result.residual.argmax()) / result.motion.fps
    return sorted({*even, int(np.abs(keypoints.times - worst).argmin())})
