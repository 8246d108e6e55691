"""SPyNet: optical flow from coarse to fine, a small network at each level of a pyramid."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.layers import TORCH_GAIN, conv
from jsr.models.warping import resample, warp

LEVELS = 6
WIDTHS = (32, 64, 32, 16, 2)
# ImageNet's colours, by which the pictures are normalised.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Level(nn.Module):
    """Five convolutions of 7x7: (picture, the other one warped, flow) to what the flow lacks."""

    dtype: Any

    @nn.compact
    def __call__(self, x):
        for i, width in enumerate(WIDTHS):
            x = nn.relu(x) if i else x
            layer = conv(width, 7, gain=TORCH_GAIN, dtype=self.dtype, name=f"basic_module.{2 * i}")
            x = layer(x)
        return x


class SPyNet(nn.Module):
    """The flow of Ranjan and Black 2017, section 3, as BasicVSR uses it.

    pictures, others [b, h, w, 3] in [0, 1], any size, to flow [b, h, w, 2] (pixels to the right
    and down), float32: `warp(others, flow)` is like `pictures`. 1,440,300 parameters.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, pictures: jax.Array, others: jax.Array) -> jax.Array:
        h, w = pictures.shape[1:3]
        grid = 2 ** (LEVELS - 1)
        size = (-(-h // grid) * grid, -(-w // grid) * grid)
        first, second = ([_normalised(resample(x, *size))] for x in (pictures, others))
        for pyramid in (first, second):
            while len(pyramid) < LEVELS:
                pyramid.insert(0, _halved(pyramid[0]))
        flow = jnp.zeros((*first[0].shape[:3], 2))
        for level, (x, y) in enumerate(zip(first, second, strict=True)):
            if level:
                flow = 2 * resample(flow, *x.shape[1:3], corners=True)
            seen = jnp.concatenate([x, warp(y, flow, border=True), flow], -1).astype(self.dtype)
            lacking = Level(self.dtype, name=f"basic_module.{level}")(seen)
            flow = flow + lacking.astype(jnp.float32)
        return resample(flow, h, w) * jnp.asarray([w / size[1], h / size[0]])


def _normalised(x: jax.Array) -> jax.Array:
    return (x - jnp.asarray(MEAN)) / jnp.asarray(DEVIATION)


def _halved(x: jax.Array) -> jax.Array:
    """The mean over 2x2 pixels."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))
