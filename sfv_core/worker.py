"""One job in one process: `python -m sfv_core.worker JOB_FOLDER`. The server starts it; so may a farm or a person."""

from __future__ import annotations

import argparse
import faulthandler
import logging
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from retarget import RetargetError

from .errors import Cancelled, SfvError
from .jobs import Conflict, Job, Recorder
from .pipeline import STAGES, Report, Stage, run
from .progress import Progress, no_progress


class Stopped(BaseException):
    """The system asked the process to end."""


def work(job: Job, stages: Sequence[Stage] = STAGES, watch: Progress = no_progress) -> dict[str, Report]:
    """Do a queued job to its end, telling its events and `watch`; return each stage's report.

    However it ends, the job's state says so. Raises Conflict (somebody else works on it), Cancelled, or what failed.
    """
    with job.hold(), stopped_by_sigterm():
        if job.status().state != "queued":
            raise Conflict(f"Job {job.id} is {job.status().state}. Resume it first.")
        recorder = Recorder(job)

        def progress(stage: str, done: float, total: float, **numbers: float) -> None:
            recorder(stage, done, total, **numbers)
            watch(stage, done, total, **numbers)

        state, error = "crashed", ""
        try:
            if job.cancel_requested:
                raise Cancelled("Cancelled.")
            job.emit("state", state="running", pid=os.getpid())
            reports = run(job, progress, stages)
            state = "done"
            return reports
        except (Cancelled, KeyboardInterrupt):
            state = "cancelled"
            raise
        except Stopped:
            error = "The worker was told to stop by the system. Resume the job to go on."
            raise
        except (SfvError, RetargetError) as failure:
            state, error = "failed", str(failure)
            raise
        except Exception as failure:
            state, error = "failed", f"Internal error, {type(failure).__name__}: {failure}. Details: {job.log}"
            with job.log.open("a", encoding="utf-8") as log:
                traceback.print_exc(file=log)
            raise
        finally:
            for child in multiprocessing.active_children():
                child.kill()
            recorder.flush()
            job.emit("state", state=state, **({"error": error} if error else {}))


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Raise Stopped inside the block on SIGTERM."""
    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main() -> int:
    """Work on the job named on the command line; 0 only if it is done."""
    parser = argparse.ArgumentParser(prog="python -m sfv_core.worker", description=__doc__)
    parser.add_argument("folder", type=Path, help="the job's folder; its state must be queued")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    faulthandler.enable()
    try:
        work(Job.open(options.folder))
    except (SfvError, RetargetError, KeyboardInterrupt, Stopped) as end:
        sys.stderr.write(f"{str(end) or type(end).__name__}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
