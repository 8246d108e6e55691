"""Formats: what each keeps and loses, quality, animations, AVIF and HEIC."""

import builtins
import dataclasses

import numpy as np
import pytest
from pictures import SRGB, complaint, encoded, noise, oriented, smooth
from PIL import Image

from jsr.errors import UserError
from jsr.images import Picture, picture_size, read_animation, read_picture, write_picture
from jsr.picture_formats import Animation, encode, encode_animation


def plain(pixels, alpha=None):
    return Picture(pixels, alpha, None, None, None)


@pytest.mark.parametrize("suffix", [".avif", ".heic"])
def test_avif_and_heic_there_and_back(tmp_path, suffix):
    if suffix == ".heic":
        pytest.importorskip("pillow_heif")
    alpha = np.full((40, 32), 255, np.uint8)
    alpha[:20] = 0
    picture = Picture(smooth(40, 32, 3), alpha, SRGB, None, oriented(1).tobytes())
    write_picture(tmp_path / f"a{suffix}", picture)
    assert picture_size(tmp_path / f"a{suffix}") == (40, 32)
    again = read_picture(tmp_path / f"a{suffix}")
    assert np.abs(again.pixels.astype(int) - picture.pixels)[20:].mean() < 2
    assert np.abs(again.alpha.astype(int) - alpha).max() < 3
    assert again.icc == SRGB
    exif = Image.Exif()
    exif.load(again.exif)
    assert exif[0x0110] == "Camera"
    data = (tmp_path / f"a{suffix}").read_bytes()
    for length in (40, len(data) // 2, len(data) - 8):
        assert "half: is cut short" in complaint(read_picture, data[:length], "half")


def test_the_orientation_of_an_avif_is_applied_once():
    data = encoded(Image.fromarray(smooth(16, 32, 3)), "AVIF", exif=oriented(6).tobytes())
    assert picture_size(data) == read_picture(data).pixels.shape[:2]
    again = read_picture(encode(read_picture(data), "AVIF", "a"))
    np.testing.assert_allclose(again.pixels, read_picture(data).pixels, atol=12)


def test_an_avif_of_10_bits_is_read_with_a_warning(caplog):
    import imagecodecs

    deep = np.full((16, 16, 3), 512, np.uint16)
    picture = read_picture(imagecodecs.avif_encode(deep, bitspersample=10), "hdr")
    np.testing.assert_allclose(picture.pixels, 128, atol=2)
    assert "hdr: has 10 bits a channel; read as 8" in caplog.text


def test_heic_without_its_library_is_told(monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name == "pillow_heif":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr("importlib.import_module", lambda name: absent(name))
    head = b"\0\0\0\x1cftypheic" + bytes(40)
    assert "a.heic: HEIC needs pillow-heif" in complaint(read_picture, head, "a.heic")
    assert "needs pillow-heif" in complaint(encode, plain(noise(4, 4, 3)), "HEIF", "a.heic")


def test_quality_is_of_the_formats_that_lose():
    picture = plain(noise(32, 32, 3))
    for form in ("JPEG", "WEBP", "AVIF"):
        low, default, high = (len(encode(picture, form, "a", q)) for q in (10, None, 100))
        assert low < default < high
    assert encode(picture, "PNG", "a", 10) == encode(picture, "PNG", "a")


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "BMP", "GIF", "AVIF"])
def test_16_bits_are_rounded_with_a_warning_where_a_format_has_8(caplog, form):
    deep = np.repeat(np.array([0, 128, 129, 32896, 65535], np.uint16), 64).reshape(-1, 8, 1)
    picture = read_picture(encode(plain(deep, deep[..., 0]), form, "deep"))
    assert "deep: " in caplog.text and "rounded from 16" in caplog.text
    if form == "BMP":  # on white
        levels = deep[..., 0] // 257 + (deep[..., 0] % 257 > 128)
        np.testing.assert_array_equal(
            picture.pixels[..., 0], (levels * levels + 255 * (255 - levels) + 127) // 255
        )


def test_a_gif_has_256_colours_and_transparency():
    pixels = np.repeat(noise(8, 8, 1) % 16 * 16, 3, axis=2)
    alpha = np.full((8, 8), 255, np.uint8)
    alpha[2:4] = 0
    picture = read_picture(encode(plain(pixels, alpha), "GIF", "a"))
    np.testing.assert_array_equal(picture.alpha, alpha)
    np.testing.assert_allclose(picture.pixels[4:], pixels[4:, :, : picture.pixels.shape[2]], atol=8)


def animation(**options):
    frames = [Image.new("RGB", (12, 8), color) for color in ("red", "blue", "lime")]
    return {"save_all": True, "append_images": frames[1:], "duration": [50, 100, 70]}, frames[0]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "AVIF"])
def test_animations_are_read_and_written(form):
    options, first = animation()
    data = encoded(first, form, loop=0, **options)
    assert read_picture(data).first_of_several
    read = read_animation(data)
    written = encode_animation(iter(read.frames), read, form, "film", None)
    for shown in (read, read_animation(written)):
        assert shown.milliseconds == [50, 100, 70]
        assert shown.loop in (0, None)
        for frame, color in zip(shown.frames, [(255, 0, 0), (0, 0, 255), (0, 255, 0)], strict=True):
            np.testing.assert_allclose(frame.pixels[4, 6], color, atol=12)


def test_a_still_picture_is_an_animation_of_one():
    data = encoded(Image.fromarray(noise(6, 5, 3)), "PNG")
    assert not read_picture(data).first_of_several
    assert len(read_animation(data).frames) == 1


def test_transparent_frames_do_not_show_what_was_before():
    alpha = np.zeros((8, 8), np.uint8)
    alpha[:4] = 255
    red = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    frames = [plain(red, alpha), plain(red, alpha[::-1].copy())]
    data = encode_animation(frames, Animation(frames, [50.0, 50.0], 0), "GIF", "a", None)
    np.testing.assert_array_equal(read_animation(data).frames[1].alpha, alpha[::-1])


def test_formats_of_one_frame_are_refused_and_too_many_pixels():
    frames = [plain(noise(4, 4, 3))]
    with pytest.raises(UserError, match="JPEG holds one frame; write GIF"):
        encode_animation(frames, Animation(frames, [50.0], 0), "JPEG", "a.jpg", None)
    options, first = animation()
    data = encoded(first, "GIF", **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 3 * 12 * 8 - 1)
        assert "claims more than 287 pixels" in complaint(read_animation, data, "film")


def test_metadata_does_not_make_a_picture_several():
    picture = dataclasses.replace(plain(noise(4, 4, 3)), icc=SRGB)
    assert not read_picture(encode(picture, "TIFF", "a")).first_of_several
