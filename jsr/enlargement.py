"""Gray, colours and alpha of a picture enlarged, by a network or a classical way, to any size."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from jsr import alpha as alphas
from jsr import color, methods, resize, tile_memory
from jsr.errors import UserError
from jsr.streamed_network import StreamedNetwork
from jsr.target_size import TargetSize
from jsr.tiled_network import TiledNetwork
from jsr.tiling import Tile

# Lines that are resized at a time.
LINES = 256
# What frames of a film that are enlarged together may take.
FRAMES_BYTES = 1e9
# Of Y in BT.601, which networks of one channel take, in [0, 1].
BLACK, SPAN = 16 / 255, 219 / 255
# Called with the part of the picture, of 1, that has just been done.
Progress = Callable[[float], None]


class Interpolation:
    """A classical way by name, as `TiledNetwork` is a network."""

    def __init__(self, name: str, scale: int):
        self.name, self.scale = name, scale

    def tiles(self, lr: np.ndarray) -> Iterator[Tile]:
        """SR of LR [h, w, c] in [0, 1], as one tile."""
        sr = methods.CLASSICAL[self.name](lr * 255.0, self.scale) / 255.0
        yield Tile(slice(0, sr.shape[0]), slice(0, sr.shape[1]), np.clip(sr, 0, 1))

    def several(self, lrs: list[np.ndarray], dtype=np.float32) -> Iterator[tuple[int, Tile]]:
        """`tiles` of pictures of one size, with their indices; floats, whatever `dtype` is."""
        return ((index, tile) for index, lr in enumerate(lrs) for tile in self.tiles(lr))

    def at_once(self, height: int, width: int) -> int:
        """How many pictures of that size are to be given to `several`."""
        return 1


Way = TiledNetwork | StreamedNetwork | Interpolation


class Plan(NamedTuple):
    """What becomes of pictures of one size.

    size: height and width of the result, `scales` times the picture's. way: by what it is enlarged
    first, to the size `native`; kept: whether that is the result as it is.
    """

    size: tuple[int, int]
    scales: tuple[float, float]
    way: Way
    native: tuple[int, int]
    kept: bool

    @property
    def enlarges(self) -> bool:
        """Whether a side grows; else there is nothing for a network to do."""
        return max(self.scales) > 1

    @property
    def streams(self) -> bool:
        """Whether it is by a network of film, which takes a film and no pictures."""
        return self.enlarges and isinstance(self.way, StreamedNetwork)


@dataclass(frozen=True)
class Enlargement:
    """How pictures are enlarged.

    ways: by what, for each native scale. alpha: "network" or "bicubic". linear: resampling to
    another size than the native one is done in linear light (what a network sees stays as it was
    trained). back_projection: so often is what the shrunk result lacks against LR added to it.
    """

    ways: dict[int, Way]
    target: TargetSize = field(default_factory=TargetSize)
    alpha: str = "network"
    linear: bool = False
    back_projection: int = 0

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what becomes of a picture."""
        return self.plan(height, width).size

    def plan(self, height: int, width: int) -> Plan:
        """What becomes of pictures of that size."""
        size, scales = self.target.of(height, width, max(self.ways))
        way = self._way(max(scales))
        native = (height * way.scale, width * way.scale)
        return Plan(size, scales, way, native, size == native and not self.back_projection)

    def __call__(
        self, pixels: np.ndarray, alpha: np.ndarray | None = None, progress: Progress | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Pixels [h, w, 3 or 1] and alpha [h, w] or None, enlarged, in their type.

        Of uint8, uint16 or floating type, whose values are then in [0, 1] and come back as float32.
        What alpha hides does not count. Raises UserError where the result has no room in memory,
        FloatingPointError where a network's output is not finite.
        """
        step = progress or (lambda part: None)
        values = _to_unit(pixels)
        plain = alpha is None or bool((alpha == _top(alpha.dtype)).all())
        by_network = not plain and self.alpha == "network"
        share = 0.5 if by_network else 1.0
        plan = self.plan(*pixels.shape[:2])
        self._check_room(plan, pixels)
        if not plain:
            values = alphas.fill_hidden(values, _to_unit(alpha))
        (sr,) = self._enlarge(plan, [values], pixels.dtype, lambda part: step(part * share))
        if alpha is None:
            return sr, None
        if plain:
            return sr, np.full(sr.shape[:2], _top(alpha.dtype), alpha.dtype)
        if by_network:
            return sr, self._enlarge_alpha(plan, alpha, lambda part: step(part * share))
        return sr, _resample(alpha[..., None], plan.size, plan.scales, alpha.dtype)[..., 0]

    def several(self, frames: list[np.ndarray]) -> list[np.ndarray]:
        """Frames [h, w, 3] of one size, each as by calling, but in the same batches.

        Raises as calling does.
        """
        plan = self.plan(*frames[0].shape[:2])
        self._check_room(plan, frames[0], len(frames))
        values = [_to_unit(frame) for frame in frames]
        return self._enlarge(plan, values, frames[0].dtype, lambda part: None)

    def at_once(self, height: int, width: int) -> int:
        """How many frames of that size keep the device busy, in bounded memory."""
        way = self.plan(height, width).way
        fitting = FRAMES_BYTES // (12 * height * width * way.scale**2)
        return int(np.clip(fitting, 1, way.at_once(height, width)))

    def finish(self, plan: Plan, frame: np.ndarray, sr: np.ndarray) -> np.ndarray:
        """What a network of film made of a frame, SR float32 in [0, 1], as by calling.

        Raises UserError where the result has no room in memory.
        """
        self._check_room(plan, frame)
        return self._fit(plan, _to_unit(frame), sr, frame.dtype)

    def _enlarge(self, plan: Plan, lrs: list, dtype, step: Progress) -> list[np.ndarray]:
        """Each [h, w, c] in [0, 1] to the target size, in `dtype`."""
        if not plan.enlarges:
            step(1.0)
            return [_resample(lr, plan.size, plan.scales, dtype, self.linear) for lr in lrs]
        shape, kind = (*plan.native, lrs[0].shape[2]), dtype if plan.kept else np.float32
        srs = [np.empty(shape, kind) for _ in lrs]
        for index, tile in _planes(plan.way, lrs, srs[0].dtype):
            _store(tile.sr, srs[index][tile.rows, tile.columns])
            step(tile.sr.size / (len(srs) * srs[0].size))
        if plan.kept:
            return srs
        return [self._fit(plan, *pair, dtype) for pair in zip(lrs, srs, strict=True)]

    def _fit(self, plan: Plan, lr: np.ndarray, sr: np.ndarray, dtype) -> np.ndarray:
        """SR of the native size to the target size, made to agree with LR where that is wished."""
        scales = tuple(scale / plan.way.scale for scale in plan.scales)
        linear = self.linear and plan.size != plan.native
        if not self.back_projection:
            return _resample(sr, plan.size, scales, dtype, linear)
        sr = _resample(sr, plan.size, scales, np.float32, linear)
        return _from_unit(self._project(lr, sr), dtype)

    def _enlarge_alpha(self, plan: Plan, alpha: np.ndarray, step: Progress) -> np.ndarray:
        """[h, w] by the network, without ringing."""
        (sr,) = self._enlarge(plan, [_to_unit(alpha)[..., None]], alpha.dtype, step)
        sr = sr[..., 0]
        for limit, clip in zip(alphas.bounds(alpha), (np.maximum, np.minimum), strict=True):
            rows, columns = (
                np.arange(out) * side // out
                for out, side in zip(sr.shape, alpha.shape, strict=True)
            )
            for line, row in zip(sr, rows, strict=True):
                clip(line, limit[row][columns], out=line)
        return sr

    def _way(self, factor: float) -> Way:
        """The least native scale that reaches `factor`, else the largest."""
        reaching = [scale for scale in self.ways if scale >= factor - 1e-9]
        return self.ways[min(reaching) if reaching else max(self.ways)]

    def _project(self, lr: np.ndarray, sr: np.ndarray) -> np.ndarray:
        """SR made to agree with LR when shrunk, channel by channel for the memory's sake."""
        for channel in range(lr.shape[2]):
            one = slice(channel, channel + 1)
            there, back = (color.to_linear, color.from_linear) if self.linear else (_same, _same)
            projected = methods.back_project(
                there(lr[..., one]), 1, there(sr[..., one]), self.back_projection
            )
            sr[..., one] = back(projected)
        return sr

    @staticmethod
    def _check_room(plan: Plan, pixels: np.ndarray, count: int = 1) -> None:
        height, width = plan.size
        needed = height * width * pixels.itemsize
        if not plan.kept:
            needed += 4 * (plan.native[0] * plan.native[1] + height * width)
        needed *= pixels.shape[2] * count
        if needed > tile_memory.free_memory():
            raise UserError(
                f"enlarged to {width}x{height} it would take {needed / 1e9:.1f} GB of memory, more"
                " than is free: choose a smaller size"
            )


def _planes(way: Way, lrs: list[np.ndarray], dtype) -> Iterator[tuple[int, Tile]]:
    """SR with the channels of LR [h, w, 3 or 1], whatever those of the network are; the index.

    Of `dtype`, or floats in [0, 1].
    """
    channels = way.network.channels if isinstance(way, TiledNetwork) else 0
    gray = lrs[0].shape[2] == 1
    if channels in (0, lrs[0].shape[2]) and not (channels == 1 and gray):
        yield from way.several(lrs, dtype)
    elif channels == 3:
        for index, tile in way.several([np.repeat(lr, 3, axis=2) for lr in lrs]):
            yield index, Tile(tile.rows, tile.columns, tile.sr.mean(axis=2, keepdims=True))
    elif gray:
        for index, tile in way.several([BLACK + SPAN * lr for lr in lrs]):
            sr = np.clip((tile.sr - BLACK) / SPAN, 0, 1)
            yield index, Tile(tile.rows, tile.columns, sr)
    else:
        ycbcr = [color.rgb_to_ycbcr(255 * lr) for lr in lrs]
        luma = [(planes[..., :1] / 255).astype(np.float32) for planes in ycbcr]
        for index, tile in way.several(luma):
            chroma = _bicubic_part(ycbcr[index][..., 1:], tile, way.scale)
            rgb = color.ycbcr_to_rgb(np.concatenate([255 * tile.sr, chroma], axis=2))
            sr = np.clip(rgb / 255, 0, 1).astype(np.float32)
            yield index, Tile(tile.rows, tile.columns, sr)


def _bicubic_part(lr: np.ndarray, tile: Tile, scale: int) -> np.ndarray:
    """What bicubic enlargement has at a tile's place, from the pixels around it alone."""
    crops, insides = [], []
    for lines, side in ((tile.rows, lr.shape[0]), (tile.columns, lr.shape[1])):
        first = max(lines.start // scale - 3, 0)
        crops.append(slice(first, min(-(-lines.stop // scale) + 3, side)))
        insides.append(slice(lines.start - first * scale, lines.stop - first * scale))
    return resize.imresize(lr[tuple(crops)], scale=scale)[tuple(insides)]


def _resample(image, size, scales, dtype, linear: bool = False) -> np.ndarray:
    """[h, w, c] resized as by imresize, unrounded, into `dtype`; a few lines at a time."""
    there, back = (color.to_linear, color.from_linear) if linear else (_same, _same)
    height, width = size
    between = np.empty((image.shape[0], width, image.shape[2]), np.float32)
    for top in range(0, image.shape[0], LINES):
        lines = there(_to_unit(image[top : top + LINES]))
        between[top : top + LINES] = resize.resize_axis(lines, 1, width, scales[1])
    result = np.empty((height, width, image.shape[2]), dtype)
    for left in range(0, width, LINES):
        lines = between[:, left : left + LINES]
        lines = resize.resize_axis(lines, 0, height, scales[0])
        result[:, left : left + LINES] = _from_unit(back(lines), dtype)
    return result


def _store(values: np.ndarray, place: np.ndarray) -> None:
    """Values in [0, 1] into `place`, in its type; a few lines at a time stay in the cache."""
    if values.dtype == place.dtype:
        place[...] = values if place.dtype.kind == "u" else np.clip(values, 0, 1)
        return
    for top in range(0, len(values), LINES // 8):
        lines = slice(top, top + LINES // 8)
        place[lines] = _from_unit(values[lines], place.dtype)


def _same(values: np.ndarray) -> np.ndarray:
    return values


def _top(dtype) -> float:
    """What stands for 1 in a type."""
    return np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1.0


def _to_unit(values: np.ndarray) -> np.ndarray:
    """Values of any of the types as float32 in [0, 1]."""
    values_f = np.asarray(values, np.float32)
    return values_f / np.float32(_top(values.dtype)) if values.dtype.kind == "u" else values_f


def _from_unit(values: np.ndarray, dtype) -> np.ndarray:
    """The inverse: clipped, and for integers the nearest level."""
    clipped = np.clip(values, 0.0, 1.0)
    if np.dtype(dtype).kind != "u":
        return clipped.astype(np.float32)
    return np.rint(clipped * np.float32(_top(dtype))).astype(dtype)
