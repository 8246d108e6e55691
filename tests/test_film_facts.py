"""What a film states of itself, and files that are none."""

from fractions import Fraction

import av
import numpy as np
import pytest
from films import moving, write_film
from PIL import Image

from jsr.errors import UserError
from jsr.film_color import BT601, BT709, Planes
from jsr.film_reader import FilmReader


def test_facts(tmp_path):
    colors = {"color_range": 2, "colorspace": 1, "color_primaries": 1, "color_trc": 13}
    path = write_film(
        tmp_path / "a.mp4", codec="libx264", colors=colors, aspect=Fraction(4, 3), turn=90
    )
    facts = FilmReader(path).facts
    assert (facts.height, facts.width, facts.count, facts.rate) == (48, 64, 6, 25)
    assert facts.colors == colors and facts.planes == Planes(8, 2, 2, BT709, full=True)
    assert facts.aspect == Fraction(4, 3) and facts.sideways and len(facts.turn) == 9
    assert not facts.interlaced and not facts.alpha
    assert facts.end == pytest.approx(0.24) and facts.whole_end == pytest.approx(0.24)


def test_the_matrix_is_guessed_by_the_size_and_then_stated(tmp_path):
    small = FilmReader(write_film(tmp_path / "a.mkv")).facts
    assert small.planes.matrix == small.colors["colorspace"] == BT601
    large = write_film(tmp_path / "b.mkv", [np.zeros((720, 1280, 3), np.uint8)])
    assert FilmReader(large).facts.colors["colorspace"] == BT709


def test_interlaced_film_is_known(tmp_path):
    options = {"x264-params": "interlaced=1:tff=1"}
    path = write_film(tmp_path / "a.mkv", codec="libx264", options=options)
    assert FilmReader(path).facts.interlaced


def test_odd_pixel_formats_are_brought_to_planes(tmp_path):
    gif = tmp_path / "a.gif"
    Image.fromarray(next(moving(1))).save(gif)
    reader = FilmReader(gif)
    assert reader.facts.planes.rgb and next(reader.frames()).pixels.shape == (48, 64, 3)
    for form, planes in [
        ("nv12", Planes(8, 2, 2, BT601)),
        ("yuyv422", Planes(8, 2, 1, BT601)),
        ("gray16le", Planes(16, 1, 1, BT601)),
        ("rgb48le", Planes(16, 1, 1, rgb=True)),
        ("yuva420p", Planes(8, 2, 2, BT601)),
    ]:
        path = tmp_path / f"{form}.nut"
        with av.open(str(path), "w") as film:
            video = film.add_stream("rawvideo", rate=25, width=64, height=48, pix_fmt=form)
            frame = av.VideoFrame.from_ndarray(next(moving(1)), "rgb24")
            film.mux(video.encode(frame.reformat(format=form)))
            film.mux(video.encode(None))
        reader = FilmReader(path)
        assert reader.facts.planes == planes, form
        assert reader.facts.alpha == (form == "yuva420p")
        pixels = next(reader.frames()).pixels.astype(float) / planes.top
        expected = next(moving(1)) / 255
        if form != "gray16le":
            assert np.abs((pixels - expected).mean((0, 1))).max() < 0.01, form


def test_files_that_are_no_films_are_told(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no film" * 100)
    (tmp_path / "folder.mp4").mkdir()
    whole = write_film(tmp_path / "whole.mp4", codec="libx264").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    for name, told in [
        ("absent.mp4", "no such file"),
        ("empty.mp4", r"is empty \(zero bytes\)"),
        ("text.mp4", "is not a film that can be read"),
        ("folder.mp4", "is a folder"),
        ("cut.mp4", "is cut short or damaged"),
    ]:
        with pytest.raises(UserError, match=rf"{name}: .*{told}"):
            FilmReader(tmp_path / name)


def test_sound_alone_is_no_film(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as film:
        audio = film.add_stream("flac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        film.mux(audio.encode(frame))
    with pytest.raises(UserError, match=r"a\.mkv: has no video in it"):
        FilmReader(tmp_path / "a.mkv")
