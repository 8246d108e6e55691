"""Where a film changes to another shot."""

import itertools
from collections.abc import Iterable

import numpy as np

from jsr import color

# Side of the small pictures that are compared.
SIDE = 32
# A change of shot changes pixels by this many levels on average ...
LEVELS = 15.0
# ... and by this many times what the frames around it do.
TIMES = 3.0
AROUND = 2


def thumbnail(frame: np.ndarray) -> np.ndarray:
    """Y of a frame uint8 [h, w, 3], means over the cells of a grid of at most SIDE x SIDE."""
    y = color.rgb_to_y(frame)
    for axis in (0, 1):
        borders = np.linspace(0, y.shape[axis], min(SIDE, y.shape[axis]) + 1).astype(int)
        sums = np.add.reduceat(y, borders[:-1], axis)
        y = sums / np.expand_dims(np.diff(borders), 1 - axis)
    return y


def find_cuts(thumbnails: Iterable[np.ndarray]) -> list[int]:
    """The frames, by index, with which another shot begins.

    A cut is a change of LEVELS at least, and TIMES that of the AROUND frames on either side, which
    keeps fast motion and flashes over several frames together. Dissolves are not found.
    """
    small = list(thumbnails)
    changes = np.array([np.abs(a - b).mean() for a, b in itertools.pairwise(small)])
    cuts = []
    for i, change in enumerate(changes):
        near = np.r_[changes[max(i - AROUND, 0) : i], changes[i + 1 : i + 1 + AROUND]]
        if change >= LEVELS and (not near.size or change >= TIMES * near.mean()):
            cuts.append(i + 1)
    return cuts
