"""Make pairs of what the pose network says of a drawn body and what is true.

    python tools/lifter/pairs.py MOCAP_FOLDER -o pairs.npz --sequences 200 [--split train|validation] [--seed 1]

Each sequence is one motion before one camera; the network follows the body as the tracker does.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from motions import FPS, VALIDATION, joints, plain, sample, takes
from picture import Painter
from view import camera

from retarget import rotation
from retarget.motion import Motion
from sfv_core.body.model import BETAS, Body, load_body, pose_vertices, skeleton_of
from sfv_core.pose.landmarker import NAMES as POSE_NAMES
from sfv_core.pose.landmarker import Landmarker
from sfv_core.pose.region import Region
from sfv_core.reconstruct import landmarks

FRAMES = 96
_PICTURE = 304
_PICK = [POSE_NAMES.index(name) for name in landmarks.NAMES]
_SHOULDERS = [landmarks.NAMES.index(f"{side}_shoulder") for side in ("left", "right")]
_HIPS = [landmarks.NAMES.index(f"{side}_hip") for side in ("left", "right")]


@dataclass(frozen=True)
class Sequence:
    """One motion before one camera."""

    xy: np.ndarray
    """What the network says, as it is and mirrored, in px from the picture's centre, shape (2, T, L, 2)."""
    xyz: np.ndarray
    """Likewise in m, camera axes, shape (2, T, L, 3)."""
    visibility: np.ndarray
    """Likewise, 0 to 1, shape (2, T, L)."""
    truth: np.ndarray
    """The landmarks in camera axes in m, shape (T, L, 3)."""
    focal: float


def make(mocap: Path, count: int, split: str, seed: int, save) -> None:
    """Make sequences and hand each list so far to `save`."""
    rng = np.random.default_rng(seed)
    body = load_body()
    source = takes(mocap, body)
    train = [take for take in source if take.name not in VALIDATION]
    held = [take for take in source if take.name in VALIDATION]
    painter, network = Painter(body, _PICTURE), Landmarker()
    done: list[Sequence] = []
    while len(done) < count:
        if split == "train":
            motion = sample(train, FRAMES, rng) if rng.random() < 0.85 else plain(
                train[rng.integers(len(train))], FRAMES, rng)
        else:
            motion = sample(held, FRAMES, rng) if rng.random() < 0.5 else plain(
                held[rng.integers(len(held))], FRAMES, rng)
        done.append(observe(*motion, body, painter, network, rng))
        sys.stderr.write(f"\r{len(done)} of {count} sequences ")
        if len(done) % 10 == 0 or len(done) == count:
            save(done)


def observe(root_pos: np.ndarray, rotations: np.ndarray, body: Body, painter: Painter, network: Landmarker,
            rng: np.random.Generator) -> Sequence:
    """Draw the motion on a new body before a new camera and let the network look."""
    betas = rng.normal(0, 1.3, BETAS)
    skin = pose_vertices(body, betas, Motion(skeleton_of(body.joints(betas)), FPS, root_pos, rotations))
    lift = np.array([0, 0, -float(skin[..., 2].min())])
    skin, root_pos = skin + lift.astype("f4"), root_pos + lift
    places, turns = joints(body, betas, root_pos, rotations)
    marks = places[:, landmarks.JOINTS] + rotation.rotate(turns[:, landmarks.JOINTS], landmarks.OFFSETS)
    view = camera(marks, rng)
    truth = (marks - view.eye) @ view.camera_from_world.T
    flat = truth[..., :2] / truth[..., 2:] * view.focal
    painter.dress(rng)
    look = _Look(rng)
    found = []
    regions: list[Region | None] = [None, None]
    for frame in range(len(truth)):
        square = _around(flat[frame])
        picture = look(painter(skin[frame], view, square))
        pair = []
        for mirror in (False, True):
            answer, regions[mirror] = see(network, picture, square, flat[frame], regions[mirror], mirror, rng)
            pair.append(answer)
        found.append(pair)
    xy, xyz, visibility = (np.stack([[one[part] for one in pair] for pair in found], axis=1) for part in range(3))
    return Sequence(xy.astype("f4"), xyz.astype("f4"), visibility.astype("f4"), truth.astype("f4"), view.focal)


def see(network: Landmarker, picture: np.ndarray, square: np.ndarray, flat: np.ndarray, region: Region | None,
        mirror: bool, rng: np.random.Generator) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], Region]:
    """Look where the last picture says, or afresh where that is wrong; return the answer and the next region."""
    step = square[2] / len(picture)
    true = _region(flat, rng)
    if region is None or not _agree(region, true):
        region = true
    inside = Region(((region.centre[0] - square[0]) / step, (region.centre[1] - square[1]) / step),
                    region.size / step, region.angle, mirror)
    seen = network(picture, inside)
    if seen is None:
        raise ValueError("The network's answer holds values that are not numbers.")
    found = seen.candidate
    xy = found.xy[_PICK] * step + square[:2]
    following = Region((seen.region.centre[0] * step + square[0], seen.region.centre[1] * step + square[1]),
                       seen.region.size * step, seen.region.angle)
    return (xy, found.xyz[_PICK], found.visibility[_PICK]), following


def _region(flat: np.ndarray, rng: np.random.Generator) -> Region:
    """Return where the detector would look: about the hips, upright along the trunk, with its usual error."""
    hips, chest = flat[_HIPS].mean(axis=0), flat[_SHOULDERS].mean(axis=0)
    radius = np.linalg.norm(flat - hips, axis=-1).max() * 1.05
    centre = hips + rng.normal(0, 0.04 * radius, 2)
    up = chest - hips + rng.normal(0, 0.06 * radius, 2)
    size = 2.5 * radius * np.exp(rng.normal(0, 0.08))
    return Region((float(centre[0]), float(centre[1])), float(size), float(np.arctan2(up[0], -up[1])))


def _agree(region: Region, true: Region) -> bool:
    apart = np.hypot(*(np.array(region.centre) - true.centre)) / true.size
    turned = abs((region.angle - true.angle + np.pi) % (2 * np.pi) - np.pi)
    return bool(apart < 0.12 and abs(np.log(region.size / true.size)) < 0.3 and turned < 0.9)


def _around(flat: np.ndarray) -> np.ndarray:
    """Return the square [left, top, side] that the drawing covers: the body and room around it."""
    hips = flat[_HIPS].mean(axis=0)
    half = 1.45 * np.linalg.norm(flat - hips, axis=-1).max()
    return np.array([hips[0] - half, hips[1] - half, 2 * half])


class _Look:
    """How a sequence's pictures are worn: resolution, blur, exposure, noise, JPEG."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._size = int(rng.uniform(100, _PICTURE))
        self._gain, self._gamma = rng.uniform(0.7, 1.4), rng.uniform(0.45, 1.0)
        self._noise, self._quality = rng.choice([0, 3, 8]), int(rng.uniform(35, 95))

    def __call__(self, linear: np.ndarray) -> np.ndarray:
        picture = 255 * np.clip(self._gain * linear / 255.0, 0, 1) ** self._gamma
        picture = cv2.resize(picture.astype("f4"), (self._size, self._size), interpolation=cv2.INTER_AREA)
        if self._noise:
            picture += self._noise * self._rng.standard_normal(picture.shape, dtype="f4")
        worn = cv2.imencode(".jpg", np.clip(picture, 0, 255).astype(np.uint8),
                            [cv2.IMWRITE_JPEG_QUALITY, self._quality])[1]
        return cv2.imdecode(worn, cv2.IMREAD_COLOR)


def stack(sequences: list[Sequence]) -> dict[str, np.ndarray]:
    """Return the sequences as arrays with a leading axis."""
    return {name: np.stack([getattr(one, name) for one in sequences]) for name in
            ("xy", "xyz", "visibility", "truth", "focal")}


def main() -> None:
    """Make the pairs that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mocap", type=Path, help="folder of ASF and AMC files")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--sequences", type=int, default=200)
    parser.add_argument("--split", choices=("train", "validation"), default="train")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    cv2.setNumThreads(1)

    def save(done: list[Sequence]) -> None:
        part = options.out.with_suffix(".part.npz")
        np.savez(part, **stack(done))
        if len(done) == options.sequences:
            part.replace(options.out)

    make(options.mocap, options.sequences, options.split, options.seed, save)


if __name__ == "__main__":
    main()
