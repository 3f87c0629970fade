"""Measure the head's direction and the fingers.

    python -m benchmarks.extremities [--json] [--heads CLIP.mp4 …]

- *head*: rendered clips of a turning head (tools/render_head.py): the mean angle to the true head in the camera's axes.
  The baseline is the same capture without close looks (`--no-hands`). The share is that of trusted frames.
- *fingers*: known finger poses projected to the network's 21 landmarks with 2 and 5 mm of noise: the mean angle between
  known and fitted rotations, of the 15 finger joints and of the palm. No clip with true fingers exists.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.figures import Figure, main
from retarget import rotation
from retarget.kinematics import world_poses
from retarget.motion import Motion
from sfv_core.capture import capture
from sfv_core.config import CaptureConfig
from sfv_core.pose.closeup import Closeup
from sfv_core.progress import no_progress
from sfv_core.reconstruct import hand_model
from sfv_core.reconstruct.camera import Camera
from sfv_core.reconstruct.hand_fit import fit_hands

ROOT = Path(__file__).resolve().parent.parent
_FOCAL, _CENTRE, _HAND, _FRAMES = 1500.0, np.array([960.0, 540.0]), 0.19, 60


def measure(options: argparse.Namespace) -> list[Figure]:
    """Measure what there is material for."""
    figures = []
    for clip in options.heads:
        before, _ = head_error(clip, CaptureConfig(hands=False))
        after, share = head_error(clip, CaptureConfig())
        figures += [Figure(f"{clip.stem}_direction_deg", after, "°", before),
                    Figure(f"{clip.stem}_trusted_share", share, "")]
    for noise in (0.002, 0.005):
        fingers, palm = finger_error(noise)
        name = f"{1e3 * noise:.0f}mm"
        figures += [Figure(f"fingers_{name}_deg", fingers, "°"), Figure(f"palm_{name}_deg", palm, "°")]
    return figures


def head_error(clip: Path, config: CaptureConfig) -> tuple[float, float]:
    """Capture a clip; return the mean angle to the true head in degrees and the share of trusted frames."""
    with tempfile.TemporaryDirectory() as name:
        report = capture(clip, Path(name) / "out", config, no_progress)
        motion, camera = Motion.load(Path(name) / "out/motion.npz"), Camera.load(Path(name) / "out/camera.json")
    truth = Motion.load(clip.with_suffix(".truth.npz"))
    truth = truth.at(report["motion"]["start_s"] + np.arange(len(motion)) / motion.fps, motion.fps)
    heads = [rotation.multiply(rotation.inverse(seen_by.rotation), world_poses(m)[1][:, m.skeleton.index("head")])
             for m, seen_by in ((motion, camera), (truth, Camera.load(clip.with_suffix(".camera.json"))))]
    return float(np.degrees(rotation.angle(*heads)).mean()), float(report.get("head", {}).get("share", 0.0))


def finger_error(noise: float) -> tuple[float, float]:
    """Fit a hand that opens, closes and turns, 1.5 m away; return mean errors of fingers and palm in degrees."""
    t = np.linspace(0, 4 * np.pi, _FRAMES)[:, None]
    low, high = hand_model.LIMITS.T
    angles = 0.5 * (low + high) + 0.3 * (high - low) * np.sin(t + np.linspace(0, 1.5, len(low)))
    palm = rotation.multiply(rotation.from_rotvec(np.outer(np.linspace(0, 0.8, _FRAMES), [0.3, 1.0, 0.2])),
                             rotation.from_euler("XY", np.array([-1.2, 0.3])))
    with torch.no_grad():
        points = hand_model.landmarks(torch.tensor(angles, dtype=torch.float32)[None], hand_model.HandShape.mean(1),
                                      _HAND)[0].numpy().astype(float)
    points = rotation.rotate(palm[:, None], points)
    points += noise * np.random.default_rng(0).normal(size=points.shape)
    xy = points[..., :2] / (points[..., 2:] + 1.5) * _FOCAL + _CENTRE
    hand = Closeup(np.arange(_FRAMES) / 30, xy, points, np.ones(_FRAMES))
    fitted = fit_hands((hand, Closeup(hand.times, xy, points, np.zeros(_FRAMES))), 30.0, _FOCAL, _CENTRE, _HAND)
    bends = rotation.angle(hand_model.joint_rotations(fitted.angles[0]), hand_model.joint_rotations(angles))
    return float(np.degrees(bends.mean())), float(np.degrees(rotation.angle(fitted.palm[0], palm)).mean())


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--heads", nargs="*", type=Path, default=[ROOT / "examples/head.mp4"], metavar="CLIP",
                        help="clips of a turning head with the truth beside them (default: examples/head.mp4)")


if __name__ == "__main__":
    main(measure, "Measure the head's direction and the fingers.", _arguments)
