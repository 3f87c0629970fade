"""`sfv …`: parse, call, print. Nothing heavy is imported before it is needed, so `sfv --help` is instant."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from retarget import RetargetError

from . import __version__, local, pipeline
from .config import (
    BakeConfig,
    CaptureConfig,
    JobConfig,
    PreviewConfig,
    PriorConfig,
    RobustnessConfig,
    SimulateConfig,
    TrainConfig,
)
from .errors import Cancelled, SfvError
from .extras import needing
from .inputs import existing_file
from .jobs import Conflict, Job, all_jobs, data_folder, jobs_folder, show_also_as
from .listing import describe, find_job
from .options import Parser, add_settings, from_here, made_for_output, output_file, output_folder, read_settings
from .rig_commands import add_rig_commands
from .terminal import Console
from .worker import Stopped, stopped_by_sigterm

Report = dict[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 if it did all that was asked, 1 if not, 2 for a wrong call, 130 if it was cancelled."""
    options = parser().parse_args(arguments)
    console, bug = Console(), False
    try:
        with stopped_by_sigterm():
            report = options.command(options, console)
            if report is not None:
                console.report(report, options.json)
        return 1 if report and report.get("failed") else 0
    except (KeyboardInterrupt, Cancelled):
        console.error("cancelled; run the same command again to go on")
        return 130
    except Stopped:
        console.error("stopped by the system; run the same command again to go on")
        return 143
    except (SfvError, RetargetError) as error:
        console.error(str(error))
    except BrokenPipeError:
        pass
    except Exception as error:
        if isinstance(error, OSError) and error.filename:
            console.error(f"'{error.filename}': {error.strerror}.")
            return 1
        bug = True
        with console.log.open("a", encoding="utf-8") as log:
            traceback.print_exc(file=log)
        console.error(f"internal error, {type(error).__name__}: {error}. Details: {console.log}")
    finally:
        console.close(keep_log=bug)
    return 1


def capture(options: argparse.Namespace, console: Console) -> Report:
    """Turn a video into a motion: DIR/motion.npz, an overlay video, a report."""
    video, out = existing_file(options.video, "video"), output_folder(options.out)
    with made_for_output(out), needing("pose"):
        from .capture import capture as run

        report = run(video, out, read_settings(options, CaptureConfig), console.progress)
    return {**report, "files": _files(out, pipeline.STAGES[0].makes)}


def people(options: argparse.Namespace, console: Console) -> Report:
    """List the persons in a video, to choose one with `sfv capture --person`; with -o also their pictures."""
    video, out = existing_file(options.video, "video"), options.out and output_folder(options.out)
    with made_for_output(out) if out else nullcontext(), needing("pose"):
        from .people import FILES, write_people

        report = write_people(video, out, options.start, options.end, console.progress)
    for person in [] if options.json else report["people"]:
        spans = ", ".join(f"{first:.2f}-{last:.2f} s" for first, last in person["spans_s"])
        console.say(f"{person['id']}  {person['size_px']:5.0f} px  {100 * person['share']:3.0f} %  {spans}")
    return {**report, "files": _files(out, FILES) if out else []}


def refine(options: argparse.Namespace, console: Console) -> Report:
    """Solve a capture again around the frames that you corrected; they are kept exactly, the rest stays."""
    from .refine import UNREFINED
    from .refine import refine as run

    pins, folder, made = existing_file(options.pins, "pins"), options.dir, ("motion.npz", UNREFINED, "report.json")
    job = folder / "job.json"
    if job.is_file():
        folder = Job(folder).artifacts
    out = folder if options.out is None else output_folder(options.out)
    report = run(folder, pins, out, console.progress)
    if job.is_file() and options.out is None:
        for name in made:
            show_also_as(folder / name, options.dir / name)
    return {**report, "files": _files(out, made)}


def loop(options: argparse.Namespace, console: Console) -> Report:
    """Find the cycle that a motion (.npz, .bvh, .amc) repeats, such as the steps of a walk, and cut it out so that it
    can go on for ever."""
    motion, out = existing_file(options.motion, "motion"), options.out and output_file(options.out, ".npz")
    with made_for_output(out.parent) if out else nullcontext(), needing("physics"):
        from .cycles.cut import cut

        report = cut(motion, out, options.start, options.end)
    if not report["repeats"] and not options.json:
        console.say(f"'{motion}' does not surely repeat itself.")
    return report


def character(options: argparse.Namespace, console: Console) -> Report:
    """Build the body that performs a motion under physics, to look at or to use elsewhere: URDF, MJCF, a picture."""
    source, out = options.motion, output_folder(options.out)
    with made_for_output(out), needing("physics"):
        from .character.describe import table
        from .character.files import FILES, PUBLISHED, character_of, write

        if str(source) not in PUBLISHED:
            existing_file(source, "motion")
        body = character_of(source, options.plan, options.mass)
        report = write(body, out)
    for line in [] if options.json else table(body):
        console.say(line)
    return {**report, "files": _files(out, FILES)}


def check(options: argparse.Namespace, console: Console) -> Report:
    """Examine a motion (.npz, .bvh, .amc) before physics learns it: what no body can do, and what can be mended."""
    motion, out = existing_file(options.motion, "motion"), options.out and output_folder(options.out)
    with made_for_output(out) if out else nullcontext(), needing("physics"):
        from .check import FILES, lines
        from .check import check as run

        report = run(motion, out, options.character, options.mass, console.progress)
    for line in [] if options.json else lines(report):
        console.say(line)
    return {**report, "files": _files(out, FILES) if out else []}


def train(options: argparse.Namespace, console: Console) -> Report:
    """Learn a policy that performs a motion under physics: DIR/policy.pt. Run it again to go on after a stop."""
    motion, out = existing_file(options.motion, "motion"), output_folder(options.out)
    with made_for_output(out), needing("physics"):
        from .imitate.train import train as run

        report = run(motion, out, read_settings(options, TrainConfig), console.progress)
    return {**report, "files": _files(out, pipeline.STAGES[1].makes)}


def preview(options: argparse.Namespace, console: Console) -> Report:
    """Perform a motion under physics within seconds, without training: one take, found by search."""
    motion, out = existing_file(options.motion, "motion"), output_file(options.out, ".npz")
    with made_for_output(out.parent), needing("physics"):
        from .preview.preview import preview as run

        report = run(motion, out, read_settings(options, PreviewConfig), console.progress)
    return {**report, "files": [str(out)]}


def simulate(options: argparse.Namespace, console: Console) -> Report:
    """Let a policy perform its motion, pushed or changed as you like, and write the best take: OUT.npz, OUT.json,
    OUT.png."""
    policy, out = options.policy, output_file(options.out, ".npz")
    if not policy.is_dir():
        existing_file(policy, "policy")
    with made_for_output(out.parent), needing("physics"):
        from .takes.rollout import simulate as run

        report = run(policy, out, read_settings(options, SimulateConfig), console.progress)
    if not options.json:
        from .takes.report import ranking_lines

        for line in ranking_lines(report):
            console.say(line)
    return report


def robustness(options: argparse.Namespace, console: Console) -> Report:
    """Try out how hard a policy can be pushed and how far body, ground, gravity and latency may change before it falls:
    DIR/robustness.json, DIR/robustness.png."""
    policy, out = options.policy, output_folder(options.out)
    if not policy.is_dir():
        existing_file(policy, "policy")
    with made_for_output(out), needing("physics"):
        from .takes.robustness import FILES
        from .takes.robustness import robustness as run
        from .takes.robustness_report import lines

        report = run(policy, out, read_settings(options, RobustnessConfig), console.progress)
    for line in [] if options.json else lines(report):
        console.say(line)
    return {**report, "files": _files(out, FILES)}


def prior(options: argparse.Namespace, console: Console) -> Report:
    """Learn what human poses look like from a folder of motion capture (.bvh, .amc, .npz): PRIOR.npz for capture's
    --prior. Run it again to go on after a stop."""
    out = output_file(options.out, ".npz")
    with made_for_output(out.parent), needing("pose"):
        from .prior.train import train as run

        report = run(options.folder, out, read_settings(options, PriorConfig), console.progress)
    return {**report, "files": [str(out)]}


def run(options: argparse.Namespace, console: Console) -> Report:
    """Do all of it, video to rig, as one job in DIR; run it again to go on or to change a setting."""
    if (options.video / "job.json").is_file():
        return local.finish(Job.open(options.video), console)
    if options.out is None:
        raise SfvError("Say where to: -o DIR.")
    config = JobConfig(
        stages=tuple(options.stages), video=str(options.video.absolute()),
        rig=None if options.rig is None else str(options.rig.absolute()), name=options.video.stem,
        capture=from_here(read_settings(options, CaptureConfig)), train=read_settings(options, TrainConfig, "train-"),
        simulate=read_settings(options, SimulateConfig, "simulate-"),
        bake=from_here(read_settings(options, BakeConfig, "bake-")))
    return local.run(output_folder(options.out), config, console)


def serve(options: argparse.Namespace, console: Console) -> None:
    """Serve jobs to Blender on 127.0.0.1 until it is stopped; running jobs outlive it."""
    with needing("server"):
        from .server import serve as run

    def announce(about: Report) -> None:
        state = "already runs" if about["already_running"] else "runs"
        console.say(json.dumps(about) if options.json else f"The server {state} at {about['url']} "
                    f"(process {about['pid']}, version {about['version']}).")

    data_folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    console.log_to(data_folder() / "server.log")
    with suppress(KeyboardInterrupt, Stopped):
        run(options.port, options.parallel, int(options.max_upload * 2**30), announce)


def jobs(options: argparse.Namespace, console: Console) -> Report:
    """List the jobs of the server, or show, cancel or resume one; the job folders are the truth, no server needed."""
    wanted = options.cancel or options.resume or options.job
    if wanted is None:
        listed = sorted(map(describe, all_jobs(jobs_folder())), key=lambda job: job["created"])
        for job in [] if options.json else listed:
            console.say(f"{job['id']}  {job['state']:<9}  {job['stage'] or '':<12}  {job['name']}")
        return {"jobs": listed}
    job = find_job(jobs_folder(), wanted)
    if options.cancel:
        job.cancel()
    if options.resume:
        if job.status().state == "done":
            raise Conflict(f"Job {job.id} is done; there is nothing to resume.")
        job.queue()
    return {**describe(job), "folder": str(job.folder), "log": str(job.log)}


def demo(options: argparse.Namespace, console: Console) -> Report:
    """Do the whole path on an example: overlay, report, policy, demo.blend with two Actions, a rendered preview."""
    from .demo import demo as run

    return run(output_folder(options.out), options.minutes, options.seed, console)


def parser() -> Parser:
    """Describe the commands."""
    top = Parser(prog="sfv", description="Character animation from ordinary video: capture, physics, Blender. "
                                         "Each command has --help.")
    top.add_argument("--version", action="version", version=f"sfv {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(function: Callable[[argparse.Namespace, Console], Report | None], *paths: str,
                name: str = "") -> Parser:
        text = " ".join((function.__doc__ or "").split())
        sub = commands.add_parser(name or function.__name__, help=text, description=text)
        sub.set_defaults(command=function)
        sub.add_argument("--json", action="store_true", help="print the final report as JSON on stdout")
        for path in paths:
            sub.add_argument(path.lower(), metavar=path, type=Path, help=f"the {path.lower()} file")
        return sub

    sub = command(capture, "VIDEO")
    sub.add_argument("-o", "--out", metavar="DIR", type=Path, required=True, help="folder to write into")
    add_settings(sub, CaptureConfig)
    sub = command(people, "VIDEO")
    sub.add_argument("-o", "--out", metavar="DIR", type=Path, help="folder for people.png and people.json")
    sub.add_argument("--start", type=float, default=0.0, metavar="S", help="first moment to look at, in s")
    sub.add_argument("--end", type=float, metavar="S", help="last moment to look at, in s; the end if not given")
    sub = command(refine)
    sub.add_argument("dir", metavar="DIR", type=Path, help="the folder that a capture wrote")
    sub.add_argument("--pins", metavar="PINS.json", type=Path, required=True,
                     help="what you corrected: docs/protocol.md describes the file")
    sub.add_argument("-o", "--out", metavar="OUT", type=Path,
                     help="folder to write into (default: DIR, whose motion is kept as motion.unrefined.npz)")
    sub = command(loop, "MOTION")
    sub.add_argument("-o", "--out", metavar="CYCLE.npz", type=Path,
                     help="motion to write, with a picture beside it; without it, only look")
    sub.add_argument("--start", type=float, metavar="S", help="first moment of a cycle of your own, in s")
    sub.add_argument("--end", type=float, metavar="S", help="last moment of it, in s")
    sub = command(character)
    sub.add_argument("motion", metavar="MOTION", type=Path, help="whose body: a motion or rig (.npz, .bvh, .amc), "
                     "a clip of DeepMimic (.txt), or one of the published bodies, deepmimic or atlas")
    sub.add_argument("-o", "--out", metavar="DIR", type=Path, required=True, help="folder to write into")
    sub.add_argument("--plan", choices=("person", "deepmimic", "atlas"), default="person",
                     help="the body: of the motion's own proportions, or a published one (default: person)")
    sub.add_argument("--mass", metavar="KG", type=float, help="mass of the whole body in kg; not given: what an "
                     "average person of that size weighs, or the published mass")
    sub = command(check, "MOTION")
    sub.add_argument("-o", "--out", metavar="DIR", type=Path, help="folder for findings.json, findings.png and "
                     "repaired.npz, the mended motion on the body's skeleton")
    sub.add_argument("--character", choices=("person", "deepmimic", "atlas"), default="person",
                     help="the body that shall perform it (default: person, of the motion's own proportions)")
    sub.add_argument("--mass", metavar="KG", type=float, help="its mass in kg; from its size if not given")
    sub = command(train, "MOTION")
    sub.add_argument("-o", "--out", metavar="DIR", type=Path, required=True, help="folder to write into")
    add_settings(sub, TrainConfig)
    sub = command(preview, "MOTION")
    sub.add_argument("-o", "--out", metavar="TAKE.npz", type=Path, required=True, help="motion to write")
    add_settings(sub, PreviewConfig)
    sub = command(prior)
    sub.add_argument("action", choices=("train",), help="what to do")
    sub.add_argument("folder", metavar="FOLDER", type=Path, help="folder with motion capture, at any depth")
    sub.add_argument("-o", "--out", metavar="PRIOR.npz", type=Path, required=True, help="pose prior to write")
    add_settings(sub, PriorConfig)
    sub = command(simulate)
    sub.add_argument("policy", metavar="POLICY", type=Path, help="the policy.pt that train wrote, or its folder")
    sub.add_argument("-o", "--out", metavar="ROLLOUT.npz", type=Path, required=True, help="motion to write")
    add_settings(sub, SimulateConfig)
    sub = command(robustness)
    sub.add_argument("policy", metavar="POLICY", type=Path, help="the policy.pt that train wrote, or its folder")
    sub.add_argument("-o", "--out", metavar="DIR", type=Path, required=True, help="folder to write into")
    add_settings(sub, RobustnessConfig)
    add_rig_commands(command)
    sub = command(run, "VIDEO")
    sub.add_argument("--rig", metavar="RIG", type=Path, help="rig to animate: .blend, .fbx, .glb or .bvh")
    sub.add_argument("-o", "--out", metavar="DIR", type=Path, help="the job's folder")
    sub.add_argument("--stages", nargs="+", metavar="STAGE", choices=[stage.name for stage in pipeline.STAGES],
                     default=JobConfig().stages, help=f"what to do, of {', '.join(JobConfig().stages)} (default: all)")
    add_settings(sub, CaptureConfig)
    add_settings(sub, TrainConfig, prefix="train-")
    add_settings(sub, SimulateConfig, prefix="simulate-")
    add_settings(sub, BakeConfig, prefix="bake-")
    sub = command(serve)
    sub.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    sub.add_argument("--parallel", type=int, default=1, metavar="N", help="jobs that may run at a time (default: 1)")
    sub.add_argument("--max-upload", type=float, default=4.0, metavar="GIB",
                     help="largest video that may be sent, in GiB (default: 4)")
    sub = command(jobs)
    sub.add_argument("job", nargs="?", metavar="ID", help="show this job: its id, the beginning of it, or its folder")
    sub.add_argument("--cancel", metavar="ID", help="ask a job to stop")
    sub.add_argument("--resume", metavar="ID", help="let a job go on; it starts when the server is free")
    sub = command(demo)
    sub.add_argument("-o", "--out", metavar="DIR", type=Path, default=Path("out/demo"),
                     help="folder to write into (default: out/demo)")
    sub.add_argument("--minutes", type=float, default=8.0, metavar="M", help="training time in minutes (default: 8)")
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="seed of all random numbers (default: 0)")
    return top


def _files(folder: Path, names: tuple[str, ...] | list[str]) -> list[str]:
    return [str(folder / name) for name in names if (folder / name).is_file()]


if __name__ == "__main__":
    sys.exit(main())
