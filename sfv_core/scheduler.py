"""Start queued jobs, a few at a time, each in a process of its own that outlives this one."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from .jobs import ENDED, Job, Status, all_jobs

log = logging.getLogger(__name__)


class Scheduler:
    """Watch a folder of jobs from a thread. It keeps no list: what is queued is read from the jobs themselves."""

    def __init__(self, root: Path, parallel: int = 1) -> None:
        self._root, self._parallel = root, parallel
        self._workers: dict[Path, tuple[subprocess.Popen[bytes], Status]] = {}
        self._ended: dict[Path, int] = {}
        self._news, self._stop = threading.Event(), False
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        """Begin to start jobs."""
        self._thread.start()

    def stop(self) -> None:
        """Start no more jobs; those that run go on."""
        self._stop = True
        self._news.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> None:
        """Look for queued jobs now instead of within a second."""
        self._news.set()

    def _run(self) -> None:
        while not self._stop:
            try:
                self._round()
            except OSError:
                log.exception("could not look after the jobs in %s", self._root)
            self._news.wait(1.0)
            self._news.clear()

    def _round(self) -> None:
        """Bury dead workers, then start as many queued jobs as may run, the longest waiting first."""
        for folder, (process, found) in list(self._workers.items()):
            if _ended(process):
                del self._workers[folder]
                if Job(folder).status() == found:  # it is queued as before: the worker did not get to say anything
                    text = f"The worker could not start (exit code {process.returncode}). See {Job(folder).log}"
                    Job(folder).emit("state", state="failed", error=text)
        busy, queued = set(self._workers), []
        for job in all_jobs(self._root):
            end = job.events_end()
            if self._ended.get(job.folder) == end:
                continue
            status = job.status()
            if status.state in ENDED:
                self._ended[job.folder] = end
            elif status.state == "running":
                busy.add(job.folder)
            elif job.folder not in busy and job.last("state") is not None:
                queued.append((status, job))
        for status, job in sorted(queued, key=lambda item: item[0].since)[:max(self._parallel - len(busy), 0)]:
            self._workers[job.folder] = start_worker(job), status


def start_worker(job: Job) -> subprocess.Popen[bytes]:
    """Start a job's worker detached: it shares neither terminal nor signals with this process."""
    apart: dict[str, int | bool] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS}
    here = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(here), os.getenv("PYTHONPATH"))))}
    with job.log.open("ab") as output:
        return subprocess.Popen([sys.executable, "-m", "sfv_core.worker", str(job.folder)], cwd=job.folder,
                                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
                                **apart)  # type: ignore[arg-type]


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a worker is dead; then whatever it started dies too, before its number can belong to another."""
    if hasattr(os, "waitid"):
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return False
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.poll() is not None
