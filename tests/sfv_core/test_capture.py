"""The whole capture on a rendered clip: its files, its report, and nothing left behind when it fails."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_video import early_index

from retarget.motion import Motion
from sfv_core.capture import FILES, capture
from sfv_core.config import CaptureConfig
from sfv_core.errors import Cancelled, SfvError
from sfv_core.pose.keypoints import Keypoints
from sfv_core.progress import no_progress
from sfv_core.reconstruct.camera import Camera
from sfv_core.video import frames, open_video

QUICK = CaptureConfig(start=0.2, end=1.0, iterations=40)


@pytest.fixture(scope="module")
def done(tmp_path_factory, examples):
    """A short capture: its folder, its report and the progress it made."""
    folder = tmp_path_factory.mktemp("capture") / "out"
    steps: list[tuple[str, float, float]] = []
    report = capture(examples / "walk.mp4", folder, QUICK, lambda stage, d, total, **n: steps.append((stage, d, total)))
    return folder, report, steps


def test_every_file_is_there_and_nothing_else(done):
    folder, _, _ = done
    assert sorted(p.name for p in folder.iterdir()) == sorted(FILES)
    assert [p.name for p in folder.parent.iterdir()] == ["out"]


def test_the_files_agree_with_each_other(done):
    folder, report, _ = done
    motion = Motion.load(folder / "motion.npz")
    keypoints = Keypoints.load(folder / "keypoints.npz")
    camera = Camera.load(folder / "camera.json")
    assert json.loads((folder / "report.json").read_text()) == report
    assert len(motion) == len(keypoints) == report["motion"]["frames"] == 25
    assert motion.fps == pytest.approx(30)
    assert report["motion"]["start_s"] == pytest.approx(0.2, abs=1e-3)
    assert camera.size == keypoints.size == (480, 480)
    overlay = open_video(folder / "overlay.mp4")
    assert [f.time_s for f in frames(overlay)] == pytest.approx(keypoints.times - keypoints.times[0], abs=1e-3)


def test_the_report_says_how_far_to_trust_it(done):
    _, report, _ = done
    assert report["detection_rate"] == 1.0
    assert 0 < report["reprojection"]["mean_px"] < 10
    assert len(report["reprojection"]["per_frame_px"]) == 25
    assert report["feet"]["deepest_m"] < 1e-6
    assert {"sfv", "mediapipe", "torch"} <= set(report["versions"])
    assert report["realtime_factor"] > 0
    assert report["warnings"] == []


def test_the_page_holds_everything_inside(done):
    folder, _, _ = done
    page = (folder / "report.html").read_text()
    assert "Capture of walk.mp4" in page and page.count("data:image/jpeg") >= 6
    assert "http" not in page and "src='data:image/png" in page


def test_progress_goes_through_the_stages_and_never_beyond_the_end(done):
    _, _, steps = done
    assert list(dict.fromkeys(stage for stage, _, _ in steps)) == ["detect", "background", "reconstruct", "report"]
    assert all(0 <= d <= total for _, d, total in steps)


def test_a_second_capture_replaces_the_first(done, examples):
    folder, _, _ = done
    capture(examples / "walk.mp4", folder, CaptureConfig(end=0.5, iterations=5), no_progress)
    assert len(Motion.load(folder / "motion.npz")) == 16
    assert sorted(p.name for p in folder.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("at", ["detect", "reconstruct", "report"])
def test_a_cancelled_capture_leaves_nothing(tmp_path, examples, at):
    def cancel(stage: str, d: float, total: float, **numbers: float) -> None:
        if stage == at:
            raise Cancelled("The capture was cancelled.")

    with pytest.raises(Cancelled):
        capture(examples / "walk.mp4", tmp_path / "out", CaptureConfig(end=0.5, iterations=20), cancel)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "content"), [("gone.mp4", None), ("empty.mp4", b""), ("text.mp4", b"hello\n" * 99)])
def test_a_bad_video_gets_one_clear_line_and_leaves_nothing(tmp_path, name, content):
    source = tmp_path / "in" / name
    source.parent.mkdir()
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(SfvError, match=name) as caught:
        capture(source, tmp_path / "results" / "out", CaptureConfig(), no_progress)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "results").exists()


def test_a_cut_off_video_is_used_as_far_as_it_goes_and_the_report_warns(tmp_path, examples):
    early_index(examples / "walk.mp4", tmp_path / "whole.mp4")
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    report = capture(tmp_path / "cut.mp4", tmp_path / "out", CaptureConfig(iterations=5), no_progress)
    assert report["motion"]["duration_s"] < 2.0
    assert any("damaged or incomplete" in text for text in report["warnings"])


def test_a_result_folder_that_is_a_file_is_refused_before_the_work(tmp_path, examples):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(SfvError, match="is a file"):
        capture(examples / "walk.mp4", tmp_path / "out", CaptureConfig(), no_progress)
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.slow
def test_a_backflip_is_captured_within_80_mm(tmp_path, examples):
    from retarget.kinematics import world_poses

    capture(examples / "backflip.mp4", tmp_path / "out", CaptureConfig(), no_progress)
    truth = Motion.load(examples / "backflip.truth.npz")
    motion = Motion.load(tmp_path / "out" / "motion.npz")
    limbs = [truth.skeleton.index(f"{side}_{part}") for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
             for side in ("left", "right")]
    exact = Camera.load(examples / "backflip.camera.json").to_camera(world_poses(truth)[0])[:, limbs]
    made = Camera.load(tmp_path / "out" / "camera.json").to_camera(world_poses(motion)[0])[:, limbs]
    apart = (made - made[:, :2].mean(1, keepdims=True)) - (exact - exact[:, :2].mean(1, keepdims=True))
    assert np.linalg.norm(apart, axis=-1).mean() < 0.080
