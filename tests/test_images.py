"""Pictures: every mode there and back, metadata, and one clear line for each bad file."""

import errno
import gc
import io
import os
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from jsr import images
from jsr.errors import UserError
from jsr.images import Picture, encode_png, list_pictures, picture_size, read_picture, read_rgb
from jsr.images import write_picture as write

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LOSSLESS = [".png", ".tif", ".bmp"]


def noise(*shape):
    return np.random.default_rng(7).integers(0, 256, shape, np.uint8)


def smooth(*shape):
    ramp = np.add.outer(np.arange(shape[0]) * 3, np.arange(shape[1]) * 2)
    return (ramp[..., None] + np.array([10, 40, 70])[: shape[2]]).clip(0, 255).astype(np.uint8)


def encoded(image, form, **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, bits, color, rows, before=b"", after=b""):
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    body = chunk(b"IHDR", header) + before + chunk(b"IDAT", pixels) + after + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(width, height, bits, sample_format, data):
    """An uncompressed RGB TIFF, little-endian, with any sample type."""
    entries = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, 3, 134),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 146),
        (277, 3, 1, 3),
        (278, 3, 1, height),
        (279, 4, 1, len(data)),
        (339, 3, 3, 140),
    ]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + struct.pack("<I", 0)
    return head + struct.pack("<3H", *[bits] * 3) + struct.pack("<3H", *[sample_format] * 3) + data


def oriented(orientation, **others):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x0110] = "Camera"
    exif.get_ifd(0x8769)[0x9003] = "2024:01:02 03:04:05"
    for tag, value in others.items():
        exif[int(tag[1:])] = value
    return exif


def complaint(call, *arguments):
    with pytest.raises(UserError) as caught:
        call(*arguments)
    line = str(caught.value)
    assert "\n" not in line
    return line


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


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_transparent_gray_of_a_png_becomes_alpha(bits):
    top = 2**bits - 1
    gray = np.arange(8) % (top + 1)
    packed = np.packbits(np.unpackbits(gray.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :])
    data = png(8, 1, bits, 0, [packed], before=chunk(b"tRNS", struct.pack(">H", 1)))
    picture = read_picture(data)
    np.testing.assert_array_equal(picture.pixels[0, :, 0], gray * 255 // top)
    np.testing.assert_array_equal(picture.alpha[0], np.where(gray == 1, 0, 255))


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


def cmyk_profile(lightness):
    """An ICC profile of one lightness (0..255) and no colour, whatever C, M and Y; K is black."""
    curve = bytes(range(256))
    matrix = struct.pack(">9i", *[65536 * (i % 4 == 0) for i in range(9)])
    mesh = bytes([lightness, 128, 128, 0, 128, 128]) * 8
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + curve * 4 + mesh + curve * 3
    table += b"\0" * (-len(table) % 4)
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = struct.pack(">I4sII4sII", 2, b"A2B0", 156, len(table), b"wtpt", 156 + len(table), 20)
    size = 156 + len(table) + 20
    head = struct.pack(
        ">I4sI4s4s4s12s4s", size, b"", 0x02100000, b"prtr", b"CMYK", b"Lab ", b"", b"acsp"
    )
    head += struct.pack(">28s3i", b"", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + tags + table + white


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_goes_through_its_profile(form):
    image = (
        Image.fromarray(noise(8, 8, 4), "CMYK")
        if False
        else Image.new("CMYK", (8, 8), (0, 200, 30, 0))
    )
    picture = read_picture(encoded(image, form, icc_profile=cmyk_profile(128)))
    assert picture.icc is None
    # CIE L* = 50 is 119 in sRGB.
    np.testing.assert_allclose(picture.pixels, 119, atol=2)


@pytest.mark.parametrize("profile", [None, b"nonsense", SRGB])
def test_cmyk_without_a_usable_profile_is_converted_and_named(tmp_path, caplog, profile):
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    image.save(tmp_path / "ink.tif", icc_profile=profile)
    picture = read_picture(tmp_path / "ink.tif")
    np.testing.assert_array_equal(picture.pixels[0, 0], [255, 0, 0])
    assert picture.icc is None
    assert [str(tmp_path / "ink.tif") in r.getMessage() for r in caplog.records] == [True]


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


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(tmp_path, form, orientation):
    stored = smooth(16, 32, 3)
    rows, columns = slice(None, None, -1), slice(None, None, -1)
    upright = {
        1: stored,
        2: stored[:, columns],
        3: stored[rows, columns],
        4: stored[rows],
        5: stored.swapaxes(0, 1),
        6: stored[rows].swapaxes(0, 1),
        7: stored[rows, columns].swapaxes(0, 1),
        8: stored[:, columns].swapaxes(0, 1),
    }[orientation]
    data = encoded(Image.fromarray(stored), form, exif=oriented(orientation).tobytes())
    assert picture_size(data) == upright.shape[:2]
    picture = read_picture(data)
    assert np.abs(picture.pixels.astype(int) - upright).mean() < 3
    exif = Image.Exif()
    exif.load(picture.exif)
    assert exif.get(0x0112, 1) == 1
    assert exif[0x0110] == "Camera"
    assert exif.get_ifd(0x8769)[0x9003] == "2024:01:02 03:04:05"
    write(tmp_path / "again.png", picture)
    again = read_picture(tmp_path / "again.png")
    np.testing.assert_array_equal(again.pixels, picture.pixels)


def test_exif_behind_the_pixels_of_a_png_counts():
    exif = chunk(b"eXIf", oriented(6).tobytes()[6:])
    data = png(3, 2, 8, 0, [[1, 2, 3], [4, 5, 6]], after=exif)
    assert picture_size(data) == (3, 2)
    assert read_picture(data).pixels[..., 0].tolist() == [[4, 1], [5, 2], [6, 3]]


def test_a_tiff_turned_only_by_its_xmp_has_one_size():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'
    data = encoded(Image.fromarray(noise(4, 9, 3)), "TIFF", tiffinfo={700: xmp})
    assert picture_size(data) == read_picture(data).pixels.shape[:2] == (4, 9)


def test_exif_that_is_upright_already_is_kept_byte_for_byte():
    raw = oriented(1).tobytes() + b"maker's bytes"
    assert read_picture(encoded(Image.fromarray(noise(8, 8, 3)), "JPEG", exif=raw)).exif == raw


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("raw", [b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0garbage"])
def test_damaged_exif_does_not_cost_the_picture(raw):
    pixels = noise(8, 6, 3)
    data = encoded(Image.fromarray(pixels), "PNG", exif=raw)
    np.testing.assert_array_equal(read_picture(data).pixels, pixels)
    assert picture_size(data) == (8, 6)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_exif_that_a_format_cannot_hold_does_not_cost_the_picture(tmp_path, caplog):
    pixels = noise(8, 6, 3)
    huge = oriented(1, _270="x" * 70000).tobytes()
    for name, exif in [("a.jpg", huge), ("a.tif", b"Exif\0\0garbage")]:
        caplog.clear()
        write(tmp_path / name, Picture(pixels, None, None, None, exif))
        assert read_picture(tmp_path / name).exif is None
        assert name in caplog.text


def test_the_size_in_a_cameras_exif_does_not_size_a_tiff(tmp_path):
    exif = oriented(1, _256=4000, _257=3000, _259=6).tobytes()
    write(tmp_path / "a.tif", Picture(noise(5, 6, 3), None, None, None, exif))
    assert read_picture(tmp_path / "a.tif").pixels.shape == (5, 6, 3)


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


FORMS = {
    "png": ("PNG", {}),
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "webp": ("WEBP", {"lossless": True}),
    "tiff": ("TIFF", {}),
    "lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "bmp": ("BMP", {}),
    "gif": ("GIF", {}),
}


@pytest.mark.parametrize("kind", FORMS)
def test_no_cut_of_a_file_is_accepted(kind):
    form, options = FORMS[kind]
    data = encoded(Image.fromarray(noise(16, 12, 3)), form, **options)
    assert read_picture(data, "whole").pixels.shape == (16, 12, 3)
    # A GIF's last two bytes hold no pixels, and writers leave them out.
    last = len(data) - (2 if form == "GIF" else 0)
    for length in range(4, last, 7 if last > 400 else 1):
        line = complaint(read_picture, data[:length], "photo 3")
        assert line.startswith("photo 3: is cut short"), line
    complaint(read_picture, data[: last - 1], "photo 3")


def test_a_cut_file_is_named(tmp_path):
    data = encoded(Image.fromarray(noise(64, 64, 3)), "JPEG")
    (tmp_path / "half.jpg").write_bytes(data[: len(data) // 2])
    assert "half.jpg: is cut short" in complaint(read_rgb, tmp_path / "half.jpg")
    assert picture_size(tmp_path / "half.jpg") == (64, 64)


def deep_files():
    deep = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    jpeg = bytearray(encoded(Image.fromarray(noise(8, 8, 3)), "JPEG"))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 4] = 12
    return {
        "gray png": (16, encoded(Image.fromarray(deep), "PNG")),
        "rgb png": (16, png(1, 1, 16, 2, [range(6)])),
        "rgba png": (16, png(1, 1, 16, 6, [range(8)])),
        "gray tiff": (16, encoded(Image.fromarray(deep), "TIFF")),
        "int tiff": (32, encoded(Image.fromarray(deep.astype(np.int32)), "TIFF")),
        "float tiff": (32, encoded(Image.fromarray(deep.astype(np.float32)), "TIFF")),
        "rgb tiff": (16, tiff(2, 1, 16, 1, bytes(12))),
        "float rgb tiff": (32, tiff(2, 1, 32, 3, bytes(24))),
        "jpeg": (12, bytes(jpeg)),
    }


@pytest.mark.parametrize("kind", deep_files())
def test_more_than_8_bits_a_channel_is_refused(kind):
    bits, data = deep_files()[kind]
    for read in (read_picture, picture_size):
        line = complaint(read, data, "deep")
        assert f"deep: has {bits} bits a channel; expected 8" in line


def test_the_hand_made_tiff_is_sound_at_8_bits():
    assert read_rgb(tiff(2, 1, 8, 1, bytes(range(6)))).tolist() == [[[0, 1, 2], [3, 4, 5]]]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("width, height", [(2**14 + 1, 2**14), (2**20, 2**20), (2**31 - 1, 1)])
def test_a_header_that_claims_too_much_is_refused_before_decoding(width, height):
    for read in (read_picture, picture_size):
        line = complaint(read, png(width, height, 8, 2, [b""]), "bomb")
        assert "bomb: its header claims more than 268,435,456 pixels" in line


def test_a_header_at_the_limit_passes():
    assert images.MAX_PIXELS == 2**28
    assert picture_size(png(2**14, 2**14, 8, 2, [b""])) == (2**14, 2**14)


def test_pillow_does_not_warn_of_sizes_below_the_limit():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        picture_size(png(2**14, 2**14, 8, 2, [b""]))
    assert not caught


def test_a_command_prints_one_line_for_damaged_exif(tmp_path):
    directory = struct.pack("<HHHIII", 1, 0x010F, 2, 500, 9999, 0)
    data = encoded(
        Image.fromarray(noise(8, 8, 3)), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0" + directory
    )
    (tmp_path / "a.jpg").write_bytes(data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_picture(tmp_path / "a.jpg")
    assert caught, "Pillow finds nothing to warn of in this file"
    code = "import sys, jsr.images; jsr.images.read_picture(sys.argv[1])"
    command = [sys.executable, "-c", code, str(tmp_path / "a.jpg")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(run.stderr.splitlines()) <= 1
    assert "UserWarning" not in run.stderr


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


@pytest.mark.parametrize("name", ["a.gif", "a.xyz", "a"])
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
