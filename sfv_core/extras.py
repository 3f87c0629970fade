"""Optional packages: a clear sentence instead of an ImportError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from .errors import SfvError

EXTRAS = {"pose": ("mediapipe", "av", "torch"), "physics": ("pybullet", "torch"), "mujoco": ("mujoco",),
          "server": ("fastapi", "uvicorn"), "smpl": ("smplx", "torch")}
"""Which packages each extra of the distribution brings."""


def installed() -> dict[str, bool]:
    """Return which extras are here, without importing them."""
    return {extra: all(find_spec(name) is not None for name in names) for extra, names in EXTRAS.items()}


def require(extra: str) -> None:
    """Raise SfvError if a package of the extra is not installed."""
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        raise SfvError(f"This needs {', '.join(missing)}. Install with: pip install 'sfv[{extra}]'")


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Turn a failed import of an optional package inside the block into an SfvError that says what to install."""
    try:
        yield
    except ImportError as error:
        if error.name and error.name.split(".")[0] in ("sfv_core", "retarget"):
            raise
        raise SfvError(f"This needs a package that is missing or broken ({error}). "
                       f"Install it with: pip install 'sfv[{extra}]'") from error
