"""How the camera turns while it films, told from the background: points tracked outside the people.

A camera that only turns (a pan, a tilt, a hand that holds it) moves all background points by one rotation, whatever
their distance; what does not follow it is taken for other people or for parallax, and much of it costs the trust.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from retarget import rotation

from .pose.keypoints import Keypoints
from .progress import Progress
from .video import Video, ahead, grey_frames

_SIDE = 480
"""Longest side in px of the pictures in which points are tracked; distances below are px of these."""
_RATE = 30.0
"""Pictures per second that are looked at, at most; turns between them are interpolated."""
_POINTS, _FEWEST = 150, 16
"""Points tracked at most, and from how many on a turn is believed."""
_LOOKS_PER_S = 2.0
"""How often a camera that seems to stand is looked at."""
_STILL = 0.5
"""Farthest that the background seems to turn away before a camera that stands, by noise and compression."""
_AGREES = 1.5
"""Distance within which a point follows the camera's turn."""
_FOLLOW, _PATIENCE = 0.4, 3
"""Share of the points below which a picture's turn is unknown, and how many such pictures may pass (a flash, a blur)
before the background is taken to be another."""
_MOST_AGREE = 0.85
"""Mean share of the background's points that must follow the turn: it is above .9 for cameras that only turn, and .76
for one that travels around two people."""
_LOST = 0.5
"""How much of a key picture's points must be left, in number times width, before a new key picture is taken."""
_NEAR = np.radians(4.0)
"""Turn within which an older key picture shows enough of the same background to be used again."""
_SEED = 0


@dataclass(frozen=True)
class CameraMotion:
    """The camera's turns through a video."""

    times: np.ndarray
    """Times of the pictures in s, shape (T,)."""
    turns: np.ndarray
    """R_frame_reference: takes axes of the camera of the first picture to those of each, shape (T, 3, 3)."""
    inliers: np.ndarray
    """Share of the tracked background points that follow the turn, shape (T,)."""
    moving: bool
    """Whether the camera moves at all; where not, all turns are exactly the identity."""
    trusted: bool
    """Whether the turns are to be believed."""
    reason: str
    """Why, for people."""

    @property
    def range_deg(self) -> np.ndarray:
        """How far the camera turns left to right, up and down, and rolls, in degrees, shape (3,)."""
        forward = self.turns[:, 2]
        pan, tilt = np.arctan2(forward[:, 0], forward[:, 2]), np.arcsin(np.clip(forward[:, 1], -1, 1))
        roll = np.arctan2(self.turns[:, 0, 1], self.turns[:, 1, 1])
        return np.degrees([np.ptp(np.unwrap(pan)), np.ptp(tilt), np.ptp(np.unwrap(roll))])

    def report(self) -> dict[str, Any]:
        """Return what the report says about it."""
        pan, tilt, roll = (round(float(angle), 2) for angle in self.range_deg)
        return {"moving": self.moving, "trusted": self.trusted, "reason": self.reason, "pan_deg": pan,
                "tilt_deg": tilt, "roll_deg": roll, "background_agrees": round(float(self.inliers.mean()), 3)}


def camera_motion(video: Video, keypoints: Keypoints, focal: float, progress: Progress) -> CameraMotion:
    """Tell how the camera turns while the person of the keypoints is filmed; report as stage "background".

    focal: in px of the video. A camera that stands is told after a few looks and has turns that are exactly the
    identity.
    """
    count = len(keypoints)
    still = np.broadcast_to(np.eye(3), (count, 3, 3)).copy()
    if count < 2:
        return CameraMotion(keypoints.times, still, np.ones(count), False, True, "one picture shows no movement")
    people = _Masks(video, keypoints)
    farthest, agree = _look_around(video, keypoints, people, focal, progress)
    if farthest is None:
        return CameraMotion(keypoints.times, still, np.zeros(count), False, False, "the background shows too little to "
                            "tell whether the camera moves; it is taken to stand still")
    if farthest < _STILL:
        return CameraMotion(keypoints.times, still, np.full(count, agree), False, True, "the camera stands still")
    turns, inliers, broken = _follow(video, keypoints, people, focal, progress)
    looked = np.isfinite(inliers)
    inliers = np.interp(np.arange(count), np.flatnonzero(looked), inliers[looked])
    if broken or (inliers > 0).mean() < 0.7:
        return CameraMotion(keypoints.times, still, inliers, True, False,
                            "the camera moves and the background shows too little to tell how")
    if np.percentile([people.tracker(focal).shift(turn) for turn in turns], 95) < _STILL:
        return CameraMotion(keypoints.times, still, inliers, False, True, "the camera stands still")
    if np.mean(inliers[inliers > 0]) < _MOST_AGREE:
        return CameraMotion(keypoints.times, turns, inliers, True, False, "the camera moves in a way that turning it "
                            "does not explain: it travels or zooms, or much of the background moves")
    return CameraMotion(keypoints.times, turns, inliers, True, True,
                        "the turns of the camera were taken from the background")


class _Masks:
    """Where the background is: all but the people with a margin, in small pictures."""

    def __init__(self, video: Video, keypoints: Keypoints) -> None:
        self.scale = 1.0 / np.ceil(max(video.width, video.height) / _SIDE)
        self.size = round(video.width * self.scale), round(video.height * self.scale)
        self._xy = keypoints.xy * self.scale
        self._seen = keypoints.confidence > 0.1
        self._found = np.flatnonzero(keypoints.detected)
        self._others = None if keypoints.others is None else keypoints.others * self.scale

    def small(self, grey: np.ndarray) -> np.ndarray:
        """Return the picture in the size that points are tracked in."""
        import cv2

        return cv2.resize(grey, self.size, interpolation=cv2.INTER_AREA)

    def tracker(self, focal: float) -> _Tracker:
        """Return a tracker for these small pictures of a video with the focal length in px."""
        return _Tracker(focal * self.scale, np.array(self.size, float) / 2)

    def __call__(self, frame: int) -> np.ndarray:
        """Return 255 where the background is, 0 where people are (or the person was, when last found). (H, W) uint8."""
        import cv2

        mask = np.full(self.size[::-1], 255, np.uint8)
        if len(self._found):
            nearest = self._found[np.abs(self._found - frame).argmin()]
            points = self._xy[nearest][self._seen[nearest]]
            if len(points) > 2:
                hull = cv2.convexHull(points.round().astype(np.int32))
                margin = max(4, round(0.24 * float(np.ptp(points, axis=0).max())))
                cv2.fillConvexPoly(mask, hull, (0,))
                cv2.polylines(mask, [hull], True, (0,), margin)
        for x0, y0, x1, y1 in () if self._others is None else self._others[frame]:
            margin = 0.12 * max(x1 - x0, y1 - y0)
            if margin > 0:
                corners = (int(x0 - margin), int(y0 - margin)), (int(x1 + margin), int(y1 + margin))
                cv2.rectangle(mask, *corners, (0,), cv2.FILLED)
        return mask


def _look_around(video: Video, keypoints: Keypoints, people: _Masks, focal: float, progress: Progress
                 ) -> tuple[float | None, float]:
    """Compare a few pictures with the first.

    Return how far the background has turned away in most of them in px, None where it shows too little, and the
    median share of points that follow.
    """
    step = max(1, min(round(video.fps / _LOOKS_PER_S), (len(keypoints) - 1) // 4))
    tracker = people.tracker(focal)
    moved: list[float] = []
    shares: list[float] = []
    for number, grey in enumerate(_pictures(video, keypoints, step)):
        turn, share = tracker(people.small(grey), people(number * step))
        if number == 0 and share == 0:
            return None, 0.0
        if number > 0 and share > 0:
            moved.append(tracker.shift(turn))
            shares.append(share)
        progress("background", number * step, len(keypoints))
        if number > 0 and (share == 0 or moved[-1] > 4 * _STILL):
            return np.inf, share  # no doubt is left
    return (float(np.percentile(moved, 90)), float(np.median(shares))) if moved else (None, 0.0)


def _follow(video: Video, keypoints: Keypoints, people: _Masks, focal: float, progress: Progress
            ) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return the turn of each picture (T, 3, 3), the share of points that follow it (T,), and whether it was lost.

    The share is 0 where the turn is unknown and NaN where nobody looked.
    """
    tracker, every = people.tracker(focal), max(1, round(video.fps / _RATE))
    turns, inliers = np.tile(np.eye(3), (len(keypoints), 1, 1)), np.full(len(keypoints), np.nan)
    for number, grey in enumerate(_pictures(video, keypoints, every)):
        frame = number * every
        turns[frame], inliers[frame] = tracker(people.small(grey), people(frame))
        if number % 15 == 0:
            progress("background", frame, len(keypoints))
    return _filled(turns, inliers > 0), inliers, tracker.broken


def _pictures(video: Video, keypoints: Keypoints, every: int) -> Iterator[np.ndarray]:
    """Yield every n-th of the keypoints' pictures in grey."""
    pictures = grey_frames(video, float(keypoints.times[0]), float(keypoints.times[-1]), every)
    for _, grey in islice(ahead(pictures), (len(keypoints) - 1) // every + 1):
        yield grey


@dataclass
class _Key:
    """A picture that later ones are compared with, so that errors do not add up from picture to picture."""

    grey: np.ndarray
    points: np.ndarray
    """Background points in px, shape (N, 2)."""
    turn: np.ndarray
    """R_key_reference, shape (3, 3)."""


class _Tracker:
    """Follow the background from picture to picture; the first one is the reference."""

    def __init__(self, focal: float, centre: np.ndarray) -> None:
        self._focal, self._centre = focal, centre
        self._random = np.random.default_rng(_SEED)
        self._keys: list[_Key] = []
        self._turn = self._speed = np.eye(3)
        self._lost = 0
        self.broken = False
        """Whether the background was lost for so long that later turns do not join the earlier ones."""

    def __call__(self, grey: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, float]:
        """Return R_frame_reference of the next picture and the share of points that follow it; 0 where unknown."""
        if not self._keys:
            self._take_key(grey, mask)
            return self._turn, 1.0 if len(self._keys[-1].points) >= _FEWEST else 0.0
        found = self._by_keys(grey, mask)
        if found is None or found[2] < _FOLLOW:
            self._speed, self._lost = np.eye(3), self._lost + 1
            if self._lost > _PATIENCE:
                self._take_key(grey, mask)
                self.broken = True
            return self._turn, 0.0
        self._lost = 0
        turn, kept, share = found
        self._speed, self._turn = turn @ self._turn.T, turn
        if kept < _LOST:
            self._take_key(grey, mask)
        return self._turn, share

    def _by_keys(self, grey: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, float, float] | None:
        """Return the turn, how much of the key picture is left (its points and how wide they spread), and the share of
        the points still seen that follow the turn.

        The oldest key picture that still shows the place decides: the fewer keys between, the less errors add up.
        """
        best = None
        near = [key for key in self._keys[:-1] if _angle(key.turn @ self._turn.T) < _NEAR]
        for key in (*near[:1], self._keys[-1]):
            found = self._against(key, grey, mask)
            if found is not None and (best is None or found[1] > best[1]):
                best = found
            if best is not None and best[1] > _LOST:
                break
        return best

    def shift(self, turn: np.ndarray) -> float:
        """Return how far a turn moves the picture in px, on average over it."""
        grid = np.stack(np.meshgrid(*(np.linspace(0.1, 1.9, 5) * c for c in self._centre)), axis=-1).reshape(-1, 2)
        return float(np.linalg.norm(self._px(self._bearings(grid) @ turn.T) - grid, axis=-1).mean())

    def _take_key(self, grey: np.ndarray, mask: np.ndarray) -> None:
        self._keys.append(_Key(grey, _points(grey, mask), self._turn))

    def _against(self, key: _Key, grey: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, float, float] | None:
        """Return R_frame_reference by a key picture, and the shares as `_by_keys` does."""
        if len(key.points) < _FEWEST:
            return None
        guess = self._px(self._bearings(key.points) @ (self._speed @ self._turn @ key.turn.T).T)
        moved, good = _track(key.grey, grey, key.points, guess)
        good &= _inside(moved, mask)
        if good.sum() < _FEWEST:
            return None
        before, after = self._bearings(key.points[good]), moved[good]
        turn, follows = self._robust_turn(before, after)
        if follows.sum() < _FEWEST:
            return None
        kept = follows.sum() / len(key.points) * min(1.0, _width(after[follows]) / _width(key.points))
        return turn @ key.turn, float(kept), float(follows.mean())

    def _robust_turn(self, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return R_after_before and which points follow it: RANSAC over pairs of bearings, then Kabsch twice."""
        b = self._bearings(after)
        pairs = self._random.integers(0, len(before), (64, 2))
        trials = _frames(b[pairs[:, 0]], b[pairs[:, 1]]) @ _frames(before[pairs[:, 0]], before[pairs[:, 1]]
                                                                     ).transpose(0, 2, 1)
        trials = np.concatenate([trials, np.eye(3)[None]])
        error = np.linalg.norm(self._px(np.einsum("hij,nj->hni", trials, before)) - after, axis=-1)
        follows = error[(error < _AGREES).sum(axis=1).argmax()] < _AGREES
        turn = np.eye(3)
        for _ in range(2):
            if follows.sum() < 3:
                break
            turn = _kabsch(before[follows], b[follows])
            follows = np.linalg.norm(self._px(before @ turn.T) - after, axis=-1) < _AGREES
        return turn, follows

    def _bearings(self, px: np.ndarray) -> np.ndarray:
        """Return the directions in which points of the picture lie, (N, 3) of length 1."""
        rays = np.concatenate([(px - self._centre) / self._focal, np.ones((len(px), 1))], axis=1)
        return rays / np.linalg.norm(rays, axis=1, keepdims=True)

    def _px(self, bearings: np.ndarray) -> np.ndarray:
        return bearings[..., :2] / np.maximum(bearings[..., 2:], 1e-2) * self._focal + self._centre


def _points(grey: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return corners of the background in px, shape (N, 2)."""
    import cv2

    found = cv2.goodFeaturesToTrack(grey, _POINTS, 0.01, 7, mask=mask)
    return np.zeros((0, 2)) if found is None else found[:, 0].astype(float)


def _track(before: np.ndarray, now: np.ndarray, points: np.ndarray, guess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where points went (Lucas and Kanade, in a pyramid) and which of them come back when tracked back."""
    import cv2

    start, there = points.astype(np.float32)[:, None], guess.astype(np.float32)[:, None]
    settings: Any = {"winSize": (11, 11), "maxLevel": 3, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
    moved, ahead, _ = cv2.calcOpticalFlowPyrLK(before, now, start, there.copy(), **settings)
    back, behind, _ = cv2.calcOpticalFlowPyrLK(now, before, moved, start.copy(), **settings)
    good = (ahead[:, 0] > 0) & (behind[:, 0] > 0) & (np.linalg.norm(back - start, axis=-1)[:, 0] < 0.5)
    return moved[:, 0].astype(float), good


def _inside(points: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Tell which points lie on the background of this picture. (N,) bool."""
    column, row = points.round().astype(int).T
    inside = (column >= 0) & (row >= 0) & (column < mask.shape[1]) & (row < mask.shape[0])
    inside[inside] = mask[row[inside], column[inside]] > 0
    return inside


def _width(points: np.ndarray) -> float:
    """Return the standard deviation of points (N, 2) in px."""
    return max(float(np.sqrt(points.var(axis=0).sum())), 1e-6)


def _frames(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the orthonormal frames that pairs of directions span, as columns. (H, 3), (H, 3) → (H, 3, 3)."""
    normal = np.cross(a, b)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    return np.stack([a, normal, np.cross(a, normal)], axis=-1)


def _kabsch(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the rotation matrix that takes the directions a (N, 3) closest to b (N, 3)."""
    u, _, vt = np.linalg.svd(b.T @ a)
    return u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt


def _angle(turn: np.ndarray) -> float:
    """Return the angle of a rotation matrix in rad."""
    return float(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1.0, 1.0)))


def _filled(turns: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Bridge the turns of pictures where they are unknown from those around."""
    if known.all() or not known.any():
        return turns
    rows = np.flatnonzero(known)
    q = rotation.continuous(rotation.from_matrix(turns[rows]))
    mixed = np.stack([np.interp(np.arange(len(turns)), rows, column) for column in q.T], axis=-1)
    return rotation.to_matrix(rotation.normalize(mixed))
