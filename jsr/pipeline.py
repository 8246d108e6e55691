"""Batches of aligned crops: batch = f(seed, step), whatever came before and whoever asks.

Photographs become pairs (the photograph and its exact LR), `draw` says which crop of which pair is
example `index` of step `step`, and grain does the work ahead of time in threads.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import grain
import jax
import jax.numpy as jnp
import numpy as np

from jsr.clips import list_windows
from jsr.color import CHANNELS
from jsr.datasets import Photos
from jsr.errors import UserError
from jsr.orientations import orient
from jsr.protocols import PROTOCOLS
from jsr.resize import crop_to_multiple, downscale

# How a network of these channels is scored is how its pairs are made.
PROTOCOL_OF = {
    name: PROTOCOLS[protocol] for name, protocol in (("rgb", "rgb"), ("y", "classic"), ("ct", "ct"))
}
# Types of LR and HR by channels: shrunk luma is not rounded, and neither is CT.
TYPES = {
    "rgb": {"lr": "uint8", "hr": "uint8"},
    "y": {"lr": "float32", "hr": "uint8"},
    "ct": {"lr": "float32", "hr": "float32"},
}
CROPS, SCALES = 0, 1  # the streams of `random_words` that crops and scales are drawn from


def random_words(seed, step, index, stream):
    """Hash four counters into four random words: uint32 arrays of their common shape.

    Threefry-2x32 of 20 rounds (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC
    2011); the key is (seed, step), the counter (index, stream). Integers only: NumPy and jax.numpy
    agree bit for bit; jax.numpy where an argument is a JAX array. All four are in 0 .. 2**32 - 1,
    stream below 2**31.
    """
    xp = _namespace(seed, step, index, stream)
    seed, step, index, stream = xp.broadcast_arrays(
        *(xp.asarray(counter, dtype=xp.uint32) for counter in (seed, step, index, stream))
    )
    with np.errstate(over="ignore"):  # arithmetic modulo 2**32 is the point
        halves = xp.stack([2 * stream, 2 * stream + 1])
        (x, z), (y, w) = _threefry(seed, step, xp.stack([index, index]), halves)
    return x, y, z, w


def _threefry(key, key2, x, y):
    keys = (key, key2, key ^ key2 ^ 0x1BD11BDA)
    x, y = x + keys[0], y + keys[1]
    for group in range(5):
        for bits in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            x = x + y
            y = (y << bits | y >> (32 - bits)) ^ x
        x, y = x + keys[(group + 1) % 3], y + keys[(group + 2) % 3] + (group + 1)
    return x, y


def _namespace(*arrays):
    return jnp if any(isinstance(array, jax.Array) for array in arrays) else np


def draw(seed, step, index, heights, widths, patch):
    """Draw the crop that is example `index` of the batch of `step`: a pure integer function.

    index: an integer or an array of them. heights, widths: int [n], the photographs' sizes on the
    LR grid, each at least `patch`, the crop's edge in LR pixels. Returns int32 arrays of the
    counters' common shape: image in 0..n-1, top and left (LR pixels), orientation in 0..7 (see
    `orient`). All uniform, up to n / 2**32. NumPy in, NumPy out; JAX arrays in (also under jit),
    JAX arrays out.
    """
    xp = _namespace(seed, step, index, heights, widths)
    heights, widths = xp.asarray(heights), xp.asarray(widths)
    image, top, left, orientation = random_words(seed, step, xp.asarray(index), CROPS)
    image = image % np.uint32(len(heights))
    top = top % (heights[image] - patch + 1).astype(np.uint32)
    left = left % (widths[image] - patch + 1).astype(np.uint32)
    orientation = orientation >> 29
    return tuple(word.astype(np.int32) for word in (image, top, left, orientation))


class Pairs:
    """Photographs with their LR: `pairs[i]` is (lr uint8 [h, w, 3], hr uint8 [h*s, w*s, 3]).

    hr is the photograph cropped (top-left) to a multiple of the scale, lr the whole of it shrunk
    as the family `lr` has it (of `protocols.LR_FAMILIES`). Both are kept in memory, the least
    recently used given up where they exceed `cache_bytes`; every hr goes before the first lr, which
    takes longer to make and 1 / s**2 of the room. May be used from several threads.

    channels: "rgb"; or "y", where hr is the photograph's rounded Y, uint8 [h*s, w*s, 1], and lr is
    shrunk from it without rounding, float32 [h, w, 1] in [0, 1] (the protocol `classic`); or "ct",
    where both are float32 in [0, 1], of slices by the protocol `ct`.

    frames: how many make up an example; where it is more than one, photographs are frames, and
    examples the runs of them within a clip (see `jsr.clips`). Raises UserError where all clips are
    shorter.
    """

    def __init__(
        self,
        photos: Photos,
        scale: int,
        cache_bytes: int,
        channels: str = "rgb",
        frames: int = 1,
        lr: str = "symmetric",
    ):
        self.photos = photos
        self.scale = scale
        self.frames = frames
        self._protocol, self._family = PROTOCOL_OF[channels], lr
        self._starts = list_windows(photos, frames) if frames > 1 else None
        self.channels = CHANNELS[channels]
        self.lr_type, self.hr_type = (np.dtype(TYPES[channels][name]) for name in ("lr", "hr"))
        self.heights, self.widths = (np.asarray(photos.sizes, np.int32) // scale).T
        self._free = cache_bytes
        self._hrs: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lrs: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        with self._lock:
            lr, hr = (self._touch(held, index) for held in (self._lrs, self._hrs))
        if hr is None:
            hr = crop_to_multiple(self.photos[index], self.scale)
            hr = self._protocol.pictures(hr)
            hr = hr if self.hr_type == np.uint8 else hr / np.float32(255.0)
        if lr is None:
            lr = self._shrink(hr)
        with self._lock:
            self._keep(self._lrs, index, lr)
            self._keep(self._hrs, index, hr)
        return lr, hr

    def draw(self, seed, step, index, patch: int) -> tuple[np.ndarray, ...]:
        """`draw` among the examples; of clips every word is [..., frames], a frame each."""
        if self._starts is None:
            return draw(seed, step, index, self.heights, self.widths, patch)
        sizes = self.heights[self._starts], self.widths[self._starts]
        window, *crop = draw(seed, step, index, *sizes, patch)
        photos = self._starts[window][..., None] + np.arange(self.frames, dtype=np.int32)
        return photos, *(np.broadcast_to(word[..., None], photos.shape) for word in crop)

    def forget(self) -> None:
        """Give up what is kept in memory."""
        with self._lock:
            for held in (self._hrs, self._lrs):
                self._free += sum(image.nbytes for image in held.values())
                held.clear()

    def require(self, patch: int) -> None:
        """Raise UserError unless every photograph holds a crop of `patch` LR pixels."""
        small = np.flatnonzero(np.minimum(self.heights, self.widths) < patch)
        if small.size:
            height, width = self.photos.sizes[small[0]]
            need = patch * self.scale
            raise UserError(
                f"{self.photos.names[small[0]]} is {height}x{width} pixels, and crops of "
                f"{patch}x{patch} at x{self.scale} need {need}x{need} (so do {small.size} of the "
                f"{len(self)} photographs): take out what is smaller, or use smaller crops"
            )

    def _shrink(self, hr: np.ndarray) -> np.ndarray:
        if self.channels == 3 and self._family == "symmetric":
            return downscale(hr, self.scale)
        hr = hr if self.hr_type == np.uint8 else hr * np.float32(255.0)
        lr = self._protocol.shrink(hr, self.scale, self._family)
        return lr if self.channels == 3 else (lr / 255.0).astype(np.float32)

    @staticmethod
    def _touch(held: OrderedDict[int, np.ndarray], index: int) -> np.ndarray | None:
        if index in held:
            held.move_to_end(index)
        return held.get(index)

    def _keep(self, held: OrderedDict[int, np.ndarray], index: int, image: np.ndarray) -> None:
        if index in held:
            return
        held[index] = image
        self._free -= image.nbytes
        while self._free < 0:
            _, dropped = (self._hrs or self._lrs).popitem(last=False)
            self._free += dropped.nbytes


def open_pairs(config, photos: Photos, scale: int, cache_bytes: int) -> Pairs:
    """The pairs that a config trains on. Raises UserError for photographs smaller than a patch."""
    kind = (config.channels, config.data.frames, config.data.lr)
    pairs = Pairs(photos, scale, cache_bytes, *kind)
    pairs.require(config.data.patch)
    return pairs


def make_batch(
    pairs: Pairs, seed: int, step: int, indices: np.ndarray, patch: int
) -> dict[str, np.ndarray]:
    """Cut the examples `indices` of the batch of `step`.

    Returns lr [b, p, p, c] and hr [b, p*s, p*s, c] as `pairs` has them, of clips [b, t, ...]; lr is
    the crop of the whole photograph's LR, not the LR of a crop, so that it is exact at its borders
    too.
    """
    size = patch * pairs.scale
    crops = pairs.draw(seed, step, np.asarray(indices), patch)
    shape, crops = crops[0].shape, [word.ravel() for word in crops]
    lrs = np.empty((crops[0].size, patch, patch, pairs.channels), pairs.lr_type)
    hrs = np.empty((crops[0].size, size, size, pairs.channels), pairs.hr_type)
    for out, (image, top, left, orientation) in enumerate(zip(*crops, strict=True)):
        for crop, whole, scale in zip((lrs, hrs), pairs[int(image)], (1, pairs.scale), strict=True):
            y, x, edge = top * scale, left * scale, patch * scale
            crop[out] = orient(whole[y : y + edge, x : x + edge], orientation)
    return {"lr": lrs.reshape(*shape, *lrs.shape[1:]), "hr": hrs.reshape(*shape, *hrs.shape[1:])}


def scale_of_step(seed: int, step, scales: Sequence[int]):
    """Draw which of `scales` the batch of `step`, an integer or an array of them, is of."""
    if len(scales) == 1:
        return np.full_like(step, scales[0])
    word = random_words(seed, step, 0, SCALES)[0]
    return np.asarray(scales)[word % np.uint32(len(scales))]


def steps_of(scale: int, scales: Sequence[int], seed: int, start: int, stop: int) -> Sequence[int]:
    """The steps start .. stop - 1 whose batches are of `scale`: all of them without `scales`."""
    steps = range(start, stop)
    if len(scales) < 2:
        return steps
    return np.asarray(steps)[scale_of_step(seed, np.asarray(steps), scales) == scale]


def batches(
    pairs: Pairs,
    seed: int,
    batch_size: int,
    patch: int,
    start_step: int,
    stop_step: int,
    process: int = 0,
    processes: int = 1,
    threads: int = 2,
    scales: Sequence[int] = (),
) -> Iterator[dict[str, np.ndarray]]:
    """Iterate over this process's part of the batches of steps start_step .. stop_step - 1.

    batch_size counts the examples of all processes; process r of P has the r-th of P equal runs of
    them, in order, so that their parts one after the other are the batch of a single process.
    Batches are those of `make_batch`, made ahead in `threads` threads (0: when asked for). scales:
    where each step is of one of several, by `scale_of_step`; only those of `pairs` are made.

    Raises UserError when batch_size does not divide by the processes or a photograph is smaller
    than the crop; while iterating, when a photograph cannot be read.
    """
    if batch_size % processes:
        raise UserError(f"batch_size {batch_size} does not divide by {processes} processes")
    pairs.require(patch)
    share = batch_size // processes
    indices = np.arange(process * share, (process + 1) * share)
    steps = steps_of(pairs.scale, scales, seed, start_step, stop_step)
    made = grain.MapDataset.source(steps).map(
        lambda step: make_batch(pairs, seed, step, indices, patch)
    )
    ahead = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)
    return iter(made.to_iter_dataset(ahead))
