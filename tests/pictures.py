"""Picture files made for the tests, byte by byte where no writer makes them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from jsr.errors import UserError

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


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


def texture(height, width, down=0.0, right=0.0):
    """[1, h, w, 3] in [0, 1]: waves of 5 to 40 pixels, seen from so far down and to the right.

    Their directions and colours differ, so that they look alike nowhere near.
    """
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(0)
    picture = np.zeros((height, width, 3))
    for length in (5, 7, 11, 17, 27, 40):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        along = (y + down) * np.sin(angle) + (x + right) * np.cos(angle)
        picture += np.sin(2 * np.pi * along / length + phase)[..., None] * rng.uniform(0, 1, 3)
    return (0.5 + picture[None] / 7.6).astype(np.float32)
