"""DRRN: residual units that share their weights within a recursive block."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.layers import Groups, Scale, batch_norm, conv, enlarge


class DRRN(nn.Module):
    """The network of Tai et al. 2017 (CVPR), Fig. 4.

    lr [b, h, w, c] to sr [b, h*scale, w*scale, c]. `blocks` and `units` are the paper's B and U:
    B1U9 has 20 layers, B1U25 52. All units of a block have the same two convolutions, but normalise
    for themselves (as in the released prototxt), and each adds the block's first features.
    Published for luma: c = 1, `lr` the studio-range Y of MATLAB's rgb2ycbcr divided by 255, any
    size; `sr` is float32 and not clipped. 297 K weights without biases and normalisation, and
    6,796.9 G multiply-adds for a 1280x720 output by B1U25 (CARN's table). `norm=False` leaves out
    batch normalisation, as PyTorch versions do. In training the collection `batch_stats` must be
    mutable.
    """

    scale: Scale = 4
    features: int = 128
    blocks: int = 1
    units: int = 9
    norm: bool = True
    dtype: Any = jnp.float32
    axis_name: str | Groups | None = None

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        base = enlarge(lr.astype(jnp.float32), self.scale, "bicubic")
        x = base
        for i in range(self.blocks):
            x = self._block(x, f"block_{i}", train)
        x = self._activate(x, "tail_norm", train)
        x = conv(lr.shape[-1], gain=0.1, dtype=self.dtype, name="tail")(x)
        return base + x.astype(jnp.float32)

    def _block(self, x: jax.Array, name: str, train: bool) -> jax.Array:
        f, dtype = self.features, self.dtype
        x = self._activate(x, f"{name}_norm", train)
        first = conv(f, dtype=dtype, name=f"{name}_head")(x)
        convs = [
            conv(f, gain=g, dtype=dtype, name=f"{name}_conv_{j}") for j, g in ((0, 1), (1, 0.1))
        ]
        x = first
        for i in range(self.units):
            y = x
            for j in range(2):
                y = convs[j](self._activate(y, f"{name}_unit_{i}_norm_{j}", train))
            x = first + y
        return x

    def _activate(self, x: jax.Array, name: str, train: bool) -> jax.Array:
        if self.norm:
            x = batch_norm(train, self.axis_name, self.dtype, name=name)(x)
        return nn.relu(x)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    """Name and hyper-parameters by the shapes of a state dict.

    The scale is left out: one file serves them all.
    """
    head = shapes.get("block_0_head.weight", ())
    if len(head) != 4 or "block_0_conv_1.weight" not in shapes or "tail.weight" not in shapes:
        return None
    blocks = len([name for name in shapes if name.endswith("_head.weight")])
    # Without normalisation the units leave no trace: those of the smaller network.
    units = len([n for n in shapes if n.startswith("block_0_unit_") and n.endswith("_norm_0.bias")])
    hparams = {"features": head[0], "blocks": blocks, "units": units or 9, "norm": units > 0}
    return {"model": "drrn", "hparams": hparams}
