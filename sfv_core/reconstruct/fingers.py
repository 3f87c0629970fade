"""Fingers: a motion of SMPL's 24 joints gets SMPL-H's 30 finger joints, and wrists that lie as the palms were seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from retarget import rotation
from retarget.kinematics import world_poses
from retarget.motion import Motion, Skeleton

from ..body.model import SMPL_NAMES
from ..pose.hands import SIDES
from . import hand_model
from .hand_fit import FittedHands, unseen

_BRIDGED = 0.3
"""Confidence of frames within a trusted span in which the hand itself was not seen."""


def with_fingers(motion: Motion, hands: FittedHands | None, q_world_camera: np.ndarray) -> Motion:
    """Append SMPL-H's 30 finger joints to a motion of SMPL's 24 and turn trusted wrists to where the palms are.

    Where the hands are not trusted (everywhere without `hands`) the fingers are relaxed and have confidence 0.
    q_world_camera: (4,), or (T, 4) where the camera turns.
    """
    frames, body = len(motion), motion.skeleton
    hands = hands or unseen(frames)
    motion = _turn_wrists(motion, hands, q_world_camera)
    fingers = [hand_model.joint_rotations(hands.angles[0]), hand_model.mirrored(hand_model.joint_rotations(
        hands.angles[1]))]
    sure = hands.trust * (_BRIDGED + (1.0 - _BRIDGED) * np.clip(2.0 * hands.score, 0.0, 1.0))
    trust = np.repeat(sure.T, len(hand_model.JOINTS), axis=1)
    confidence = np.ones((frames, len(body))) if motion.confidence is None else motion.confidence
    contacts = None if motion.contacts is None else np.pad(motion.contacts, ((0, 0), (0, trust.shape[1])))
    return replace(motion, skeleton=_skeleton_with_fingers(body), contacts=contacts,
                   rotations=np.concatenate([motion.rotations, *fingers], axis=1),
                   confidence=np.concatenate([confidence, trust], axis=1))


def without_fingers(motion: Motion) -> Motion:
    """Return a motion of SMPL's 24 joints; a motion without finger joints stays as it is."""
    count = len(SMPL_NAMES)
    if motion.skeleton.names[:count] != SMPL_NAMES or len(motion.skeleton) == count:
        return motion
    s = motion.skeleton
    body = Skeleton(s.names[:count], s.parents[:count], s.offsets[:count], s.rest_rotations[:count], s.root)

    def cut(a: np.ndarray | None) -> np.ndarray | None:
        return None if a is None else a[:, :count]

    return replace(motion, skeleton=body, rotations=motion.rotations[:, :count], confidence=cut(motion.confidence),
                   contacts=cut(motion.contacts))


def hand_length(skeleton: Skeleton) -> float:
    """Return the length of the person's hands in m, from the forearms."""
    forearms = [np.linalg.norm(skeleton.offsets[skeleton.index(f"{side}_wrist")]) for side in SIDES]
    return float(hand_model.HAND_PER_FOREARM * np.mean(forearms))


def _skeleton_with_fingers(body: Skeleton) -> Skeleton:
    offsets = hand_model.rest_offsets(hand_length(body))
    names, parents, places = list(body.names), body.parents.tolist(), [body.offsets]
    for side, mirror in zip(SIDES, (1.0, -1.0), strict=True):
        first = len(names)
        for i, joint in enumerate(hand_model.JOINTS):
            names.append(f"{side}_{joint}")
            parents.append(body.index(f"{side}_wrist") if i % 3 == 0 else first + i - 1)
        places.append(offsets * [mirror, 1.0, 1.0])
    rest = np.concatenate([body.rest_rotations, np.tile(rotation.IDENTITY, (len(names) - len(body), 1))])
    return Skeleton(tuple(names), np.array(parents), np.concatenate(places), rest, body.root)


def _turn_wrists(motion: Motion, hands: FittedHands, q_world_camera: np.ndarray) -> Motion:
    """Turn wrists as far as they are trusted; half of the turn about the forearm goes to the forearm, as in people."""
    _, world = world_poses(motion)
    local = motion.rotations.copy()
    for number, side in enumerate(SIDES):
        elbow, wrist = motion.skeleton.index(f"{side}_elbow"), motion.skeleton.index(f"{side}_wrist")
        q_world_palm = rotation.multiply(q_world_camera, hands.palm[number])
        seen = rotation.multiply(rotation.inverse(world[:, elbow]), q_world_palm)
        turned = rotation.slerp(local[:, wrist], seen, hands.trust[number])
        along = motion.skeleton.offsets[wrist] / np.linalg.norm(motion.skeleton.offsets[wrist])
        half = rotation.slerp(rotation.IDENTITY, rotation.twist(turned, along), 0.5 * hands.trust[number])
        local[:, elbow] = rotation.multiply(local[:, elbow], half)
        local[:, wrist] = rotation.multiply(rotation.inverse(half), turned)
    return replace(motion, rotations=rotation.continuous(local))
