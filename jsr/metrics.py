"""PSNR, SSIM and MS-SSIM: exact in float64 on the host, the same in float32 on the device."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

WINDOW, SIGMA = 11, 1.5
# Weights of MS-SSIM's five scales, finest first (Wang et al. 2003, section 3.2).
MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# The coarsest scale must still hold the window.
MS_SIDE = WINDOW * 2 ** (len(MS_WEIGHTS) - 1)
# Rows that are filtered at once: their planes stay in the processor's cache, and threads that score
# a picture each seldom wait for Python's lock (with 8 rows two threads were no faster than one).
STRIP = 48


def _gaussian() -> np.ndarray:
    x = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(x**2) / (2.0 * SIGMA**2))
    return weights / weights.sum()


def psnr(sr: np.ndarray, hr: np.ndarray, data_range: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB over all elements; inf for equal pictures.

    Raises ValueError when the shapes differ or the pictures are empty.
    """
    _check_shapes(sr, hr)
    if 0 in sr.shape:
        raise ValueError(f"there is nothing to compare in pictures of {list(sr.shape)}")
    mse = np.mean((np.asarray(sr, np.float64) - np.asarray(hr, np.float64)) ** 2)
    return float("inf") if mse == 0 else float(10.0 * np.log10(data_range**2 / mse))


def ssim(sr: np.ndarray, hr: np.ndarray, data_range: float = 255.0) -> float:
    """Structural similarity of pictures [h, w] or [h, w, c], the mean over channels.

    11x11 Gaussian window of sigma 1.5, valid region only (Wang et al. 2004, eq. 13). Raises
    ValueError when the shapes differ, are others, or a side is shorter than the window.
    """
    _check_pictures(sr, hr, "SSIM", WINDOW)
    return float(np.mean([_similarity(x, y, data_range)[0] for x, y in _planes(sr, hr)]))


def ssim_matlab(sr: np.ndarray, hr: np.ndarray, data_range: float = 255.0) -> float:
    """SSIM as the function `ssim` of MATLAB's toolbox has it, which some papers print.

    As `ssim`, but the mean over all pixels, with the pictures' edges repeated beyond them. Raises
    ValueError as `ssim` does.
    """
    _check_pictures(sr, hr, "SSIM", WINDOW)
    width = [(WINDOW // 2, WINDOW // 2)] * 2 + [(0, 0)] * (sr.ndim - 2)
    return ssim(*(np.pad(image, width, mode="edge") for image in (sr, hr)), data_range)


def ms_ssim(sr: np.ndarray, hr: np.ndarray, data_range: float = 255.0) -> float:
    """Multi-scale structural similarity of pictures [h, w] or [h, w, c], the mean over channels.

    Five scales, each the mean over 2x2 pixels of the one before; contrast and structure of all,
    luminance of the coarsest (Wang et al. 2003, eq. 7). A negative mean counts as 0. Raises
    ValueError when the shapes differ, are others, or a side is shorter than 176 pixels.
    """
    _check_pictures(sr, hr, "MS-SSIM", MS_SIDE)
    return float(np.mean([_multi_scale(x, y, data_range) for x, y in _planes(sr, hr)]))


def psnr_on_device(sr: jax.Array, hr: jax.Array, data_range: float = 1.0) -> jax.Array:
    """PSNR [b] in float32 of pictures [b, h, w, c]; inf for equal ones.

    Raises ValueError when the shapes differ.
    """
    _check_shapes(sr, hr)
    mse = jnp.mean((sr.astype(jnp.float32) - hr.astype(jnp.float32)) ** 2, axis=(1, 2, 3))
    return 10.0 * jnp.log10(data_range**2 / mse)


def ssim_on_device(sr: jax.Array, hr: jax.Array, data_range: float = 1.0) -> jax.Array:
    """SSIM [b] in float32 of pictures [b, h, w, c], the mean over channels.

    Within 2e-4 of `ssim` on a single window and 5e-5 from 96 pixels a side, for a data range of 1;
    farthest from it on flat pictures. Raises ValueError when the shapes differ or a side is
    shorter than the window.
    """
    _check_shapes(sr, hr)
    _check_sides(sr.shape[1:3], "SSIM", WINDOW)
    return jnp.mean(_similarity_on_device(sr, hr, data_range)[0], axis=-1)


def ms_ssim_on_device(sr: jax.Array, hr: jax.Array, data_range: float = 1.0) -> jax.Array:
    """MS-SSIM [b] in float32 of pictures [b, h, w, c], the mean over channels, as `ms_ssim`.

    Within 1e-4 of `ms_ssim` for a data range of 1. Raises ValueError when the shapes differ or a
    side is shorter than 176 pixels.
    """
    _check_shapes(sr, hr)
    _check_sides(sr.shape[1:3], "MS-SSIM", MS_SIDE)
    product = 1.0
    for scale, weight in enumerate(MS_WEIGHTS, start=1):
        similarity, structure = _similarity_on_device(sr, hr, data_range)
        last = scale == len(MS_WEIGHTS)
        product *= jnp.maximum(similarity if last else structure, 0.0) ** weight
        sr, hr = _halve_on_device(sr), _halve_on_device(hr)
    return jnp.mean(product, axis=-1)


def _similarity_on_device(sr, hr, data_range: float) -> tuple[jax.Array, jax.Array]:
    """As `_similarity`, [b, c] each, of pictures [b, h, w, c]."""
    x, y = sr.astype(jnp.float32), hr.astype(jnp.float32)
    luminance, contrast = _ssim_maps(x, y, data_range)
    return jnp.mean(luminance * contrast, axis=(1, 2)), jnp.mean(contrast, axis=(1, 2))


def _halve_on_device(x: jax.Array) -> jax.Array:
    x = jnp.pad(x, [(0, 0), *((0, side % 2) for side in x.shape[1:3]), (0, 0)], mode="edge")
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4.0


def _planes(sr, hr):
    """Pairs of planes [h, w], one a channel, float64."""
    pair = (np.asarray(image, np.float64) for image in (sr, hr))
    stacked = (np.moveaxis(np.atleast_3d(image), -1, 0) for image in pair)
    return zip(*stacked, strict=True)


def _similarity(x: np.ndarray, y: np.ndarray, data_range: float) -> tuple[float, float]:
    """Means over the map of SSIM, and of its contrast and structure alone, for planes [h, w]."""
    height, width = (side - WINDOW + 1 for side in x.shape)
    total = structure = 0.0
    for top in range(0, height, STRIP):
        rows = slice(top, min(top + STRIP, height) + WINDOW - 1)
        luminance, contrast = _host_maps(x[rows], y[rows], data_range)
        structure += contrast.sum()
        total += (luminance * contrast).sum()
    return total / (height * width), structure / (height * width)


def _multi_scale(x: np.ndarray, y: np.ndarray, data_range: float) -> float:
    product = 1.0
    for scale, weight in enumerate(MS_WEIGHTS, start=1):
        similarity, structure = _similarity(x, y, data_range)
        last = scale == len(MS_WEIGHTS)
        product *= max(similarity if last else structure, 0.0) ** weight
        x, y = _halve(x), _halve(y)
    return product


def _halve(x: np.ndarray) -> np.ndarray:
    """Means over 2x2 pixels; the last row or column of an odd side is paired with itself."""
    x = np.pad(x, [(0, side % 2) for side in x.shape], mode="edge")
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4.0


def _ssim_maps(x: jax.Array, y: jax.Array, data_range: float) -> tuple[jax.Array, jax.Array]:
    """SSIM's luminance, and its contrast and structure, over the valid region."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    # A shift leaves variances alone; values around zero lose less of them in float32.
    middle = data_range / 2.0
    x, y = x - middle, y - middle
    # Both variances are needed only as their sum: one filter less.
    mean_x, mean_y, squares, product = _blur_on_device(x, y, x * x + y * y, x * y)
    variances = squares - mean_x * mean_x - mean_y * mean_y
    covariance = product - mean_x * mean_y
    mean_x, mean_y = mean_x + middle, mean_y + middle
    luminance = (2.0 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    return luminance, (2.0 * covariance + c2) / (variances + c2)


def _host_maps(x: np.ndarray, y: np.ndarray, data_range: float) -> tuple[np.ndarray, np.ndarray]:
    """As `_ssim_maps`, of a strip of two planes, in as few passes over it as there can be.

    A third faster than whole expressions, which made an array for each of their operations; twice
    as fast as scipy's correlate1d. Products with band matrices were as fast, but BLAS starts
    threads for them, which stand in the way where each core scores a picture of its own.
    """
    c1, c2, middle = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2, data_range / 2.0
    planes = np.empty((4, *x.shape))
    np.subtract(x, middle, out=planes[0])
    np.subtract(y, middle, out=planes[1])
    np.multiply(planes[0], planes[0], out=planes[2])
    np.multiply(planes[1], planes[1], out=planes[3])
    planes[2] += planes[3]
    np.multiply(planes[0], planes[1], out=planes[3])
    mean_x, mean_y, variances, covariance = _blur_axis(_blur_axis(planes, 1), 2)
    product, squares = mean_x * mean_y, mean_x * mean_x
    squares += mean_y * mean_y
    covariance -= product
    variances -= squares
    contrast = covariance
    contrast *= 2.0
    contrast += c2
    variances += c2
    contrast /= variances
    # The means' products with the middle added to both, of those without.
    shift = mean_x
    shift += mean_y
    shift += middle
    shift *= 2.0 * middle
    product *= 2.0
    for part in (product, squares):
        part += shift
        part += c1
    product /= squares
    return product, contrast


def _blur_axis(planes: np.ndarray, axis: int) -> np.ndarray:
    """The Gaussian over the valid region along an axis of planes [n, h, w], by Horner's scheme."""
    weights, half = _gaussian(), WINDOW // 2
    size = planes.shape[axis] - WINDOW + 1

    def shifted(start):
        return planes[(slice(None),) * axis + (slice(start, start + size),)]

    total = shifted(0) + shifted(WINDOW - 1)
    for tap in range(1, half):
        total *= weights[tap - 1] / weights[tap]
        total += shifted(tap)
        total += shifted(WINDOW - 1 - tap)
    total *= weights[half - 1] / weights[half]
    total += shifted(half)
    total *= weights[half]
    return total


def _blur_on_device(*images: jax.Array) -> list[jax.Array]:
    return [_blur_one_on_device(image) for image in images]


def _blur_one_on_device(image: jax.Array) -> jax.Array:
    batch, _, _, channels = image.shape
    weights = jnp.asarray(_gaussian(), jnp.float32)
    planes = jnp.moveaxis(image, -1, 1).reshape(batch * channels, 1, *image.shape[1:3])
    for shape in ((1, 1, WINDOW, 1), (1, 1, 1, WINDOW)):
        planes = lax.conv_general_dilated(
            planes, weights.reshape(shape), (1, 1), "VALID", precision=lax.Precision.HIGHEST
        )
    return jnp.moveaxis(planes.reshape(batch, channels, *planes.shape[2:]), 1, -1)


def _check_shapes(sr, hr) -> None:
    if sr.shape != hr.shape:
        raise ValueError(f"SR is {list(sr.shape)}, but HR is {list(hr.shape)}")


def _check_pictures(sr, hr, metric: str, smallest: int) -> None:
    _check_shapes(sr, hr)
    if sr.ndim not in (2, 3):
        raise ValueError(f"{metric} takes pictures [h, w] or [h, w, c], not {list(sr.shape)}")
    _check_sides(sr.shape[:2], metric, smallest)


def _check_sides(sides, metric: str, smallest: int) -> None:
    if min(sides) < smallest:
        raise ValueError(f"{metric} needs sides of {smallest} pixels or more, not {list(sides)}")
