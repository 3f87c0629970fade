"""What each package may import, wherever in a file: an allow-list, so that a new dependency is a decision."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "retarget": {"numpy", "retarget"},
    "blender_addon": {"bpy", "mathutils", "bpy_extras", "addon_utils", "numpy", "retarget"},
    "sfv_core": {"numpy", "scipy", "filelock", "platformdirs", "retarget", "sfv_core"},
}
"""Beside the standard library; relative imports are a package's own."""

OWNERS = {
    "blender_addon/headless.py": {"blender_addon"},  # another program starts it, outside the extension's own name
    "sfv_core/video.py": {"av"},
    "sfv_core/overlay.py": {"PIL"},
    "sfv_core/people.py": {"PIL"},
    "sfv_core/page.py": {"PIL", "matplotlib"},
    "sfv_core/sheet.py": {"PIL"},
    "sfv_core/pose/network.py": {"ai_edge_litert", "flatbuffers"},
    "sfv_core/pose/region.py": {"cv2"},
    "sfv_core/pose/formats/arrays.py": {"torch"},
    "sfv_core/background.py": {"cv2"},
    "sfv_core/body/model.py": {"smplx", "torch"},
    "sfv_core/prior/": {"torch"},
    "sfv_core/threads.py": {"torch"},
    "sfv_core/reconstruct/": {"torch"},
    "sfv_core/lift/": {"torch"},
    "sfv_core/imitate/": {"torch"},
    "sfv_core/aid/picture.py": {"matplotlib"},
    "sfv_core/imitate/train.py": {"matplotlib"},
    "sfv_core/cycles/picture.py": {"matplotlib"},
    "sfv_core/takes/picture.py": {"matplotlib"},
    "sfv_core/takes/robustness_picture.py": {"matplotlib"},
    "sfv_core/physics/pybullet.py": {"pybullet"},
    "sfv_core/physics/mujoco.py": {"mujoco"},
    "sfv_core/character/deepmimic.py": {"pybullet_data"},
    "sfv_core/character/picture.py": {"matplotlib"},
    "sfv_core/server.py": {"fastapi", "starlette", "uvicorn"},
}
"""Files and folders that own a heavy package."""

MODULES = [path.relative_to(ROOT).as_posix() for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """Return the top-level modules that a file imports absolutely."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_what_its_package_and_place_allow(module: str):
    own = set().union(*(names for place, names in OWNERS.items() if module.startswith(place)))
    assert imported(ROOT / module) <= PACKAGES[module.split("/")[0]] | own | sys.stdlib_module_names
