"""What tests of every part share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as sfv_core does, for tests that import numpy first

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real test material, or skip."""
    folder = Path(os.environ.get("SFV_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"The real test material is not here ({folder}); set SFV_SHARED_DATA.")
    return folder


@pytest.fixture(scope="session")
def examples() -> Path:
    """The clips that the project rendered itself."""
    return ROOT / "examples"
