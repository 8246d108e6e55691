"""Pictures as files: reading and writing with their metadata, and every error line about a file.

Reads PNG, JPEG, WebP, TIFF, BMP, GIF, AVIF and (with pillow-heif) HEIC; of several frames or pages
the first, or all. 8 bits a channel, in PNG and TIFF also 16.
"""

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from absl import logging
from PIL import Image, UnidentifiedImageError

from jsr import deep_pictures
from jsr.errors import UserError
from jsr.exif import exif_of, orientation, upright
from jsr.picture_formats import (
    ANIMATED,
    READABLE,
    WRITERS,
    Animation,
    Picture,
    encode,
    encode_animation,
    encode_png,
    load_heif,
)
from jsr.picture_headers import bits_per_channel, check_png, is_heic, is_heif, is_png
from jsr.picture_modes import colours_and_alpha, on_white
from jsr.whole_files import replace_file

__all__ = [
    "SUFFIXES",
    "WRITERS",
    "Animation",
    "Picture",
    "allow_pixels",
    "encode",
    "encode_animation",
    "encode_png",
    "list_pictures",
    "picture_size",
    "read_animation",
    "read_picture",
    "read_rgb",
    "suffix_format",
    "write_picture",
    "write_whole",
]

SUFFIXES = (*WRITERS,)
MAX_PIXELS = 2**28
# What a header may state; no picture has more than 64, that is damage, which Pillow finds.
DEEPEST = 64

SIGNATURES = (b"\x89PNG", b"\xff\xd8", b"RIFF", b"II*\0", b"MM\0*", b"II+\0", b"BM", b"GIF8")

# For the whole process, as Pillow has one limit, lower than ours, and warning contexts are not safe
# with threads. Its warnings of odd metadata would land in the middle of what a command prints.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("ignore", module=r"PIL\.")


def allow_pixels(count: int) -> None:
    """Let pictures have up to `count` pixels, in the whole process, as Pillow has one limit."""
    Image.MAX_IMAGE_PIXELS = count


def list_pictures(folder: Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """The pictures in a folder and the folders in it, sorted by their path in it.

    Chosen by suffix (any case); hidden files and folders are skipped, links to folders are not
    followed. Raises UserError: no such folder, not a folder, not readable, no pictures in it.
    """
    folder = Path(folder)
    if not os.path.exists(folder):
        raise UserError(f"{folder}: no such folder; check the path")
    if not os.path.isdir(folder):
        raise UserError(f"{folder}: is a file; expected a folder of pictures")
    found = []
    for place, folders, files in os.walk(folder, onerror=_raise_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if _has_suffix(name, suffixes)]
    if not found:
        raise UserError(f"{folder}: no pictures in it; looked for {', '.join(suffixes)}")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def read_picture(source: Path | bytes, name: str | None = None, max_bits: int = 8) -> Picture:
    """Read a picture, upright, with its metadata; of 8 bits a channel, or of 16 if `max_bits` is.

    `source` is a path or an encoded file; `name` stands for it in messages. Raises UserError for
    a file that is missing, empty, cut short, damaged, no picture, too large (over MAX_PIXELS, or
    what `allow_pixels` set) or of more bits a channel.
    """
    name = _name(source, name)
    with _opened(source, name, max_bits) as (image, bits, stream):
        several = _is_several(image)
        if bits == 16 and image.format in deep_pictures.FORMATS:
            pixels, alpha = deep_pictures.decode(image, stream, orientation(image), name)
        else:
            if 8 < bits <= DEEPEST:
                logging.warning("%s: has %d bits a channel; read as 8", name, bits)
            image.load()
            pixels, alpha = colours_and_alpha(upright(image), name)
        # These pixels are sRGB by then: the file's profile no longer describes them.
        icc = None if image.mode in ("CMYK", "LAB") else image.info.get("icc_profile") or None
        return Picture(pixels, alpha, icc, _dpi(image), exif_of(image, name), several)


def read_animation(source: Path | bytes, name: str | None = None) -> Animation:
    """Read all frames of a picture, 8 bits a channel; a still one has one.

    Raises UserError as `read_picture` does, and where the frames together have too many pixels.
    """
    name = _name(source, name)
    with _opened(source, name, 8) as (image, _, _):
        count = getattr(image, "n_frames", 1) if image.format in ANIMATED else 1
        if image.width * image.height * count > Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError
        icc, dpi, exif = image.info.get("icc_profile"), _dpi(image), exif_of(image, name)
        frames, shown = [], []
        for index in range(count):
            image.seek(index)
            image.load()
            frames.append(Picture(*colours_and_alpha(upright(image), name), icc, dpi, exif))
            # GIFs that state 0 are shown at ten frames a second.
            shown.append(float(image.info.get("duration", 0)) or 100.0)
        return Animation(frames, shown, image.info.get("loop"))


def read_rgb(source: Path | bytes, name: str | None = None) -> np.ndarray:
    """Read the colours of a picture: uint8 [h, w, 3], upright, gray repeated.

    Where there is alpha, the colours are composited on white: what lies under transparent pixels
    is arbitrary. Raises UserError as `read_picture` does.
    """
    picture = read_picture(source, name)
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = on_white(pixels, picture.alpha)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def picture_size(
    source: Path | bytes, name: str | None = None, max_bits: int = 8
) -> tuple[int, int]:
    """(height, width) of the upright picture, without decoding its pixels.

    Raises UserError as `read_picture` does, except for damage to the pixels.
    """
    with _opened(source, _name(source, name), max_bits) as (image, _, _):
        width, height = image.size
        return (width, height) if orientation(image) >= 5 else (height, width)


def suffix_format(path: Path) -> str:
    """The format that a path's suffix names. Raises UserError for one that cannot be written."""
    if path.suffix.lower() not in WRITERS:
        raise UserError(f"{path}: cannot write {path.suffix!r}; use one of {', '.join(WRITERS)}")
    return WRITERS[path.suffix.lower()]


def write_picture(path: Path, picture: Picture, quality: int | None = None) -> None:
    """Write a picture in the format of the path's suffix; folders are made, the file is whole.

    PNG, TIFF (uncompressed) and BMP are lossless, a GIF has 256 colours. The others lose by
    `quality` (1..100; JPEG and WebP 95, AVIF and HEIC 90), never by fewer chroma samples.
    Grayscale stays so except in WebP, AVIF and HEIC, which have none; 16 bits a channel stay in
    PNG and TIFF. JPEG and BMP get alpha composited on white. ICC, EXIF and DPI are written where
    the format has them. Raises UserError for an unknown suffix, a picture that the format cannot
    hold and a target that cannot be written.
    """
    path = Path(path)
    write_whole(path, encode(picture, suffix_format(path), str(path), quality))


def _has_suffix(name: str, suffixes: tuple[str, ...]) -> bool:
    return not name.startswith(".") and name.lower().endswith(suffixes)


def _raise_unreadable(error: OSError) -> None:
    raise UserError(f"{error.filename}: cannot list this folder ({error.strerror})") from error


def _name(source: Path | bytes, name: str | None) -> str:
    if name is not None:
        return name
    return "the picture" if isinstance(source, bytes) else str(source)


@contextmanager
def _opened(source, name, max_bits) -> Iterator[tuple[Image.Image, int, object]]:
    """Open a picture, its header checked, with its bits a channel and its stream.

    Every error while it is open becomes a UserError.
    """
    head = b""
    try:
        with BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as stream:
            head = stream.read(32)
            if not head:
                raise UserError(f"{name}: is empty (zero bytes); copy or download it again")
            bits = bits_per_channel(head, stream)
            _check_bits(bits, head, max_bits, name)
            formats = READABLE
            if is_heic(head):
                load_heif(name)
                formats = ("HEIF",)
            stream.seek(0)
            with Image.open(stream, formats=formats) as image:
                if image.width * image.height > Image.MAX_IMAGE_PIXELS:
                    raise Image.DecompressionBombError
                if is_png(head):
                    check_png(image, bits, stream)
                # Pillow would turn a TIFF by its XMP, and know the new size only afterwards.
                image.info.pop("xmp", None)
                yield image, bits, stream
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{name}: {_explain(error, head)}") from error


def _check_bits(bits: int, head: bytes, max_bits: int, name: str) -> None:
    """Refuse what would be cut to fewer bits; AVIF and HEIC are, as their writers do the same."""
    deep = bits == max_bits == 16 and not head.startswith(b"\xff\xd8")
    if 8 < bits <= DEEPEST and not deep and not is_heif(head):
        expected = "8" if max_bits == 8 else "8, or 16 in PNG and TIFF"
        raise UserError(f"{name}: has {bits} bits a channel; expected {expected}; convert it first")


def _is_several(image: Image.Image) -> bool:
    # A JPEG's further frames are previews, or the other eye's.
    with suppress(Exception):
        return image.format in (*ANIMATED, "TIFF") and image.is_animated
    return False


def _explain(error: Exception, head: bytes) -> str:
    """What to tell of an error while reading a file that starts with `head`."""
    match error:
        case FileNotFoundError():
            return "no such file; check the path"
        case IsADirectoryError():
            return "is a folder; expected a picture file"
        case Image.DecompressionBombError() | Image.DecompressionBombWarning():
            limit = f"{Image.MAX_IMAGE_PIXELS:,}"
            return f"its header claims more than {limit} pixels, the limit; cut it up first"
        case MemoryError():
            return "not enough memory to decode it; cut it up first"
        case UnidentifiedImageError() if head.startswith(SIGNATURES) or is_heif(head):
            return "is cut short, damaged or of an unusual kind; copy or export it again"
        case UnidentifiedImageError():
            return f"is not a picture that can be read; expected {', '.join(READABLE)}, HEIC"
        case OSError(strerror=str(reason)):
            return f"cannot be read ({reason}); check the path"
    return f"is cut short or damaged ({error}); copy or export it again"


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    horizontal, vertical = (float(value) for value in image.info.get("dpi", (0, 0)))
    # Pillow gives 1 for a TIFF that states none; JPEG holds no more than 65535.
    stated = 1 < horizontal < 65536 and 1 < vertical < 65536
    return (horizontal, vertical) if stated else None


def write_whole(path: Path, data: bytes) -> None:
    """Write under a temporary name beside the target, then rename: never half a file.

    Folders are made. Raises UserError where that is not possible.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"{path}: no space left for it; free some first") from error
        raise UserError(f"{path}: cannot be written ({error.strerror}); write elsewhere") from error
