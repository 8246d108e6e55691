"""MATLAB's `imresize`, bit for bit, on the host; and the same operator as matrices on the device.

Two families of benchmark LR images exist, which differ at the borders alone: `symmetric` mirrors
the picture (today's MATLAB), `replicate` repeats its edge (older ones).

python -m jsr.resize HR_DIR LR_DIR --scale 4         # the LR picture of every picture of a folder
"""

import math
from collections.abc import Callable
from numbers import Integral, Real

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def _box(x: np.ndarray) -> np.ndarray:
    return ((x >= -0.5) & (x < 0.5)).astype(np.float64)


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys 1981, a = -0.5."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1.0
    far = -0.5 * x**3 + 2.5 * x**2 - 4.0 * x + 2.0
    return near * (x <= 1) + far * ((x > 1) & (x <= 2))


def _lanczos(lobes: int) -> Callable:
    def kernel(x):
        return np.sinc(x) * np.sinc(x / lobes) * (np.abs(x) < lobes)

    return kernel


# Kernel and its support, in pixels of the coarser picture.
METHODS: dict[str, tuple[Callable, float]] = {
    "nearest": (_box, 1.0),
    "box": (_box, 1.0),
    "bilinear": (_triangle, 2.0),
    "bicubic": (_cubic, 4.0),
    "lanczos2": (_lanczos(2), 4.0),
    "lanczos3": (_lanczos(3), 6.0),
}
EDGES = ("symmetric", "replicate")
# How many are worked on at a time.
ROWS = 16


def imresize(
    image: np.ndarray,
    scale: float | None = None,
    shape: tuple[int, int] | None = None,
    method: str = "bicubic",
    edges: str = "symmetric",
    antialias: bool = True,
    rounded: bool = True,
) -> np.ndarray:
    """Resize a picture [h, w] or [h, w, c] by `scale`, or to `shape` (height, width).

    Integer pictures (uint8, uint16) come back in their type, rounded half up and clipped after
    each of the two passes as MATLAB does, or with `rounded=False` only at the end; floats come
    back as float64, unrounded. The output of a scale has ceil(size * scale) pixels. `antialias`
    stretches the kernel when shrinking (never for `nearest`). The smaller scale goes first, the
    height on ties. Away from the borders a crop that starts on the coarser picture's grid gives
    the crop of the result, for floats bit for bit when shrinking by a whole factor.

    Raises ValueError for an empty picture, another shape or type, and bad arguments.
    """
    image = np.asarray(image)
    _check_image(image)
    sizes = image.shape[:2]
    shape, scales = _target(sizes, scale, shape)
    top = np.iinfo(image.dtype).max if image.dtype.kind == "u" else None
    result = image
    for axis in sorted((0, 1), key=lambda axis: scales[axis]):
        taps = _taps(sizes[axis], shape[axis], scales[axis], method, edges, antialias)
        result = _apply(result, *taps, axis)
        if top is not None and rounded:
            result = _round(result, top, image.dtype)
    return result if top is None or rounded else _round(result, top, image.dtype)


def resize_axis(
    image: np.ndarray, axis: int, size: int, scale: float, method: str = "bicubic"
) -> np.ndarray:
    """One pass of `imresize`, unrounded: axis 0 or 1 of [h, w, c] by `scale` to `size` pixels.

    float64. Raises ValueError for bad arguments.
    """
    _check_image(image)
    if size < 1 or not 0 < scale < math.inf:
        raise ValueError(f"cannot resize {image.shape[axis]} to {size} pixels by {scale}")
    taps = _taps(image.shape[axis], size, scale, method, "symmetric", antialias=True)
    return _apply(image, *taps, axis)


def downscale(hr: np.ndarray, scale: int, edges: str = "symmetric") -> np.ndarray:
    """The benchmark LR of an HR picture: uint8 [h, w, c] to [h // scale, w // scale, c].

    HR is cropped to a multiple of the scale first. Raises ValueError like `crop_to_multiple`.
    """
    return imresize(crop_to_multiple(hr, scale), scale=1.0 / scale, edges=edges)


def crop_to_multiple(image: np.ndarray, scale: int) -> np.ndarray:
    """The top-left part [h', w', ...] whose sides are multiples of `scale`, a view.

    Raises ValueError when the scale is not a positive integer or larger than a side.
    """
    if not isinstance(scale, Integral) or scale < 1:
        raise ValueError(f"scale must be a positive integer, not {scale}")
    if min(image.shape[:2]) < scale:
        raise ValueError(f"a picture of {image.shape[:2]} has no multiple of {scale} in it")
    height, width = (size - size % scale for size in image.shape[:2])
    return image[:height, :width]


def adjoint(
    residual: np.ndarray,
    shape: tuple[int, int],
    scale: float,
    method: str = "bicubic",
    edges: str = "symmetric",
    antialias: bool = True,
) -> np.ndarray:
    """The transpose of unrounded `imresize`: float [h', w'(, c)] back to float64 `shape` (h, w).

    <imresize(x), r> = <x, adjoint(r)>, which is what gradients and back-projection need. Raises
    ValueError for an empty picture, another number of axes and bad arguments.
    """
    result = np.asarray(residual, np.float64)
    _check_image(result)
    for axis, size in enumerate(shape):
        taps = _taps(size, result.shape[axis], scale, method, edges, antialias)
        result = _apply_transposed(result, *taps, axis, size)
    return result


def resize_matrix(
    size_in: int,
    size_out: int,
    scale: float,
    method: str = "bicubic",
    edges: str = "symmetric",
    antialias: bool = True,
) -> np.ndarray:
    """One pass of `imresize` as a matrix: float64 [size_out, size_in], rows summing to one.

    Raises ValueError for bad arguments.
    """
    if min(size_in, size_out) < 1 or not 0 < scale < math.inf:
        raise ValueError(f"cannot resize {size_in} to {size_out} pixels by {scale}")
    indices, weights = _taps(size_in, size_out, scale, method, edges, antialias)
    matrix = np.zeros((size_out, size_in))
    np.add.at(matrix, (np.arange(size_out)[:, None], indices), weights)
    return matrix


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Values in 0..255 rounded half up and clipped, as MATLAB makes uint8 of them."""
    return _round(np.asarray(image), 255, np.uint8)


def resize_on_device(image: jax.Array, matrix_h: jax.Array, matrix_w: jax.Array) -> jax.Array:
    """[..., h, w, c] to [..., h', w', c] by the matrices [h', h] and [w', w], without rounding."""
    high = lax.Precision.HIGHEST
    image = jnp.einsum("Hh,...hwc->...Hwc", matrix_h, image, precision=high)
    return jnp.einsum("Ww,...hwc->...hWc", matrix_w, image, precision=high)


def _check_image(image: np.ndarray) -> None:
    known = image.dtype in (np.uint8, np.uint16) or image.dtype.kind == "f"
    if image.ndim not in (2, 3) or image.size == 0 or not known:
        raise ValueError(
            "image must be uint8, uint16 or float [h, w] or [h, w, c] and not empty, but is"
            f" {image.dtype} {list(image.shape)}"
        )


def _target(sizes, scale, shape) -> tuple[tuple[int, int], tuple[float, float]]:
    """The height and width of the output, and by how much each side is scaled."""
    if (scale is None) == (shape is None):
        raise ValueError("give either scale or shape")
    if shape is None:
        if not isinstance(scale, Real) or not 0 < scale < math.inf:
            raise ValueError(f"scale must be a positive number, not {scale}")
        return tuple(math.ceil(size * scale) for size in sizes), (float(scale),) * 2
    if len(shape) != 2 or not all(isinstance(side, Integral) and side > 0 for side in shape):
        raise ValueError(f"shape must be two positive integers (height, width), not {shape}")
    return tuple(shape), tuple(out / size for out, size in zip(shape, sizes, strict=True))


def _taps(size_in, size_out, scale, method, edges, antialias) -> tuple[np.ndarray, np.ndarray]:
    """For each output pixel the input pixels that it reads and their weights, both [out, taps]."""
    if method not in METHODS:
        raise ValueError(f"method {method!r} is unknown; known: {', '.join(METHODS)}")
    if edges not in EDGES:
        raise ValueError(f"edges {edges!r} is unknown; known: {', '.join(EDGES)}")
    kernel, support = METHODS[method]
    stretch = min(scale, 1.0) if antialias and method != "nearest" else 1.0
    width = support / stretch
    # Centres of the output pixels in input coordinates, counted from 1 as MATLAB does.
    centers = np.arange(1, size_out + 1) / scale + 0.5 * (1.0 - 1.0 / scale)
    count = math.ceil(width) + 2
    indices = np.floor(centers - width / 2.0)[:, None] + np.arange(count)
    weights = stretch * kernel(stretch * (centers[:, None] - indices))
    weights = weights / weights.sum(axis=1, keepdims=True)
    indices = _inside(indices.astype(np.int64) - 1, size_in, edges)
    used = np.any(weights != 0.0, axis=0)
    return indices[:, used], weights[:, used]


def _inside(indices: np.ndarray, size: int, edges: str) -> np.ndarray:
    if edges == "replicate":
        return np.clip(indices, 0, size - 1)
    mirrored = np.mod(indices, 2 * size)
    return np.where(mirrored < size, mirrored, 2 * size - 1 - mirrored)


def _apply(image: np.ndarray, indices: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """Weighted sum over the taps, in their order, so that a crop's result is the whole's.

    Rows are worked on a few at a time, which keeps them in the processor's cache (measured on
    512x512x3 floats: five times as fast as whole pictures).
    """
    shape = (*image.shape[:axis], len(indices), *image.shape[axis + 1 :])
    total = np.zeros(shape)
    columns = weights.T.reshape(weights.shape[1], -1, *(1,) * (image.ndim - 1 - axis))
    for top in range(0, shape[0], ROWS):
        rows = slice(top, top + ROWS)
        for tap, column in enumerate(columns):
            if axis == 0:
                total[rows] += column[rows] * image[indices[rows, tap]]
            else:
                total[rows] += column * image[rows].take(indices[:, tap], axis=1)
    return total


def _apply_transposed(image, indices, weights, axis: int, size: int) -> np.ndarray:
    """What `_apply` reads from `size` pixels, given back to them."""
    image = np.moveaxis(image, axis, 0)
    total = np.zeros((size, *image.shape[1:]))
    broadcast = (-1,) + (1,) * (image.ndim - 1)
    for tap in range(indices.shape[1]):
        np.add.at(total, indices[:, tap], weights[:, tap].reshape(broadcast) * image)
    return np.moveaxis(total, 0, axis)


def _round(image: np.ndarray, top: int, dtype) -> np.ndarray:
    return np.clip(np.floor(image + 0.5), 0, top).astype(dtype)


if __name__ == "__main__":
    from absl import flags

    from jsr import command_line, lr_folder

    lr_folder.define_flags()
    flags.adopt_module_key_flags(lr_folder)
    command_line.run_command(lambda words: lr_folder.main(words, flags.FLAGS))
