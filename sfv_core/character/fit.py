"""Fit a captured motion to a character: limbs bend in their hinges' planes, nothing sinks into the ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from retarget import kinematics, rotation
from retarget.motion import Motion, Skeleton
from sfv_core.character.character import Character
from sfv_core.character.joints import Sources, find_joints
from sfv_core.errors import SfvError

_CERTAIN = np.sin(np.radians(12.0)) ** 2
"""sin² of the bend above which a limb's own plane counts more than the turn of its upper bone."""
_OVERSTRETCHED = np.sin(np.radians(40.0)) ** 2
"""The same for a limb that bends the wrong way: below it, it is stretched too far rather than turned around."""
DEPTH = 0.01
"""How deep in m a body may be in the ground."""


def fit(motion: Motion, character: Character) -> Motion:
    """Return the motion on the character's skeleton, scaled by the length of the leg and lifted onto the ground.

    A limb bends in the plane of its bones; where it is nearly straight, in the plane that its upper bone's turn gives.
    Hands and feet keep their orientation in the world. Raise SfvError if the skeleton is no person's.
    """
    if len(motion) < 2:
        raise SfvError(f"This motion has {len(motion)} frame; physics needs two or more to know velocities.")
    return _onto_ground(posed(motion, character), character)


def posed(motion: Motion, character: Character) -> Motion:
    """Return the motion on the character's skeleton with the ground where it is, 0 at the captured floor."""
    sources = find_joints(motion.skeleton)
    places, turns = kinematics.world_poses(motion)
    deltas = rotation.multiply(turns, rotation.inverse(sources.turns))
    world = _world_rotations(character, sources, deltas)
    names = character.skeleton.names
    local = kinematics.local_rotations(character.skeleton, world)
    for i in character.hinges:
        link = character.links[i]
        angle = np.clip(rotation.to_rotvec(local[:, i]) @ np.array(link.axis), *link.limits)
        local[:, i] = rotation.from_rotvec(angle[:, None] * np.array(link.axis))
    root = places[:, sources.body["pelvis"]] * scale(motion.skeleton, character, sources)
    contacts = None
    if motion.contacts is not None:
        contacts = np.stack([motion.contacts[:, sources.body[name]] for name in names], axis=1)
    return Motion(character.skeleton, motion.fps, root, rotation.continuous(local), contacts=contacts,
                  loop=motion.loop)


def scale(skeleton: Skeleton, character: Character, sources: Sources) -> float:
    """Return the character's leg length over the skeleton's."""
    own = [np.linalg.norm(skeleton.offsets[sources.body[f"{side}_{joint}"]])
           for side in ("left", "right") for joint in ("knee", "ankle")]
    names = character.skeleton.names
    built = [np.linalg.norm(character.skeleton.offsets[names.index(f"{side}_{joint}")])
             for side in ("left", "right") for joint in ("knee", "ankle")]
    return float(np.sum(built) / np.sum(own))


def _world_rotations(character: Character, sources: Sources, deltas: np.ndarray) -> np.ndarray:
    """Return each character joint's world rotation (T, J, 4) from the captured turns since rest.

    A character whose limbs rest elsewhere, as arms that hang against arms held out, is bent there first.
    """
    names = character.skeleton.names
    world = np.empty((len(deltas), len(names), 4))
    for j, name in enumerate(names):
        joint = sources.head if name == "neck" else sources.body[name]
        world[:, j] = deltas[:, joint]
    for side in ("left", "right"):
        for top, middle, end in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
            upper, lower, last = (names.index(f"{side}_{joint}") for joint in (top, middle, end))
            ends = [sources.places[sources.body[f"{side}_{joint}"]] for joint in (end, top)]
            aligned = rotation.between(character.skeleton.offsets[lower], ends[0] - ends[1])
            turn, lower_turn = (rotation.multiply(deltas[:, sources.body[f"{side}_{joint}"]], aligned)
                                for joint in (top, middle))
            world[:, upper], world[:, lower] = _limb(turn, lower_turn, character.skeleton.offsets[lower],
                                                     np.array(character.links[lower].axis))
            if end == "wrist":
                world[:, last] = rotation.multiply(world[:, last], aligned)
    return world


def _limb(turn: np.ndarray, lower_turn: np.ndarray, rest: np.ndarray,
          axis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return world rotations (T, 4) of a limb's upper and lower bone that share the hinge's axis.

    turn, lower_turn: (T, 4) the captured bones' turns since rest, where the limb counts as straight; rest, axis: (3,)
    its direction at rest and its hinge.
    """
    rest = rest / np.linalg.norm(rest)
    upper, lower = rotation.rotate(turn, rest), rotation.rotate(lower_turn, rest)
    captured_axis = rotation.rotate(turn, axis)
    normal = np.cross(upper, lower)
    across = np.cross(upper, captured_axis)
    sine = np.linalg.norm(normal, axis=-1)
    along, aside = np.sum(normal * captured_axis, -1), np.sum(normal * across, -1)
    backward = np.clip(-along / np.maximum(sine, 1e-9), 0.0, 1.0)
    twist = np.arctan2(aside * sine, along * sine + _CERTAIN + (_OVERSTRETCHED - _CERTAIN) * backward)
    q_upper = rotation.multiply(rotation.from_rotvec(twist[:, None] * upper), turn)
    hinge = rotation.rotate(q_upper, axis)
    forward = np.cross(hinge, upper)
    angle = np.arctan2(np.sum(lower * forward, -1), np.sum(lower * upper, -1))
    return q_upper, rotation.multiply(rotation.from_rotvec(angle[:, None] * hinge), q_upper)


def _onto_ground(motion: Motion, character: Character) -> Motion:
    """Lift or lower the clip as a whole to the ground, then lift the moments that still sink deeper than `DEPTH`."""
    lowest = _lowest(motion, character)
    ground = ground_height(motion, character)
    missing = np.maximum(ground - DEPTH - lowest, 0.0)
    frames = max(round(0.1 * motion.fps), 1)
    smooth = gaussian_filter1d(maximum_filter1d(missing, 2 * frames + 1), frames / 2)
    root = motion.root_pos.copy()
    root[:, 2] += np.maximum(smooth, missing) - ground
    return replace(motion, root_pos=root)


def ground_height(motion: Motion, character: Character) -> float:
    """Return the height in m that a posed motion stands on: that of the body's lowest point in its low moments."""
    return float(np.percentile(_lowest(motion, character), 10))


def _lowest(motion: Motion, character: Character) -> np.ndarray:
    """Return the height in m of the body's lowest point, shape (T,)."""
    places, turns = kinematics.world_poses(motion)
    count = len(character.links)
    return np.min(character.lowest(places[:, :count], turns[:, :count]), axis=1)
