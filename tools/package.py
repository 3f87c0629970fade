"""Build dist/sfv-<version>.zip: the add-on with `retarget` inside as a wheel, checked by Blender's own tool."""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNWANTED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
FIND_TOOL = """
import importlib.util, pathlib
spec = importlib.util.find_spec("bpy")
if spec:
    found = pathlib.Path(spec.origin).parent.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py")
    print(*sorted(found)[-1:])
"""


def build(out: Path, blender: str | None) -> Path:
    """Write the extension's zip into `out` and return its path; SystemExit with a clear line if that fails."""
    version = _version()
    tool = extension_tool(blender)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        staged = Path(temporary) / "sfv"
        shutil.copytree(ROOT / "blender_addon", staged, ignore=UNWANTED)
        wheel = write_wheel(staged / "wheels", version)
        manifest = f'wheels = ["./wheels/{wheel.name}"]\n' + (ROOT / "addon_manifest.toml").read_text(encoding="utf-8")
        (staged / "blender_manifest.toml").write_text(manifest, encoding="utf-8")
        _run([*tool, "validate", str(staged)])
        built = Path(temporary) / f"sfv-{version}.zip"
        _run([*tool, "build", "--source-dir", str(staged), "--output-filepath", str(built)])
        _run([*tool, "validate", str(built)])
        return Path(shutil.move(built, out / built.name))


def write_wheel(folder: Path, version: str) -> Path:
    """Write `retarget` as a pure-Python wheel, laid out as the binary distribution format 1.0 says.

    Written here because no builder is sure to be installed in the Python that packages, and it must work offline.
    """
    folder.mkdir(parents=True, exist_ok=True)
    info = f"sfv_retarget-{version}.dist-info"
    members = {path.relative_to(ROOT).as_posix(): path.read_bytes()
               for path in sorted((ROOT / "retarget").rglob("*")) if path.suffix in {".py", ".json"}}
    members[f"{info}/METADATA"] = (f"Metadata-Version: 2.1\nName: sfv-retarget\nVersion: {version}\n"
                                   "Summary: Motion on one skeleton to motion on another.\nLicense: MIT\n"
                                   "Requires-Python: >=3.11\n").encode()
    members[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: sfv\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members[f"{info}/licenses/LICENSE"] = (ROOT / "LICENSE").read_bytes()
    record = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in members.items()]
    members[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    path = folder / f"sfv_retarget-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return path


def extension_tool(blender: str | None) -> list[str]:
    """Return the command that runs Blender's extension tool, from a Blender or from a Python with the bpy wheel."""
    beside = ROOT / ".venv-bpy" / "bin" / "python"
    choices = [blender, os.environ.get("SFV_BLENDER"), sys.executable, str(beside) if beside.is_file() else None,
               shutil.which("blender")]
    for choice in filter(None, choices):
        says = subprocess.run([choice, "--version"], capture_output=True, text=True, check=False).stdout
        if says.startswith("Blender"):
            return [choice, "--command", "extension"]
        found = subprocess.run([choice, "-c", FIND_TOOL], capture_output=True, text=True, check=False).stdout.strip()
        if found:
            return [sys.executable, found]
    raise SystemExit("Blender's extension tool was not found. Give --blender a Blender, or a Python in which "
                     "the bpy wheel is installed, or make one: python3.11 -m venv .venv-bpy && "
                     ".venv-bpy/bin/pip install bpy==4.5.15")


def _version() -> str:
    """Return the project's version; the manifest must have the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    manifest = tomllib.loads((ROOT / "addon_manifest.toml").read_text(encoding="utf-8"))["version"]
    if project != manifest:
        raise SystemExit(f"pyproject.toml is version {project}, addon_manifest.toml is {manifest}. Make them the same.")
    return project


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"Blender's extension tool refused the package:\n{done.stdout}{done.stderr}")


def main() -> None:
    """Build the zip and print its path."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the zip (default: dist)")
    parser.add_argument("--blender", help="a Blender, or a Python with the bpy wheel, that brings the extension tool")
    options = parser.parse_args()
    print(build(options.out, options.blender))


if __name__ == "__main__":
    main()
