"""A picture smaller than a compiled shape: on a canvas, yet as if it were alone.

What a convolution pads is zero in every layer. On a larger canvas the same is had by setting the
features beyond the picture to zero before each convolution; the canvas itself is the picture
mirrored, as enlargements inside a network mirror it.
"""

from collections.abc import Callable

import jax
import numpy as np
from flax import linen as nn

from jsr.models.tails import of_part

SMALLEST = 16
# Sizes of a canvas in each doubling: 64, 80, 96, 112, 128, 160, ...
STEPS = 4
# What enlargements see of the mirrored picture: less of it than this would be mirrored once more.
MARGIN = 4
TOLERANCE = 1e-5


def canvas_side(size: int) -> int:
    """The side of the canvas for a picture's: as long, or longer by MARGIN or more."""
    step = max(SMALLEST, 2 ** max(size - 1, 1).bit_length() // 2 // STEPS)
    return size if size % step == 0 else -(-(size + MARGIN) // step) * step


def place(lr: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """LR [h, w, c] mirrored over [height, width, c], and 1 where it is: [height, width, 1]."""
    beyond = ((0, height - lr.shape[0]), (0, width - lr.shape[1]), (0, 0))
    inside = np.pad(np.ones((*lr.shape[:2], 1), np.float32), beyond)
    return np.pad(lr, beyond, mode="symmetric"), inside


def masked(module: nn.Module) -> Callable:
    """`apply(variables, canvas, inside)`: what the network makes of what lies `inside`.

    canvas: [b, h, w, c], inside: 1 in the picture, 0 beyond, [b, h, w, 1]. Raises ValueError for
    features whose sides are no multiple of the canvas'.
    """

    def apply(variables, canvas, inside):
        def keep_inside(call, args, kwargs, context):
            if isinstance(context.module, (nn.Conv, nn.ConvTranspose)):
                args = (args[0] * _spread(of_part(inside), args[0]), *args[1:])
            return call(*args, **kwargs)

        with nn.intercept_methods(keep_inside):
            return module.apply(variables, canvas)

    return apply


def can_be_masked(module: nn.Module, variables, channels: int) -> bool:
    """Whether a masked picture comes out as it does alone; tried on a small one."""
    lr = np.random.default_rng(0).random((9, 7, channels), np.float32)
    canvas, inside = place(lr, 16, 16)
    try:
        # Not compiled as a whole: the layers of a block are compiled once for all of them.
        alone = np.asarray(module.apply(variables, lr[None]))
        sr = np.asarray(masked(module)(variables, canvas[None], inside[None]))
    except (TypeError, ValueError, ZeroDivisionError):
        return False
    difference = np.abs(sr[:, : alone.shape[1], : alone.shape[2]] - alone).max()
    return bool(difference <= TOLERANCE * max(1.0, np.abs(alone).max()))


def _spread(inside: jax.Array, features: jax.Array) -> jax.Array:
    """`inside` at the size of `features`, which may be enlarged."""
    times = features.shape[1] // inside.shape[1]
    if features.shape[1:3] != tuple(times * side for side in inside.shape[1:3]):
        raise ValueError("features of another size than the canvas")
    return inside if times == 1 else inside.repeat(times, 1).repeat(times, 2)
