"""EXIF: the orientation, applied once, and what stays in the enlarged picture."""

from contextlib import suppress

import numpy as np
from absl import logging
from PIL import ExifTags, Image

ORIENTATION = ExifTags.Base.Orientation
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What a TIFF's own tags say of the photograph; the others say how the file is laid out.
PHOTO_TAGS = {
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
}
PHOTO_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
LONGEST_IN_JPEG = 65533


def orientation(image: Image.Image) -> int:
    """The EXIF orientation (1..8) that is not yet applied to the image; 1 where it is unreadable.

    Pillow itself applies a TIFF's when it decodes, and its size knows of it from the start.
    """
    if image.format == "TIFF":
        return 1
    with suppress(Exception):
        stated = _parse(_raw(image)).get(ORIENTATION)
        return stated if stated in TURNS else 1
    return 1


def upright(image: Image.Image) -> Image.Image:
    """The image with its EXIF orientation applied."""
    turn = TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def upright_array(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """[h, w, c] with an EXIF orientation applied, a view; what is not in 2..8 turns nothing."""
    if orientation in (2, 3, 7, 8):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 6, 7):
        pixels = pixels[::-1]
    return pixels.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else pixels


def exif_of(image: Image.Image, name: str) -> bytes | None:
    """EXIF with orientation 1: the file's own bytes where they already say so.

    None where there is none, and where it is damaged, with a warning that starts with `name`.
    """
    try:
        if image.format == "TIFF":
            exif = _of_photo(image.getexif())
            return exif.tobytes() if len(exif) else None
        raw = _raw(image)
        exif = _parse(raw)
        if exif.get(ORIENTATION) in TURNS:
            exif[ORIENTATION] = 1
            return exif.tobytes()
        return raw or None
    except Exception as error:
        logging.warning("%s: its EXIF is damaged (%s) and is left out", name, error)
        return None


def exif_for_format(exif: bytes, form: str, name: str) -> bytes | Image.Exif | None:
    """EXIF as Pillow's writer takes it; None, with a warning, where the format cannot hold it.

    The warning starts with `name`.
    """
    try:
        if form == "TIFF":
            # The layout of the file that the EXIF comes from would overrule the picture's own.
            return _of_photo(_parse(exif))
        if form == "JPEG" and len(exif) > LONGEST_IN_JPEG:
            raise ValueError(f"{len(exif)} bytes; JPEG holds {LONGEST_IN_JPEG}")
        return exif
    except Exception as error:
        logging.warning("%s: the EXIF cannot be written (%s) and is left out", name, error)
        return None


def _raw(image: Image.Image) -> bytes:
    """EXIF as in the file, after "Exif" and two zeros; empty where there is none."""
    raw = image.info.get("exif", b"")
    if raw and not raw.startswith(b"Exif\0\0"):
        raw = b"Exif\0\0" + raw
    return raw


def _parse(raw: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(raw)
    return exif


def _of_photo(exif: Image.Exif) -> Image.Exif:
    """EXIF without the tags that say how a TIFF file is laid out."""
    kept = Image.Exif()
    kept.update({tag: value for tag, value in exif.items() if tag in PHOTO_TAGS})
    for tag in PHOTO_DIRECTORIES:
        directory = exif.get_ifd(tag)
        if directory:
            # Pillow's TIFF writer goes through the keys, then asks get_ifd: it needs both.
            kept.get_ifd(tag).update(directory)
            kept[tag] = directory
    return kept
