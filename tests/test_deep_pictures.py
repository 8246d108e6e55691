"""16 bits a channel: PNG and TIFF there and back with all that they hold, and damage told."""

import io
import struct

import numpy as np
import pytest
import tifffile
from pictures import SRGB, chunk, complaint, encoded, noise, oriented, png, tiff
from PIL import Image

from jsr.images import Picture, picture_size, read_picture
from jsr.images import write_picture as write

RGB = (noise(9, 7, 3).astype(np.uint16) << 8) + noise(7, 9, 3).swapaxes(0, 1)


def tiff_file(array, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("transparent", [False, True])
def test_pixels_and_alpha_survive(tmp_path, suffix, channels, transparent):
    pixels, alpha = RGB[..., :channels], RGB[..., 1] if transparent else None
    write(tmp_path / f"a{suffix}", Picture(pixels, alpha, None, None, None))
    assert picture_size(tmp_path / f"a{suffix}", max_bits=16) == (9, 7)
    again = read_picture(tmp_path / f"a{suffix}", max_bits=16)
    assert again.pixels.dtype == np.uint16
    if (suffix, channels, transparent) == (".tif", 1, True):
        pixels = np.repeat(pixels, 3, axis=2)
    np.testing.assert_array_equal(again.pixels, pixels)
    assert (again.alpha is None) == (not transparent)
    if transparent:
        np.testing.assert_array_equal(again.alpha, alpha)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_metadata_survives(tmp_path, suffix):
    source = Picture(RGB, None, SRGB, (300.0, 150.0), oriented(1).tobytes())
    write(tmp_path / f"a{suffix}", source)
    again = read_picture(tmp_path / f"a{suffix}", max_bits=16)
    assert again.icc == SRGB
    assert again.dpi == pytest.approx((300, 150), abs=0.02)
    exif = Image.Exif()
    exif.load(again.exif)
    assert exif[0x0110] == "Camera"
    assert exif.get_ifd(0x8769)[0x9003] == "2024:01:02 03:04:05"
    with Image.open(tmp_path / f"a{suffix}") as image:  # another reader takes the file as well
        image.load()
        assert image.size == (7, 9)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_as_to_8_bits(tmp_path, orientation):
    exif = oriented(orientation).tobytes()
    eight = encoded(Image.fromarray((RGB >> 8).astype(np.uint8)), "PNG", exif=exif)
    write(tmp_path / "a.png", Picture(RGB, None, None, None, exif))
    deep = read_picture(tmp_path / "a.png", max_bits=16)
    np.testing.assert_array_equal(deep.pixels >> 8, read_picture(eight).pixels)
    data = tiff_file(RGB, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    np.testing.assert_array_equal(read_picture(data, max_bits=16).pixels, deep.pixels)
    assert picture_size(data, max_bits=16) == deep.pixels.shape[:2]


def test_the_transparent_colour_of_a_png_becomes_alpha():
    rows = [struct.pack(">6H", 1, 2, 3, 60000, 5, 6)]
    data = png(2, 1, 16, 2, rows, before=chunk(b"tRNS", struct.pack(">3H", 1, 2, 3)))
    picture = read_picture(data, max_bits=16)
    assert picture.pixels.tolist() == [[[1, 2, 3], [60000, 5, 6]]]
    assert picture.alpha.tolist() == [[0, 65535]]


KINDS = {
    "lzw": {"photometric": "rgb", "compression": "lzw"},
    "deflate": {"photometric": "rgb", "compression": "zlib", "predictor": 2},
    "tiles": {"photometric": "rgb", "tile": (16, 16)},
    "big-endian": {"photometric": "rgb", "byteorder": ">"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_tiffs_of_other_programs(kind):
    picture = read_picture(tiff_file(RGB, **KINDS[kind]), max_bits=16)
    np.testing.assert_array_equal(picture.pixels, RGB)
    assert picture.pixels.dtype == np.uint16 and picture.pixels.dtype.isnative


def test_tiffs_of_other_layouts():
    planes = tiff_file(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(read_picture(planes, max_bits=16).pixels, RGB)
    negative = tiff_file(RGB[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(
        read_picture(negative, max_bits=16).pixels[..., 0], 65535 - RGB[..., 0]
    )
    half = np.full((4, 4), 32768, np.uint16)
    colours = np.dstack([np.full((4, 4, 3), 16384, np.uint16), half])
    premultiplied = tiff_file(colours, photometric="rgb", extrasamples=["assocalpha"])
    picture = read_picture(premultiplied, max_bits=16)
    np.testing.assert_allclose(picture.pixels, 32768, atol=1)
    np.testing.assert_array_equal(picture.alpha, half)


def test_inks_become_srgb_of_8_bits(caplog):
    inks = np.zeros((4, 4, 4), np.uint16)
    inks[..., 1:3] = 65535
    picture = read_picture(tiff_file(inks, photometric="separated"), "ink", max_bits=16)
    assert picture.pixels.dtype == np.uint8 and picture.pixels[0, 0].tolist() == [255, 0, 0]
    assert "ink: CMYK" in caplog.text


def test_other_samples_are_refused():
    for data in (tiff(2, 1, 16, 3, bytes(12)), tiff(2, 1, 16, 2, bytes(12))):  # float, signed
        complaint(read_picture, data, "odd", 16)
    line = complaint(read_picture, tiff(2, 1, 32, 3, bytes(24)), "deep", 16)
    assert "deep: has 32 bits a channel; expected 8, or 16 in PNG and TIFF" in line


@pytest.mark.parametrize("kind", ["png", "tiff", *KINDS])
def test_no_cut_of_a_file_is_accepted(tmp_path, kind):
    if kind in KINDS:
        data = tiff_file(RGB, metadata=None, **KINDS[kind])
    else:
        write(tmp_path / f"a.{kind}", Picture(RGB, None, None, None, None))
        data = (tmp_path / f"a.{kind}").read_bytes()
    last = len(data)
    if kind == "tiles":  # what pads the picture to whole tiles is zero
        last = len(data.rstrip(b"\0"))
    for length in range(4, last, 7):
        line = complaint(read_picture, data[:length], "photo 3", 16)
        assert line.startswith("photo 3: is cut short"), line
    # LZW's last code only says that it is the last.
    complaint(read_picture, data[: last - (2 if kind == "lzw" else 1)], "photo 3", 16)
