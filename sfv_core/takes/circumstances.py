"""What is different from the worlds that a policy learnt in: body, ground, gravity, pushes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from retarget import rotation
from sfv_core.character.character import Character, Link
from sfv_core.config import SimulateConfig
from sfv_core.errors import SfvError
from sfv_core.imitate.observation import heading
from sfv_core.imitate.policy import Policy
from sfv_core.imitate.reference import Reference
from sfv_core.physics.engine import PHYSICS_RATE, Conditions, State, open_engine
from sfv_core.push import DIRECTIONS, Push
from sfv_core.takes.disturbed import Disturbed, Shove

PARTS = {"chest": "spine3", "torso": "spine3", "trunk": "spine3", "back": "spine3", "pelvis": "pelvis",
         "hips": "pelvis", "head": "neck", "neck": "neck", "thigh": "hip", "shin": "knee", "calf": "knee",
         "foot": "ankle", "upper arm": "shoulder", "forearm": "elbow", "hand": "elbow", "wrist": "elbow"}
"""Links by what people call them; those of limbs without their side. Hands are stiff ends of the forearms."""
MOST_WORLDS = {"pybullet": 32, "mujoco": 1024}
"""Worlds at a time by engine: one of PyBullet's takes 36 MB."""
_AXES = {"uphill": 0.0, "downhill": np.pi, "left": -np.pi / 2, "right": np.pi / 2}
"""Where uphill is, in rad about the vertical from the way that the motion goes."""


@dataclass(frozen=True)
class Circumstances:
    """Multiples of what was learnt in; the defaults change nothing."""

    engine: str
    mass: float = 1.0
    strength: float = 1.0
    friction: float = 1.0
    gravity: float = 1.0
    latency: int = 0
    """Ticks of 1/240 s until a command arrives."""
    tilt: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """Turn of the ground from level, wxyz: it takes what happens on the engine's level ground into the world."""

    def conditions(self) -> Conditions:
        """Return the engine's own; on a slope gravity leans."""
        usual = Conditions()
        lean = rotation.rotate(rotation.inverse(np.array(self.tilt)), self.gravity * np.array(usual.gravity))
        return Conditions((float(lean[0]), float(lean[1]), float(lean[2])), self.friction * usual.friction)

    def open(self, character: Character, worlds: int, shoves: tuple[Shove, ...] = (), noting: bool = False,
             unsettle: Callable[[State], State] | None = None) -> Disturbed:
        """Make the worlds."""
        engine = open_engine(self.engine, changed(character, self.mass, self.strength), worlds, self.conditions())
        return Disturbed(engine, shoves, self.latency, noting, unsettle or (lambda state: state))


def circumstances_of(config: SimulateConfig, policy: Policy, reference: Reference) -> Circumstances:
    """Return what a configuration asks for."""
    return Circumstances(config.engine or policy.engine, config.mass, config.strength, config.friction, config.gravity,
                         round(config.latency / 1000 * PHYSICS_RATE), _tilt(config, reference))


def changed(character: Character, mass: float, strength: float) -> Character:
    """Return the character with another mass and strength, given as multiples; sizes and shapes stay."""
    def change(link: Link) -> Link:
        shapes = tuple(replace(shape, mass=mass * shape.mass) for shape in link.shapes)
        return replace(link, shapes=shapes, stiffness=strength * link.stiffness, damping=strength * link.damping,
                       torque=strength * link.torque)

    if mass == strength == 1.0:
        return character
    return replace(character, links=tuple(change(link) for link in character.links))


def shoves_of(pushes: tuple[Push, ...], character: Character, worlds: int, circumstances: Circumstances,
              seconds: float) -> tuple[Shove, ...]:
    """Return pushes as forces on all worlds. Raise SfvError for an unknown part or a moment after the take's end."""
    shoves = []
    for push in pushes:
        if push.time >= seconds:
            raise SfvError(f"The push of {push.text()} comes after the take's end at {seconds:.2f} s. "
                           "Push earlier, or make the take longer with --seconds where the motion loops.")
        seen = isinstance(push.direction, str)
        way = np.array(DIRECTIONS[push.direction] if isinstance(push.direction, str) else push.direction)
        if not seen:
            way = rotation.rotate(rotation.inverse(np.array(circumstances.tilt)), way)
        first = round(push.time * PHYSICS_RATE)
        stop = first + max(round(push.duration * PHYSICS_RATE), 1)
        shoves.append(Shove(link_of(push.body, character), first, stop, np.tile(push.force * way, (worlds, 1)), seen))
    return tuple(shoves)


def link_of(body: str, character: Character) -> int:
    """Return the link that people or the character call so; raise SfvError that lists what there is."""
    names = [link.name for link in character.links]
    wanted = body.strip().lower().replace("_", " ")
    if wanted.replace(" ", "_") in names:
        return names.index(wanted.replace(" ", "_"))
    match = re.fullmatch(r"(?:(left|right) )?(.+)", wanted)
    side, part = match.groups() if match else (None, wanted)
    name = "_".join(filter(None, (side, PARTS.get(part, part))))
    if name in names:
        return names.index(name)
    both = sorted({part for part, link in PARTS.items() if f"left_{link}" in names})
    middle = sorted({part for part, link in PARTS.items() if link in names})
    raise SfvError(f"This character has no part '{body}' to push. Parts: {', '.join(middle)}; left or right "
                   f"{', '.join(both)}; or a link: {', '.join(names)}.")


def _tilt(config: SimulateConfig, reference: Reference) -> tuple[float, float, float, float]:
    """Return the turn that leans level ground so that the motion goes as the slope's direction says."""
    if config.slope == 0:
        return (1.0, 0.0, 0.0, 0.0)
    way = reference.state.positions[-1, 0] - reference.state.positions[0, 0]
    if np.linalg.norm(way[:2]) < 0.3:
        facing = rotation.inverse(heading(reference.state.rotations[:1, 0]))
        way = rotation.rotate(facing, np.array([0.0, -1.0, 0.0]))[0]
    uphill = np.arctan2(way[1], way[0]) + _AXES[config.slope_dir]
    axis = np.array([np.sin(uphill), -np.cos(uphill), 0.0])
    w, x, y, z = rotation.from_rotvec(np.radians(config.slope) * axis)
    return float(w), float(x), float(y), float(z)
