"""Photographs and their LR side by side on canvases in device memory, where a crop is a slice."""

import math
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jsr.pipeline import Pairs


class Atlas:
    """Where each photograph of `pairs` lies; canvases on the LR grid, the HR ones `scale` times it.

    The photographs are shared out over `shards` canvases of equal size, each of them whole on one.
    `rows` and `columns` are a canvas's size in LR pixels.
    """

    def __init__(self, pairs: Pairs, shards: int = 1):
        self._pairs, self.shards = pairs, shards
        self._places, self.rows, self.columns = _place(pairs.heights, pairs.widths, shards)

    @property
    def nbytes(self) -> int:
        """Bytes of one LR and one HR canvas."""
        pixels = self.rows * self.columns * self._pairs.channels
        hr = self._pairs.hr_type.itemsize * self._pairs.scale**2
        return pixels * (self._pairs.lr_type.itemsize + hr)

    @property
    def shapes(self) -> dict[str, tuple[int, int, int]]:
        """Shapes of the canvases, [shards, rows, columns * channels] each."""
        wide = self.columns * self._pairs.channels
        return {
            name: (self.shards, self.rows * times, wide * times)
            for name, times in (("lr", 1), ("hr", self._pairs.scale))
        }

    def paint(self, shard: int, threads: int = 2) -> dict[str, np.ndarray]:
        """The canvases of one shard: {"lr", "hr"}, [rows, columns * channels] on their grids.

        Their types are those of the pairs. Channels lie within the columns, for an accelerator
        would pad an axis of three. Raises UserError for a photograph that cannot be read.
        """
        types = {"lr": self._pairs.lr_type, "hr": self._pairs.hr_type}
        canvases = {name: np.zeros(shape[1:], types[name]) for name, shape in self.shapes.items()}

        def paint_one(image: int) -> None:
            _, top, left = self._places[image]
            for canvas, pixels, times in zip(
                canvases.values(), self._pairs[image], (1, self._pairs.scale), strict=True
            ):
                height, width, channels = pixels.shape
                y, x = top * times, left * times * channels
                canvas[y : y + height, x : x + width * channels] = pixels.reshape(height, -1)

        with ThreadPoolExecutor(max(1, threads)) as pool:
            list(pool.map(paint_one, np.flatnonzero(self._places[:, 0] == shard)))
        return canvases

    def crops(self, seed: int, steps: np.ndarray, indices: np.ndarray, patch: int) -> np.ndarray:
        """Where the examples `indices` of the batches of `steps` lie, drawn by `Pairs.draw`.

        Returns int32 [steps, indices, 4]: shard, top, left (LR pixels of the canvas), orientation;
        of clips [steps, indices, frames, 4].
        """
        image, top, left, orientation = self._pairs.draw(seed, steps[:, None], indices[None], patch)
        shard, y, x = np.moveaxis(self._places[image], -1, 0)
        return np.stack([shard, y + top, x + left, orientation], -1).astype(np.int32)


def cut(canvases: dict, crops: jax.Array, patch: int, channels: int) -> dict[str, jax.Array]:
    """Cut `crops` [b, ..., 4] (see `Atlas.crops`) out of one shard's canvases, whatever theirs is.

    canvases: as `Atlas.paint` gives them. Returns the batch of `pipeline.make_batch`, bit for bit:
    lr [b, ..., patch, patch, channels] and hr [b, ..., patch * s, patch * s, channels].
    """
    scale = canvases["hr"].shape[0] // canvases["lr"].shape[0]

    def one(crop, canvas, times):
        _, top, left, orientation = crop
        size = patch * times
        start = (top * times, left * (times * channels))
        flat = lax.dynamic_slice(canvas, start, (size, size * channels))
        return _orient(flat.reshape(size, size, channels), orientation)

    over_all = one
    for _ in crops.shape[:-1]:
        over_all = jax.vmap(over_all, in_axes=(0, None, None))
    return {
        name: over_all(crops, canvases[name], times) for name, times in (("lr", 1), ("hr", scale))
    }


def cut_shared(
    canvases: dict, crops: jax.Array, patch: int, channels: int, axis: str
) -> dict[str, jax.Array]:
    """`cut` where each device along `axis` holds its own shard; for use inside `shard_map`.

    crops: the whole batch's [b, ..., 4], the same on all devices. Every device cuts what it holds,
    and receives its share of the batch: the r-th of as many equal runs as there are devices.
    """
    mine = (crops[..., 0] == lax.axis_index(axis))[..., None, None, None]
    batch = cut(canvases, crops, patch, channels)
    # All but one device add zeros.
    return {
        name: lax.psum_scatter(jnp.where(mine, x, 0), axis, scatter_dimension=0, tiled=True)
        for name, x in batch.items()
    }


def _orient(image: jax.Array, orientation: jax.Array) -> jax.Array:
    """`orientations.orient` of a square image by a traced orientation."""
    turns = (lambda x: x[:, ::-1], lambda x: x[::-1], lambda x: x.swapaxes(0, 1))
    for bit, turn in enumerate(turns):
        image = jnp.where(orientation >> bit & 1 == 1, turn(image), image)
    return image


def _place(heights, widths, shards: int) -> tuple[np.ndarray, int, int]:
    """Int [n, 3] (shard, top, left), and the rows and columns of a canvas: the smallest tried."""
    # About square, for wide shelves waste least at their ends.
    side = math.sqrt(np.sum(heights.astype(np.int64) * widths) / shards)
    tried = {max(int(widths.max()), int(side * stretch)) for stretch in np.linspace(1, 1.5, 9)}
    layouts = [_fill_shelves(heights, widths, shards, columns) for columns in sorted(tried)]
    return min(layouts, key=lambda layout: layout[1] * layout[2])


def _fill_shelves(heights, widths, shards: int, columns: int) -> tuple[np.ndarray, int, int]:
    """Shelves from the highest photograph down, each put on the shard with the fewest rows."""
    filled = np.zeros(shards, np.int64)
    places = np.zeros((len(heights), 3), np.int64)
    shard, top, left = 0, 0, columns
    for image in np.lexsort((-widths, -heights)):
        if left + widths[image] > columns:
            shard, left = int(filled.argmin()), 0
            top = int(filled[shard])
            filled[shard] += heights[image]
        places[image] = shard, top, left
        left += int(widths[image])
    return places, int(filled.max()), columns
