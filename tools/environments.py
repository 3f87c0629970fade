"""Set up the virtual environments beside this checkout: `python3 tools/environments.py core bpy-4.5 …`.

The backend and Blender's Python stay apart: torch and bpy never share an environment. An environment is made
once and again only when its requirements change. Needs Python 3.11 (MediaPipe's and bpy's common version).
"""

from __future__ import annotations

import ctypes.util
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

REQUIREMENTS = {
    "core": ("torch==2.13.0", "-e", f"{ROOT}[pose,physics,mujoco,server,smpl,dev]"),
    "bpy-4.2": ("bpy==4.2.23", "numpy>=2", "scipy", "pytest"),
    "bpy-4.5": ("bpy==4.5.15", "pytest"),
    "bpy-5.0": ("bpy==5.0.1", "pytest"),
}
FOLDERS = {"core": ".venv", "bpy-4.2": ".venv-bpy-4.2", "bpy-4.5": ".venv-bpy", "bpy-5.0": ".venv-bpy-5.0"}

LIBRARIES = {"GL": "libgl1", "EGL": "libegl1", "Xi": "libxi6", "SM": "libsm6", "Xxf86vm": "libxxf86vm1",
             "Xfixes": "libxfixes3", "xkbcommon": "libxkbcommon0", "Xrender": "libxrender1",
             "gthread-2.0": "libglib2.0-0"}
"""Shared libraries that MediaPipe's and Blender's wheels load on Linux, with their Debian packages."""


def python_of(name: str) -> Path:
    """Return the path of an environment's Python."""
    folder = ROOT / FOLDERS[name]
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def prepare(name: str) -> None:
    """Make one environment, or leave it where it already fits its requirements."""
    folder, wanted = ROOT / FOLDERS[name], REQUIREMENTS[name]
    recipe = "\n".join(wanted) + ((ROOT / "pyproject.toml").read_text() if name == "core" else "")
    stamp, digest = folder / "ready", hashlib.sha256(recipe.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    print(f"Setting up {folder.name} …", flush=True)
    if not python_of(name).exists():
        venv.create(folder, with_pip=True, clear=True)
    command = [str(python_of(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if name == "core":  # first and alone, so that no other package can choose another build of torch
        subprocess.run([*command, wanted[0]], check=True)
    subprocess.run([*command, *wanted], check=True)
    stamp.write_text(digest)


def check_libraries() -> None:
    """See that the system has the libraries that the wheels load; install them where that is possible."""
    missing = [package for library, package in LIBRARIES.items() if ctypes.util.find_library(library) is None]
    if not missing or not sys.platform.startswith("linux"):
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-q"], check=True)
        subprocess.run(install, check=True)
    else:
        print(f"These system libraries seem to be missing. If what follows fails: sudo {' '.join(install)}")


def main() -> None:
    """Prepare the environments named on the command line."""
    if sys.version_info[:2] != (3, 11):
        sys.exit(f"Python 3.11 is needed (this is {sys.version.split()[0]}): MediaPipe and Blender's bpy have it in "
                 "common. Install it and run `make PYTHON=python3.11`.")
    unknown = [name for name in sys.argv[1:] if name not in REQUIREMENTS]
    if unknown or len(sys.argv) < 2:
        sys.exit(f"Name environments out of: {', '.join(REQUIREMENTS)}.")
    check_libraries()
    try:
        for name in sys.argv[1:]:
            prepare(name)
    except subprocess.CalledProcessError as error:
        sys.exit(f"Setting up failed: {' '.join(map(str, error.cmd))}")


if __name__ == "__main__":
    main()
