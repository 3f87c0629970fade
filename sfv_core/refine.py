"""The animator's word is law: solve a capture again around the frames that were corrected by hand."""

from __future__ import annotations

import json
import shutil
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from retarget import rotation
from retarget.kinematics import forward
from retarget.motion import Motion
from retarget.whole import written_whole

from .body.model import SMPL_NAMES
from .errors import SfvError
from .inputs import content_hash
from .pose.keypoints import Keypoints
from .progress import Progress
from .reconstruct.camera import Camera
from .reconstruct.correction import WINDOW_S, Correction, correct, windows
from .reconstruct.evidence import Evidence, gather
from .reconstruct.pins import Pin, parse_pins, read_json

UNREFINED = "motion.unrefined.npz"
_KEPT = ("keypoints.npz", "camera.json")


@dataclass(frozen=True)
class Capture:
    """A capture as it was before any refinement."""

    folder: Path
    file: Path
    """The motion's file."""
    motion: Motion
    start: float
    """Time of the first frame in s from the start of the video."""
    camera: Camera | None
    keypoints: Keypoints | None
    report: dict[str, Any]


def refine(folder: Path, pins: Path, out: Path | None, progress: Progress) -> dict[str, Any]:
    """Solve the capture in `folder` again around the pins of a file; see `refine_capture`."""
    return refine_capture(folder, lambda: read_json(pins), str(pins), out, progress)


def refine_capture(folder: Path, read: Callable[[], Any], name: str, out: Path | None, progress: Progress
                   ) -> dict[str, Any]:
    """Write the refined motion.npz and report.json into `out`, else into `folder`; return what was done.

    read: gives the content of a pins.json; name: what errors call it. The captured motion is kept once as
    motion.unrefined.npz, and every refinement begins from it, so the pins given are all that count and none gives the
    capture back. Frames outside of the windows around the pins stay as they are to the last bit. Raise SfvError.
    """
    began = time.perf_counter()
    capture = load_capture(Path(folder))
    try:
        data = read()
        held = parse_pins(data, capture.motion, capture.start)
        progress("refine", 0, 1)
        corrections = solve(capture, held, progress)
    except SfvError as error:
        raise SfvError(f"'{name}': {error}") from error
    refined = applied(capture.motion, corrections)
    about = {"pins": data["pins"], **describe(capture.motion, refined, held, corrections),
             "solve_seconds": round(time.perf_counter() - began, 3)}
    _write(capture, refined, corrections, about, Path(out) if out else capture.folder)
    progress("refine", 1, 1)
    return about


def solve(capture: Capture, pins: Sequence[Pin], progress: Progress) -> list[Correction]:
    """Solve every window around the pins."""
    if not pins:
        return []
    evidence = _evidence(capture)
    spans = windows(pins, len(capture.motion), round(WINDOW_S * capture.motion.fps))
    corrections = []
    for number, window in enumerate(spans):
        corrections.append(correct(capture.motion, window, evidence, capture.camera))
        progress("refine", number + 1, len(spans) + 1)
    return corrections


def applied(motion: Motion, corrections: Sequence[Correction]) -> Motion:
    """Return the motion with the corrections in it; what was pinned is sure."""
    root_pos, rotations = motion.root_pos.copy(), motion.rotations.copy()
    confidence = None if motion.confidence is None else motion.confidence.copy()
    contacts = None if motion.contacts is None else motion.contacts.copy()
    for correction in corrections:
        rows = slice(correction.window.start, correction.window.stop)
        if correction.travels:
            root_pos[rows] = correction.root_pos
        turned = np.any(correction.rotations != rotations[rows], axis=(0, 2))
        rotations[rows, turned] = correction.rotations[:, turned]
        for pin in correction.window.pins:
            if confidence is not None:
                confidence[pin.frame, [*pin.rotations, *pin.positions, *pin.pixels]] = 1.0
            if contacts is not None:
                contacts[pin.frame, list(pin.contacts)] = 1.0
    return replace(motion, root_pos=root_pos, rotations=rotations, confidence=confidence, contacts=contacts)


def describe(before: Motion, after: Motion, pins: Sequence[Pin], corrections: Sequence[Correction]) -> dict[str, Any]:
    """Say which frames changed and how well the pins are met."""
    changed = np.zeros(len(before), bool)
    for window in (c.window for c in corrections):
        rows = slice(window.start, window.stop)
        changed[rows] = (np.any(before.rotations[rows] != after.rotations[rows], axis=(1, 2))
                         | np.any(before.root_pos[rows] != after.root_pos[rows], axis=1))
    place, turn = pin_errors(after, pins)
    return {"pinned_frames": [pin.frame for pin in pins],
            "windows": [[c.window.start, c.window.stop - 1] for c in corrections],
            "frames_changed": int(changed.sum()), "share_changed": round(float(changed.mean()), 4),
            "pin_error_mm": float(f"{1e3 * place:.3g}"), "pin_error_deg": float(f"{np.degrees(turn):.3g}")}


def pin_errors(motion: Motion, pins: Sequence[Pin]) -> tuple[float, float]:
    """Return the largest distance from a pinned place in m and from a pinned rotation in rad."""
    place = turn = 0.0
    for pin in pins:
        places, _ = forward(motion.skeleton, motion.root_pos[pin.frame], motion.rotations[pin.frame])
        place = max([place, *(float(np.linalg.norm(places[joint] - p)) for joint, p in pin.positions.items())])
        turn = max([turn, *(float(rotation.angle(motion.rotations[pin.frame, joint], q))
                            for joint, q in pin.rotations.items())])
    return place, turn


def load_capture(folder: Path) -> Capture:
    """Read a capture's folder; raise SfvError, RetargetError where something in it cannot be used."""
    if not folder.is_dir():
        raise SfvError(f"There is no folder '{folder}'. Give the folder that a capture wrote.")
    file = folder / "motion.npz"
    motion = Motion.load(file)
    if _origin(file) is not None:
        file = folder / UNREFINED
        if not file.is_file() or content_hash(file) != _origin(folder / "motion.npz"):
            raise SfvError(f"'{folder}' holds a refined motion, but '{UNREFINED}', which it came from, is missing or "
                           "another one. Capture again.")
        motion = Motion.load(file)
    camera, keypoints = folder / "camera.json", folder / "keypoints.npz"
    report = _report(folder / "report.json")
    found = Keypoints.load(keypoints) if keypoints.is_file() else None
    return Capture(folder, file, motion, _start(report, found), Camera.load(camera) if camera.is_file() else None,
                   found, report)


def _evidence(capture: Capture) -> Evidence | None:
    """Return what the picture says, where keypoints and camera are there and the body is SMPL's."""
    if capture.camera is None or capture.keypoints is None or not capture.keypoints.detected.any():
        return None
    if capture.motion.skeleton.names[: len(SMPL_NAMES)] != SMPL_NAMES:
        return None
    return gather(capture.motion, capture.camera, capture.keypoints, capture.start)


def _origin(file: Path) -> str | None:
    """Return the SHA-256 of the motion that a refined motion came from; None for a captured one."""
    with np.load(file, allow_pickle=False) as data:
        return str(data["unrefined"]) if "unrefined" in data.files else None


def _report(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SfvError(f"'{path}' cannot be read: {error}. Capture again.") from error
    if not isinstance(report, dict):
        raise SfvError(f"'{path}' is not a report. Capture again.")
    return report


def _start(report: dict[str, Any], keypoints: Keypoints | None) -> float:
    """Return when the motion begins in the video, in s."""
    start = report.get("motion", {}).get("start_s") if isinstance(report.get("motion"), dict) else None
    if isinstance(start, int | float) and np.isfinite(start):
        return float(start)
    if keypoints is not None and keypoints.detected.any():
        return float(keypoints.times[keypoints.detected.argmax()])
    return 0.0


def _write(capture: Capture, refined: Motion, corrections: Sequence[Correction], about: dict[str, Any], out: Path
           ) -> None:
    """Write the results; the captured motion first, so that it cannot be lost."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, source in ((UNREFINED, capture.file), *((name, capture.folder / name) for name in _KEPT)):
            if source.is_file() and source.resolve() != (out / name).resolve():
                with written_whole(out / name) as temporary:
                    shutil.copyfile(source, temporary)
        arrays = _arrays(capture.file)
        for correction in corrections:
            rows = slice(correction.window.start, correction.window.stop)
            for name in ("root_pos", "rotations", "confidence", "contacts"):
                if name in arrays:
                    arrays[name][rows] = getattr(refined, name)[rows]
        arrays["unrefined"] = np.array(content_hash(out / UNREFINED))
        with written_whole(out / "motion.npz") as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        with written_whole(out / "report.json") as temporary:
            temporary.write_text(json.dumps({**capture.report, "refined": about}, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SfvError(f"Nothing can be written to '{out}' ({error.strerror}). Give another folder.") from error


def _arrays(file: Path) -> dict[str, np.ndarray]:
    """Return a motion file's arrays as they are: rewriting them through a Motion could change their last bits."""
    try:
        with np.load(file, allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise SfvError(f"'{file}' cannot be read: {error}.") from error
