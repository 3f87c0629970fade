"""SFV in Blender: the sidebar tab that turns a video into keyframes, and what it is made of.

    operators → watcher (threads) → client (HTTP) → the backend
    tracking (what is known) ← watcher;  panels draw it
    sources, maps, the panel's choices → retargeting → transfer → retarget, bake → an Action; live shows it without one
"""

from __future__ import annotations

from . import (
    live,
    map_operators,
    maps,
    operators,
    panels,
    pin_operators,
    preferences,
    properties,
    retarget_operators,
    retarget_panels,
    session,
)

PARTS = (preferences, properties, operators, retarget_operators, map_operators, pin_operators, panels, retarget_panels,
         maps, live, session)


def register() -> None:
    """Add the panel, its operators and properties to Blender."""
    for part in PARTS:
        part.register()


def unregister() -> None:
    """Take everything away again."""
    for part in reversed(PARTS):
        part.unregister()
