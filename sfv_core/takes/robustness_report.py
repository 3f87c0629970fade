"""What a policy bears, as numbers and as lines for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SHARE = 0.8
"""Share of the characters that must bear what is tried."""


@dataclass(frozen=True)
class Strength:
    """What pushes to one side a policy bears."""

    side: str
    borne_n: float
    """The strongest force such that it and all weaker ones are borne, in N; 0 if none is."""
    tried: tuple[tuple[float, float], ...]
    """Force in N and share of the characters that stayed up, by force."""


@dataclass(frozen=True)
class Span:
    """How far one thing may change."""

    name: str
    low: float | None
    """Smallest value that is borne with all between it and the usual one; None if the usual one is not."""
    high: float | None
    """Largest such value."""
    tried: tuple[tuple[float, float], ...]
    """Value and share of the characters that stayed up, by value."""


def lines(report: dict[str, Any]) -> list[str]:
    """Lay the report out for people."""
    words = {"front": "forward", "back": "backward", "left": "to the left", "right": "to the right"}
    said = [f"Under usual conditions {100 * report['usual']:.0f} % stay up for {report['seconds']:g} s, from "
            f"{report['starts']} moments of the motion.",
            f"Pushes of {report['push_s']:g} s on the {report['body']} that {100 * report['share']:.0f} % bear:"]
    for push in report["pushes"]:
        more = "or more" if push["tried"][-1][1] >= report["share"] else ""
        said.append(f"  {words[push['side']]:<14}{push['borne_n']:>7.0f} N {more}".rstrip())
    said.append(f"Changes that {100 * report['share']:.0f} % bear:")
    for one in report["spans"]:
        unit = "ms" if one["name"] == "latency" else "×"
        if one["low"] is None:
            said.append(f"  {one['name']:<14}none: too many fall as it is")
        else:
            open_low, open_high = (one["tried"][end][1] >= report["share"] for end in (0, -1))
            low = "" if one["name"] == "latency" else f"{one['low']:g}{' or less' if open_low else ''} to "
            said.append(f"  {one['name']:<14}{low}{one['high']:g}{' or more' if open_high else ''} {unit}")
    return said
