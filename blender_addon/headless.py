# ruff: noqa: E402 (the path must be set before the imports)
"""What the backend has Blender do: `blender -b -P headless.py -- COMMAND JSON`, or the same with a Python with bpy.

Commands: bake, map, make-rig, preview; JSON holds the command's parameters. Every line on stdout that begins with
"SFV " is JSON for the caller: {"progress": [stage, done, total]}, and at the end {"result": {…}} or {"error": "one
line"}.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent
sys.path[:] = [str(PACKAGE.parent), *(path for path in sys.path if Path(path or ".").resolve() != PACKAGE)]

import bpy

from blender_addon import demo_rig, files, preview
from blender_addon.bake import BakeOptions
from blender_addon.errors import AddonError
from blender_addon.transfer import Choices, Transfer, skeleton_for, transfer
from retarget import Motion, RetargetError
from retarget.files import read_motion
from retarget.mapping import BoneMap, guess
from retarget.solve import Options


def bake(rig: str, out: str, motions: dict[str, str], armature: str | None = None, keep_going: bool = False,
         fps: float | None = None, save_map: str | None = None, **wishes: Any) -> dict:
    """Bake each motion file as an Action of its name onto the rig and write the whole to `out`.

    keep_going: report a motion that cannot be baked under "failed", and go on with the others; raise if none can.
    fps: the scene's rate, else the first motion's; save_map: where the last motion's bone map goes; wishes: see
    `choices_for`. The scene gets the longest Action's length; the last Action is left assigned.
    """
    files.check_output(Path(out))
    files.open_rig(Path(rig))
    target = files.find_armature(Path(rig), armature)
    report: dict = {"rig": rig, "out": out, "armature": target.name, "fps": fps, "actions": {}, "notes": [],
                    "failed": {}}
    for done, (name, path) in enumerate(motions.items()):
        tell(progress=["bake", done, len(motions)])
        try:
            motion = read_motion(path)
            report["fps"] = report["fps"] or motion.fps
            made = transfer(target, motion, name, choices_for(fps=report["fps"], **wishes))
        except (AddonError, RetargetError) as error:
            if not keep_going:
                raise
            report["failed"][name] = str(error)
        else:
            report["actions"][made.action.name] = described(made, motion, target)
            report["notes"] = list(dict.fromkeys([*report["notes"], *made.notes]))
    if report["actions"]:
        _set_time(report["fps"], [action["frames"] for action in report["actions"].values()])
        files.write(Path(out))
    if save_map:
        made.bone_map.save(save_map)
    tell(progress=["bake", len(motions), len(motions)])
    return report


def map_bones(rig: str, motion: str, armature: str | None = None) -> dict:
    """Guess which joint of the motion drives which bone of the rig."""
    source = read_motion(motion).skeleton
    files.open_rig(Path(rig))
    target = skeleton_for(files.find_armature(Path(rig), armature))
    guessed = guess(source, target)
    return {"pairs": [asdict(pair) for pair in guessed.pairs], "notes": list(guessed.notes),
            **unmapped(guessed, source.names, target.names)}


def choices_for(fps: float | None = None, start_frame: int = 1, every_frame: bool = False, reduce: float = 0.0,
                reduce_mm: float = 1.0, nla: bool = False, frames: Sequence[int | None] = (None, None),
                seconds: Sequence[float | None] = (None, None), bone_map: str | None = None, limbs: str = "auto",
                solver: dict[str, Any] | None = None) -> Choices:
    """Turn what JSON says into the choices of a transfer. bone_map: path of a bone map; solver: solve.Options."""
    bake_options = BakeOptions(start_frame, tuple(frames), tuple(seconds), fps, every_frame, reduce, reduce_mm, nla)
    return Choices(Options(**(solver or {})), bake_options, BoneMap.load(bone_map) if bone_map else None, limbs)


def described(made: Transfer, motion: Motion, target: bpy.types.Object) -> dict:
    """Say of one Action what a report needs."""
    first, last = made.action.frame_range
    baked = made.baked
    return {"frames": [first, last], "bones": len(made.bone_map.pairs), "keys": baked.keys,
            "all_keys": baked.all_keys, "error_deg": baked.error_deg, "error_mm": baked.error_mm,
            "notes": list(made.notes), **unmapped(made.bone_map, motion.skeleton.names, target.data.bones.keys())}


def unmapped(bone_map: BoneMap, joints: Sequence[str], bones: Sequence[str]) -> dict[str, list[str]]:
    """Name the joints that drive nothing and the bones that nothing drives."""
    driving, driven = {pair.source for pair in bone_map.pairs}, {pair.target for pair in bone_map.pairs}
    return {"unmapped_joints": [name for name in joints if name not in driving],
            "unmapped_bones": [name for name in bones if name not in driven]}


def _set_time(fps: float, spans: list[list[float]]) -> None:
    scene = bpy.context.scene
    scene.render.fps = max(round(fps), 1)
    scene.render.fps_base = scene.render.fps / fps
    first = int(min(first for first, _ in spans))
    scene.frame_start, scene.frame_end = max(first, 0), max(int(max(last for _, last in spans)), first, 1)
    scene.frame_set(first)


def tell(**message: object) -> None:
    """Write one line for the caller."""
    sys.stdout.write(f"SFV {json.dumps(message)}\n")
    sys.stdout.flush()


COMMANDS = {"bake": bake, "map": map_bones, "make-rig": demo_rig.make, "preview": preview.render}


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
