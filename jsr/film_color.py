"""Planes of film frames as RGB and back: any matrix, range, depth and sampling of chroma.

ITU-T H.273 (equations 8-3), in float32 by hand: FFmpeg's swscale was measured to be half a level
off, in RGB of 16 bits and in chroma of full range.
"""

import dataclasses
from functools import cached_property

import numpy as np

# Weights of red and blue in luma, by H.273's number of the matrix.
MATRICES = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
BT709, BT601, UNKNOWN_MATRIX = 1, 6, 2
# Rows that are worked on at a time, which stay in the processor's cache; no chroma is cut by them.
ROWS = 64


@dataclasses.dataclass(frozen=True)
class Planes:
    """How a frame lies in planes Y, Cb, Cr (or Y alone, or R, G, B).

    bits of a sample; a chroma sample stands for `across` x `down` pixels, beside the left one of
    them (`centred`: in their middle) and between the upper and the lower ones.
    """

    bits: int = 8
    across: int = 2
    down: int = 2
    matrix: int = BT709
    full: bool = False
    centred: bool = False
    rgb: bool = False

    @property
    def dtype(self) -> type:
        """The type of samples, and of RGB: levels of `bits` are spread over all of it."""
        return np.uint8 if self.bits == 8 else np.uint16

    @property
    def top(self) -> int:
        """What stands for 1 in RGB."""
        return np.iinfo(self.dtype).max

    @cached_property
    def _levels(self) -> tuple[float, float, float, float]:
        """Black, the span of luma, chroma's zero and its span."""
        unit = 2.0 ** (self.bits - 8)
        if self.full:
            return 0.0, 256 * unit - 1, 128 * unit, 256 * unit - 1
        return 16 * unit, 219 * unit, 128 * unit, 224 * unit

    @cached_property
    def _weights(self) -> tuple[float, float, float]:
        red, blue = MATRICES.get(self.matrix, MATRICES[BT709])
        return red, 1 - red - blue, blue


def guess_matrix(height: int, width: int) -> int:
    """The matrix of film that states none: what players take for that size."""
    return BT709 if height >= 720 or width >= 1280 else BT601


def to_rgb(planes: list[np.ndarray], how: Planes) -> np.ndarray:
    """RGB [h, w, 3], uint8 of 8 bits and uint16 of more, of planes [h, w], [h', w'], [h', w']."""
    height, width = planes[0].shape
    rgb = np.empty((height, width, 3), how.dtype)
    if how.rgb:
        spread = how.top / (2**how.bits - 1)
        for channel, plane in enumerate(planes):
            rgb[..., channel] = plane if spread == 1 else np.rint(plane * np.float32(spread))
        return rgb
    black, span, zero, chroma_span = how._levels
    chroma = [_enlarge_rows(plane.astype(np.float32), how.down, 0.5) for plane in planes[1:]]
    for top in range(0, height, ROWS):
        lines = slice(top, top + ROWS)
        luma = planes[0][lines].astype(np.float32) - np.float32(black)
        luma *= np.float32(how.top / span)
        if not chroma:
            rgb[lines] = _rounded(luma, how.top)[..., None]
            continue
        blue, red = (_enlarge_columns(c[lines][: len(luma)], how, width) for c in chroma)
        for values in (blue, red):
            values -= np.float32(zero)
            values *= np.float32(how.top / chroma_span)
        for channel, values in enumerate(_mixed(luma, blue, red, how._weights)):
            rgb[lines, :, channel] = _rounded(values, how.top)
    return rgb


def to_planes(rgb: np.ndarray, how: Planes) -> list[np.ndarray]:
    """The inverse: three planes of RGB [h, w, 3] in uint8 or uint16, whose levels are all used."""
    height, width = rgb.shape[:2]
    scale = np.float32(1 / np.iinfo(rgb.dtype).max)
    highest = 2**how.bits - 1
    if how.rgb:
        return [_rounded(rgb[..., i] * (scale * highest), highest, how.dtype) for i in range(3)]
    small = (-(-height // how.down), -(-width // how.across))
    planes = [np.empty(shape, how.dtype) for shape in ((height, width), small, small)]
    black, span, zero, chroma_span = how._levels
    kr, kg, kb = map(np.float32, how._weights)
    for top in range(0, height, ROWS):
        red, green, blue = (rgb[top : top + ROWS, :, i] * scale for i in range(3))
        luma = kr * red + kg * green + kb * blue
        planes[0][top : top + ROWS] = _rounded(luma * span + black, highest, how.dtype)
        for plane, colour, share in ((planes[1], blue, kb), (planes[2], red, kr)):
            chroma = _shrink((colour - luma) * np.float32(0.5 / (1 - share)), how)
            start = top // how.down
            plane[start : start + len(chroma)] = _rounded(
                chroma * chroma_span + zero, highest, how.dtype
            )
    return planes


def _mixed(luma, blue, red, weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R, G, B of luma and the two differences of colour."""
    kr, kg, kb = weights
    add_red, add_blue = np.float32(2 * (1 - kr)) * red, np.float32(2 * (1 - kb)) * blue
    green = luma - np.float32(kr / kg) * add_red - np.float32(kb / kg) * add_blue
    return luma + add_red, green, luma + add_blue


def _rounded(values: np.ndarray, highest: int, dtype=None) -> np.ndarray:
    values = np.rint(np.clip(values, 0, highest))
    return values if dtype is None else values.astype(dtype)


def _enlarge_columns(chroma: np.ndarray, how: Planes, width: int) -> np.ndarray:
    return _enlarge_rows(chroma.T, how.across, 0.5 if how.centred else 0.0).T[:, :width]


def _enlarge_rows(values: np.ndarray, times: int, place: float) -> np.ndarray:
    """Linearly between rows; `place`: 0: they lie on the first of their `times`, 0.5: amid them."""
    if times == 1:
        return values.copy()
    result = np.empty((len(values) * times, *values.shape[1:]), np.float32)
    before = np.concatenate([values[:1], values[:-1]])
    after = np.concatenate([values[1:], values[-1:]])
    for row in range(times):
        off = (row + place) / times - place
        near, weight = (before, -off) if off < 0 else (after, off)
        result[row::times] = values * np.float32(1 - weight) + near * np.float32(weight)
    return result


def _shrink(values: np.ndarray, how: Planes) -> np.ndarray:
    """The mean over each sample's pixels, [h, w] to [ceil(h / down), ceil(w / across)]."""
    values = _shrink_rows(values, how.down, 0.5)
    return _shrink_rows(values.T, how.across, 0.5 if how.centred else 0.0).T


def _shrink_rows(values: np.ndarray, times: int, place: float) -> np.ndarray:
    if times == 1:
        return values
    count = -(-len(values) // times)
    padded = np.pad(values, ((times, 2 * times), (0, 0)), mode="edge")
    centre = place * (times - 1)
    result = np.zeros((count, *values.shape[1:]), np.float32)
    for row in range(-times, 2 * times):
        # How much of this row lies in the box of that length around the sample.
        covered = min(centre + times / 2, row + 0.5) - max(centre - times / 2, row - 0.5)
        if covered > 0:
            first = times + row
            result += np.float32(covered / times) * padded[first : first + count * times : times]
    return result
