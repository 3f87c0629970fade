"""Render known motions on the stand-in body, with the exact truth beside each video.

    python tools/render_examples.py walk spinkick backflip -o examples [--samples 4] [--size 480] [--seconds S]

For each clip it writes <clip>.mp4, <clip>.truth.npz (a Motion) and <clip>.camera.json. The motions are DeepMimic's
clips as PyBullet brings them. Cycles renders in Blender or in a Python with bpy (SFV_BLENDER).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image
from stage_clip import onto_body, place_camera, repeat, smooth, stand_on_ground, touches_ground

from retarget import rotation
from retarget.motion import Motion
from retarget.whole import written_whole
from sfv_core.bake import blender_command
from sfv_core.body.model import Body, load_body
from sfv_core.character import deepmimic
from sfv_core.errors import SfvError
from sfv_core.reconstruct.camera import Camera

FPS = 30

COLOURS = {"skin": (.75, .48, .36), "shirt": (.10, .22, .55), "trousers": (.05, .05, .07), "shoe": (.80, .80, .80),
           "hair": (.06, .035, .02), "iris": (.02, .02, .02), "lips": (.55, .20, .18), "eye_white": (.85, .85, .85),
           "sole": (.30, .30, .30)}
"""Linear colours of the stand-in's materials, in the order of their numbers."""


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
    parser.add_argument("clips", nargs="+", metavar="CLIP", help=f"one of: {', '.join(deepmimic.clip_names())}")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--samples", type=int, default=4, help="samples per pixel (default 4)")
    parser.add_argument("--size", type=int, default=480, help="width and height in px (default 480)")
    parser.add_argument("--seconds", type=float, help="longest video in s (default: the whole clip)")
    options = parser.parse_args()
    body = load_body()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        for name in options.clips:
            motion, skin = stage(name, body, options.seconds)
            camera = place_camera(skin, options.size)
            render(options.out / f"{name}.mp4", skin, body, camera, options.samples)
            motion.save(options.out / f"{name}.truth.npz")
            camera.save(options.out / f"{name}.camera.json")
    except SfvError as error:
        raise SystemExit(f"render_examples: {error}") from error


def stage(name: str, body: Body, seconds: float | None = None) -> tuple[Motion, np.ndarray]:
    """Return a clip of DeepMimic as the body performs it on the ground z = 0, and its skin (T, V, 3)."""
    how = CLIPS.get(name, Clip())
    clip = repeat(deepmimic.load_clip(name, FPS), how.times)
    if seconds is not None:
        clip = clip.slice(0, max(int(seconds * FPS), 1))
    if how.smoothing:
        clip = smooth(clip, how.smoothing)
    return stand_on_ground(onto_body(clip, body), touches_ground(clip), body)


def render(video: Path, skin: np.ndarray, body: Body, camera: Camera, samples: int) -> None:
    """Render the skin (T, V, 3) frame by frame and write the video."""
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.npz"
        np.savez(scene, vertices=skin, faces=body.faces, materials=body.materials, focal=camera.focal,
                 colours=np.array(list(COLOURS.values())), size=camera.size[0],
                 rotation=rotation.to_matrix(camera.rotation), position=camera.position, samples=samples)
        _run_blender(scene, folder, video.stem, len(skin))
        write_video(video, sorted(Path(folder).glob("*.png")))


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
