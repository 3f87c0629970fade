"""Telling people apart: runs joined by clothes, place and motion; two people crossing; the list of persons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from retarget.kinematics import world_poses
from retarget.motion import Motion
from sfv_core.errors import Cancelled, SfvError
from sfv_core.people import Person, find_people, write_people
from sfv_core.pose.candidates import Candidate
from sfv_core.pose.identify import identify
from sfv_core.pose.landmarker import NAMES, Seen
from sfv_core.pose.mediapipe import MediaPipeEstimator
from sfv_core.pose.region import Region
from sfv_core.pose.tracklet import Sight, Tracklet, colours, covered
from sfv_core.progress import no_progress
from sfv_core.reconstruct.camera import Camera
from sfv_core.video import frames, open_video, writer

RED, BLUE = np.full(12, 0.2), np.full(12, 0.8)
SHAPE = np.random.default_rng(3).normal(size=(33, 3)) * [0.2, 0.4, 0.1]
FPS = 30.0


def sight(index: int, x: float, clothes: np.ndarray = RED, crowded: float = 0.0) -> Sight:
    """Return a person of 200 px at x whose hips lie in the middle of the region."""
    candidate = Candidate(SHAPE[:, :2] * 118 + [x, 300.0], SHAPE, np.ones(33))
    region = Region((x, 300.0), 300.0)
    return Sight(index, index / FPS, Seen(candidate, region, 1.0), region, clothes, crowded)


def run(first: int, last: int, start: float, step: float, clothes: np.ndarray, crowded: bool = False) -> Tracklet:
    """Return a run from picture `first` to `last` that moves by `step` px a picture."""
    return Tracklet([sight(n, start + step * (n - first), clothes, 0.6 if crowded else 0.0)
                     for n in range(first, last + 1)], crowded)




@pytest.fixture(scope="module")
def truths(examples) -> list[np.ndarray]:
    """Hips of the two crossing people in px, (T, 2) each."""
    camera = Camera.load(examples / "crossing.camera.json")
    motions = [Motion.load(examples / f"crossing.{letter}.truth.npz") for letter in "ab"]
    return [camera.project(world_poses(motion)[0][:, 0]) for motion in motions]


@pytest.fixture(scope="module")
def crossing(examples) -> list[Person]:
    return find_people(open_video(examples / "crossing.mp4"), 0.0, None, no_progress)


def test_two_people_who_cross_stay_themselves(crossing, truths):
    assert [person.number for person in crossing] == [1, 2]
    for person, truth in zip(crossing, truths, strict=True):
        frame = np.round(person.times * FPS).astype(int)
        off = np.linalg.norm(person.centres - truth[frame], axis=1)
        seen = np.isfinite(off)
        assert seen.mean() > 0.75
        assert off[seen].max() < 30, "px; the bodies are 200 and 240 px tall"


def test_the_larger_person_comes_first_and_a_crossing_is_doubted(crossing):
    assert crossing[0].size > crossing[1].size
    for person in crossing:
        assert person.identity[:20].min() > 0.9
        assert np.nanmin(np.where(person.identity[25:55] > 0, person.identity[25:55], np.nan)) < 0.6


def test_the_second_person_can_be_captured(examples, truths):
    seen = MediaPipeEstimator(person=2)(open_video(examples / "crossing.mp4"), 0.0, 1.0, no_progress)
    middle = seen.xy[:, [NAMES.index("left_hip"), NAMES.index("right_hip")]].mean(axis=1)
    assert seen.person == 2 and seen.detected.all()
    assert np.linalg.norm(middle - truths[1][:len(seen)], axis=1).mean() < 15
    assert seen.identity is not None and seen.identity.min() > 0.5


def test_an_unknown_person_is_refused_with_those_there_are(examples):
    with pytest.raises(SfvError, match=r"No person 7 in .*crossing\.mp4.*People: 1, 2 "):
        MediaPipeEstimator(person=7)(open_video(examples / "crossing.mp4"), 0.0, 0.3, no_progress)


def test_people_shaking_hands_keep_their_sides(shared_data):
    video = open_video(shared_data / "videos" / "two_people_handshake.mp4")
    people = find_people(video, 0.0, None, no_progress)
    assert len(people) == 2
    left, right = (person.centres[:, 0] for person in people)
    assert np.all(left < right) and len(left) == 40


@pytest.mark.slow
def test_one_player_stays_one_person_whatever_the_arms_hide(shared_data):
    people = find_people(open_video(shared_data / "videos" / "tennis.mp4"), 0.0, None, no_progress)
    assert np.isfinite(people[0].centres).all()


def test_the_list_of_people_has_pictures_and_spans(examples, tmp_path):
    report = write_people(examples / "crossing.mp4", tmp_path / "people", 0.0, 0.5, no_progress)
    assert json.loads((tmp_path / "people" / "people.json").read_text()) == report
    assert [person["id"] for person in report["people"]] == [1, 2]
    assert report["people"][0]["spans_s"] == [[0.0, 0.5]]
    assert report["people"][0]["size_px"] == pytest.approx(238, rel=0.1)
    assert (tmp_path / "people" / "people.png").read_bytes().startswith(b"\x89PNG")


def test_a_video_without_people_leaves_no_list(tmp_path):
    with writer(tmp_path / "grey.mp4", 160, 120, 30) as put:
        for number in range(5):
            put(number / 30, np.full((120, 160, 3), 120, np.uint8))
    with pytest.raises(SfvError, match=r"No person found in '.*grey\.mp4'"):
        write_people(tmp_path / "grey.mp4", tmp_path / "people", 0.0, None, no_progress)
    assert not (tmp_path / "people").exists()


def test_a_search_that_is_cancelled_stops(examples):
    def stop(stage: str, done: float, total: float, **_: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        find_people(open_video(examples / "walk.mp4"), 0.0, None, stop)


def test_somebody_who_turns_and_moves_is_expected_further_on():
    track = Tracklet([sight(0, 100.0), sight(1, 110.0)])
    assert track.expected(2 / FPS).centre == pytest.approx((120.0, 300.0))
    assert track.expected(60.0).centre[0] <= 130.0, "never carried on without end"
    first, second = (Seen(track.end.seen.candidate, Region((0, 0), 100.0, angle), 1.0) for angle in (3.1, -3.1))
    turning = Tracklet([Sight(n, n / FPS, seen, seen.region, RED) for n, seen in enumerate((first, second))])
    assert np.cos(turning.expected(2 / FPS).angle) == pytest.approx(np.cos(-3.1 + 0.0832), abs=1e-3)


def test_clothes_tell_who_is_who_behind_a_crowd():
    """Two runs swap places in the crowd; the runs after it begin where the other one should be."""
    before = [run(0, 20, 100.0, 5.0, RED), run(0, 20, 300.0, -5.0, BLUE)]
    crowd = [run(21, 30, 195.0, 0.0, RED, True), run(21, 30, 205.0, 0.0, RED, True)]
    after = [run(31, 60, 205.0, 5.0, RED), run(31, 60, 195.0, -5.0, BLUE)]
    people = identify(before + crowd + after)
    assert len(people) == 2
    for person in people:
        clothes = [one.colours[0] for one in person.sights if not one.crowded]
        assert len(set(clothes)) == 1
        assert min(person.identity) < 0.6


def test_somebody_who_leaves_and_returns_is_the_same_and_a_stranger_is_not():
    there = run(0, 30, 100.0, 2.0, RED)
    same = identify([there, run(90, 120, 400.0, 0.0, RED)])
    other = identify([there, run(90, 120, 400.0, 0.0, BLUE)])
    assert [len(person.sights) for person in same] == [62]
    assert [len(person.sights) for person in other] == [31, 31]


def test_a_run_that_goes_over_to_somebody_else_is_cut():
    both = run(0, 30, 100.0, 1.0, RED)
    both.sights += run(31, 60, 131.0, 1.0, BLUE).sights
    people = identify([both])
    assert [len(person.sights) for person in people] == [31, 30]


def test_nearly_everybody_in_a_crowd_of_ten_is_seen_at_once(examples, tmp_path):
    walk = [frame.rgb[60:460, 90:390] for frame in frames(open_video(examples / "walk.mp4"), 0.0, 0.8)]
    with writer(tmp_path / "ten.mp4", 1500, 800, 30) as put:
        for number in range(8):
            crowd = [np.concatenate([walk[number + row * 8 + column] for column in range(5)], axis=1)
                     for row in range(2)]
            put(number / 30, np.concatenate(crowd))
    people = find_people(open_video(tmp_path / "ten.mp4"), 0.0, None, no_progress)
    assert 9 <= len(people) <= 10
    assert all(len(person.spans) == 1 for person in people)


def test_of_two_who_are_lost_each_is_one_of_their_own():
    lost = [run(0, 5, 100.0, 0.0, RED), run(0, 5, 100.0, 0.0, RED)]
    lost.remove(second := lost[1])
    assert lost[0] is not second


def test_a_flash_is_no_person_unless_there_is_nobody_else():
    flash = run(10, 12, 500.0, 0.0, BLUE)
    assert len(identify([run(0, 30, 100.0, 0.0, RED), flash])) == 1
    assert len(identify([flash])) == 1
    assert identify([]) == []


def test_a_box_is_covered_by_another_as_far_as_they_overlap():
    a, b = sight(0, 100.0), sight(0, 130.0)
    width = a.box[2] - a.box[0]
    assert covered([a, b]) == pytest.approx([(width - 30) / width] * 2)
    assert covered([a, sight(0, 900.0)]).tolist() == [0.0, 0.0]


def test_the_colours_of_a_plain_picture_are_its_own_and_outside_there_are_none():
    picture = np.zeros((400, 400, 3), np.uint8)
    picture[:] = (255, 0, 0)
    inside = colours(picture, sight(0, 200.0).seen.candidate)
    assert inside.reshape(4, 3) == pytest.approx(np.tile([0.33, 0.7, 0.35], (4, 1)), abs=1e-5)
    assert np.isnan(colours(picture, sight(0, 5000.0).seen.candidate)).all()


def test_sfv_people_prints_a_line_for_each_person(examples, capfd, tmp_path):
    from sfv_core.cli import main

    assert main(["people", str(examples / "crossing.mp4"), "--end", "0.4", "-o", str(tmp_path / "p")]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("1 ") and lines[1].startswith("2 ")
    assert lines[-2:] == [f"wrote {Path(tmp_path / 'p' / name)}" for name in ("people.png", "people.json")]


def test_another_person_walking_by_is_no_moving_camera(examples):
    from sfv_core.background import camera_motion

    video = open_video(examples / "crossing.mp4")
    keypoints = MediaPipeEstimator()(video, 0.0, None, no_progress)
    assert keypoints.others is not None and keypoints.others.any(axis=(0, 2)).sum() == 1
    assert not camera_motion(video, keypoints, 600.0, no_progress).moving
