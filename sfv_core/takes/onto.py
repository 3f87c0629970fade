"""A take leaves the engine: onto the captured skeleton, its feet where the physics had them, and into the world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from retarget import kinematics, rotation
from retarget.bending import bend_limb
from retarget.motion import Motion
from retarget.posing import Posing
from retarget.rest import Body
from sfv_core.character.carry import carry
from sfv_core.character.character import Character
from sfv_core.character.fit import ground_height, posed, scale
from sfv_core.character.joints import SIDES, find_joints

_BACKWARD = np.array([0.0, 1.0, 0.0])
"""The way in which shins go when knees bend, at rest."""


def onto_captured(motion: Motion, times: np.ndarray, captured: Motion, character: Character) -> Motion:
    """Return a motion of the character's skeleton on the captured one, ankles where they were.

    times: (T,) s of the reference at each frame. The two bodies' legs differ by mm at rest, so that feet that stood
    would slip without this.
    """
    carried = carry(motion, times, captured, character)
    sources = find_joints(captured.skeleton)
    ground = np.array([0.0, 0.0, ground_height(posed(captured, character), character)])
    places, _ = kinematics.world_poses(motion)
    _, turns = kinematics.world_poses(carried)
    skeleton = carried.skeleton
    posing = Posing(skeleton, skeleton.root, carried.root_pos, {j: turns[:, j] for j in range(len(skeleton))})
    body = Body(skeleton, tuple(sources.body.values()), {}, skeleton.root)
    for side in SIDES:
        limb = tuple(sources.body[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
        ankle = places[:, motion.skeleton.index(f"{side}_ankle")]
        goal = (ankle + ground) / scale(skeleton, character, sources)
        bend_limb(posing, body, (limb[0], limb[1], limb[2]), goal, _BACKWARD)
    return replace(carried, rotations=posing.local(len(motion)))


def tilted(motion: Motion, tilt: tuple[float, float, float, float]) -> Motion:
    """Turn a motion with its ground about the point of the ground under its start."""
    turn, skeleton = np.array(tilt), motion.skeleton
    pivot = motion.root_pos[0] * np.array([1.0, 1.0, 0.0])
    above = int(skeleton.parents[skeleton.root])
    carrier = rotation.IDENTITY if above < 0 else kinematics.rest_pose(skeleton)[1][above]
    local = rotation.multiply(rotation.inverse(carrier), rotation.multiply(turn, carrier))
    rotations = motion.rotations.copy()
    rotations[:, skeleton.root] = rotation.multiply(local, rotations[:, skeleton.root])
    return replace(motion, root_pos=pivot + rotation.rotate(turn, motion.root_pos - pivot),
                   rotations=rotation.continuous(rotations))
