"""PNG and TIFF of 16 bits a channel, whose colours Pillow would cut to 8.

imagecodecs (libpng, and the compressions of TIFF) and tifffile decode; Pillow still reads and
writes what stands beside the pixels.
"""

import logging
import struct
import zlib
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from jsr.exif import upright_array
from jsr.picture_modes import cmyk_to_srgb, to_8_bits

FORMATS = ("PNG", "TIFF")
# Tags of TIFF, by the numbers of its specification.
WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS = 256, 257, 258, 259, 262, 273
SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR, EXTRA_SAMPLES = 277, 278, 279, 284, 338
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, ICC_PROFILE = 282, 283, 296, 34675
MAX_TIFF = 2**32 - 2**20
# Enlarged photographs are smooth: more takes twice the time and saves nothing.
PNG_LEVEL = 3
METRES_PER_INCH = 0.0254


def decode(
    image: Image.Image, stream: BinaryIO, turn: int, name: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Upright pixels, uint16 [h, w, 3 or 1], and alpha, uint16 [h, w] or None, of an opened file.

    turn: the EXIF orientation to apply. Inks come back as sRGB of 8 bits. Raises whatever the
    decoders do for a damaged file, ValueError for colours other than gray, RGB and CMYK.
    """
    stream.seek(0)
    if image.format == "TIFF":
        return _decode_tiff(image, stream, name)
    import imagecodecs

    array = imagecodecs.png_decode(stream.read())
    array = upright_array(array.reshape(*array.shape[:2], -1), turn)
    return _part(array, array.shape[2] % 2 == 0)


def encode_png(pixels: np.ndarray, alpha: np.ndarray | None, metadata: dict) -> bytes:
    """A PNG of uint8 or uint16 [h, w, 3 or 1] and alpha [h, w], without copies of the pixels.

    metadata: "dpi", "icc_profile" and "exif" as Pillow's writer takes them.
    """
    import imagecodecs

    png = imagecodecs.PNG
    data = imagecodecs.png_encode(
        np.ascontiguousarray(_join(pixels, alpha)),
        PNG_LEVEL,
        # Of photographs a third of the time of zlib's default, and a little smaller.
        strategy=png.STRATEGY.RLE,
        filter=png.FILTER.PAETH,
    )
    chunks = b""
    if profile := metadata.get("icc_profile"):
        chunks += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile))
    if dpi := metadata.get("dpi"):
        per_metre = (round(value / METRES_PER_INCH) for value in dpi)
        chunks += _chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1))
    if exif := metadata.get("exif"):
        chunks += _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    # Behind the header, which is the first chunk and of fixed size.
    return data[:33] + chunks + data[33:]


def encode_tiff(pixels: np.ndarray, alpha: np.ndarray | None, metadata: dict) -> bytes:
    """An uncompressed TIFF of uint16 [h, w, 3 or 1] and alpha [h, w]; gray with alpha becomes RGB.

    metadata: "dpi", "icc_profile", and "exif" as `PIL.Image.Exif`. Raises ValueError for what
    exceeds a TIFF's 4 GB.
    """
    if alpha is not None and pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    array = np.ascontiguousarray(_join(pixels, alpha)).astype("<u2", copy=False)
    if array.nbytes > MAX_TIFF:
        raise ValueError("more than the 4 GB that a TIFF holds")
    height, width, samples = array.shape
    tags = ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    for tag, value in (metadata.get("exif") or {}).items():
        tags[tag] = value
    tags[WIDTH], tags[LENGTH], tags[SAMPLES] = width, height, samples
    tags[BITS], tags[COMPRESSION], tags[PLANAR] = (16,) * samples, 1, 1
    tags[PHOTOMETRIC] = 2 if samples > 2 else 1
    if alpha is not None:
        tags[EXTRA_SAMPLES] = (2,)
    tags[STRIP_OFFSETS], tags[ROWS_PER_STRIP], tags[STRIP_BYTES] = (0,), height, array.nbytes
    if dpi := metadata.get("dpi"):
        tags[X_RESOLUTION], tags[Y_RESOLUTION], tags[RESOLUTION_UNIT] = *dpi, 2
    if profile := metadata.get("icc_profile"):
        tags[ICC_PROFILE] = profile
    stream = BytesIO()
    # The strip's offset is counted from the end of the tags.
    tags.save(stream)
    stream.write(array.data)
    return stream.getvalue()


def _decode_tiff(image, stream, name) -> tuple[np.ndarray, np.ndarray | None]:
    import tifffile

    # It reports each damaged tag there, and raises for what matters.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(stream) as file:
        page = file.pages.first
        kind = page.photometric.name
        if kind not in ("MINISBLACK", "MINISWHITE", "RGB", "SEPARATED"):
            raise ValueError(f"its colours are of the kind {kind}")
        if page.dtype != np.uint16:
            raise ValueError(f"its samples are of the type {page.dtype}")
        array = page.asarray().astype(np.uint16, copy=False)
        if page.axes.startswith("S"):
            array = np.moveaxis(array, 0, -1)
        extra = tuple(int(sample) for sample in page.extrasamples)
    # Pillow knows of the orientation from the tags, and applies it to its own pixels alone.
    array = upright_array(array.reshape(*array.shape[:2], -1), image.getexif().get(274, 1))
    inks = kind == "SEPARATED"
    count = 4 if inks else 3 if kind == "RGB" else 1
    # What is beyond the colours is alpha only where the file says so: 1 premultiplied, 2 not.
    transparent = extra[:1] in ((1,), (2,))
    pixels, alpha = _part(array[..., : count + transparent], transparent)
    if kind == "MINISWHITE":
        pixels = 65535 - pixels
    if inks:
        ink = Image.fromarray(to_8_bits(pixels), "CMYK")
        pixels = np.asarray(cmyk_to_srgb(ink, image.info.get("icc_profile"), name))
        return pixels, to_8_bits(alpha)
    if extra[:1] == (1,):
        pixels = _straighten(pixels, alpha)
    return np.ascontiguousarray(pixels), alpha


def _straighten(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Premultiplied uint16 colours as straight ones."""
    straight = pixels.astype(np.float64) * 65535 / np.maximum(alpha, 1)[..., None]
    return np.clip(np.rint(straight), 0, 65535).astype(np.uint16)


def _part(array: np.ndarray, transparent: bool) -> tuple[np.ndarray, np.ndarray | None]:
    if not transparent:
        return np.ascontiguousarray(array), None
    return np.ascontiguousarray(array[..., :-1]), array[..., -1].copy()


def _join(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    return pixels if alpha is None else np.dstack([pixels, alpha])


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
