"""What a TPU chip has, as its maker publishes it, and how long its links take.

Source: docs.cloud.google.com/tpu/docs/v5e, /v6e and /v5p, "System architecture".
"""

import math
from typing import NamedTuple


class Chip(NamedTuple):
    """Of one chip: bytes, operations a second, bytes a second, cycles a second.

    peak: of products in bfloat16, in which a TPU computes those of float32 by default too (JAX's
    default precision). ici: the links' bandwidth in both directions and over all ports together.
    clock: the peak over what the matrix units do in a cycle; Google names none. closes: the length
    of an axis whose ends are linked, and its multiples.
    """

    hbm: float
    peak: float
    bandwidth: float
    ici: float
    axes: int
    clock: float
    closes: int


CHIPS = {
    "v5e": Chip(16e9, 197e12, 819e9, 400e9, 2, 1.5e9, 16),
    "v6e": Chip(32e9, 918e12, 1638e9, 800e9, 2, 1.75e9, 16),
    "v5p": Chip(95e9, 459e12, 2765e9, 1200e9, 3, 1.75e9, 4),
}
# Seconds from a chip to the next, as How to Scale Your Model (jax-ml.github.io/scaling-book) has it
HOP = 1e-6
# Slices of 1 to 256 chips that can be had.
SLICES = {
    "v5e": ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"),
    "v6e": ("1x1", "2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"),
    "v5p": ("1x1x1", "2x2x1", "2x2x2", "2x2x4", "2x4x4", "4x4x4", "4x4x8", "4x8x8"),
}


def link_bandwidth(chip: Chip, shape: tuple[int, ...]) -> float:
    """Bytes a second that a chip of a slice sends: two links an axis that closes, else one."""
    links = sum((1 + (side % chip.closes == 0)) for side in shape if side > 1)
    return links * chip.ici / (4 * chip.axes)


def all_reduce_seconds(chip: Chip, shape: tuple[int, ...], nbytes: int) -> float:
    """Seconds of a sum over all chips of a slice: twice round, at the links' pace or the hops'."""
    chips = math.prod(shape)
    if chips == 1:
        return 0.0
    sent = 2 * (chips - 1) / chips * nbytes
    hops = sum(side // 2 if side % chip.closes == 0 else side - 1 for side in shape)
    return max(sent / link_bandwidth(chip, shape), 2 * hops * HOP)
