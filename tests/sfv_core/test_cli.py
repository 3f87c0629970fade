"""The command line as people call it: in processes of its own."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from retarget import bvh
from sfv_core import __version__
from sfv_core.character import deepmimic
from sfv_core.cli import parser
from sfv_core.config import JobConfig
from sfv_core.jobs import Job
from sfv_core.terminal import duration_text, progress_text

ROOT = Path(__file__).parents[2]
COMMANDS = ("capture", "loop", "character", "train", "preview", "simulate", "robustness", "retarget", "bake", "run",
            "serve", "jobs", "demo")


def sfv(*arguments, **environment):
    """Run a command; return (exit code, stdout, stderr)."""
    done = subprocess.run([sys.executable, "-m", "sfv_core", *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, timeout=300, check=False)
    return done.returncode, done.stdout, done.stderr


def test_help_needs_none_of_the_heavy_packages():
    code = ("import sys; from sfv_core import cli, worker; cli.parser().format_help(); "
            "heavy = {'torch', 'mediapipe', 'pybullet', 'fastapi', 'scipy', 'matplotlib', 'av'} & set(sys.modules); "
            "assert not heavy, heavy")
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_every_command_explains_its_options(capsys):
    for command in COMMANDS:
        with pytest.raises(SystemExit) as end:
            parser().parse_args([command, "--help"])
        assert end.value.code == 0
        assert "--json" in capsys.readouterr().out


def test_options_are_the_settings_with_their_units(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--minutes M Longest training time in minutes" in text and "(default: 10.0)" in text


@pytest.mark.parametrize(("arguments", "names"), [
    (["train", "m.npz", "-o", "d", "--minutes", "soon"], "'soon' is not a number"),
    (["train", "m.npz", "-o", "d", "--minutes", "-3"], "at least|from"),
    (["train", "m.npz", "-o", "d", "--engine", "hope"], "pybullet"),
    (["capture", "a.mp4"], "-o"),
    (["dance"], "dance"),
    ([], "COMMAND"),
])
def test_a_wrong_call_is_one_line_and_exit_2(arguments, names, capsys):
    with pytest.raises(SystemExit) as end:
        parser().parse_args(arguments)
    error = capsys.readouterr().err
    assert end.value.code == 2
    assert error.count("\n") == 1 and any(name in error for name in names.split("|"))


def test_the_version_is_the_same_everywhere():
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert f'version = "{__version__}"' in (ROOT / "addon_manifest.toml").read_text()
    assert sfv("--version")[1] == f"sfv {__version__}\n"


@pytest.fixture
def bad(tmp_path):
    """Files that are not what their names say."""
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.npz").write_text("this is no motion")
    (tmp_path / "rig.glb").write_text("this is no rig")
    (tmp_path / "text.mp4").write_text("this is no video")
    return tmp_path


@pytest.mark.parametrize(("command", "says"), [
    ("capture missing.mp4 -o out", "missing.mp4"),
    ("capture empty.mp4 -o out", "empty"),
    ("capture . -o out", "folder"),
    ("capture text.mp4 -o text.npz", "text.npz' is a file"),
    ("train missing.npz -o out", "missing.npz"),
    ("preview missing.npz -o out/take.npz", "missing.npz"),
    ("preview text.npz -o out/take.npz", "text.npz"),
    ("preview text.npz -o take.bvh", ".npz"),
    ("simulate missing -o out/rollout.npz", "missing"),
    ("simulate missing -o .", "folder"),
    ("simulate text.npz -o out/take.npz --push N=5", "lacks t and dir"),
    ("robustness missing -o out", "missing"),
    ("robustness missing -o text.npz", "is a file"),
    ("simulate text.npz -o rollout.mp4", ".npz"),
    ("retarget text.npz missing.bvh -o out/x.bvh", "text.npz"),
    ("bake text.npz missing.glb -o out/x.blend", "missing.glb"),
    ("bake text.npz rig.glb -o out/x.txt", ".blend"),
    ("run missing.mp4 --rig rig.glb -o out", "missing.mp4"),
    ("run empty.mp4 --rig rig.glb -o out", "empty"),
    ("run text.mp4 --rig missing.glb -o out", "missing.glb"),
    ("run text.mp4 -o out", "rig"),
    ("run text.mp4 --rig rig.glb", "-o DIR"),
    ("jobs nonsense", "nonsense"),
])
def test_bad_input_is_one_clear_line_and_leaves_nothing(command, says, bad):
    before = sorted(bad.iterdir())
    done = subprocess.run([sys.executable, "-m", "sfv_core", *command.split(), "--json"], cwd=bad, capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(ROOT), "SFV_JOBS": str(bad / "no-jobs")},
                          timeout=300, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("sfv: ") and done.stderr.count("\n") == 1 and says in done.stderr
    assert sorted(bad.iterdir()) == before


def test_run_does_not_touch_a_folder_with_files_of_others(bad):
    (bad / "out").mkdir()
    (bad / "out" / "log.txt").write_text("mine")
    code, _, error = sfv("run", bad / "text.mp4", "--rig", bad / "rig.glb", "-o", bad / "out")
    assert code == 1 and "log.txt" in error
    assert [path.name for path in (bad / "out").iterdir()] == ["log.txt"]


def test_a_motion_is_carried_over_to_another_skeleton(tmp_path):
    walk = deepmimic.load_clip("walk")
    walk.save(tmp_path / "walk.npz")
    bvh.save(walk, tmp_path / "target.bvh")
    code, out, error = sfv("retarget", tmp_path / "walk.npz", tmp_path / "target.bvh", "-o", tmp_path / "new" / "o.bvh",
                           "--json")
    assert (code, error) == (0, "")
    report = json.loads(out)
    assert report["frames"] == len(walk) and report["files"] == [str(tmp_path / "new" / "o.bvh")]
    assert len(bvh.load(report["files"][0])) == len(walk)


def test_a_text_named_mp4_stops_a_whole_job_at_once_and_leaves_nothing(bad):
    before = sorted(bad.iterdir())
    code, out, error = sfv("run", bad / "text.mp4", "--rig", bad / "rig.glb", "-o", bad / "new" / "job")
    assert (code, out) == (1, "") and error.count("\n") == 1 and "not a video" in error
    assert sorted(bad.iterdir()) == before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no process groups")
def test_ctrl_c_in_a_training_ends_everything_and_the_same_command_goes_on(tmp_path):
    deepmimic.load_clip("walk").save(tmp_path / "walk.npz")
    command = [sys.executable, "-m", "sfv_core", "train", str(tmp_path / "walk.npz"), "-o", str(tmp_path / "out"),
               "--minutes", "0.3", "--processes", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True,
                               env={**os.environ, "PYTHONPATH": str(ROOT)},  # a shell's "&" has it ignore the signal
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert process.stderr is not None
    said = ""
    while "samples=" not in said or "samples=0 " in said:
        said = process.stderr.readline()
        assert said, "the training ended before it had learnt from anything"
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate()[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == "sfv: cancelled; run the same command again to go on"
    assert list((tmp_path / "out" / "checkpoints").glob("checkpoint_*.pt"))
    code, out, _ = sfv(*command[3:], "--json")
    assert code == 0 and Path(json.loads(out)["files"][0]).is_file()


def test_jobs_are_listed_cancelled_and_resumed_without_a_server(tmp_path):
    job = Job.create(tmp_path / "1234-abcd", JobConfig(name="dance"))
    job.queue()
    assert sfv("jobs", SFV_JOBS=str(tmp_path))[1].split() == ["1234-abcd", "queued", "dance"]
    assert json.loads(sfv("jobs", "--cancel", "12", "--json", SFV_JOBS=str(tmp_path))[1])["state"] == "cancelled"
    assert json.loads(sfv("jobs", "--resume", "12", "--json", SFV_JOBS=str(tmp_path))[1])["state"] == "queued"
    job.emit("state", state="done")
    code, _, error = sfv("jobs", "--resume", "12", SFV_JOBS=str(tmp_path))
    assert code == 1 and "nothing to resume" in error


def test_progress_reads_well():
    text = progress_text("train", 42, 100, 190.0, {"return": 0.71234})
    assert text.split() == ["train", "42", "%", "3:10", "left", "return=0.7123"]
    assert duration_text(3725) == "1:02:05"
