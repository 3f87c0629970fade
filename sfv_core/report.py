"""The quality report of a capture: numbers for programs, words and pictures for people."""

from __future__ import annotations

import base64
import html
import importlib.metadata
import io
import json
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retarget.kinematics import world_poses
from retarget.whole import written_whole

from . import __version__
from .config import CaptureConfig
from .overlay import write_overlay
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
_FEET = ("left_ankle", "left_foot", "right_ankle", "right_foot")
_PICTURES = 6


@dataclass(frozen=True)
class Doubt:
    """One reason not to trust some frames."""

    reason: str
    frames: np.ndarray
    """Which frames it concerns, shape (T,) bool."""


def write_report(folder: Path, video: Video, config: CaptureConfig, keypoints: Keypoints, result: Reconstruction,
                 seconds: dict[str, float], progress: Progress) -> dict:
    """Write overlay.mp4, report.json and report.html into the folder; return report.json's content."""
    begun = time.perf_counter()
    doubts = find_doubts(result)
    untrusted = np.any([doubt.frames for doubt in doubts], axis=0)
    keep = _worth_showing(keypoints, result)
    pictures = write_overlay(folder / "overlay.mp4", video, keypoints, result, untrusted, progress, keep)
    report = summary(video, config, keypoints, result, doubts)
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


def find_doubts(result: Reconstruction) -> list[Doubt]:
    """Say which frames are not to be trusted, and why."""
    observations = result.observations
    seen = observations.detected
    return [
        Doubt("nobody was found", ~seen),
        Doubt("the body does not lie on the detected points", seen & (result.residual / observations.size > _MISSED)),
        Doubt("much of the person is hidden or outside the picture",
              seen & (observations.weight.mean(axis=1) < _HIDDEN)),
        Doubt("the estimated depth contradicts the picture", seen & (result.trust < _CONTRADICTED)),
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


def page(report: dict, result: Reconstruction, pictures: dict[int, np.ndarray]) -> str:
    """Return the report as one HTML page with everything inside."""
    images = "".join(f"<figure><img src='{_jpeg(picture)}' alt=''><figcaption>picture {number}</figcaption></figure>"
                     for number, picture in sorted(pictures.items()))
    warnings = "".join(f"<li class=bad>{html.escape(text)}</li>" for text in report["warnings"])
    spans = "".join(f"<li>{span['start_s']:.2f}–{span['end_s']:.2f} s: {html.escape(span['reason'])}</li>"
                    for span in report["untrusted"]["spans"]) or "<li>none</li>"
    facts = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
                    for name, value in _facts(report))
    return (f"<!doctype html><html lang=en><meta charset=utf-8><title>Capture of {html.escape(report['video']['name'])}"
            f"</title><style>{_STYLE}</style><h1>Capture of {html.escape(report['video']['name'])}</h1>"
            f"<p class=verdict>{html.escape(_verdict(report))}</p><ul>{warnings}</ul><table>{facts}</table>"
            f"<h2>Frames not to trust</h2><ul>{spans}</ul>"
            f"<h2>Through the video</h2><img src='{_plots(report, result)}' alt='plots'>"
            "<h2>Pictures</h2><p>White dots: what was detected. Lines: the fitted body, green where it is to be "
            f"trusted, red where not.</p><div class=row>{images}</div></html>\n")


def _verdict(report: dict) -> str:
    share, fit = report["untrusted"]["share"], report["reprojection"]["mean_percent_of_person"]
    quality = "closely" if fit < 1.5 else "fairly" if fit < 3 else "only roughly"
    look = "All frames look sound." if share == 0 else (
        f"{100 * share:.0f} % of the frames are not to be trusted: look at them and correct them by hand.")
    return (f"The body follows the video {quality}: its points lie {fit:.1f} % of the person's height beside the "
            f"detected ones on average. {look} Depth, towards and away from the camera, is always less certain than "
            "what the picture shows.")


def _facts(report: dict) -> list[tuple[str, str]]:
    motion, feet = report["motion"], report["feet"]
    return [
        ("length", f"{motion['duration_s']:.2f} s, {motion['frames']} frames at {motion['fps']:.2f} per second, "
                   f"from {motion['start_s']:.2f} s of the video"),
        ("person found in", f"{100 * report['detection_rate']:.1f} % of the pictures"),
        ("left and right put right", f"{report['sides_swapped_back']} times"),
        ("distance to detected points", f"{report['reprojection']['mean_px']:.1f} px on average, "
                                        f"{report['reprojection']['largest_px']:.1f} px at worst"),
        ("feet on the ground", f"{100 * feet['contact_share']:.0f} % of the time; sliding "
                               f"{100 * feet['slide_m_per_s']:.1f} cm/s while they stand"),
        ("feet below the ground", f"at most {100 * feet['deepest_m']:.1f} cm"),
        ("way covered", f"{motion['travel_m']:.2f} m"),
        ("speed", f"{report['realtime_factor']:.2f} × real time: " + ", ".join(
            f"{name} {value:.1f} s" for name, value in report["seconds"].items())),
        ("made with", ", ".join(f"{name} {value}" for name, value in report["versions"].items())),
    ]


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
    if keypoints.detected.mean() < 0.9:
        warnings.append(f"The person was found in only {100 * keypoints.detected.mean():.0f} % of the pictures.")
    if untrusted.mean() > 0.3:
        warnings.append(f"{100 * untrusted.mean():.0f} % of the frames are not to be trusted.")
    return warnings


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


def _plots(report: dict, result: Reconstruction) -> str:
    """Draw residual, heights and the body seen from two sides over time; return a data address."""
    from matplotlib.figure import Figure

    motion = result.motion
    times = result.start + np.arange(len(motion)) / motion.fps
    joints, _ = world_poses(motion)
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(3, 1, height_ratios=[1.2, 1.2, 1])
    axes[0].plot(times, result.residual, lw=1)
    axes[0].set_ylabel("distance to detected\npoints (px)")
    for name in ("pelvis", "left_foot", "right_foot"):
        axes[1].plot(times, joints[:, motion.skeleton.index(name), 2], lw=1, label=name.replace("_", " "))
    axes[1].axhline(0, color="0.6", lw=0.8)
    axes[1].set_ylabel("height above ground (m)")
    axes[1].legend(fontsize=8)
    for axis in axes[:2]:
        axis.set_xlabel("time in the video (s)", fontsize=8)
        for span in report["untrusted"]["spans"]:
            axis.axvspan(span["start_s"] - 0.5 / motion.fps, span["end_s"] + 0.5 / motion.fps, color="red", alpha=0.12)
    _side_view(axes[2], joints, motion.skeleton.parents)
    return _png(figure)


def _side_view(axis, joints: np.ndarray, parents: np.ndarray) -> None:
    """Draw some poses seen from the side (the camera is on the left), spread along the page."""
    rows = np.linspace(0, len(joints) - 1, 12).round().astype(int)
    for place, row in enumerate(rows):
        depth = joints[row, :, 1] - joints[row, 0, 1] + 1.3 * place
        for joint, parent in enumerate(parents):
            if parent >= 0:
                axis.plot(depth[[parent, joint]], joints[row, [parent, joint], 2], color="tab:blue", lw=1.5)
    axis.axhline(0, color="0.6", lw=0.8)
    axis.set_aspect("equal")
    axis.set_xticks(1.3 * np.arange(len(rows)), [str(row) for row in rows])
    axis.set_xlabel("seen from the side, camera on the left; frame", fontsize=8)


def _png(figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _jpeg(picture: np.ndarray) -> str:
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((420, 420))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


_STYLE = ("body{font:15px/1.45 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
          "th{text-align:left;padding:.15em 1.5em .15em 0;font-weight:600;vertical-align:top}"
          ".verdict{font-size:1.1em}.bad{color:#b00020}img{max-width:100%}"
          ".row{display:flex;flex-wrap:wrap;gap:.6em}figure{margin:0;width:19em}figcaption{font-size:.8em;color:#666}")
