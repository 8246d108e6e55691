"""Pictures: every mode there and back, metadata, and one clear line for each bad file."""

import errno
import gc
import os
import warnings

import numpy as np
import pytest
from pictures import SRGB, complaint, encoded, noise, oriented, smooth
from PIL import Image

from jsr import images
from jsr.images import Picture, encode_png, list_pictures, picture_size, read_picture, read_rgb
from jsr.images import write_picture as write

LOSSLESS = [".png", ".tif", ".bmp"]


# ---- modes


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_formats_return_the_pixels(tmp_path, suffix, channels):
    pixels = noise(13, 9, channels)
    write(tmp_path / f"a{suffix}", Picture(pixels, None, None, None, None))
    picture = read_picture(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(picture.pixels, pixels)
    assert picture.pixels.dtype == np.uint8
    assert picture.alpha is None
    assert picture_size(tmp_path / f"a{suffix}") == (13, 9)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_and_the_colours_under_it_survive(tmp_path, suffix, channels):
    pixels, alpha = noise(6, 5, channels), noise(6, 5)
    write(tmp_path / f"a{suffix}", Picture(pixels, alpha, None, None, None))
    picture = read_picture(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(picture.pixels, pixels)
    np.testing.assert_array_equal(picture.alpha, alpha)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".webp"])
def test_lossy_formats_come_close(tmp_path, suffix):
    pixels = smooth(40, 30, 3)
    write(tmp_path / f"a{suffix}", Picture(pixels, None, None, None, None))
    got = read_picture(tmp_path / f"a{suffix}").pixels
    assert np.abs(got.astype(int) - pixels).mean() < 2


def test_webp_keeps_alpha_exactly(tmp_path):
    alpha = noise(20, 20)
    write(tmp_path / "a.webp", Picture(smooth(20, 20, 3), alpha, None, None, None))
    np.testing.assert_array_equal(read_picture(tmp_path / "a.webp").alpha, alpha)


def test_jpeg_is_gray_for_gray_and_full_chroma_for_colour(tmp_path):
    write(tmp_path / "gray.jpg", Picture(smooth(16, 16, 1), None, None, None, None))
    assert read_picture(tmp_path / "gray.jpg").pixels.shape == (16, 16, 1)
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[:, ::2, 0], stripes[:, 1::2, 2] = 255, 255
    write(tmp_path / "colour.jpg", Picture(stripes, None, None, None, None))
    got = read_rgb(tmp_path / "colour.jpg").astype(int)
    assert (got[:, ::2, 0] - got[:, 1::2, 0]).min() > 200


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "GIF"])
def test_one_bit_pictures_are_black_and_white(form):
    bits = noise(5, 7) > 127
    picture = read_picture(encoded(Image.fromarray(bits), form))
    np.testing.assert_array_equal(picture.pixels[..., 0], np.where(bits, 255, 0))
    assert picture.pixels.shape == (5, 7, 1)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "GIF"])
def test_palettes_give_their_colours(form):
    indices = noise(8, 8) % 16
    table = noise(16, 3)
    image = Image.fromarray(indices)
    image.putpalette(table.tobytes())
    assert image.mode == "P"
    picture = read_picture(encoded(image, form))
    np.testing.assert_array_equal(picture.pixels, table[indices])
    assert picture.alpha is None


def test_a_palette_of_grays_stays_gray():
    indices = noise(8, 8) % 16
    table = np.repeat(noise(16)[:, None], 3, axis=1)
    image = Image.fromarray(indices)
    image.putpalette(table.tobytes())
    pixels = read_picture(encoded(image, "PNG")).pixels
    np.testing.assert_array_equal(pixels, table[indices][..., :1])
    transparent = read_picture(encoded(image, "PNG", transparency=bytes(range(16))))
    np.testing.assert_array_equal(transparent.pixels, table[indices][..., :1])
    np.testing.assert_array_equal(transparent.alpha, indices)


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_a_transparent_palette_entry_becomes_alpha(form):
    indices = noise(8, 8) % 4
    table = noise(4, 3)
    image = Image.fromarray(indices)
    image.putpalette(table.tobytes())
    picture = read_picture(encoded(image, form, transparency=2))
    np.testing.assert_array_equal(picture.alpha, np.where(indices == 2, 0, 255))
    np.testing.assert_array_equal(picture.pixels[indices != 2], table[indices[indices != 2]])


def test_the_transparent_colour_of_a_png_becomes_alpha():
    pixels = noise(4, 4, 3)
    pixels[1, 2] = pixels[3, 3] = 9, 8, 7
    picture = read_picture(encoded(Image.fromarray(pixels), "PNG", transparency=(9, 8, 7)))
    expected = np.full((4, 4), 255)
    expected[1, 2] = expected[3, 3] = 0
    np.testing.assert_array_equal(picture.alpha, expected)
    np.testing.assert_array_equal(picture.pixels, pixels)


def test_ycbcr_and_lab_tiff_become_rgb():
    pixels = smooth(16, 16, 3)
    for mode in ("YCbCr", "LAB"):
        picture = read_picture(encoded(Image.fromarray(pixels).convert(mode), "TIFF"))
        assert np.abs(picture.pixels.astype(int) - pixels).mean() < 2
    assert read_picture(encoded(Image.fromarray(pixels), "JPEG")).pixels.shape == (16, 16, 3)


@pytest.mark.parametrize("form", ["GIF", "TIFF", "WEBP", "PNG", "MPO"])
def test_the_first_frame_is_read(form):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    options = {"lossless": True} if form == "WEBP" else {}
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_allclose(read_rgb(data)[0, 0], [255, 0, 0], atol=1)


def test_read_rgb_repeats_gray_and_composites_on_white(tmp_path):
    gray = noise(5, 4, 1)
    write(tmp_path / "gray.png", Picture(gray, None, None, None, None))
    np.testing.assert_array_equal(read_rgb(tmp_path / "gray.png"), np.repeat(gray, 3, axis=2))
    pixels, alpha = noise(64, 64, 3), noise(64, 64)
    alpha[0, 0], alpha[0, 1] = 0, 255
    write(tmp_path / "clear.png", Picture(pixels, alpha, None, None, None))
    rgb = read_rgb(tmp_path / "clear.png")
    weight = alpha[..., None] / 255
    np.testing.assert_array_equal(rgb, np.rint(pixels * weight + 255 * (1 - weight)))
    assert rgb[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(rgb[0, 1], pixels[0, 1])
    assert rgb.dtype == np.uint8


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_formats_without_alpha_get_white_and_a_warning(tmp_path, caplog, suffix):
    red = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    write(tmp_path / f"a{suffix}", Picture(red, np.full((8, 8), 255, np.uint8), None, None, None))
    assert not caplog.records
    write(tmp_path / f"a{suffix}", Picture(red, np.zeros((8, 8), np.uint8), None, None, None))
    assert read_rgb(tmp_path / f"a{suffix}").min() == 255
    assert [f"a{suffix}" in record.getMessage() for record in caplog.records] == [True]


def test_encode_png_is_lossless():
    for channels in (1, 3):
        pixels = noise(7, 5, channels)
        np.testing.assert_array_equal(read_picture(encode_png(pixels)).pixels, pixels)


# ---- metadata


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_metadata_survives(tmp_path, suffix):
    source = Picture(smooth(16, 24, 3), None, SRGB, (300.0, 150.0), oriented(1).tobytes())
    write(tmp_path / f"a{suffix}", source)
    picture = read_picture(tmp_path / f"a{suffix}")
    assert picture.icc == SRGB
    if suffix != ".webp":
        assert picture.dpi == pytest.approx((300, 150), abs=0.02)
    exif = Image.Exif()
    exif.load(picture.exif)
    assert exif[0x0110] == "Camera"
    assert exif.get_ifd(0x8769)[0x9003] == "2024:01:02 03:04:05"


def test_bmp_keeps_dpi_alone(tmp_path):
    write(tmp_path / "a.bmp", Picture(noise(4, 4, 3), None, SRGB, (200.0, 100.0), None))
    picture = read_picture(tmp_path / "a.bmp")
    assert picture.dpi == pytest.approx((200, 100), abs=0.02)
    assert picture.icc is None


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_absent_metadata_is_none(tmp_path, suffix):
    write(tmp_path / f"a{suffix}", Picture(noise(4, 4, 3), None, None, None, None))
    plain = read_picture(tmp_path / f"a{suffix}")
    assert (plain.icc, plain.dpi, plain.exif, plain.alpha) == (None, None, None, None)


def test_a_profile_for_other_channels_is_left_out(tmp_path, caplog):
    write(tmp_path / "gray.png", Picture(noise(5, 6, 1), None, SRGB, None, None))
    assert read_picture(tmp_path / "gray.png").icc is None
    assert "gray.png" in caplog.text


# ---- bad files


def test_missing_folder_and_empty_file(tmp_path):
    (tmp_path / "empty.png").touch()
    for read in (read_picture, read_rgb, picture_size):
        assert "gone.png: no such file" in complaint(read, tmp_path / "gone.png")
        assert f"{tmp_path}: is a folder" in complaint(read, tmp_path)
        assert "empty.png: is empty" in complaint(read, tmp_path / "empty.png")
        assert "under" in complaint(read, tmp_path / "empty.png" / "under.png")


@pytest.mark.parametrize("content", [b"just text\n", b"%PDF-1.7 ...", b"\0" * 100, b"x"])
def test_what_is_no_picture(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    for read in (read_picture, picture_size):
        line = complaint(read, tmp_path / "a.jpg")
        assert "a.jpg: is not a picture" in line
        assert "PNG, JPEG, WEBP" in line


def test_a_format_outside_the_list_is_refused():
    assert "not a picture that can be read" in complaint(
        read_picture, encoded(Image.new("RGB", (4, 4)), "PPM")
    )


def test_files_are_closed(tmp_path):
    write(tmp_path / "a.tif", Picture(noise(8, 8, 3), None, None, None, None))
    (tmp_path / "b.png").write_bytes(b"nothing")
    opened = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_picture(tmp_path / "a.tif")
        picture_size(tmp_path / "a.tif")
        complaint(read_picture, tmp_path / "b.png")
        gc.collect()
    assert not [w for w in caught if issubclass(w.category, ResourceWarning)]
    if opened:
        assert len(os.listdir("/proc/self/fd")) == len(opened)


# ---- writing


def test_parents_are_made_and_nothing_else_is_left(tmp_path):
    target = tmp_path / "one" / "two" / "a.png"
    write(target, Picture(noise(4, 4, 3), None, None, None, None))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [target]


@pytest.mark.parametrize("name", ["a.jxl", "a.xyz", "a"])
def test_an_unknown_output_suffix_names_those_that_work(tmp_path, name):
    line = complaint(write, tmp_path / name, Picture(noise(4, 4, 3), None, None, None, None))
    assert name in line
    assert ".png" in line
    assert not list(tmp_path.iterdir())


def test_unwritable_targets(tmp_path):
    picture = Picture(noise(4, 4, 3), None, None, None, None)
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    for target in ("file/a.png", "file/b/a.png", "folder.png", "x" * 300 + ".png"):
        assert "cannot be written" in complaint(write, tmp_path / target, picture)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.png"]


@pytest.mark.parametrize(
    "error, words",
    [(OSError(errno.ENOSPC, "full"), "no space left"), (PermissionError(13, "no"), "cannot be")],
)
def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch, error, words):
    def fail(*_):
        raise error

    old, new = noise(4, 4, 3), np.zeros((4, 4, 3), np.uint8)
    write(tmp_path / "a.png", Picture(old, None, None, None, None))
    monkeypatch.setattr(images.os, "replace", fail)
    line = complaint(write, tmp_path / "a.png", Picture(new, None, None, None, None))
    assert "a.png" in line
    assert words in line
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), old)


def test_an_interrupt_removes_the_temporary_file(tmp_path, monkeypatch):
    def interrupt(*_):
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(images.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.png", Picture(noise(4, 4, 3), None, None, None, None))
    assert not list(tmp_path.iterdir())


def test_a_side_that_a_format_cannot_hold(tmp_path):
    picture = Picture(np.zeros((1, 70000, 3), np.uint8), None, None, None, None)
    for suffix in (".webp", ".jpg"):
        assert "pixels a side" in complaint(write, tmp_path / f"a{suffix}", picture)
    write(tmp_path / "a.png", picture)


# ---- listing


def test_list_pictures_is_recursive_sorted_and_skips_hidden(tmp_path):
    kept = ["B.PNG", "a.jpg", "sub/deep/c.TiFf", "sub/z.webp", "sub-2/x.gif"]
    skipped = [".hidden.png", ".dir/a.png", "sub/.git/b.png", "notes.txt", "png"]
    for name in kept + skipped:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in list_pictures(tmp_path)]
    assert found == sorted(kept)


def test_list_pictures_in_a_hidden_folder_that_was_asked_for(tmp_path):
    (tmp_path / ".photos").mkdir()
    (tmp_path / ".photos" / "a.png").touch()
    assert list_pictures(tmp_path / ".photos") == [tmp_path / ".photos" / "a.png"]


def test_list_pictures_names_what_is_wrong(tmp_path):
    (tmp_path / "a.txt").touch()
    assert "no such folder" in complaint(list_pictures, tmp_path / "gone")
    assert "is a file" in complaint(list_pictures, tmp_path / "a.txt")
    line = complaint(list_pictures, tmp_path)
    assert all(suffix in line for suffix in images.SUFFIXES)
