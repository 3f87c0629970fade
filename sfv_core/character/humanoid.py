"""DeepMimic's humanoid as a body plan: masses, sizes, gains and limits that other skeletons are scaled from.

Source: data/characters/humanoid3d.txt and data/controllers/humanoid3d_ctrl.txt of DeepMimic (Peng et al. 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LEG = 0.421546 + 0.40987
"""Length of thigh and shin in m; a character's scale is its own leg's length over this one."""
SPINE, NECK = 0.236151, 0.223894
"""Distance in m from the root to the chest's joint, and from there to the neck's."""
WRIST_MASS, WRIST_RADIUS = 0.5, 0.04
"""Mass in kg and radius in m of the ball at the end of each forearm."""


@dataclass(frozen=True)
class Part:
    """One body of the plan."""

    name: str
    parent: str | None
    joint: Literal["free", "ball", "hinge"]
    kind: Literal["sphere", "capsule", "box"]
    radius: float
    """Radius in m; of a box, its height."""
    mass: float
    """Mass in kg."""
    length: float = 0.0
    """Distance in m to the next joint, which the shape is scaled along; 0 where there is none."""
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


def _leg(side: str) -> tuple[Part, ...]:
    return (
        Part(f"{side}_hip", "pelvis", "ball", "capsule", 0.055, 4.5, 0.421546, 0.30, 0.21, 500, 200, 0.5),
        Part(f"{side}_knee", f"{side}_hip", "hinge", "capsule", 0.05, 3.0, 0.40987, 0.31, 0.20, 500, 150, 0.3),
        Part(f"{side}_ankle", f"{side}_knee", "ball", "box", 0.055, 1.0, stiffness=400, torque=90, weight=0.2),
    )


def _arm(side: str) -> tuple[Part, ...]:
    return (
        Part(f"{side}_shoulder", "spine3", "ball", "capsule", 0.045, 1.5, 0.274788, 0.18, 0.14, 400, 100, 0.3),
        Part(f"{side}_elbow", f"{side}_shoulder", "hinge", "capsule", 0.04, 1.0, 0.258947, 0.135, 0.12, 300, 60, 0.2),
    )


PARTS: tuple[Part, ...] = (
    Part("pelvis", None, "free", "sphere", 0.09, 6.0, SPINE, 0.0, 0.07),
    Part("spine3", "pelvis", "ball", "sphere", 0.11, 14.0, NECK, 0.0, 0.12, 1000, 200, 0.5),
    Part("neck", "spine3", "ball", "sphere", 0.1025, 2.0, 0.0, 0.0, 0.175, 100, 50, 0.3),
    *_leg("left"), *_leg("right"), *_arm("left"), *_arm("right"),
)
"""The 13 moving bodies, named as in SMPL; `spine3` is the whole chest. The wrists' balls belong to the forearms."""

FOOT = (0.177, 0.055, 0.09)
"""Length, height and breadth of the foot's box in m."""
FOOT_CENTRE = (0.045, -0.0225)
"""The box's centre ahead of and above the ankle in m."""
