"""A job done in this process, in a folder that the user named: what `sfv run` and `sfv demo` do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from retarget import RetargetError

from . import pipeline
from .config import JobConfig
from .errors import Cancelled, SfvError
from .jobs import Conflict, Job, show_also_as
from .options import made_for_output
from .terminal import Console
from .worker import work

LAYOUT = frozenset({"job.json", "events.jsonl", "cancel", "lock", "log.txt", "stages", "artifacts", "checkpoints"})


def run(folder: Path, config: JobConfig, console: Console) -> dict[str, Any]:
    """Do a job, or go on with it; where bad input stops a new one at once, nothing stays behind."""
    pipeline.check(config)
    new = not folder.exists() or not any(folder.iterdir())
    if not new:
        _make_sure_it_is_ours(folder)
    with made_for_output(folder):
        try:
            return finish(Job.create(folder, config), console)
        except (SfvError, RetargetError) as error:
            if new and not isinstance(error, Cancelled) and not (folder / "stages").exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()  # `made_for_output` decides whether it stays
            raise


def finish(job: Job, console: Console) -> dict[str, Any]:
    """Bring a job to its end, and show its results at the top of its folder too."""
    job.queue()
    console.log_to(job.log)
    reports = work(job, watch=console.progress)
    made = [name for stage in pipeline.asked_for(job.config) for name in stage.makes]
    for name in made:
        show_also_as(job.artifacts / name, job.folder / name)
    return {"job": str(job.folder), "state": job.status().state, "stages": reports,
            "files": [str(job.folder / name) for name in made]}


def _make_sure_it_is_ours(folder: Path) -> None:
    """Raise SfvError if files would be overwritten that no job of ours made, or while a worker is at it."""
    if (folder / "job.json").is_file():
        if Job(folder).alive:
            raise Conflict(f"Another process works on '{folder}'. Wait for its end, or cancel it.")
        return
    ours = LAYOUT | {name for stage in pipeline.STAGES for name in stage.makes}
    taken = sorted(path.name for path in folder.iterdir() if path.name in ours)
    if taken:
        raise SfvError(f"'{folder}' is not a job's folder, and {', '.join(taken)} in it would be overwritten. "
                       "Give a new folder.")
