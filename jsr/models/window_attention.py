"""Attention inside the windows of an image, as SwinIR and HAT have it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

TABLE = "relative_position_bias_table"


def norm(dtype: Any, name: str) -> nn.LayerNorm:
    """Layer normalisation over the channels with PyTorch's constant; statistics are float32."""
    return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, dtype=dtype, name=name)


def dense(features: int, dtype: Any, name: str) -> nn.Dense:
    """[..., c] to [..., features]; weights start as normal(0.02), as Swin's do."""
    start = nn.initializers.normal(0.02)
    return nn.Dense(features, kernel_init=start, dtype=dtype, name=name)


def mlp(x: jax.Array, ratio: float) -> jax.Array:
    """The two dense layers `mlp.fc1` and `mlp.fc2` of a block; [..., c] kept."""
    c = x.shape[-1]
    y = nn.gelu(dense(round(c * ratio), x.dtype, "mlp.fc1")(x), approximate=False)
    return dense(c, x.dtype, "mlp.fc2")(y)


def partition(x: jax.Array, window: int) -> jax.Array:
    """[b, h, w, c] to [b, h / window, w / window, window**2, c]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // window, window, w // window, window, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // window, w // window, window**2, c)


def unpartition(x: jax.Array, window: int) -> jax.Array:
    """[b, rows, columns, window**2, c] to [b, rows * window, columns * window, c]."""
    b, rows, columns, _, c = x.shape
    x = x.reshape(b, rows, columns, window, window, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, rows * window, columns * window, c)


def attend(q: jax.Array, k: jax.Array, v: jax.Array, heads: int, bias: jax.Array) -> jax.Array:
    """softmax(q k^T / sqrt(d) + bias) v by `heads`: q [..., n, c] and k, v [..., m, c].

    `bias` is broadcast to [..., heads, n, m]. The softmax is float32.
    """

    def split(x):
        return x.reshape(*x.shape[:-1], heads, -1)

    depth = q.shape[-1] // heads
    logits = jnp.einsum("...qhd,...khd->...hqk", split(q) * depth**-0.5, split(k))
    weights = nn.softmax(logits.astype(jnp.float32) + bias).astype(v.dtype)
    return jnp.einsum("...hqk,...khd->...qhd", weights, split(v)).reshape(q.shape)


def position_bias(module: nn.Module, heads: int, offsets: np.ndarray, roll: int = 0) -> jax.Array:
    """A learnt bias [heads, n**2, m**2] by how far a key of m x m is from a query of n x n.

    `offsets` [n, m], from 0, tell it along one axis; `roll` says where in the table (0, 0) is.
    """
    side = offsets.max() + 1
    table = module.param(TABLE, nn.initializers.normal(0.02), (side**2, heads), jnp.float32)
    table = jnp.roll(table, roll, 0).reshape(side, side, heads)
    pairs = table[offsets][:, :, offsets]  # rows [n, m], columns [n, m], heads
    n, m = offsets.shape
    return pairs.transpose(4, 0, 2, 1, 3).reshape(heads, n**2, m**2)


def seam_mask(rows: int, columns: int, window: int, shift: int) -> jax.Array:
    """-100 where a pair of places met only because the image was rolled, else 0.

    [rows, columns, 1, window**2, window**2], computed on the device: as a constant of the program
    it would take gigabytes for a large image.
    """

    def parted(windows, places):
        beyond = jnp.asarray(places >= window - shift)
        last = jnp.arange(windows) == windows - 1
        return last[:, None, None] & (beyond[:, None] != beyond)

    y, x = np.divmod(np.arange(window**2), window)
    either = parted(rows, y)[:, None] | parted(columns, x)
    return jnp.where(either, -100.0, 0.0)[:, :, None]


class WindowAttention(nn.Module):
    """Self-attention inside windows of the rolled image (Liu et al. 2021, eqs. 3 and 4).

    [b, h, w, c], h and w multiples of `window`, is kept.
    """

    heads: int
    window: int
    shift: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        window, shift = self.window, self.shift
        windows = partition(jnp.roll(x, (-shift, -shift), (1, 2)) if shift else x, window)
        qkv = dense(3 * x.shape[-1], self.dtype, "qkv")(windows)
        apart = np.subtract.outer(np.arange(window), np.arange(window)) + window - 1
        bias = position_bias(self, self.heads, apart)
        if shift:
            bias = bias + seam_mask(*windows.shape[1:3], window, shift)
        y = attend(*jnp.split(qkv, 3, -1), self.heads, bias)
        y = unpartition(dense(x.shape[-1], self.dtype, "proj")(y), window)
        return jnp.roll(y, (shift, shift), (1, 2)) if shift else y


def relative_places(window: int) -> np.ndarray:
    """Where in the table of biases the original finds a pair's: int64 [window**2, window**2]."""
    y, x = np.divmod(np.arange(window**2), window)
    rows, columns = (np.subtract.outer(a, a) + window - 1 for a in (y, x))
    return rows * (2 * window - 1) + columns
