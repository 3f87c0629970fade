"""Other programs' keypoints: every kind of file, people without numbers, missing landmarks, hostile content."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retarget.kinematics import world_poses
from retarget.motion import Motion
from sfv_core import pipeline
from sfv_core.capture import capture
from sfv_core.config import CaptureConfig, JobConfig
from sfv_core.errors import SfvError
from sfv_core.inputs import content_hash
from sfv_core.pose.completion import LIMBS, bridged, completed
from sfv_core.pose.formats.layouts import BODY_25, COCO_17, COCO_18, H36M_17, HALPE_26
from sfv_core.pose.formats.openpose import numbered
from sfv_core.pose.formats.recording import Recording, Sighting
from sfv_core.pose.formats.space import camera_axes, in_metres, onto_picture
from sfv_core.pose.keypoints import Keypoints
from sfv_core.pose.linking import people
from sfv_core.pose.recorded import RecordedEstimator, read
from sfv_core.progress import no_progress
from sfv_core.reconstruct import landmarks
from sfv_core.reconstruct.camera import Camera
from sfv_core.video import Video, open_video, picture_times


@pytest.fixture(scope="module")
def video(examples) -> Video:
    return open_video(examples / "walk.mp4")


@pytest.fixture(scope="module")
def walk(examples) -> tuple[np.ndarray, np.ndarray]:
    """The true limbs of the rendered walk: px (T, 12, 2) and m in camera axes (T, 12, 3), in the order of LIMBS."""
    truth = Motion.load(examples / "walk.truth.npz")
    camera = Camera.load(examples / "walk.camera.json")
    places = world_poses(truth)[0][:, [truth.skeleton.index(name) for name in LIMBS]]
    return camera.project(places), camera.to_camera(places)


def in_layout(names: tuple[str, ...], limbs: np.ndarray, rest: float = 0.0) -> np.ndarray:
    """Put limbs (T, 12, d) where a layout has them; the other landmarks get the value `rest`."""
    out = np.full((len(limbs), len(names), limbs.shape[2]), rest)
    for column, name in enumerate(LIMBS):
        out[:, names.index(name)] = limbs[:, column]
    return out


def with_confidence(xy: np.ndarray, value: float = 0.9) -> np.ndarray:
    return np.concatenate([xy, value * (xy.any(axis=-1, keepdims=True))], axis=-1)


def write_openpose(folder: Path, pictures: list[list[np.ndarray]], key: str = "pose_keypoints_2d") -> Path:
    folder.mkdir(parents=True)
    for number, crowd in enumerate(pictures):
        content = {"version": 1.3, "people": [{"person_id": [-1], key: one.ravel().tolist()} for one in crowd]}
        (folder / f"clip_{number:012d}_keypoints.json").write_text(json.dumps(content))
    return folder


def limbs_of(keypoints: Keypoints) -> np.ndarray:
    return keypoints.xy[:, [keypoints.names.index(name) for name in LIMBS]]


@pytest.mark.parametrize("names", [COCO_17, COCO_18, BODY_25, HALPE_26, H36M_17])
def test_every_layout_names_each_landmark_once_and_has_the_limbs(names):
    assert len(set(names)) == len(names)
    assert set(LIMBS) <= set(names)


@pytest.mark.parametrize("names", [COCO_17, COCO_18, BODY_25, HALPE_26, H36M_17])
@pytest.mark.parametrize("deep", [False, True])
def test_whatever_a_layout_lacks_is_added_for_the_reconstruction(walk, names, deep):
    xy = in_layout(names, walk[0], 240.0)
    xyz = in_layout(names, walk[1]) if deep else None
    got, _, places, weight = completed(names, xy, xyz, np.ones(xy.shape[:2]))
    assert set(landmarks.NAMES) <= set(got)
    added = [got.index(name) for name in landmarks.NAMES if name not in names]
    assert np.all(weight[:, added] > 0) and np.all(weight[:, added] < 0.05)
    assert (places is None) is not deep


def test_added_feet_lie_where_a_foot_is(walk, examples):
    truth = Motion.load(examples / "walk.truth.npz")
    camera = Camera.load(examples / "walk.camera.json")
    names, _, xyz, _ = completed(LIMBS, walk[0], walk[1], np.ones(walk[0].shape[:2]))
    assert xyz is not None
    toes = camera.to_camera(world_poses(truth)[0][:, truth.skeleton.index("left_foot")])
    assert np.linalg.norm(xyz[:, names.index("left_foot_index")] - toes, axis=-1).mean() < 0.12


def test_a_recording_without_limbs_is_refused():
    names = tuple(name for name in COCO_17 if name != "left_knee")
    with pytest.raises(SfvError, match="lacks left_knee"):
        completed(names, np.ones((3, 16, 2)), None, np.ones((3, 16)))


def test_missing_points_are_bridged_in_time():
    xy = np.arange(10.0)[:, None, None] * np.ones((1, 1, 2))
    hole = xy.copy()
    hole[3:6] = 0
    seen = np.ones((10, 1))
    seen[3:6] = 0
    assert bridged(hole, seen, np.arange(10.0)) == pytest.approx(xy)


def test_openpose_is_put_on_the_pictures_that_it_belongs_to(tmp_path, video, walk):
    points = with_confidence(in_layout(BODY_25, walk[0]))
    folder = write_openpose(tmp_path / "json", [[one] for one in points[5:]])
    keypoints = RecordedEstimator(folder, offset=5)(video, 0.0, None, no_progress)
    assert keypoints.detected.tolist() == [False] * 5 + [True] * (len(points) - 5)
    assert limbs_of(keypoints)[5:] == pytest.approx(walk[0][5:], abs=1e-6)
    assert keypoints.xyz is None and keypoints.size == (480, 480)
    assert keypoints.times == pytest.approx(picture_times(video))


def test_a_span_of_the_video_takes_its_own_pictures(tmp_path, video, walk):
    folder = write_openpose(tmp_path / "json", [[one] for one in with_confidence(in_layout(BODY_25, walk[0]))])
    keypoints = RecordedEstimator(folder)(video, 0.5, 1.0, no_progress)
    assert keypoints.times[[0, -1]] == pytest.approx([0.5, 1.0], abs=0.02)
    assert limbs_of(keypoints) == pytest.approx(walk[0][15:31], abs=1e-6)


def test_two_people_without_numbers_are_followed_and_the_larger_one_is_first(tmp_path, video, walk):
    large = with_confidence(in_layout(BODY_25, walk[0]))
    small = with_confidence(in_layout(BODY_25, 0.5 * walk[0] + [10, 200]))
    crowd = [[a, b] if t % 2 else [b, a] for t, (a, b) in enumerate(zip(large, small, strict=True))]
    folder = write_openpose(tmp_path / "json", crowd)
    first, second = (RecordedEstimator(folder, person=n)(video, 0.0, None, no_progress) for n in (1, 2))
    assert limbs_of(first) == pytest.approx(walk[0], abs=1e-6)
    assert limbs_of(second) == pytest.approx(0.5 * walk[0] + [10, 200], abs=1e-6)
    unasked = RecordedEstimator(folder)(video, 0.0, None, no_progress)
    assert np.array_equal(unasked.xy, first.xy)
    with pytest.raises(SfvError, match=r"no person 3 in .* It has 1, 2"):
        RecordedEstimator(folder, person=3)(video, 0.0, None, no_progress)


def test_a_fragment_of_a_person_does_not_end_that_person():
    def one(picture: int, xy: np.ndarray) -> Sighting:
        return Sighting(picture, xy, np.any(xy != 0, axis=1) * 1.0)

    body = np.random.default_rng(0).uniform(100, 400, (25, 2))
    part = np.where(np.arange(25)[:, None] < 6, body + 20, 0.0)
    far = np.where(np.arange(25)[:, None] < 6, body + 60, 0.0)
    sightings = [one(t, body + t) for t in range(20)] + [one(4, part), one(7, far)]
    chains = people(tuple(sorted(sightings, key=lambda s: (s.picture, s.seen.sum()))))
    assert len(chains[1]) == 20


def test_alphapose_takes_its_own_numbers_of_people_and_pictures(tmp_path, video, walk):
    rows = [{"image_id": f"{t}.jpg", "category_id": 1, "idx": idx, "score": 2.5,
             "keypoints": (with_confidence(in_layout(COCO_17, walk[0] + shift), 3.0)[t]).ravel().tolist()}
            for t in range(0, len(walk[0]), 2) for idx, shift in ((7, 0.0), (3, 30.0))]
    path = tmp_path / "alphapose-results.json"
    path.write_text(json.dumps(rows))
    keypoints = RecordedEstimator(path, person=3)(video, 0.0, None, no_progress)
    assert np.flatnonzero(keypoints.detected).tolist() == list(range(0, len(walk[0]), 2))
    assert limbs_of(keypoints)[::2] == pytest.approx(walk[0][::2] + 30.0, abs=1e-6)
    assert keypoints.confidence.max() <= 1.0


@pytest.mark.parametrize("suffix", [".npy", ".pt", ".npz", ".json"])
def test_the_same_points_come_out_of_every_kind_of_array_file(tmp_path, video, walk, suffix):
    import torch

    points = with_confidence(in_layout(COCO_17, walk[0]))
    path = tmp_path / f"points{suffix}"
    named = {"names": list(COCO_17), "xy": points[..., :2], "confidence": points[..., 2]}
    if suffix == ".npy":
        np.save(path, points)
    elif suffix == ".pt":
        torch.save(torch.tensor(points), path)
    elif suffix == ".npz":
        np.savez(path, **named)
    else:
        path.write_text(json.dumps(named, default=np.ndarray.tolist))
    keypoints = RecordedEstimator(path)(video, 0.0, None, no_progress)
    assert limbs_of(keypoints) == pytest.approx(walk[0], abs=1e-6)
    assert keypoints.detected.all() and keypoints.xyz is None


def test_a_captures_own_file_comes_back_as_it_was(tmp_path, video, walk):
    names = landmarks.NAMES
    xy, xyz = in_layout(names, walk[0], 100.0), in_layout(names, walk[1])
    own = Keypoints(names, xy, xyz, np.full(xy.shape[:2], 0.8), picture_times(video), np.ones(len(xy), bool),
                    (480, 480))
    own.save(tmp_path / "keypoints.npz")
    back = RecordedEstimator(tmp_path / "keypoints.npz")(video, 0.0, None, no_progress)
    assert back.names == names and back.xy == pytest.approx(xy, abs=1e-3)
    assert back.xyz == pytest.approx(xyz, abs=1e-5)


@pytest.mark.parametrize("turn", [np.eye(3), np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]), np.diag([1.0, -1, -1])])
@pytest.mark.parametrize("unit", [1.0, 100.0, 1000.0])
def test_3d_of_any_unit_and_upright_axes_comes_into_camera_axes(walk, turn, unit):
    hips = [LIMBS.index("left_hip"), LIMBS.index("right_hip")]
    exact = walk[1] - walk[1][:, hips].mean(axis=1, keepdims=True)
    assert camera_axes(LIMBS, in_metres(LIMBS, walk[1] @ turn.T * unit)) == pytest.approx(exact, abs=1e-9)


def test_3d_in_unknown_axes_is_turned_onto_the_picture(walk):
    from scipy.spatial.transform import Rotation

    exact = in_metres(LIMBS, walk[1])
    other = exact @ Rotation.from_euler("xyz", [40, -70, 110], degrees=True).as_matrix().T
    turned = onto_picture(other, walk[0], np.ones(walk[0].shape[:2]))
    assert np.linalg.norm(turned - exact, axis=-1).mean() < 0.06, "m; perspective is neglected"


def test_recorded_3d_alone_becomes_a_motion_in_front_of_a_made_up_camera(tmp_path, examples, walk):
    path = tmp_path / "3d_pose.npy"
    deep = in_layout(H36M_17, walk[1])
    deep[:, H36M_17.index("nose")] = walk[1][:, :2].mean(axis=1) - [0, 0.25, 0]
    np.save(path, deep)
    keypoints = RecordedEstimator(path)(open_video(examples / "walk.mp4"), 0.0, None, no_progress)
    assert keypoints.xyz is not None
    assert limbs_of(keypoints).std() > 30, "px"


@pytest.mark.parametrize("name", ["x.pkl", "x.joblib", "x.txt", "gone.npz"])
def test_what_is_no_kind_of_keypoints_gets_one_clear_line(tmp_path, name):
    if not name.startswith("gone"):
        (tmp_path / name).write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(SfvError, match=name) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("hostile-was-here"),))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".pt"])
def test_pickles_inside_are_refused_and_not_run(tmp_path, monkeypatch, suffix):
    import torch

    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"evil{suffix}"
    if suffix == ".pt":
        torch.save({"x": Hostile()}, path)
    elif suffix == ".npy":
        np.save(path, np.array([Hostile()], dtype=object), allow_pickle=True)
    else:
        np.savez(path, names=np.array([Hostile()], dtype=object), xy=np.zeros((1, 1, 2)))
    with pytest.raises(SfvError, match="evil") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "hostile-was-here").exists()


@pytest.mark.parametrize(("array", "words"), [
    (np.zeros((5, 17)), "its shape is"), (np.zeros((0, 17, 2)), "its shape is"), (np.zeros((5, 19, 2)), "19 points"),
    (np.full((5, 17, 3), np.nan), "not numbers"), (np.zeros((5, 17, 3)), "nobody is in it"),
    (np.random.default_rng(0).normal(size=(5, 17, 3)) * 1e5, "thighs"), (np.full((5, 17, 2), "a"), "its shape is"),
    (np.random.default_rng(0).normal(size=(5, 33, 3)) * 10, "33 points"),
])
def test_arrays_of_a_wrong_shape_or_content_are_refused(tmp_path, array, words):
    np.save(tmp_path / "k.npy", array)
    with pytest.raises(SfvError, match=words) as caught:
        read(tmp_path / "k.npy")
    assert "k.npy" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [
    {"names": ["a", "a"]}, {"xy": np.zeros((3, 5, 2))}, {"confidence": np.zeros((2, 17))}, {"xy": None},
    {"size": [0, 5]}, {"xyz": np.zeros((4, 17, 2))}, {"confidence": np.full((4, 17), np.inf)},
])
def test_named_arrays_that_do_not_fit_together_are_refused(tmp_path, change):
    good = {"names": list(COCO_17), "xy": np.ones((4, 17, 2)), "confidence": np.ones((4, 17))}
    np.savez(tmp_path / "k.npz", **{k: v for k, v in (good | change).items() if v is not None})
    with pytest.raises(SfvError, match=r"k\.npz"):
        read(tmp_path / "k.npz")


@pytest.mark.parametrize("text", [
    "", "{", "[]", "[1]", '[{"image_id": "a"}]', '[{"image_id": "1.jpg", "keypoints": [1, 2]}]', '"text"', "{}",
    '[{"image_id": "1.jpg", "keypoints": [NaN, 0, 1' + ", 1, 1, 1" * 16 + "]}]", "[" * 100_000,
])
def test_json_that_is_not_keypoints_is_refused(tmp_path, text):
    (tmp_path / "k.json").write_text(text)
    with pytest.raises(SfvError, match=r"k\.json") as caught:
        read(tmp_path / "k.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{}", "[]", '{"people": [{"pose_keypoints_2d": [1, 2]}]}', '{"people": 3}', "x",
                                  '{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}'])
def test_a_folder_of_other_json_is_refused_by_the_files_name(tmp_path, text):
    (tmp_path / "000.json").write_text(text)
    with pytest.raises(SfvError, match=r"000\.json"):
        read(tmp_path)


def test_an_empty_folder_and_one_without_people_are_refused(tmp_path):
    with pytest.raises(SfvError, match=r"no \.json file"):
        read(tmp_path)
    (tmp_path / "000.json").write_text('{"people": []}')
    with pytest.raises(SfvError, match="None of the 1 files"):
        read(tmp_path)


def test_pictures_are_numbered_by_the_last_number_in_their_name(tmp_path):
    for name in ("2_clip_10_keypoints.json", "2_clip_9_keypoints.json"):
        (tmp_path / name).write_text("{}")
    assert [path.name[7:9].strip("_") for path in numbered(tmp_path).values()] == ["10", "9"]
    assert sorted(numbered(tmp_path)) == [9, 10]


def test_keypoints_of_another_video_are_told_by_size_and_length(tmp_path, video, walk):
    np.save(tmp_path / "large.npy", with_confidence(in_layout(COCO_17, walk[0] * 4)))
    with pytest.raises(SfvError, match="480 × 480"):
        RecordedEstimator(tmp_path / "large.npy")(video, 0.0, None, no_progress)
    np.save(tmp_path / "long.npy", with_confidence(in_layout(COCO_17, np.concatenate([walk[0]] * 2))))
    with pytest.raises(SfvError, match=r"goes on for \d+ pictures after the video's end"):
        RecordedEstimator(tmp_path / "long.npy")(video, 0.0, None, no_progress)
    np.savez(tmp_path / "wide.npz", names=COCO_17, xy=in_layout(COCO_17, walk[0]), size=[1920, 1080])
    with pytest.raises(SfvError, match="1920 × 1080"):
        RecordedEstimator(tmp_path / "wide.npz")(video, 0.0, None, no_progress)


def test_shares_of_the_picture_and_other_sizes_are_scaled(tmp_path, video, walk):
    for name, xy, more in (("share", walk[0] / 480, {}), ("around", walk[0] / 240 - 1, {}),
                           ("double", walk[0] * 2, {"size": [960, 960]})):
        np.savez(tmp_path / f"{name}.npz", names=LIMBS, xy=xy, confidence=np.ones(xy.shape[:2]), **more)
        keypoints = RecordedEstimator(tmp_path / f"{name}.npz")(video, 0.0, None, no_progress)
        assert limbs_of(keypoints) == pytest.approx(walk[0], abs=1e-3)


def test_an_offset_beyond_the_video_is_refused(tmp_path, video, walk):
    np.save(tmp_path / "k.npy", with_confidence(in_layout(COCO_17, walk[0][:10])))
    with pytest.raises(SfvError, match="in only 0 of"):
        RecordedEstimator(tmp_path / "k.npy", offset=-100)(video, 0.0, None, no_progress)


def test_true_2d_alone_is_captured_into_a_walk(tmp_path, examples, walk):
    np.save(tmp_path / "k.npy", with_confidence(in_layout(COCO_17, walk[0])))
    report = capture(examples / "walk.mp4", tmp_path / "out",
                     CaptureConfig(keypoints=str(tmp_path / "k.npy"), iterations=60), no_progress)
    assert report["estimator"]["format"] == "COCO-17"
    assert "left_heel" in report["estimator"]["landmarks_missing"]
    assert report["reprojection"]["mean_px"] < 5
    motion = Motion.load(tmp_path / "out" / "motion.npz")
    places = Camera.load(tmp_path / "out" / "camera.json").to_camera(world_poses(motion)[0])
    made = places[:, [motion.skeleton.index(name) for name in LIMBS]]
    hips = [LIMBS.index("left_hip"), LIMBS.index("right_hip")]
    apart = (made - made[:, hips].mean(1, keepdims=True)) - (walk[1] - walk[1][:, hips].mean(1, keepdims=True))
    assert np.linalg.norm(apart, axis=-1).mean() < 0.15, "m; depth is a guess"


def test_a_failed_reading_leaves_nothing(tmp_path, examples):
    (tmp_path / "k.npy").write_bytes(b"no array")
    with pytest.raises(SfvError, match=r"k\.npy"):
        capture(examples / "walk.mp4", tmp_path / "out", CaptureConfig(keypoints=str(tmp_path / "k.npy")), no_progress)
    assert [path.name for path in tmp_path.iterdir()] == ["k.npy"]


def test_a_changed_recording_is_a_changed_input_of_the_job(tmp_path, examples):
    folder = write_openpose(tmp_path / "json", [[np.ones((25, 3))]] * 2)
    config = JobConfig(stages=("capture",), video=str(examples / "walk.mp4"),
                       capture=CaptureConfig(keypoints=str(folder)))
    pipeline.check(config)
    before = content_hash(pipeline.given(config)["keypoints"])
    (folder / "clip_000000000001_keypoints.json").write_text('{"people": []}')
    assert content_hash(pipeline.given(config)["keypoints"]) != before


def test_real_recordings_lie_on_what_the_detector_sees(shared_data):
    for name, offset in (("hooligan", 3), ("scuba", 4)):
        video = open_video(shared_data / "videos" / f"treadmill_{name}.mp4")
        keypoints = RecordedEstimator(shared_data / "results" / f"openpose_treadmill_{name}", offset)(
            video, 0.0, None, no_progress)
        assert keypoints.detected.sum() == 90 - offset
    vitpose = RecordedEstimator(shared_data / "results" / "tennis_vitpose.pt")(
        open_video(shared_data / "videos" / "tennis.mp4"), 0.0, None, no_progress)
    assert vitpose.detected.all() and len(vitpose) == 312


def test_videopose3d_with_its_2d_stands_upright_in_camera_axes(shared_data):
    recording = read(shared_data / "results" / "videopose3d_dance")
    assert isinstance(recording, Recording)
    upright = [(one.xyz[recording.names.index("left_shoulder")] - one.xyz[recording.names.index("left_ankle")])[1]
               for one in recording.sightings if one.xyz is not None]
    assert np.median(upright) < -1.0, "m; y points down"
    assert replace(recording, sightings=()).pictures == 0
