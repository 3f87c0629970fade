"""An average person as a body plan, in which captured motions are performed.

Masses are shares of the whole, the means of women and men in de Leva 1996 (Adjustments to Zatsiorsky-Seluyanov's
segment inertia parameters, J. Biomech. 29, table 4), as are lengths of limbs and places of mass centres. Half of the
trunk's middle part belongs to each side of where it bends. Radii follow from the density of water. The shape of the
foot, the weights of the reward and the muscles' strength for their mass and length are DeepMimic's.
"""

from __future__ import annotations

import math
from dataclasses import replace

from sfv_core.character.humanoid import DEEPMIMIC, Part, Plan

HEIGHT = 1.75
"""Height in m of the person that the plan describes."""
MASS = 22.0 * HEIGHT**2
"""Mass in kg of the person that the plan describes: a body mass index of 22 kg/m², the middle of what is healthy."""
DENSITY = 1000.0
"""Mass of a body by its volume in kg/m³."""
_FIRM = 1500.0
"""The same for thighs, which as capsules would stand in each other's way where flesh yields."""

_SHARES = {"pelvis": 0.1182 + 0.1549 / 2, "spine3": 0.15705 + 0.1549 / 2, "neck": 0.0681, "hip": 0.1447,
           "knee": 0.0457, "ankle": 0.0133, "shoulder": 0.0263, "elbow": 0.0150}
_HAND_SHARE = 0.00585
"""Mass of each part and of a hand as a share of the whole."""
_TOTAL = sum(share * (1 if name in ("pelvis", "spine3", "neck") else 2) for name, share in _SHARES.items()) + (
    2 * _HAND_SHARE)
"""What the rounded shares sum to."""
_LENGTHS = {"hip": 0.398, "knee": 0.436, "shoulder": 0.280, "elbow": 0.268}
"""Length of the limbs' parts in m."""
_CENTRES = {"hip": 0.385, "knee": 0.444, "shoulder": 0.576, "elbow": 0.457}
"""Place of the mass centre from the upper to the lower joint as a share of the length."""
_CYLINDERS = {"pelvis": 0.13, "spine3": 0.19, "neck": 0.0, "hip": 0.26, "knee": 0.31, "shoulder": 0.18, "elbow": 0.14}
_BEND = math.radians(160.0)
"""How far knees and elbows bend at most: calf against thigh, as far as a person squats."""


def radius(mass: float, cylinder: float, density: float = DENSITY) -> float:
    """Return the radius in m of a capsule with a cylinder of this length in m, or of a sphere where it is 0."""
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        volume = math.pi * middle**2 * (cylinder + 4 / 3 * middle)
        low, high = (middle, high) if volume * density < mass else (low, middle)
    return low


def _part(model: Part) -> Part:
    """Return the person's part for DeepMimic's."""
    name = model.name.rpartition("_")[2]
    mass, length, cylinder = _SHARES[name] * MASS / _TOTAL, _LENGTHS.get(name, 0.0), _CYLINDERS.get(name, 0.0)
    shape = replace(model, mass=mass, length=length, bend=_BEND)
    if model.kind == "box":
        return shape
    if name == "neck":
        return replace(shape, radius=radius(mass, 0.0))
    density = _FIRM if name == "hip" else DENSITY
    return replace(shape, kind="capsule", radius=radius(mass, cylinder, density), cylinder=cylinder,
                   centre=_CENTRES.get(name, 0.5) * length, across=name in ("pelvis", "spine3"))


def _strong(part: Part) -> Part:
    """Return the part with gains and torque for its mass and length as DeepMimic's are for theirs."""
    legs = [sum(each.length for each in parts if each.name in ("left_hip", "left_knee"))
            for parts in (_MODELS, DEEPMIMIC.parts)]
    ratio = MASS / DEEPMIMIC.mass * legs[0] / legs[1]
    return replace(part, stiffness=part.stiffness * ratio, torque=part.torque * ratio)


_HAND = _HAND_SHARE * MASS / _TOTAL
_MODELS = tuple(map(_part, DEEPMIMIC.parts))
PERSON = Plan(
    tuple(map(_strong, _MODELS)), DEEPMIMIC.foot, DEEPMIMIC.foot_centre, _HAND, radius(_HAND, 0.0),
    offsets={"pelvis": (0, 0, 0), "spine3": (0, 0, 0.29), "neck": (0, 0, 0.29), "hip": (0.085, 0, 0),
             "knee": (0, 0, -_LENGTHS["hip"]), "ankle": (0, 0, -_LENGTHS["knee"]), "shoulder": (0.18, 0.02, 0.25),
             "elbow": (0, 0, -_LENGTHS["shoulder"]), "wrist": (0, 0, -_LENGTHS["elbow"])})
