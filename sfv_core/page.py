"""The quality report as one HTML page: words, plots and pictures for people, everything inside the file."""

from __future__ import annotations

import base64
import html
import io

import numpy as np

from retarget.kinematics import world_poses

from .reconstruct import landmarks
from .reconstruct.solve import Reconstruction


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
        *_seen_close(report),
        ("way covered", f"{motion['travel_m']:.2f} m"),
        ("speed", f"{report['realtime_factor']:.2f} × real time: " + ", ".join(
            f"{name} {value:.1f} s" for name, value in report["seconds"].items())),
        ("camera", _camera(report["camera"])),
        ("keypoints", _keypoints(report["estimator"])),
        ("made with", ", ".join(f"{name} {value}" for name, value in report["versions"].items())),
    ]


def _camera(camera: dict) -> str:
    if not camera.get("moving"):
        return camera.get("reason", "taken to stand still")
    return (f"{camera['reason']}; it pans {camera['pan_deg']:.1f}°, tilts {camera['tilt_deg']:.1f}° and rolls "
            f"{camera['roll_deg']:.1f}°")


def _keypoints(estimator: dict) -> str:
    if "format" not in estimator:
        return f"from {estimator['name']}"
    missing = ", ".join(estimator["landmarks_missing"]).replace("_", " ")
    return f"from {estimator['file']}, {estimator['format']}" + (f"; it lacks {missing}" if missing else "")


def _seen_close(report: dict) -> list[tuple[str, str]]:
    """Say how long hands and head were large and clear enough; nothing where they were not looked at."""
    if "hands" not in report:
        return []
    return [(part, f"seen close enough {100 * share:.0f} % of the time{', else relaxed' * ('hand' in part)}")
            for part, share in (("left hand", report["hands"]["left"]), ("right hand", report["hands"]["right"]),
                                ("head", report["head"]["share"]))]


def _plots(report: dict, result: Reconstruction) -> str:
    """Draw residual, feet, speed and the body seen from the side over time; return a data address."""
    from matplotlib.figure import Figure

    motion = result.motion
    times = result.start + np.arange(len(motion)) / motion.fps
    joints, _ = world_poses(motion)
    figure = Figure(figsize=(9, 9))
    figure.subplots_adjust(left=0.1, right=0.98, top=0.99, bottom=0.06, hspace=0.28)
    axes = figure.subplots(4, 1, height_ratios=[1.2, 1.3, 1, 1])
    axes[0].plot(times, result.residual, lw=1)
    axes[0].set_ylabel("distance to detected\npoints (px)")
    _feet(axes[1], times, result)
    speed = np.linalg.norm(np.gradient(joints[:, motion.skeleton.root], axis=0), axis=-1) * motion.fps
    axes[2].plot(times, speed, lw=1)
    axes[2].set_ylabel("speed of the\npelvis (m/s)")
    for axis in axes[:3]:
        axis.set_xlim(times[0], times[-1])
        axis.set_xlabel("time in the video (s)", fontsize=8)
        for span in report["untrusted"]["spans"]:
            axis.axvspan(span["start_s"] - 0.5 / motion.fps, span["end_s"] + 0.5 / motion.fps, color="red", alpha=0.12)
    _side_view(axes[3], joints, motion.skeleton.parents)
    return _png(figure)


def _feet(axis, times: np.ndarray, result: Reconstruction) -> None:
    """Draw the height of each foot's lowest point, and below it a bar wherever that foot stands."""
    motion = result.motion
    assert motion.contacts is not None
    for number, (side, tint) in enumerate((("left", "tab:blue"), ("right", "tab:orange"))):
        columns = [c for c in range(4) if landmarks.NAMES[landmarks.CONTACTS[c]].startswith(side)]
        lowest = result.places[:, [landmarks.CONTACTS[c] for c in columns], 2].min(axis=1)
        standing = (motion.contacts[:, [landmarks.CONTACT_JOINTS[c] for c in columns]] > 0.5).any(axis=1)
        axis.plot(times, lowest, lw=1, color=tint, label=f"{side} foot")
        bar = -0.06 - 0.04 * number
        axis.fill_between(times, bar, bar + 0.03, where=standing, color=tint, step="mid", lw=0)
    axis.axhline(0, color="0.6", lw=0.8)
    axis.set_ylabel("height above ground (m);\nbars: standing")
    axis.legend(fontsize=8)


def _side_view(axis, joints: np.ndarray, parents: np.ndarray) -> None:
    """Draw some poses seen from the side (the camera is on the left), spread along the page."""
    from matplotlib.collections import LineCollection

    rows = np.linspace(0, len(joints) - 1, 12).round().astype(int)
    bones = [(joint, int(parent)) for joint, parent in enumerate(parents) if parent >= 0]
    for place, row in enumerate(rows):
        depth = joints[row, :, 1] - joints[row, 0, 1] + 1.3 * place
        flat = np.stack([depth, joints[row, :, 2]], axis=-1)
        axis.add_collection(LineCollection([flat[list(bone)] for bone in bones], colors="tab:blue", linewidths=1.5))
    axis.axhline(0, color="0.6", lw=0.8)
    axis.set_aspect("equal")
    axis.set_xlim(-0.7, 1.3 * len(rows) - 0.6)
    axis.set_ylim(-0.1, max(1.9, float(joints[..., 2].max()) + 0.1))
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
