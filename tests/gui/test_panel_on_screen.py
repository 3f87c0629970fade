"""The panel in a real Blender on a screen: SFV_BLENDER_GUI names the Blender; the pictures are kept in out/gui."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = [pytest.mark.gui, pytest.mark.slow,
              pytest.mark.skipif("SFV_BLENDER_GUI" not in os.environ, reason="SFV_BLENDER_GUI names no Blender"),
              pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")]


def test_every_state_of_the_panel_is_drawn(tmp_path):
    from PIL import Image, ImageChops

    built = subprocess.run([sys.executable, str(ROOT / "tools" / "package.py"), "--out", str(tmp_path)], check=True,
                           capture_output=True, text=True).stdout.strip()
    out = ROOT / "out" / "gui"
    subprocess.run([sys.executable, str(ROOT / "tools" / "gui" / "screenshot.py"), "--zip", built, "--out", str(out),
                    "--blender", os.environ["SFV_BLENDER_GUI"]], check=True)
    pictures = [Image.open(path).convert("RGB") for path in sorted(out.glob("*.png"))]
    assert len(pictures) == 8
    for one, other in pairwise(pictures):
        assert ImageChops.difference(one, other).getbbox() is not None
