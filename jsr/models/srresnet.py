"""SRResNet, the generator of SRGAN, and its successor without batch normalisation."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.layers import STAGES, Groups, Scale, batch_norm, conv, enlarge, pixel_shuffle
from jsr.models.tails import apply_tail


class PReLU(nn.Module):
    """max(x, 0) + alpha * min(x, 0) with one learnt alpha a channel, 0.25 at first.

    He et al. 2015, eq. 1. [..., c] to [..., c].
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        alpha = self.param("alpha", nn.initializers.constant(0.25), (x.shape[-1],), jnp.float32)
        return jnp.where(x >= 0, x, alpha.astype(x.dtype) * x)


class SRResNet(nn.Module):
    """The generator of Ledig et al. 2017, Fig. 4: lr [b, h, w, c] to sr [b, h*scale, w*scale, c].

    `lr` in [0, 1], any size; `sr` is float32 and not clipped. Convolutions that batch
    normalisation follows have no bias. In training the collection `batch_stats` must be mutable.
    """

    scale: Scale = 4
    features: int = 64
    blocks: int = 16
    dtype: Any = jnp.float32
    axis_name: str | Groups | None = None

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        f, dtype = self.features, self.dtype
        norm = (train, self.axis_name, dtype)
        head = PReLU(name="head_act")(conv(f, kernel=9, dtype=dtype, name="head")(lr))
        x = head
        for i in range(self.blocks):
            y = conv(f, bias=False, dtype=dtype, name=f"block_{i}_conv_0")(x)
            y = PReLU(name=f"block_{i}_act")(batch_norm(*norm, name=f"block_{i}_norm_0")(y))
            y = conv(f, bias=False, dtype=dtype, name=f"block_{i}_conv_1")(y)
            x = x + batch_norm(*norm, name=f"block_{i}_norm_1")(y)
        x = conv(f, bias=False, dtype=dtype, name="body_conv")(x)
        x = head + batch_norm(*norm, name="body_norm")(x)
        stages = [
            (conv(f * s**2, dtype=dtype, name=f"up_{i}"), s, PReLU(name=f"up_{i}_act"))
            for i, s in enumerate(STAGES[self.scale])
        ]
        last = conv(lr.shape[-1], kernel=9, dtype=dtype, name="tail")

        def tail(x: jax.Array) -> jax.Array:
            for enlarging, s, act in stages:
                x = act(pixel_shuffle(enlarging(x), s))
            return last(x)

        return apply_tail(tail, x, self.scale).astype(jnp.float32)


class MSRResNet(nn.Module):
    """SRResNet without batch normalisation that corrects an enlarged input.

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    `base` is the enlargement that is added. `tail="full"` ends as Wang et al.'s MSRResNet (ESRGAN,
    2018: the baseline of its released code): sub-pixel stages, then two convolutions at HR size.
    `tail="light"` ends with one convolution and one pixel shuffle, so that everything is computed
    at LR size. Residual blocks and the last convolution start at a tenth of Kaiming normal, so
    that the untrained network is near its base.
    """

    scale: Scale = 4
    features: int = 64
    blocks: int = 16
    base: Literal["bilinear", "bicubic", "nearest", "none"] = "bilinear"
    tail: Literal["full", "light"] = "full"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        f, dtype = self.features, self.dtype
        x = nn.leaky_relu(conv(f, dtype=dtype, name="head")(lr), 0.1)
        for i in range(self.blocks):
            y = nn.relu(conv(f, gain=0.1, dtype=dtype, name=f"block_{i}_conv_0")(x))
            x = x + conv(f, gain=0.1, dtype=dtype, name=f"block_{i}_conv_1")(y)
        tail = self._light_tail if self.tail == "light" else self._full_tail
        sr = tail(x, lr.shape[-1]).astype(jnp.float32)
        if self.base != "none":
            sr = sr + enlarge(lr.astype(jnp.float32), self.scale, self.base)
        return sr

    def _light_tail(self, x: jax.Array, channels: int) -> jax.Array:
        subpixels = conv(channels * self.scale**2, gain=0.1, dtype=self.dtype, name="tail")(x)
        return pixel_shuffle(subpixels, self.scale)

    def _full_tail(self, x: jax.Array, channels: int) -> jax.Array:
        f, dtype = self.features, self.dtype
        stages = [
            (conv(f * s**2, dtype=dtype, name=f"up_{i}"), s)
            for i, s in enumerate(STAGES[self.scale])
        ]
        hr_conv = conv(f, dtype=dtype, name="hr_conv")
        last = conv(channels, gain=0.1, dtype=dtype, name="tail")

        def tail(x: jax.Array) -> jax.Array:
            for enlarging, s in stages:
                x = nn.leaky_relu(pixel_shuffle(enlarging(x), s), 0.1)
            return last(nn.leaky_relu(hr_conv(x), 0.1))

        return apply_tail(tail, x, self.scale)
