"""Pictures moved along a flow, and resampled linearly, as PyTorch does both."""

import jax
import jax.numpy as jnp
import numpy as np


def warp(x: jax.Array, flow: jax.Array, border: bool = False) -> jax.Array:
    """What lies `flow` away from each pixel: x [b, h, w, c], flow [b, h, w, 2] to [b, h, w, c].

    flow: pixels to the right and down. Bilinear; beyond its edges `x` is zero, or `border` goes on.
    (`grid_sample` with align_corners=True; Jaderberg et al. 2015, eq. 5.)
    """
    _, h, w, _ = x.shape
    rows, columns = flow[..., 1] + jnp.arange(h)[:, None], flow[..., 0] + jnp.arange(w)
    if border:
        rows, columns = jnp.clip(rows, 0, h - 1), jnp.clip(columns, 0, w - 1)
    top, left = jnp.floor(rows), jnp.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    above = _pick(x, top, left) * (1 - right) + _pick(x, top, left + 1) * right
    below = _pick(x, top + 1, left) * (1 - right) + _pick(x, top + 1, left + 1) * right
    return (above * (1 - down) + below * down).astype(x.dtype)


def _pick(x: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """The pixels of x [b, h, w, c] at whole places [b, h, w]; zero where there are none."""
    b, h, w, c = x.shape
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    # A flow that is not finite is no place; it makes what is warped by it not finite either way.
    rows = jnp.clip(rows, 0, h - 1).astype(jnp.int32)
    columns = jnp.clip(columns, 0, w - 1).astype(jnp.int32)
    places = (rows * w + columns).reshape(b, -1, 1)
    picked = jnp.take_along_axis(x.reshape(b, h * w, c), places, axis=1).reshape(b, h, w, c)
    return jnp.where(inside[..., None], picked, 0)


def resample(x: jax.Array, height: int, width: int, corners: bool = False) -> jax.Array:
    """Bilinear [b, h, w, c] to [b, height, width, c], without antialiasing; edges are repeated.

    corners: the first and the last pixels' centres stay where they are, in place of the outer
    edges. (`interpolate` with align_corners.)
    """
    return _resample_axis(_resample_axis(x, 1, height, corners), 2, width, corners)


def _resample_axis(x: jax.Array, axis: int, size: int, corners: bool) -> jax.Array:
    old = x.shape[axis]
    if old == size:
        return x
    if corners:
        places = np.arange(size) * ((old - 1) / max(size - 1, 1))
    else:
        places = np.maximum((np.arange(size) + 0.5) * (old / size) - 0.5, 0)
    first = np.minimum(np.floor(places).astype(np.int32), old - 1)
    weight = (places - first).astype(np.float32)
    shape = [size if a == axis else 1 for a in range(x.ndim)]
    weight = jnp.asarray(weight.reshape(shape), x.dtype)
    after = np.minimum(first + 1, old - 1)
    return jnp.take(x, first, axis) * (1 - weight) + jnp.take(x, after, axis) * weight
