"""Enhanced spatial attention, which RFDN, RLFN and BSRN share."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jsr.models.layers import conv, kaiming_normal

# The shortest side that leaves one element after the strided convolution and the pooling.
SHORTEST = 15


def conv3x3(
    features: int,
    stride: int = 1,
    padding: int = 1,
    gain: float = 1.0,
    dtype: Any = jnp.float32,
    name: str | None = None,
) -> nn.Conv:
    """A 3x3 convolution that pads every side with `padding` zeros; weights as `layers.conv`."""
    return nn.Conv(
        features,
        (3, 3),
        strides=stride,
        padding=padding,
        kernel_init=kaiming_normal(gain),
        dtype=dtype,
        name=name,
    )


class ESA(nn.Module):
    """The enhanced spatial attention of RFANet (Liu et al., CVPR 2020): [b, h, w, c] to the same.

    Every element is weighed by the sigmoid of what a few convolutions make of a reduced map of
    `features` channels: halved, pooled over 7x7, and enlarged again. `deep` has three convolutions
    on the pooled map with `act` between them, as RFDN and BSRN; else there is one, as in RLFN.
    """

    features: int
    conv3x3: Callable = conv3x3
    act: Callable = nn.relu
    deep: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        f, dtype = self.features, self.dtype
        reduced = conv(f, kernel=1, dtype=dtype, name="conv1")(x)
        y = self.conv3x3(f, stride=2, padding=0, dtype=dtype, name="conv2")(_at_least(reduced))
        y = nn.max_pool(y, (7, 7), strides=(3, 3))
        if self.deep:
            y = self.act(self.conv3x3(f, dtype=dtype, name="conv_max")(y))
            y = self.act(self.conv3x3(f, dtype=dtype, name="conv3")(y))
        y = self.conv3x3(f, dtype=dtype, name="conv3_" if self.deep else "conv3")(y)
        y = _stretch(_stretch(y, x.shape[1], 1), x.shape[2], 2)
        y = y + conv(f, kernel=1, dtype=dtype, name="conv_f")(reduced)
        # A small gain, so that at first every element is halved and none is saturated.
        gate = conv(x.shape[-1], kernel=1, gain=0.1, dtype=dtype, name="conv4")(y)
        return x * nn.sigmoid(gate)


def _at_least(x: jax.Array) -> jax.Array:
    """[b, h, w, c] whose short sides are continued to SHORTEST, for the original fails there."""
    missing = [max(SHORTEST - size, 0) for size in x.shape[1:3]]
    return jnp.pad(x, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")


def _stretch(x: jax.Array, size: int, axis: int) -> jax.Array:
    """Linear interpolation along an axis: pixel centres in proportion, borders repeated."""
    # Two gathers in place of a matrix product, whose cost would grow with the picture's side. In
    # whole numbers, twice the centres: exact, also where the size is a symbol of an export.
    small, lib = x.shape[axis], np if isinstance(size, int) else jnp
    twice = lib.maximum((2 * lib.arange(size) + 1) * small - size, 0)
    before = twice // (2 * size)
    after = lib.minimum(before + 1, small - 1)
    shape = [size if a == axis else 1 for a in range(x.ndim)]
    weight = jnp.asarray(((twice - before * (2 * size)) / (2 * size)).reshape(shape), x.dtype)
    start = jnp.take(x, before, axis=axis, mode="clip")
    return start + weight * (jnp.take(x, after, axis=axis, mode="clip") - start)
