"""Pictures as files: reading and writing with their metadata, and every error line about a file.

Reads PNG, JPEG, WebP, TIFF, BMP and GIF (of several frames or pages, the first), 8 bits a channel.
"""

import errno
import os
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from absl import logging
from PIL import Image, ImageCms, UnidentifiedImageError

from jsr.errors import UserError
from jsr.exif import exif_for_format, exif_of, orientation, upright
from jsr.picture_headers import bits_per_channel, check_png, is_png

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")
MAX_PIXELS = 2**28

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
JPEG = ("JPEG", {"quality": 95, "subsampling": "4:4:4"})
WRITERS = {
    ".png": ("PNG", {}),
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".webp": ("WEBP", {"quality": 95}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
    ".bmp": ("BMP", {}),
}
LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383}
NO_ALPHA = ("JPEG", "BMP")

SIGNATURES = (b"\x89PNG", b"\xff\xd8", b"RIFF", b"II*\0", b"MM\0*", b"II+\0", b"BM", b"GIF8")

# For the whole process, as Pillow has one limit, lower than ours, and warning contexts are not safe
# with threads. Its warnings of odd metadata would land in the middle of what a command prints.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class Picture:
    """A picture with its metadata; colours are as in the file, not managed (CMYK becomes sRGB)."""

    pixels: np.ndarray  # uint8 [h, w, 3] (colour) or [h, w, 1] (grayscale)
    alpha: np.ndarray | None  # uint8 [h, w] or None
    icc: bytes | None  # ICC profile as in the file; None after CMYK and Lab
    dpi: tuple[float, float] | None  # horizontal, vertical
    exif: bytes | None  # EXIF with orientation already applied to pixels and reset to 1


def list_pictures(folder: Path) -> list[Path]:
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
        found += [Path(place, name) for name in files if _names_picture(name)]
    if not found:
        raise UserError(f"{folder}: no pictures in it; looked for {', '.join(SUFFIXES)}")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def read_picture(source: Path | bytes, name: str | None = None) -> Picture:
    """Read a picture, upright, with its metadata.

    `source` is a path or an encoded file; `name` stands for it in messages. Raises UserError for
    a file that is missing, empty, cut short, damaged, no picture, too large (over MAX_PIXELS) or
    of more than 8 bits a channel.
    """
    name = _name(source, name)
    with _opened(source, name) as image:
        image.load()
        pixels, alpha = _pixels(upright(image), name)
        # These pixels are sRGB by then: the file's profile no longer describes them.
        icc = None if image.mode in ("CMYK", "LAB") else image.info.get("icc_profile") or None
        return Picture(pixels, alpha, icc, _dpi(image), exif_of(image, name))


def read_rgb(source: Path | bytes, name: str | None = None) -> np.ndarray:
    """Read the colours of a picture: uint8 [h, w, 3], upright, gray repeated.

    Where there is alpha, the colours are composited on white: what lies under transparent pixels
    is arbitrary. Raises UserError as `read_picture` does.
    """
    picture = read_picture(source, name)
    pixels = picture.pixels
    if picture.alpha is not None:
        pixels = _on_white(pixels, picture.alpha)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def picture_size(source: Path | bytes, name: str | None = None) -> tuple[int, int]:
    """(height, width) of the upright picture, without decoding its pixels.

    Raises UserError as `read_picture` does, except for damage to the pixels.
    """
    with _opened(source, _name(source, name)) as image:
        width, height = image.size
        return (width, height) if orientation(image) >= 5 else (height, width)


def write_picture(path: Path, picture: Picture) -> None:
    """Write a picture in the format of the path's suffix; folders are made, the file is whole.

    PNG, TIFF (uncompressed) and BMP are lossless; JPEG is quality 95, 4:4:4, WebP quality 95.
    Grayscale stays so except in WebP, which has none. JPEG and BMP get alpha composited on white.
    ICC, EXIF and DPI are written where the format has them. Raises UserError for an unknown
    suffix, a picture that the format cannot hold and a target that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise UserError(f"{path}: cannot write {path.suffix!r}; use one of {', '.join(WRITERS)}")
    form, options = WRITERS[path.suffix.lower()]
    longest = LONGEST_SIDE.get(form)
    if longest and max(picture.pixels.shape) > longest:
        raise UserError(f"{path}: {form} holds at most {longest} pixels a side; write .png instead")
    image = _for_format(picture, form, path)
    try:
        data = _encode(image, form, **options, **_metadata(picture, form, path))
    except Exception as error:
        raise UserError(f"{path}: cannot be written as {form} ({error}); try .png") from error
    _write_whole(path, data)


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode uint8 [h, w, 3] or [h, w, 1] as a PNG file."""
    return _encode(_image(pixels), "PNG")


def _names_picture(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(SUFFIXES)


def _raise_unreadable(error: OSError) -> None:
    raise UserError(f"{error.filename}: cannot list this folder ({error.strerror})") from error


def _name(source: Path | bytes, name: str | None) -> str:
    if name is not None:
        return name
    return "the picture" if isinstance(source, bytes) else str(source)


@contextmanager
def _opened(source: Path | bytes, name: str) -> Iterator[Image.Image]:
    """Open a picture, its header checked; every error while it is open becomes a UserError."""
    head = b""
    try:
        with BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as stream:
            head = stream.read(32)
            if not head:
                raise UserError(f"{name}: is empty (zero bytes); copy or download it again")
            bits = bits_per_channel(head, stream)
            # No picture has more than 64: that is damage, which Pillow finds.
            if 8 < bits <= 64:
                raise UserError(f"{name}: has {bits} bits a channel; expected 8; convert it first")
            stream.seek(0)
            with Image.open(stream, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                if is_png(head):
                    check_png(image, bits, stream)
                # Pillow would turn a TIFF by its XMP, and know the new size only afterwards.
                image.info.pop("xmp", None)
                yield image
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{name}: {_explain(error, head)}") from error


def _explain(error: Exception, head: bytes) -> str:
    """What to tell of an error while reading a file that starts with `head`."""
    match error:
        case FileNotFoundError():
            return "no such file; check the path"
        case IsADirectoryError():
            return "is a folder; expected a picture file"
        case Image.DecompressionBombError() | Image.DecompressionBombWarning():
            return f"its header claims more than {MAX_PIXELS:,} pixels, the limit; cut it up first"
        case MemoryError():
            return "not enough memory to decode it; cut it up first"
        case UnidentifiedImageError() if head.startswith(SIGNATURES):
            return "is cut short, damaged or of an unusual kind; copy or export it again"
        case UnidentifiedImageError():
            return f"is not a picture that can be read; expected {', '.join(FORMATS)}"
        case OSError(strerror=str(reason)):
            return f"cannot be read ({reason}); check the path"
    return f"is cut short or damaged ({error}); copy or export it again"


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    horizontal, vertical = (float(value) for value in image.info.get("dpi", (0, 0)))
    # Pillow gives 1 for a TIFF that states none; JPEG holds no more than 65535.
    stated = 1 < horizontal < 65536 and 1 < vertical < 65536
    return (horizontal, vertical) if stated else None


def _pixels(image: Image.Image, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """uint8 [h, w, 3 or 1] and alpha, uint8 [h, w] or None."""
    if image.mode == "CMYK":
        image = _cmyk_to_srgb(image, name)
    gray = image.mode in ("1", "L", "LA")
    transparent = image.has_transparency_data
    mode = ("L" if gray else "RGB") + ("A" if transparent else "")
    array = np.array(image if image.mode == mode else image.convert(mode))
    array = array.reshape(image.height, image.width, -1)
    alpha = array[..., -1].copy() if transparent else None
    channels = 1 if gray or _gray_palette(image) else 3
    return np.ascontiguousarray(array[..., :channels]), alpha


def _gray_palette(image: Image.Image) -> bool:
    if image.mode not in ("P", "PA"):
        return False
    entries = np.reshape(image.getpalette("RGB"), (-1, 3))
    return bool((entries == entries[:, :1]).all())


def _cmyk_to_srgb(image: Image.Image, name: str) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile:
        with suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    logging.warning("%s: CMYK without a usable ICC profile; its colours are approximate", name)
    return image.convert("RGB")


def _on_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint8 [h, w, c] under uint8 [h, w], rounded to nearest."""
    weight = alpha[..., None].astype(np.uint16)
    return ((pixels * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _for_format(picture: Picture, form: str, path: Path) -> Image.Image:
    if picture.alpha is None:
        return _image(picture.pixels)
    if form not in NO_ALPHA:
        return _image(np.dstack([picture.pixels, picture.alpha]))
    if (picture.alpha < 255).any():
        logging.warning("%s: %s has no transparency; composited on white", path, form)
    return _image(_on_white(picture.pixels, picture.alpha))


def _metadata(picture: Picture, form: str, path: Path) -> dict:
    options = {"dpi": picture.dpi, "icc_profile": picture.icc}
    if picture.exif:
        options["exif"] = exif_for_format(picture.exif, form, path)
    space = b"GRAY" if picture.pixels.shape[2] == 1 and form != "WEBP" else b"RGB "
    if picture.icc and picture.icc[16:20] != space:
        logging.warning("%s: its ICC profile is for other channels and is left out", path)
        options["icc_profile"] = None
    return {key: value for key, value in options.items() if value}


def _encode(image: Image.Image, form: str, **options) -> bytes:
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _write_whole(path: Path, data: bytes) -> None:
    """Write under a temporary name beside the target, then rename: never half a file."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as stream:
            stream.write(data)
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"{path}: no space left for it; free some first") from error
        raise UserError(f"{path}: cannot be written ({error.strerror}); write elsewhere") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
