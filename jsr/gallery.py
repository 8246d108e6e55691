"""What retrieval searches: a gallery of pictures, and queries that are made of some of them."""

import dataclasses
import hashlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from jsr.datasets import SPLITS, Photos, open_photos
from jsr.errors import UserError
from jsr.images import Picture, encode, list_pictures, read_rgb
from jsr.near_duplicates import Signatures
from jsr.resize import crop_to_multiple, downscale

# Side of the crops that stand for pictures where no folder is given, and how many of a photograph.
CROP, CROPS = 80, 28
# Queries are made of crops whose gray deviates by so many levels: one of empty sky is as good as
# another, and nobody looks for it.
CONTRAST = 10.0
# Pixels that a picture must have at 1/scale at least; a query has less of it by its shift.
SMALLEST = 8
# Pictures are the same, for a ranking, where both measures of near_duplicates say so.
BITS, CORRELATION = 4, 0.99


@dataclasses.dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures to be found again. asked: indices of those that queries may be made of.

    unreadable, same: what was left out and why, a line each.
    """

    title: str
    photos: Photos
    asked: list[int]
    unreadable: list[str] = dataclasses.field(default_factory=list)
    same: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, eq=False)
class Query:
    """One picture asked for: `target` in the gallery; HR and LR, shifted and re-encoded, uint8."""

    target: int
    hr: np.ndarray
    lr: np.ndarray


def open_gallery(folder: str | None, scale: int) -> Gallery:
    """The pictures below `folder`; without one, crops of the embedded photographs.

    Of those, queries are made of the splits valid and test alone, where there is something to see.
    What cannot be read, is too small for a query at that scale, or shows the same as an earlier
    picture (a mirror image, too) is left out and named. Raises UserError where fewer than two are
    left, and for a scale at which the crops are too small.
    """
    gallery = _open_folder(Path(folder), scale) if folder else _embedded(scale)
    gallery = _distinct(gallery)
    if len(gallery.photos) < 2 or not gallery.asked:
        faults = "; ".join([*gallery.unreadable, *gallery.same][:3])
        told = f" ({faults})" if faults else ""
        raise UserError(f"{gallery.title}: a gallery needs two different pictures or more{told}")
    return gallery


def make_queries(
    gallery: Gallery, count: int, scale: int, shift: float, quality: int, seed: int
) -> Iterator[Query]:
    """Queries of at most `count` pictures, drawn by `seed`, in the gallery's order.

    shift: of the picture a window is seen that is smaller by this part, somewhere in it.
    LR is 1/scale of that (MATLAB's bicubic). Both are written as JPEG of `quality` and read again.
    """
    rng = np.random.default_rng(seed)
    count = min(count, len(gallery.asked))
    for target in sorted(rng.choice(gallery.asked, count, replace=False).tolist()):
        moved = crop_to_multiple(_moved(gallery.photos[target], shift, rng), scale)
        yield Query(target, _reencode(moved, quality), _reencode(downscale(moved, scale), quality))


def _moved(picture: np.ndarray, shift: float, rng: np.random.Generator) -> np.ndarray:
    """A window that is smaller by `shift`, somewhere in the picture: all moves of one size."""
    windows = []
    for side in picture.shape[:2]:
        reach = int(shift * side)
        start = int(rng.integers(0, reach + 1))
        windows.append(slice(start, start + side - reach))
    return picture[tuple(windows)]


def _reencode(picture: np.ndarray, quality: int) -> np.ndarray:
    data = encode(Picture(picture, None, None, None, None), "JPEG", "the query", quality)
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image)


def _open_folder(folder: Path, scale: int) -> Gallery:
    paths, sizes, unreadable = [], [], []
    smallest = SMALLEST * scale
    for path in list_pictures(folder):
        try:
            size = read_rgb(path).shape[:2]
        except UserError as error:
            unreadable.append(str(error))
            continue
        if min(size) < smallest:
            needed = f"queries at 1/{scale} need {smallest}x{smallest}"
            unreadable.append(f"{path}: is {size[0]}x{size[1]} pixels; {needed}")
            continue
        paths.append(path)
        sizes.append(size)
    names = [path.relative_to(folder).as_posix() for path in paths]
    sizes = np.array(sizes, np.int32).reshape(-1, 2)
    photos = Photos(names, sizes, lambda index: read_rgb(paths[index]))
    return Gallery(folder.name, photos, [*range(len(names))], unreadable)


def _embedded(scale: int) -> Gallery:
    if SMALLEST * scale > CROP:
        raise UserError(
            f"--scale {scale} is too much for the embedded crops of {CROP}x{CROP} pixels: at most"
            f" {CROP // SMALLEST}, or give larger pictures by --gallery"
        )
    names, crops, asked = [], [], []
    for split in SPLITS:
        photos = open_photos("sample_photos", split, None)
        for index, name in enumerate(photos.names):
            for corner, crop in _crops(photos[index]):
                told = split != "train" and crop.mean(-1).std() >= CONTRAST
                asked += [len(names)] if told else []
                names.append(f"{name}/{corner}")
                crops.append(crop)
    sizes = np.tile(np.array([[CROP, CROP]], np.int32), (len(names), 1))
    return Gallery("embedded crops", Photos(names, sizes, crops.__getitem__), asked)


def _crops(photo: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """At most CROPS squares of a grid, spread over the photograph, by their corners."""
    tops, lefts = (range(0, side - CROP + 1, CROP) for side in photo.shape[:2])
    corners = [(top, left) for top in tops for left in lefts]
    chosen = np.linspace(0, len(corners) - 1, min(CROPS, len(corners))).round().astype(int)
    for top, left in (corners[place] for place in chosen):
        yield f"{top}-{left}", photo[top : top + CROP, left : left + CROP]


def _distinct(gallery: Gallery) -> Gallery:
    """Without pictures that show the same as an earlier one: it could not be told which is right.

    The same to the last pixel, or but for size, codec, brightness and mirroring.
    """
    photos, digests = gallery.photos, []

    def pictures() -> Iterator[tuple[str, np.ndarray]]:
        for index, name in enumerate(photos.names):
            picture = photos[index]
            digests.append(hashlib.sha256(picture.tobytes()).hexdigest())
            yield name, picture

    signatures = Signatures(pictures())
    bits, correlations = signatures.compare(signatures)
    # Flat pictures correlate with nothing, not even with themselves.
    alike = np.equal.outer(digests, digests) | ((bits <= BITS) & (correlations >= CORRELATION))
    stays, same = np.zeros(len(photos), bool), {}
    for index in range(len(photos)):
        earlier = alike[index] & stays
        if earlier.any():
            same[index] = int(earlier.argmax())
        else:
            stays[index] = True
    kept = np.flatnonzero(stays).tolist()
    return Gallery(
        gallery.title,
        Photos([photos.names[i] for i in kept], photos.sizes[kept], lambda i: photos[kept[i]]),
        [place for place, index in enumerate(kept) if index in set(gallery.asked)],
        gallery.unreadable,
        [f"{photos.names[a]} shows the same as {photos.names[b]}" for a, b in same.items()],
    )
