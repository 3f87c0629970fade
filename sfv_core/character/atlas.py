"""Boston Dynamics' Atlas as a body plan on the humanoid's joints: 169.5 kg and 1.82 m, as in DeepMimic.

DeepMimic's own file of it was never published. Joints, masses and sizes here are the robot's, whose 31 bodies on hinges
are put together into the humanoid's 13, brought to DeepMimic's mass and height. Source of the numbers:
data/characters/atlas.txt and data/urdf/atlas of Ma et al., "Learning and Exploring Motor Skills with Spacetime Bounds",
2021. Gains and torques are DeepMimic's humanoid's for this mass and length, since with the robot's own (92 N·m at the
ankle) it could not jump. The neck is kept as a ball joint, though the robot only nods.
"""

from __future__ import annotations

from dataclasses import replace

from sfv_core.character.humanoid import DEEPMIMIC, Part, Plan, Triple, body

MASS, HEIGHT = 169.5, 1.82
"""Mass in kg and height in m."""
_THIGH, _SHIN, _ARM = 0.440, 0.422, 0.306
"""Lengths in m as in the robot's file; upper arm and forearm are equally long."""
_BACK, _NECK, _SHOULDER, _HIP = (0.0, 0.0125, 0.212), (0.0, -0.2546, 0.6215), (0.3356, -0.1406, 0.2326), 0.1115
_FOOT, _FOOT_CENTRE = (0.227, 0.050, 0.134), (0.023, -0.0491)
"""The larger of the robot's two boxes; with the narrow toe before it, people's clips scuff along the ground."""
_HEAD_RADIUS, _HEAD_UP = 0.07, 0.0277
_ROBOT_HEIGHT = _FOOT[1] / 2 - _FOOT_CENTRE[1] + _SHIN + _THIGH + _BACK[2] + _NECK[2] + _HEAD_UP + _HEAD_RADIUS
_ROBOT_MASS = 182.4148
"""Sum of the masses in kg in the robot's file."""
_LENGTH, _WEIGHT = HEIGHT / _ROBOT_HEIGHT, MASS / _ROBOT_MASS
_STRENGTH = MASS / DEEPMIMIC.mass * _LENGTH * (_THIGH + _SHIN) / (0.421546 + 0.40987)


def _part(name: str, radius: float, mass: float, length: float = 0.0, cylinder: float = 0.0, centre: float = 0.0,
          ahead: float = 0.0) -> Part:
    """Return a part with the robot's measures in m and kg; it is tied to the body as DeepMimic's part of this name."""
    model = next(part for part in DEEPMIMIC.parts if part.name in (name, f"left_{name}"))
    parent = model.parent and model.parent.removeprefix("left_")
    return replace(model, name=name, parent=parent, radius=radius * _LENGTH, mass=mass * _WEIGHT,
                   length=length * _LENGTH, cylinder=cylinder * _LENGTH, centre=centre * _LENGTH,
                   ahead=ahead * _LENGTH, stiffness=model.stiffness * _STRENGTH, torque=model.torque * _STRENGTH)


def _scaled(x: float, y: float, z: float) -> Triple:
    return x * _LENGTH, y * _LENGTH, z * _LENGTH


ATLAS = Plan(
    body(
        (_part("pelvis", 0.13, 9.509, _BACK[2], centre=0.0271, ahead=0.0111),
         _part("spine3", 0.20, 87.478, 0.6716, centre=0.3412, ahead=-0.1915),
         _part("neck", _HEAD_RADIUS, 1.41984, centre=_HEAD_UP, ahead=-0.0755)),
        (_part("hip", 0.075, 11.061, _THIGH, 0.25, 0.207),
         _part("knee", 0.065, 4.515, _SHIN, 0.28, 0.187),
         _part("ankle", 0.05, 2.535)),
        (_part("shoulder", 0.06, 12.751, _ARM, 0.16, 0.110),
         _part("elbow", 0.05, 10.143, _ARM, 0.16, 0.185))),
    foot=_scaled(*_FOOT), foot_centre=(_FOOT_CENTRE[0] * _LENGTH, _FOOT_CENTRE[1] * _LENGTH),
    hand_mass=1.0 * _WEIGHT, hand_radius=0.05 * _LENGTH,
    offsets={"pelvis": (0, 0, 0), "spine3": _scaled(*_BACK), "neck": _scaled(*_NECK), "hip": _scaled(_HIP, 0, 0),
             "knee": _scaled(0, 0, -_THIGH), "ankle": _scaled(0, 0, -_SHIN), "shoulder": _scaled(*_SHOULDER),
             "elbow": _scaled(0, 0, -_ARM), "wrist": _scaled(0, 0, -_ARM)})
"""The chest bears the robot's batteries and pump, half of its mass."""
