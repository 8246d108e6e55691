"""Pictures that are the same but for size, codec, brightness or mirroring, by two measures."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.fft import dctn

from jsr.color import rgb_to_y
from jsr.resize import imresize

SIDE = 32  # of the thumbnail that both measures see
# Bits of 64 in which the hashes of near-duplicates differ at most; unrelated ones differ in 32.
BITS = 8
# Correlation of the thumbnails of near-duplicates at least.
CORRELATION = 0.95


class Likeness(NamedTuple):
    """How alike two pictures are: differing bits of 64 of their hashes, correlation -1 .. 1."""

    first: str
    second: str
    bits: int
    correlation: float

    @property
    def near(self) -> bool:
        """Whether either measure calls them the same picture."""
        return bool(_near(self.bits, self.correlation))


class Signatures:
    """Thumbnails of pictures, and of their mirror images, by name."""

    def __init__(self, pictures: Iterable[tuple[str, np.ndarray]]):
        """pictures: names and uint8 [h, w, 3]."""
        self.names, thumbnails = [], []
        for name, pixels in pictures:
            self.names.append(name)
            thumbnails.append(_thumbnail(pixels))
        upright = np.array(thumbnails, np.float32).reshape(-1, SIDE, SIDE)
        self._unit = [_normalise(t) for t in (upright, upright[..., ::-1])]
        self._bits = [_hash(t) for t in (upright, upright[..., ::-1])]

    def compare(self, others: "Signatures") -> tuple[np.ndarray, np.ndarray]:
        """Differing bits, int, and correlations, float32, of all pairs: [pictures, others]."""
        correlations = np.max([self._unit[0] @ unit.T for unit in others._unit], axis=0)
        bits = np.min([_differing(self._bits[0], other) for other in others._bits], axis=0)
        return bits, correlations

    def nearest(self, others: "Signatures") -> dict[str, list[Likeness]]:
        """For each picture all of `others` that are near it, or else the one most like it.

        The most alike is first. Where `others` are these same signatures, no picture is compared
        with itself; elsewhere equal names mean nothing. A list is empty where there is no other.
        """
        bits, correlations = self.compare(others)
        near = _near(bits, correlations)
        # A difference of a bit counts as 0.02 of correlation in choosing which one to tell.
        order = np.lexsort((bits / 50 - correlations, ~near))
        found = {}
        for i, name in enumerate(self.names):
            first = order[i, : near[i].sum() + 1]  # itself is near as well
            places = [j for j in first if others is not self or j != i]
            found[name] = [
                Likeness(name, others.names[j], int(bits[i, j]), float(correlations[i, j]))
                for n, j in enumerate(places)
                if n == 0 or near[i, j]
            ]
        return found


def _near(bits, correlation):
    return (bits <= BITS) | (correlation >= CORRELATION)


def _thumbnail(pixels: np.ndarray) -> np.ndarray:
    return imresize(rgb_to_y(pixels.astype(np.float64)), shape=(SIDE, SIDE))


def _normalise(thumbnails: np.ndarray) -> np.ndarray:
    flat = thumbnails.reshape(len(thumbnails), SIDE * SIDE)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def _hash(thumbnails: np.ndarray) -> np.ndarray:
    """64 signs of low frequencies against their median (Zauner 2010, DCT-based hash)."""
    low = dctn(thumbnails, axes=(1, 2))[:, 1:9, 1:9].reshape(len(thumbnails), 64)
    return low > np.median(low, axis=1, keepdims=True)


def _differing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    same = a.astype(np.float32) @ b.T.astype(np.float32)
    return (a.sum(1)[:, None] + b.sum(1)[None] - 2 * same).astype(np.int64)
