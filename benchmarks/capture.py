"""Measure the capture: error against references, feet, people, speed and memory.

    python -m benchmarks.capture [--json] [--smpl MODEL] [--no-latent] [--memory]

Three kinds of reference:
- *rendered*: clips in examples/ with exact truth. The figures without a number show the mean body in its first
  clothes, light and camera; those with _look1 the same motions with another body, clothes, light and camera, on which
  nothing was ever tuned.
- *tennis*: a real clip with the result of GVHMR, a far larger network. Its file holds rotations only; its joints follow
  by forward kinematics on a skeleton. Neutral SMPL's is licensed, so it is the stand-in body's here unless --smpl names
  an SMPL file. On the neutral skeleton this program's error is about 3 mm lower and the baseline's the same.
- *beam*: a real clip from two cameras with points triangulated from four (weak truth, 15 px reprojection).
The real clips lie in the test material (SFV_SHARED_DATA, else ../shared/data); their figures are empty without it.

The baseline is MediaPipe's own tracker in the same run, smoothed by a Gaussian of one frame and placed by least
squares.

Joints: shoulders, elbows, wrists, hips, knees, ankles, in camera axes. MPJPE after moving the middle of the hips
together; PA-MPJPE after the best rotation, translation and scale of each frame. A true heel or toe stands when it is
lower than 3.5 cm and slower than 0.4 m/s; a foot stands when its heel or toe does. The real-time factor
is the video's length over the time of the whole capture, the program being loaded. --memory captures a video of ten
minutes (as long again) and reports the process's peak.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import metrics
from benchmarks.figures import Figure, main
from benchmarks.mediapipe_tracked import tracked
from retarget import rotation
from retarget.kinematics import forward, world_poses
from retarget.motion import Motion
from sfv_core.body.model import SMPL_NAMES, load_body, ours_from_smpl_rotation, skeleton_of, smpl_from_ours
from sfv_core.capture import capture
from sfv_core.config import CaptureConfig
from sfv_core.pose.keypoints import Keypoints
from sfv_core.progress import no_progress
from sfv_core.reconstruct.camera import Camera
from sfv_core.video import frames, open_video, writer

ROOT = Path(__file__).resolve().parent.parent
CLIPS = {"walk": 48.0, "spinkick": 70.0, "backflip": 52.0, "cartwheel": 85.0, "dance": 65.0}
"""Rendered clips and their goals in mm."""
FILES = {"dance": "dance_a"}


@dataclass(frozen=True)
class Captured:
    """What one capture wrote."""

    motion: Motion
    camera: Camera
    keypoints: Keypoints
    report: dict
    seconds: float
    """How long it took, from the file to the finished folder."""

    def limbs(self, times: np.ndarray) -> np.ndarray:
        """Return the limbs in camera axes at times in s of the video (T, 12, 3)."""
        joints, _ = world_poses(self.at(times))
        frames_after_start = (times - self.report["motion"]["start_s"]) * self.motion.fps
        return self.camera.to_camera(joints, self.camera.turns_at(frames_after_start))[:, metrics.SMPL_LIMBS]

    def at(self, times: np.ndarray) -> Motion:
        """Return the motion at times in s of the video."""
        return self.motion.at(times - self.report["motion"]["start_s"], self.motion.fps)


def captured(video: Path, config: CaptureConfig | None = None) -> Captured:
    """Capture a video in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "capture"
        began = time.perf_counter()
        report = capture(video, out, config or CaptureConfig(), no_progress)
        seconds = time.perf_counter() - began
        return Captured(Motion.load(out / "motion.npz"), Camera.load(out / "camera.json"),
                        Keypoints.load(out / "keypoints.npz"), report, seconds)


def measure(options: argparse.Namespace) -> list[Figure]:
    """Capture every clip and compare."""
    figures = _rendered("", True, options.latent) + _rendered("_v1", False, False)
    figures += _tennis(options.smpl, options.latent) + _beam() + _people()
    return figures + (_memory() if options.memory else [])


def _rendered(look: str, baseline: bool, latent: bool) -> list[Figure]:
    """Compare the rendered clips of one look with their exact truth."""
    suffix = look.replace("_v", "_look")
    figures, rows = [], []
    for clip, goal in CLIPS.items():
        video = ROOT / "examples" / f"{FILES.get(clip, clip)}{look}.mp4"
        if not video.exists():
            figures.append(Figure(f"rendered_{clip}{suffix}_mpjpe_mm", None, "mm", goal=goal))
            continue
        truth = Motion.load(video.with_suffix(".truth.npz"))
        camera = Camera.load(video.with_suffix(".camera.json"))
        exact = camera.to_camera(world_poses(truth)[0])[:, metrics.SMPL_LIMBS]
        times = np.arange(len(truth)) / truth.fps
        result = captured(video)
        raw = tracked(video)[0] if baseline else None
        rows.append((clip, _against_truth(result, truth, camera, times)))
        errors = metrics.joint_errors(result.limbs(times), exact)
        figures += [
            Figure(f"rendered_{clip}{suffix}_mpjpe_mm", float(errors.mean()), "mm",
                   None if raw is None else float(metrics.joint_errors(raw, exact).mean()), goal),
            Figure(f"rendered_{clip}{suffix}_pa_mpjpe_mm",
                   float(metrics.aligned_errors(result.limbs(times), exact).mean()), "mm",
                   None if raw is None else float(metrics.aligned_errors(raw, exact).mean()))]
        if latent:
            other = captured(video, CaptureConfig(space="latent"))
            figures.append(Figure(f"rendered_{clip}_mpjpe_mm_latent",
                                  float(metrics.joint_errors(other.limbs(times), exact).mean()), "mm"))
    if not rows:
        return figures
    mean = np.mean([row for _, row in rows], axis=0)
    worst = np.max([row for _, row in rows], axis=0)
    return figures + [
        Figure(f"foot_slide{suffix}_cm_s", float(mean[0]), "cm/s", goal=3.0),
        Figure(f"true_foot_slide{suffix}_cm_s", float(mean[1]), "cm/s"),
        Figure(f"penetration{suffix}_cm", float(worst[2]), "cm", goal=1.0),
        Figure(f"ground_tilt{suffix}_deg", float(mean[3]), "°", goal=2.0),
        Figure(f"worst_ground_tilt{suffix}_deg", float(worst[3]), "°"),
        Figure(f"contact_f1{suffix}", float(mean[4]), "", goal=0.85)]


def _against_truth(result: Captured, truth: Motion, camera: Camera, times: np.ndarray) -> tuple[float, ...]:
    """Return slide and the truth's own in cm/s, penetration in cm, ground tilt in °, and contact F1."""
    standing = metrics.true_contacts(truth)
    here = result.at(times)
    up_truth = rotation.rotate(rotation.inverse(camera.rotation), np.array([0.0, 0.0, 1.0]))
    up = rotation.rotate(rotation.inverse(result.camera.rotation), np.array([0.0, 0.0, 1.0]))
    return (metrics.speed_in_contact(metrics.soles(here), standing, truth.fps),
            metrics.speed_in_contact(metrics.soles(truth), standing, truth.fps),
            max(0.0, -100 * float(metrics.soles(result.motion)[..., 2].min())),
            metrics.angle_between(up, up_truth),
            metrics.f1(metrics.by_foot(metrics.contacts_of(here)), metrics.by_foot(standing)))


def shared_data() -> Path:
    """Return the folder of the test material."""
    return Path(os.environ.get("SFV_SHARED_DATA", ROOT.parent / "shared" / "data"))


def _tennis(smpl: str | None, latent: bool) -> list[Figure]:
    video = shared_data() / "videos" / "tennis.mp4"
    if not video.exists():
        return [Figure(name, None, unit) for name, unit in (
            ("tennis_pa_mpjpe_mm", "mm"), ("tennis_accel_error_ms2", "m/s²"), ("tennis_contact_speed_cm_s", "cm/s"),
            ("tennis_contact_f1", ""), ("realtime_factor", "s/s"))]
    reference, standing = _gvhmr(shared_data() / "results" / "gvhmr_tennis.pt", smpl)
    times = np.arange(len(reference)) / 30.0
    result = captured(video)
    estimate = result.limbs(times)
    raw, feet = tracked(video)
    errors = metrics.aligned_errors(estimate, reference)
    here = result.at(times)
    ankles_and_toes = world_poses(here)[0][:, metrics.SOLE_JOINTS]
    seconds = result.report["seconds"]
    figures = [
        Figure("tennis_pa_mpjpe_mm", float(errors.mean()), "mm",
               float(metrics.aligned_errors(raw, reference).mean()), 54.0),
        Figure("tennis_pa_mpjpe_median_mm", float(np.median(errors.mean(axis=1))), "mm"),
        Figure("tennis_mpjpe_mm", float(metrics.joint_errors(estimate, reference).mean()), "mm",
               float(metrics.joint_errors(raw, reference).mean())),
        Figure("tennis_accel_error_ms2", metrics.acceleration_error(estimate, reference, 30.0), "m/s²",
               metrics.acceleration_error(raw, reference, 30.0), 8.0),
        Figure("tennis_bone_length_variation_percent", metrics.bone_length_variation(estimate), "%",
               metrics.bone_length_variation(raw), 0.0),
        Figure("tennis_contact_speed_cm_s", metrics.speed_in_contact(ankles_and_toes, standing, 30.0), "cm/s",
               metrics.speed_in_contact(feet, standing, 30.0), 5.0),
        Figure("tennis_contact_f1", metrics.f1(metrics.by_foot(metrics.contacts_of(here)), metrics.by_foot(standing)),
               "", goal=0.9),
        Figure("tennis_penetration_cm", max(0.0, -100 * float(metrics.soles(result.motion)[..., 2].min())), "cm",
               goal=1.0),
        Figure("tennis_detect_fps", result.report["video"]["pictures_used"] / seconds["detect"], "frames/s"),
        Figure("tennis_fit_s", seconds["reconstruct"], "s"),
        Figure("realtime_factor", result.report["video"]["duration_s"] / result.seconds, "s/s", goal=1.0)]
    if latent:
        other = captured(video, CaptureConfig(space="latent"))
        figures.append(Figure("tennis_pa_mpjpe_mm_latent",
                              float(metrics.aligned_errors(other.limbs(times), reference).mean()), "mm"))
    return figures


def _gvhmr(path: Path, smpl: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return GVHMR's limbs in camera axes (T, 12, 3) m, up to a shift, and which ankles and toes stand, (T, 4)."""
    import torch

    result = torch.load(path, weights_only=True)
    body = result["smpl_params_incam"]
    turns = np.concatenate([body["global_orient"].numpy(), body["body_pose"].numpy()], axis=1)
    rotvecs = np.zeros((len(turns), len(SMPL_NAMES), 3))
    rotvecs[:, : turns.shape[1] // 3] = turns.reshape(len(turns), -1, 3)
    skeleton = skeleton_of(load_body(smpl).joint_template)
    joints, _ = forward(skeleton, np.zeros((len(turns), 3)), ours_from_smpl_rotation(rotation.from_rotvec(rotvecs)))
    standing = result["net_outputs"]["static_conf_logits"][0].numpy() > 0  # ankle, toe of the left, then of the right
    return smpl_from_ours(joints)[:, metrics.SMPL_LIMBS], standing[:, [0, 2, 1, 3]]


def _beam() -> list[Figure]:
    """Compare two cameras' captures with the points triangulated from four, and with each other."""
    folder = shared_data() / "videos" / "beam"
    if not folder.exists():
        return [Figure("beam_pa_mpjpe_mm", None, "mm"), Figure("beam_cameras_agree_mm", None, "mm")]
    with np.load(folder / "triangulated13.npz", allow_pickle=False) as data:
        points, names, fps = data["X"].astype(float), data["joints"].tolist(), float(data["fps"])
    order = [names.index(side[0] + part[0]) for side, part in (name.split("_") for name in metrics.LIMBS)]
    reference, times = points[:, order], np.arange(len(points)) / fps
    good = np.isfinite(reference).all(axis=(1, 2))
    limbs, raws, accelerations = [], [], []
    for camera in ("cam01", "cam02"):
        limbs.append(captured(folder / f"{camera}.mp4").limbs(times))
        raws.append(tracked(folder / f"{camera}.mp4")[0][: len(times)])
        accelerations.append(metrics.acceleration_error(limbs[-1], reference, fps))

    def median(estimates: list[np.ndarray]) -> float:
        return float(np.median(np.concatenate([metrics.aligned_errors(e[good], reference[good]).mean(axis=1)
                                               for e in estimates])))

    return [Figure("beam_pa_mpjpe_mm", median(limbs), "mm", median(raws), 63.0),
            Figure("beam_cameras_agree_mm", float(metrics.aligned_errors(limbs[0], limbs[1]).mean()), "mm",
                   float(metrics.aligned_errors(raws[0], raws[1]).mean()), 60.0)]


def _people() -> list[Figure]:
    """Count how often a captured person becomes another one, over the rendered crossing and the handshake."""
    crossing = ROOT / "examples" / "crossing.mp4"
    handshake = shared_data() / "videos" / "two_people_handshake.mp4"
    if not crossing.exists() or not handshake.exists():
        return [Figure("identity_switches", None, "", goal=0.0)]
    camera = Camera.load(crossing.with_suffix(".camera.json"))
    truths = [camera.project(world_poses(Motion.load(crossing.with_suffix(f".{letter}.truth.npz")))[0][:, 0])
              for letter in "ab"]
    switches = 0
    for person in (1, 2):
        times, hips = _hips(captured(crossing, CaptureConfig(person=person)).keypoints)
        frame = np.clip((times * 30).round().astype(int), 0, len(truths[0]) - 1)
        nearer = np.linalg.norm(hips - truths[0][frame], axis=1) < np.linalg.norm(hips - truths[1][frame], axis=1)
        apart = np.linalg.norm(truths[0][frame] - truths[1][frame], axis=1) > 30.0
        switches += int(np.abs(np.diff(nearer[apart].astype(int))).sum())
    (first, one), (second, two) = (_hips(captured(handshake, CaptureConfig(person=person)).keypoints)
                                   for person in (1, 2))
    _, here, there = np.intersect1d(first.round(3), second.round(3), return_indices=True)
    order = np.sign(one[here, 0] - two[there, 0])
    return [Figure("identity_switches", float(switches + np.abs(np.diff(order)).sum() / 2), "", goal=0.0)]


def _hips(keypoints: Keypoints) -> tuple[np.ndarray, np.ndarray]:
    """Return the times at which the person was found, (T,), and the middle of the hips in px then, (T, 2)."""
    pair = [keypoints.names.index("left_hip"), keypoints.names.index("right_hip")]
    return keypoints.times[keypoints.detected], keypoints.xy[keypoints.detected][:, pair].mean(axis=1)


def _memory() -> list[Figure]:
    """Capture a video of ten minutes, made of the tennis clip over and over, and report the process's peak."""
    video = shared_data() / "videos" / "tennis.mp4"
    if not video.exists():
        return [Figure("peak_memory_gib", None, "GiB", goal=2.0)]
    source = open_video(video)
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / "long.mp4"
        with writer(long, source.width, source.height, source.fps) as write:
            count = 0
            while count < 600 * source.fps:
                for frame in frames(source):
                    write(count / source.fps, frame.rgb)
                    count += 1
        script = ("import resource, subprocess, sys\n"
                  "subprocess.run([sys.executable, '-m', 'sfv_core', 'capture', sys.argv[1], '-o', sys.argv[2]], "
                  "check=True, stdout=subprocess.DEVNULL)\n"
                  "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
        said = subprocess.run([sys.executable, "-c", script, str(long), str(Path(folder) / "out")], check=True,
                              capture_output=True, text=True, cwd=ROOT)
    return [Figure("peak_memory_gib", int(said.stdout.split()[-1]) / 2**20, "GiB", goal=2.0)]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--smpl", help="licensed SMPL model file (.pkl or .npz) for the reference's skeleton")
    parser.add_argument("--no-latent", dest="latent", action="store_false", help="leave the latent space out")
    parser.add_argument("--memory", action="store_true", help="also capture a video of ten minutes")


if __name__ == "__main__":
    main(measure, "Measure the capture: error against references, feet, people, speed and memory.", _arguments)
