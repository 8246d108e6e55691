"""FSRCNN: a narrow hourglass at the LR size and one transposed convolution."""

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jsr.models.activations import PReLU
from jsr.models.layers import conv, kaiming_normal, pixel_shuffle


class FSRCNN(nn.Module):
    """The network of Dong et al. 2016 (ECCV), Fig. 2.

    lr [b, h, w, c] to sr [b, h*scale, w*scale, c]. `features`, `shrunk` and `mappings` are the
    paper's d, s and m: 56, 12, 4, and 32, 5, 1 for FSRCNN-s. Published for luma: c = 1, `lr` the
    studio-range Y of MATLAB's rgb2ycbcr divided by 255, any size; `sr` is float32 and not clipped.
    12,464 weights, 3,937 for FSRCNN-s, without biases and slopes (the paper's counts); each is used
    once for every LR pixel.

    `tail="subpixel"` ends with a 1x1 convolution and a pixel shuffle in place of the 9x9 transposed
    convolution, as Saafke's weights for OpenCV do; these were trained on full-range luma, to and
    from which `full_range` converts inside.
    """

    scale: Literal[2, 3, 4, 8] = 4
    features: int = 56
    shrunk: int = 12
    mappings: int = 4
    tail: Literal["transposed", "subpixel"] = "transposed"
    full_range: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        x = (lr * 255.0 - 16.0) / 219.0 if self.full_range else lr
        x = self._layer(x, self.features, 5, "first_part", 0)
        x = self._layer(x, self.shrunk, 1, "mid_part", 0)
        for i in range(self.mappings):
            x = self._layer(x, self.shrunk, 3, "mid_part", 2 * i + 2)
        x = self._layer(x, self.features, 1, "mid_part", 2 * self.mappings + 2)
        sr = self._tail(x, lr.shape[-1]).astype(jnp.float32)
        return (sr * 219.0 + 16.0) / 255.0 if self.full_range else sr

    def _layer(self, x: jax.Array, features: int, kernel: int, part: str, i: int) -> jax.Array:
        x = conv(features, kernel=kernel, dtype=self.dtype, name=f"{part}.{i}")(x)
        return PReLU(name=f"{part}.{i + 1}")(x)

    def _tail(self, x: jax.Array, channels: int) -> jax.Array:
        s = self.scale
        if self.tail == "subpixel":
            layer = conv(channels * s**2, kernel=1, gain=0.1, dtype=self.dtype, name="last_part")
            return pixel_shuffle(layer(x), s)
        # As in PyTorch: a padding of 4 and an output padding of scale - 1.
        return nn.ConvTranspose(
            channels,
            (9, 9),
            strides=(s, s),
            padding=((4, 3 + s), (4, 3 + s)),
            transpose_kernel=True,
            kernel_init=kaiming_normal(0.1),
            dtype=self.dtype,
            name="last_part",
        )(x)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    """Name and hyper-parameters by the shapes of a state dict (yjn870's), or of the constants of
    Saafke's `.pb`.

    The scale of a transposed convolution is left out: its weights do not tell.
    """
    if "alpha1" in shapes:
        return _recognise_graph(shapes)
    kernels = [n for n, s in shapes.items() if n.startswith("mid_part.") and len(s) == 4]
    mappings = len(kernels) - 2
    head, shrink, last = (
        shapes.get(f"{layer}.weight", ()) for layer in ("first_part.0", "mid_part.0", "last_part")
    )
    if mappings < 1 or head[2:] != (5, 5) or shrink[2:] != (1, 1) or len(last) != 4:
        return None
    hparams = {"features": head[0], "shrunk": shrink[0], "mappings": mappings}
    if last[2:] == (9, 9):
        return {"model": "fsrcnn", "hparams": hparams}
    if last[2:] != (1, 1):
        return None
    scale = math.isqrt(last[0] // head[1])
    return {"model": "fsrcnn", "hparams": {"scale": scale, **hparams, "tail": "subpixel"}}


def _recognise_graph(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    mappings = len([name for name in shapes if re.fullmatch(r"alpha\d+", name)]) - 3
    head, shrink, last = (shapes.get(f"f{i}", ()) for i in (1, 2, mappings + 4))
    if any(len(kernel) != 4 for kernel in (head, shrink, last)) or head[:2] != (5, 5):
        return None
    hparams = {"features": head[3], "shrunk": shrink[3], "mappings": mappings}
    hparams = {"scale": math.isqrt(last[3]), **hparams, "tail": "subpixel", "full_range": True}
    return {"model": "fsrcnn", "hparams": hparams}


def from_tensorflow(arrays: Mapping[str, np.ndarray]) -> dict:
    """Variables from the constants of Saafke's `.pb`, as `jsr.foreign_files.tensorflow_graph` reads
    it.
    """
    count = len([name for name in arrays if re.fullmatch(r"f\d+", name)])
    names = ["first_part.0", *(f"mid_part.{2 * i}" for i in range(count - 2)), "last_part"]
    params = {}
    for i, name in enumerate(names, 1):
        kernel, bias = arrays[f"f{i}"], arrays[f"b{i}"]
        # The last bias is added behind the shuffle: one for all sub-pixels.
        params[name] = {"kernel": kernel, "bias": np.full(kernel.shape[-1:], bias)}
        if f"alpha{i}" in arrays:
            part, _, position = name.partition(".")
            params[f"{part}.{int(position) + 1}"] = {"alpha": arrays[f"alpha{i}"]}
    return {"params": params, "batch_stats": {}}
