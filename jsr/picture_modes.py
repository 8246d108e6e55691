"""What the modes of decoded pictures mean: colours or gray, alpha, inks, palettes."""

from contextlib import suppress
from io import BytesIO

import numpy as np
from absl import logging
from PIL import Image, ImageCms


def colours_and_alpha(image: Image.Image, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """uint8 [h, w, 3 or 1] of a decoded image, and its alpha, uint8 [h, w] or None.

    Inks (CMYK) become sRGB by the profile where one fits, with a warning that starts with `name`.
    """
    if image.mode == "CMYK":
        image = cmyk_to_srgb(image, image.info.get("icc_profile"), name)
    gray = image.mode in ("1", "L", "LA")
    transparent = image.has_transparency_data
    mode = ("L" if gray else "RGB") + ("A" if transparent else "")
    array = np.array(image if image.mode == mode else image.convert(mode))
    array = array.reshape(image.height, image.width, -1)
    alpha = array[..., -1].copy() if transparent else None
    channels = 1 if gray or _gray_palette(image) else 3
    return np.ascontiguousarray(array[..., :channels]), alpha


def cmyk_to_srgb(image: Image.Image, profile: bytes | None, name: str) -> Image.Image:
    """A CMYK image in sRGB: by its ICC profile where that is one of inks, else roughly."""
    if profile:
        with suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
            logging.warning("%s: is CMYK; converted to sRGB by its ICC profile", name)
            return converted
    logging.warning("%s: CMYK without a usable ICC profile; its colours are approximate", name)
    return image.convert("RGB")


def on_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """uint8 [h, w, c] under uint8 [h, w], rounded to nearest."""
    weight = alpha[..., None].astype(np.uint16)
    return ((pixels * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)


def to_8_bits(values: np.ndarray | None) -> np.ndarray | None:
    """uint16 over 0..65535 to the nearest of the 256 levels; uint8 and None stay."""
    if values is None or values.dtype == np.uint8:
        return values
    # A row at a time: the wider type never lies in memory as a whole.
    eight = np.empty(values.shape, np.uint8)
    for row, deep in zip(eight, values, strict=True):
        row[...] = (deep.astype(np.uint32) + 128) // 257
    return eight


def _gray_palette(image: Image.Image) -> bool:
    if image.mode not in ("P", "PA"):
        return False
    entries = np.reshape(image.getpalette("RGB"), (-1, 3))
    return bool((entries == entries[:, :1]).all())
