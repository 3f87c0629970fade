"""A push that hits a character during a take, written as `t=1.2 N=300 dir=left body=chest for=0.2`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from .errors import SfvError

EXAMPLE = "t=1.2 N=300 dir=left body=chest for=0.2"
DIRECTIONS = {"left": (1.0, 0.0, 0.0), "right": (-1.0, 0.0, 0.0), "front": (0.0, -1.0, 0.0), "back": (0.0, 1.0, 0.0),
              "up": (0.0, 0.0, 1.0), "down": (0.0, 0.0, -1.0)}
"""The ways a character may be pushed, seen from itself: it faces −Y with its left at +X."""
_WORDS = {"t": "the moment in s", "N": "the force in N", "dir": "where to", "body": "on which part",
          "for": "how long in s"}
_LONGEST, _STRONGEST = 60.0, 1e6


@dataclass(frozen=True)
class Push:
    """A constant force on the centre of mass of one body part for a while."""

    time: float
    """When it begins, in s since the take's start."""
    force: float
    """Strength in N."""
    direction: str | tuple[float, float, float]
    """A key of DIRECTIONS, as the character faces when the push begins; or a unit vector in the world."""
    body: str = "chest"
    """A friendly name of the part."""
    duration: float = 0.2
    """How long it lasts, in s."""

    def text(self) -> str:
        """Say it in words: `300 N to the left on the chest at 1.2 s`."""
        words = {"front": "forward", "back": "backward", "up": "upward", "down": "downward"}
        if isinstance(self.direction, str):
            way = words.get(self.direction, f"to the {self.direction}")
        else:
            way = "along " + ", ".join(f"{x:.2g}" for x in self.direction)
        return f"{self.force:g} N {way} on the {self.body} at {self.time:g} s"


def parse_push(text: str) -> Push:
    """Read a push; raise SfvError that says what is wrong with it and how one looks."""
    fields: dict[str, str] = {}
    for part in re.split(r"\s+(?=\w+=)", text.strip()):
        name, equals, value = part.partition("=")
        if not equals or name not in _WORDS:
            known = ", ".join(f"{word} ({what})" for word, what in _WORDS.items())
            raise SfvError(f"The push '{text}' has '{part}', which is no setting of a push. Settings: {known}; "
                           f"for example '{EXAMPLE}'.")
        if name in fields:
            raise SfvError(f"The push '{text}' gives {name} twice.")
        fields[name] = value.strip()
    missing = [word for word in ("t", "N", "dir") if word not in fields]
    if missing:
        raise SfvError(f"The push '{text}' lacks {' and '.join(missing)}; for example '{EXAMPLE}'.")
    return Push(_number(text, "t", fields["t"], 0.0, 86_400.0), _number(text, "N", fields["N"], 1e-9, _STRONGEST),
                _direction(text, fields["dir"]), fields.get("body", "chest").replace("_", " ").lower(),
                _number(text, "for", fields.get("for", "0.2"), 1 / 240, _LONGEST))


def _number(push: str, name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        at_least = "above 0" if 0 < low < 1e-3 else f"from {low:.2g}"
        raise SfvError(f"The push '{push}' has {name}={text}; {name} is {_WORDS[name]}, {at_least} to {high:g}.")
    return value


def _direction(push: str, text: str) -> str | tuple[float, float, float]:
    if text.lower() in DIRECTIONS:
        return text.lower()
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        x = y = z = math.nan
    length = math.hypot(x, y, z)
    if not 1e-9 < length < math.inf:
        raise SfvError(f"The push '{push}' has dir={text}; it can be {', '.join(DIRECTIONS)}, as the character faces, "
                       "or x,y,z in the world, such as 0,1,0.")
    return x / length, y / length, z / length
