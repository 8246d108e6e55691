"""Modes of pictures: inks by their profile or roughly, and 16 bits rounded to 8."""

import struct

import numpy as np
import pytest
from pictures import SRGB, encoded
from PIL import Image

from jsr.images import read_picture
from jsr.picture_modes import to_8_bits


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
def test_cmyk_goes_through_its_profile(caplog, form):
    image = Image.new("CMYK", (8, 8), (0, 200, 30, 0))
    picture = read_picture(encoded(image, form, icc_profile=cmyk_profile(128)))
    assert picture.icc is None
    assert "is CMYK; converted to sRGB by its ICC profile" in caplog.text
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


def test_16_bits_are_rounded_to_the_nearest_level():
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(to_8_bits(deep), np.rint(deep / 257).astype(np.uint8))
    assert to_8_bits(None) is None
