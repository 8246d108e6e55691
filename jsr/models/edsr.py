"""EDSR and its multi-scale sibling MDSR: residual networks without batch normalisation."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jsr.models.activations import Activation, activation
from jsr.models.desubpixel import sub_pixels
from jsr.models.dropout import drop_channels, drop_rates, stochastic_depth
from jsr.models.layers import (
    DIV2K_MEAN,
    STAGES,
    TORCH_GAIN,
    conv,
    mean_colour,
    sub_pixel_scale,
    sub_pixel_stages,
)
from jsr.models.remat import rematerialised
from jsr.models.tails import apply_tail

# The networks compute on pictures in 0..255 less DIV2K's mean colour.
RANGE = 255.0
# Their mean colour in that range, as float32 has it.
MEAN = np.float32(RANGE) * np.float32(DIV2K_MEAN)
# The scales of MDSR, in the order of its branches.
SCALES = (2, 3, 4)
_NAMES = re.compile(
    r"(head\.0|body\.\d+(\.body\.[02])?|tail\.(0\.[024]|[01])"
    r"|pre_process\.[012]\.[01]\.body\.[02]|upsample\.[012]\.[02])\.(weight|bias)"
)
_BASICSR = {"conv_first": "head.0", "upsample": "tail.0", "conv_last": "tail.1"}


class ResBlock(nn.Module):
    """Two convolutions, an activation between, scaled and added to the input; [b, h, w, c] kept.

    Lim et al. 2017, Fig. 2c.
    """

    kernel: int = 3
    res_scale: float = 1.0
    activation: Activation = "relu"
    drop_rate: float = 0.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        settings = {"kernel": self.kernel, "gain": TORCH_GAIN, "dtype": self.dtype}
        y = conv(x.shape[-1], **settings, name="body.0")(x)
        y = activation(self.activation, "body.1")(y)
        y = self.res_scale * conv(x.shape[-1], **settings, name="body.2")(y)
        return x + stochastic_depth(y, self.drop_rate, train)


class EDSR(nn.Module):
    """The single-scale network of Lim et al. 2017 (CVPR workshops), Fig. 3.

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    The defaults are the baseline: 1.37, 1.55 and 1.52 M parameters for x2, x3 and x4 (the authors'
    README), 316.3 G multiply-adds at x2 for an SR of 1280x720 (Table 1 of ASSL, Zhang et al. 2021).
    The paper's network has `features=256, blocks=32, res_scale=0.1`: 40.7, 43.7 and 43.1 M
    parameters; at x4 it takes 2,895 G multiply-adds. x8 was not published. `activation`, `dropout`
    (of the channels before the last convolution), `drop_path` (the last block's rate of stochastic
    depth) and `desubpixel` (for CutBlur) are not the paper's.
    """

    scale: Literal[2, 3, 4, 8] = 4
    features: int = 64
    blocks: int = 16
    res_scale: float = 1.0
    activation: Activation = "relu"
    dropout: float = 0.0
    drop_path: float = 0.0
    desubpixel: bool = False
    remat: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        mean, settings = mean_colour(lr.shape[3]), {"gain": TORCH_GAIN, "dtype": self.dtype}
        lr, x = sub_pixels(lr, self.scale, mean) if self.desubpixel else (lr, lr - mean)
        head = x = conv(self.features, **settings, name="head.0")((x * RANGE).astype(self.dtype))
        block = rematerialised(ResBlock, self.remat, static=(2,))
        for i, rate in enumerate(drop_rates(self.drop_path, 1, self.blocks)[0]):
            shared = {"res_scale": self.res_scale, "dtype": self.dtype, "name": f"body.{i}"}
            x = block(**shared, activation=self.activation, drop_rate=rate)(x, train)
        x = head + conv(self.features, **settings, name=f"body.{self.blocks}")(x)
        stages = sub_pixel_stages(self.features, self.scale, "tail.0", self.dtype)
        last = conv(lr.shape[-1], **settings, name="tail.1")

        def tail(x: jax.Array) -> jax.Array:
            return last(drop_channels(stages(x), self.dropout, train))

        sr = apply_tail(tail, x, self.scale)
        return sr.astype(jnp.float32) / RANGE + mean


class MDSR(nn.Module):
    """The multi-scale network of Lim et al. 2017 (CVPR workshops), Fig. 5.

    lr [b, h, w, c] in [0, 1], any size, to sr [b, h*scale, w*scale, c], float32, not clipped.
    One set of weights serves the three scales: each has two blocks before the shared body and an
    enlargement behind it, whose variables are there at any `scale`. The defaults are the baseline
    of 3.23 M parameters; the paper's network has `blocks=80`: 7.95 M (the authors' README).
    """

    scale: Literal[2, 3, 4] = 4
    features: int = 64
    blocks: int = 16
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        mean, settings = mean_colour(lr.shape[-1]), {"gain": TORCH_GAIN, "dtype": self.dtype}
        x = ((lr - mean) * RANGE).astype(self.dtype)
        x = conv(self.features, **settings, name="head.0")(x)
        start = x = self._of_scale(self._pre_process, x)
        for i in range(self.blocks):
            x = ResBlock(dtype=self.dtype, name=f"body.{i}")(x)
        x = start + conv(self.features, **settings, name=f"body.{self.blocks}")(x)
        last = conv(lr.shape[-1], **settings, name="tail.0")
        sr = last(self._of_scale(self._upsample, x))
        return sr.astype(jnp.float32) / RANGE + mean

    def _of_scale(self, branch: Callable, x: jax.Array) -> jax.Array:
        if self.is_initializing():
            # One pixel gives the other scales' branches their variables at no cost.
            for other in set(SCALES) - {self.scale}:
                branch(x[:, :1, :1], other)
        return branch(x, self.scale)

    def _pre_process(self, x: jax.Array, scale: int) -> jax.Array:
        for i in (0, 1):
            name = f"pre_process.{SCALES.index(scale)}.{i}"
            x = ResBlock(kernel=5, dtype=self.dtype, name=name)(x)
        return x

    def _upsample(self, x: jax.Array, scale: int) -> jax.Array:
        prefix = f"upsample.{SCALES.index(scale)}"
        return sub_pixel_stages(self.features, scale, prefix, self.dtype)(x)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """What a state dict of these names and shapes is: registry name and hyper-parameters.

    None for another family. BasicSR's names and the mean shifts are understood too. The scale of
    MDSR is left out: one file serves them all.
    """
    shapes = {k: v for k, v in _renamed(shapes).items() if not k.startswith(("sub_", "add_"))}
    blocks = sum(bool(re.fullmatch(r"body\.\d+\.body\.0\.weight", name)) for name in shapes)
    if not blocks or "head.0.weight" not in shapes or not all(map(_NAMES.fullmatch, shapes)):
        return None
    features = shapes["head.0.weight"][0]
    hparams = {"features": features, "blocks": blocks}
    if "pre_process.0.0.body.0.weight" in shapes:
        return {"model": "mdsr", "hparams": hparams}
    scale = sub_pixel_scale(shapes, "tail.0", features)
    if scale not in STAGES or scale == 1 or "tail.1.weight" not in shapes:
        return None
    # Not in a file: only the paper's wide network scales its residuals.
    res_scale = 0.1 if features == 256 else 1.0
    return {"model": "edsr", "hparams": {"scale": scale, **hparams, "res_scale": res_scale}}


def canonical(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`state` with EDSR-PyTorch's names, from BasicSR's too, and without mean shifts.

    BasicSR's EDSR files compute on the same range and mean, `img_range` 255 and DIV2K's.
    """
    mdsr = "pre_process.0.0.body.0.weight" in state
    return without_mean_shifts(_renamed(state), tail="tail.0" if mdsr else "tail.1")


def torch_extras(module: nn.Module, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the original's state dict has beside `state`: the mean shifts, where it is of RGB."""
    return mean_shifts(state)


def mean_shifts(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """EDSR-PyTorch's constant convolutions `sub_mean` and `add_mean`; none unless it is of RGB."""
    if state["head.0.weight"].shape[1] != 3:
        return {}
    identity = np.eye(3, dtype=np.float32)[:, :, None, None]
    weights = {f"{name}_mean.weight": identity for name in ("sub", "add")}
    return {**weights, "sub_mean.bias": -MEAN, "add_mean.bias": MEAN}


def without_mean_shifts(state: Mapping[str, np.ndarray], tail: str) -> dict[str, np.ndarray]:
    """`state` without `sub_mean` and `add_mean`, which jsr computes.

    Before November 2018 EDSR-PyTorch, and RCAN's code with it, let training change these 1x1
    convolutions, so whatever they do beyond shifting by DIV2K's mean goes into the convolutions
    `head.0` and `tail`: exactly, except for the padding's share of a changed mean.
    """
    state, mean = dict(state), np.float64(MEAN)
    if _layers("sub_mean", "head.0") <= state.keys():
        matrix, shift = _pop(state, "sub_mean")
        kernel, bias = _pop(state, "head.0")
        bias = bias + kernel.sum((2, 3)) @ (shift + matrix[..., 0, 0] @ mean)
        _put(state, "head.0", np.einsum("oihw,ij->ojhw", kernel, matrix[..., 0, 0]), bias)
    if _layers("add_mean", tail) <= state.keys():
        matrix, shift = _pop(state, "add_mean")
        kernel, bias = _pop(state, tail)
        bias = matrix[..., 0, 0] @ bias + (shift - mean)
        _put(state, tail, np.einsum("oi,ijhw->ojhw", matrix[..., 0, 0], kernel), bias)
    return state


def _layers(*names: str) -> set[str]:
    return {f"{name}.{leaf}" for name in names for leaf in ("weight", "bias")}


def _pop(state: dict[str, np.ndarray], layer: str) -> tuple[np.ndarray, np.ndarray]:
    return np.float64(state.pop(f"{layer}.weight")), np.float64(state.pop(f"{layer}.bias"))


def _put(state: dict[str, np.ndarray], layer: str, weight: np.ndarray, bias: np.ndarray) -> None:
    state[f"{layer}.weight"], state[f"{layer}.bias"] = np.float32(weight), np.float32(bias)


def _renamed(state: Mapping[str, Any]) -> dict[str, Any]:
    if "body.0.conv1.weight" not in state or "conv_after_body.weight" not in state:
        return dict(state)
    blocks = sum(name.endswith(".conv1.weight") for name in state)
    renamed = {}
    for name, value in state.items():
        layer, *rest = name.split(".")
        layer = {**_BASICSR, "conv_after_body": f"body.{blocks}"}.get(layer, layer)
        name = ".".join([layer, *rest])
        renamed[name.replace(".conv1.", ".body.0.").replace(".conv2.", ".body.2.")] = value
    return renamed
