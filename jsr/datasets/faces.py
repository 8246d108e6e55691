"""Faces, each cut out and shrunk to one small square: CelebA's, and those inside scikit-image.

CelebA (Liu et al., 2015): of the aligned 178x218 pictures the middle 178x178, shrunk by MATLAB's
bicubic to 32x32 or 128x128; its own splits; research only. scikit-image's lfw_subset: 100 faces of
25x25 (gray) out of Labeled Faces in the Wild (Huang et al., 2007), in its order: 80 train, 10
valid, 10 test.
"""

import numpy as np
import skimage.data

from jsr.datasets import Photos
from jsr.datasets.published import open_celeb_a
from jsr.errors import UserError
from jsr.resize import imresize

LFW = {"train": range(80), "valid": range(80, 90), "test": range(90, 100)}


def open_celeb_a_32(split: str, data_dir: str | None) -> Photos:
    """CelebA's faces at 32x32. Raises UserError as `published.open_celeb_a`."""
    return square_faces(open_celeb_a(split, data_dir), 32)


def open_celeb_a_128(split: str, data_dir: str | None) -> Photos:
    """CelebA's faces at 128x128. Raises UserError as `published.open_celeb_a`."""
    return square_faces(open_celeb_a(split, data_dir), 128)


def square_faces(photos: Photos, side: int) -> Photos:
    """The middle square of each photograph, as wide as its shorter side, shrunk to `side`."""

    def read(index: int) -> np.ndarray:
        photo = photos[index]
        whole = min(photo.shape[:2])
        top, left = ((length - whole) // 2 for length in photo.shape[:2])
        return imresize(photo[top : top + whole, left : left + whole], shape=(side, side))

    return Photos(photos.names, np.full((len(photos), 2), side, np.int32), read)


def open_lfw(split: str, data_dir: str | None) -> Photos:
    """scikit-image's faces, gray as three equal channels. Raises UserError for a data_dir."""
    if data_dir:
        raise UserError(
            f"lfw_faces come with scikit-image and need no data_dir (it is {data_dir}): use the"
            " dataset image_folder for faces of your own"
        )
    faces = np.round(skimage.data.lfw_subset()[list(LFW[split])] * 255).astype(np.uint8)
    names = [f"face{number:03d}" for number in LFW[split]]
    sizes = np.tile(np.array([faces.shape[1:]], np.int32), (len(faces), 1))
    return Photos(names, sizes, lambda index: np.repeat(faces[index][..., None], 3, axis=2))
