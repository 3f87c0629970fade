"""Measure the capture: error against references, and speed.

    python -m benchmarks.capture [--json] [--smpl MODEL]

Tennis is a real clip with the result of GVHMR, a far larger network, as reference; it lies in the test material
(SFV_SHARED_DATA, else ../shared/data) and its figures are empty without it. The rendered clips in examples/ have exact
truth. The baseline is MediaPipe alone in the same run: tracked, smoothed by a Gaussian of one frame.

Joints: shoulders, elbows, wrists, hips, knees, ankles, in camera axes. MPJPE after moving the middle of the hips
together; PA-MPJPE after the best rotation, translation and scale of each frame; acceleration error is the mean
difference of second differences in m/s².

GVHMR's file holds rotations only; its joints follow from them by forward kinematics on a skeleton. Neutral SMPL's is
licensed, so it is the stand-in body's here unless --smpl names an SMPL file. On the neutral skeleton this program's
error is about 3 mm lower and the baseline's the same, so the default does not flatter.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from benchmarks.figures import Figure, main
from retarget import rotation
from retarget.kinematics import forward, world_poses
from retarget.motion import Motion
from sfv_core.body.model import SMPL_NAMES, load_body, ours_from_smpl_rotation, skeleton_of, smpl_from_ours
from sfv_core.capture import capture
from sfv_core.config import CaptureConfig
from sfv_core.pose.keypoints import Keypoints
from sfv_core.pose.mediapipe import NAMES, track
from sfv_core.progress import no_progress
from sfv_core.reconstruct.camera import Camera
from sfv_core.video import open_video

ROOT = Path(__file__).resolve().parent.parent
CLIPS = ("walk", "spinkick", "backflip")
LIMBS = tuple(f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
              for side in ("left", "right"))
_HIPS = [LIMBS.index("left_hip"), LIMBS.index("right_hip")]
_SMPL = [SMPL_NAMES.index(name) for name in LIMBS]
_MEDIAPIPE = [NAMES.index(name) for name in LIMBS]


def mpjpe(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean joint distance in mm after moving the middles of the hips together. (T, 12, 3) m each."""
    return float(np.linalg.norm(_centred(estimate) - _centred(truth), axis=-1).mean() * 1e3)


def pa_mpjpe(estimate: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean joint distance in mm after the best similarity transform of each frame. (T, 12, 3) m each."""
    a = estimate - estimate.mean(axis=1, keepdims=True)
    b = truth - truth.mean(axis=1, keepdims=True)
    u, s, vt = np.linalg.svd(np.einsum("tki,tkj->tij", b, a))
    sign = np.ones_like(s)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    scale = (s * sign).sum(axis=1) / (a**2).sum(axis=(1, 2))
    aligned = scale[:, None, None] * np.einsum("tij,tj,tjk,tnk->tni", u, sign, vt, a)
    return float(np.linalg.norm(aligned - b, axis=-1).mean() * 1e3)


def acceleration_error(estimate: np.ndarray, truth: np.ndarray, fps: float) -> float:
    """Return the mean difference of accelerations relative to the hips in m/s². (T, 12, 3) m each."""
    error = np.diff(_centred(estimate) - _centred(truth), 2, axis=0)
    return float(np.linalg.norm(error, axis=-1).mean() * fps**2)


def measure(options: argparse.Namespace) -> list[Figure]:
    """Capture every clip and compare."""
    figures = _tennis(options.smpl)
    for clip in CLIPS:
        video = ROOT / "examples" / f"{clip}.mp4"
        if not video.exists():
            figures += [Figure(f"rendered_{clip}_{kind}_mm", None, "mm") for kind in ("mpjpe", "pa_mpjpe")]
            continue
        truth = Motion.load(video.with_suffix("").with_suffix(".truth.npz"))
        camera = Camera.load(video.with_suffix("").with_suffix(".camera.json"))
        exact = camera.to_camera(world_poses(truth)[0])[:, _SMPL]
        estimate, _ = _captured(video, np.arange(len(truth)) / truth.fps)
        raw = _raw(video)
        figures += [Figure(f"rendered_{clip}_mpjpe_mm", mpjpe(estimate, exact), "mm", mpjpe(raw, exact)),
                    Figure(f"rendered_{clip}_pa_mpjpe_mm", pa_mpjpe(estimate, exact), "mm", pa_mpjpe(raw, exact))]
    return figures


def _tennis(smpl: str | None) -> list[Figure]:
    data = Path(os.environ.get("SFV_SHARED_DATA", ROOT.parent / "shared" / "data"))
    video = data / "videos" / "tennis.mp4"
    if not video.exists():
        units = {"tennis_pa_mpjpe_mm": "mm", "tennis_accel_error_ms2": "m/s²", "tennis_detect_fps": "frames/s",
                 "realtime_factor": "s/s"}
        return [Figure(name, None, unit) for name, unit in units.items()]
    reference = _gvhmr(data / "results" / "gvhmr_tennis.pt", smpl)
    estimate, report = _captured(video, np.arange(len(reference)) / 30.0)
    raw = _raw(video)
    return [
        Figure("tennis_pa_mpjpe_mm", pa_mpjpe(estimate, reference), "mm", pa_mpjpe(raw, reference)),
        Figure("tennis_accel_error_ms2", acceleration_error(estimate, reference, 30.0), "m/s²",
               acceleration_error(raw, reference, 30.0)),
        Figure("tennis_detect_fps", report["video"]["pictures_used"] / report["seconds"]["detect"], "frames/s"),
        Figure("realtime_factor", report["realtime_factor"], "s/s", goal=1.0),
    ]


def _captured(video: Path, times: np.ndarray) -> tuple[np.ndarray, dict]:
    """Return the captured limbs in camera axes at times in s of the video (T, 12, 3), and the report."""
    with tempfile.TemporaryDirectory() as folder:
        report = capture(video, Path(folder) / "capture", CaptureConfig(), no_progress)
        motion = Motion.load(Path(folder) / "capture" / "motion.npz")
        camera = Camera.load(Path(folder) / "capture" / "camera.json")
    joints, _ = world_poses(motion.at(times - report["motion"]["start_s"], motion.fps))
    return camera.to_camera(joints)[:, _SMPL], report


def _raw(video: Path) -> np.ndarray:
    """Return what MediaPipe's tracker alone says, smoothed: limbs in camera axes (T, 12, 3)."""
    source = open_video(video)
    times, pairs = track(source, 0.0, None, no_progress)
    detected = np.array([found is not None for found, _ in pairs])
    xyz = np.stack([np.zeros((len(NAMES), 3)) if found is None else found.xyz for found, _ in pairs])
    keypoints = Keypoints(NAMES, np.zeros((*xyz.shape[:2], 2)), xyz, np.ones(xyz.shape[:2]), np.array(times), detected,
                          (source.width, source.height))
    filled = keypoints.at(keypoints.times).xyz
    assert filled is not None
    return gaussian_filter1d(filled[:, _MEDIAPIPE], 1.0, axis=0)


def _gvhmr(path: Path, smpl: str | None) -> np.ndarray:
    """Return GVHMR's limbs in camera axes (T, 12, 3) m, up to a shift."""
    import torch

    result = torch.load(path, weights_only=True)["smpl_params_incam"]
    turns = np.concatenate([result["global_orient"].numpy(), result["body_pose"].numpy()], axis=1)
    rotvecs = np.zeros((len(turns), len(SMPL_NAMES), 3))
    rotvecs[:, : turns.shape[1] // 3] = turns.reshape(len(turns), -1, 3)
    skeleton = skeleton_of(load_body(smpl).joint_template)
    joints, _ = forward(skeleton, np.zeros((len(turns), 3)), ours_from_smpl_rotation(rotation.from_rotvec(rotvecs)))
    return smpl_from_ours(joints)[:, _SMPL]


def _centred(limbs: np.ndarray) -> np.ndarray:
    return limbs - limbs[:, _HIPS].mean(axis=1, keepdims=True)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--smpl", help="licensed SMPL model file (.pkl or .npz) for the reference's skeleton")


if __name__ == "__main__":
    main(measure, "Measure the capture: error against references, and speed.", _arguments)
