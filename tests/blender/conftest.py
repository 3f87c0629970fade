"""The built zip, installed in the bpy of this Python: `python -m pytest tests/blender` in an environment with bpy."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
HAS_BPY = importlib.util.find_spec("bpy") is not None
collect_ignore_glob = [] if HAS_BPY else ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    """Install the extension before the test modules import it; `retarget` must come from its wheel, not from here."""
    if not HAS_BPY:
        return
    sys.path[:] = [path for path in sys.path if Path(path or ".").resolve() != ROOT]
    resources = tempfile.mkdtemp(prefix="sfv-blender-")
    os.environ["BLENDER_USER_RESOURCES"] = resources
    zipped = os.environ.get("SFV_EXT_ZIP") or _build(Path(resources))
    import bpy

    bpy.ops.extensions.package_install_files(filepath=str(zipped), repo="user_default", enable_on_install=True)
    assert "bl_ext.user_default.sfv" in bpy.context.preferences.addons


def _build(folder: Path) -> str:
    command = [sys.executable, str(ROOT / "tools" / "package.py"), "--out", str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(autouse=True)
def empty_scene() -> None:
    """Start each test in an empty file; the extension stays enabled."""
    import bpy

    bpy.ops.wm.read_homefile(use_empty=True)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[EXIT] = int(exitstatus)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave without Blender's static destructors, which can hang (bpy 4.5)."""
    if HAS_BPY and EXIT in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[EXIT])


EXIT = pytest.StashKey[int]()
