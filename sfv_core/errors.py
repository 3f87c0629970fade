"""The one error tree of the backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SfvError(Exception):
    """Say what is wrong, what is there and what to do; the text is shown to the user."""


class Cancelled(SfvError):
    """The user asked the work to stop; what was finished stays."""


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Let errors of the block name this file, unless they do or the user only asked to stop."""
    try:
        yield
    except Cancelled:
        raise
    except SfvError as error:
        if str(path) in str(error):
            raise
        raise SfvError(f"'{path}': {error}") from error
