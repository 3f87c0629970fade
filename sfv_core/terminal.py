"""What a person at a terminal sees: one line of progress, results on stdout, and no chatter of libraries."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from .progress import TimeLeft


class Console:
    """The process's stdout and stderr, kept for us; whatever else writes there goes to a log file meanwhile.

    MediaPipe, PyBullet and training processes write to the file descriptors directly, which would break
    `--json` and bury our one line of error.
    """

    def __init__(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._kept = (os.dup(1), os.dup(2))
        self.out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
        self.err: TextIO = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
        handle, name = tempfile.mkstemp(prefix="sfv-", suffix=".log")
        os.close(handle)
        self.log = self._temporary = Path(name)
        self.log_to(self.log)
        self._left, self._stage, self._line = TimeLeft(), "", False
        self._shown = time.monotonic() - 3.0

    def log_to(self, path: Path) -> None:
        """Send what libraries say to this file from now on."""
        self.log = path
        with path.open("ab") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)

    def close(self, keep_log: bool = False) -> None:
        """Give stdout and stderr back; remove the log unless it is worth reading."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, kept in zip((1, 2), self._kept, strict=True):
            os.dup2(kept, number)
            os.close(kept)
        with suppress(BrokenPipeError):  # nobody reads us any more
            self.end_line()
            self.out.close()
            self.err.close()
        if not (keep_log and self.log == self._temporary):
            self._temporary.unlink(missing_ok=True)

    def progress(self, stage: str, done: float, total: float, **numbers: float) -> None:
        """Show progress: one line that is rewritten on a terminal, a line every five seconds elsewhere."""
        left, now = self._left(stage, done, total), time.monotonic()
        terminal, new = self.err.isatty(), stage != self._stage
        wait = 5.0 if not terminal else 0.0 if new or done >= total else 0.1
        if now - self._shown < wait:
            return
        if new:
            self.end_line()
        self._stage, self._shown = stage, now
        text = progress_text(stage, done, total, left, numbers)
        if terminal:
            width = shutil.get_terminal_size().columns - 1
            self.err.write(f"\r\x1b[K{text[:width]}")
            self._line = True
        else:
            self.err.write(text + "\n")
        self.err.flush()

    def end_line(self) -> None:
        """Leave the line of progress as it stands."""
        if self._line:
            self.err.write("\n")
            self._line = False

    def error(self, text: str) -> None:
        """Say what went wrong, in one line."""
        self.end_line()
        self.err.write(f"sfv: {' '.join(text.split())}\n")
        self.err.flush()

    def say(self, text: str) -> None:
        """Print a line of the result."""
        self.end_line()
        self.out.write(text + "\n")
        self.out.flush()

    def report(self, report: dict[str, Any], as_json: bool) -> None:
        """Print a command's final report."""
        if as_json:
            self.say(json.dumps(report, indent=2, default=_plain))
            return
        for name, value in report.items():
            if isinstance(value, str | int | float) and name != "format":
                self.say(f"{name.replace('_', ' ')}: {f'{value:.4g}' if isinstance(value, float) else value}")
            elif name == "files" and isinstance(value, list):
                for path in value:
                    self.say(f"wrote {path}")
            elif name == "stages" and isinstance(value, dict):
                for advice in filter(None, (stage.get("advice") for stage in value.values())):
                    self.say(advice)


def progress_text(stage: str, done: float, total: float, left: float | None, numbers: dict[str, float]) -> str:
    """Say how far a stage is: `train  42 %  3:10 left  return=0.71`."""
    parts = [f"{stage:<12}"]
    if total > 0:
        parts.append(f"{min(100 * done / total, 100):3.0f} %")
    if left is not None and done < total:
        parts.append(f"{duration_text(left)} left")
    parts += [f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
              for name, value in numbers.items()]
    return "  ".join(parts)


def duration_text(seconds: float) -> str:
    """Write a time in s as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _plain(value: Any) -> Any:
    """Turn numpy's numbers and paths into what JSON knows."""
    return float(value) if hasattr(value, "__float__") else str(value)
