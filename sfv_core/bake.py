"""Motions onto rigs, demo rigs and previews: Blender, or a Python with bpy, run as a process of its own."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from .config import BakeConfig, RetargetConfig
from .errors import SfvError
from .progress import Progress, no_progress

ROOT = Path(__file__).resolve().parent.parent
HEADLESS = ROOT / "blender_addon" / "headless.py"
STANDIN = Path(__file__).with_name("body") / "standin.npz"
PATIENCE = 1800.0
"""Longest time in s that Blender may take for one request."""
TILE = (320, 400)
"""Width and height in px of each picture in a preview."""


def bake(motions: dict[str, Path], rig: Path, out: Path, progress: Progress = no_progress,
         config: BakeConfig | None = None, keep_going: bool = False, save_map: Path | None = None) -> dict[str, Any]:
    """Write each motion (.npz, .bvh, .amc) onto the rig as an Action of its name; `out` is a .blend, .fbx or .glb file.

    keep_going: go on with the others where one motion cannot be baked; "failed" names it, with the reason.
    save_map: where to write the bone map that was used.
    Return {"rig", "out", "armature", "fps", "actions": {name: {"frames", "bones", "keys", "all_keys", "error_deg",
    "error_mm", "notes", "unmapped_joints", "unmapped_bones"}}, "notes", "failed": {name: text}}. Raise SfvError.
    """
    if not motions:
        raise SfvError("There is no motion to bake. Give at least one motion.npz.")
    config = config or BakeConfig()
    out.parent.mkdir(parents=True, exist_ok=True)
    wishes = {name: getattr(config, name) for name in ("armature", "limbs", "start_frame", "fps", "every_frame",
                                                       "reduce", "reduce_mm", "nla")}
    parameters = {"rig": str(rig.absolute()), "out": str(out.absolute()), "keep_going": keep_going,
                  "motions": {name: str(path.absolute()) for name, path in motions.items()},
                  "bone_map": config.map and str(Path(config.map).absolute()),
                  "save_map": save_map and str(save_map.absolute()),
                  "solver": solver_options(config), **config.span(), **wishes}
    return ask_blender("bake", parameters, progress)


def guess_map(motion: Path, rig: Path, progress: Progress = no_progress, armature: str | None = None) -> dict[str, Any]:
    """Guess which joint of the motion drives which bone of the rig.

    Return {"pairs": [{"source", "target", "role", "confidence"}], "notes", "unmapped_joints", "unmapped_bones"}.
    """
    return ask_blender("map", {"rig": str(rig.absolute()), "motion": str(motion.absolute()), "armature": armature},
                       progress)


def solver_options(config: RetargetConfig) -> dict[str, Any]:
    """Return the fields of retarget.solve.Options."""
    return {"stride": config.stride, "root": config.root.replace("-", " "), "feet": config.feet,
            "hands": config.hands, "reference_frame": config.reference_frame}


def make_demo_rig(out: Path, body: Path = STANDIN, progress: Progress = no_progress) -> dict[str, Any]:
    """Write a rig with Mixamo's bone names that wears the stand-in body, as .blend, .glb or .fbx."""
    out.parent.mkdir(parents=True, exist_ok=True)
    return ask_blender("make-rig", {"body": str(body.absolute()), "out": str(out.absolute())}, progress)


def render_preview(blend: Path, out_png: Path, actions: Sequence[str] = (), frames: int = 8,
                   video: Path | None = None, progress: Progress = no_progress) -> list[dict[str, Any]]:
    """Render `frames` moments of the rig in a file side by side, with the video's above if one is given.

    actions: which ones to show, a row each, else the one assigned; the first says at which moments.
    Return a {"frames", "fps", "action"} for each. Raise SfvError.
    """
    from .sheet import contact_sheet

    reports, rows = [], {}
    with tempfile.TemporaryDirectory() as parent:
        for action in actions or (None,):
            folder = Path(tempfile.mkdtemp(dir=parent))
            parameters = {"blend": str(blend.absolute()), "folder": str(folder), "action": action, "count": frames,
                          "size": TILE}
            try:
                report = ask_blender("preview", parameters, progress)
            except BlenderStopped:  # no OpenGL on this machine
                report = ask_blender("preview", {**parameters, "engine": "CYCLES"}, progress)
            reports.append(report)
            rows[report["action"]] = [folder / f"{frame:04d}.png" for frame in report["frames"]]
        first = reports[0]
        times = [(frame - first["frames"][0]) / first["fps"] for frame in first["frames"]]
        contact_sheet(rows, times, out_png, video)
    return reports


class BlenderStopped(SfvError):
    """Blender ended without an answer."""


def ask_blender(command: str, parameters: dict[str, Any], progress: Progress = no_progress) -> dict[str, Any]:
    """Run one command of blender_addon/headless.py and return its result. Raise SfvError; Cancelled stops Blender."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+", errors="replace") as log:
        process = subprocess.Popen([*blender_command(), command, json.dumps(parameters)], stdout=subprocess.PIPE,
                                   stderr=log, stdin=subprocess.DEVNULL, text=True, errors="replace",
                                   env=_environment(folder))
        try:
            said = _listen(process, command, progress)
        finally:
            process.kill()
            process.wait()
        log.seek(0)
        printed = log.read()
    if "error" in said:
        raise SfvError(said["error"])
    if "result" not in said:
        last = (printed.strip().splitlines() or ["it said nothing"])[-1]
        raise BlenderStopped(f"Blender stopped without an answer (exit code {process.returncode}): {last}")
    return said["result"]


@lru_cache
def blender_command(script: Path = HEADLESS) -> tuple[str, ...]:
    """Return the start of the command line that runs a script in Blender. Raise SfvError where there is none."""
    chosen = os.environ.get("SFV_BLENDER") or shutil.which("blender")
    beside = ROOT / ".venv-bpy" / "bin" / "python"
    if not chosen and beside.is_file():
        chosen = str(beside)
    if not chosen:
        raise SfvError("Blender was not found. Install Blender 4.2 or later so that `blender` is on PATH, or set "
                       "SFV_BLENDER to its path, or to a Python in which the bpy wheel is installed.")
    try:
        says = subprocess.run([chosen, "--version"], capture_output=True, text=True, timeout=120, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SfvError(f"'{chosen}' cannot be run as Blender: {error}. Set SFV_BLENDER to Blender's path.") from error
    if "Blender" in says:
        return (chosen, "--background", "--factory-startup", "--python", str(script), "--")
    if says.startswith("Python"):
        return (chosen, str(script), "--")
    raise SfvError(f"'{chosen}' is neither Blender nor Python. Set SFV_BLENDER to Blender's path.")


def _environment(folder: str) -> dict[str, str]:
    """Return an environment in which Blender finds neither this Python's packages nor the user's settings."""
    kept = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONHOME"}}
    return kept | {"BLENDER_USER_RESOURCES": folder, "PYTHONNOUSERSITE": "1"}


def _listen(process: subprocess.Popen[str], command: str, progress: Progress) -> dict[str, Any]:
    """Pass progress on, about once a second so that Cancelled gets through, and return the last word."""
    assert process.stdout is not None
    latest: tuple[str, float, float] = (command, 0.0, 1.0)
    deadline = time.monotonic() + PATIENCE
    for message in _messages(process.stdout):
        if "result" in message or "error" in message:
            return message
        if "progress" in message:
            stage, done, total = message["progress"]
            latest = (str(stage), float(done), float(total))
        if time.monotonic() > deadline:
            raise SfvError(f"Blender did not finish within {PATIENCE / 60:.0f} minutes; it was stopped.")
        progress(*latest)
    process.wait(timeout=60)
    return {}


def _messages(stream: IO[str]) -> Iterator[dict[str, Any]]:
    """Yield what headless.py says; {} for each second of silence."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in stream:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=1.0)
        except queue.Empty:
            yield {}
            continue
        if line is None:
            return
        if line.startswith("SFV "):
            yield json.loads(line[4:])


