"""Finding a person: the network on real pictures, the choice among detections, swapped sides, the file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retarget.kinematics import world_poses
from retarget.motion import Motion
from sfv_core.errors import SfvError
from sfv_core.pose.candidates import Candidate, choose
from sfv_core.pose.detector import Detector
from sfv_core.pose.keypoints import Keypoints
from sfv_core.pose.landmarker import Landmarker, Seen
from sfv_core.pose.mediapipe import NAMES, MediaPipeEstimator
from sfv_core.pose.region import Region
from sfv_core.pose.swap import repair
from sfv_core.progress import no_progress
from sfv_core.reconstruct.camera import Camera
from sfv_core.video import frames, open_video, writer

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


def limb_errors(seen: Keypoints, clip) -> np.ndarray:
    """Return how far the limbs lie beside the truth of a rendered clip in px, (T,)."""
    truth = Motion.load(clip.with_suffix(".truth.npz"))
    exact = Camera.load(clip.with_suffix(".camera.json")).project(world_poses(truth)[0])[:len(seen)]
    return np.mean([np.linalg.norm(seen.xy[:, NAMES.index(n)] - exact[:, truth.skeleton.index(n)], axis=-1)
                    for n in LIMBS], axis=0)


@pytest.mark.parametrize("clip", ["backflip_v1", "cartwheel_v1"])
def test_somebody_upside_down_is_followed(examples, clip):
    seen = MediaPipeEstimator()(open_video(examples / f"{clip}.mp4"), 0.0, None, no_progress)
    error = limb_errors(seen, examples / f"{clip}.mp4")
    assert seen.detected.all()
    assert np.median(error) < 6 and np.percentile(error, 90) < 14, "px of 480; a lost region is off by 30 to 90"


def first_picture(path) -> np.ndarray:
    return next(frames(open_video(path))).rgb


@pytest.fixture(scope="module")
def seen_once(examples) -> tuple[np.ndarray, Region, Seen]:
    """A picture, the region of the person in it, and what is seen there."""
    rgb = first_picture(examples / "walk.mp4")
    region = Detector()(rgb)[0].region
    seen = Landmarker()(rgb, region)
    assert seen is not None
    return rgb, region, seen


def test_a_turned_picture_gives_the_turned_pose(seen_once):
    rgb, region, seen = seen_once
    turned = np.ascontiguousarray(np.rot90(rgb, -1))  # clockwise: (x, y) → (height - y, x)
    there = Landmarker()(turned, Region((rgb.shape[0] - region.centre[1], region.centre[0]), region.size,
                                        region.angle + np.pi / 2))
    assert there is not None
    xy = seen.candidate.xy[:, ::-1] * [-1, 1] + [rgb.shape[0], 0]
    assert there.candidate.xy == pytest.approx(xy, abs=0.05)
    assert there.candidate.xyz == pytest.approx(seen.candidate.xyz[:, [1, 0, 2]] * [-1, 1, 1], abs=2e-3)


def test_a_mirrored_look_is_a_look_at_the_mirrored_picture(seen_once):
    rgb, region, _ = seen_once
    width = rgb.shape[1]
    here = Landmarker()(rgb, replace(region, mirrored=True))
    there = Landmarker()(np.ascontiguousarray(rgb[:, ::-1]),
                         Region((width - region.centre[0], region.centre[1]), region.size, -region.angle))
    assert here is not None and there is not None
    other = [NAMES.index(n.replace("left", "L").replace("right", "left").replace("L", "right")) for n in NAMES]
    assert here.candidate.xy == pytest.approx(there.candidate.xy[other] * [-1, 1] + [width, 0], abs=0.05)
    assert here.candidate.xyz == pytest.approx(there.candidate.xyz[other] * [-1, 1, 1], abs=2e-3)


def test_both_views_agree_where_the_person_is(seen_once):
    rgb, region, seen = seen_once
    mirrored = Landmarker()(rgb, replace(region, mirrored=True))
    assert mirrored is not None
    shift = (mirrored.candidate.xy - seen.candidate.xy).mean(axis=0)
    assert np.abs(shift).max() < 1.0, "px: no view is shifted by part of a pixel"


def test_our_loop_sees_what_the_networks_own_graph_sees(examples, capfd):
    from mediapipe.python.solutions.pose import Pose

    rgb = first_picture(examples / "walk.mp4")
    with Pose(static_image_mode=True, model_complexity=1) as graph:
        result = graph.process(rgb)
    xy = np.array([(p.x * rgb.shape[1], p.y * rgb.shape[0]) for p in result.pose_landmarks.landmark])
    xyz = np.array([(p.x, p.y, p.z) for p in result.pose_world_landmarks.landmark])
    seen = Landmarker()(rgb, Detector()(rgb)[0].region)
    assert seen is not None
    assert np.abs(seen.candidate.xy - xy).mean() < 1.0
    assert np.linalg.norm(seen.candidate.xyz - xyz, axis=-1).mean() < 0.03
    capfd.readouterr()


def moved(path, pictures: list[np.ndarray]) -> Keypoints:
    """Write the pictures as a video and return who is found in it."""
    height, width = pictures[0].shape[:2]
    with writer(path, width, height, 30) as put:
        for number, picture in enumerate(pictures):
            put(number / 30, np.ascontiguousarray(picture))
    return MediaPipeEstimator()(open_video(path), 0.0, None, no_progress)


def test_somebody_who_leaves_and_returns_is_found_again(examples, tmp_path):
    walk = [frame.rgb for frame in frames(open_video(examples / "walk.mp4"), 0.0, 0.6)]
    seen = moved(tmp_path / "away.mp4", walk[:10] + [np.full_like(walk[0], 150)] * 20 + walk[10:])
    assert seen.detected[:10].all() and seen.detected[32:].all()
    assert not seen.detected[11:29].any()


def test_a_picture_on_its_head_and_a_small_person_are_found(examples, tmp_path):
    walk = [frame.rgb for frame in frames(open_video(examples / "walk.mp4"), 0.0, 0.25)]
    assert moved(tmp_path / "down.mp4", [picture[::-1, ::-1] for picture in walk]).detected.all()
    wide = np.full((1080, 1920, 3), 150, np.uint8)
    small = []
    for picture in walk:
        wide[600:840, 1500:1740] = picture[::2, ::2]
        small.append(wide.copy())
    assert moved(tmp_path / "small.mp4", small).detected.mean() > 0.8


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
    assert back.identity == pytest.approx(walk.identity)
    replace(walk, identity=None).save(tmp_path / "old.npz")
    assert Keypoints.load(tmp_path / "old.npz").identity is None


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
