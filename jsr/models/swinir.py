"""SwinIR: groups of shifted-window attention between a first convolution and an enlargement."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jsr.models.dropout import drop_rates, stochastic_depth
from jsr.models.layers import (
    STAGES,
    TORCH_GAIN,
    Scale,
    conv,
    mean_colour,
    pixel_shuffle,
    sub_pixel_scale,
    sub_pixel_stages,
)
from jsr.models.remat import rematerialised
from jsr.models.scanned import in_turn
from jsr.models.tails import apply_tail, nearest_tail
from jsr.models.window_attention import (
    TABLE,
    WindowAttention,
    mlp,
    norm,
    relative_places,
    seam_mask,
)

_LAYER = r"norm[12]|attn\.qkv|attn\.proj|mlp\.fc[12]"
_NAMES = re.compile(
    rf"layers\.\d+\.(residual_group\.blocks\.\d+\.({_LAYER})|conv(\.[024])?)\.(weight|bias)"
    r"|layers\.\d+\.residual_group\.blocks\.\d+\."
    r"(attn\.relative_position_(bias_table|index)|attn_mask)"
    r"|(conv_first|patch_embed\.norm|norm|conv_after_body(\.[024])?|conv_before_upsample\.0"
    r"|upsample\.[024]|conv_up[123]|conv_hr|conv_last)\.(weight|bias)"
)
_BLOCK = "layers.0.residual_group.blocks.0."


class SwinBlock(nn.Module):
    """Window attention and an MLP, each normalised first and added; [b, h, w, c] is kept."""

    heads: int
    window: int
    shift: int
    mlp_ratio: float
    drop_rate: float | jax.Array
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        attention = WindowAttention(self.heads, self.window, self.shift, self.dtype, name="attn")
        x = x + stochastic_depth(attention(norm(self.dtype, "norm1")(x)), self.drop_rate, train)
        y = mlp(norm(self.dtype, "norm2")(x), self.mlp_ratio)
        return x + stochastic_depth(y, self.drop_rate, train)


class SwinGroup(nn.Module):
    """Blocks, every second one with its windows moved, a convolution and the input again.

    The residual Swin transformer block of Liang et al. 2021, eqs. 5 and 6; [b, h, w, c] is kept.
    """

    drop_rates: Sequence[float] | jax.Array
    heads: int
    window: int
    mlp_ratio: float
    resi_connection: str
    remat: bool
    scan: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        block = rematerialised(SwinBlock, self.remat, static=(2,))
        blocks = [
            block(
                self.heads,
                self.window,
                j % 2 * (self.window // 2),
                self.mlp_ratio,
                rate,
                self.dtype,
                name=f"residual_group.blocks.{j}",
            )
            for j, rate in enumerate(self.drop_rates)
        ]
        y = in_turn(blocks, x, train, scan=self.scan, cycle=2)
        return x + residual_conv(y, self.resi_connection, "conv")


def residual_conv(x: jax.Array, kind: str, name: str) -> jax.Array:
    """One 3x3 convolution, or three through a quarter of the features; [b, h, w, c] is kept."""

    def layer(features, name, kernel=3):
        return conv(features, kernel, gain=TORCH_GAIN, dtype=x.dtype, name=name)

    f = x.shape[-1]
    if kind == "1conv":
        return layer(f, name)(x)
    x = nn.leaky_relu(layer(f // 4, f"{name}.0")(x), 0.2)
    x = nn.leaky_relu(layer(f // 4, f"{name}.2", kernel=1)(x), 0.2)
    return layer(f, f"{name}.4")(x)


class SwinIR(nn.Module):
    """Liang et al. 2021, Fig. 2: lr [b, h, w, c] to sr [b, h*scale, w*scale, c].

    `lr` in [0, 1], any size; `sr` is float32 and not clipped. `groups` of `blocks` blocks each,
    every second one with its windows moved by half. Published are, all with `window=8`:

    - classical: the defaults; 11,900,199 parameters at x4 (README: 11.9 M), 53.6 G multiply-adds
      for 64x64 (HAT's README);
    - lightweight: `features=60, groups=4, upsampler="pixelshuffledirect"`; 878 K, 886 K and 897 K
      parameters without the tables of biases, which are 32 K; 195.6 G, 87.2 G and 49.6 G
      multiply-adds for 1280x720 without the attention's products (README), 241 G, 109 G and 63 G
      with them;
    - real-world x4: `upsampler="nearest+conv"`; large: also `features=240, groups=9, heads=8,
      resi_connection="3conv"`.

    At scale 1 nothing is enlarged and the input is added (denoising; JPEG artifacts with
    `window=7, img_range=255.0`). `padding="always"` is what the authors' test program does and
    their figures come from: mirrored to the *next* multiple of the window, even where the size is
    one. In training, and with "needed", sizes that are multiples stay; the network's own padding
    mirrors about the last pixel. `drop_path` is the last block's rate of stochastic depth in
    training, 0.1 in the authors' code, falling linearly to 0 in the first.
    """

    scale: Scale = 4
    features: int = 180
    groups: int = 6
    blocks: int = 6
    heads: int = 6
    window: int = 8
    mlp_ratio: float = 2.0
    upsampler: Literal["pixelshuffle", "pixelshuffledirect", "nearest+conv"] = "pixelshuffle"
    resi_connection: Literal["1conv", "3conv"] = "1conv"
    img_range: float = 1.0
    padding: Literal["always", "needed"] = "always"
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
        x = pad(lr, self.window, always=self.padding == "always" and not train)
        x = (x - mean) * self.img_range
        shallow = self._conv(self.features, "conv_first")(x.astype(self.dtype))
        y = norm(self.dtype, "patch_embed.norm")(shallow)
        groups = [
            SwinGroup(
                rates,
                self.heads,
                self.window,
                self.mlp_ratio,
                self.resi_connection,
                self.remat,
                self.scan,
                self.dtype,
                name=f"layers.{i}",
            )
            for i, rates in enumerate(drop_rates(self.drop_path, self.groups, self.blocks))
        ]
        y = in_turn(groups, y, train, scan=self.scan)
        y = norm(self.dtype, "norm")(y)
        deep = shallow + residual_conv(y, self.resi_connection, "conv_after_body")
        sr = self._enlarge(deep, c) if self.scale > 1 else x + self._conv(c, "conv_last")(deep)
        sr = sr.astype(jnp.float32) / self.img_range + mean
        return sr[:, : h * self.scale, : w * self.scale]

    def _enlarge(self, x: jax.Array, channels: int) -> jax.Array:
        if self.upsampler == "pixelshuffledirect":
            return pixel_shuffle(self._conv(channels * self.scale**2, "upsample.0")(x), self.scale)
        if self.upsampler == "pixelshuffle":
            return sub_pixel_tail(x, channels, self.scale, self.dtype)
        x = nn.leaky_relu(self._conv(64, "conv_before_upsample.0")(x), 0.01)
        return nearest_tail(x, STAGES[self.scale], channels, self.dtype)

    def _conv(self, features: int, name: str, kernel: int = 3) -> nn.Conv:
        return conv(features, kernel, gain=TORCH_GAIN, dtype=self.dtype, name=name)


def pad(x: jax.Array, window: int, always: bool) -> jax.Array:
    """Mirror [b, h, w, c] at its bottom and right to multiples of `window`.

    `always` goes on to the next multiple and repeats the last pixel; else sizes that are
    multiples stay, and the last pixel is not repeated.
    """
    less = [window - n % window if always else -n % window for n in x.shape[1:3]]
    mode = "symmetric" if always else "reflect"
    return jnp.pad(x, ((0, 0), *((0, n) for n in less), (0, 0)), mode=mode)


def sub_pixel_tail(x: jax.Array, channels: int, scale: int, dtype: Any) -> jax.Array:
    """64 features, enlarged by stages of sub-pixels, to an image of `channels`."""
    shared = {"gain": TORCH_GAIN, "dtype": dtype}
    x = nn.leaky_relu(conv(64, **shared, name="conv_before_upsample.0")(x), 0.01)
    stages = sub_pixel_stages(64, scale, "upsample", dtype)
    last = conv(channels, **shared, name="conv_last")
    return apply_tail(lambda x: last(stages(x)), x, scale)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """What a state dict of these names and shapes is: registry name and hyper-parameters.

    None for another family, and for a network whose groups differ.
    """
    first, table = shapes.get("conv_first.weight"), shapes.get(f"{_BLOCK}attn.{TABLE}")
    if None in (first, table) or not all(map(_NAMES.fullmatch, shapes)):
        return None
    depths = group_depths(shapes)
    if len(set(depths)) != 1:
        return None
    window = (math.isqrt(table[0]) + 1) // 2
    upsampler, scale = _upsampler(shapes, first[1])
    return {
        "model": "swinir",
        "hparams": {
            "scale": scale,
            "features": first[0],
            "groups": len(depths),
            "blocks": depths[0],
            "heads": table[1],
            "window": window,
            "mlp_ratio": shapes[_BLOCK + "mlp.fc1.weight"][0] / first[0],
            "upsampler": upsampler,
            "resi_connection": "1conv" if "conv_after_body.weight" in shapes else "3conv",
            # Not in a file: only the networks against JPEG artifacts, with windows of 7, differ.
            "img_range": 255.0 if window == 7 else 1.0,
        },
    }


def torch_extras(module: nn.Module, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the original's state dict has beside `state`: indices and masks of the attention.

    The masks are for the picture's side that the original's class is made for: 126 with windows of
    7, as the authors' test program has it, else the default of 64. They are left out where windows
    do not divide it.
    """
    window = module.window
    side = 126 if window == 7 else 64
    extras = {}
    for name in (name for name in state if name.endswith(f".attn.{TABLE}")):
        block = name.removesuffix(f"attn.{TABLE}")
        extras[f"{block}attn.relative_position_index"] = relative_places(window)
        if int(block.split(".")[-2]) % 2 and side % window == 0:
            mask = seam_mask(side // window, side // window, window, window // 2)
            extras[f"{block}attn_mask"] = np.asarray(mask).reshape(-1, window**2, window**2)
    return extras


def group_depths(shapes: Mapping[str, tuple[int, ...]]) -> list[int]:
    """How many blocks each group has, by the names of a state dict."""
    found = (re.match(r"layers\.(\d+)\.residual_group\.blocks\.(\d+)\.", n) for n in shapes)
    return list(Counter(group for group, _ in {m.groups() for m in found if m}).values())


def _upsampler(shapes: Mapping[str, tuple[int, ...]], channels: int) -> tuple[str, int]:
    if "conv_hr.weight" in shapes:
        return "nearest+conv", 2 ** sum(f"conv_up{i}.weight" in shapes for i in (1, 2, 3))
    if "conv_before_upsample.0.weight" in shapes:
        return "pixelshuffle", sub_pixel_scale(shapes, "upsample", 64)
    if "upsample.0.weight" in shapes:
        return "pixelshuffledirect", math.isqrt(shapes["upsample.0.weight"][0] // channels)
    return "pixelshuffle", 1
