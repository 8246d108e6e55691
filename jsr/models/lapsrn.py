"""LapSRN and MS-LapSRN: networks that double the size level by level."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jsr.models.layers import conv, kaiming_normal

PyramidScale = Literal[2, 4, 8]
# Doublings of an enlargement.
LEVELS = {2: 1, 4: 2, 8: 3}


class LapSRN(nn.Module):
    """The network of Lai et al. 2017 (CVPR), Fig. 1.

    lr [b, h, w, c] to sr [b, h*scale, w*scale, c]. Published for luma: c = 1, `lr` the studio-range
    Y of MATLAB's rgb2ycbcr divided by 255, any size; `sr` is float32 and not clipped. As in the
    released weights, levels are counted down to 1, the finest, and have ten convolutions for x2 and
    x4 but five for x8. 407 K parameters at x2, 813 K at x4; CARN's table gives x4 149.4 G
    multiply-adds for a 1280x720 output.
    """

    scale: PyramidScale = 4
    features: int = 64
    depth: int = 10
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        f, c, dtype = self.features, lr.shape[-1], self.dtype
        sr = lr.astype(jnp.float32)
        x = _lrelu(conv(f, dtype=dtype, name="input_conv")(lr))
        for level in reversed(range(1, LEVELS[self.scale] + 1)):
            for i in range(1, self.depth + 1):
                x = _lrelu(conv(f, dtype=dtype, name=f"level{level}_conv{i}")(x))
            x = _lrelu(_double(f, dtype, name=f"level{level}_upconv")(x))
            residual = conv(c, gain=0.1, dtype=dtype, name=f"level{level}_residual_conv")(x)
            sr = _double_picture(c, name=f"level{level}_img_up")(sr) + residual.astype(jnp.float32)
        return sr


class MSLapSRN(nn.Module):
    """The network of Lai et al. 2018 (TPAMI): one set of weights for every level.

    As LapSRN, but each level applies its `depth` convolutions `recursions` times and adds what the
    level was given after each time (shared-source local residual learning). The same variables
    serve every scale: 222 K, however often they are applied; D5R2, D5R5 and D5R8 were released.
    """

    scale: PyramidScale = 4
    features: int = 64
    depth: int = 5
    recursions: int = 8
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        f, c, dtype = self.features, lr.shape[-1], self.dtype
        convs = [conv(f, dtype=dtype, name=f"conv{i}") for i in range(1, self.depth + 1)]
        double = _double(f, dtype, name="upconv")
        residual = conv(c, gain=0.1, dtype=dtype, name="residual_conv")
        double_picture = _double_picture(c, name="img_up")
        sr = lr.astype(jnp.float32)
        x = conv(f, dtype=dtype, name="input_conv")(lr)
        for _ in range(LEVELS[self.scale]):
            given = x
            for _ in range(self.recursions):
                for layer in convs:
                    x = layer(_lrelu(x))
                x = given + x
            x = double(_lrelu(x))
            sr = double_picture(sr) + residual(x).astype(jnp.float32)
        return sr


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict | None:
    """Name and hyper-parameters by the shapes of a state dict, or of the arrays in a released
    `.mat`.

    That of MS-LapSRN leaves out the scale: one file serves them all.
    """
    sizes = {_own(name): math.prod(shape) for name, shape in shapes.items()}
    sizes = {name: size for name, size in sizes.items() if name.endswith((".weight", ".bias"))}
    features = sizes.get("input_conv.bias", 0)
    depth = len([name for name in sizes if re.fullmatch(r"(level1_)?conv\d+\.bias", name)])
    levels = len([name for name in sizes if re.fullmatch(r"level\d_upconv\.bias", name)])
    prefixes = [f"level{i}_" for i in range(1, levels + 1)] or [""]
    if not depth or levels > 3 or sizes.keys() != _names(prefixes, depth):
        return None
    if any(sizes[f"{prefix}upconv.weight"] != 9 * features**2 for prefix in prefixes):
        return None
    hparams = {"features": features, "depth": depth}
    if levels:
        return {"model": "lapsrn", "hparams": {"scale": 2**levels, **hparams}}
    return {"model": "mslapsrn", "hparams": {**hparams, "recursions": _recursions(shapes)}}


def from_matconvnet(arrays: Mapping[str, np.ndarray]) -> dict:
    """Variables from the arrays of a released `.mat`, as `jsr.foreign_files.matlab` reads it."""
    params = {}
    for name, array in arrays.items():
        layer, _, leaf = _own(name).partition(".")
        if leaf == "weight":
            # MATLAB drops last axes of one; the others are in the order of Flax, those of a
            # transposed convolution too.
            kernel = array.reshape(array.shape + (1,) * (4 - array.ndim))
            params.setdefault(layer, {})["kernel"] = kernel.astype(np.float32)
        elif leaf == "bias":
            params.setdefault(layer, {})["bias"] = array.ravel().astype(np.float32)
    return {"params": params, "batch_stats": {}}


def _own(name: str) -> str:
    name = re.sub(r"^net\.params\.(\w+)_f\.value$", r"\1.weight", name)
    return re.sub(r"^net\.params\.(\w+)_b\.value$", r"\1.bias", name)


def _names(prefixes: list[str], depth: int) -> set[str]:
    """The tensors of a network whose levels have these prefixes."""
    parts = [*(f"conv{i}" for i in range(1, depth + 1)), "upconv", "residual_conv"]
    layers = ["input_conv", *(prefix + part for prefix in prefixes for part in parts)]
    names = {f"{layer}.{leaf}" for layer in layers for leaf in ("weight", "bias")}
    return names | {f"{prefix}img_up.weight" for prefix in prefixes}


def _recursions(names: Iterable[str]) -> int:
    """How often a level applies its convolutions, which only the variables of a `.mat` tell."""
    pattern = r"net\.vars\.x2SR_level1_R(\d+)_output\.precious"
    found = [int(m[1]) for m in (re.fullmatch(pattern, name) for name in names) if m]
    # The best of the three published networks.
    return max(found, default=8)


def _lrelu(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.2)


def _double(features: int, dtype: Any, name: str) -> nn.ConvTranspose:
    """A transposed convolution [b, h, w, c] to [b, 2h, 2w, features]: 3x3, one row and column of
    the result cut off at the end.
    """
    return nn.ConvTranspose(
        features,
        (3, 3),
        strides=(2, 2),
        padding=((2, 1), (2, 1)),
        transpose_kernel=True,
        kernel_init=kaiming_normal(),
        dtype=dtype,
        name=name,
    )


def _double_picture(channels: int, name: str) -> nn.ConvTranspose:
    """A learnt enlargement [b, h, w, c] to [b, 2h, 2w, c], bilinear at first."""

    def bilinear(key, shape, dtype=jnp.float32):
        ramp = jnp.array([0.25, 0.75, 0.75, 0.25], dtype)
        return jnp.einsum("h,w,oi->hwoi", ramp, ramp, jnp.eye(shape[2], dtype=dtype))

    return nn.ConvTranspose(
        channels,
        (4, 4),
        strides=(2, 2),
        padding=((2, 2), (2, 2)),
        use_bias=False,
        transpose_kernel=True,
        kernel_init=bilinear,
        name=name,
    )
