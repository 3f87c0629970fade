"""SFV in Blender: the sidebar tab that turns a video into keyframes, and what it is made of.

    operators → watcher (threads) → client (HTTP) → the backend
    tracking (what is known) ← watcher;  panels draw it;  takes → transfer → retarget, bake → an Action
"""

from __future__ import annotations

from . import operators, panels, preferences, properties, session

PARTS = (preferences, properties, operators, panels, session)


def register() -> None:
    """Add the panel, its operators and properties to Blender."""
    for part in PARTS:
        part.register()


def unregister() -> None:
    """Take everything away again."""
    for part in reversed(PARTS):
        part.unregister()
