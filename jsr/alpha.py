"""Transparency: colours where nothing shows, and alpha without ringing."""

import numpy as np
from scipy.ndimage import maximum_filter, minimum_filter, uniform_filter

# Half of the least alpha of 16 bits: less in a sum over a square is its rounding.
FAINTEST = 0.5 / 65535


def fill_hidden(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours [h, w, c] in [0, 1] with those under alpha 0 taken from what shows near them.

    What a file has there is arbitrary, and would show as a halo once a filter or a network mixes
    it into what is visible. It becomes the mean, weighted by alpha [h, w] (that is, premultiplied),
    over the least of the squares of sides 3, 7, 15, ... around it in which something shows.
    """
    missing = alpha <= 0
    if missing.all() or not missing.any():
        return pixels
    weights = alpha.astype(np.float64)
    filled, side = pixels.copy(), 3
    while missing.any():
        total = uniform_filter(weights, side, mode="constant")
        near = missing & (total > FAINTEST / side**2)
        for channel in range(pixels.shape[2]):
            shown = uniform_filter(weights * pixels[..., channel], side, mode="constant")
            filled[..., channel][near] = np.clip(shown[near] / total[near], 0, 1)
        missing &= ~near
        side = 2 * side + 1
    return filled


def bounds(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and greatest alpha of the 3x3 pixels around each: [h, w] each.

    An enlarged alpha kept within has no ringing: what is opaque or clear all around stays so.
    """
    return minimum_filter(alpha, 3, mode="nearest"), maximum_filter(alpha, 3, mode="nearest")
