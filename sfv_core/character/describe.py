"""Tell what a character is: its mass, height and links in numbers, and as a table for people."""

from __future__ import annotations

from typing import Any

import numpy as np

from retarget import kinematics
from sfv_core.character.character import Character, Link

PLAIN = {"pelvis": "pelvis", "spine3": "chest", "neck": "head", "hip": "thigh", "knee": "shin", "ankle": "foot",
         "shoulder": "upper arm", "elbow": "forearm, hand"}
"""What a link is called by people: it has the name of its joint."""


def plain_name(link: Link) -> str:
    """Return what people call a link, as "left thigh"."""
    side, _, name = link.name.rpartition("_")
    return f"{side} {PLAIN.get(name, name)}".strip()


def standing(character: Character) -> tuple[np.ndarray, np.ndarray]:
    """Return the links' places (L, 3) m and rotations (L, 4) at rest, with the soles on the ground."""
    places, turns = kinematics.rest_pose(character.skeleton)
    count = len(character.links)
    places, turns = places[:count], turns[:count]
    return places - [0.0, 0.0, character.lowest(places, turns).min()], turns


def height(character: Character) -> float:
    """Return how tall the character stands at rest in m."""
    places, _ = standing(character)
    tops = [points[:, 2].max() + radius + place[2] for link, place in zip(character.links, places, strict=True)
            for points, radius in (shape.corners() for shape in link.shapes)]
    return float(max(tops))


def describe(character: Character) -> dict[str, Any]:
    """Return mass in kg, height in m and each link's numbers, as for a report."""
    links = [{"name": link.name, "what": plain_name(link), "joint": link.joint, "mass_kg": link.mass,
              "torque_nm": link.torque, "stiffness_nm_per_rad": link.stiffness,
              "damping_nms_per_rad": link.damping, "limits_deg": list(np.degrees(link.limits))
              if link.joint == "hinge" else None} for link in character.links]
    return {"mass_kg": character.mass, "height_m": height(character), "links": links}


def table(character: Character) -> list[str]:
    """Lay out what `describe` tells for people; both sides of the body are alike and shown once."""
    rows: list[tuple[str, ...]] = [("link", "joint", "kg", "N·m", "N·m/rad", "N·m·s/rad", "bends")]
    for link in character.links:
        if not link.name.startswith("right"):
            bends = "" if link.joint != "hinge" else "{:.0f}° to {:.0f}°".format(*np.degrees(link.limits))
            numbers = [f"{link.torque:.0f}", f"{link.stiffness:.0f}", f"{link.damping:.0f}"]
            rows.append((plain_name(link).removeprefix("left ") + (", each" if link.name.startswith("left") else ""),
                         link.joint, f"{link.mass:.2f}", *(numbers if link.torque else ["", "", ""]), bends))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [text.rjust(width) if 2 <= k < 6 else text.ljust(width)
                 for k, (text, width) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines
