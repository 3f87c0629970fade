"""How exactly and how fast a motion is carried over to another rig, against Mixamo's own retarget and peers' way.

    .venv/bin/python -m benchmarks.retarget [--json] [--quick]

Mixamo: one dance on three bodies (../shared/data/clips/mixamo_pairs), all six directions, 22 joints; angles in the
world, places over the target's hip height. The peers' way in the same run: turns since rest with the hips at rest + way
× scale, what Blender's retargeting add-ons do at best; with BVH's axes it is also what Copy Rotation gives.
Copies and round trips: recordings of CMU and others. Bones, keys and control rigs: benchmarks.bone_maps, write_keys and
rigify_keys, which --quick leaves out.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from statistics import mean

import numpy as np

from retarget import Motion, Skeleton, amc, bvh, rotation
from retarget.contact import touching
from retarget.kinematics import local_rotations, rest_pose, world_poses
from retarget.mapping import guess
from retarget.roles import find_roles
from retarget.solve import Options, retarget

from . import bone_maps, rigify_keys, write_keys
from .copies import COPIES, copy_error, round_trip
from .figures import Figure, main

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
BODIES = ("Ortiz", "Mousey", "Sporty_Granny")
TRUNK = ("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head")
LIMBS = ("Shoulder", "Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot", "ToeBase")
JOINTS = [f"mixamorig:{name}" for name in (*TRUNK, *(side + limb for side in ("Left", "Right") for limb in LIMBS))]
TOES = ("mixamorig:LeftToeBase", "mixamorig:RightToeBase")
CLIPS = ("clips/cmu_01_01.bvh", "clips/xia_neutral.bvh", "clips/jumping_jacks.bvh", "mocap_cmu/02_01.amc")
FRAMES, REPEATS = 1000, 9
OURS = Options(feet="lock")


def measure(options: argparse.Namespace) -> list[Figure]:
    """Measure everything that is here to be measured."""
    if not DATA.is_dir():
        raise SystemExit(f"This needs the recordings in {DATA}.")
    dances = {name: bvh.load(DATA / f"clips/mixamo_pairs/{name}__Macarena_Dance.bvh") for name in BODIES}
    figures = [*mixamo(dances), *exactness(dances), *speed(dances)]
    if not options.quick:
        for part in (bone_maps, write_keys, rigify_keys):
            figures += part.measure(argparse.Namespace(json=options.json, frames=FRAMES))
    return figures


def mixamo(dances: dict[str, Motion]) -> list[Figure]:
    """Compare all six directions with Mixamo's own, beside the peers' way."""
    ways = {"ours": ours, "turned": turned}
    found: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    figures = []
    for source, target in permutations(BODIES, 2):
        for name, way in ways.items():
            found[name].append(np.array(errors(way(dances[source], dances[target].skeleton), dances[target])))
        angle, place, slide = found["ours"][-1]
        pair = f"{source.lower()}_to_{target.lower()}"
        figures += [Figure(f"mixamo_angle_error_deg_{pair}", angle, "°", found["turned"][-1][0], 2.0),
                    Figure(f"mixamo_position_error_{pair}", place, "hip heights", found["turned"][-1][1], 0.02),
                    Figure(f"foot_slide_ratio_{pair}", slide, "× truth's", found["turned"][-1][2], 1.2)]
    worst = {name: np.max(rows, axis=0) for name, rows in found.items()}
    means = {name: np.mean(rows, axis=0) for name, rows in found.items()}
    return [Figure("mixamo_angle_error_deg", worst["ours"][0], "°, worst pair", worst["turned"][0], 2.0),
            Figure("mixamo_angle_error_deg_mean", means["ours"][0], "°", means["turned"][0], 2.0),
            Figure("mixamo_position_error", worst["ours"][1], "hip heights, worst pair", worst["turned"][1], 0.02),
            Figure("mixamo_position_error_mean", means["ours"][1], "hip heights", means["turned"][1], 0.02),
            Figure("foot_slide_ratio", worst["ours"][2], "× truth's, worst pair", worst["turned"][2], 1.2), *figures]


def ours(motion: Motion, target: Skeleton) -> Motion:
    """Carry over as the product does."""
    return retarget(motion, target, guess(motion.skeleton, target), OURS)


def turned(motion: Motion, target: Skeleton) -> Motion:
    """Turn each bone since rest as its namesake turned, as add-ons that compensate rest poses do."""
    (_, here), (_, rest), (_, world) = rest_pose(motion.skeleton), rest_pose(target), world_poses(motion)
    turns = np.tile(rest, (len(motion), 1, 1))
    for j, name in enumerate(target.names):
        if name in motion.skeleton.names:
            i = motion.skeleton.index(name)
            turns[:, j] = rotation.multiply(rotation.multiply(world[:, i], rotation.inverse(here[i])), rest[j])
    return _with_peers_root(motion, target, turns)


def _with_peers_root(motion: Motion, target: Skeleton, turns: np.ndarray) -> Motion:
    here, there = rest_pose(motion.skeleton)[0][0], rest_pose(target)[0][0]
    root = there + (motion.root_pos - here) * there[2] / here[2]
    return Motion(target, motion.fps, root, local_rotations(target, turns))


def errors(result: Motion, truth: Motion) -> tuple[float, float, float]:
    """Return mean angle in degrees, mean distance in hip heights, and the slide of standing feet per truth's."""
    (place, world), (true_place, true_world) = world_poses(result), world_poses(truth)
    joints = [truth.skeleton.index(name) for name in JOINTS]
    toes = [truth.skeleton.index(name) for name in TOES]
    height = float(rest_pose(truth.skeleton)[0][0, 2])
    angle = np.degrees(rotation.angle(world, true_world)[:, joints].mean())
    far = np.linalg.norm(place - true_place, axis=-1)[:, joints].mean() / height
    stands = touching(true_place[:, toes], truth.fps, height)
    slides = [_slide(p[:, toes], stands) for p in (place, true_place)]
    return float(angle), float(far), slides[0] / slides[1]


def _slide(toes: np.ndarray, stands: np.ndarray) -> float:
    """Return the mean step over the ground in m while a toe stands in the truth. (T, 2, 3) m, (T, 2) bool."""
    step = np.linalg.norm(np.diff(toes[..., :2], axis=0), axis=-1)
    return float(step[stands[1:] & stands[:-1]].mean())


def exactness(dances: dict[str, Motion]) -> list[Figure]:
    """Carry recordings over to copies of their body, and there and back."""
    clips = [(amc if name.endswith("amc") else bvh).load(DATA / name).resample(30.0) for name in CLIPS]
    clips.append(dances["Sporty_Granny"].resample(30.0))
    worst = {}
    for name, make in COPIES.items():
        made = [(clip, *make(clip.skeleton)) for clip in clips if name != "re-parented" or _has_shoulders(clip)]
        worst[name] = max(copy_error(clip, copy, axes, Options()) for clip, copy, axes in made)
    back = [round_trip(clip, make(clip.skeleton)[0], Options()) for clip in clips for name, make in COPIES.items()
            if name != "re-parented" or _has_shoulders(clip)]
    other = [round_trip(clip, dances["Ortiz"].skeleton, Options(feet="off")) for clip in clips[-1:]]
    return [Figure("copy_error_deg", max(worst.values()), "°, worst joint of all", goal=0.01),
            *(Figure(f"copy_error_deg_{name.replace(' ', '_')}", value, "°", goal=0.01)
              for name, value in worst.items()),
            Figure("round_trip_error_deg", max(back), "°, worst joint of all", goal=0.1),
            Figure("round_trip_error_deg_another_body", max(other), "°, legs by their turns")]


def _has_shoulders(motion: Motion) -> bool:
    return "LeftShoulder" in find_roles(motion.skeleton).joints


def speed(dances: dict[str, Motion]) -> list[Figure]:
    """Time 1000 frames onto a body of about 60 bones, feet planted."""
    dance, target = dances["Sporty_Granny"], dances["Ortiz"].skeleton
    rows = np.arange(FRAMES) % len(dance)
    motion = replace(dance, root_pos=dance.root_pos[rows], rotations=dance.rotations[rows])
    bone_map = guess(motion.skeleton, target)
    seconds = {}
    for feet in ("off", "lock"):
        times = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            retarget(motion, target, bone_map, Options(feet=feet))
            times.append(time.perf_counter() - start)
        seconds[feet] = sorted(times)[len(times) // 2]
    start = time.perf_counter()
    for _ in range(5):
        guess(motion.skeleton, target)
    unit = f"s, {len(target)} bones, median of {REPEATS}"
    return [Figure("solve_1000x60_s", seconds["lock"], unit, seconds["off"], 0.05),
            Figure("guess_map_s", mean([time.perf_counter() - start]) / 5, "s")]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's options."""
    parser.add_argument("--quick", action="store_true", help="leave out what needs Blender")


if __name__ == "__main__":
    main(measure, __doc__.splitlines()[0], arguments)
