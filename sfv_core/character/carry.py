"""Carry what a character performed back onto the skeleton that its motion was captured on.

The inverse of fit. How far each link is turned away from where the fitted reference has it is how far its captured
joint is turned away from where it was captured. Joints that the character lacks keep their captured turns against the
joint that carries them, so that fingers go with the hand, toes with the foot and the shoulder blades with the chest;
joints of the spine and the neck share what turns the chest against the pelvis and the head against the chest.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from retarget import kinematics, rotation
from retarget.motion import Motion, Skeleton
from sfv_core.character.character import Character
from sfv_core.character.fit import ground_height, posed, scale
from sfv_core.character.joints import Sources, find_joints
from sfv_core.errors import SfvError


def carry(rollout: Motion, times: np.ndarray, captured: Motion, character: Character) -> Motion:
    """Return what the character performed in `rollout` as a motion of the captured skeleton.

    rollout: on the character's skeleton. times: (T,) s since the captured motion's first frame at which the reference
    of each rollout frame was; one that loops starts again after its last frame, any other stays there. The ground is
    the captured one. Contacts are the rollout's, where it has them. Raise SfvError if the three do not belong together.
    """
    times = np.asarray(times, float)
    _check(rollout, times, character)
    sources = find_joints(captured.skeleton)
    fitted = posed(captured, character)
    ground = ground_height(fitted, character)
    if captured.loop and captured.duration > 0:
        times = np.where(times > captured.duration, np.mod(times, captured.duration), times)
    base, fitted = captured.at(times, rollout.fps), fitted.at(times, rollout.fps)
    _, turns = kinematics.world_poses(base)
    changes = _spread(captured.skeleton, sources, _changes(rollout, fitted, sources))
    local = rotation.continuous(kinematics.local_rotations(captured.skeleton, rotation.multiply(changes, turns)))
    pelvis = sources.body["pelvis"]
    places, _ = kinematics.forward(captured.skeleton, base.root_pos, local)
    wanted = (rollout.root_pos + [0.0, 0.0, ground]) / scale(captured.skeleton, character, sources)
    return replace(base, root_pos=base.root_pos + wanted - places[:, pelvis], rotations=local, loop=rollout.loop,
                   contacts=_contacts(rollout, sources, len(captured.skeleton)))


def _check(rollout: Motion, times: np.ndarray, character: Character) -> None:
    """Raise SfvError unless the rollout is the character's and has a time for each frame."""
    if rollout.skeleton.names != character.skeleton.names:
        raise SfvError(f"The rollout is not this character's: it has the joints {', '.join(rollout.skeleton.names)}; "
                       f"the character has {', '.join(character.skeleton.names)}. Give the policy that made it.")
    if times.shape != (len(rollout),) or not np.all(np.isfinite(times)) or np.any(times < 0):
        raise SfvError(f"A rollout of {len(rollout)} frames needs as many times in s from 0 on; the times have the "
                       f"shape {times.shape}" + (" and hold values that are none." if times.size else "."))


def _changes(rollout: Motion, fitted: Motion, sources: Sources) -> dict[int, np.ndarray]:
    """Return by captured joint how far its link is turned from where the reference has it, in the world, (T, 4).

    The wrists follow the forearms: physics holds them stiff.
    """
    _, done = kinematics.world_poses(rollout)
    _, asked = kinematics.world_poses(fitted)
    changes = rotation.multiply(done, rotation.inverse(asked))
    joints = {**sources.body, "neck": sources.head}
    return {joints[name]: changes[:, j] for j, name in enumerate(rollout.skeleton.names) if not name.endswith("wrist")}


def _spread(skeleton: Skeleton, sources: Sources, changes: dict[int, np.ndarray]) -> np.ndarray:
    """Return the change of every captured joint in the world, (T, J, 4): its own, its share, or its parent's."""
    pelvis, chest = sources.body["pelvis"], sources.body["spine3"]
    shares = {**_between(skeleton, pelvis, chest), **_between(skeleton, chest, sources.head)}
    frames = len(changes[pelvis])
    spread = np.tile(rotation.IDENTITY, (frames, len(skeleton), 1))
    for joint, parent in enumerate(skeleton.parents):
        if joint in changes:
            spread[:, joint] = changes[joint]
        elif joint in shares:
            start, end, share = shares[joint]
            spread[:, joint] = rotation.slerp(changes[start], changes[end], share)
        elif parent >= 0:
            spread[:, joint] = spread[:, parent]
    return spread


def _between(skeleton: Skeleton, start: int, end: int) -> dict[int, tuple[int, int, float]]:
    """Return the joints on the way from `start` up to `end`, with both and the share of their difference."""
    way = [end]
    while way[-1] != start:
        parent = int(skeleton.parents[way[-1]])
        if parent < 0:
            return {}
        way.append(parent)
    steps = len(way) - 1
    return {joint: (start, end, 1 - k / steps) for k, joint in enumerate(way) if 0 < k < steps}


def _contacts(rollout: Motion, sources: Sources, joints: int) -> np.ndarray | None:
    """Return the links' contacts (T, J) at their captured joints."""
    if rollout.contacts is None:
        return None
    contacts = np.zeros((len(rollout), joints))
    for j, name in enumerate(rollout.skeleton.names):
        contacts[:, sources.body[name]] = rollout.contacts[:, j]
    return contacts
