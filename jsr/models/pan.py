"""PAN, a light network with attention to pixels."""

from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.layers import STAGES, conv, enlarge


def _leaky_relu(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.2)


class SCPA(nn.Module):
    """Self-calibrated block with pixel attention: [b, h, w, c] to the same.

    Half of the channels go through a convolution, the other half through two with a gate between
    them that a 1x1 convolution computes for every pixel and channel (Zhao et al. 2020).
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c, dtype = x.shape[-1], self.dtype
        a = _leaky_relu(conv(c // 2, 1, bias=False, dtype=dtype, name="conv1_a")(x))
        b = _leaky_relu(conv(c // 2, 1, bias=False, dtype=dtype, name="conv1_b")(x))
        a = _leaky_relu(conv(c // 2, bias=False, dtype=dtype, name="k1.0")(a))
        gate = nn.sigmoid(conv(c // 2, 1, dtype=dtype, name="PAConv.k2")(b))
        b = gate * conv(c // 2, bias=False, dtype=dtype, name="PAConv.k3")(b)
        b = _leaky_relu(conv(c // 2, bias=False, dtype=dtype, name="PAConv.k4")(b))
        both = jnp.concatenate([a, b], axis=-1)
        return x + conv(c, 1, bias=False, gain=0.1, dtype=dtype, name="conv3")(both)


class PAN(nn.Module):
    """Pixel attention network, Zhao et al. 2020 (AIM workshop at ECCV).

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    Features are enlarged by repetition, in two stages for x4, and corrected under pixel attention;
    the result is added to the bilinear enlargement. 261,403 parameters for x2 and x3, 272,419 for
    x4 (the authors' logs); 70.5, 39.0 and 28.2 G multiply-adds for an SR of 1280x720.
    """

    scale: Literal[2, 3, 4] = 4
    features: int = 40
    up_features: int = 24
    blocks: int = 16
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        f, up, dtype = self.features, self.up_features, self.dtype
        head = x = conv(f, dtype=dtype, name="conv_first")(lr)
        for i in range(self.blocks):
            x = SCPA(dtype=dtype, name=f"SCPA_trunk.{i}")(x)
        x = head + conv(f, gain=0.1, dtype=dtype, name="trunk_conv")(x)
        for i, s in enumerate(STAGES[self.scale], start=1):
            x = conv(up, dtype=dtype, name=f"upconv{i}")(enlarge(x, s, "nearest"))
            x = _leaky_relu(x * nn.sigmoid(conv(up, 1, dtype=dtype, name=f"att{i}.conv")(x)))
            x = _leaky_relu(conv(up, dtype=dtype, name=f"HRconv{i}")(x))
        sr = conv(lr.shape[-1], gain=0.1, dtype=dtype, name="conv_last")(x).astype(jnp.float32)
        return sr + enlarge(lr.astype(jnp.float32), self.scale, "bilinear")


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    """The registry name and hyper-parameters of a checkpoint's tensors; None when it is no PAN.

    Where the tensors do not tell the scale, "scales" has those that it may be.
    """
    telltale = ("conv_first.weight", "SCPA_trunk.0.PAConv.k2.weight", "upconv1.weight")
    if any(name not in shapes for name in telltale):
        return None
    hparams = {
        "features": shapes["conv_first.weight"][0],
        "up_features": shapes["upconv1.weight"][0],
        "blocks": sum(name.endswith(".PAConv.k2.weight") for name in shapes),
    }
    if "upconv2.weight" in shapes:
        return {"model": "pan", "hparams": {"scale": 4, **hparams}}
    # The networks for x2 and x3 have the same tensors.
    return {"model": "pan", "hparams": hparams, "scales": [2, 3]}
