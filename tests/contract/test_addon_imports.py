"""The add-on runs in Blender's own Python: what it may import is what is there."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "blender_addon"
ALLOWED = {"bpy", "mathutils", "addon_utils", "numpy", "retarget", *sys.stdlib_module_names}

STARTED_FROM_OUTSIDE = {"headless.py"}
"""Scripts that another program starts: they alone name their package, which the extension knows by another name."""


def imported(path: Path) -> set[str]:
    """Return the top-level modules that a file imports, wherever in it; relative ones are its own."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_a_module_of_the_addon_imports_what_blender_brings_only(path: Path):
    assert imported(path) <= (ALLOWED | {"blender_addon"} if path.name in STARTED_FROM_OUTSIDE else ALLOWED)
