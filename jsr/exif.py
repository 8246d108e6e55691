"""EXIF: the orientation, applied once, and what stays in the enlarged picture."""

from contextlib import suppress

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


def orientation(image: Image.Image) -> int:
    """The EXIF orientation (1..8) that is not yet applied to the image; 1 where it is unreadable.

    Pillow itself applies a TIFF's when it decodes, and its size knows of it from the start.
    """
    if image.format == "TIFF":
        return 1
    with suppress(Exception):
        stated = load_exif(_raw_exif(image)).get(ORIENTATION, 1)
        return stated if stated in TURNS else 1
    return 1


def _raw_exif(image: Image.Image) -> bytes:
    """EXIF as in the file, after "Exif" and two zeros; empty where there is none."""
    raw = image.info.get("exif", b"")
    if raw and not raw.startswith(b"Exif\0\0"):
        raw = b"Exif\0\0" + raw
    return raw


def load_exif(raw: bytes) -> Image.Exif:
    """EXIF as tags, of its bytes in a file. Raises what Pillow raises for damaged ones."""
    exif = Image.Exif()
    exif.load(raw)
    return exif


def upright_exif(image: Image.Image, name: str) -> bytes | None:
    """EXIF with orientation 1: the file's own bytes where they already say so."""
    try:
        if image.format == "TIFF":
            exif = photo_exif(image.getexif())
            return exif.tobytes() if len(exif) else None
        raw = _raw_exif(image)
        exif = load_exif(raw)
        if exif.get(ORIENTATION) in TURNS:
            exif[ORIENTATION] = 1
            return exif.tobytes()
        return raw or None
    except Exception as error:
        logging.warning("%s: its EXIF is damaged (%s) and is left out", name, error)
        return None


def photo_exif(exif: Image.Exif) -> Image.Exif:
    """EXIF without the tags that say how a TIFF file is laid out."""
    kept = Image.Exif()
    kept.update({tag: value for tag, value in exif.items() if tag in PHOTO_TAGS})
    for tag in PHOTO_DIRECTORIES:
        directory = exif.get_ifd(tag)
        if directory:
            kept.get_ifd(tag).update(directory)
            kept[tag] = directory
    return kept
