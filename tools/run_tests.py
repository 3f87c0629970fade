"""Run every test suite in the environment it belongs to, and fail if one of them fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from environments import ROOT, python_of

BLENDERS = ("bpy-4.2", "bpy-4.5", "bpy-5.0")
FOREIGN = "tests/blender/test_rigs.py"
"""Imports rigs that others made, in a Blender of its own: the glTF importer of 4.2 crashed there once in four runs,
after 190 tests in one process."""


def run(title: str, command: list[str], **environment: str) -> bool:
    """Run one suite; True when it passed."""
    print(f"\n== {title}", flush=True)
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}).returncode == 0


def newest_package() -> Path:
    """Return the extension that was built last."""
    return max((ROOT / "dist").glob("sfv-*.zip"), key=lambda path: path.stat().st_mtime)


def main() -> None:
    """Run lint that needs nothing but the environment, the packages' tests, and the built zip in each Blender."""
    core, extra = str(python_of("core")), sys.argv[1:]
    passed = [
        run("lint", [core, "-m", "ruff", "check", "."]),
        run("import rules", [str(python_of("core").with_name("lint-imports"))]),
        run("packages", [core, "-m", "pytest", "tests/retarget", "tests/sfv_core", "tests/contract", *extra]),
        run("retarget with numpy 2", [str(python_of("bpy-4.2")), "-m", "pytest", "tests/retarget", *extra]),
        run("extension", [core, "tools/package.py"]),
    ]
    for name in BLENDERS if passed[-1] else ():
        built = {"SFV_EXT_ZIP": str(newest_package()), "SFV_PYTHON": core}
        pytest = [str(python_of(name)), "-m", "pytest", *extra]
        passed.append(run(f"extension in {name}", [*pytest, "tests/blender", f"--ignore={FOREIGN}"], **built))
        passed.append(run(f"rigs of others in {name}", [*pytest, FOREIGN], **built))
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
