"""What is known of the backend and of each job; all of it changes on the main thread only.

It is kept outside Blender's data, so that undo takes none of it back. What a reopened file needs (the job's id, where
the motions lie) is stored in the scene as well, and put back after an undo.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import bpy

from retarget import RetargetError

from . import retargeting, takes
from .client import ENDED
from .errors import AddonError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BackendView:
    """What the panel says about the backend."""

    state: str = "unknown"
    """unknown, asked, found or missing."""
    text: str = "Not looked for yet"


@dataclass(frozen=True)
class JobView:
    """What the panel says about a job."""

    kind: str
    """capture, simulate or refine."""
    state: str = "starting"
    """starting, queued, running, done, failed, cancelled, crashed; unsent: the backend never had it; lost: it does
    not answer."""
    stage: str = ""
    done: float = 0.0
    total: float = 1.0
    seconds_left: float | None = None
    text: str = ""
    """The newest message, or what went wrong."""
    advice: str = ""
    """What the backend says about the result."""
    notes: tuple[str, ...] = ()
    """What it found in the motion and did about it."""

    @property
    def ended(self) -> bool:
        return self.state in (*ENDED, "lost", "unsent")

    @property
    def can_resume(self) -> bool:
        return self.state in ("failed", "cancelled", "crashed", "lost")

    @property
    def fraction(self) -> float:
        return min(max(self.done / self.total, 0.0), 1.0) if self.total else 0.0


backend = BackendView()
views: dict[str, JobView] = {}
notes: tuple[str, ...] = ()
"""What the last retarget could not map."""
_question = 0
_kept: dict[str, dict[str, Any]] = {}


def backend_asked() -> int:
    """Note that the backend is looked for; return the question's number, which its answer must bring."""
    global backend, _question
    backend = BackendView("asked", "Looking for the backend")
    _question += 1
    return _question


def backend_answered(question: int, state: str, text: str) -> None:
    """Take in an answer, unless a newer question is open."""
    global backend
    if question == _question:
        backend = BackendView(state, text)


def job_begun(scene: bpy.types.Scene, job: str, kind: str) -> None:
    """Take a job on for a scene."""
    scene.sfv.job, scene.sfv.kind = job, kind
    views[job] = JobView(kind)
    keep(scene)


def job_event(job: str, event: dict[str, Any]) -> None:
    """Take in one event of a job."""
    view = views.get(job) or JobView(kind=getattr(getattr(scene_of(job), "sfv", None), "kind", "capture"))
    if event["kind"] == "progress":
        view = replace(view, state="running", stage=str(event.get("stage") or ""), done=float(event.get("done") or 0),
                       total=float(event.get("total") or 0), seconds_left=event.get("eta_s"))
    elif event["kind"] == "state":
        view = replace(view, state=str(event["state"]), text=str(event.get("error") or ""),
                       advice=view.advice if event["state"] == "done" else "")
    elif event["kind"] == "log":
        text = str(event.get("text") or "")
        if event.get("note"):
            view = replace(view, notes=tuple(dict.fromkeys((*view.notes, text))))
        else:
            view = replace(view, advice=text) if event.get("advice") else replace(view, text=text)
    views[job] = view


def job_lost(job: str, text: str, state: str = "lost") -> None:
    """Note that a job cannot be followed any longer, but may go on without us; or that it is `unsent`."""
    views[job] = replace(views.get(job) or JobView("capture"), state=state, text=text)


def job_arrived(job: str, files: dict[str, str]) -> None:
    """Put a finished job's motion into its scene, and onto the target if one is chosen."""
    scene = scene_of(job)
    view = replace(views.get(job) or JobView("capture"), state="done", stage="", text="")
    if scene is not None and takes.take_of(scene, view.kind).job != job:
        takes.store(scene, view.kind, job, files)
        keep(scene)
        if scene.sfv.target:
            view = replace(view, text=_bake(scene, view.kind))
    views[job] = view


def job_refined(job: str, motion: str) -> None:
    """Put a captured motion that was solved again around pins onto the target."""
    scene = scene_of(job)
    text = ""
    if scene is not None:
        scene.sfv.captured.motion = motion
        keep(scene)
        text = _bake(scene, "capture") if scene.sfv.target else ""
    views[job] = JobView("refine", "done", text=text)


def _bake(scene: bpy.types.Scene, kind: str) -> str:
    """Bake what has arrived as one undo step, and return what to tell."""
    try:
        made = takes.bake_take(scene, kind)
    except (AddonError, RetargetError) as error:
        return str(error)
    except Exception as error:  # a border: what goes wrong here must reach the panel, and the timer must live on
        log.exception("The result could not be baked")
        return f"The result could not be baked: {type(error).__name__}: {error}"
    bpy.ops.ed.undo_push(message=f"Bake {made.action.name}")
    set_notes(made.notes)
    return retargeting.describe(made)


def set_notes(found: tuple[str, ...]) -> None:
    global notes
    notes = found


def scene_of(job: str) -> bpy.types.Scene | None:
    """Find the scene that waits for a job; undo and renaming leave its id."""
    return next((scene for scene in bpy.data.scenes if scene.sfv.job == job), None)


def view_of(scene: bpy.types.Scene) -> JobView | None:
    """Return what is known of the scene's job."""
    return views.get(scene.sfv.job)


def busy(scene: bpy.types.Scene) -> bool:
    """Tell whether the scene's job is still at work."""
    view = view_of(scene)
    return view is not None and not view.ended


def keep(scene: bpy.types.Scene) -> None:
    """Remember what the scene holds of its job."""
    _kept[scene.name] = takes.snapshot(scene)


def put_back() -> None:
    """Give the scenes what an undo took from them."""
    for scene in bpy.data.scenes:
        if scene.name in _kept and takes.snapshot(scene) != _kept[scene.name]:
            takes.restore(scene, _kept[scene.name])


def forget() -> None:
    """Drop what was known of the file that was open before."""
    views.clear()
    _kept.clear()
    set_notes(())


def redraw() -> None:
    """Draw the sidebars anew."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


