"""What several networks share: convolutions, normalisation, enlargement."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from jsr.convolution import conv_general_dilated

Scale = Literal[1, 2, 3, 4, 8]
# Sub-pixel stages of an enlargement, in order.
STAGES = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}
# The gain that gives the variance of PyTorch's default initialisation, 1 / (3 * fan_in).
TORCH_GAIN = 1 / math.sqrt(6)
# The mean colour of DIV2K's training pictures, which networks since EDSR subtract.
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


def kaiming_normal(gain: float = 1.0) -> Callable:
    """An initialiser: normal with variance gain**2 * 2 / fan_in (He et al. 2015, eq. 10)."""

    def initialise(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        deviation = gain * math.sqrt(2.0 / math.prod(shape[:-1]))
        # Drawn flat: XLA's CPU compiler takes up to ten times longer over four axes.
        flat = jax.random.normal(key, (math.prod(shape),), dtype)
        return deviation * flat.reshape(shape)

    return initialise


def conv(
    features: int,
    kernel: int = 3,
    stride: int = 1,
    bias: bool = True,
    gain: float = 1.0,
    dtype: Any = jnp.float32,
    name: str | None = None,
) -> nn.Conv:
    """A square convolution with (kernel - 1) // 2 zeros on every side, as the papers have it.

    [b, h, w, c] to [b, ceil(h / stride), ceil(w / stride), features] for an odd kernel; an even
    one gives floor((h - 2) / stride) + 1. XLA's own "SAME" pads a single side at stride 2.
    Weights: `kaiming_normal(gain)`; bias: zero.
    """
    pad = (kernel - 1) // 2
    return nn.Conv(
        features,
        (kernel, kernel),
        strides=stride,
        padding=((pad, pad), (pad, pad)),
        use_bias=bias,
        kernel_init=kaiming_normal(gain),
        dtype=dtype,
        conv_general_dilated=conv_general_dilated,
        name=name,
    )


class Groups(NamedTuple):
    """The devices along an axis in groups of equal size, by their indices."""

    axis: str
    members: tuple[tuple[int, ...], ...]


def batch_norm(
    train: bool, axis_name: str | Groups | None, dtype: Any, name: str | None = None
) -> nn.BatchNorm:
    """Batch normalisation with PyTorch's constants; parameters and statistics are float32.

    In training the statistics are those of all the devices along `axis_name`, where given, or of
    each of its groups.
    """
    axis, members = axis_name if isinstance(axis_name, Groups) else (axis_name, None)
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,
        epsilon=1e-5,
        axis_name=axis,
        axis_index_groups=members,
        dtype=dtype,
        name=name,
    )


def pixel_shuffle(x: jax.Array, scale: int) -> jax.Array:
    """Rearrange [b, h, w, c * scale**2] to [b, h * scale, w * scale, c] (Shi et al. 2016, eq. 4).

    Channels are ordered as in PyTorch: colour slowest, then row, then column of the sub-pixel.
    """
    b, h, w, channels = x.shape
    c = channels // scale**2
    x = x.reshape(b, h, w, c, scale, scale)
    x = x.transpose(0, 1, 4, 2, 5, 3)  # [b, h, scale, w, scale, c]
    return x.reshape(b, h * scale, w * scale, c)


def pixel_unshuffle(x: jax.Array, scale: int) -> jax.Array:
    """The inverse of `pixel_shuffle`: [b, h * scale, w * scale, c] to [b, h, w, c * scale**2]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // scale, scale, w // scale, scale, c)
    x = x.transpose(0, 1, 3, 5, 2, 4)  # [b, h, w, c, scale, scale]
    return x.reshape(b, h // scale, w // scale, c * scale**2)


def sub_pixel_stages(
    features: int, scale: int, prefix: str, dtype: Any = jnp.float32
) -> Callable[[jax.Array], jax.Array]:
    """What enlarges [b, h, w, features] to [b, h * scale, w * scale, features] by up to 3 stages.

    A stage is a convolution, in a PyTorch sequence `prefix.0`, `prefix.2`, ..., and a pixel
    shuffle.
    """
    stages = [
        (conv(features * s**2, gain=TORCH_GAIN, dtype=dtype, name=f"{prefix}.{2 * i}"), s)
        for i, s in enumerate(STAGES[scale])
    ]

    def enlarge_features(x: jax.Array) -> jax.Array:
        for layer, s in stages:
            x = pixel_shuffle(layer(x), s)
        return x

    return enlarge_features


def sub_pixel_scale(
    shapes: Mapping[str, tuple[int, ...]], prefix: str, features: int, step: int = 2
) -> int:
    """By how much the stages `prefix.0`, `prefix.{step}`, ... of a PyTorch state dict enlarge."""
    biases = (shapes.get(f"{prefix}.{step * i}.bias") for i in range(3))
    return math.prod(math.isqrt(shape[0] // features) for shape in biases if shape)


def mean_colour(channels: int) -> jax.Array:
    """What is subtracted from a picture: DIV2K's mean colour, or nothing unless it is RGB."""
    return jnp.asarray(DIV2K_MEAN if channels == 3 else (0.0,), jnp.float32)


def _nearest(d: np.ndarray) -> np.ndarray:
    return (d < 0.5).astype(np.float64)


def _bilinear(d: np.ndarray) -> np.ndarray:
    return np.maximum(1.0 - d, 0.0)


def _bicubic(d: np.ndarray) -> np.ndarray:
    near = (1.5 * d - 2.5) * d**2 + 1.0
    far = ((-0.5 * d + 2.5) * d - 4.0) * d + 2.0
    return np.where(d <= 1.0, near, np.where(d < 2.0, far, 0.0))


KERNELS = {"nearest": _nearest, "bilinear": _bilinear, "bicubic": _bicubic}


def enlarge(x: jax.Array, scale: int, method: str) -> jax.Array:
    """Enlarge [b, h, w, c] of any size to [b, h * scale, w * scale, c], as MATLAB's imresize does.

    Pixel centres align, borders are mirrored, and `method` is nearest, bilinear or bicubic (Keys
    1981, a = -0.5). Each output pixel weighs the five input pixels around it, so that a crop gives
    the same values two input pixels inside its borders. Keeps the dtype.
    """
    centres = (np.arange(scale) + 0.5) / scale - 0.5
    distances = np.abs(centres[:, None] - np.arange(-2, 3))  # [scale, 5]
    weights = KERNELS[method](distances).tolist()
    return _enlarge_axis(_enlarge_axis(x, weights, 1), weights, 2)


def _enlarge_axis(x: jax.Array, weights: list[list[float]], axis: int) -> jax.Array:
    size = x.shape[axis]
    pad = [(2, 2) if a == axis else (0, 0) for a in range(x.ndim)]
    padded = jnp.pad(x, pad, mode="symmetric")
    shifted = [lax.slice_in_dim(padded, k, k + size, axis=axis) for k in range(5)]
    # Sums in place of a matrix product: exact in float32 on every accelerator.
    phases = [sum(w * s for w, s in zip(row, shifted, strict=True) if w) for row in weights]
    shape = [n * len(weights) if a == axis else n for a, n in enumerate(x.shape)]
    return jnp.stack(phases, axis=axis + 1).reshape(shape)
