"""Write a Character as MJCF, the format that MuJoCo loads, with the ground it stands on. Z up, metres, kilograms.

Bodies keep the character's frames. Each joint coordinate has one motor, in the order of Character.to_coordinates: a PD
controller whose damping is inside the limit on its torque, as in stable PD control. Damping outside of the limit brakes
a joint that turns fast, as a knee in a take-off does, by more than its motor can push.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np

from retarget import rotation
from sfv_core.character.character import Character, Link, Shape


def mjcf(character: Character, friction: float = 0.9, rate: float = 240.0,
         gravity: tuple[float, float, float] = (0.0, 0.0, -9.8)) -> str:
    """Return the character above flat ground as MJCF; link i of the character is body i + 1 of the model."""
    model = ET.Element("mujoco", model="humanoid")
    ET.SubElement(model, "compiler", angle="radian", autolimits="false")
    ET.SubElement(model, "option", timestep=_text([1.0 / rate]), gravity=_text(gravity), integrator="implicitfast",
                  solver="PGS", iterations="10")
    default = ET.SubElement(model, "default")
    ET.SubElement(default, "geom", friction=_text([friction, 0.01, 0.001]), contype="1", conaffinity="1")
    world = ET.SubElement(model, "worldbody")
    ET.SubElement(world, "geom", name="ground", type="plane", size="0 0 1")
    bodies: list[ET.Element] = []
    for i, link in enumerate(character.links):
        parent = bodies[link.parent] if link.parent >= 0 else world
        bodies.append(_body(parent, link, character.offsets[i] if link.parent >= 0 else np.zeros(3)))
    _no_contact_with_ancestors(model, character)
    actuators = ET.SubElement(model, "actuator")
    for i in (*character.balls, *character.hinges):
        _motors(actuators, character.links[i])
    ET.indent(model)
    return ET.tostring(model, encoding="unicode")


def _body(parent: ET.Element, link: Link, offset: np.ndarray) -> ET.Element:
    body = ET.SubElement(parent, "body", name=link.name, pos=_text(offset))
    if link.joint == "free":
        ET.SubElement(body, "freejoint", name=link.name)
    elif link.joint == "ball":
        ET.SubElement(body, "joint", name=link.name, type="ball", armature=_text([link.armature]))
    else:
        ET.SubElement(body, "joint", name=link.name, type="hinge", axis=_text(link.axis), limited="true",
                      range=_text(link.limits), armature=_text([link.armature]))
    inertia = link.inertia()
    ET.SubElement(body, "inertial", pos=_text(link.centre_of_mass), mass=_text([link.mass]),
                  fullinertia=_text([*np.diag(inertia), inertia[0, 1], inertia[0, 2], inertia[1, 2]]))
    for number, shape in enumerate(link.shapes):
        _geom(body, f"{link.name}_{number}", shape)
    return body


def _geom(body: ET.Element, name: str, shape: Shape) -> None:
    geom = ET.SubElement(body, "geom", name=name, type=shape.kind, pos=_text(shape.centre))
    if shape.kind == "sphere":
        geom.set("size", _text(shape.size))
    elif shape.kind == "box":
        geom.set("size", _text(0.5 * np.array(shape.size)))
    else:
        geom.set("size", _text([shape.size[0], 0.5 * shape.size[1]]))
        geom.set("quat", _text(rotation.between(np.array([0.0, 0.0, 1.0]), np.array(shape.direction))))


def _motors(actuators: ET.Element, link: Link) -> None:
    axes = np.eye(3) if link.joint == "ball" else np.eye(3)[:1]
    for axis, row in zip("xyz", axes, strict=False):
        name = f"{link.name}_{axis}" if link.joint == "ball" else link.name
        ET.SubElement(actuators, "general", name=name, joint=link.name, gear=_text([*row, 0, 0, 0]),
                      gaintype="fixed", gainprm=_text([link.stiffness]), biastype="affine",
                      biasprm=_text([0, -link.stiffness, -link.damping]), forcelimited="true",
                      forcerange=_text([-link.torque, link.torque]))


def _no_contact_with_ancestors(model: ET.Element, character: Character) -> None:
    """Let no link touch those that it hangs on, near or far, as in PyBullet's worlds."""
    contact = ET.SubElement(model, "contact")
    for i, link in enumerate(character.links):
        ancestor = link.parent
        while ancestor >= 0:
            ET.SubElement(contact, "exclude", body1=character.links[ancestor].name, body2=character.links[i].name)
            ancestor = character.links[ancestor].parent


def _text(values: np.ndarray | tuple[float, ...] | list[float]) -> str:
    return " ".join(f"{float(value):.9g}" for value in values)
