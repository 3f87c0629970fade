"""A job is a folder; this is the only module that knows its layout.

    job.json         what was asked for: the configuration, versions, when
    events.jsonl     what happened, one JSON object a line, append-only; a cursor is a byte offset into it
    cancel           exists once somebody asked the job to stop
    lock             held by the one worker as long as it lives; the system frees it however that worker ends
    log.txt          everything the worker and the libraries under it say
    stages/          one record per finished stage: what it was made from
    artifacts/       results by fixed names: motion.npz, policy.pt, …
    checkpoints/     where a killed training goes on

The state is derived from the events and the lock; it is stored nowhere.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retarget.whole import written_whole

from . import __version__
from .config import JobConfig
from .errors import Cancelled, SfvError
from .progress import TimeLeft
from .schema import parse, to_json

FORMAT_VERSION = 1
ENDED = ("done", "failed", "cancelled", "crashed")
RESUMABLE = ("failed", "cancelled", "crashed")
PAGE = 1 << 20
"""About how many bytes of events are read at a time."""


class Conflict(SfvError):
    """The job is in a state that does not allow what was asked."""


class BadCursor(SfvError):
    """The cursor did not come from this job's events."""


def data_folder() -> Path:
    """Return the user's folder of jobs and of the running server: SFV_DATA, else the system's place for data."""
    from platformdirs import user_data_path

    given = os.environ.get("SFV_DATA")
    return Path(given).absolute() if given else user_data_path("sfv", appauthor=False)


def jobs_folder() -> Path:
    """Return the folder that holds the user's jobs: SFV_JOBS, else a part of the data folder."""
    given = os.environ.get("SFV_JOBS")
    return Path(given).absolute() if given else data_folder() / "jobs"


@dataclass(frozen=True)
class Status:
    """Where a job stands."""

    state: str
    """queued, running, done, failed, cancelled, or crashed: running was written, but nobody holds the lock."""
    error: str = ""
    """What the user should know about the end of a failed or crashed job."""
    since: float = 0.0
    """When this state began, in s since 1970."""


@dataclass(frozen=True)
class Job:
    """One job's folder."""

    folder: Path

    @classmethod
    def create(cls, folder: Path, config: JobConfig) -> Job:
        """Make the folder, or give an existing one a new configuration; no event is written."""
        about = {"format": FORMAT_VERSION, "created": time.time(), "versions": versions(), "config": to_json(config)}
        with written_whole(folder / "job.json") as path:
            path.write_text(json.dumps(about, indent=2), encoding="utf-8")
        return cls(folder)

    @classmethod
    def open(cls, folder: Path) -> Job:
        """Return the job in `folder`; raise SfvError where there is none."""
        if not (folder / "job.json").is_file():
            raise SfvError(f"'{folder}' is not a job: it has no job.json.")
        return cls(folder)

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def about(self) -> dict[str, Any]:
        """Return job.json's content; raise SfvError where it is not one."""
        path = self.folder / "job.json"
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            if about["format"] != FORMAT_VERSION:
                raise SfvError(f"'{path}' has job format {about['format']}; this version reads {FORMAT_VERSION}.")
            return {"created": float(about["created"]), "config": dict(about["config"]),
                    "versions": dict(about["versions"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SfvError(f"'{path}' cannot be read as a job: {error!r}.") from error

    @property
    def config(self) -> JobConfig:
        return parse(JobConfig, self.about()["config"])

    # Events

    @property
    def _events(self) -> Path:
        return self.folder / "events.jsonl"

    def emit(self, kind: str, **data: Any) -> None:
        """Append one event; a line that a killed writer left torn is closed first, and readers pass over it."""
        event = {**data, "time": time.time(), "kind": kind}
        line = json.dumps({key: _plain(value) for key, value in event.items()}).encode() + b"\n"
        with self._events.open("a+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
                line = b"\n" + line
            file.write(line)

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """Return up to a page of events past the cursor, each with its own `cursor`; raise BadCursor."""
        if after == 0 and not self._events.exists():
            return []
        with self._events.open("rb") as file:
            if not 0 <= after <= file.seek(0, os.SEEK_END):
                raise BadCursor(f"There is no event at {after}. Start again from 0.")
            file.seek(max(after - 1, 0))
            if after and file.read(1) != b"\n":
                raise BadCursor(f"{after} is not the end of an event. Use the cursor of the last event, or 0.")
            lines = file.readlines(PAGE)
        found = []
        for line in lines:
            after += len(line)
            event = _parsed(line)
            if event is not None:
                found.append({**event, "cursor": after})
        return found

    def events_end(self) -> int:
        """Return the size of the event file in bytes: it has grown when there is news."""
        with suppress(FileNotFoundError):
            return self._events.stat().st_size
        return 0

    def last(self, kind: str) -> dict[str, Any] | None:
        """Return the newest event of a kind without parsing the others."""
        if not self.events_end():
            return None
        mark = b'"kind": "' + kind.encode() + b'"'
        with self._events.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            end = text.rfind(mark)
            while end >= 0:
                stop = text.find(b"\n", end)
                event = _parsed(text[text.rfind(b"\n", 0, end) + 1:stop + 1 if stop >= 0 else end])
                if event is not None and event["kind"] == kind:
                    return event
                end = text.rfind(mark, 0, end)
        return None

    # State

    def status(self) -> Status:
        """Derive where the job stands."""
        status = self._written_status()
        if status.state == "running" and not self.alive:
            status = self._written_status()  # it may have ended between the two looks
            if status.state == "running":
                text = "The worker ended without a word: killed, or the machine stopped. Resume the job to go on."
                return Status("crashed", text, status.since)
        return status

    def _written_status(self) -> Status:
        event = self.last("state")
        if event is None:
            return Status("queued", since=0.0)
        return Status(str(event.get("state")), str(event.get("error") or ""), float(event["time"]))

    @contextmanager
    def hold(self, wait: float = 1.0) -> Iterator[None]:
        """Be the job's one worker inside the block; raise Conflict if another still is after `wait` s.

        A look at `alive` takes the lock for an instant, so a worker must be ready to wait a little.
        """
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / "lock", timeout=wait)
        try:
            lock.acquire()
        except Timeout:
            raise Conflict(f"Another process works on '{self.folder}'. Wait for its end, or cancel it.") from None
        try:
            yield
        finally:
            lock.release()

    @property
    def alive(self) -> bool:
        """Whether a worker holds the job now."""
        try:
            with self.hold(wait=0):
                return False
        except Conflict:
            return True

    @property
    def cancel_requested(self) -> bool:
        return (self.folder / "cancel").exists()

    def cancel(self) -> None:
        """Ask the job to stop; it does so at its next report of progress. Raise Conflict where nothing is to stop."""
        state = self.status().state
        if state in ("done", "failed"):
            raise Conflict(f"Job {self.id} is {state}; there is nothing to cancel.")
        if state == "cancelled":
            return
        (self.folder / "cancel").touch()
        with suppress(Conflict), self.hold(wait=0):  # nobody works on it who could notice the file
            if self._written_status().state in ("queued", "running"):
                self.emit("state", state="cancelled")

    def queue(self) -> None:
        """Make the job wait for a worker, from whatever state; raise Conflict while one works on it."""
        with self.hold():
            (self.folder / "cancel").unlink(missing_ok=True)
            self.emit("state", state="queued")


class Recorder:
    """The `Progress` of a job: it writes events, estimates the time left, and raises Cancelled when asked to stop."""

    def __init__(self, job: Job, interval: float = 0.25) -> None:
        self._job, self._interval, self._left = job, interval, TimeLeft()
        self._stage, self._written = "", -math.inf
        self._waiting: dict[str, Any] | None = None

    def __call__(self, stage: str, done: float, total: float, **numbers: float) -> None:
        if self._job.cancel_requested:
            self.flush()
            raise Cancelled("Cancelled.")
        if stage != self._stage:
            self.flush()
        new, self._stage = stage != self._stage, stage
        self._waiting = {**numbers, "stage": stage, "done": done, "total": total,
                         "eta_s": self._left(stage, done, total)}
        if new or done >= total or time.monotonic() - self._written >= self._interval:
            self.flush()

    def flush(self) -> None:
        """Write the last report if it was held back."""
        if self._waiting is not None:
            self._job.emit("progress", **self._waiting)
            self._waiting, self._written = None, time.monotonic()


def all_jobs(root: Path) -> list[Job]:
    """Return the jobs in a folder."""
    return [Job(path.parent) for path in sorted(root.glob("[!.]*/job.json"))]


def versions() -> dict[str, str]:
    """Return the versions of what results depend on, without importing it."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = {"sfv": __version__, "python": platform.python_version()}
    for name in ("numpy", "torch", "mediapipe", "pybullet"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def show_also_as(file: Path, path: Path) -> None:
    """Give a file a second path, without its size on disk where links are possible; replacing one spares the other."""
    with written_whole(path) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(file, temporary)
        except OSError:
            shutil.copyfile(file, temporary)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Read one line of events; None where it is torn."""
    if not line.endswith(b"\n"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and {"kind", "time"} <= event.keys() else None


def _plain(value: Any) -> Any:
    """Turn numpy's numbers into Python's, and what JSON cannot say (NaN, infinity) into None."""
    if value is None or isinstance(value, str | bool | int | list | dict):
        return value
    return float(value) if math.isfinite(value) else None
