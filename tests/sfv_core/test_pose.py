"""Finding a person: the network on real pictures, the choice among detections, swapped sides, the file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retarget.kinematics import world_poses
from retarget.motion import Motion
from sfv_core.errors import SfvError
from sfv_core.pose.candidates import Candidate, choose
from sfv_core.pose.keypoints import Keypoints
from sfv_core.pose.mediapipe import NAMES, MediaPipeEstimator
from sfv_core.pose.swap import repair
from sfv_core.progress import no_progress
from sfv_core.reconstruct.camera import Camera
from sfv_core.video import open_video, writer

LIMBS = [f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
         for side in ("left", "right")]


@pytest.fixture(scope="module")
def walk(examples) -> Keypoints:
    return MediaPipeEstimator()(open_video(examples / "walk.mp4"), 0.0, 0.5, no_progress)


def test_the_network_finds_the_limbs_of_a_rendered_walk(examples, walk):
    truth = Motion.load(examples / "walk.truth.npz").slice(0, len(walk))
    camera = Camera.load(examples / "walk.camera.json")
    exact = camera.project(world_poses(truth)[0])
    error = [np.linalg.norm(walk.xy[:, NAMES.index(n)] - exact[:, truth.skeleton.index(n)], axis=-1) for n in LIMBS]
    assert walk.detected.all() and len(walk) == 16
    assert np.mean(error) < 12, "px of 480; the body is 230 px tall"
    assert walk.person_size() == pytest.approx(230, rel=0.25)


def test_the_network_finds_a_real_dancer_in_every_picture(shared_data):
    video = open_video(shared_data / "videos" / "dance_one_second.mp4")
    seen = MediaPipeEstimator()(video, 0.0, None, no_progress)
    assert seen.detected.all() and len(seen) == 18
    assert np.diff(seen.times) == pytest.approx(1 / 25.05, abs=2e-3)


def test_the_network_writes_nothing_on_the_terminal(walk, capfd, examples):
    MediaPipeEstimator()(open_video(examples / "walk.mp4"), 0.0, 0.2, no_progress)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_a_video_without_a_person_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    with writer(tmp_path / "noise.mp4", 320, 240, 30) as put:
        for number in range(8):
            put(number / 30, np.roll(noise, 5 * number, axis=1))
    with pytest.raises(SfvError, match=r"No person found in '.*noise\.mp4'"):
        MediaPipeEstimator()(open_video(tmp_path / "noise.mp4"), 0.0, None, no_progress)


def test_a_person_in_too_few_pictures_is_refused(examples):
    with pytest.raises(SfvError, match="only 3 of 3 pictures"):
        MediaPipeEstimator()(open_video(examples / "walk.mp4"), 0.0, 0.08, no_progress)


def candidate(walk: Keypoints, frame: int, shift: float = 0.0) -> Candidate:
    assert walk.xyz is not None
    return Candidate(walk.xy[frame] + [shift, 0], walk.xyz[frame], walk.confidence[frame])


def test_the_path_stays_with_one_pose(walk):
    options = [[candidate(walk, t), candidate(walk, t, shift=150.0)] for t in range(12)]
    options[5] = [candidate(walk, 5, shift=150.0), candidate(walk, 5)]
    options[8] = []
    path = choose(options)
    assert path[8] is None
    places = {round(float(c.centre[0] - walk.xy[t, [23, 24], 0].mean())) for t, c in enumerate(path) if c is not None}
    assert len(places) == 1, "never jumps between the two"


def test_swapped_legs_are_swapped_back(examples, walk):
    legs = [(NAMES.index(f"left_{p}"), NAMES.index(f"right_{p}")) for p in
            ("hip", "knee", "ankle", "heel", "foot_index")]
    assert walk.xyz is not None
    xy, xyz = walk.xy.copy(), walk.xyz.copy()
    for t in (5, 6, 11):
        for a, b in legs:
            xy[t, [a, b]], xyz[t, [a, b]] = xy[t, [b, a]], xyz[t, [b, a]]
    repaired, count = repair(replace(walk, xy=xy, xyz=xyz))
    assert count == 3
    assert np.array_equal(repaired.xy, walk.xy)
    assert repair(walk)[1] == 0


def test_a_saved_file_comes_back(tmp_path, walk):
    walk.save(tmp_path / "k.npz")
    back = Keypoints.load(tmp_path / "k.npz")
    assert back.names == walk.names and back.size == walk.size
    assert back.xy == pytest.approx(walk.xy, abs=1e-3)
    assert np.array_equal(back.times, walk.times)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not a zip", b"hello"])
def test_what_is_no_keypoints_file_gets_one_clear_line(tmp_path, content):
    path = tmp_path / "k.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SfvError, match=r"k\.npz"):
        Keypoints.load(path)


def test_pickles_and_nan_in_a_keypoints_file_are_refused(tmp_path, walk):
    np.savez(tmp_path / "p.npz", format=np.array(1), xy=np.array([object()]))
    with pytest.raises(SfvError, match="not a keypoints file"):
        Keypoints.load(tmp_path / "p.npz")
    with pytest.raises(SfvError, match="not numbers"):
        replace(walk, xy=walk.xy * np.nan)


def test_resampling_bridges_gaps_but_does_not_call_them_seen(walk):
    detected = walk.detected.copy()
    detected[4:9] = False
    gap = replace(walk, detected=detected)
    even = gap.at(walk.times)
    assert even.detected.tolist() == detected.tolist()
    assert np.all(even.confidence[4:9] == 0)
    assert even.xy[6] == pytest.approx((walk.xy[3] + walk.xy[9]) / 2, abs=1e-6)
