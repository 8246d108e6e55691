"""SRCNN, the three-layer network that began super-resolution by convolution."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jsr.models.layers import Scale, enlarge, kaiming_normal


class SRCNN(nn.Module):
    """The network of Dong et al. 2014 (ECCV), Fig. 2.

    lr [b, h, w, c] to sr [b, h*scale, w*scale, c]. Three convolutions on a bicubic enlargement,
    with 9x9, `mapping`x`mapping` and 5x5 filters: SRCNN 9-1-5 of 2014, 9-3-5 and 9-5-5 of the
    paper's longer form (2016, TPAMI). Published for luma: c = 1, `lr` the studio-range Y of
    MATLAB's rgb2ycbcr divided by 255, any size; with c = 3 it is the plain three-layer network on
    RGB. `sr` is float32 and not clipped. 8,032, 24,416 and 57,184 weights without biases (TPAMI),
    each used once for every HR pixel: 52.7 G multiply-adds by 9-5-5 for a 1280x720 output (CARN's
    table).

    The authors' code repeats the picture's edge around each layer; with `edges="zeros"` there are
    zeros, as in most implementations since.
    """

    scale: Scale = 4
    features: int = 64
    mapped: int = 32
    mapping: Literal[1, 3, 5] = 1
    edges: Literal["repeat", "zeros"] = "repeat"
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        x = enlarge(lr.astype(jnp.float32), self.scale, "bicubic")
        x = nn.relu(self._layer(x, self.features, 9, "conv1"))
        x = nn.relu(self._layer(x, self.mapped, self.mapping, "conv2"))
        return self._layer(x, lr.shape[-1], 5, "conv3").astype(jnp.float32)

    def _layer(self, x: jax.Array, features: int, kernel: int, name: str) -> jax.Array:
        pad = kernel // 2
        mode = "edge" if self.edges == "repeat" else "constant"
        return nn.Conv(
            features,
            (kernel, kernel),
            padding="VALID",
            kernel_init=kaiming_normal(),
            dtype=self.dtype,
            name=name,
        )(jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode=mode))


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    """Name and hyper-parameters by the shapes of a state dict, or of the arrays in one of the
    authors' `.mat` files.

    The scale is left out: the weights do not tell.
    """
    if "weights_conv2" in shapes:
        return _recognise_mat(shapes)
    layers = ("conv1", "conv2", "conv3")
    if shapes.keys() != {f"{layer}.{leaf}" for layer in layers for leaf in ("weight", "bias")}:
        return None
    head, middle, tail = (shapes[f"{layer}.weight"] for layer in layers)
    if (head[2:], tail[2:]) != ((9, 9), (5, 5)) or middle[2:] not in ((1, 1), (3, 3), (5, 5)):
        return None
    # A state dict comes from PyTorch, where the edges are zeros.
    hparams = {"features": head[0], "mapped": middle[0], "mapping": middle[2], "edges": "zeros"}
    return {"model": "srcnn", "hparams": hparams}


def _recognise_mat(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    wanted = {f"{kind}_conv{i}" for kind in ("weights", "biases") for i in (1, 2, 3)}
    if not shapes.keys() >= wanted or len(shapes["weights_conv2"]) != 3:
        return None
    features, taps, mapped = shapes["weights_conv2"]
    if shapes["weights_conv1"] != (81, features) or shapes["weights_conv3"] != (mapped, 25):
        return None
    hparams = {"features": features, "mapped": mapped, "mapping": math.isqrt(taps)}
    return {"model": "srcnn", "hparams": hparams}


def from_matlab(arrays: Mapping[str, np.ndarray]) -> dict:
    """Variables from one of the authors' `.mat` files, as `jsr.foreign_files.matlab` reads it.

    A filter is stored as one column, the first axis fastest: [taps, out], [in, taps, out] and [in,
    taps].
    """
    first, middle, last = (arrays[f"weights_conv{i}"] for i in (1, 2, 3))
    kernels = (first[None], middle, last[..., None])
    params = {}
    for i, kernel in enumerate(kernels, 1):
        inputs, taps, outputs = kernel.shape
        side = math.isqrt(taps)
        kernel = kernel.reshape(inputs, side, side, outputs).transpose(2, 1, 0, 3)
        bias = arrays[f"biases_conv{i}"].ravel()
        params[f"conv{i}"] = {
            "kernel": kernel.astype(np.float32),
            "bias": bias.astype(np.float32),
        }
    return {"params": params, "batch_stats": {}}
