"""Write a Character as URDF, the format that PyBullet and other engines load. Z up, metres, kilograms."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np

from retarget import rotation
from sfv_core.character.character import Character, Shape

BASE_MASS = 1e-4
"""Mass in kg of the frame that carries the root: an engine's base is its centre of mass, which the root's is not."""


_ROUND = 1e-6
"""Products of inertia below this share of the whole are 0: Bullet turns the frame of a ball joint's link along the
principal axes, and rounding errors in a capsule's would turn it anyhow."""


def urdf(character: Character, frames: np.ndarray | None = None, inertias: np.ndarray | None = None) -> str:
    """Return the character as URDF; link i of the text is link i of the character.

    frames: rotation of each written link's frame in the character's, (L, 4); for engines that want a certain axis
    along a limb or a hinge. Not given: the same frames. inertias: those to write instead of the links', (L, 3, 3).
    """
    if frames is None:
        frames = np.tile(rotation.IDENTITY, (len(character.links), 1))
    if inertias is None:
        inertias = character.inertias
    robot = ET.Element("robot", name="humanoid")
    _inertial(ET.SubElement(robot, "link", name="base"), np.zeros(3), BASE_MASS, BASE_MASS * np.eye(3))
    for link, frame, inertia in zip(character.links, frames, inertias, strict=True):
        element = ET.SubElement(robot, "link", name=link.name)
        to_frame = rotation.to_matrix(rotation.inverse(frame))
        _inertial(element, to_frame @ link.centre_of_mass, link.mass, to_frame @ inertia @ to_frame.T)
        for shape in link.shapes:
            _collision(element, shape, to_frame)
    for i in range(len(character.links)):
        _joint(robot, character, i, frames)
    ET.indent(robot)
    return ET.tostring(robot, encoding="unicode", xml_declaration=True)


def _joint(robot: ET.Element, character: Character, i: int, frames: np.ndarray) -> None:
    link = character.links[i]
    kind = {"free": "fixed", "ball": "spherical", "hinge": "revolute"}[link.joint]
    joint = ET.SubElement(robot, "joint", name=link.name, type=kind)
    parent = frames[link.parent] if link.parent >= 0 else rotation.IDENTITY
    ET.SubElement(joint, "parent", link=character.links[link.parent].name if link.parent >= 0 else "base")
    ET.SubElement(joint, "child", link=link.name)
    offset = rotation.rotate(rotation.inverse(parent), character.offsets[i]) if link.parent >= 0 else np.zeros(3)
    turn = rotation.multiply(rotation.inverse(parent), frames[i])
    ET.SubElement(joint, "origin", xyz=_text(offset), rpy=_text(_roll_pitch_yaw(turn)))
    if link.joint == "ball":
        ET.SubElement(joint, "axis", xyz="1 0 0")  # means nothing, but readers warn where there is none
    if link.joint == "hinge":
        ET.SubElement(joint, "axis", xyz=_text(rotation.rotate(rotation.inverse(frames[i]), np.array(link.axis))))
        ET.SubElement(joint, "limit", lower=_text(link.limits[:1]), upper=_text(link.limits[1:]),
                      effort=_text([link.torque]), velocity="100")


def _inertial(element: ET.Element, centre: np.ndarray, mass: float, inertia: np.ndarray) -> None:
    inertial = ET.SubElement(element, "inertial")
    ET.SubElement(inertial, "origin", xyz=_text(centre), rpy="0 0 0")
    ET.SubElement(inertial, "mass", value=_text([mass]))
    axes = "xyz"
    inertia = np.where(np.abs(inertia) < _ROUND * np.trace(inertia), 0.0, inertia)
    entries = {f"i{axes[r]}{axes[c]}": _text([inertia[r, c]]) for r in range(3) for c in range(r, 3)}
    ET.SubElement(inertial, "inertia", entries)


def _collision(element: ET.Element, shape: Shape, to_frame: np.ndarray) -> None:
    collision = ET.SubElement(element, "collision")
    turn = np.zeros(3)
    if shape.kind == "capsule":
        direction = to_frame @ np.array(shape.direction)
        turn = _roll_pitch_yaw(rotation.between(np.array([0.0, 0.0, 1.0]), direction))
    ET.SubElement(collision, "origin", xyz=_text(to_frame @ np.array(shape.centre)), rpy=_text(turn))
    geometry = ET.SubElement(collision, "geometry")
    if shape.kind == "sphere":
        ET.SubElement(geometry, "sphere", radius=_text(shape.size))
    elif shape.kind == "capsule":
        ET.SubElement(geometry, "capsule", radius=_text(shape.size[:1]), length=_text(shape.size[1:]))
    else:
        ET.SubElement(geometry, "box", size=_text(np.abs(to_frame @ np.array(shape.size))))


def _roll_pitch_yaw(q: np.ndarray) -> np.ndarray:
    """Return URDF's fixed-axis angles in rad of a rotation (4,)."""
    return rotation.to_euler("ZYX", q)[::-1]


def _text(values: np.ndarray | tuple[float, ...] | list[float]) -> str:
    return " ".join(f"{value:.9g}" for value in values)
