"""A network's tail, which works at the size of SR: part after part, where that is wished.

After its enlargement a network holds scale**2 times as much as before. In parts only a part of that
is there at a time, and parts that fit into a processor's cache are faster.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jsr.models.layers import TORCH_GAIN, conv

# How far around a part a tail may see, in LR pixels: a 3x3 convolution before the enlargement and
# a 9x9 one after it see 3 at x2, the widest that is there.
REACH = 4
# As an integer, a NaN that no processor makes.
NEVER = -1
# The side of a part in LR pixels: larger ones are no faster on a CPU.
SIDE = 200


class Parts:
    """How tails are traced: in parts of about `side` x `side` LR pixels; whether one was met."""

    def __init__(self, side: int):
        self.side, self.found = side, False


_parts: ContextVar[Parts | None] = ContextVar("parts", default=None)
_place: ContextVar[tuple[slice, slice] | None] = ContextVar("place", default=None)


@contextlib.contextmanager
def tails_in_parts(side: int | None = None) -> Iterator[Parts]:
    """Within, networks are traced with tails in parts."""
    parts = Parts(side or SIDE)
    token = _parts.set(parts)
    try:
        yield parts
    finally:
        _parts.reset(token)


def of_part(x: jax.Array) -> jax.Array:
    """What of [b, h, w, c], of LR's size, lies where the tail is traced now: all, or a part."""
    place = _place.get()
    return x if place is None else x[:, *place]


def apply_tail(tail: Callable[[jax.Array], jax.Array], x: jax.Array, scale: int) -> jax.Array:
    """`tail` of features [b, h, w, f]: [b, h * scale, w * scale, c], whole or in parts.

    Only for a tail that sees at most REACH pixels of `x` around one, and whose layers were made
    before, for it is called for each part.
    """
    parts = _parts.get()
    if parts is None:
        return tail(x)
    parts.found = True
    rows, columns = (_spans(n, parts.side) for n in x.shape[1:3])
    lines, before = [], None
    for row in rows:
        line = []
        for column in columns:
            around, inside = _places(x, row, column, scale)
            token = _place.set(around)
            before = tail(_after(before, x, *around))[:, *inside]
            _place.reset(token)
            line.append(before)
        lines.append(jnp.concatenate(line, axis=2))
    return jnp.concatenate(lines, axis=1)


def nearest_tail(x: jax.Array, stages: tuple[int, ...], channels: int, dtype: Any) -> jax.Array:
    """Features [b, h, w, f], enlarged by repeating pixels before convolutions, to an image.

    The end of ESRGAN's network (Wang et al. 2018): `stages` are the factors.
    """
    f, settings = x.shape[-1], {"gain": TORCH_GAIN, "dtype": dtype}
    ups = [(s, conv(f, **settings, name=f"conv_up{i}")) for i, s in enumerate(stages, 1)]
    hr, last = conv(f, **settings, name="conv_hr"), conv(channels, **settings, name="conv_last")

    def tail(x: jax.Array) -> jax.Array:
        for s, up in ups:
            x = nn.leaky_relu(up(x.repeat(s, 1).repeat(s, 2)), 0.2)
        return last(nn.leaky_relu(hr(x), 0.2))

    return apply_tail(tail, x, math.prod(stages))


def _spans(size: int, side: int) -> list[tuple[int, int]]:
    count = max(round(size / side), 1)
    return list(pairwise(size * i // count for i in range(count + 1)))


def _places(x, row, column, scale) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a part is in `x`, with what its tail sees around it, and in the tail's result."""
    around, inside = [], []
    for (first, last), size in zip((row, column), x.shape[1:3], strict=True):
        start = max(first - REACH, 0)
        around.append(slice(start, min(last + REACH, size)))
        inside.append(slice((first - start) * scale, (last - start) * scale))
    return tuple(around), tuple(inside)


def _after(before: jax.Array | None, x: jax.Array, rows: slice, columns: slice) -> jax.Array:
    """Part of `x`, to be read when `before` is there.

    XLA would begin all parts before it ends one, and drops its own barriers before it orders what
    is left. So the place depends on a bit pattern that no result has.
    """
    if before is None:
        return x[:, rows, columns]
    seen = lax.bitcast_convert_type(before[0, 0, 0, 0].astype(jnp.float32), jnp.int32)
    first = rows.start + (seen == NEVER).astype(jnp.int32)
    return lax.dynamic_slice_in_dim(x[:, :, columns], first, rows.stop - rows.start, axis=1)
