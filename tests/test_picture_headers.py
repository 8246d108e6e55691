"""Picture headers: files cut short, deeper than 8 bits a channel or too large are refused."""

import struct
import warnings

import numpy as np
import pytest
from pictures import chunk, complaint, encoded, noise, png, tiff
from PIL import Image

from jsr import images
from jsr.images import picture_size, read_picture, read_rgb


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_transparent_gray_of_a_png_becomes_alpha(bits):
    top = 2**bits - 1
    gray = np.arange(8) % (top + 1)
    packed = np.packbits(np.unpackbits(gray.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :])
    data = png(8, 1, bits, 0, [packed], before=chunk(b"tRNS", struct.pack(">H", 1)))
    picture = read_picture(data)
    np.testing.assert_array_equal(picture.pixels[0, :, 0], gray * 255 // top)
    np.testing.assert_array_equal(picture.alpha[0], np.where(gray == 1, 0, 255))


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
