"""Runs inside a real Blender: install the extension, open its tab, and take a picture of every state it can be in.

A generator whose yields are pauses in s; a timer advances it, because the window must draw in between.
"""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import bpy

PACKAGE, OUT = sys.argv[sys.argv.index("--") + 1:]
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests" / "blender"))
MODULE = "bl_ext.user_default.sfv"
CAPTURE_BELOW_TOP = 188
OPTIONS_BELOW_TOP, MAP_BELOW_TOP = 539, 565
"""Where the button and the folded panels are, in px; Blender does not tell."""
PHYSICS_BELOW_TOP = 600
"""Where the folded panel is beside a job at work."""


def picture(name: str) -> None:
    """Save what the screen shows."""
    subprocess.run(["import", "-window", "root", str(Path(OUT) / f"{name}.png")], check=True)


def view() -> tuple[bpy.types.Area, bpy.types.Region]:
    """Return the 3D view and its sidebar."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    return area, next(region for region in area.regions if region.type == "UI")


def click(below_top: int) -> Iterator[float]:
    """Click into the sidebar, so many px below its top; the pauses keep the click from being lost."""
    window = bpy.context.window_manager.windows[0]
    _, region = view()
    x, y = region.x + region.width // 2, region.y + region.height - below_top
    for shift in (-5, 0):
        window.event_simulate(type="MOUSEMOVE", value="NOTHING", x=x + shift, y=y)
        yield 0.3
    for value in ("PRESS", "RELEASE"):
        window.event_simulate(type="LEFTMOUSE", value=value, x=x, y=y)
        yield 0.3


def steps() -> Iterator[float]:
    """Go through what a user sees."""
    bpy.ops.extensions.package_install_files(filepath=PACKAGE, repo="user_default", enable_on_install=True)
    area, _ = view()
    area.spaces[0].show_region_ui = True
    yield 1.0
    area, region = view()
    region.active_panel_category = "SFV"
    area.tag_redraw()
    yield 4.0
    picture("1_no_backend")
    yield from press_capture()
    yield from job_states()
    yield from retarget()
    sys.stdout.write("SFV STEPS DONE\n")


def press_capture() -> Iterator[float]:
    """Press Capture without a backend: the add-on tries to start one, and says in the panel why it cannot."""
    scene = bpy.context.scene
    scene.sfv.video = PACKAGE  # any file that is there
    yield from click(CAPTURE_BELOW_TOP)
    yield 2.0
    assert scene.sfv.job, "the click did not reach the button"
    picture("2_capture_pressed")


def job_states() -> Iterator[float]:
    """Show a job at work, done and failed, as the backend's events describe it."""
    tracking = sys.modules[f"{MODULE}.tracking"]
    scene = bpy.context.scene
    scene.sfv.video = "/home/me/dance.mp4"
    armature = bpy.data.objects.new("Hero", bpy.data.armatures.new("Hero"))
    scene.collection.objects.link(armature)
    scene.sfv.target = armature
    tracking.backend_answered(tracking.backend_asked(), "found", "Backend 0.1.0 on this machine")
    tracking.job_begun(scene, "11111111-1111-4111-8111-111111111111", "capture")
    tracking.job_event(scene.sfv.job, {"kind": "progress", "stage": "reconstruct", "done": 42, "total": 100,
                                       "eta_s": 95.0})
    tracking.redraw()
    yield 1.0
    picture("3_working")
    yield from click(PHYSICS_BELOW_TOP)
    scene.sfv.physics.slope, scene.sfv.physics.use_push, scene.sfv.physics.use_mass = 10.0, True, True
    tracking.redraw()
    yield 1.0
    picture("4_physics")
    yield from click(PHYSICS_BELOW_TOP)
    scene.sfv.captured.motion = scene.sfv.captured.picture = scene.sfv.captured.report = "/home/me/motion.npz"
    tracking.job_event(scene.sfv.job, {"kind": "state", "state": "failed", "error":
                       "No person was found in '/home/me/dance.mp4'. Use a video that shows one person whole."})
    tracking.set_notes(("'Hero.toe' stays at rest: no source joint was recognised as LeftToes.",))
    tracking.redraw()
    yield 1.0
    picture("5_failed")


def rigs() -> ModuleType:
    """Return the tests' rigs, which need the extension to be installed."""
    import rigs as made

    return made


def retarget() -> Iterator[float]:
    """Show the Retarget panel with a file, a guessed map in which one bone was chosen by hand, and a preview."""
    scene = bpy.context.scene
    tracking = sys.modules[f"{MODULE}.tracking"]
    scene.sfv.job = scene.sfv.captured.motion = ""
    tracking.set_notes(())
    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    scene.sfv.target = rigs().mixamo_like("Hero", seed=1)
    rigs().walk_in_place().save(Path(OUT) / "walk.npz")
    view()[0].spaces[0].shading.type = "SOLID"
    bpy.ops.sfv.add_files(directory=OUT, files=[{"name": "walk.npz"}])
    bpy.ops.sfv.guess_map()
    held = scene.sfv.retarget.maps[scene.sfv.retarget.map]
    held.active = [pair.joint for pair in held.pairs].index("left_wrist")
    held.pairs[held.active].bone = "mixamorig:LeftForeArm"
    held.active = [pair.joint for pair in held.pairs].index("left_elbow")
    yield 1.0
    yield from click(MAP_BELOW_TOP)
    yield 1.0
    picture("6_bone_map")
    yield from click(MAP_BELOW_TOP)
    yield from click(OPTIONS_BELOW_TOP)
    bpy.ops.sfv.preview()
    scene.frame_set(12)
    yield 1.0
    picture("7_preview")
    yield from batch()


def batch() -> Iterator[float]:
    """Bake two files while the window goes on drawing; then begin again and stop by Escape."""
    scene = bpy.context.scene
    rigs().walk_in_place(90).save(Path(OUT) / "long.npz")
    bpy.ops.sfv.add_files(directory=OUT, files=[{"name": "long.npz"}])
    area, region = view()
    window = bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.sfv.bake_all("INVOKE_DEFAULT")
        assert not bpy.data.actions, "the batch should not block"
        yield 3.0
        assert {"walk", "long"} <= set(bpy.data.actions.keys()), "the batch did not bake both"
        before = len(bpy.data.actions)
        for _ in range(40):
            scene.sfv.retarget.files.add().path = str(Path(OUT) / "long.npz")
        bpy.ops.sfv.bake_all("INVOKE_DEFAULT")
        yield 0.3
        window.event_simulate(type="ESC", value="PRESS", x=window.width // 2, y=window.height // 2)
        window.event_simulate(type="ESC", value="RELEASE", x=window.width // 2, y=window.height // 2)
        yield 2.0
        assert len(bpy.data.actions) < before + 40, "Escape did not stop the batch"
    picture("8_batch_stopped")


def advance() -> float | None:
    """Take the next step; close Blender after the last, and after a failure."""
    global running
    try:
        running = running or steps()
        return next(running)
    except StopIteration:
        pass
    except Exception:
        traceback.print_exc()
    bpy.ops.wm.quit_blender()
    return None


running: Iterator[float] | None = None
bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(advance, first_interval=2.0)
