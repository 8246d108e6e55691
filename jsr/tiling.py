"""A network over a picture of any size, tile by tile, in bounded memory."""

from collections.abc import Callable, Iterator

import jax
import numpy as np
from flax import linen as nn

# Receptive fields up to this radius, in LR pixels, are found; wider ones count as unbounded.
WIDEST = 64
# Larger than any grid of a network that folds pixels into channels.
BLOCK = 4


def receptive_radius(module: nn.Module, variables, channels: int) -> int | None:
    """How far from an LR pixel the output still depends on it, in LR pixels; None beyond WIDEST.

    Measured: a block of BLOCK x BLOCK pixels is NaN, and whatever depends on it becomes NaN.
    """
    side = 2 * WIDEST + 3 * BLOCK
    first = WIDEST + BLOCK - WIDEST % BLOCK
    lr = np.zeros((1, side, side, channels), np.float32)
    lr[:, first : first + BLOCK, first : first + BLOCK] = np.nan
    sr = np.asarray(jax.jit(module.apply)(variables, lr))
    scale = sr.shape[1] // side
    touched = np.isnan(sr).any(axis=(0, 3))
    lines = [np.flatnonzero(touched.any(axis=axis)) // scale for axis in (0, 1)]
    radius = max(max(first - line[0], line[-1] - (first + BLOCK - 1)) for line in lines)
    return int(radius) if radius <= WIDEST else None


def enlarge_tiled(
    run: Callable[[np.ndarray], np.ndarray],
    lr: np.ndarray,
    scale: int,
    tile: int,
    overlap: int,
    grid: int = 1,
) -> np.ndarray:
    """`run` over tiles of LR [h, w, c]: float32 [h * scale, w * scale, c].

    Each tile is run with `overlap` pixels of the picture around it and cut out of the result, so
    that with an overlap of the receptive radius or more the result is the whole picture's. Tiles
    start at multiples of `grid`, for networks that fold grid x grid pixels into channels. All tiles
    have one shape (with a grid, the last may be up to grid - 1 longer), and so one compilation.
    run: [h', w', c] -> [h' * scale, w' * scale, c].
    """
    rows = list(_windows(lr.shape[0], tile, overlap, grid))
    columns = list(_windows(lr.shape[1], tile, overlap, grid))
    sr = np.empty((lr.shape[0] * scale, lr.shape[1] * scale, lr.shape[2]), np.float32)
    for window_y, keep_y in rows:
        for window_x, keep_x in columns:
            part = run(lr[window_y, window_x])
            inside = tuple(
                slice((keep.start - window.start) * scale, (keep.stop - window.start) * scale)
                for window, keep in ((window_y, keep_y), (window_x, keep_x))
            )
            kept = (slice(k.start * scale, k.stop * scale) for k in (keep_y, keep_x))
            sr[tuple(kept)] = part[inside]
    return sr


def _windows(size: int, tile: int, overlap: int, grid: int) -> Iterator[tuple[slice, slice]]:
    """What is run and what of it is kept along one side, for each tile."""
    tile, overlap = (-(-length // grid) * grid for length in (tile, overlap))
    length = tile + 2 * overlap
    if length >= size:
        yield slice(0, size), slice(0, size)
        return
    # The last windows lie inside the picture, on the grid.
    last = (size - length) // grid * grid
    for start in range(0, size, tile):
        begin = min(max(start - overlap, 0), last)
        stop = min(start + tile, size)
        yield slice(begin, size if stop == size else begin + length), slice(start, stop)
