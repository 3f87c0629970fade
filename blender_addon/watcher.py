"""Everything that waits for the backend, in threads; what they learn comes back to Blender through a queue.

The only file with threads. A thread never touches bpy: it asks the backend and posts messages. `drain` hands them to
`tracking` on the main thread, called by a timer, or by hand where timers do not run (blender -b, tests).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from . import backend, tracking
from .backend import Access, Backend
from .client import BackendError
from .errors import AddonError

INTERVAL = 0.25
"""Time in s between two looks at the queue."""
RESULTS = {"capture": ("motion.npz", "overlay.mp4", "report.html"), "simulate": ("rollout.npz", "curve.png")}
"""Which artifacts are fetched when a job of this kind is done; the first is the motion."""

_messages: queue.Queue[tuple[Callable[..., None], tuple]] = queue.Queue()
_generation = 0
"""Raised when the add-on is switched off: threads of an older one fall silent."""
_followed: set[str] = set()


@dataclass(frozen=True)
class Order:
    """A job to be submitted."""

    job: str
    """The id, chosen here, so that everything about the job can be found by it from the first moment."""
    kind: str
    """capture, simulate or refine."""
    config: dict[str, Any]
    access: Access
    folder: Path
    """Where the results are to be kept."""


def submit(order: Order) -> None:
    """Start the backend if needed, send the video if it is elsewhere, submit the job and follow it to its end."""
    _spawn(_submit, order, tracking.backend_asked())


def follow(order: Order) -> None:
    """Follow a job that was submitted before, from its first event; its configuration is not needed."""
    if order.job not in _followed:
        _spawn(_watch, order)


def resume(order: Order) -> None:
    """Let a job that ended early go on, and follow it."""
    _spawn(_resume, order, tracking.backend_asked())


def refine(order: Order) -> None:
    """Have a captured motion solved again around pins, which are the order's `config`, and fetch it."""
    _spawn(_refine, order, tracking.backend_asked())


def cancel(job: str, access: Access) -> None:
    """Ask a job to stop; its own events say when it has."""
    _spawn(_cancel, job, access)


def probe(access: Access) -> None:
    """Find out whether a backend answers."""
    _spawn(_probe, access, tracking.backend_asked())


def start(access: Access) -> None:
    """Start a backend if none answers."""
    _spawn(_start, access, tracking.backend_asked())


def drain() -> int:
    """Hand all waiting messages to Blender, on the main thread, and return how many there were."""
    count = 0
    while True:
        try:
            tell, content = _messages.get_nowait()
        except queue.Empty:
            return count
        tell(*content)
        count += 1


def wait(job: str, seconds: float) -> bool:
    """Block until the job has ended and its results are here, or the time is up (False): for scripts and tests."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        drain()
        view = tracking.views.get(job)
        if view and view.ended:
            return True
        time.sleep(0.05)
    return False


def tick() -> float:
    """Drain on Blender's timer, and show what is new."""
    if drain():
        tracking.redraw()
    return INTERVAL


def register() -> None:
    bpy.app.timers.register(tick, first_interval=INTERVAL, persistent=True)


def unregister() -> None:
    global _generation
    _generation += 1
    _followed.clear()
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    while not _messages.empty():
        _messages.get_nowait()


def _spawn(function: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=_run, args=(function, _generation, *arguments), daemon=True).start()


class _Silenced(Exception):
    """The add-on was switched off while a thread worked."""


def _run(function: Callable[..., None], *arguments: object) -> None:
    with suppress(_Silenced):
        function(*arguments)


def _post(generation: int, tell: Callable[..., None], *content: object) -> None:
    if generation != _generation:
        raise _Silenced
    _messages.put((tell, content))


def _submit(generation: int, order: Order, question: int) -> None:
    try:
        server = _reach(generation, order.access, question)
        config = dict(order.config)
        if order.access.remote:
            _post(generation, tracking.job_event, order.job, {"kind": "log", "text": "Sending the video"})
            config["video"] = server.upload(config["video"])
        server.submit(config, order.job)
    except (BackendError, AddonError) as error:
        _post(generation, tracking.job_lost, order.job, str(error), "unsent")
    else:
        _watch(generation, order)


def _resume(generation: int, order: Order, question: int) -> None:
    try:
        server = _reach(generation, order.access, question)
        before = _last_cursor(server, order.job)
        server.resume(order.job)
    except (BackendError, AddonError) as error:
        _post(generation, tracking.job_lost, order.job, str(error))
    else:
        _watch(generation, order, before)


def _refine(generation: int, order: Order, question: int) -> None:
    try:
        server = _reach(generation, order.access, question)
        server.refine(order.job, order.config)
        path = server.download(order.job, "motion.npz", order.folder / "motion.npz")
    except (BackendError, AddonError, OSError) as error:
        _post(generation, tracking.job_lost, order.job, str(error), "unsent")
    else:
        _post(generation, tracking.job_refined, order.job, str(path))


def _cancel(generation: int, job: str, access: Access) -> None:
    try:
        backend.connect(access).cancel(job)
    except (BackendError, AddonError) as error:
        _post(generation, tracking.job_event, job, {"kind": "log", "text": str(error)})


def _start(generation: int, access: Access, question: int) -> None:
    with suppress(BackendError, AddonError):  # the panel has been told
        _reach(generation, access, question)


def _probe(generation: int, access: Access, question: int) -> None:
    try:
        _post(generation, tracking.backend_answered, question, "found", backend.describe(access))
    except (BackendError, AddonError) as error:
        _post(generation, tracking.backend_answered, question, "missing", str(error))


def _reach(generation: int, access: Access, question: int) -> Backend:
    """Return the backend, started if need be; the panel learns how that went."""
    try:
        server = backend.ensure(access)
    except (BackendError, AddonError) as error:
        _post(generation, tracking.backend_answered, question, "missing", str(error))
        raise
    _probe(generation, access, question)
    return server


def _last_cursor(server: Backend, job: str) -> int:
    """Return the cursor of the newest event, so that the end of an earlier run is not taken for this one's."""
    after = 0
    while events := server.events(job, after):
        after = events[-1]["cursor"]
    return after


def _watch(generation: int, order: Order, after: int = 0) -> None:
    """Post every event until the job ends, and fetch the results of one that is done."""
    _followed.add(order.job)
    try:
        server = backend.connect(order.access)
        for event in server.watch(order.job, after):
            if event["kind"] == "state" and event["state"] == "done":
                files = {name: server.download(order.job, name, order.folder / name) for name in RESULTS[order.kind]}
                _post(generation, tracking.job_arrived, order.job, {name: str(path) for name, path in files.items()})
            else:
                _post(generation, tracking.job_event, order.job, event)
    except (BackendError, AddonError, OSError) as error:
        _post(generation, tracking.job_lost, order.job, str(error))
    finally:
        _followed.discard(order.job)
