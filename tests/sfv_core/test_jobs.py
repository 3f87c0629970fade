"""The job folder: events, cursors, states and the lock."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from sfv_core.config import JobConfig
from sfv_core.errors import Cancelled, SfvError
from sfv_core.jobs import PAGE, BadCursor, Conflict, Job, Recorder, all_jobs
from sfv_core.progress import TimeLeft


@pytest.fixture
def job(tmp_path):
    return Job.create(tmp_path / "job", JobConfig(video="a.mp4", name="one"))


def test_a_job_remembers_what_was_asked_for(job):
    assert Job.open(job.folder).config == JobConfig(video="a.mp4", name="one")
    assert job.about()["versions"]["sfv"]


def test_a_folder_without_a_job_is_refused(tmp_path):
    with pytest.raises(SfvError, match=r"job\.json"):
        Job.open(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1}', "\x00"])
def test_a_broken_job_file_is_an_error_that_names_it(job, text):
    (job.folder / "job.json").write_text(text)
    with pytest.raises(SfvError, match=r"job\.json"):
        job.about()


# Events

def test_reading_on_from_any_cursor_gives_the_rest(job):
    for number in range(20):
        job.emit("log", text=f"Zeile {number} äöü\n\u2028")
    everything = job.events()
    assert [event["text"] for event in everything] == [f"Zeile {number} äöü\n\u2028" for number in range(20)]
    for count, event in enumerate(everything, start=1):
        assert job.events(event["cursor"]) == everything[count:]


def test_a_cursor_inside_a_line_or_past_the_end_is_refused(job):
    job.emit("log", text="one")
    end = job.events()[-1]["cursor"]
    for cursor in (1, end - 1, end + 1, 10**18, -1):
        with pytest.raises(BadCursor):
            job.events(cursor)


def test_a_line_still_being_written_is_not_read(job):
    job.emit("log", text="one")
    with (job.folder / "events.jsonl").open("ab") as file:
        file.write(b'{"kind": "log", "te')
    assert [event["text"] for event in job.events()] == ["one"]


def test_a_line_torn_by_a_kill_is_passed_over_and_the_next_one_is_whole(job):
    job.emit("state", state="running")
    with (job.folder / "events.jsonl").open("ab") as file:
        file.write(b'{"kind": "state", "state": "do')
    before = job.events()[-1]["cursor"]
    job.emit("log", text="after")
    assert [event["kind"] for event in job.events()] == ["state", "log"]
    assert [event["text"] for event in job.events(before)] == ["after"]
    assert job.last("state")["state"] == "running"


def test_numbers_that_json_cannot_say_become_null(job):
    job.emit("progress", loss=float("nan"), best=np.float32(np.inf), mean=np.float32(0.5), count=np.int64(3))
    line = (job.folder / "events.jsonl").read_text()
    event = json.loads(line, parse_constant=lambda name: pytest.fail(name))
    assert (event["loss"], event["best"], event["mean"], event["count"]) == (None, None, 0.5, 3)


def test_a_long_history_comes_in_pages_that_join(job):
    text = "x" * 1000
    with (job.folder / "events.jsonl").open("a") as file:
        for number in range(3 * PAGE // 1000):
            file.write(json.dumps({"kind": "log", "time": 0.0, "number": number, "text": text}) + "\n")
    cursor, numbers, pages = 0, [], 0
    while found := job.events(cursor):
        cursor, pages = found[-1]["cursor"], pages + 1
        numbers += [event["number"] for event in found]
    assert numbers == list(range(3 * PAGE // 1000))
    assert pages > 2


def test_writers_in_several_threads_do_not_tear_each_others_lines(job):
    def write(name):
        for number in range(200):
            job.emit("log", name=name, number=number)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(job.events()) == 600


def test_a_text_that_looks_like_a_state_is_not_one(job):
    job.emit("state", state="queued")
    job.emit("log", text='{"kind": "state", "state": "done", "time": 1}')
    assert job.status().state == "queued"


# State

def test_a_running_job_whose_worker_is_gone_has_crashed(job):
    job.queue()
    with job.hold():
        job.emit("state", state="running")
        assert job.status().state == "running"
    assert job.status().state == "crashed"
    assert "Resume" in job.status().error


def test_the_system_frees_the_lock_of_a_killed_worker(job):
    code = ("import sys, pathlib; from sfv_core.jobs import Job\n"
            f"with Job(pathlib.Path({str(job.folder)!r})).hold():\n    print('held', flush=True); sys.stdin.read()")
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout and holder.stdout.readline() == b"held\n"
    assert job.alive
    with pytest.raises(Conflict, match="Another process"), job.hold(wait=0):
        pass
    holder.kill()
    holder.communicate()
    assert not job.alive


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_ends_does_not_free_its_parents_lock(job):
    with job.hold():
        child = multiprocessing.get_context("fork").Process(target=int)
        child.start()
        child.join()
        assert job.alive


def test_a_worker_that_meets_a_glance_at_the_lock_waits_for_its_end(job):
    glances = threading.Event()

    def glance():
        while not glances.is_set():
            _ = job.alive

    thread = threading.Thread(target=glance)
    thread.start()
    try:
        for _ in range(5):
            with job.hold():
                pass
    finally:
        glances.set()
        thread.join()


def test_cancelling_a_job_that_waits_ends_it_at_once(job):
    job.queue()
    job.cancel()
    assert job.status().state == "cancelled"
    job.cancel()
    assert [event["state"] for event in job.events()] == ["queued", "cancelled"]


def test_queueing_a_cancelled_job_forgets_the_wish_to_cancel(job):
    job.queue()
    job.cancel()
    job.queue()
    assert (job.status().state, job.cancel_requested) == ("queued", False)


def test_what_is_done_cannot_be_cancelled(job):
    job.emit("state", state="done")
    with pytest.raises(Conflict, match="nothing to cancel"):
        job.cancel()


def test_a_job_that_is_worked_on_cannot_be_queued(job):
    with job.hold(), pytest.raises(Conflict):
        job.queue()


def test_half_made_jobs_are_not_listed(job, tmp_path):
    Job.create(tmp_path / ".new", JobConfig())
    (tmp_path / "empty").mkdir()
    assert all_jobs(tmp_path) == [job]


# Progress

def test_fast_progress_is_thinned_but_the_last_word_of_each_stage_is_kept(job):
    recorder = Recorder(job, interval=60)
    for stage in ("detect", "fit"):
        for done in range(1, 1000):
            recorder(stage, done, 1000, loss=1 / done)
    recorder.flush()
    reports = [(event["stage"], event["done"]) for event in job.events()]
    assert reports == [("detect", 1), ("detect", 999), ("fit", 1), ("fit", 999)]
    assert job.events()[-1]["eta_s"] >= 0


def test_a_finished_stage_is_recorded_at_once(job):
    recorder = Recorder(job, interval=60)
    for done in range(11):
        recorder("fit", done, 10)
    assert job.events()[-1]["done"] == 10


def test_progress_hears_of_a_cancellation(job):
    job.queue()
    recorder = Recorder(job)
    with job.hold():
        job.emit("state", state="running")
        recorder("fit", 1, 10)
        job.cancel()
        with pytest.raises(Cancelled):
            recorder("fit", 2, 10)


def test_the_time_left_is_estimated_from_what_was_done_since_and_not_from_what_was_there_before():
    left = TimeLeft()
    assert left("train", 0, 1) is None
    assert left("train", 80, 100) is None
    estimate = left("train", 81, 100)
    assert estimate is not None and estimate >= 0
    assert left("train", 10, 100) is None
    assert left("fit", 11, 100) is None
