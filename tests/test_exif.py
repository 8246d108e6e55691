"""EXIF: the orientation applied once, the rest kept, and damage that costs no picture."""

import struct
import subprocess
import sys
import warnings

import numpy as np
import pytest
from pictures import chunk, encoded, noise, oriented, png, smooth
from PIL import Image

from jsr.images import Picture, picture_size, read_picture
from jsr.images import write_picture as write


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
