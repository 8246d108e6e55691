"""RFDN, a light network of residual feature distillation blocks."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.esa import ESA, conv3x3
from jsr.models.layers import conv, pixel_shuffle


def _leaky_relu(x: jax.Array) -> jax.Array:
    """The slope of IMDN and its successors."""
    return nn.leaky_relu(x, 0.05)


def distil(x: jax.Array, conv3x3: Callable, act: Callable, gain: float, dtype: Any) -> jax.Array:
    """Feature distillation, [b, h, w, c] to the same, with the calling module's parameters.

    Before each of three shallow residual convolutions a 1x1 convolution keeps c / 2 channels; a
    fourth 3x3 convolution makes the last c / 2, and one of 1x1, with `gain`, fuses all four.
    """
    c, kept = x.shape[-1], []
    for i in (1, 2, 3):
        kept.append(act(conv(c // 2, 1, dtype=dtype, name=f"c{i}_d")(x)))
        x = act(x + conv3x3(c, gain=0.1, dtype=dtype, name=f"c{i}_r")(x))
    kept.append(act(conv3x3(c // 2, dtype=dtype, name="c4")(x)))
    return conv(c, 1, gain=gain, dtype=dtype, name="c5")(jnp.concatenate(kept, axis=-1))


class RFDB(nn.Module):
    """Residual feature distillation block with enhanced spatial attention.

    [b, h, w, c] to the same. There is no residual around the block (Liu et al. 2020).
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = distil(x, conv3x3, _leaky_relu, 1.0, self.dtype)
        return ESA(x.shape[-1] // 4, dtype=self.dtype, name="esa")(y)


class RFDN(nn.Module):
    """Residual feature distillation network, Liu et al. 2020 (AIM workshop at ECCV).

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    Inside, pictures are in [0, 255]. The defaults are the winner of the AIM 2020 challenge on
    efficient super-resolution, the one network whose code is published: 433 thousand parameters
    and 27.0 G multiply-adds for an LR of 256x256. The RFDN of the paper's Table 3 (534, 541 and
    550 thousand parameters for x2, x3 and x4) is another, deeper one.
    """

    scale: Literal[2, 3, 4] = 4
    features: int = 50
    blocks: int = 4
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        f, dtype = self.features, self.dtype
        head = x = conv(f, dtype=dtype, name="fea_conv")(255.0 * lr)
        outputs = []
        for i in range(1, self.blocks + 1):
            x = RFDB(dtype=dtype, name=f"B{i}")(x)
            outputs.append(x)
        x = _leaky_relu(conv(f, 1, dtype=dtype, name="c.0")(jnp.concatenate(outputs, axis=-1)))
        x = head + conv(f, gain=0.1, dtype=dtype, name="LR_conv")(x)
        x = conv(lr.shape[-1] * self.scale**2, gain=0.1, dtype=dtype, name="upsampler.0")(x)
        return pixel_shuffle(x, self.scale).astype(jnp.float32) / 255.0


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    """The registry name and hyper-parameters of a checkpoint's tensors; None when it is no RFDN."""
    telltale = ("fea_conv.weight", "B1.c1_r.weight", "B1.esa.conv_max.weight", "upsampler.0.weight")
    if any(name not in shapes for name in telltale):
        return None
    features, channels = shapes["fea_conv.weight"][:2]
    scale = math.isqrt(shapes["upsampler.0.weight"][0] // channels)
    blocks = sum(name.endswith(".c1_r.weight") for name in shapes)
    hparams = {"scale": scale, "features": features, "blocks": blocks}
    return {"model": "rfdn", "hparams": hparams}
