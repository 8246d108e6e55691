"""SRResNet, the generator of SRGAN, and its successor without batch normalisation."""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.activations import Activation, activation
from jsr.models.desubpixel import sub_pixels
from jsr.models.dropout import drop_channels, drop_rates, stochastic_depth
from jsr.models.layers import STAGES, Groups, Scale, batch_norm, conv, enlarge, pixel_shuffle
from jsr.models.tails import apply_tail


class SRResNet(nn.Module):
    """The generator of Ledig et al. 2017, Fig. 4: lr [b, h, w, c] to sr [b, h*scale, w*scale, c].

    `lr` in [0, 1], any size; `sr` is float32 and not clipped. Convolutions that batch
    normalisation follows have no bias. In training the collection `batch_stats` must be mutable.
    `activation`, `dropout` (of the channels before the last convolution), `drop_path` (the last
    block's rate of stochastic depth) and `desubpixel` (for CutBlur) are not the paper's.
    """

    scale: Scale = 4
    features: int = 64
    blocks: int = 16
    activation: Activation = "prelu"
    dropout: float = 0.0
    drop_path: float = 0.0
    desubpixel: bool = False
    dtype: Any = jnp.float32
    axis_name: str | Groups | None = None

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        f, dtype = self.features, self.dtype
        norm = (train, self.axis_name, dtype)
        act = partial(activation, self.activation)
        lr, x = sub_pixels(lr, self.scale) if self.desubpixel else (lr, lr)
        head = x = act("head_act")(conv(f, kernel=9, dtype=dtype, name="head")(x))
        for i, rate in enumerate(drop_rates(self.drop_path, 1, self.blocks)[0]):
            y = conv(f, bias=False, dtype=dtype, name=f"block_{i}_conv_0")(x)
            y = act(f"block_{i}_act")(batch_norm(*norm, name=f"block_{i}_norm_0")(y))
            y = conv(f, bias=False, dtype=dtype, name=f"block_{i}_conv_1")(y)
            y = batch_norm(*norm, name=f"block_{i}_norm_1")(y)
            x = x + stochastic_depth(y, rate, train)
        x = conv(f, bias=False, dtype=dtype, name="body_conv")(x)
        x = head + batch_norm(*norm, name="body_norm")(x)
        stages = [
            (conv(f * s**2, dtype=dtype, name=f"up_{i}"), s, act(f"up_{i}_act"))
            for i, s in enumerate(STAGES[self.scale])
        ]
        last = conv(lr.shape[-1], kernel=9, dtype=dtype, name="tail")

        def tail(x: jax.Array) -> jax.Array:
            for enlarging, s, activate in stages:
                x = activate(pixel_shuffle(enlarging(x), s))
            return last(drop_channels(x, self.dropout, train))

        return apply_tail(tail, x, self.scale).astype(jnp.float32)


class MSRResNet(nn.Module):
    """SRResNet without batch normalisation that corrects an enlarged input.

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    `base` is the enlargement that is added. `tail="full"` ends as Wang et al.'s MSRResNet (ESRGAN,
    2018: the baseline of its released code): sub-pixel stages, then two convolutions at HR size.
    `tail="light"` ends with one convolution and one pixel shuffle, so that everything is computed
    at LR size. Residual blocks and the last convolution start at a tenth of Kaiming normal, so
    that the untrained network is near its base. `activation` is that inside the blocks; `dropout`
    (of the channels before the last convolution), `drop_path` (the last block's rate of stochastic
    depth) and `desubpixel` (for CutBlur) are as in SRResNet.
    """

    scale: Scale = 4
    features: int = 64
    blocks: int = 16
    base: Literal["bilinear", "bicubic", "nearest", "none"] = "bilinear"
    tail: Literal["full", "light"] = "full"
    activation: Activation = "relu"
    dropout: float = 0.0
    drop_path: float = 0.0
    desubpixel: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        f, dtype = self.features, self.dtype
        lr, x = sub_pixels(lr, self.scale) if self.desubpixel else (lr, lr)
        x = nn.leaky_relu(conv(f, dtype=dtype, name="head")(x), 0.1)
        for i, rate in enumerate(drop_rates(self.drop_path, 1, self.blocks)[0]):
            y = conv(f, gain=0.1, dtype=dtype, name=f"block_{i}_conv_0")(x)
            y = activation(self.activation, f"block_{i}_act")(y)
            y = conv(f, gain=0.1, dtype=dtype, name=f"block_{i}_conv_1")(y)
            x = x + stochastic_depth(y, rate, train)
        tail = self._light_tail if self.tail == "light" else self._full_tail
        sr = tail(x, lr.shape[-1], train).astype(jnp.float32)
        if self.base != "none":
            sr = sr + enlarge(lr.astype(jnp.float32), self.scale, self.base)
        return sr

    def _light_tail(self, x: jax.Array, channels: int, train: bool) -> jax.Array:
        x = drop_channels(x, self.dropout, train)
        subpixels = conv(channels * self.scale**2, gain=0.1, dtype=self.dtype, name="tail")(x)
        return pixel_shuffle(subpixels, self.scale)

    def _full_tail(self, x: jax.Array, channels: int, train: bool) -> jax.Array:
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
            return last(drop_channels(nn.leaky_relu(hr_conv(x), 0.1), self.dropout, train))

        return apply_tail(tail, x, self.scale)
