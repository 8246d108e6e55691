"""BSRN, a light network of blueprint separable convolutions."""

import functools
import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.esa import ESA
from jsr.models.imdn import ContrastAttention
from jsr.models.layers import conv, kaiming_normal, pixel_shuffle
from jsr.models.rfdn import distil

gelu = functools.partial(nn.gelu, approximate=False)


class BSConv(nn.Module):
    """Blueprint separable convolution (Haase and Amthor 2020): 1x1, then 3x3 on each channel."""

    features: int
    stride: int = 1
    padding: int = 1
    gain: float = 1.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        # The two make one convolution: without an activation between them the first must keep
        # the variance.
        half = math.sqrt(0.5)
        x = conv(self.features, 1, bias=False, gain=half, dtype=self.dtype, name="pw")(x)
        return nn.Conv(
            self.features,
            (3, 3),
            strides=self.stride,
            padding=self.padding,
            feature_group_count=self.features,
            kernel_init=kaiming_normal(self.gain),
            dtype=self.dtype,
            name="dw",
        )(x)


class ESDB(nn.Module):
    """Efficient separable distillation block: [b, h, w, c] to the same.

    RFDN's block of blueprint separable convolutions, followed by spatial and contrast-aware
    channel attention, with a residual (Li et al. 2022).
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        dtype = self.dtype
        y = distil(x, BSConv, gelu, 0.1, dtype)
        y = ESA(x.shape[-1] // 4, conv3x3=BSConv, act=gelu, dtype=dtype, name="esa")(y)
        return x + ContrastAttention(dtype=dtype, name="cca")(y)


class BSRN(nn.Module):
    """Blueprint separable residual network, Li et al. 2022 (NTIRE workshop at CVPR).

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    332, 340 and 352 thousand parameters for x2, x3 and x4 (the authors' weights); 19.4 G
    multiply-adds for x4 and an SR of 1280x720 (the table of LKDN, Xie et al. 2023).
    """

    scale: Literal[2, 3, 4] = 4
    features: int = 64
    blocks: int = 8
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        f, dtype = self.features, self.dtype
        # Four copies, so that the separable convolution has enough channels to combine.
        copies = jnp.concatenate([lr] * 4, axis=-1)
        head = x = BSConv(f, dtype=dtype, name="fea_conv")(copies)
        outputs = []
        for i in range(1, self.blocks + 1):
            x = ESDB(dtype=dtype, name=f"B{i}")(x)
            outputs.append(x)
        x = gelu(conv(f, 1, dtype=dtype, name="c1")(jnp.concatenate(outputs, axis=-1)))
        x = head + BSConv(f, gain=0.1, dtype=dtype, name="c2")(x)
        last = conv(
            lr.shape[-1] * self.scale**2,
            gain=0.1,
            dtype=dtype,
            name="upsampler.upsampleOneStep.0",
        )
        return pixel_shuffle(last(x), self.scale).astype(jnp.float32)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    """The registry name and hyper-parameters of a checkpoint's tensors; None when it is no BSRN.

    BSRN-S, which weighs channels by learnt constants, is another network.
    """
    last = "upsampler.upsampleOneStep.0.weight"
    telltale = ("fea_conv.pw.weight", "B1.c1_r.pw.weight", "B1.cca.conv_du.0.weight", last)
    if any(name not in shapes for name in telltale):
        return None
    features, copies = shapes["fea_conv.pw.weight"][:2]
    hparams = {
        "scale": math.isqrt(shapes[last][0] * 4 // copies),
        "features": features,
        "blocks": sum(name.endswith(".cca.conv_du.0.weight") for name in shapes),
    }
    return {"model": "bsrn", "hparams": hparams}
