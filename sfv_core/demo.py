"""The whole path on an example clip, with a rig made on the spot: what `make demo` shows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from . import local
from .bake import make_demo_rig, render_preview
from .config import JobConfig, SimulateConfig, TrainConfig
from .inputs import existing_file
from .options import made_for_output
from .terminal import Console

CLIP = Path(__file__).resolve().parent.parent / "examples" / "walk.mp4"
SHOWN = {"overlay.mp4": "overlay.mp4", "report.html": "report.html", "report.json": "report.json",
         "policy.pt": "policy.pt", "curve.png": "curve.png", "result.blend": "demo.blend"}
"""Which artifacts of the job the folder shows, and under which names."""


def demo(out: Path, minutes: float, seed: int, console: Console) -> dict[str, Any]:
    """Write out/demo.blend with the Actions captured and simulated, preview.png, overlay.mp4, report.html, policy.pt.

    minutes: training time. Run again, it goes on where it was; the job itself is in `out`/job.
    """
    existing_file(CLIP, "example clip (it comes with the source, not with an installed package)")
    rig = out / "rig.blend"
    with made_for_output(out):
        if not rig.is_file():
            make_demo_rig(rig, progress=console.progress)
        config = JobConfig(video=str(CLIP), rig=str(rig.absolute()), name="demo",
                           train=TrainConfig(minutes=minutes, seed=seed), simulate=SimulateConfig(seed=seed))
        report = local.run(out / "job", config, console)
        for name, shown in SHOWN.items():
            shutil.copyfile(out / "job" / "artifacts" / name, out / shown)
        render_preview(out / "demo.blend", out / "preview.png", ("captured", "simulated"), video=CLIP,
                       progress=console.progress)
    return {**report, "files": [str(out / name) for name in (*SHOWN.values(), "preview.png")]}
