"""A picture of any size cut into windows of one shape, and their results put together again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

import jax
import numpy as np
from flax import linen as nn

from jsr.models import tails

# Receptive fields up to this radius, in LR pixels, are found; wider ones count as unbounded.
WIDEST = 64
# Larger than any grid of a network that folds pixels into channels.
BLOCK = 4
# A picture's windows are a whole number of 32ths of the longest: few shapes for all pictures.
STEPS = 32
# Windows chosen for a picture are a whole number of these.
STEP = 32

# Windows [b, h, w, c] to [b, h * scale, w * scale, c].
Run = Callable[[np.ndarray], np.ndarray | jax.Array]


@dataclass(frozen=True)
class Tile:
    """A finished part of SR: its place there, and its pixels, float32 [rows, columns, c]."""

    rows: slice
    columns: slice
    sr: np.ndarray


@dataclass(frozen=True)
class Window:
    """Along one side of LR: [start, stop) is run, [first, last) of the result counts."""

    start: int
    stop: int
    first: int
    last: int


class Needs(NamedTuple):
    """What a network takes: how far it sees, and bytes beside the weights.

    radius: how far from an LR pixel the output still depends on it, in LR pixels; None beyond
    WIDEST. whole: bytes for each pixel of LR. With its tail in parts it needs `pixel` bytes for
    each, and `part` at once; of a network without such a tail they are None.
    """

    radius: int | None
    whole: float
    pixel: float | None = None
    part: float | None = None

    def pixels(self, room: float) -> float:
        """How many pixels of LR may be enlarged at once in `room` bytes."""
        if self.pixel is None:
            return room / self.whole
        return max(room / self.whole, (room - self.part) / self.pixel)


def measure(module: nn.Module, variables, channels: int, parts: bool = False) -> Needs:
    """What a network takes; `parts` for one that is to run with its tail in parts.

    Its reach is measured: a block of BLOCK x BLOCK pixels is NaN, and whatever depends on it
    becomes NaN. The bytes are what the compiled program holds at once.
    """
    side = 2 * WIDEST + 3 * BLOCK
    first = WIDEST + BLOCK - WIDEST % BLOCK
    lr = np.zeros((1, side, side, channels), np.float32)
    lr[:, first : first + BLOCK, first : first + BLOCK] = np.nan
    program = jax.jit(module.apply).lower(variables, lr).compile()
    sr = np.asarray(program(variables, lr))
    scale = sr.shape[1] // side
    touched = np.isnan(sr).any(axis=(0, 3))
    lines = [np.flatnonzero(touched.any(axis=axis)) // scale for axis in (0, 1)]
    radius = max(max(first - line[0], line[-1] - (first + BLOCK - 1)) for line in lines)
    reach, whole = int(radius) if radius <= WIDEST else None, _held(program) / side**2
    if not parts:
        return Needs(reach, whole)
    with tails.tails_in_parts(BLOCK * BLOCK) as traced:
        # A function of its own: JAX may know what it traced of `module.apply` before.
        lowered = jax.jit(lambda *inputs: module.apply(*inputs)).lower(variables, lr)
    if not traced.found:
        return Needs(reach, whole)
    pixel = _held(lowered.compile()) / side**2
    return Needs(reach, whole, pixel, whole * (tails.SIDE + 2 * tails.REACH) ** 2)


def _held(program) -> int:
    used = program.memory_analysis()
    return used.temp_size_in_bytes + used.output_size_in_bytes


def fewest_pixels(size: tuple[int, int], around: int, room: float) -> tuple[int, int] | None:
    """Tiles' height and width by which a picture takes the fewest pixels, overlaps and all.

    size: of LR. around: the overlap. room: the pixels of a window, give or take a STEP. None where
    there is no such tile.
    """
    (height, width), both, best = size, 2 * around, None
    for rows in range(1, height // STEP + 2):
        h = _shared(height, rows, both)
        w = min(room // h, width)
        columns = 1 if w >= width else -(-(width - both) // (w - both)) if w > both else 0
        if not columns or (rows > 1 and h <= both):
            continue
        w = _shared(width, int(columns), both)
        cost = rows * columns * h * w
        if best is None or cost < best[0]:
            best = cost, h - both * (rows > 1), w - both * (columns > 1)
    return best and best[1:]


def _shared(size: int, count: int, both: int) -> int:
    """The length of each of `count` windows along a side: few lengths for all pictures."""
    if count == 1:
        return size
    needed = -(-(size + both * (count - 1)) // count)
    return min(-(-needed // STEP) * STEP, size)


def windows(size: int, tile: int, overlap: int, grid: int = 1) -> list[Window]:
    """The windows along a side of LR: one where it is at most tile + 2 * overlap, else of a length.

    At least `overlap` pixels around what counts of a window are run with it, except at the border.
    They start at multiples of `grid`, for networks that fold grid x grid pixels into channels (the
    last may so be up to grid - 1 longer), and are spread evenly, no longer than they must be in
    32ths of the longest.
    """
    cells, around = size // grid, -(-overlap // grid)
    longest = max(-(-tile // grid), 1) + 2 * around
    if size <= longest * grid:
        return [Window(0, size, 0, size)]
    count = -(-(cells - 2 * around) // (longest - 2 * around))
    needed = -(-(cells + 2 * around * (count - 1)) // count)
    length = -(-longest * -(-needed * STEPS // longest) // STEPS)
    starts = [i * (cells - length) // max(count - 1, 1) for i in range(count)]
    # In the middle of what two windows share.
    seams = [(start + before + length) // 2 for before, start in pairwise(starts)]
    begins = [start * grid for start in starts]
    ends = [*(start * grid + length * grid for start in starts[:-1]), size]
    edges = [0, *(seam * grid for seam in seams), size]
    return [Window(*sides) for sides in zip(begins, ends, edges, edges[1:], strict=False)]


def enlarge_tiled(
    run: Run,
    lrs: list[np.ndarray],
    scale: int,
    rows: list[Window],
    columns: list[Window],
    feather: int = 0,
    batch: int = 1,
    ahead: int = 0,
) -> Iterator[tuple[int, Tile]]:
    """`run` over windows of pictures LR [h, w, c] of one size: (index, tile), SR's pixels once.

    With an overlap of the receptive radius or more, tiles are what the whole picture gives.
    `feather`, at most half the overlap, blends what lies that near to a seam, in LR pixels, for
    networks that see farther. `batch` windows, of one picture or several, are run at once, and
    `ahead` batches are begun before one is waited for.
    """
    parts = _parts(run, lrs, rows, columns, batch, ahead)
    for index in range(len(lrs)):
        for tile in _tiles(parts, scale, rows, columns, feather):
            yield index, tile


def _tiles(parts, scale, rows, columns, feather) -> Iterator[Tile]:
    """The tiles of one picture, of the results of its windows."""
    above = None
    for row in rows:
        below, left = {}, None
        for column in columns:
            tile, ys, xs = _weighed(next(parts), row, column, feather, scale)
            both = 2 * feather * scale
            if left is not None:
                tile[:, :both] += left
            if feather and column is not columns[-1]:
                tile, left = np.split(tile, [-both], axis=1)
            if above is not None:
                tile[:both] += above[column]
            if feather and row is not rows[-1]:
                tile, below[column] = np.split(tile, [-both], axis=0)
            height, width = tile.shape[:2]
            yield Tile(slice(ys, ys + height), slice(xs, xs + width), tile)
        above = below or None


def _weighed(part, row, column, feather, scale) -> tuple[np.ndarray, int, int]:
    """What of a window's result counts, faded out across the seams, and where it starts in SR."""
    begins, weights, inside = [], [], []
    for window in (row, column):
        first = window.first - feather * (window.first > window.start)
        last = window.last + feather * (window.last < window.stop)
        begins.append(first * scale)
        inside.append(slice((first - window.start) * scale, (last - window.start) * scale))
        weights.append(_fade(window, (last - first) * scale, 2 * feather * scale))
    tile = np.asarray(part[tuple(inside)])
    if feather:
        tile = tile * weights[0][:, None, None] * weights[1][None, :, None]
    return tile, *begins


def _fade(window: Window, length: int, both: int) -> np.ndarray:
    """Weights of the lines of a tile, which rise and fall over `both` lines at its seams."""
    fade = np.ones(length, np.float32)
    ramp = (np.arange(both, dtype=np.float32) + 0.5) / max(both, 1)
    if both and window.first > window.start:
        fade[:both] = ramp
    if both and window.last < window.stop:
        fade[-both:] = ramp[::-1]
    return fade


def _parts(run, lrs, rows, columns, batch, ahead) -> Iterator[np.ndarray]:
    """The results of all windows, row by row; the last batch is filled up by its last window."""
    places = [(lr, row, column) for lr in lrs for row in rows for column in columns]
    begun: list[tuple[int, np.ndarray | jax.Array]] = []
    for _, alike in groupby(places, lambda place: [w.stop - w.start for w in place[1:]]):
        alike = list(alike)
        size = -(-len(alike) // -(-len(alike) // batch))
        for i in range(0, len(alike), size):
            group = [lr[y.start : y.stop, x.start : x.stop] for lr, y, x in alike[i : i + size]]
            begun.append((len(group), run(np.stack(group + group[-1:] * (size - len(group))))))
            if len(begun) > ahead:
                yield from _landed(*begun.pop(0))
    for count, results in begun:
        yield from _landed(count, results)


def _landed(count: int, results) -> Iterator[np.ndarray]:
    yield from np.asarray(results)[:count]
