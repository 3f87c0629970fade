"""How long a motion onto a generated Rigify human takes, 706 bones, 1000 frames, and how well the rig follows.

    .venv/bin/python -m benchmarks.rigify_keys [--json]

rigify_1000_s: map, retarget, probing, solving, keys and the check, rig generation left out; the motion is
examples/dance_a.truth.npz at as many frames. The naive way sets pose_bone.matrix control by control, with an update of
the view layer each, on 5 frames; its time for all frames is the baseline. Errors: FK for arms, IK for legs, over 25
frames; of directions where the rig makes a bone's twist itself. Runs in the Blender that `sfv bake` finds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

from sfv_core.bake import blender_command

from .figures import Figure, main

SCRIPT = Path(__file__).with_name("rigify_keys_in_blender.py")
GOAL_S, GOAL_DEG = 2.0, 0.5


def measure(options: argparse.Namespace) -> list[Figure]:
    """Bake in a Blender of its own and return what it measured."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*blender_command(SCRIPT), str(options.frames)], capture_output=True, text=True,
                              check=False, env={**os.environ, "BLENDER_USER_RESOURCES": folder})
    said = [line[4:] for line in done.stdout.splitlines() if line.startswith("SFV ")]
    if not said:
        raise SystemExit(f"Blender gave no answer:\n{done.stderr[-2000:]}")
    found = json.loads(said[-1])
    return [Figure(f"rigify_{options.frames}_s", found["seconds"], "s", found["naive_s"] * options.frames, GOAL_S),
            Figure("rigify_naive_s_per_frame", found["naive_s"], "s"),
            Figure("rigify_deform_error_deg", found["degrees"], "°", goal=GOAL_DEG),
            Figure("rigify_deform_error_cm", 100 * found["metres"], "cm"),
            Figure("rigify_controls_keyed", found["controls"], "")]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's options."""
    parser.add_argument("--frames", type=int, default=1000, help="frames to bake (default: 1000)")


if __name__ == "__main__":
    main(measure, __doc__.splitlines()[0], arguments)
