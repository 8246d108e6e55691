"""SAFMN: features modulated by themselves at four resolutions."""

import math
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jsr.models.layers import TORCH_GAIN, Scale, conv, pixel_shuffle

_LEVELS = 4
_NAMES = re.compile(
    r"(to_feat|to_img\.0|feats\.\d+\.(norm[12]|safm\.(mfr\.[0-3]|aggr)|ccm\.ccm\.[02]))"
    r"\.(weight|bias)"
)


class FeatureMixing(nn.Module):
    """Spatially-adaptive feature modulation, then a convolutional channel mixer.

    Sun et al. 2023, Fig. 3; [b, h, w, c] is kept.
    """

    ffn_scale: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self._modulate(self._norm("norm1")(x))
        y = self._conv(round(x.shape[-1] * self.ffn_scale), 3, "ccm.ccm.0")(self._norm("norm2")(x))
        y = nn.gelu(y, approximate=False)
        return x + self._conv(x.shape[-1], 1, "ccm.ccm.2")(y)

    def _modulate(self, x: jax.Array) -> jax.Array:
        parts = jnp.split(x, _LEVELS, -1)
        parts = [self._level(part, level) for level, part in enumerate(parts)]
        y = self._conv(x.shape[-1], 1, "safm.aggr")(jnp.concatenate(parts, -1))
        return nn.gelu(y, approximate=False) * x

    def _level(self, x: jax.Array, level: int) -> jax.Array:
        h, w, c = x.shape[1:]
        small = max(h // 2**level, 1), max(w // 2**level, 1)
        x = adaptive_max_pool(x, small)
        x = nn.Conv(
            c,
            (3, 3),
            padding=((1, 1), (1, 1)),
            feature_group_count=c,
            kernel_init=nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
            dtype=self.dtype,
            name=f"safm.mfr.{level}",
        )(x)
        return nearest(x, (h, w))

    def _norm(self, name: str) -> nn.LayerNorm:
        return nn.LayerNorm(epsilon=1e-6, use_fast_variance=False, dtype=self.dtype, name=name)

    def _conv(self, features: int, kernel: int, name: str) -> nn.Conv:
        return conv(features, kernel, gain=TORCH_GAIN, dtype=self.dtype, name=name)


class SAFMN(nn.Module):
    """Sun et al. 2023, Fig. 3: lr [b, h, w, c] to sr [b, h*scale, w*scale, c].

    `lr` in [0, 1], any size; `sr` is float32 and not clipped. x2, x3 and x4 have 228 K, 233 K and
    240 K parameters and 52 G, 23 G and 14 G multiply-adds for 1280x720; the large ones,
    `features=128, blocks=16`, have 5.56 M, 5.58 M and 5.60 M, and 1274 G, 569 G and 321 G (the
    authors' README). `features` is a multiple of 4.
    """

    scale: Scale = 4
    features: int = 36
    blocks: int = 8
    ffn_scale: float = 2.0
    dtype: Any = jnp.float32
    # Sides that all levels divide, for a program that serves any of them.
    multiple = 2 ** (_LEVELS - 1)

    @nn.compact
    def __call__(self, lr: jax.Array, train: bool = False) -> jax.Array:
        shared = {"gain": TORCH_GAIN, "dtype": self.dtype}
        head = x = conv(self.features, **shared, name="to_feat")(lr)
        for i in range(self.blocks):
            x = FeatureMixing(self.ffn_scale, self.dtype, name=f"feats.{i}")(x)
        x = conv(lr.shape[-1] * self.scale**2, **shared, name="to_img.0")(head + x)
        return pixel_shuffle(x, self.scale).astype(jnp.float32)


def adaptive_max_pool(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """[b, h, w, c] to [b, *size, c], as PyTorch pools where the size does not divide.

    Cell k of n covers floor(k h / n) to ceil((k + 1) h / n): neighbours then share a row.
    """
    for axis, n in enumerate(size, 1):
        full = x.shape[axis]
        if full % n == 0:
            x = x.reshape(*x.shape[:axis], n, full // n, *x.shape[axis + 1 :]).max(axis + 1)
            continue
        starts, ends = np.arange(n) * full // n, -(-np.arange(1, n + 1) * full // n)
        taps = range((ends - starts).max())
        # A short cell counts its last row twice, which a maximum does not mind.
        rows = [x.take(np.minimum(starts + t, ends - 1), axis) for t in taps]
        x = jnp.stack(rows).max(0)
    return x


def nearest(x: jax.Array, size: tuple[int, int]) -> jax.Array:
    """[b, h, w, c] to [b, *size, c] by the nearest pixel, of PyTorch's rounding."""
    for axis, n in enumerate(size, 1):
        small = x.shape[axis]
        if n % small == 0:
            x = x.repeat(n // small, axis)
        else:
            # PyTorch multiplies in float32 by a rounded ratio.
            places = np.arange(n, dtype=np.float32) * np.float32(small / n)
            x = x.take(np.minimum(places.astype(int), small - 1), axis)
    return x


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """What a state dict of these names and shapes is: registry name and hyper-parameters.

    None for another family.
    """
    first, last = shapes.get("to_feat.weight"), shapes.get("to_img.0.weight")
    mixer = shapes.get("feats.0.ccm.ccm.0.weight")
    if None in (first, last, mixer) or not all(map(_NAMES.fullmatch, shapes)):
        return None
    hparams = {
        "scale": math.isqrt(last[0] // first[1]),
        "features": first[0],
        "blocks": len({name.split(".")[1] for name in shapes if name.startswith("feats.")}),
        "ffn_scale": mixer[0] / first[0],
    }
    return {"model": "safmn", "hparams": hparams}
