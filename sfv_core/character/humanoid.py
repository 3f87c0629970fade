"""Body plans: the masses, sizes, gains and limits that characters are built from; DeepMimic's humanoid is the first.

Source: data/characters/humanoid3d.txt and data/controllers/humanoid3d_ctrl.txt of DeepMimic (Peng et al. 2018).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from retarget import rotation
from retarget.motion import Skeleton

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Part:
    """One body of a plan."""

    name: str
    parent: str | None
    joint: Literal["free", "ball", "hinge"]
    kind: Literal["sphere", "capsule", "box"]
    radius: float
    """Radius in m; of a box, its height."""
    mass: float
    """Mass in kg."""
    length: float = 0.0
    """Distance in m to the next joint, which a limb's shape is scaled along; 0 where there is none."""
    cylinder: float = 0.0
    """Length of a capsule's cylinder in m."""
    centre: float = 0.0
    """Distance in m from the joint to the shape's centre along the segment."""
    stiffness: float = 0.0
    """PD gain on the angle in N·m/rad; the gain on the velocity is a tenth of it."""
    torque: float = 0.0
    """Largest torque in N·m."""
    weight: float = 1.0
    """Weight in the reward before they are scaled to sum to 1."""
    bend: float = math.pi
    """Largest angle of a hinge in rad; the smallest is 0, straight."""
    across: bool = False
    """Whether the shape is the trunk's: a capsule from side to side in the middle of its segment."""
    ahead: float = 0.0
    """Distance in m of the shape's centre ahead of its segment."""


@dataclass(frozen=True)
class Plan:
    """A whole body."""

    parts: tuple[Part, ...]
    """The 13 moving bodies, named as in SMPL, parents first; `spine3` is the whole chest."""
    foot: Triple
    """Length, height and breadth of the foot's box in m."""
    foot_centre: tuple[float, float]
    """The box's centre ahead of and above the ankle in m."""
    hand_mass: float
    """Mass in kg of the ball at the end of each forearm."""
    hand_radius: float
    """Its radius in m."""
    offsets: dict[str, Triple]
    """Place in m of each joint in its parent's frame, our axes, of the left side: the plan's own skeleton."""

    @property
    def mass(self) -> float:
        """Mass of the whole body in kg."""
        return sum(part.mass for part in self.parts) + 2 * self.hand_mass

    def skeleton(self) -> Skeleton:
        """Return the plan's own skeleton: its parts' joints, then the fixed wrists; arms hang down at rest."""
        names = [*(part.name for part in self.parts), "left_wrist", "right_wrist"]
        parents = [names.index(part.parent) if part.parent else -1 for part in self.parts]
        parents += [names.index(f"{side}_elbow") for side in ("left", "right")]
        places = np.array([self.offsets[name.partition("_")[2] or name] for name in names], float)
        places[[name.startswith("right") for name in names], 0] *= -1
        return Skeleton(tuple(names), np.array(parents), places, np.tile(rotation.IDENTITY, (len(names), 1)))


def body(trunk: tuple[Part, Part, Part], leg: tuple[Part, Part, Part], arm: tuple[Part, Part]) -> tuple[Part, ...]:
    """Return the parts of a body with two such legs and arms, whose parts are named and tied without a side."""
    limbs = []
    for chain in (leg, arm):
        for side in ("left", "right"):
            for part in chain:
                parent = part.parent if part.parent in ("pelvis", "spine3") else f"{side}_{part.parent}"
                limbs.append(replace(part, name=f"{side}_{part.name}", parent=parent))
    return (*trunk, *limbs)


DEEPMIMIC = Plan(
    body(
        (Part("pelvis", None, "free", "sphere", 0.09, 6.0, 0.236151, 0.0, 0.07),
         Part("spine3", "pelvis", "ball", "sphere", 0.11, 14.0, 0.223894, 0.0, 0.12, 1000, 200, 0.5),
         Part("neck", "spine3", "ball", "sphere", 0.1025, 2.0, 0.0, 0.0, 0.175, 100, 50, 0.3)),
        (Part("hip", "pelvis", "ball", "capsule", 0.055, 4.5, 0.421546, 0.30, 0.21, 500, 200, 0.5),
         Part("knee", "hip", "hinge", "capsule", 0.05, 3.0, 0.40987, 0.31, 0.20, 500, 150, 0.3),
         Part("ankle", "knee", "ball", "box", 0.055, 1.0, stiffness=400, torque=90, weight=0.2)),
        (Part("shoulder", "spine3", "ball", "capsule", 0.045, 1.5, 0.274788, 0.18, 0.14, 400, 100, 0.3),
         Part("elbow", "shoulder", "hinge", "capsule", 0.04, 1.0, 0.258947, 0.135, 0.12, 300, 60, 0.2))),
    foot=(0.177, 0.055, 0.09), foot_centre=(0.045, -0.0225), hand_mass=0.5, hand_radius=0.04,
    offsets={"pelvis": (0, 0, 0), "spine3": (0, 0, 0.236151), "neck": (0, 0, 0.223894), "hip": (0.084887, 0, 0),
             "knee": (0, 0, -0.421546), "ankle": (0, 0, -0.40987), "shoulder": (0.18311, 0.02405, 0.2435),
             "elbow": (0, 0, -0.274788), "wrist": (0, 0, -0.258947)})
"""45 kg, 1.62 m; what the recipe of the training is tuned on. The wrists' balls belong to the forearms."""
