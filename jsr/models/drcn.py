"""DRCN: one convolution applied sixteen times, each time reconstructed."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jsr.models.layers import Scale, conv, enlarge

# More recursions than any network has: each makes the program that is compiled longer.
MOST = 100


class DRCN(nn.Module):
    """The network of Kim et al. 2016 (CVPR), Fig. 3a.

    lr [b, h, w, c] to sr [b, h*scale, w*scale, c]. Two convolutions embed a bicubic enlargement;
    one is applied `recursions` times; two more reconstruct a correction of the enlargement after
    each time. The result is the sum of all reconstructions with learnt weights. Published for luma:
    c = 1, `lr` the studio-range Y of MATLAB's rgb2ycbcr divided by 255, any size; `sr` is float32
    and not clipped. 1,774 K parameters and 17,974 G multiply-adds for a 1280x720 output (CARN's
    table, which leaves out biases). The paper also trains on the reconstructions themselves.
    """

    scale: Scale = 4
    features: int = 256
    recursions: int = 16
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        f, dtype = self.features, self.dtype
        base = enlarge(lr.astype(jnp.float32), self.scale, "bicubic")
        recursion = conv(f, dtype=dtype, name="recursion")
        reconstruct = conv(f, dtype=dtype, name="reconstruction_0")
        last = conv(lr.shape[-1], gain=0.1, dtype=dtype, name="reconstruction_1")
        mean = nn.initializers.constant(1.0 / self.recursions)
        weights = self.param("ensemble", mean, (self.recursions,), jnp.float32)
        x = nn.relu(conv(f, dtype=dtype, name="embedding_0")(base))
        x = nn.relu(conv(f, dtype=dtype, name="embedding_1")(x))
        sr = jnp.zeros_like(base)
        for i in range(self.recursions):
            x = nn.relu(recursion(x))
            correction = last(nn.relu(reconstruct(x)))
            sr += weights[i] * (base + correction.astype(jnp.float32))
        return sr


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    """Name and hyper-parameters by the shapes of a state dict.

    The scale is left out: the weights do not tell.
    """
    recursion, ensemble = shapes.get("recursion.weight", ()), shapes.get("ensemble", ())
    if len(recursion) != 4 or len(ensemble) != 1 or "reconstruction_1.weight" not in shapes:
        return None
    if ensemble[0] > MOST:
        return None
    return {
        "model": "drcn",
        "hparams": {"features": recursion[0], "recursions": ensemble[0]},
    }
