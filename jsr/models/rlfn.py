"""RLFN, a light network of residual local feature blocks."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.esa import ESA
from jsr.models.layers import conv, pixel_shuffle


class RLFB(nn.Module):
    """Residual local feature block: [b, h, w, c] to the same.

    Three convolutions with a residual, one of 1x1 and enhanced spatial attention with a single
    convolution on its pooled map (Kong et al. 2022).
    """

    middle: int
    attention: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c, dtype = x.shape[-1], self.dtype
        y = x
        for i, features in enumerate((self.middle, self.middle, c), start=1):
            gain = 0.1 if i == 3 else 1.0
            y = nn.leaky_relu(conv(features, gain=gain, dtype=dtype, name=f"c{i}_r")(y), 0.05)
        y = conv(c, 1, dtype=dtype, name="c5")(x + y)
        return ESA(self.attention, deep=False, dtype=dtype, name="esa")(y)


class RLFN(nn.Module):
    """Residual local feature network, Kong et al. 2022 (NTIRE workshop at CVPR).

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    Inside, pictures are in [0, 255]. 527 and 543 thousand parameters and, for an SR of 1280x720,
    115.4 and 29.8 G multiply-adds at x2 and x4 (Table 1). RLFN-S has `features` and `middle` 48;
    the winner of NTIRE 2022's challenge on efficient super-resolution has `features` 46, `middle`
    48 and 4 blocks: 317 thousand parameters and 19.70 G multiply-adds for an LR of 256x256 (its
    authors' README).
    """

    scale: Literal[2, 3, 4] = 4
    features: int = 52
    middle: int = 52
    blocks: int = 6
    attention: int = 16
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        f, dtype = self.features, self.dtype
        head = x = conv(f, dtype=dtype, name="conv_1")(255.0 * lr)
        for i in range(1, self.blocks + 1):
            x = RLFB(self.middle, self.attention, dtype=dtype, name=f"block_{i}")(x)
        x = head + conv(f, gain=0.1, dtype=dtype, name="conv_2")(x)
        x = conv(lr.shape[-1] * self.scale**2, gain=0.1, dtype=dtype, name="upsampler.0")(x)
        return pixel_shuffle(x, self.scale).astype(jnp.float32) / 255.0


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    """The registry name and hyper-parameters of a checkpoint's tensors; None when it is no RLFN."""
    block = ("block_1.c1_r.weight", "block_1.esa.conv3.weight")
    if any(name not in shapes for name in ("conv_1.weight", *block, "upsampler.0.weight")):
        return None
    features, channels = shapes["conv_1.weight"][:2]
    hparams = {
        "scale": math.isqrt(shapes["upsampler.0.weight"][0] // channels),
        "features": features,
        "middle": shapes["block_1.c1_r.weight"][0],
        "blocks": sum(name.endswith(".c1_r.weight") for name in shapes),
        "attention": shapes["block_1.esa.conv1.weight"][0],
    }
    return {"model": "rlfn", "hparams": hparams}
