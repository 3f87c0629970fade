# ruff: noqa: E402 (the path must be set before the imports)
"""Runs inside Blender: bake onto a generated Rigify human and say how long it took and how well it follows, as JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [str(ROOT), *(path for path in sys.path if Path(path or ".").resolve() != ROOT / "benchmarks")]

import bpy  # isort: skip (it brings the next one)
import addon_utils
import numpy as np

from blender_addon.bake import BakeOptions
from blender_addon.following import measure
from blender_addon.transfer import Choices, perform, transfer
from retarget import Motion

FRAMES = int(sys.argv[-1])
REPEATS = 3
"""Runs of the add-on's way; the median counts."""
NAIVE = 5
"""Frames that the naive way poses."""


def rig() -> bpy.types.Object:
    """Generate Rigify's human in an empty scene."""
    bpy.ops.wm.read_homefile(use_empty=True)
    addon_utils.enable("rigify", default_set=True)
    bpy.ops.object.armature_human_metarig_add()
    metarig = bpy.context.object
    bpy.ops.pose.rigify_generate()
    bpy.data.objects.remove(metarig)
    return next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")


def naive(armature: bpy.types.Object, controls: list[str]) -> float:
    """Put controls where they are on a few frames, one after the other, and return the seconds a frame takes."""
    frames = np.linspace(1, FRAMES, NAIVE).astype(int)
    wanted = []
    for frame in frames:
        bpy.context.scene.frame_set(int(frame))
        wanted.append([armature.pose.bones[name].matrix.copy() for name in controls])
    began = time.perf_counter()
    for matrices in wanted:
        for name, matrix in zip(controls, matrices, strict=True):
            armature.pose.bones[name].matrix = matrix
            bpy.context.view_layer.update()
    return (time.perf_counter() - began) / NAIVE


def run() -> dict[str, float]:
    """Bake, measure, and compare."""
    armature = rig()
    motion = Motion.load(ROOT / "examples" / "dance_a.truth.npz")
    motion = motion.resample((FRAMES - 0.5) / motion.duration)
    choices = Choices(bake=BakeOptions(every_frame=True))
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        transfer(armature, motion, "dance", choices)
        seconds.append(time.perf_counter() - began)
    shown = perform(armature, motion, choices)
    following = measure(armature, shown.on_rig, shown.frames, shown.followed, checked=25)
    turned = [c.bone for c in shown.channels if c.property.startswith("rotation_") and len(c.values) == len(motion)]
    return {"seconds": float(np.median(seconds)), "degrees": following.degrees, "metres": following.metres,
            "controls": len(turned), "naive_s": naive(armature, [name for name in turned if "_ik" not in name])}


if __name__ == "__main__":
    sys.stdout.write(f"SFV {json.dumps(run())}\n")
    sys.stdout.flush()
    os._exit(0)  # Blender's static destructors can hang after Rigify
