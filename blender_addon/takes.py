"""The captured and the simulated motion that a scene holds, and how one becomes an Action."""

from __future__ import annotations

from typing import Any

import bpy

from . import maps, pins, sources
from .retargeting import bake_source
from .sources import WORDS
from .transfer import Transfer


def take_of(scene: bpy.types.Scene, kind: str) -> bpy.types.PropertyGroup:
    """Return the scene's take of a kind: capture or simulate."""
    return getattr(scene.sfv, WORDS[kind])


def store(scene: bpy.types.Scene, kind: str, job: str, files: dict[str, str]) -> None:
    """Note where a finished job's files lie."""
    take = take_of(scene, kind)
    take.job, take.name = job, scene.sfv.clip
    take.motion = files.get("motion.npz") or files["rollout.npz"]
    take.picture = files.get("overlay.mp4") or files.get("curve.png", "")
    take.report = files.get("report.html", "")
    if kind == "capture":
        pins.store(scene, [])
    scene.sfv.retarget.source = kind


def bake_take(scene: bpy.types.Scene, kind: str) -> Transfer:
    """Bake a take onto the scene's target as the panel's choices say. Raise AddonError, RetargetError."""
    return bake_source(scene, sources.chosen(scene, kind), maps.chosen_target(scene))


def snapshot(scene: bpy.types.Scene) -> dict[str, Any]:
    """Return what the scene holds of its jobs, as plain values."""
    held = {name: getattr(scene.sfv, name) for name in ("job", "kind", "clip")}
    for word in WORDS.values():
        take = getattr(scene.sfv, word)
        held[word] = {name: getattr(take, name) for name in ("job", "name", "motion", "picture", "report")}
    return held


def restore(scene: bpy.types.Scene, held: dict[str, Any]) -> None:
    """Give the scene what `snapshot` returned."""
    for name, value in held.items():
        if isinstance(value, dict):
            for part, text in value.items():
                setattr(getattr(scene.sfv, name), part, text)
        else:
            setattr(scene.sfv, name, value)
