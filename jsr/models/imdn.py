"""IMDN, a light network of information multi-distillation blocks."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.layers import conv, pixel_shuffle


class ContrastAttention(nn.Module):
    """Contrast-aware channel attention: [b, h, w, c] to the same, each channel weighed.

    As RCAN's channel attention, but a channel is described by its mean plus its standard deviation
    over the picture (Hui et al. 2019). Statistics are float32 at any `dtype`.
    """

    reduction: int = 16
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c, dtype = x.shape[-1], self.dtype
        exact = x.astype(jnp.float32)
        variance = exact.var(axis=(1, 2), keepdims=True)
        # The square root's derivative is infinite where a channel is flat.
        y = jnp.sqrt(variance + 1e-12) + exact.mean(axis=(1, 2), keepdims=True)
        y = nn.relu(conv(max(c // self.reduction, 1), 1, dtype=dtype, name="conv_du.0")(y))
        return x * nn.sigmoid(conv(c, 1, dtype=dtype, name="conv_du.2")(y))


class IMDB(nn.Module):
    """Information multi-distillation block: [b, h, w, c] to the same.

    Three convolutions each put a quarter of their channels aside and hand the rest on; a fourth
    makes the last quarter.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c, dtype = x.shape[-1], self.dtype
        quarter, kept, rest = c // 4, [], x
        for i in (1, 2, 3):
            y = nn.leaky_relu(conv(c, dtype=dtype, name=f"c{i}")(rest), 0.05)
            kept.append(y[..., :quarter])
            rest = y[..., quarter:]
        kept.append(conv(quarter, dtype=dtype, name="c4")(rest))
        y = ContrastAttention(dtype=dtype, name="cca")(jnp.concatenate(kept, axis=-1))
        return x + conv(c, 1, gain=0.1, dtype=dtype, name="c5")(y)


class IMDN(nn.Module):
    """Information multi-distillation network, Hui et al. 2019 (ACM Multimedia).

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    694, 703 and 715 thousand parameters for x2, x3 and x4 (the authors' table); 158.8, 71.5 and
    40.9 G multiply-adds for an SR of 1280x720 (the table of SwinIR, Liang et al. 2021).
    """

    scale: Literal[2, 3, 4] = 4
    features: int = 64
    blocks: int = 6
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        f, dtype = self.features, self.dtype
        head = x = conv(f, dtype=dtype, name="fea_conv")(lr)
        outputs = []
        for i in range(1, self.blocks + 1):
            x = IMDB(dtype=dtype, name=f"IMDB{i}")(x)
            outputs.append(x)
        x = conv(f, 1, dtype=dtype, name="c.0")(jnp.concatenate(outputs, axis=-1))
        x = nn.leaky_relu(x, 0.05)
        x = head + conv(f, gain=0.1, dtype=dtype, name="LR_conv")(x)
        x = conv(lr.shape[-1] * self.scale**2, gain=0.1, dtype=dtype, name="upsampler.0")(x)
        return pixel_shuffle(x, self.scale).astype(jnp.float32)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    """The registry name and hyper-parameters of a checkpoint's tensors; None when it is no IMDN."""
    telltale = ("fea_conv.weight", "IMDB1.cca.conv_du.0.weight", "upsampler.0.weight")
    if any(name not in shapes for name in telltale):
        return None
    features, channels = shapes["fea_conv.weight"][:2]
    scale = math.isqrt(shapes["upsampler.0.weight"][0] // channels)
    blocks = sum(name.endswith(".cca.conv_du.0.weight") for name in shapes)
    hparams = {"scale": scale, "features": features, "blocks": blocks}
    return {"model": "imdn", "hparams": hparams}


def canonical(state: Mapping[str, Any]) -> dict[str, Any]:
    """`state` without the prefix that training on several devices put before every name."""
    return {name.removeprefix("module."): value for name, value in state.items()}
