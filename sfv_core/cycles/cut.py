"""`sfv loop`: read a motion, find its cycle or take the one that was asked for, write it with a picture."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from retarget.files import read_motion
from sfv_core.cycles.cycle import make_loop
from sfv_core.cycles.loop import SURE, Loop, best_loop, loop_between
from sfv_core.cycles.picture import draw_loop
from sfv_core.errors import SfvError


def cut(path: Path, out: Path | None, start: float | None, end: float | None) -> dict[str, Any]:
    """Return what the motion's cycle is like; write it to `out` and its picture beside it where one is wanted.

    start, end: a cycle of your own in s; otherwise the best one, which is written only where the motion surely repeats.
    Raise SfvError that names the file.
    """
    motion = read_motion(path)
    if (start is None) != (end is None):
        raise SfvError("A cycle has two ends. Give both --start and --end, or neither to have the best one found.")
    try:
        chosen = None if start is None or end is None else loop_between(motion, start, end)
        loop = chosen or best_loop(motion)
        sure = loop is not None and (chosen is not None or loop.confidence >= SURE)
        if out is None or loop is None or not sure:
            if out is not None:
                raise SfvError(_none(loop, motion.fps))
            return {"repeats": sure, **({} if loop is None else _figures(loop, motion.fps)), "files": []}
        make_loop(motion, loop).save(out)
    except SfvError as error:
        raise SfvError(f"'{path}': {error}") from error
    picture = out.with_suffix(".png")
    draw_loop(motion, loop, picture)
    return {"repeats": True, **_figures(loop, motion.fps), "files": [str(out), str(picture)]}


def _none(loop: Loop | None, fps: float) -> str:
    if loop is None:
        return "The motion holds no cycle: it is too short or stands still. A cycle must be seen nearly twice."
    return (f"The motion does not surely repeat: confidence {loop.confidence:.2f}, {SURE} is needed. To cut its most "
            f"cyclic part all the same, add --start {loop.start / fps:.3f} --end {loop.end / fps:.3f}.")


def _figures(loop: Loop, fps: float) -> dict[str, Any]:
    figures = {name: round(value, 3) for name, value in asdict(loop).items()}
    return {"start_s": round(loop.start / fps, 3), "end_s": round(loop.end / fps, 3), **figures}
