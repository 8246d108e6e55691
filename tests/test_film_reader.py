"""Films read frame by frame: pixels, times, facts, and what is wrong with a file in one line."""

from fractions import Fraction

import numpy as np
import pytest
from films import TIME_BASE, damaged_film, moving, write_film

from jsr import film_reader
from jsr.errors import UserError
from jsr.film_color import BT601, Planes
from jsr.film_reader import FilmReader

TIMES = [0, 512, 1024, 1100, 3000, 3600]


def read(path, start=None):
    reader = FilmReader(path)
    return reader, list(reader.frames(start))


def test_frames_come_as_they_were_with_their_times(tmp_path):
    rgb = list(moving())
    path = write_film(tmp_path / "a.mov", rgb, TIMES, "libx264", options={"crf": "0"})
    reader, frames = read(path)
    assert [frame.pts for frame in frames] == TIMES and reader.facts.time_base == TIME_BASE
    for frame, expected in zip(frames, rgb, strict=True):
        assert frame.pixels.dtype == np.uint8 and frame.pixels.shape == (48, 64, 3)
        difference = frame.pixels.astype(float) - expected
        assert np.abs(difference).max() <= 12 and np.abs(difference.mean((0, 1))).max() < 0.3
    assert reader.damaged == reader.misplaced == 0


@pytest.mark.parametrize(
    "pixel_format, planes, most",
    [
        ("yuv420p10le", Planes(10, matrix=BT601), 12),
        ("yuv422p", Planes(8, 2, 1, BT601), 12),
        ("yuv444p16le", Planes(16, 1, 1, BT601), 0.02),
        ("yuv444p", Planes(8, 1, 1, BT601), 2),
        ("bgr0", None, 0),
        ("gray", None, 0),
    ],
)
def test_all_planes_are_read(tmp_path, pixel_format, planes, most):
    top = 65535 if planes and planes.bits > 8 else 255
    rgb = list(moving(2, top=top))
    if planes is None:
        # One plane: of gray, or of four bytes a pixel.
        import av

        rgb = [frame[..., :1].repeat(3, axis=2) for frame in rgb]
        with av.open(str(tmp_path / "a.mkv"), "w") as film:
            video = film.add_stream("ffv1", rate=25, width=64, height=48, pix_fmt=pixel_format)
            video.codec_context.color_range = 2
            for frame in rgb:
                made = av.VideoFrame.from_ndarray(frame, "rgb24")
                if pixel_format == "gray":
                    made = av.VideoFrame.from_ndarray(frame[..., 0], "gray")
                    made.color_range = 2
                film.mux(video.encode(made.reformat(format=pixel_format)))
            film.mux(video.encode(None))
    else:
        write_film(tmp_path / "a.mkv", rgb, pixel_format=pixel_format, planes=planes)
    _, frames = read(tmp_path / "a.mkv")
    for frame, expected in zip(frames, rgb, strict=True):
        assert frame.pixels.dtype == (np.uint16 if top > 255 else np.uint8)
        assert np.abs(frame.pixels.astype(float) - expected).max() / top * 255 <= most


@pytest.mark.parametrize("run_up", [10, 0.2])
def test_reading_starts_where_it_is_told(tmp_path, monkeypatch, run_up):
    monkeypatch.setattr(film_reader, "RUN_UP", run_up)
    rgb = list(moving(40))
    times = [i * 512 + (i % 3) for i in range(40)]
    path = write_film(tmp_path / "a.mp4", rgb, times, codec="libx264", options={"g": "9"})
    _, whole = read(path)
    for start in (0, 1, 13, 39):
        _, part = read(path, times[start])
        assert [frame.pts for frame in part] == times[start:]
        np.testing.assert_array_equal(part[0].pixels, whole[start].pixels)
    with pytest.raises(UserError, match=r"has no frame at 0\.00 s"):
        read(path, 5)


@pytest.mark.parametrize("run_up", [10, 0.2])
@pytest.mark.parametrize("name", ["a.avi", "a.ts", "a.h264"])
def test_reading_starts_anywhere_without_an_index_or_times(tmp_path, monkeypatch, name, run_up):
    monkeypatch.setattr(film_reader, "RUN_UP", run_up)
    codec = "mpeg4" if name == "a.avi" else "libx264"
    path = write_film(tmp_path / name, moving(30), codec=codec, time_base=Fraction(1, 25))
    _, whole = read(path)
    assert len(whole) == 30
    times = [frame.pts for frame in whole]
    assert np.ptp(np.diff(times)) == 0
    for start in (1, 17):
        _, part = read(path, times[start])
        assert [frame.pts for frame in part] == times[start:]
        np.testing.assert_array_equal(part[0].pixels, whole[start].pixels)


def test_one_frame_is_a_film(tmp_path):
    _, frames = read(write_film(tmp_path / "a.mp4", moving(1), codec="libx264"))
    assert len(frames) == 1


# ---- what is wrong with a file


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_damage_is_counted_and_the_rest_read(tmp_path, codec, capfd):
    path = damaged_film(tmp_path / "a.mkv", codec=codec)
    reader, frames = read(path)
    assert reader.damaged >= 1 and 20 <= len(frames) <= 24
    assert sum(frame.damaged for frame in frames) <= reader.damaged
    assert capfd.readouterr() == ("", "")


def test_a_size_that_changes_is_told(tmp_path):
    parts = [
        write_film(tmp_path / f"{width}.ts", moving(8, 48, width), codec="libx264")
        for width in (64, 96)
    ]
    (tmp_path / "both.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(UserError, match=r"both\.ts: changes from 64x48 to 96x48 at .* cut it"):
        read(tmp_path / "both.ts")


def test_times_that_go_back_are_moved_on(tmp_path):
    part = write_film(tmp_path / "a.ts", moving(8), codec="libx264")
    (tmp_path / "both.ts").write_bytes(2 * part.read_bytes())
    _, frames = read(tmp_path / "both.ts")
    times = [frame.pts for frame in frames]
    assert times == sorted(set(times)) and len(frames) >= 14
