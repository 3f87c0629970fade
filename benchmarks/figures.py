"""The one form in which every benchmark reports: a table for people, JSON for programs."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured number; names are stable."""

    name: str
    value: float | None
    """The measurement; None where it could not be made."""
    unit: str
    baseline: float | None = None
    """What is compared against, measured in the same run or named in the benchmark."""
    goal: float | None = None


def machine() -> dict[str, object]:
    """Describe the machine that the figures come from."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}


def table(figures: list[Figure]) -> str:
    """Lay the figures out for people."""
    def cell(value: float | None) -> str:
        return "–" if value is None else f"{value:.4g}"

    rows = [("name", "value", "unit", "baseline", "goal")]
    rows += [(f.name, cell(f.value), f.unit, cell(f.baseline), cell(f.goal)) for f in figures]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)


def main(measure: Callable[[argparse.Namespace], list[Figure]], description: str,
         arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None) -> None:
    """Run a benchmark from the command line: `python -m benchmarks.NAME [--json]`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments(parser)
    options = parser.parse_args()
    figures = measure(options)
    if options.json:
        print(json.dumps({"figures": [asdict(f) for f in figures], "machine": machine()}, indent=2))
    else:
        print(table(figures))
