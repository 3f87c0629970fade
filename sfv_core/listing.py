"""What there is to know about a job, for people and over the wire."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import SfvError
from .jobs import Job, all_jobs


def describe(job: Job) -> dict[str, Any]:
    """Return all that a client may know about a job; one whose file is damaged counts as failed."""
    try:
        about = job.about()
    except SfvError as error:
        return {"id": job.id, "name": "", "state": "failed", "stage": None, "created": 0.0, "config": {},
                "error": str(error), "artifacts": {}}
    status, progress = job.status(), job.last("progress") or {}
    return {"id": job.id, "name": str(about["config"].get("name", "")), "state": status.state,
            "stage": progress.get("stage"), "created": about["created"], "config": about["config"],
            "error": status.error, "artifacts": artifacts(job)}


def artifacts(job: Job) -> dict[str, int]:
    """Return the name and size in bytes of each finished result."""
    found = {}
    for path in sorted(job.artifacts.glob("[!.]*")):
        with suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink():
                found[path.name] = path.stat().st_size
    return found


def find_job(root: Path, name: str) -> Job:
    """Return the job with this id, beginning of an id, or folder; raise SfvError where it is none or not one."""
    if (Path(name) / "job.json").is_file():
        return Job(Path(name))
    found = [job for job in all_jobs(root) if job.id.startswith(name)]
    if len(found) != 1:
        raise SfvError(f"{len(found) or 'No'} {'jobs begin' if len(found) > 1 else 'job begins'} with '{name}' in "
                       f"'{root}'. See them all with: sfv jobs")
    return found[0]
