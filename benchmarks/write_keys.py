"""How long keys take: the add-on's way against Blender's own, 60 bones × 1000 frames × 4 quaternion channels.

    .venv/bin/python -m benchmarks.write_keys [--json]

Runs in the Blender that `sfv bake` finds (SFV_BLENDER, `blender`, .venv-bpy), all ways in one process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

from sfv_core.bake import blender_command

from .figures import Figure, main

SCRIPT = Path(__file__).with_name("write_keys_in_blender.py")
GOAL_S, GOAL_SPEEDUP = 0.05, 150.0


def measure(options: argparse.Namespace) -> list[Figure]:
    """Write the same keys in every way and return the times."""
    done = subprocess.run([*blender_command(SCRIPT), str(options.frames)], capture_output=True, text=True, check=False)
    said = [line[4:] for line in done.stdout.splitlines() if line.startswith("SFV ")]
    if not said:
        raise SystemExit(f"Blender gave no answer:\n{done.stderr[-2000:]}")
    seconds = json.loads(said[-1])
    ours, insert = seconds["ours"], seconds["keyframe_insert"]
    figures = [Figure("write_keys_1000x60_s", ours, "s", insert, GOAL_S),
               Figure("write_keys_speedup", insert / ours, "×", 1.0, GOAL_SPEEDUP)]
    peers = {"points_insert": "keyframe_points.insert, FAST", "nla_bake": "bpy.ops.nla.bake"}
    figures += [Figure(f"write_keys_{name}_s", seconds[name], "s") for name in peers]
    return figures + [Figure("write_keys_value_error", seconds["error"], "", goal=1e-6)]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the benchmark's options."""
    parser.add_argument("--frames", type=int, default=1000, help="frames to write (default: 1000)")


if __name__ == "__main__":
    main(measure, __doc__.splitlines()[0], arguments)
