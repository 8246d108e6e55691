"""Picture formats: what each holds, its options, and a picture encoded in it."""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from absl import logging
from PIL import Image

from jsr import deep_pictures
from jsr.errors import UserError
from jsr.exif import exif_for_format
from jsr.picture_modes import on_white, to_8_bits

# What Pillow itself reads; HEIC comes by pillow-heif.
READABLE = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
WRITERS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".avif": "AVIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
}
OPTIONS = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 90, "subsampling": "4:4:4"},
    "HEIF": {"quality": 90, "chroma": 444},
}
LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383, "GIF": 65535, "AVIF": 65535, "HEIF": 65535}
NO_ALPHA = ("JPEG", "BMP")
NO_GRAY = ("WEBP", "AVIF", "HEIF")
ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")


@dataclass(frozen=True)
class Picture:
    """A picture with its metadata; colours are as in the file, not managed (CMYK becomes sRGB)."""

    pixels: np.ndarray  # uint8 or uint16 [h, w, 3] (colour) or [h, w, 1] (grayscale)
    alpha: np.ndarray | None  # [h, w] of the same type, or None
    icc: bytes | None  # ICC profile as in the file; None after CMYK and Lab
    dpi: tuple[float, float] | None  # horizontal, vertical
    exif: bytes | None  # EXIF with orientation already applied to pixels and reset to 1
    first_of_several: bool = False  # whether the file has more frames or pages


@dataclass(frozen=True)
class Animation:
    """The frames of a file, each whole, how long each is shown, and how often all are."""

    frames: list[Picture]
    milliseconds: list[float]
    loop: int | None  # 0: without end; None: not stated


def encode(picture: Picture, form: str, name: str, quality: int | None = None) -> bytes:
    """A picture as a file of the format `form`; warnings and errors start with `name`.

    quality: 1..100 for the formats that lose, their default if None. Raises UserError for what
    the format cannot hold.
    """
    _check_sides(picture, form, name)
    if form == "HEIF":
        load_heif(name)
    picture = _fit(picture, form, name)
    try:
        metadata = _metadata(picture, form, name)
        if form == "PNG":
            return deep_pictures.encode_png(picture.pixels, picture.alpha, metadata)
        if picture.pixels.dtype == np.uint16:
            return deep_pictures.encode_tiff(picture.pixels, picture.alpha, metadata)
        return _save(_image(picture), form, **_options(form, quality), **metadata)
    except Exception as error:
        raise UserError(f"{name}: cannot be written as {form} ({error}); try .png") from error


def encode_animation(
    frames: Iterable[Picture], animation: Animation, form: str, name: str, quality: int | None
) -> bytes:
    """`frames`, shown as long as those of `animation`, as a file. Raises as `encode` does."""
    if form not in ANIMATED:
        raise UserError(f"{name}: {form} holds one frame; write {', '.join(ANIMATED)}")
    fitted = []
    for frame in frames:
        _check_sides(frame, form, name)
        fitted.append(_fit(frame, form, name))
    several = {"save_all": True, "duration": [round(ms) for ms in animation.milliseconds]}
    if animation.loop is not None:
        several["loop"] = animation.loop
    if form == "GIF" and any(frame.alpha is not None for frame in fitted):
        several["disposal"] = 2  # else what was transparent would show the frame before
    try:
        first, *rest = map(_image, fitted)
        several |= {"append_images": rest, **_metadata(fitted[0], form, name)}
        return _save(first, form, **_options(form, quality), **several)
    except Exception as error:
        raise UserError(f"{name}: cannot be written as {form} ({error})") from error


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode uint8 [h, w, 3] or [h, w, 1] as a PNG file."""
    return deep_pictures.encode_png(pixels, None, {})


def load_heif(name: str) -> None:
    """Let Pillow read and write HEIC. Raises UserError where pillow-heif is not installed."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError as error:
        raise UserError(f"{name}: HEIC needs pillow-heif: pip install pillow-heif") from error


def _check_sides(picture: Picture, form: str, name: str) -> None:
    longest = LONGEST_SIDE.get(form)
    if longest and max(picture.pixels.shape) > longest:
        raise UserError(f"{name}: {form} holds at most {longest} pixels a side; write .png instead")


def _fit(picture: Picture, form: str, name: str) -> Picture:
    """What of a picture the format can hold, with a warning of what it loses."""
    pixels, alpha = picture.pixels, picture.alpha
    if pixels.dtype == np.uint16 and form not in deep_pictures.FORMATS:
        logging.warning("%s: %s holds 8 bits a channel; rounded from 16", name, form)
        pixels, alpha = to_8_bits(pixels), to_8_bits(alpha)
    if alpha is not None and form in NO_ALPHA:
        if (alpha < 255).any():
            logging.warning("%s: %s has no transparency; composited on white", name, form)
        pixels, alpha = on_white(pixels, alpha), None
    return Picture(pixels, alpha, picture.icc, picture.dpi, picture.exif)


def _options(form: str, quality: int | None) -> dict:
    options = OPTIONS.get(form, {})
    return options if quality is None or not options else {**options, "quality": quality}


def _metadata(picture: Picture, form: str, name: str) -> dict:
    options = {"dpi": picture.dpi, "icc_profile": picture.icc}
    if picture.exif:
        options["exif"] = exif_for_format(picture.exif, form, name)
    gray = picture.pixels.shape[2] == 1 and form not in NO_GRAY
    if picture.icc and picture.icc[16:20] != (b"GRAY" if gray else b"RGB "):
        logging.warning("%s: its ICC profile is for other channels and is left out", name)
        options["icc_profile"] = None
    return {key: value for key, value in options.items() if value}


def _image(picture: Picture) -> Image.Image:
    pixels = picture.pixels
    if picture.alpha is not None:
        return Image.fromarray(np.dstack([pixels, picture.alpha]))
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _save(image: Image.Image, form: str, **options) -> bytes:
    stream = BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()
