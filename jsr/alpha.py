"""Transparency: colours where nothing shows, and alpha without ringing."""

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter


def fill_hidden(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours [h, w, c] with those under alpha 0 taken from what shows nearest; floats.

    What a file has there is arbitrary, and would show as a halo once a filter or a network mixes
    it into what is visible. Means are weighted by alpha [h, w] (premultiplied), over squares that
    double until something shows (the pull-push scheme of Gortler et al. 1996).
    """
    shown = alpha > 0
    if shown.all() or not shown.any():
        return pixels
    height, width = alpha.shape
    even = ((0, height % 2), (0, width % 2))
    weight = _fours(np.pad(alpha, even)[..., None])
    total = _fours(np.pad(pixels * alpha[..., None], (*even, (0, 0))))
    means = total / np.maximum(weight, np.finfo(np.float32).tiny)
    coarse = fill_hidden(means, weight[..., 0])
    spread = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(shown[..., None], pixels, spread)


def bounds(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and greatest alpha of the 3x3 pixels around each: [h, w] each.

    An enlarged alpha kept within has no ringing: what is opaque or clear all around stays so.
    """
    return minimum_filter(alpha, 3, mode="nearest"), maximum_filter(alpha, 3, mode="nearest")


def _fours(image: np.ndarray) -> np.ndarray:
    """Sums over squares of 2x2: [h, w, c] to [h / 2, w / 2, c]."""
    height, width, channels = image.shape
    return image.reshape(height // 2, 2, width // 2, 2, channels).sum(axis=(1, 3))
