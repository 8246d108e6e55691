"""VDSR: twenty convolutions that correct a bicubic enlargement."""

import math
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jsr.models.layers import Scale, conv, enlarge


class VDSR(nn.Module):
    """The network of Kim et al. 2016 (CVPR), Fig. 2.

    lr [b, h, w, c] to sr [b, h*scale, w*scale, c]. Published for luma: c = 1, `lr` the studio-range
    Y of MATLAB's rgb2ycbcr divided by 255, any size; `sr` is float32 and not clipped. One set of
    weights serves every scale. 665 K parameters and 612.6 G multiply-adds for a 1280x720 output
    (CARN's table, which leaves out biases).
    """

    scale: Scale = 4
    features: int = 64
    layers: int = 20
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        base = enlarge(lr.astype(jnp.float32), self.scale, "bicubic")
        x = base
        for i in range(self.layers - 1):
            x = nn.relu(conv(self.features, dtype=self.dtype, name=f"conv_{i}")(x))
        last = f"conv_{self.layers - 1}"
        x = conv(lr.shape[-1], gain=0.1, dtype=self.dtype, name=last)(x)
        return base + x.astype(jnp.float32)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    """Name and hyper-parameters by the shapes of a state dict, or of caffe-vdsr's `.mat` arrays.

    The scale is left out: one file serves them all.
    """
    sizes = {_own(name): math.prod(shape) for name, shape in shapes.items()}
    layers, features = len(sizes) // 2, sizes.get("conv_0.bias", 0)
    names = {f"conv_{i}.{leaf}" for i in range(layers) for leaf in ("weight", "bias")}
    if layers < 3 or sizes.keys() != names:
        return None
    if any(sizes[f"conv_{i}.weight"] != 9 * features**2 for i in range(1, layers - 1)):
        return None
    return {"model": "vdsr", "hparams": {"features": features, "layers": layers}}


def from_matconvnet(arrays: Mapping[str, np.ndarray]) -> dict:
    """Variables from the arrays of a caffe-vdsr `.mat`, as `jsr.foreign_files.matlab` reads it."""
    params = {}
    for name, array in arrays.items():
        layer, _, leaf = _own(name).partition(".")
        if leaf == "weight":
            # MATLAB drops a last axis of one; the others are in the order of Flax.
            kernel = array.reshape(array.shape + (1,) * (4 - array.ndim))
            params.setdefault(layer, {})["kernel"] = kernel.astype(np.float32)
        else:
            params.setdefault(layer, {})["bias"] = array.ravel().astype(np.float32)
    return {"params": params, "batch_stats": {}}


def _own(name: str) -> str:
    return re.sub(r"^model\.(weight|bias)\.(\d+)$", r"conv_\2.\1", name)
