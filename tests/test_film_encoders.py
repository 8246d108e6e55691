"""Encoders by name, their options, and the planes they take."""

import pytest

from jsr.errors import UserError
from jsr.film_color import Planes
from jsr.film_encoders import NAMES, choose_planes, find_encoder
from jsr.film_formats import FilmOptions


def test_codecs_have_their_names_and_defaults():
    for name, encoder in NAMES.items():
        assert find_encoder(FilmOptions(name), "h264")[0] == encoder
    assert find_encoder(FilmOptions(), "vp9")[0] == "libvpx-vp9"
    assert find_encoder(FilmOptions(), "h264")[1] == {"crf": "17", "preset": "medium"}
    assert find_encoder(FilmOptions("mpeg4"), "h264") == ("mpeg4", {})


def test_quality_is_given_by_the_codecs_own_scale_or_by_ours():
    def crf(**given):
        return find_encoder(FilmOptions(**given), "h264")[1]["crf"]

    assert crf(crf=20.5) == "20.5"
    assert crf(quality=100) == "0" and crf(quality=60) == "20"
    assert crf(quality=60, codec="av1") == "25"
    assert find_encoder(FilmOptions(quality=60, codec="ffv1"), "h264")[1] == {}


def test_presets_are_the_codecs_own():
    assert find_encoder(FilmOptions(preset="slow"), "h264")[1]["preset"] == "slow"
    assert find_encoder(FilmOptions("prores", preset="proxy"), "h264")[1] == {"profile": "proxy"}
    assert find_encoder(FilmOptions("vp9", preset="5"), "h264")[1]["cpu-used"] == "5"


@pytest.mark.parametrize(
    "options, told",
    [
        ({"codec": "xyz"}, "--codec xyz: PyAV has no such encoder; known: h264, hevc"),
        ({"codec": "aac"}, "--codec aac: is for audio"),
        ({"crf": 60}, r"--crf 60: h264 takes 0 \(best\) to 51"),
        ({"codec": "ffv1", "crf": 20}, "--crf 20: ffv1 has none"),
        ({"codec": "ffv1", "preset": "slow"}, "--preset slow: ffv1 has none"),
    ],
)
def test_mistakes_are_told(options, told):
    with pytest.raises(UserError, match=told):
        find_encoder(FilmOptions(**options), "h264")


@pytest.mark.parametrize(
    "encoder, source, expected",
    [
        ("libx264", Planes(), "yuv420p"),
        ("libx264", Planes(10), "yuv420p10le"),
        ("libx264", Planes(12, 2, 1), "yuv422p10le"),
        ("libx264", Planes(8, 1, 1), "yuv444p"),
        ("libx264", Planes(8, 4, 1), "yuv422p"),
        ("libx264", Planes(8, 1, 1, rgb=True), "yuv420p"),
        ("libx265", Planes(12), "yuv420p12le"),
        ("libsvtav1", Planes(10, 2, 1), "yuv420p10le"),
        ("libvpx-vp9", Planes(10), "yuv420p"),
        ("prores_ks", Planes(), "yuv422p10le"),
        ("ffv1", Planes(10), "yuv420p10le"),
        ("ffv1", Planes(8, 1, 1, rgb=True), "bgr0"),
    ],
)
def test_depth_and_chroma_are_kept_where_the_encoder_can(encoder, source, expected):
    name, planes = choose_planes(encoder, source)
    assert name == expected
    assert planes.rgb == (name == "bgr0")
    assert f"{planes.bits}le" in name or planes.bits == 8
