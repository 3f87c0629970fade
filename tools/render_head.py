"""Render a person who turns, nods and tilts the head, with the exact truth beside the video.

    python tools/render_head.py -o examples [--look 0] [--samples 3] [--size 1200]

It writes head.mp4, head.truth.npz and head.camera.json, as tools/render_examples.py does for other clips; looks other
than 0 add their number to the name. The picture is large, so that the face is.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from render_examples import FPS, film, look

from retarget import rotation
from retarget.motion import Motion
from sfv_core.body.model import Body, load_body, pose_vertices, skeleton_of
from sfv_core.errors import SfvError

FRAMES = 36
YAW, PITCH, ROLL = np.radians([50.0, 25.0, 15.0])
"""How far the head turns, nods and tilts to either side in rad."""
NECK = 0.4
"""Share of it that the neck takes."""


def main() -> None:
    """Render the clip that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--look", type=int, default=0, metavar="N", help="number of body and clothes (default 0)")
    parser.add_argument("--samples", type=int, default=3, help="samples per pixel (default 3)")
    parser.add_argument("--size", type=int, default=1200, help="width and height in px (default 1200)")
    options = parser.parse_args()
    body = load_body()
    shown = replace(look(options.look, body.shapedirs.shape[2]), azimuth=0.15 - 0.35 * (options.look % 3), height=1.35,
                    focal=1.1)
    motion = look_around(body, shown.betas)
    options.out.mkdir(parents=True, exist_ok=True)
    name = f"head_v{options.look}" if options.look else "head"
    try:
        film(options.out / name, [(motion, pose_vertices(body, shown.betas, motion), shown)], body, options.samples,
             options.size)
    except SfvError as error:
        raise SystemExit(f"render_head: {error}") from error


def look_around(body: Body, betas: np.ndarray) -> Motion:
    """Return a person who stands with loose arms and moves the head."""
    skeleton = skeleton_of(body.joints(betas))
    t = np.linspace(0, 2 * np.pi, FRAMES)
    x, y, z = np.eye(3)
    rotations = np.tile(rotation.IDENTITY, (FRAMES, len(skeleton), 1))

    def turn(name: str, angle: np.ndarray, axis: np.ndarray) -> None:
        rotations[:, skeleton.index(name)] = rotation.from_rotvec(np.outer(angle, axis))

    turn("left_shoulder", 1.15 + 0.1 * np.sin(t), y)
    turn("right_shoulder", -1.15 + 0.1 * np.sin(t), y)
    turn("left_elbow", -0.3 + 0.1 * np.sin(t), z)
    turn("right_elbow", 0.3 + 0.1 * np.cos(t), z)
    head = rotation.multiply(rotation.from_rotvec(np.outer(YAW * np.sin(t), z)), rotation.multiply(
        rotation.from_rotvec(np.outer(PITCH * np.sin(2 * t + 0.5), x)),
        rotation.from_rotvec(np.outer(ROLL * np.sin(3 * t + 1), y))))
    neck = rotation.slerp(rotation.IDENTITY, head, np.full(FRAMES, NECK))
    rotations[:, skeleton.index("neck")] = neck
    rotations[:, skeleton.index("head")] = rotation.multiply(rotation.inverse(neck), head)
    root = np.tile(skeleton.offsets[0], (FRAMES, 1))
    root[:, 0] += 0.02 * np.sin(t)
    return Motion(skeleton, float(FPS), root, rotations)


if __name__ == "__main__":
    main()
