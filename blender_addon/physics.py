"""What the Physics panel's choices ask of the backend, as its settings; those left alone are not sent."""

from __future__ import annotations

from typing import Any

import bpy

TRAIN = ("engine", "loop", "character")
TAKE = ("slope", "gravity", "takes")


def training(scene: bpy.types.Scene) -> dict[str, Any]:
    """Return the settings of the stage `train`."""
    held = scene.sfv.physics
    mass = {"mass": held.mass} if held.use_mass else {}
    return {"minutes": scene.sfv.minutes, **_changed(held, TRAIN), **mass}


def taking(scene: bpy.types.Scene) -> dict[str, Any]:
    """Return the settings of the stage `simulate`."""
    held = scene.sfv.physics
    settings = _changed(held, TAKE)
    if "slope" in settings:
        settings |= _changed(held, ("slope_dir",))
    return settings | ({"push": [push(held)]} if held.use_push else {})


def push(held: bpy.types.PropertyGroup) -> str:
    """Return the push as the backend reads it."""
    return (f"t={held.push_time:g} N={held.push_force:g} dir={held.push_dir} body={held.push_body.replace('_', ' ')} "
            f"for={held.push_for:g}")


def _changed(held: bpy.types.PropertyGroup, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the choices that are not the default."""
    known = held.bl_rna.properties
    return {name: getattr(held, name) for name in names if getattr(held, name) != known[name].default}
