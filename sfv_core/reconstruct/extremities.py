"""Hands and head of a reconstructed body, from close looks at the video where they are large enough."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from retarget import rotation
from retarget.kinematics import world_poses
from retarget.motion import Motion

from ..pose.closeup import Closeup, Part, look_closer
from ..pose.face import face_part
from ..pose.hands import SIDES, agreement, hand_part
from ..pose.keypoints import Keypoints
from ..pose.swap import repair
from ..progress import Progress
from ..video import Video
from .fingers import hand_length, with_fingers
from .hand_fit import FittedHands, fit_hands
from .head import FittedHead, fit_head, turn_head
from .solve import Reconstruction

_SHORTEST = 0.2
"""Time in s for which a part must be large enough for the video to be read again."""


def add_extremities(video: Video, keypoints: Keypoints, result: Reconstruction, progress: Progress
                    ) -> tuple[Motion, dict]:
    """Return the motion with fingers, wrists and head as seen close, and what the report says of them.

    Where hands are too small or unclear the fingers are relaxed and have confidence 0. The video is read again only if
    something is large enough; then as stage "closeup".
    """
    keypoints, _ = repair(keypoints)
    frame_times = result.start + np.arange(len(result.motion)) / result.motion.fps
    size = np.interp(keypoints.times, frame_times, result.observations.size)
    parts = {f"{side} hand": hand_part(keypoints, size, side) for side in SIDES} | {"face": face_part(keypoints, size)}
    worth = {name: part for name, part in parts.items() if part is not None and _lasts(part, keypoints.fps)}
    seen = dict(zip(worth, look_closer(video, keypoints.times, list(worth.values()), progress), strict=True)) \
        if worth else {}
    q_world_camera = camera_turns(result)
    motion, head = result.motion, None
    if "face" in seen:
        head = _head(seen["face"].at(frame_times), result, q_world_camera)
        motion = turn_head(motion, head, q_world_camera)
    hands = None
    if any(f"{side} hand" in seen for side in SIDES):
        pair = tuple(_hand(seen.get(f"{side} hand"), keypoints, size, side, frame_times) for side in SIDES)
        hands = _hands((pair[0], pair[1]), result, q_world_camera)
    return with_fingers(motion, hands, q_world_camera), summary(hands, head)


def summary(hands: FittedHands | None, head: FittedHead | None) -> dict:
    """Return in which share of the frames hands and head were seen well enough, ready for JSON."""
    shares = {side: 0.0 if hands is None else float((hands.trust[i] > 0.5).mean()) for i, side in enumerate(SIDES)}
    return {"hands": shares, "head": {"share": 0.0 if head is None else float((head.trust > 0.5).mean())}}


def camera_turns(result: Reconstruction) -> np.ndarray:
    """Return q_world_camera of each frame, (T, 4); the camera may turn while it stands."""
    still = np.repeat(result.camera.rotation[None], len(result.motion), axis=0)
    turns = result.observations.turns
    if turns is None:
        return still
    return rotation.multiply(still, rotation.inverse(rotation.from_matrix(turns)))


def _lasts(part: Part, fps: float) -> bool:
    return sum(region is not None for region in part.regions) >= _SHORTEST * fps


def _hand(seen: Closeup | None, keypoints: Keypoints, size: np.ndarray, side: str, times: np.ndarray) -> Closeup:
    """Return a hand on the motion's frames, each sight weighed by its agreement with the pose's wrist."""
    if seen is None:
        return Closeup(times, np.zeros((len(times), 21, 2)), np.zeros((len(times), 21, 3)), np.zeros(len(times)))
    return replace(seen, score=seen.score * agreement(seen, keypoints, size, side)).at(times)


def _hands(pair: tuple[Closeup, Closeup], result: Reconstruction, q_world_camera: np.ndarray) -> FittedHands:
    places, _ = world_poses(result.motion)
    s = result.motion.skeleton
    ways = np.stack([places[:, s.index(f"{side}_wrist")] - places[:, s.index(f"{side}_elbow")] for side in SIDES])
    ways = rotation.rotate(rotation.inverse(q_world_camera), ways)
    forearms = ways / np.maximum(np.linalg.norm(ways, axis=-1, keepdims=True), 1e-9)
    camera = result.camera
    return fit_hands(pair, result.motion.fps, camera.focal, camera.centre, hand_length(s), forearms)


def _head(face: Closeup, result: Reconstruction, q_world_camera: np.ndarray) -> FittedHead:
    _, world = world_poses(result.motion)
    expected = rotation.multiply(rotation.inverse(q_world_camera), world[:, result.motion.skeleton.index("head")])
    return fit_head(face, result.motion.fps, result.camera.focal, result.camera.centre, expected)
