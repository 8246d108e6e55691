"""A network over pictures of any size: tiles, few compiled shapes, memory that is bounded."""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from jsr import canvas, orientations, tile_memory, tiling
from jsr.errors import UserError
from jsr.steps import make_predict
from jsr.tiling import Tile
from jsr.weights import Network

# Around tiles of networks that see farther than can be given them, in LR pixels.
OVERLAP = 32
# Accelerators: no faster with more pixels at once, and compiling takes long for each shape.
AREA, BATCH = 512**2, 8
# What fits without measuring the network.
SMALL = 96**2
# Compiled shapes that are kept; and how many small pictures get one of their own.
PROGRAMS, ALONE = 64, 4
SMALLEST_TILE = 16
NOT_FINITE = "the network's output is not finite"


class TiledNetwork:
    """A network that enlarges float LR of any size tile by tile.

    tile: the side of tiles in LR pixels, 0 for whole pictures, None for what memory allows.
    overlap: how many pixels around a tile are run with it, by default the receptive radius (the
    result is then the whole picture's, to 1e-5) or, where that is unbounded, OVERLAP, with tiles
    that fade into each other. `ensemble` averages the eight orientations of each tile.
    """

    def __init__(
        self,
        network: Network,
        tile: int | None = None,
        overlap: int | None = None,
        ensemble: bool = False,
    ):
        self.network, self.ensemble = network, ensemble
        self.wished = (tile, overlap)
        self._tile, self._overlap, self._most = tile, overlap, BATCH
        self._programs: dict[tuple, object] = {}
        self._alone: set[tuple] = set()
        self._compiled = 0

    @property
    def scale(self) -> int:
        return self.network.scale

    @property
    def radius(self) -> int | None:
        """How far the network sees, in LR pixels; None where that is unbounded."""
        return self._needs.radius

    def tiles(self, lr: np.ndarray) -> Iterator[Tile]:
        """SR of LR [h, w, channels of the network], float32 in [0, 1], in tiles.

        Out of memory, the tiles are made smaller and all come again. Raises FloatingPointError
        for an output that is not finite, UserError where even small tiles do not fit.
        """
        return (tile for _, tile in self.several([lr]))

    def several(self, lrs: list[np.ndarray], dtype=np.float32) -> Iterator[tuple[int, Tile]]:
        """`tiles` of pictures of one size, which share batches; with their indices in `lrs`.

        dtype: uint8 or uint16 for tiles of levels, rounded on the device, of which there is less to
        bring back; tiles that fade into each other, and averages, stay floats.
        """
        while True:
            try:
                yield from self._several(lrs, dtype)
                return
            except Exception as error:
                if not tile_memory.is_out_of_memory(error):
                    raise
                self._shrink(lrs[0], error)

    def _several(self, lrs: list[np.ndarray], dtype) -> Iterator[tuple[int, Tile]]:
        size = lrs[0].shape[:2]
        sides = self._sides(lrs[0])
        overlap = self._around() if any(a < b for a, b in zip(sides, size, strict=True)) else 0
        rows, columns = (
            tiling.windows(side, tile, overlap, self._grid)
            for side, tile in zip(size, sides, strict=True)
        )
        one = (len(rows) == 1, len(columns) == 1)
        placed = False
        if any(one) and self._on_canvas(size):
            # What is one window in a direction takes any length there: few lengths for all.
            placed = True
            sides = [canvas.canvas_side(n) if o else n for n, o in zip(size, one, strict=True)]
            lrs = [np.concatenate(canvas.place(lr, *sides), axis=-1) for lr in lrs]
            rows, columns = (
                [tiling.Window(0, side, 0, side)] if o else lines
                for side, o, lines in zip(sides, one, (rows, columns), strict=True)
            )
        feather = 0 if self._is_exact(overlap, one) else overlap // 2
        batch, ahead = self._batching(rows, columns, len(lrs))
        broken: list[jax.Array] = []

        def run_to_levels(windows: np.ndarray) -> jax.Array:
            sr, nan = _to_levels(self._run(windows), np.dtype(dtype))
            broken.append(nan)
            return sr

        leveled = np.dtype(dtype).kind == "u" and not feather and not self.ensemble
        run = run_to_levels if leveled else self._run
        parts = tiling.enlarge_tiled(run, lrs, self.scale, rows, columns, feather, batch, ahead)
        for index, tile in parts:
            if not leveled and np.isnan(tile.sr.min()):
                raise FloatingPointError(NOT_FINITE)
            yield index, _cut(tile, *(n * self.scale for n in size)) if placed else tile
        if any(map(bool, broken)):
            raise FloatingPointError(NOT_FINITE)

    def _sides(self, lr: np.ndarray) -> tuple[int, int]:
        """The height and width of tiles for a picture."""
        height, width = lr.shape[:2]
        if self._tile == 0:
            return height, width
        if self._tile is not None:
            return self._tile, self._tile
        if height * width <= SMALL or height * width <= self._pixels:
            return height, width
        if self._on_cpu:
            sides = tiling.fewest_pixels((height, width), self._around(), self._pixels)
            return sides or (SMALLEST_TILE,) * 2
        side, around = int(self._pixels**0.5), 2 * self._around()
        # A strip's windows have its full breadth.
        if height <= side:
            return height, max(int(self._pixels // height) - around, SMALLEST_TILE)
        if width <= side:
            return max(int(self._pixels // width) - around, SMALLEST_TILE), width
        return (max(side - around, SMALLEST_TILE),) * 2

    @functools.cached_property
    def _allowed(self) -> float:
        """How many pixels of LR may be on the device at once."""
        return self._needs.pixels(tile_memory.tile_bytes(self._device))

    @property
    def _pixels(self) -> float:
        """How many pixels of LR a window may have."""
        return self._allowed if self._on_cpu else min(self._allowed, AREA)

    def at_once(self, height: int, width: int) -> int:
        """How many pictures of that size to give to `several`: four batches, or as many pictures.

        While one is fetched the next ones are computed; between two calls the device waits.
        """
        if self._on_cpu:
            return 1
        return int(np.clip(4 * BATCH * AREA // (height * width), 1, 4 * BATCH))

    def _batching(self, rows: list, columns: list, count: int) -> tuple[int, int]:
        """How many windows are run at once, and how many batches are begun ahead."""
        if self._on_cpu or len(rows) * len(columns) * count == 1:
            return 1, 0
        area = (rows[0].stop - rows[0].start) * (columns[0].stop - columns[0].start)
        return int(np.clip(self._allowed // area, 1, self._most)), 1

    def _around(self) -> int:
        """How many pixels around a tile are run with it."""
        if self._overlap is not None:
            return self._overlap
        return OVERLAP if self.radius is None else self.radius

    def _is_exact(self, overlap: int, one: tuple[bool, bool]) -> bool:
        """Whether tiles are what the whole picture gives."""
        return all(one) or (self.radius is not None and overlap >= self.radius)

    @functools.cached_property
    def _needs(self) -> tiling.Needs:
        network = self.network
        return tiling.measure(network.module, network.variables, network.channels, self._on_cpu)

    @property
    def _grid(self) -> int:
        """Where windows may start: attention's own windows then lie as in the whole picture."""
        module = self.network.module
        return getattr(module, "grid", None) or getattr(module, "window", None) or 1

    @property
    def _device(self) -> jax.Device:
        (device,) = jax.tree.leaves(self.network.variables)[0].devices()
        return device

    @property
    def _on_cpu(self) -> bool:
        return self._device.platform == "cpu"

    def _on_canvas(self, size: tuple[int, int]) -> bool:
        """Whether a picture that is one window goes on a canvas, not through a shape of its own."""
        if self._tile == 0 or size in self._alone:
            return False
        if len(self._alone) >= ALONE and self._maskable:
            return True
        self._alone.add(size)
        return False

    @functools.cached_property
    def _maskable(self) -> bool:
        network = self.network
        return canvas.can_be_masked(network.module, network.variables, network.channels)

    def _run(self, lr: np.ndarray) -> np.ndarray | jax.Array:
        """Windows [b, h, w, c], with their mask as a last channel where they lie on a canvas."""
        if not self.ensemble:
            return self._predict(lr)
        turned = (
            _each(
                orientations.restore,
                np.asarray(self._predict(_each(orientations.orient, lr, o))),
                o,
            )
            for o in range(orientations.COUNT)
        )
        return sum(turned) / orientations.COUNT

    def _predict(self, lr: np.ndarray) -> jax.Array:
        variables, channels = self.network.variables, self.network.channels
        program = self._program(lr.shape)
        if lr.shape[-1] == channels:
            return program(variables, lr)
        return program(variables, lr[..., :channels], lr[..., channels:])

    def _program(self, shape: tuple[int, ...]):
        """The network compiled for windows of that shape."""
        program = self._programs.pop(shape, None) or self._compile(shape)
        self._programs[shape] = program  # the last is the one that was used last
        if len(self._programs) > PROGRAMS:
            del self._programs[next(iter(self._programs))]
        return program

    def _compile(self, shape: tuple[int, ...]):
        self._compiled += 1
        if self._compiled % PROGRAMS == 0:
            # JAX keeps what it traced for every shape: without this memory grows with each.
            jax.clear_caches()
        module, channels = self.network.module, self.network.channels
        like = [jax.ShapeDtypeStruct((*shape[:3], channels), jnp.float32)]
        apply = module.apply
        if shape[-1] > channels:
            apply = canvas.masked(module)
            like.append(jax.ShapeDtypeStruct((*shape[:3], 1), jnp.float32))
        predict = make_predict(apply, parts=True)
        return jax.jit(predict).lower(self.network.variables, *like).compile()

    def _shrink(self, lr: np.ndarray, error: Exception) -> None:
        """Smaller batches, then smaller tiles. Raises UserError where they are small already."""
        self._programs.clear()
        if self._tile == 0:
            raise UserError("out of memory for a whole picture: leave out --exact") from error
        if not self._on_cpu and self._most > 1:
            self._most //= 2
            return
        tile = max(self._sides(lr))
        if tile <= SMALLEST_TILE:
            raise UserError("out of memory even in small tiles: close other programs") from error
        self._tile = max(tile // 2, SMALLEST_TILE)
        logging.warning("out of memory: going on with tiles of %d pixels", self._tile)


@functools.partial(jax.jit, static_argnums=1)
def _to_levels(sr: jax.Array, dtype: np.dtype) -> tuple[jax.Array, jax.Array]:
    """SR in [0, 1] as the nearest levels, and whether there was NaN in it."""
    return jnp.rint(sr * np.float32(np.iinfo(dtype).max)).astype(dtype), jnp.isnan(sr).any()


def _each(turn, images: np.ndarray, orientation: int) -> np.ndarray:
    return np.stack([turn(image, orientation) for image in images])


def _cut(tile: Tile, height: int, width: int) -> Tile:
    """What of a tile is the picture, not its canvas."""
    sr = tile.sr[: height - tile.rows.start, : width - tile.columns.start]
    rows = slice(tile.rows.start, tile.rows.start + sr.shape[0])
    return Tile(rows, slice(tile.columns.start, tile.columns.start + sr.shape[1]), sr)
