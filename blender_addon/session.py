"""What follows when a file is opened and when something is undone."""

from __future__ import annotations

from pathlib import Path

import bpy
from bpy.app.handlers import persistent

from . import tracking, watcher
from .preferences import access


def results_folder(job: str) -> Path:
    """Return where a job's results are kept: not in the add-on's own folder, which an update deletes."""
    return Path(bpy.utils.extension_path_user(__package__, path=f"results/{job}", create=True))


def order_for(scene: bpy.types.Scene, config: dict | None = None) -> watcher.Order:
    """Return the order for the scene's own job."""
    return watcher.Order(scene.sfv.job, scene.sfv.kind, config or {}, access(), results_folder(scene.sfv.job))


@persistent
def on_load(*_: object) -> None:
    """Look for the backend, and follow the jobs that the opened file waits for."""
    tracking.forget()
    watcher.probe(access())
    for scene in bpy.data.scenes:
        held = scene.sfv
        if held.job and held.job not in (held.captured.job, held.simulated.job):
            tracking.job_begun(scene, held.job, held.kind)
            watcher.follow(order_for(scene))


@persistent
def on_undo(*_: object) -> None:
    """Keep the scene's jobs: they go on, whatever was undone."""
    tracking.put_back()


def _first_look() -> None:
    """Do for the file that is open already what opening it would have done."""
    on_load()


def register() -> None:
    watcher.register()
    bpy.app.handlers.load_post.append(on_load)
    bpy.app.handlers.undo_post.append(on_undo)
    bpy.app.handlers.redo_post.append(on_undo)
    bpy.app.timers.register(_first_look, first_interval=0.5)


def unregister() -> None:
    if bpy.app.timers.is_registered(_first_look):
        bpy.app.timers.unregister(_first_look)
    bpy.app.handlers.redo_post.remove(on_undo)
    bpy.app.handlers.undo_post.remove(on_undo)
    bpy.app.handlers.load_post.remove(on_load)
    watcher.unregister()
    tracking.forget()
