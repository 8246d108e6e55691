"""ESPCN: three convolutions at the LR size and a pixel shuffle."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jsr.models.layers import conv, pixel_shuffle


class ESPCN(nn.Module):
    """The network of Shi et al. 2016 (CVPR), Fig. 1.

    lr [b, h, w, c] to sr [b, h*scale, w*scale, c]. Published for luma: c = 1, `lr` the studio-range
    Y of MATLAB's rgb2ycbcr divided by 255, any size; `sr` is float32 and not clipped. 5x5, 3x3 and
    3x3 filters, 64 and 32 of them (the paper's choice): 22,729 parameters at x3.

    Fannymonori's weights for OpenCV have ReLU in place of tanh and a tanh at the end (`bounded`);
    they were trained on full-range luma, to and from which `full_range` converts inside.
    """

    scale: Literal[2, 3, 4, 8] = 4
    features: int = 64
    mapped: int = 32
    activation: Literal["tanh", "relu"] = "tanh"
    bounded: bool = False
    full_range: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        activation = nn.tanh if self.activation == "tanh" else nn.relu
        x = (lr * 255.0 - 16.0) / 219.0 if self.full_range else lr
        x = activation(conv(self.features, kernel=5, dtype=self.dtype, name="first_part.0")(x))
        x = activation(conv(self.mapped, dtype=self.dtype, name="first_part.2")(x))
        subpixels = lr.shape[-1] * self.scale**2
        x = conv(subpixels, gain=0.1, dtype=self.dtype, name="last_part.0")(x)
        sr = pixel_shuffle(x, self.scale).astype(jnp.float32)
        sr = nn.tanh(sr) if self.bounded else sr
        return (sr * 219.0 + 16.0) / 255.0 if self.full_range else sr


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    """Name and hyper-parameters by the shapes of a state dict (yjn870's), or of the constants of
    fannymonori's `.pb`.
    """
    names = [f"{layer}.weight" for layer in ("first_part.0", "first_part.2", "last_part.0")]
    head, middle, last = (shapes.get(name, ()) for name in names)
    if graph := shapes.keys() >= {"f1", "f2", "f3", "b3"} and "alpha1" not in shapes:
        head, middle, last = (_torch_order(shapes[f"f{i}"]) for i in (1, 2, 3))
    if (head[2:], middle[2:], last[2:]) != ((5, 5), (3, 3), (3, 3)):
        return None
    scale = math.isqrt(last[0] // head[1])
    hparams = {"scale": scale, "features": head[0], "mapped": middle[0]}
    if graph:
        hparams |= {"activation": "relu", "bounded": True, "full_range": True}
    return {"model": "espcn", "hparams": hparams}


def from_tensorflow(arrays: Mapping[str, np.ndarray]) -> dict:
    """Variables from the constants of fannymonori's `.pb`, as `jsr.foreign_files.tensorflow_graph`
    reads it.
    """
    layers = enumerate(("first_part.0", "first_part.2", "last_part.0"), 1)
    params = {name: {"kernel": arrays[f"f{i}"], "bias": arrays[f"b{i}"]} for i, name in layers}
    return {"params": params, "batch_stats": {}}


def _torch_order(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:1:-1], *shape[:2])
