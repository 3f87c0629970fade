# ruff: noqa: E402 (the path must be set before the imports)
"""What the backend has Blender do: `blender -b -P headless.py -- COMMAND JSON`, or the same with a Python with bpy.

Commands: bake, make-rig, preview; JSON holds the command's parameters. Every line on stdout that begins with "SFV "
is JSON for the caller: {"progress": [stage, done, total]}, and at the end {"result": {…}} or {"error": "one line"}.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
sys.path[:] = [str(PACKAGE.parent), *(path for path in sys.path if Path(path or ".").resolve() != PACKAGE)]

import bpy

from blender_addon import demo_rig, files, preview
from blender_addon.bake import BakeOptions
from blender_addon.errors import AddonError
from blender_addon.transfer import Choices, transfer
from retarget import Motion, RetargetError


def bake(rig: str, out: str, motions: dict[str, str], armature: str | None = None) -> dict:
    """Bake each motion file as an Action of its name onto the rig and write the whole to `out`.

    The scene takes the first motion's frame rate and the longest one's length; the last Action is left assigned.
    """
    files.check_output(Path(out))
    loaded = {name: Motion.load(path) for name, path in motions.items()}
    fps = next(iter(loaded.values())).fps
    files.open_rig(Path(rig))
    target = files.find_armature(Path(rig), armature)
    report = {"out": out, "armature": target.name, "fps": fps, "actions": {}, "notes": []}
    for done, (name, motion) in enumerate(loaded.items()):
        tell(progress=["bake", done, len(loaded)])
        made = transfer(target, motion, name, Choices(bake=BakeOptions(fps=fps)))
        first, last = made.action.frame_range
        report["actions"][made.action.name] = {"frames": [first, last], "bones": len(made.bone_map.pairs)}
        report["notes"] = list(made.notes)
    _set_time(fps, max(action["frames"][1] for action in report["actions"].values()))
    files.write(Path(out))
    tell(progress=["bake", len(loaded), len(loaded)])
    return report


def _set_time(fps: float, last_frame: float) -> None:
    scene = bpy.context.scene
    scene.render.fps = max(round(fps), 1)
    scene.render.fps_base = scene.render.fps / fps
    scene.frame_start, scene.frame_end = 1, max(int(last_frame), 1)
    scene.frame_set(1)


def tell(**message: object) -> None:
    """Write one line for the caller."""
    sys.stdout.write(f"SFV {json.dumps(message)}\n")
    sys.stdout.flush()


COMMANDS = {"bake": bake, "make-rig": demo_rig.make, "preview": preview.render}


def main() -> int:
    """Do what the command line says and return the exit code."""
    arguments = sys.argv[sys.argv.index("--") + 1:] if "--" in sys.argv else sys.argv[1:]
    try:
        command, parameters = arguments
        tell(result=COMMANDS[command](**json.loads(parameters)))
    except (AddonError, RetargetError) as error:
        tell(error=str(error))
        return 1
    except Exception as error:
        traceback.print_exc()
        tell(error=f"Blender failed: {type(error).__name__}: {error}".splitlines()[0])
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # Blender's static destructors can hang
