"""A folder of SR pictures made by any project, scored against a folder of HR."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from jsr.datasets.benchmarks import TestPictures
from jsr.datasets.pairing import pair_names, relative_stems
from jsr.errors import UserError
from jsr.images import list_pictures, read_picture
from jsr.protocols import Protocol
from jsr.resize import crop_to_multiple
from jsr.scoring import Item, size

# Crops of HR in use, beside the scale itself: BasicSR's GTmod12, and multiples for windows.
CROPS = (2, 3, 4, 6, 8, 12, 16, 24, 32)


def open_sr_folder(
    folder: Path, photos: TestPictures, protocol: Protocol
) -> Callable[[Item], np.ndarray]:
    """The function that gives an item's SR, uint8 of HR's shape, from the files of a folder.

    Files belong to HR by their names (`jsr.datasets.pairing`). Raises UserError, then and when a
    file is read: names that do not pair up, an unreadable file, transparency, another size.
    """
    paths = list_pictures(folder)
    order = pair_names(photos.names, relative_stems(folder, paths), f"{folder} and HR")

    def produce(item: Item) -> np.ndarray:
        path = paths[order[item.index]]
        sr = _read(path, protocol, lambda: _is_gray(photos[item.index]))
        return _fit(path, sr, item, tuple(photos.sizes[item.index]))

    return produce


def _read(path: Path, protocol: Protocol, hr_is_gray: Callable[[], bool]) -> np.ndarray:
    picture = read_picture(path)
    if picture.alpha is not None and (picture.alpha < 255).any():
        raise UserError(f"{path}: has transparent pixels, which cannot be scored")
    gray = picture.pixels.shape[2] == 1
    if protocol.source == "y" and gray and not hr_is_gray():
        return picture.pixels  # a network of one channel wrote its Y
    pixels = np.repeat(picture.pixels, 3, axis=2) if gray else picture.pixels
    return protocol.pictures(pixels)


def _is_gray(hr: np.ndarray) -> bool:
    return bool((hr == hr[..., :1]).all())


def _fit(path: Path, sr: np.ndarray, item: Item, whole: tuple[int, int]) -> np.ndarray:
    """SR at the size of HR's crop to a multiple of the scale, or why that cannot be."""
    sides, wanted = sr.shape[:2], item.hr.shape[:2]
    if sides == wanted:
        return sr
    if sides == whole:
        return crop_to_multiple(sr, item.scale)
    rows, columns = (have - want for have, want in zip(sides, wanted, strict=True))
    raise UserError(
        f"{path}: is {size(sr)}, but HR is {size(item.hr)} (of {whole[0]}x{whole[1]}, cropped to a"
        f" multiple of {item.scale}): {rows:+d} rows, {columns:+d} columns;"
        f" {_explain(sides, whole)}"
    )


def _explain(sides: tuple[int, int], whole: tuple[int, int]) -> str:
    for multiple in CROPS:
        if sides == tuple(side - side % multiple for side in whole):
            return f"HR cropped to a multiple of {multiple} has that size: crop the HR files so"
    return "no crop to a multiple explains it"
