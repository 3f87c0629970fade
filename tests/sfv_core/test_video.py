"""Reading and writing videos: true times, upright pictures, and one clear line for what is no video."""

from __future__ import annotations

import struct

import av
import numpy as np
import pytest

from sfv_core.errors import SfvError
from sfv_core.video import frames, open_video, writer


def pattern(brightness: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A picture whose upper left corner is red and whose rest has one brightness."""
    picture = np.full((height, width, 3), brightness, np.uint8)
    picture[: height // 2, : width // 2] = (255, 0, 0)
    return picture


def write(path, times):
    with writer(path, 64, 48, 30) as put:
        for number, time_s in enumerate(times):
            put(time_s, pattern(min(250, 10 * number)))
    return path


def turned_clockwise(path) -> None:
    """Set the track's display matrix to a quarter turn clockwise, as a phone held upright does."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd")
    matrix = at + 4 + 4 + 4 * 5 + 8 + 2 + 2 + 2 + 2
    one = 1 << 16
    assert struct.unpack_from(">9i", data, matrix) == (one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, matrix, 0, one, 0, -one, 0, 0, 48 * one, 0, 1 << 30)
    path.write_bytes(data)


def early_index(source, path) -> None:
    """Copy a video with its index before its pictures, so that a part of the file can be played."""
    with av.open(str(source)) as old, av.open(str(path), "w", options={"movflags": "faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)


def test_uneven_frame_times_come_back_as_written(tmp_path):
    times = [0.0, 0.033, 0.1, 0.125, 0.4, 0.41, 0.9]
    video = open_video(write(tmp_path / "uneven.mp4", times))
    assert [f.time_s for f in frames(video)] == pytest.approx(times, abs=1e-4)
    assert [f.index for f in frames(video)] == list(range(len(times)))


def test_a_rotation_flag_turns_the_pictures_upright(tmp_path):
    path = write(tmp_path / "phone.mp4", [0.0, 0.1])
    turned_clockwise(path)
    video = open_video(path)
    assert (video.width, video.height) == (48, 64)
    picture = next(frames(video)).rgb
    assert picture.shape == (64, 48, 3)
    red = (picture[..., 0] > 180) & (picture[..., 1] < 90)
    rows, columns = np.nonzero(red)
    assert rows.mean() < 20 and columns.mean() > 30, "what was up and left is now up and right"


def test_a_span_yields_exactly_its_frames(tmp_path):
    video = open_video(write(tmp_path / "v.mp4", np.arange(40) / 20))
    assert [f.time_s for f in frames(video, 0.5, 1.0)] == pytest.approx(np.arange(10, 21) / 20, abs=1e-4)


def test_a_real_clip_has_every_frame_upright_and_in_order(examples):
    video = open_video(examples / "walk.mp4")
    times = [f.time_s for f in frames(video)]
    assert len(times) == video.frame_count == 77
    assert np.diff(times) == pytest.approx(1 / 30, abs=1e-4)


def test_the_start_of_a_cut_off_file_is_read(tmp_path, examples):
    early_index(examples / "walk.mp4", tmp_path / "whole.mp4")
    data = (tmp_path / "whole.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: int(len(data) * 0.6)])
    read = sum(1 for _ in frames(open_video(cut)))
    assert 10 < read < 77


def audio_only(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize(("make", "says"), [
    (lambda p: None, "No video file"),
    (lambda p: p.mkdir(), "is a folder"),
    (lambda p: p.write_bytes(b""), "is empty"),
    (lambda p: p.write_text("This is not a video.\n" * 50), "not a video"),
    (lambda p: p.write_bytes(np.random.default_rng(0).bytes(20000)), "not a video"),
    (audio_only, "No video stream"),
])
def test_what_is_no_video_gets_one_clear_line(tmp_path, make, says):
    path = tmp_path / "film.mp4"
    make(path)
    with pytest.raises(SfvError, match=says) as caught:
        open_video(path)
    assert "film.mp4" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_cut_off_before_its_index_is_refused(tmp_path, examples):
    data = (examples / "walk.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(SfvError, match=r"cut\.mp4"):
        list(frames(open_video(path)))


@pytest.mark.parametrize(("start", "end", "says"), [
    (-1.0, None, "0 or later"), (float("nan"), None, "0 or later"), (5.0, None, "s long"), (1.0, 0.5, "later than")])
def test_an_impossible_span_is_refused(tmp_path, start, end, says):
    video = open_video(write(tmp_path / "v.mp4", np.arange(40) / 20))
    with pytest.raises(SfvError, match=says):
        next(frames(video, start, end))


def test_a_failed_writing_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), writer(tmp_path / "v.mp4", 64, 48, 30) as put:
        put(0.0, pattern(0))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_middle_is_passed_over(tmp_path, examples):
    content = bytearray((examples / "walk.mp4").read_bytes())
    middle = slice(len(content) * 45 // 100, len(content) * 52 // 100)
    content[middle] = bytes(np.random.default_rng(0).integers(0, 256, middle.stop - middle.start, dtype=np.uint8))
    (tmp_path / "hurt.mp4").write_bytes(content)
    whole = [frame.time_s for frame in frames(open_video(examples / "walk.mp4"))]
    times = [frame.time_s for frame in frames(open_video(tmp_path / "hurt.mp4"))]
    assert times[-1] == pytest.approx(whole[-1], abs=0.2), "read on behind the damage"
    assert np.all(np.diff(times) > 0)
