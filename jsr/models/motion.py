"""Motion between two pictures without anything learnt: Lucas and Kanade's, from coarse to fine."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jsr.convolution import LAYOUT
from jsr.models.warping import resample, warp

# Levels of the pyramid at most, each half as large; the smallest has at least SMALLEST pixels.
LEVELS, SMALLEST = 4, 8
# Corrections on each level, each of at most a pixel.
STEPS = 2
# Along an axis, the weights of the pixels that are taken to move alike.
WINDOW = tuple(np.bartlett(11)[1:-1] / np.bartlett(11).sum())
# Added to the sums of squared gradients: the square of the noise that is no texture.
NOISE = 1e-3


def lucas_kanade(pictures: jax.Array, others: jax.Array) -> jax.Array:
    """The flow by which `warp(others, flow)` is like `pictures`.

    [b, h, w, c] both, in [0, 1], to pixels to the right and down [b, h, w, 2], float32. No gradient
    flows through it. (Lucas and Kanade 1981, iterated on a pyramid as by Bouguet 2001, with the
    window at every pixel.)
    """
    first, second = ([_gray(x)] for x in (pictures, others))
    while len(first) < LEVELS and min(first[0].shape[1:3]) >= 2 * SMALLEST:
        for pyramid in (first, second):
            pyramid.insert(0, _halved(pyramid[0]))
    flow = jnp.zeros((*first[0].shape[:3], 2))
    for level, (x, y) in enumerate(zip(first, second, strict=True)):
        if level:
            flow = 2 * resample(flow, *x.shape[1:3])
        for _ in range(STEPS):
            flow = flow + _correction(x, warp(y, flow, border=True))
    return jax.lax.stop_gradient(flow)


def _correction(x: jax.Array, y: jax.Array) -> jax.Array:
    """How much farther y [b, h, w, 1] lies from x."""
    both = (x + y) / 2
    right, down = (_filtered(both, (-0.5, 0.0, 0.5), axis) for axis in (2, 1))
    lacking = x - y
    products = (right * right, right * down, down * down, right * lacking, down * lacking)
    sums = jnp.concatenate(products)
    for axis in (1, 2):
        sums = _filtered(sums, WINDOW, axis)
    a, b, d, e, f = jnp.split(sums[..., 0], len(products))
    a, d = a + NOISE, d + NOISE
    size = a * d - b * b
    return jnp.clip(jnp.stack([(d * e - b * f) / size, (a * f - b * e) / size], -1), -1, 1)


def _gray(x: jax.Array) -> jax.Array:
    return jax.lax.stop_gradient(x).astype(jnp.float32).mean(-1, keepdims=True)


def _halved(x: jax.Array) -> jax.Array:
    for axis in (1, 2):
        x = _filtered(x, (0.25, 0.5, 0.25), axis)
    return resample(x, -(-x.shape[1] // 2), -(-x.shape[2] // 2))


def _filtered(x: jax.Array, taps: Sequence[float], axis: int) -> jax.Array:
    """x [b, h, w, 1] by an odd number of taps along an axis; its edges are repeated."""
    reach = len(taps) // 2
    pads = [(reach, reach) if a == axis else (0, 0) for a in range(x.ndim)]
    kernel = jnp.asarray(taps, x.dtype).reshape([-1 if a == axis else 1 for a in (1, 2)] + [1, 1])
    # Differences of products are left: more digits than accelerators take by themselves.
    settings = {"dimension_numbers": LAYOUT, "precision": jax.lax.Precision.HIGHEST}
    padded = jnp.pad(x, pads, mode="edge")
    return jax.lax.conv_general_dilated(padded, kernel, (1, 1), "VALID", **settings)
