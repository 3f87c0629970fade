"""A preview of the retarget on the target itself: solved in memory, shown at each frame, gone without a trace.

The pose that it hides is kept in the scene as well, so that an undo, an autosave or a crash cannot make it the user's.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import bpy
from bpy.app.handlers import persistent

from retarget import RetargetError

from . import retargeting
from .errors import AddonError
from .properties import changed_choice
from .transfer import Performance

log = logging.getLogger(__name__)
PAUSE = 0.15
"""Time in s without a further change after which the motion is solved anew."""

_shown: Performance | None = None
_scene = ""
text = ""
"""What is wrong with the preview, for the panel."""


def running() -> bool:
    """Tell whether a preview is on."""
    return _shown is not None


def start(scene: bpy.types.Scene) -> None:
    """Solve what the panel shows and show it on the target. Raise AddonError, RetargetError."""
    global _shown, _scene, text
    end()
    _shown, _scene, text = retargeting.perform_chosen(scene), scene.name, ""
    _hide(scene)
    _apply(scene)


def end(*_: object) -> None:
    """Give the pose back that the preview hides, in whatever scene one is on."""
    global _shown, text
    _shown, text = None, ""
    if bpy.app.timers.is_registered(_solve_again):
        bpy.app.timers.unregister(_solve_again)
    for scene in bpy.data.scenes:
        _unhide(scene)


def choice_changed(scene: bpy.types.Scene) -> None:
    """Solve anew once the user has let go of a slider; at once where there are no timers."""
    if not running() or scene.name != _scene:
        return
    if bpy.app.background:
        _solve_again()
        return
    if bpy.app.timers.is_registered(_solve_again):
        bpy.app.timers.unregister(_solve_again)
    bpy.app.timers.register(_solve_again, first_interval=PAUSE)


def _solve_again() -> None:
    """Replace the motion that is shown; one that cannot be solved ends the preview with a word why."""
    global text
    scene = bpy.data.scenes.get(_scene)
    if scene is None or not running():
        return
    try:
        start(scene)
    except (AddonError, RetargetError) as error:
        end()
        text = str(error)
    except Exception as error:  # a border: a timer that raises is lost without a word
        log.exception("The preview could not be solved")
        end()
        text = f"The preview could not be solved: {type(error).__name__}: {error}"


def _hide(scene: bpy.types.Scene) -> None:
    """Keep the values that the preview is going to change."""
    held, target = scene.sfv.retarget, scene.sfv.target
    values: dict[str, dict[str, Any]] = {}
    for channel in _shown.channels:
        bone = target.pose.bones[channel.bone]
        values.setdefault(channel.bone, {})[channel.property] = _plain(_get(bone, channel.property))
    held.preview_target = target
    held.preview_pose = json.dumps({"frame": scene.frame_current_final, "bones": values})


def _unhide(scene: bpy.types.Scene) -> None:
    """Give the kept values back; where time has passed since, the animation has the last word."""
    held = scene.sfv.retarget
    if not held.preview_pose:
        return
    kept, target = json.loads(held.preview_pose), held.preview_target
    held.preview_pose, held.preview_target = "", None
    if target is None or target.pose is None:
        return
    for name, values in kept["bones"].items():
        bone = target.pose.bones.get(name)
        for path, value in values.items() if bone else ():
            _set(bone, path, value)
    if kept["frame"] != scene.frame_current_final:
        scene.frame_set(scene.frame_current, subframe=scene.frame_subframe)


def _apply(scene: bpy.types.Scene) -> None:
    """Pose the target as the motion has it at the scene's frame, or at its nearest end."""
    target = scene.sfv.retarget.preview_target
    row = round(scene.frame_current_final - float(_shown.frames[0]))
    for channel in _shown.channels:
        at = min(max(row, 0), len(channel.values) - 1)
        _set(target.pose.bones[channel.bone], channel.property, channel.values[at].tolist())


def _get(bone: bpy.types.PoseBone, path: str) -> Any:
    """Return the value of a channel; paths of custom properties are written ["name"]."""
    return bone[bpy.utils.unescape_identifier(path[2:-2])] if path.startswith("[") else getattr(bone, path)


def _set(bone: bpy.types.PoseBone, path: str, value: Any) -> None:
    """Give a channel its value, a single one or a list of as many as it has; a custom property keeps its type."""
    before = _get(bone, path)
    if isinstance(before, bool | int | float):
        value = type(before)(value[0] if isinstance(value, list) else value)
    if path.startswith("["):
        bone[bpy.utils.unescape_identifier(path[2:-2])] = value
    else:
        setattr(bone, path, value)


def _plain(value: Any) -> Any:
    return list(value) if hasattr(value, "__len__") else value


@persistent
def on_frame(scene: bpy.types.Scene, *_: object) -> None:
    """Follow the timeline."""
    if running() and scene.name == _scene and scene.sfv.retarget.preview_target is not None:
        _apply(scene)


@persistent
def on_end(*_: object) -> None:
    """End before the file is saved or rendered, after an undo, and after another file was opened."""
    end()


HANDLERS = {"frame_change_post": on_frame, "save_pre": on_end, "undo_post": on_end, "redo_post": on_end,
            "load_post": on_end, "render_init": on_end}


def register() -> None:
    for name, handler in HANDLERS.items():
        getattr(bpy.app.handlers, name).append(handler)
    changed_choice.append(choice_changed)


def unregister() -> None:
    end()
    changed_choice.remove(choice_changed)
    for name, handler in HANDLERS.items():
        getattr(bpy.app.handlers, name).remove(handler)
