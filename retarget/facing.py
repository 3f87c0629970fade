"""Which way a body at rest faces: told by feet, knees, elbows, thumbs and a level spine; and so which side is left."""

from __future__ import annotations

import numpy as np

SIDES = ("Left", "Right")
_SCALES = {"foot": (0.05, 3.0), "knee": (0.02, 1.5), "elbow": (0.03, 1.0), "thumb": (0.1, 1.5), "spine": (0.3, 4.0)}
"""Of each cue: how far forward, in lengths of its limb, is plain, and how much it counts."""
_STRONG = ("foot", "thumb", "spine")
"""Cues of which one is enough; bends count only where knees and elbows agree."""


def body_up(place: np.ndarray, joints: dict[str, int]) -> np.ndarray:
    """Return the axis of the world nearest to the way up from the feet, (3,); else from hips to head; else Z."""
    for low, high in (("Foot", "UpperLeg"), ("LowerLeg", "UpperLeg")):
        ways = [place[joints[s + high]] - place[joints[s + low]] for s in SIDES if {s + low, s + high} <= joints.keys()]
        if ways:
            return _nearest_axis(np.sum(ways, axis=0))
    if {"Hips", "Head"} <= joints.keys():
        return _nearest_axis(place[joints["Head"]] - place[joints["Hips"]])
    return np.array([0.0, 0.0, 1.0])


def facing(place: np.ndarray, joints: dict[str, int]) -> float:
    """Return how plainly the body faces forward if its sides are as named: 1 plainly, −1 plainly backward, 0 unknown.

    place: (J, 3) rest positions in m; joints: role → joint.
    """
    signs = cues(place, joints)
    total = sum(signs.values())
    strong = [sign * total > 0 for cue, sign in signs.items() if cue in _STRONG and abs(sign) >= 1.0]
    bends = [signs.get(cue, 0.0) * total > 0 for cue in ("knee", "elbow")]
    return float(np.clip(total / 3.0, -1.0, 1.0)) if all(strong or bends) else 0.0


def cues(place: np.ndarray, joints: dict[str, int]) -> dict[str, float]:
    """Return what each part of the body says, positive where the sides are as named."""
    up = body_up(place, joints)
    left = _left(place, joints, up)
    if left is None:
        return {}
    forward = np.cross(left, up)
    ways = {"foot": _foot, "knee": _knee, "elbow": _elbow, "thumb": _thumb}
    found = {}
    for cue, way in ways.items():
        values = [value @ forward for side in SIDES if (value := way(place, joints, side)) is not None]
        if values:  # sides that contradict each other say nothing
            found[cue] = float(np.mean(values)) if min(values) * max(values) > 0 else 0.0
    spine = _level_spine(place, joints, up)
    if spine is not None:
        found["spine"] = float(spine @ forward)
    return {cue: float(np.tanh(value / _SCALES[cue][0])) * _SCALES[cue][1] for cue, value in found.items()}


def _left(place: np.ndarray, joints: dict[str, int], up: np.ndarray) -> np.ndarray | None:
    """Return the unit vector from right to left, level; None where no pair of sides lies apart."""
    total = np.zeros(3)
    for role in ("UpperLeg", "LowerLeg", "UpperArm", "LowerArm"):
        if {f"Left{role}", f"Right{role}"} <= joints.keys():
            total += place[joints[f"Left{role}"]] - place[joints[f"Right{role}"]]
    total -= (total @ up) * up
    length = np.linalg.norm(total)
    return total / length if length > 1e-9 else None


def _foot(place: np.ndarray, joints: dict[str, int], side: str) -> np.ndarray | None:
    """Toes lie before the ankle."""
    if not {side + "UpperLeg", side + "Foot", side + "Toes"} <= joints.keys():
        return None
    hip, foot, toes = (place[joints[side + role]] for role in ("UpperLeg", "Foot", "Toes"))
    return (toes - foot) / max(float(np.linalg.norm(hip - foot)), 1e-9)


def _knee(place: np.ndarray, joints: dict[str, int], side: str) -> np.ndarray | None:
    """Knees bend forward."""
    return _bend(place, [joints.get(side + role) for role in ("UpperLeg", "LowerLeg", "Foot")])


def _elbow(place: np.ndarray, joints: dict[str, int], side: str) -> np.ndarray | None:
    """Elbows bend backward."""
    bend = _bend(place, [joints.get(side + role) for role in ("UpperArm", "LowerArm", "Hand")])
    return None if bend is None else -bend


def _thumb(place: np.ndarray, joints: dict[str, int], side: str) -> np.ndarray | None:
    """Thumbs lie before the other fingers, whether the arms hang or are spread."""
    others = [joints[f"{side}{finger}1"] for finger in ("Index", "Middle", "Ring", "Little")
              if f"{side}{finger}1" in joints]
    if not others or not {side + "Thumb1", side + "LowerArm", side + "Hand"} <= joints.keys():
        return None
    length = np.linalg.norm(place[joints[side + "Hand"]] - place[joints[side + "LowerArm"]])
    return (place[joints[side + "Thumb1"]] - np.mean(place[others], axis=0)) / max(float(length), 1e-9)


def _bend(place: np.ndarray, limb: list[int | None]) -> np.ndarray | None:
    """Return how far the middle joint lies off the line between the ends, in the limb's lengths, (3,)."""
    if any(joint is None for joint in limb):
        return None
    start, middle, end = (place[joint] for joint in limb if joint is not None)
    way = end - start
    length = float(way @ way)
    if length < 1e-12:
        return None
    return (middle - start - way * ((middle - start) @ way / length)) / np.sqrt(length)


def _level_spine(place: np.ndarray, joints: dict[str, int], up: np.ndarray) -> np.ndarray | None:
    """Return the way from hind legs to front legs or head of a body whose spine lies level, as long as its share."""
    ends = [[joints[s + role] for s in SIDES if s + role in joints] for role in ("UpperLeg", "UpperArm")]
    front = ends[1] or ([joints["Head"]] if "Head" in joints else [])
    if not ends[0] or not front:
        return None
    way = np.mean(place[front], axis=0) - np.mean(place[ends[0]], axis=0)
    length = float(np.linalg.norm(way))
    return way / length if length > 1e-9 and abs(way @ up) < 0.6 * length else None


def _nearest_axis(way: np.ndarray) -> np.ndarray:
    """Return the axis of the world nearest to a direction, (3,)."""
    largest = int(np.argmax(np.abs(way)))
    return np.where(way[largest] < 0, -1.0, 1.0) * np.eye(3)[largest]
