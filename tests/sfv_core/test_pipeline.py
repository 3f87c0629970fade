"""A job's stages: done once, redone when what they were made from changes, finished after a crash.

The stages here are small and real: they count words in files.
"""

import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from sfv_core import pipeline
from sfv_core.config import CaptureConfig, JobConfig, TrainConfig
from sfv_core.errors import Cancelled, SfvError
from sfv_core.jobs import Conflict, Job
from sfv_core.pipeline import STAGES, Stage, Work, check
from sfv_core.progress import no_progress
from sfv_core.worker import work


def split(task: Work):
    words = task.inputs["video"].read_text().split()
    if "bad" in words:
        raise SfvError(f"'{task.inputs['video']}' holds a bad word.")
    (task.artifacts / "motion.npz").write_text("\n".join(words))
    return {"words": len(words)}


def count(task: Work):
    words = task.inputs["motion.npz"].read_text().split()
    for done in range(len(words)):
        task.progress("count", done, len(words))
    (task.artifacts / "policy.pt").write_text(f"{len(words)} {task.config.train.seed}")
    return {"count": len(words)}


def broken(task: Work):
    raise ZeroDivisionError("a bug")


TABLE = (Stage("capture", split, needs=("video",), makes=("motion.npz",), settings="capture"),
         Stage("train", count, needs=("motion.npz",), makes=("policy.pt",), settings="train"))


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("to be or not to be")
    return path


@pytest.fixture
def job(tmp_path, video):
    return Job.create(tmp_path / "job", JobConfig(stages=("capture", "train"), video=str(video)))


def do(job, table=TABLE):
    """Do the job; return its reports and the names of the stages that were really run."""
    before = job.events_end()
    job.queue()
    reports = work(job, table)
    texts = [event["text"] for event in job.events(before) if event["kind"] == "log"]
    return reports, [text.split()[0] for text in texts if text.endswith("begins.")]


def test_each_stage_finds_what_the_ones_before_it_made(job):
    reports, ran = do(job)
    assert reports == {"capture": {"words": 6}, "train": {"count": 6}}
    assert ran == ["capture", "train"]
    assert (job.artifacts / "policy.pt").read_text() == "6 0"
    assert job.status().state == "done"
    assert [event["name"] for event in job.events() if event["kind"] == "artifact"] == ["motion.npz", "policy.pt"]


def test_what_another_job_trained_from_the_same_serves_a_new_one(tmp_path, video, job):
    table = (TABLE[0], replace(TABLE[1], lent=True))
    do(job, table)
    config = JobConfig(stages=("capture", "train"), video=str(video))
    second = Job.create(tmp_path / "second", config)
    reports, ran = do(second, table)
    assert ran == ["capture"] and reports["train"] == {"count": 6}
    assert (second.artifacts / "policy.pt").read_text() == "6 0"
    third = Job.create(tmp_path / "third", replace(config, train=TrainConfig(seed=1)))
    assert do(third, table)[1] == ["capture", "train"]
    (job.artifacts / "policy.pt").unlink()
    (second.artifacts / "policy.pt").unlink()
    fourth = Job.create(tmp_path / "fourth", config)
    assert do(fourth, table)[1] == ["capture", "train"]
    assert next(stage for stage in STAGES if stage.name == "train").lent


def test_what_a_stage_advises_is_an_event_each_time(job):
    table = (TABLE[0], replace(TABLE[1], function=lambda task: count(task) | {"advice": "Say more."}))
    for _ in range(2):
        do(job, table)
    assert [event["text"] for event in job.events() if event.get("advice")] == ["Say more."] * 2


def test_what_a_stage_found_and_noted_is_an_event_each(job):
    said = {"findings": ["It floats."], "notes": ["It repeats.", "It is short."]}
    do(job, (TABLE[0], replace(TABLE[1], function=lambda task: count(task) | said)))
    texts = [event["text"] for event in job.events() if event.get("note")]
    assert texts == ["It floats.", "It repeats.", "It is short."]


def test_what_is_done_is_not_done_again(job):
    first, _ = do(job)
    again, ran = do(job)
    assert (again, ran) == (first, [])


def test_a_changed_setting_redoes_its_stage_alone(job):
    do(job)
    Job.create(job.folder, replace(job.config, train=TrainConfig(seed=5)))
    assert do(job)[1] == ["train"]
    assert (job.artifacts / "policy.pt").read_text() == "6 5"


def test_a_changed_input_redoes_what_depends_on_it(job, video):
    do(job)
    video.write_text("words, words, words")
    assert do(job)[1] == ["capture", "train"]


def test_an_input_with_other_bytes_but_the_same_result_stops_the_chain(job, video):
    do(job)
    video.write_text("to  be  or  not  to  be")
    assert do(job)[1] == ["capture"]


def test_a_result_edited_by_hand_is_kept_and_what_follows_is_redone(job):
    do(job)
    (job.artifacts / "motion.npz").write_text("mine")
    assert do(job)[1] == ["train"]
    assert (job.artifacts / "motion.npz").read_text() == "mine"


def test_a_lost_result_is_made_again(job):
    do(job)
    (job.artifacts / "policy.pt").unlink()
    assert do(job)[1] == ["train"]


def test_a_bug_fails_the_job_with_a_text_and_the_traceback_goes_to_the_log(job):
    job.queue()
    with pytest.raises(ZeroDivisionError):
        work(job, (TABLE[0], replace(TABLE[1], function=broken)))
    assert job.status().state == "failed"
    assert "a bug" in job.status().error and str(job.log) in job.status().error
    assert "Traceback" in job.log.read_text()
    assert do(job)[1] == ["train"]


def test_bad_input_fails_the_job_with_its_own_words(job, video):
    video.write_text("a bad word")
    job.queue()
    with pytest.raises(SfvError):
        work(job, TABLE)
    assert job.status().state == "failed" and job.status().error.endswith("holds a bad word.")


def test_a_cancelled_job_goes_on_where_it_was(job):
    def cancel_in_count(stage, done, total, **numbers):
        if stage == "count" and done == 2:
            job.cancel()

    job.queue()
    with pytest.raises(Cancelled):
        work(job, TABLE, watch=cancel_in_count)
    assert job.status().state == "cancelled"
    assert job.events()[-2]["done"] == 2
    assert do(job)[1] == ["train"]


def test_a_job_cancelled_before_its_worker_came_is_not_begun(job):
    job.queue()
    (job.folder / "cancel").touch()
    with pytest.raises(Cancelled):
        work(job, TABLE)
    assert [event["state"] for event in job.events()] == ["queued", "cancelled"]


def test_a_worker_leaves_a_job_alone_that_nobody_queued(job):
    job.queue()
    job.cancel()
    with pytest.raises(Conflict, match="Resume"):
        work(job, TABLE)


def test_two_workers_cannot_work_on_one_job(job):
    job.queue()
    with job.hold(), pytest.raises(Conflict, match="Another process"):
        work(job, TABLE)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM")
def test_a_worker_told_to_stop_says_so_and_takes_its_children_along(job, tmp_path):
    script = tmp_path / "long_job.py"
    script.write_text(textwrap.dedent("""
        import multiprocessing, sys, time
        from pathlib import Path
        from sfv_core.jobs import Job
        from sfv_core.pipeline import Stage
        from sfv_core.worker import work

        def wait(task):
            child = multiprocessing.Process(target=time.sleep, args=(600,))
            child.start()
            while True:
                task.progress("wait", child.pid, 0)
                time.sleep(0.05)

        if __name__ == "__main__":
            work(Job(Path(sys.argv[1])), (Stage("capture", wait, needs=("video",), makes=("x",)),))
    """))
    Job.create(job.folder, replace(job.config, stages=("capture",)))
    job.queue()
    process = subprocess.Popen([sys.executable, str(script), str(job.folder)], stderr=subprocess.DEVNULL,
                               env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""})
    while (progress := job.last("progress")) is None:
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.wait()
    assert job.status().state == "crashed" and "Resume" in job.status().error
    assert not alive(int(progress["done"]))


def alive(pid):
    """Whether a process is there and not just waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


# What may be asked for

def test_the_real_stages_fit_together(video):
    check(JobConfig(video=str(video), rig=str(video)))
    made = {name for stage in STAGES for name in stage.makes} | {"video", "rig", "body", "keypoints", "prior", "map"}
    assert all(name in made for stage in STAGES for name in (*stage.needs, *stage.uses))


@pytest.mark.parametrize(("config", "text"), [
    (JobConfig(stages=()), "stages"),
    (JobConfig(stages=("train", "capture"), video="VIDEO"), "order"),
    (JobConfig(stages=("capture",)), "needs video"),
    (JobConfig(stages=("train",)), "Add the stage capture"),
    (JobConfig(stages=("simulate",), motion="VIDEO"), "Add the stage train"),
    (JobConfig(stages=("capture", "bake"), video="VIDEO"), "needs rig"),
    (JobConfig(stages=("capture",), video="/no/such.mp4"), "no video '/no/such.mp4'"),
    (JobConfig(stages=("capture",), video="/"), "folder"),
    (JobConfig(stages=("capture",), video="EMPTY"), "empty"),
    (JobConfig(stages=("capture",), video="VIDEO", capture=CaptureConfig(body="/no/body.pkl")), "no body"),
])
def test_what_cannot_work_is_refused_before_it_begins(config, text, video, tmp_path):
    (tmp_path / "empty.mp4").touch()
    paths = {"VIDEO": str(video), "EMPTY": str(tmp_path / "empty.mp4")}
    config = replace(config, **{key: paths[value] for key in ("video", "motion")
                                if (value := getattr(config, key)) in paths})
    with pytest.raises(SfvError, match=text):
        check(config)


def test_a_stage_that_lies_about_its_results_is_a_bug(job):
    job.queue()
    with pytest.raises(RuntimeError, match=r"did not write nothing\.npz"):
        work(job, (replace(TABLE[0], makes=("motion.npz", "nothing.npz")), TABLE[1]))


def test_hopeless_stages_are_found_out_before_the_long_ones(job):
    def refuse(task):
        raise SfvError("That rig has no bones.")

    job.queue()
    with pytest.raises(SfvError, match="no bones"):
        work(job, (TABLE[0], replace(TABLE[1], rehearsal=refuse)))
    assert not list(job.artifacts.iterdir())


def test_an_engine_that_is_not_installed_is_found_out_before_the_capture(tmp_path, video, monkeypatch):
    monkeypatch.setattr("sfv_core.extras.find_spec", lambda name: None if name == "mujoco" else find_spec(name))
    job = Job.create(tmp_path / "job", JobConfig(stages=("capture", "train"), video=str(video),
                                                 train=TrainConfig(engine="mujoco")))
    job.queue()
    with pytest.raises(SfvError, match=r"pip install 'sfv\[mujoco\]'"):
        work(job, (TABLE[0], replace(TABLE[1], rehearsal=STAGES[1].rehearsal)))
    assert not list(job.artifacts.iterdir())


def test_reports_reach_whoever_watches(job):
    seen = []
    job.queue()
    work(job, TABLE, watch=lambda stage, done, total, **numbers: seen.append((stage, done, total)))
    assert seen == [("count", done, 6) for done in range(6)]
    assert pipeline.recorded(job, TABLE[1]) and no_progress("", 0, 0) is None
