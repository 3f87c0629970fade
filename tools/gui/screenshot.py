"""Show the add-on's panel in a real Blender on a screen of its own (Xvfb), and keep pictures of it.

    python tools/gui/screenshot.py --blender /usr/bin/blender --zip dist/sfv-0.1.0.zip --out out/gui

Needs Xvfb and ImageMagick's `import`; Blender's own screenshot operator gives a black picture under Xvfb.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS = Path(__file__).resolve().parent / "steps.py"
SIZE = (1280, 1200)
PATIENCE = 300


def show(blender: str, package: Path, out: Path) -> None:
    """Run steps.py in Blender and wait for its end; raise SystemExit with what it said if it fails."""
    for program in ("Xvfb", "import"):
        if shutil.which(program) is None:
            raise SystemExit(f"'{program}' is not installed; it is needed to show Blender without a screen.")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, _screen() as display:
        runtime = Path(home) / "run"
        runtime.mkdir(mode=0o700)
        environment = os.environ | {"HOME": home, "XDG_RUNTIME_DIR": str(runtime), "SFV_DATA": home,
                                    "LIBGL_ALWAYS_SOFTWARE": "1", "DISPLAY": display}
        command = [blender, "--factory-startup", "--enable-event-simulate", "--window-geometry", "0", "0",
                   *map(str, SIZE), "--python", str(STEPS), "--", str(package.absolute()), str(out.absolute())]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    log = done.stdout + done.stderr
    (out / "blender.log").write_text(log, encoding="utf-8")
    if "SFV STEPS DONE" not in log:
        raise SystemExit(f"The steps did not come to their end:\n{log[-3000:]}")


class _screen:
    """An X server on a free display, ended with the block."""

    def __enter__(self) -> str:
        read, write = os.pipe()
        width, height = SIZE
        self._server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", f"{width}x{height}x24",
                                         "+extension", "GLX", "-nolisten", "tcp"], pass_fds=[write],
                                        stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        if not number:
            raise SystemExit("Xvfb did not start.")
        return f":{number}"

    def __exit__(self, *_: object) -> None:
        self._server.terminate()
        self._server.wait()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blender", default=os.environ.get("SFV_BLENDER_GUI", "blender"), help="a real Blender")
    parser.add_argument("--zip", type=Path, required=True, help="the built extension")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    options = parser.parse_args()
    show(options.blender, options.zip, options.out)
    sys.stdout.write("\n".join(str(path) for path in sorted(options.out.glob("*.png"))) + "\n")


if __name__ == "__main__":
    main()
