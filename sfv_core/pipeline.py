"""The ordered stages of a job: what each needs, what it makes, and the function that does it.

    video ─ capture ─▶ motion.npz ─ train ─▶ policy.pt ─ simulate ─▶ rollout.npz
                           └──────────────▶ bake ◀───────────────────────┘
                                             └─▶ result.blend, with an Action of each

A stage is skipped when its results stand and were made from the same inputs, settings and version. So one call of
`run` does a new job, finishes a killed one, and redoes only what a changed setting asks for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retarget.whole import written_whole

from . import __version__
from .config import JobConfig
from .errors import SfvError
from .extras import needing, require
from .inputs import content_hash, existing_file
from .jobs import Job, show_also_as
from .progress import Progress
from .rehearsal import try_engine, try_rig, try_video
from .schema import to_json

Report = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """What a stage's function is given."""

    config: JobConfig
    inputs: dict[str, Path]
    """The file of each name in the stage's `needs`, and of those in `uses` that are there."""
    folder: Path
    """The job's folder; a stage may keep what it needs to go on after a crash here."""
    artifacts: Path
    """Where the results go."""
    progress: Progress


@dataclass(frozen=True)
class Stage:
    """One step of a job, as data."""

    name: str
    function: Callable[[Work], Report]
    needs: tuple[str, ...]
    """Names of files: given in the configuration (video, motion, rig) or made by an earlier stage."""
    makes: tuple[str, ...]
    """Names of the results in artifacts/."""
    uses: tuple[str, ...] = ()
    """Names of files that make a difference where they are there."""
    settings: str = ""
    """The part of the configuration that the results depend on."""
    extra: str = ""
    """The optional packages that it cannot do without."""
    lent: bool = False
    """Whether what another job beside this one made from the same serves here too, as it takes long to make."""
    rehearsal: Callable[[Work], object] | None = None
    """Tries before all stages what would be a pity to learn after them; raises SfvError."""


def capture(work: Work) -> Report:
    """Turn the video into a motion, and draw both over each other."""
    with needing("pose"):
        from .capture import capture as run
        return run(work.inputs["video"], work.artifacts, work.config.capture, work.progress)


def train(work: Work) -> Report:
    """Learn a policy that performs the motion. It trains in the job's folder, where a later training goes on."""
    with needing("physics"):
        from .imitate.train import train as run
        report = run(work.inputs["motion.npz"], work.folder, work.config.train, work.progress)
    for name in ("policy.pt", "curve.json", "curve.png"):
        show_also_as(work.folder / name, work.artifacts / name)
    return report


def simulate(work: Work) -> Report:
    """Let the policy perform, and record what its body does."""
    with needing("physics"):
        from .takes.rollout import simulate as run
        return run(work.inputs["policy.pt"], work.artifacts / "rollout.npz", work.config.simulate, work.progress)


def bake(work: Work) -> Report:
    """Write the motions onto the rig as Actions."""
    from .bake import bake as run

    actions = {"captured": "motion.npz", "simulated": "rollout.npz"}
    motions = {action: work.inputs[name] for action, name in actions.items() if name in work.inputs}
    return run(motions, work.inputs["rig"], work.artifacts / "result.blend", work.progress, work.config.bake)


STAGES = (
    Stage("capture", capture, needs=("video",), uses=("body", "keypoints", "prior"), settings="capture", extra="pose",
          makes=("keypoints.npz", "motion.npz", "camera.json", "overlay.mp4", "report.json", "report.html"),
          rehearsal=lambda work: try_video(work.inputs["video"])),
    Stage("train", train, needs=("motion.npz",), settings="train", extra="physics",
          makes=("policy.pt", "curve.json", "curve.png"), lent=True,
          rehearsal=lambda work: try_engine(work.config.train.engine)),
    Stage("simulate", simulate, needs=("policy.pt",), settings="simulate", extra="physics",
          makes=("rollout.npz", "rollout.json", "rollout.png")),
    Stage("bake", bake, needs=("motion.npz", "rig"), uses=("rollout.npz", "map"), settings="bake",
          makes=("result.blend",),
          rehearsal=lambda work: try_rig(work.inputs["rig"], work.config.bake.armature, work.progress)),
)


def run(job: Job, progress: Progress, stages: Sequence[Stage] = STAGES) -> dict[str, Report]:
    """Bring the job to its end and return each stage's report. Raise SfvError, Cancelled."""
    config = job.config
    check(config, stages)
    job.artifacts.mkdir(exist_ok=True)
    files, reports = given(config), {}
    undone = [stage for stage in asked_for(config, stages) if recorded(job, stage) is None]
    for stage in undone if len(undone) > 1 else ():
        if stage.rehearsal:
            stage.rehearsal(Work(config, files, job.folder, job.artifacts, progress))
    for stage in asked_for(config, stages):
        inputs = {name: files[name] for name in (*stage.needs, *stage.uses) if name in files}
        work = Work(config, inputs, job.folder, job.artifacts, progress)
        record = recorded(job, stage)
        if record is None or record["made_from"] != ingredients(stage, work):
            record = (borrowed(job, stage, work) if stage.lent else None) or carry_out(job, stage, work)
        else:
            job.emit("log", stage=stage.name, text=f"{stage.name} is done already.")
        reports[stage.name] = record["report"]
        _tell(job, stage, record["report"])
        files |= {name: job.artifacts / name for name in stage.makes}
    return reports


def _tell(job: Job, stage: Stage, report: Report) -> None:
    """Emit what a report says to people: what was found and done about it, and what to do about the result."""
    for text in (*report.get("findings", ()), *report.get("notes", ())):
        job.emit("log", stage=stage.name, text=text, note=True)
    if advice := report.get("advice"):
        job.emit("log", stage=stage.name, text=advice, advice=True)


def ingredients(stage: Stage, work: Work) -> Report:
    """Return everything that the results of a stage depend on."""
    settings = to_json(getattr(work.config, stage.settings)) if stage.settings else {}
    return {"inputs": {name: content_hash(path) for name, path in work.inputs.items()}, "settings": settings,
            "version": __version__}


def carry_out(job: Job, stage: Stage, work: Work) -> Report:
    """Run one stage and record what its results were made from."""
    _record_path(job, stage).unlink(missing_ok=True)
    job.emit("log", stage=stage.name, text=f"{stage.name} begins.")
    made_from, began = ingredients(stage, work), time.monotonic()
    report = stage.function(work)
    missing = [name for name in stage.makes if not (job.artifacts / name).is_file()]
    if missing:
        raise RuntimeError(f"{stage.name} did not write {', '.join(missing)}")
    return _keep(job, stage, {"made_from": made_from, "report": report, "seconds": time.monotonic() - began})


def borrowed(job: Job, stage: Stage, work: Work) -> Report | None:
    """Take over what another job in the same folder made from the same; return its record, None where there is none.

    So a take under another push does not train anew.
    """
    wanted = ingredients(stage, work)
    for path in sorted(job.folder.parent.glob(f"*/stages/{stage.name}.json")):
        folder = path.parent.parent
        if folder == job.folder or not (folder / "job.json").is_file():
            continue
        other = Job(folder)
        record = recorded(other, stage)
        if record is None or record.get("made_from") != wanted:
            continue
        for name in stage.makes:
            show_also_as(other.artifacts / name, job.artifacts / name)
        job.emit("log", stage=stage.name, text=f"{stage.name} was done by an earlier job.")
        return _keep(job, stage, record)
    return None


def _keep(job: Job, stage: Stage, record: Report) -> Report:
    """Write what a stage's results were made from, and announce them."""
    with written_whole(_record_path(job, stage)) as path:
        path.write_text(json.dumps(record, indent=2, default=float), encoding="utf-8")
    for name in stage.makes:
        job.emit("artifact", stage=stage.name, name=name, bytes=(job.artifacts / name).stat().st_size)
    return record


def recorded(job: Job, stage: Stage) -> Report | None:
    """Return the record of a stage whose results all stand; None where it is to be done."""
    try:
        record = json.loads(_record_path(job, stage).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if all((job.artifacts / name).is_file() for name in stage.makes) else None


def check(config: JobConfig, stages: Sequence[Stage] = STAGES) -> None:
    """Raise SfvError if the stages that are asked for cannot follow each other, or if an input is not there."""
    order = [stage.name for stage in stages]
    if not config.stages or list(config.stages) != [name for name in order if name in config.stages]:
        raise SfvError(f"stages is {list(config.stages)}; give one or more of {', '.join(order)}, in this order.")
    files = given(config)
    for name, path in files.items():
        if not (name == "keypoints" and path.is_dir()):
            existing_file(path, name.removesuffix(".npz"))
    for stage in asked_for(config, stages):
        if stage.extra:
            require(stage.extra)
        for name in stage.needs:
            if name not in files:
                makers = [maker.name for maker in stages if name in maker.makes]
                raise SfvError(f"The stage {stage.name} needs {name}. " + (
                    f"Add the stage {makers[0]}." if makers else f"Give the path of the {name}."))
        files |= {name: Path(name) for name in stage.makes}


def given(config: JobConfig) -> dict[str, Path]:
    """Return the input files that the configuration names."""
    paths = {"video": config.video, "motion.npz": config.motion, "rig": config.rig, "body": config.capture.body,
             "keypoints": config.capture.keypoints, "prior": config.capture.prior, "map": config.bake.map}
    return {name: Path(path) for name, path in paths.items() if path is not None}


def asked_for(config: JobConfig, stages: Sequence[Stage] = STAGES) -> list[Stage]:
    """Return the stages that the configuration asks for."""
    return [stage for stage in stages if stage.name in config.stages]


def _record_path(job: Job, stage: Stage) -> Path:
    return job.folder / "stages" / f"{stage.name}.json"
