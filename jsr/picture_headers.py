"""What a picture file's header says that Pillow does not: bits a channel, PNG chunks."""

import os
import struct
from typing import BinaryIO

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

# The frame headers of JPEG; of the range, C4, C8 and CC mark something else.
JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx")
HEIF_BRANDS = (*HEIC_BRANDS, b"avif", b"avis", b"mif1", b"msf1")
HEIF_HEAD = 2**16


def bits_per_channel(head: bytes, stream: BinaryIO) -> int:
    """The bits a channel that a header states; Pillow cuts 16-bit colour to 8 without a word."""
    if is_png(head):
        return head[24]
    if head.startswith(b"\xff\xd8"):
        return _jpeg_bits(stream)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0"):
        return _tiff_bits(head, stream)
    if is_heif(head):
        return _heif_bits(stream)
    return 8


def is_heif(head: bytes) -> bool:
    """Whether a file starts as AVIF and HEIC do."""
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


def is_heic(head: bytes) -> bool:
    """Whether a file says that its picture is coded as HEIC's are."""
    return is_heif(head) and any(brand in head[8:32] for brand in HEIC_BRANDS)


def is_png(head: bytes) -> bool:
    """Whether the first 32 bytes of a file hold the header of a PNG."""
    return head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR" and len(head) == 32


def check_png(image: Image.Image, bits: int, stream: BinaryIO) -> None:
    """Refuse a PNG without its end, find late EXIF, and mend the transparent gray of 2 or 4 bits.

    Pillow takes a PNG for whole once it has every row, reads EXIF behind the pixels only with
    them, and spreads grays of 2 and 4 bits over 0..255 but not the transparent one.
    """
    chunks = _png_chunks(stream)
    if b"IEND" not in chunks:
        raise EOFError("its end is missing")
    if "exif" not in image.info and b"eXIf" in chunks:
        stream.seek(chunks[b"eXIf"])
        length, _ = struct.unpack(">I4s", stream.read(8))
        image.info["exif"] = b"Exif\0\0" + stream.read(length)
    if image.mode == "L" and isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= 255 // (2**bits - 1)


def _jpeg_bits(stream: BinaryIO) -> int:
    stream.seek(2)
    while len(segment := stream.read(5)) == 5 and segment[0] == 0xFF:
        _, marker, length, bits = struct.unpack(">BBHB", segment)
        if marker in JPEG_FRAMES:
            return bits
        stream.seek(length - 3, os.SEEK_CUR)
    return 8


def _tiff_bits(head: bytes, stream: BinaryIO) -> int:
    directory = ImageFileDirectory_v2(head[:16] if head[2] == 43 else head[:8])
    stream.seek(directory.next)
    directory.load(stream)
    return max(directory.get(ExifTags.Base.BitsPerSample, (1,)))


def _heif_bits(stream: BinaryIO) -> int:
    """Of the first property that states them; all come before the pixels."""
    stream.seek(0)
    start = stream.read(HEIF_HEAD)
    place = start.find(b"pixi")
    # After the name: version and flags, the number of channels, the bits of each.
    return start[place + 9] if 0 <= place < len(start) - 9 else 8


def _png_chunks(stream: BinaryIO) -> dict[bytes, int]:
    """The kinds of whole chunks in a PNG file and where the last of each starts."""
    size = stream.seek(0, os.SEEK_END)
    chunks, start = {}, 8
    while start + 12 <= size and b"IEND" not in chunks:
        stream.seek(start)
        length, kind = struct.unpack(">I4s", stream.read(8))
        if start + 12 + length <= size:
            chunks[kind] = start
        start += 12 + length
    return chunks
