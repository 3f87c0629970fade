"""The same bone on the other side: by its role, else by its name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_SWAPS = (("Left", "Right"), ("left", "right"), ("LEFT", "RIGHT"), ("左", "右"))
_LETTERS = re.compile(r"(?<![A-Za-z])([LRlr])(?![A-Za-z])|^([LRlr])(?=[A-Z])|(?<=[a-z0-9])([LR])(?![A-Za-z])|"
                      r"^([lr])(?=[A-Z])")
_SWAPPED = {"L": "R", "R": "L", "l": "r", "r": "l"}


def mirrored_name(name: str, names: Sequence[str], roles: Mapping[str, str] | None = None) -> str | None:
    """Return a bone's counterpart on the other side; None where it is in the middle or has none.

    names: all of the skeleton's; roles: role → bone, where they are known, as LeftHand → hand.L.
    """
    for role, bone in (roles or {}).items():
        if bone == name and role.startswith(("Left", "Right")):
            other = role.replace("Left", "?", 1).replace("Right", "Left", 1).replace("?", "Right", 1)
            if roles and other in roles:
                return roles[other]
    return next((other for other in _swapped(name) if other != name and other in names), None)


def _swapped(name: str) -> list[str]:
    """Return the ways to write a name with left and right exchanged."""
    found = []
    for left, right in _SWAPS:
        if left in name:
            found.append(name.replace(left, right))
        if right in name:
            found.append(name.replace(right, left))
    for match in _LETTERS.finditer(name):
        found.append(name[: match.start()] + _SWAPPED[match.group()] + name[match.end() :])
    return found
