"""Measure refining around pins: how long it takes, how exactly pins are kept, and what they do for their neighbours.

    python -m benchmarks.refine [--json] [--clips CLIP …]

Speed: `sfv refine` as a process of its own, start-up included, on a capture of 10 s (the captured walk, back and forth)
with two pins, a whole pose and the place of a wrist; the best of three runs. `cpu` is the processor's time of that
process, which other work on the machine hardly changes.

Worth: in each captured clip with exact truth, the two worst frames at least 0.4 s apart get pins. A pin is what an
animator who sees rightly would pose there: the true turn of every joint, on the captured body at its captured place.
The figures are the mean error of 12 limb joints relative to the hips in the other frames within 0.2 s of a pin
(`near`) and in all frames that changed (`window`); the baseline is the capture as it was. The refinement was tuned on
other clips (jump, kick, run, punch and roll, rendered with other bodies and cameras).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure, main
from retarget import rotation
from retarget.kinematics import local_rotations, world_poses
from retarget.motion import Motion
from sfv_core.capture import capture
from sfv_core.config import CaptureConfig
from sfv_core.pose.keypoints import Keypoints
from sfv_core.progress import no_progress
from sfv_core.reconstruct.camera import Camera
from sfv_core.reconstruct.pins import Pin, parse_pins
from sfv_core.refine import Capture, applied, load_capture, pin_errors, solve

ROOT = Path(__file__).resolve().parent.parent
CLIPS = ("walk", "spinkick", "backflip", "cartwheel", "dance_a")
LIMBS = tuple(f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
              for side in ("left", "right"))
_HIPS = [LIMBS.index("left_hip"), LIMBS.index("right_hip")]
_APART_S, _NEAR_S = 0.4, 0.2


@dataclass(frozen=True)
class Worth:
    """What two pins did to one clip; before and after, in mm and m/s²."""

    near: tuple[float, float]
    window: tuple[float, float]
    acceleration: tuple[float, float]


def measure(options: argparse.Namespace) -> list[Figure]:
    """Capture the clips, refine them, compare."""
    figures, found = [], {}
    with tempfile.TemporaryDirectory() as name:
        for clip in options.clips:
            video = clip if clip.suffix else ROOT / "examples" / f"{clip}.mp4"
            capture(video, Path(name) / video.stem, CaptureConfig(hands=False), no_progress)
            found[video.stem] = worth(load_capture(Path(name) / video.stem), video)
        figures += _speed(Path(name) / next(iter(found)), Path(name) / "long")
    for clip, w in found.items():
        figures += [Figure(f"refine_{clip}_near_mm", w.near[1], "mm", w.near[0]),
                    Figure(f"refine_{clip}_window_mm", w.window[1], "mm", w.window[0]),
                    Figure(f"refine_{clip}_acceleration_ms2", w.acceleration[1], "m/s²", w.acceleration[0])]
    near = np.array([w.near for w in found.values()]).mean(axis=0)
    return [*figures, Figure("refine_near_mm", float(near[1]), "mm", float(near[0]))]


def worth(captured: Capture, video: Path) -> Worth:
    """Pin the two worst frames of a capture and compare its neighbours with the truth."""
    motion, camera = captured.motion, captured.camera
    assert camera is not None
    truth = Motion.load(video.with_suffix(".truth.npz"))
    truth = truth.at(captured.start + np.arange(len(motion)) / motion.fps, motion.fps)
    true_camera = Camera.load(video.with_suffix(".camera.json"))
    exact = _limbs(truth, true_camera)
    before = np.linalg.norm(_limbs(motion, camera) - exact, axis=-1).mean(axis=1) * 1e3
    frames = _worst(before, round(_APART_S * motion.fps))
    turn = rotation.multiply(camera.rotation, rotation.inverse(true_camera.rotation))
    turns = local_rotations(truth.skeleton, rotation.multiply(turn, world_poses(truth)[1]))
    joints = [motion.skeleton.index(name) for name in truth.skeleton.names]
    pins = [Pin(frame, dict(zip(joints, turns[frame], strict=True)), {motion.skeleton.root: motion.root_pos[frame]})
            for frame in frames]
    corrections = solve(captured, pins, no_progress)
    refined = applied(motion, corrections)
    after = np.linalg.norm(_limbs(refined, camera) - exact, axis=-1).mean(axis=1) * 1e3
    window, near = np.zeros(len(motion), bool), np.zeros(len(motion), bool)
    for correction in corrections:
        window[correction.window.start : correction.window.stop] = True
    for frame in frames:
        near |= np.abs(np.arange(len(motion)) - frame) <= _NEAR_S * motion.fps
    window[frames] = near[frames] = False
    return Worth((float(before[near].mean()), float(after[near].mean())),
                 (float(before[window].mean()), float(after[window].mean())),
                 (_acceleration(motion), _acceleration(refined)))


def _speed(walk: Path, long: Path) -> list[Figure]:
    """Refine 10 s in processes of their own."""
    motion = _ten_seconds(walk, long)
    wrist = world_poses(motion)[0][200, motion.skeleton.index("right_wrist")] + [0.0, -0.1, 0.1]
    turned = rotation.multiply(motion.rotations[90], rotation.from_rotvec(
        np.random.default_rng(0).normal(0, 0.15, (len(motion.skeleton), 3))))
    content = {"format": 1, "pins": [
        {"frame": 90, "pose": {"root": (motion.root_pos[90] + [0.03, 0, 0]).tolist(),
                               "rotations": dict(zip(motion.skeleton.names, turned.tolist(), strict=True))}},
        {"frame": 200, "joints": {"right_wrist": {"position": wrist.tolist()}}}]}
    (long / "pins.json").write_text(json.dumps(content))
    seconds, working, solving, about = [], [], [], {}
    for _ in range(3):
        began, before = time.perf_counter(), os.times()
        done = subprocess.run([sys.executable, "-m", "sfv_core", "refine", str(long), "--pins", str(long / "pins.json"),
                               "--json"], check=True, capture_output=True, text=True, cwd=ROOT)
        seconds.append(time.perf_counter() - began)
        after = os.times()
        working.append(after.children_user + after.children_system - before.children_user - before.children_system)
        about = json.loads(done.stdout)
        solving.append(about["solve_seconds"])
    place, turn = pin_errors(Motion.load(long / "motion.npz"), parse_pins(content, motion, 0.0))
    return [Figure("refine_seconds", min(seconds), "s", goal=2.0),
            Figure("refine_cpu_seconds", min(working), "s"),
            Figure("refine_solve_seconds", min(solving), "s"),
            Figure("refine_pin_error_mm", 1e3 * place, "mm", goal=1.0),
            Figure("refine_pin_error_deg", float(np.degrees(turn)), "°", goal=0.1),
            Figure("refine_changed_percent", 100 * about["share_changed"], "%")]


def _ten_seconds(walk: Path, long: Path) -> Motion:
    """Write the captured walk, back and forth for 10 s, as a capture of its own; return its motion."""
    captured = load_capture(walk)
    motion, keypoints = captured.motion, captured.keypoints
    assert keypoints is not None and captured.camera is not None
    count = round(10 * motion.fps) + 1
    order = np.arange(count) % (2 * len(motion) - 2)
    order = np.minimum(order, 2 * len(motion) - 2 - order)
    times = captured.start + np.arange(count) / motion.fps
    even = keypoints.at(captured.start + np.arange(len(motion)) / motion.fps)
    long.mkdir()
    longer = replace(motion, root_pos=motion.root_pos[order], rotations=motion.rotations[order],
                     confidence=None if motion.confidence is None else motion.confidence[order],
                     contacts=None if motion.contacts is None else motion.contacts[order])
    longer.save(long / "motion.npz")
    captured.camera.save(long / "camera.json")
    Keypoints(even.names, even.xy[order], None if even.xyz is None else even.xyz[order], even.confidence[order], times,
              even.detected[order], even.size).save(long / "keypoints.npz")
    (long / "report.json").write_text(json.dumps({"format": 1, "motion": {"start_s": captured.start}}))
    return longer


def _worst(error: np.ndarray, apart: int) -> list[int]:
    """Return the two frames of largest error that lie `apart` frames from each other."""
    left, found = error.copy(), []
    for _ in range(2):
        found.append(int(left.argmax()))
        left[max(0, found[-1] - apart) : found[-1] + apart + 1] = -1.0
    return sorted(found)


def _limbs(motion: Motion, camera: Camera) -> np.ndarray:
    """Return the limbs relative to the middle of the hips in camera axes, (T, 12, 3) m."""
    limbs = camera.to_camera(world_poses(motion)[0])[:, [motion.skeleton.index(name) for name in LIMBS]]
    return limbs - limbs[:, _HIPS].mean(axis=1, keepdims=True)


def _acceleration(motion: Motion) -> float:
    """Return the joints' mean acceleration in m/s²: whether something jumps."""
    return float(np.linalg.norm(np.diff(world_poses(motion)[0], 2, axis=0), axis=-1).mean() * motion.fps**2)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clips", nargs="+", type=Path, default=[Path(clip) for clip in CLIPS],
                        help="names of clips in examples/, or videos with .truth.npz and .camera.json beside them")


if __name__ == "__main__":
    main(measure, "Measure refining around pins.", _arguments)
