"""HAT: SwinIR's groups with channel attention in the blocks and overlapping windows after them."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jsr.models.dropout import drop_rates, stochastic_depth
from jsr.models.layers import TORCH_GAIN, conv, mean_colour, sub_pixel_scale
from jsr.models.remat import rematerialised
from jsr.models.scanned import in_turn
from jsr.models.swinir import group_depths, pad, residual_conv, sub_pixel_tail
from jsr.models.window_attention import (
    TABLE,
    WindowAttention,
    attend,
    dense,
    mlp,
    norm,
    partition,
    position_bias,
    relative_places,
    unpartition,
)

_GROUP = "layers.0.residual_group."
_BLOCK = _GROUP + "blocks.0."
_CAB = r"conv_block\.cab\.(0|2|3\.attention\.[13])"
_NAMES = re.compile(
    rf"layers\.\d+\.residual_group\.blocks\.\d+\.({_CAB}|norm[12]|attn\.(qkv|proj)|mlp\.fc[12])"
    r"\.(weight|bias)"
    r"|layers\.\d+\.residual_group\.overlap_attn\.(norm[12]|qkv|proj|mlp\.fc[12])\.(weight|bias)"
    rf"|layers\.\d+\.residual_group\.(blocks\.\d+\.attn|overlap_attn)\.{TABLE}"
    r"|(layers\.\d+\.conv|conv_first|patch_embed\.norm|norm|conv_after_body"
    r"|conv_before_upsample\.0|upsample\.[024]|conv_last)\.(weight|bias)"
    r"|relative_position_index_(SA|OCA)"
)


class HybridBlock(nn.Module):
    """Window attention and, beside it, convolutions with channel attention.

    Chen et al. 2023, Fig. 5d and f; [b, h, w, c], h and w multiples of `window`, is kept.
    """

    heads: int
    window: int
    shift: int
    mlp_ratio: float
    compress: int
    squeeze: int
    conv_scale: float
    drop_rate: float | jax.Array
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        attention = WindowAttention(self.heads, self.window, self.shift, self.dtype, name="attn")
        y = norm(self.dtype, "norm1")(x)
        attended = stochastic_depth(attention(y), self.drop_rate, train)
        x = x + attended + self.conv_scale * self._channel_attention(y)
        y = mlp(norm(self.dtype, "norm2")(x), self.mlp_ratio)
        return x + stochastic_depth(y, self.drop_rate, train)

    def _channel_attention(self, x: jax.Array) -> jax.Array:
        def layer(features, kernel, place):
            name = f"conv_block.cab.{place}"
            return conv(features, kernel, gain=TORCH_GAIN, dtype=self.dtype, name=name)

        c = x.shape[-1]
        y = nn.gelu(layer(c // self.compress, 3, "0")(x), approximate=False)
        y = layer(c, 3, "2")(y)
        gate = y.mean((1, 2), keepdims=True)
        gate = nn.relu(layer(c // self.squeeze, 1, "3.attention.1")(gate))
        return y * nn.sigmoid(layer(c, 1, "3.attention.3")(gate))


class OverlapBlock(nn.Module):
    """Attention of each window to a larger one around it, and an MLP.

    Chen et al. 2023, Figs. 5e and 6; [b, h, w, c], h and w multiples of `window`, is kept. Outside
    the image keys and values are 0 and take part in the softmax, as in the original.
    """

    heads: int
    window: int
    overlap: int
    mlp_ratio: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        qkv = dense(3 * x.shape[-1], self.dtype, "qkv")(norm(self.dtype, "norm1")(x))
        q, k, v = jnp.split(qkv, 3, -1)
        k, v = (overlapping(y, self.window, self.overlap) for y in (k, v))
        bias = self._position_bias(self.window + self.overlap)
        y = unpartition(attend(partition(q, self.window), k, v, self.heads, bias), self.window)
        x = x + dense(x.shape[-1], self.dtype, "proj")(y)
        return x + mlp(norm(self.dtype, "norm2")(x), self.mlp_ratio)

    def _position_bias(self, keys: int) -> jax.Array:
        apart = np.subtract.outer(-np.arange(self.window), -np.arange(keys)) + self.window - 1
        # The original's indices start below zero, where PyTorch counts from the table's end.
        below = (self.window + self.overlap - 2) * (self.window + keys)
        return position_bias(self, self.heads, apart, roll=below)


class HATGroup(nn.Module):
    """Hybrid blocks, an overlapping one, a convolution and the input again.

    The residual hybrid attention group of Chen et al. 2023, Fig. 5c; [b, h, w, c] is kept.
    `hybrid` are the settings of HybridBlock but for its shift and rate.
    """

    drop_rates: Sequence[float] | jax.Array
    hybrid: Mapping[str, Any]
    overlap: int
    remat: bool
    scan: bool

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        block = rematerialised(HybridBlock, self.remat, static=(2,))
        last = rematerialised(OverlapBlock, self.remat)
        window, mlp_ratio = self.hybrid["window"], self.hybrid["mlp_ratio"]
        blocks = [
            block(
                **self.hybrid,
                shift=j % 2 * (window // 2),
                drop_rate=rate,
                name=f"residual_group.blocks.{j}",
            )
            for j, rate in enumerate(self.drop_rates)
        ]
        y = in_turn(blocks, x, train, scan=self.scan, cycle=2)
        settings = (self.hybrid["heads"], window, self.overlap, mlp_ratio, x.dtype)
        y = last(*settings, name="residual_group.overlap_attn")(y)
        return x + residual_conv(y, "1conv", "conv")


class HAT(nn.Module):
    """Chen et al. 2023 (the longer paper), Fig. 5: lr [b, h, w, c] to sr [b, h*scale, w*scale, c].

    `lr` in [0, 1], any size; `sr` is float32 and not clipped. Inside, sizes are mirrored to
    multiples of `window` where they are none. HAT has the defaults, 20,772,507 parameters at x4
    (README: 20.8 M, and 102.4 G multiply-adds for 64x64, where 103.9 G are counted here); HAT-S
    has `features=144, compress=24, squeeze=24`, 9,621,183 (README: 9.6 M, 54.9 G); HAT-L has
    `groups=12`, 40,846,575. `overlap_ratio` is by how much the window of keys is larger.
    `drop_path` is as in SwinIR.
    """

    scale: Literal[2, 3, 4, 8] = 4
    features: int = 180
    groups: int = 6
    blocks: int = 6
    heads: int = 6
    window: int = 16
    overlap_ratio: float = 0.5
    mlp_ratio: float = 2.0
    compress: int = 3
    squeeze: int = 30
    conv_scale: float = 0.01
    drop_path: float = 0.0
    remat: bool = False
    scan: bool = False
    dtype: Any = jnp.float32

    @property
    def multiple(self) -> int:
        """What a program for any size asks of the sides, so that its padding is constant."""
        return self.window

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        _, h, w, c = lr.shape
        mean = mean_colour(c)
        x = pad((lr - mean).astype(self.dtype), self.window, always=False)
        shallow = self._conv("conv_first")(x)
        y = norm(self.dtype, "patch_embed.norm")(shallow)
        hybrid = {
            "heads": self.heads,
            "window": self.window,
            "mlp_ratio": self.mlp_ratio,
            "compress": self.compress,
            "squeeze": self.squeeze,
            "conv_scale": self.conv_scale,
            "dtype": self.dtype,
        }
        overlap = round(self.window * self.overlap_ratio)
        groups = [
            HATGroup(rates, hybrid, overlap, self.remat, self.scan, name=f"layers.{i}")
            for i, rates in enumerate(drop_rates(self.drop_path, self.groups, self.blocks))
        ]
        y = in_turn(groups, y, train, scan=self.scan)
        deep = shallow + residual_conv(norm(self.dtype, "norm")(y), "1conv", "conv_after_body")
        sr = sub_pixel_tail(deep, c, self.scale, self.dtype).astype(jnp.float32) + mean
        return sr[:, : h * self.scale, : w * self.scale]

    def _conv(self, name: str) -> nn.Conv:
        return conv(self.features, gain=TORCH_GAIN, dtype=self.dtype, name=name)


def torch_extras(module: nn.Module, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the original's state dict has beside `state`: the indices of both kinds of attention."""
    window = module.window
    large = window + int(module.overlap_ratio * window)
    inner, outer = (np.divmod(np.arange(side**2), side) for side in (window, large))
    rows, columns = (
        (b[None] - a[:, None]) + window - large + 1 for a, b in zip(inner, outer, strict=True)
    )
    return {
        "relative_position_index_SA": relative_places(window),
        "relative_position_index_OCA": rows * (window + large - 1) + columns,
    }


def overlapping(x: jax.Array, window: int, overlap: int) -> jax.Array:
    """Windows with `overlap // 2` pixels more on every side, zeros outside of the image.

    [b, h, w, c] to [b, h / window, w / window, (window + overlap // 2 * 2)**2, c]; the overlap is
    at most two windows.
    """
    b, h, w, c = x.shape
    rows, columns, half = h // window, w // window, overlap // 2
    large = window + 2 * half
    x = _widen(x.reshape(b, rows, window, w * c), half)
    x = _widen(x.reshape(b * rows * large, columns, window, c), half)
    x = x.reshape(b, rows, large, columns, large, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, rows, columns, large**2, c)


def _widen(x: jax.Array, half: int) -> jax.Array:
    """Each [window] of [b, windows, window, c] with `half` entries of both its neighbours."""
    window = x.shape[2]
    y = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))
    return jnp.concatenate([y[:, :-2, window - half :], x, y[:, 2:, :half]], 2)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """What a state dict of these names and shapes is: registry name and hyper-parameters.

    None for another family, and for a network whose groups differ.
    """
    first, table = shapes.get("conv_first.weight"), shapes.get(f"{_BLOCK}attn.{TABLE}")
    overlap_table = shapes.get(f"{_GROUP}overlap_attn.{TABLE}")
    if None in (first, table, overlap_table) or not all(map(_NAMES.fullmatch, shapes)):
        return None
    depths, features = group_depths(shapes), first[0]
    if len(set(depths)) != 1:
        return None
    window = (math.isqrt(table[0]) + 1) // 2
    overlap = math.isqrt(overlap_table[0]) + 1 - 2 * window
    cab = f"{_BLOCK}conv_block.cab."
    return {
        "model": "hat",
        "hparams": {
            "scale": sub_pixel_scale(shapes, "upsample", 64),
            "features": features,
            "groups": len(depths),
            "blocks": depths[0],
            "heads": table[1],
            "window": window,
            "overlap_ratio": overlap / window,
            "mlp_ratio": shapes[_BLOCK + "mlp.fc1.weight"][0] / features,
            "compress": features // shapes[cab + "0.weight"][0],
            "squeeze": features // shapes[cab + "3.attention.1.weight"][0],
        },
    }
