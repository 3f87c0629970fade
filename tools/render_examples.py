"""Render known motions on the stand-in body, with the exact truth beside each video.

    python tools/render_examples.py walk spinkick backflip -o examples [--looks 0 1] [--samples 4] [--size 480]

For each clip it writes <clip>.mp4, <clip>.truth.npz (a Motion) and <clip>.camera.json; looks other than 0 add their
number to the name. The motions are DeepMimic's clips as PyBullet brings them. `crossing` shows two people who walk past
each other; it has two truths, crossing.a.truth.npz and crossing.b.truth.npz. Cycles renders in Blender or in a Python
with bpy (SFV_BLENDER).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from PIL import Image
from stage_clip import onto_body, place_camera, repeat, smooth, stand_on_ground, touches_ground

from retarget import rotation
from retarget.motion import Motion
from retarget.whole import written_whole
from sfv_core.bake import blender_command
from sfv_core.body.model import Body, load_body, pose_vertices
from sfv_core.character import deepmimic
from sfv_core.errors import SfvError

FPS = 30
CROSSING = "crossing"

COLOURS = {"skin": (.75, .48, .36), "shirt": (.10, .22, .55), "trousers": (.05, .05, .07), "shoe": (.80, .80, .80),
           "hair": (.06, .035, .02), "iris": (.02, .02, .02), "lips": (.55, .20, .18), "eye_white": (.85, .85, .85),
           "sole": (.30, .30, .30)}
"""Linear colours of the stand-in's materials, in the order of their numbers."""


@dataclass(frozen=True)
class Look:
    """Who performs, in which clothes and light, and where the camera stands."""

    betas: np.ndarray
    """Shape of the body, (B,)."""
    colours: np.ndarray
    """Linear colours of the materials, (M, 3)."""
    sun: tuple[float, float, float] = (0.70, 0.35, 0.0)
    """Euler angles of the sun in rad."""
    ground: tuple[float, float, float] = (0.35, 0.33, 0.30)
    """Linear colour of the ground."""
    azimuth: float = np.pi / 6
    """Where the camera stands around the person, from −Y towards +X in rad."""
    height: float = 1.3
    """Height of the camera in m."""
    focal: float = 1.25
    """Focal length in picture widths."""


def look(number: int, betas: int) -> Look:
    """Return a look by its number, the same every time; 0 is the mean body in a blue shirt."""
    colours = np.array(list(COLOURS.values()))
    if number == 0:
        return Look(np.zeros(betas), colours)
    random = np.random.default_rng(number)
    names = list(COLOURS)
    colours[names.index("skin")] *= random.uniform(0.35, 1.2)
    for name in ("shirt", "trousers", "shoe"):
        colours[names.index(name)] = random.uniform(0.02, 0.7, 3)
    return Look(np.clip(random.normal(size=betas), -1.5, 1.5), colours,
                (float(random.uniform(0.2, 1.0)), float(random.uniform(-0.6, 0.6)), float(random.uniform(-3, 3))),
                tuple(random.uniform(0.1, 0.6) * random.uniform(0.8, 1.0, 3)), float(random.uniform(-np.pi, np.pi)),
                float(random.uniform(0.8, 1.9)), float(random.uniform(0.9, 1.6)))


@dataclass(frozen=True)
class Clip:
    """How a clip of DeepMimic is shown."""

    times: int = 1
    """How often it is played, one after the other."""
    smoothing: float = 0.0
    """Standard deviation in s of the Gaussian that evens it out."""


CLIPS = {"walk": Clip(times=2, smoothing=0.03), "spinkick": Clip(), "backflip": Clip(), "cartwheel": Clip(),
         "dance_a": Clip(times=2)}
"""Every clip that is not as it comes; DeepMimic's walk jumps by 29° in the shoulder from one step to the next."""


def main() -> None:
    """Render the clips that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", metavar="CLIP",
                        help=f"one of: {', '.join(deepmimic.clip_names())}, {CROSSING}")
    parser.add_argument("--looks", nargs="+", type=int, default=[0], metavar="N",
                        help="numbers of bodies, clothes, lights and cameras; 0 (default) is the first example's")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--samples", type=int, default=4, help="samples per pixel (default 4)")
    parser.add_argument("--size", type=int, default=480, help="width and height in px (default 480)")
    parser.add_argument("--seconds", type=float, help="longest video in s (default: the whole clip)")
    options = parser.parse_args()
    body = load_body()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        for number in options.looks:
            for name in options.clips:
                shown = look(number, body.shapedirs.shape[2])
                stem = options.out / (f"{name}_v{number}" if number else name)
                people = cross(body, options.seconds) if name == CROSSING else (
                    [(*stage(name, body, options.seconds, shown.betas), shown)])
                film(stem, people, body, options.samples, options.size)
    except SfvError as error:
        raise SystemExit(f"render_examples: {error}") from error


def stage(name: str, body: Body, seconds: float | None = None, betas: np.ndarray | None = None
          ) -> tuple[Motion, np.ndarray]:
    """Return a clip of DeepMimic as the body performs it on the ground z = 0, and its skin (T, V, 3)."""
    how = CLIPS.get(name, Clip())
    clip = repeat(deepmimic.load_clip(name, FPS), how.times)
    if seconds is not None:
        clip = clip.slice(0, max(int(seconds * FPS), 1))
    if how.smoothing:
        clip = smooth(clip, how.smoothing)
    return stand_on_ground(onto_body(clip, body, betas), touches_ground(clip), body, betas)


def cross(body: Body, seconds: float | None = None) -> list[tuple[Motion, np.ndarray, Look]]:
    """Let two people walk past each other, one in front of the other as the camera sees them."""
    count = body.shapedirs.shape[2]
    people = []
    for shown, turn, side in ((look(0, count), 0.5, -0.35), (look(5, count), -0.5, 0.35)):
        motion, _ = stage("walk", body, seconds, shown.betas)
        q = rotation.from_rotvec(np.array([0.0, 0.0, turn * np.pi]))
        place = motion.root_pos - motion.root_pos[len(motion) // 2] * [1.0, 1.0, 0.0]
        root = rotation.rotate(q, place) + [0.0, side, 0.0]
        turns = motion.rotations.copy()
        turns[:, 0] = rotation.multiply(q, turns[:, 0])
        motion = replace(motion, root_pos=root, rotations=turns)
        people.append((motion, pose_vertices(body, shown.betas, motion), replace(shown, azimuth=0.0)))
    return people


def film(stem: Path, people: list[tuple[Motion, np.ndarray, Look]], body: Body, samples: int, size: int) -> None:
    """Render the people in one picture; the first one's look decides on camera and light."""
    skins = np.concatenate([skin for _, skin, _ in people], axis=1)
    faces = np.concatenate([body.faces + k * len(body.v_template) for k in range(len(people))])
    assert body.materials is not None
    materials = np.concatenate([body.materials + k * len(COLOURS) for k in range(len(people))])
    first = people[0][2]
    camera = place_camera(skins, size, first.azimuth, first.height, first.focal)
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.npz"
        np.savez(scene, vertices=skins, faces=faces, materials=materials, focal=camera.focal, sun=first.sun,
                 ground=first.ground, colours=np.concatenate([shown.colours for _, _, shown in people]),
                 size=camera.size[0], rotation=rotation.to_matrix(camera.rotation), position=camera.position,
                 samples=samples)
        _run_blender(scene, folder, stem.name, len(skins))
        write_video(stem.with_name(f"{stem.name}.mp4"), sorted(Path(folder).glob("*.png")))
    for number, (motion, _, _) in enumerate(people):
        letter = f".{'ab'[number]}" if len(people) > 1 else ""
        motion.save(stem.with_name(f"{stem.name}{letter}.truth.npz"))
    camera.save(stem.with_name(f"{stem.name}.camera.json"))


def write_video(video: Path, pictures: list[Path]) -> None:
    """Put the pictures into an H.264 file, whole or not at all."""
    with written_whole(video) as part, av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "20", "preset": "veryslow"})
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.asarray(Image.open(picture).convert("RGB")), format="rgb24")
            if number == 0:
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _run_blender(scene: Path, folder: str, name: str, frames: int) -> None:
    """Run render_scene.py and show how far it is."""
    script = Path(__file__).with_name("render_scene.py")
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    with (Path(folder) / "log.txt").open("w+") as log:
        process = subprocess.Popen([*blender_command(script), str(scene), folder], stdout=subprocess.PIPE, stderr=log,
                                   text=True, env=environment)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("frame "):
                sys.stderr.write(f"\r{name}: frame {line.split()[1]} of {frames} ")
        sys.stderr.write("\n")
        if process.wait() != 0:
            log.seek(0)
            said = (log.read().strip().splitlines() or ["no message"])[-1]
            raise SfvError(f"Blender could not render {name}: {said}")


if __name__ == "__main__":
    main()
