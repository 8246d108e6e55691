"""A convolution whose weight gradient a CPU computes several times faster than by lax's rule.

A weight gradient is itself a convolution, with one of its operands as the pictures and the other
as a kernel of a picture's size. XLA compiles one of NHWC by HWIO to NHWC for a CPU by YNNPACK,
unless both feature axes have at most FEW features (of the gradient, these are the batch and what
the kernel has); any other takes ten times longer. Values, and gradients on other platforms, are
lax's own.
"""

import functools
from typing import Any

import jax
from jax import lax

LAYOUT = lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))  # NHWC, HWIO, NHWC
# More features than these make XLA choose YNNPACK for a CPU.
FEW = 16
# YNNPACK goes through the kernel by so many features at a time, again for each picture's feature:
COLUMNS = 64
# bytes of it beyond WIDE fall out of a core's cache on the way; FIT stay.
WIDE, FIT = 2**20, 640 * 2**10


def conv_general_dilated(
    lhs: jax.Array, rhs: jax.Array, window_strides: Any, padding: Any, **settings: Any
) -> jax.Array:
    """`lax.conv_general_dilated` with that gradient: for `nn.Conv`'s field of this name.

    [b, h, w, c] by [kh, kw, c, features] at stride 1 with explicit padding; everything else has
    lax's gradient. Differentiable any number of times, in reverse mode.
    """
    if padding == "VALID":
        padding = ((0, 0),) * (rhs.ndim - 2)
    ones = [1, *window_strides, settings.get("feature_group_count", 1)]
    for dilation in ("lhs_dilation", "rhs_dilation"):
        ones += settings.get(dilation) or ()
    plain = max(ones) == 1 and rhs.ndim == 4 and not isinstance(padding, str)
    if not plain or settings.get("dimension_numbers") != LAYOUT:
        return lax.conv_general_dilated(lhs, rhs, window_strides, padding, **settings)
    return _convolve(lhs, rhs, tuple(map(tuple, padding)), settings.get("precision"))


def _lax(x: jax.Array, kernel: jax.Array, padding: tuple, precision: Any) -> jax.Array:
    settings = {"dimension_numbers": LAYOUT, "precision": precision}
    return lax.conv_general_dilated(x, kernel, (1, 1), padding, **settings)


_convolve = jax.custom_vjp(_lax, nondiff_argnums=(2, 3))


def _forward(x, kernel, padding, precision):
    return _convolve(x, kernel, padding, precision), (x, kernel)


def _backward(padding, precision, saved, dy):
    x, kernel = saved

    def by_kernel(x, dy):
        return jax.linear_transpose(lambda k: _lax(x, k, padding, precision), kernel)(dy)[0]

    (dx,) = jax.linear_transpose(lambda x: _lax(x, kernel, padding, precision), x)(dy)
    swap, parts = plan(x.shape, dy.shape)
    if not swap and parts == 1:
        return dx, by_kernel(x, dy)
    on_cpu = functools.partial(_weight_gradient, kernel, padding, precision, swap, parts)
    return dx, lax.platform_dependent(x, dy, cpu=on_cpu, default=by_kernel)


_convolve.defvjp(_forward, _backward)


def plan(x: tuple[int, ...], dy: tuple[int, ...]) -> tuple[bool, int]:
    """How a CPU computes the weight gradient from shapes [b, h, w, c] and [b, h', w', features].

    Whether x is the kernel in place of dy, and in how many parts of the batch.
    """
    swap = dy[3] <= FEW and 2 * dy[3] <= x[3]
    b, h, w, features = x if swap else dy
    size = 4 * b * h * w * min(features, COLUMNS)
    if size <= WIDE or features <= FEW:
        return swap, 1
    return swap, next(n for n in range(1, b + 1) if not b % n and (size <= n * FIT or n == b))


def _weight_gradient(kernel, padding, precision, swap, parts, x, dy):
    """The gradient [kh, kw, c, features] for x [b, h, w, c] and dy [b, h', w', features]."""
    kh, kw = kernel.shape[:2]
    # A CPU computes in float32 at least, whatever the type.
    x, dy = (a.astype(jax.numpy.promote_types(a.dtype, "float32")) for a in (x, dy))
    if swap:
        x, dy = dy, x
        padding = [(k - 1 - p, k - 1 - q) for k, (p, q) in zip((kh, kw), padding, strict=True)]
    total = 0
    for i in range(parts):
        pictures, weights = (a[i * len(a) // parts :][: len(a) // parts] for a in (x, dy))
        total += _convolve(
            pictures.transpose(3, 1, 2, 0), weights.transpose(1, 2, 0, 3), padding, precision
        )
    # The features of x, kh, kw, those of dy.
    total = total[:, ::-1, ::-1].transpose(1, 2, 3, 0) if swap else total.transpose(1, 2, 0, 3)
    return total.astype(kernel.dtype)
