"""LR as papers on video make it: blurred by a Gaussian, then every s-th pixel ("BD")."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

# By scale: 1.6 pixels at x4. The kernel has 13 pixels.
SIGMA, RADIUS = 0.4, 6


def blur_down(hr: np.ndarray, scale: int) -> np.ndarray:
    """[h, w, c] to [h / scale, w / scale, c], float64 of the same range, not rounded.

    A Gaussian of sigma 0.4 * scale, 13x13, the picture mirrored at its edges without repeating
    them; then the first pixel of every `scale`, from the upper left corner on (the code of Jo et
    al. 2018, DUF). LR so lies (scale - 1) / 2 pixels up and left of where `imresize` has it.
    """
    blurred = hr.astype(np.float64)
    for axis in (0, 1):
        blurred = gaussian_filter1d(blurred, SIGMA * scale, axis, mode="mirror", radius=RADIUS)
    return blurred[::scale, ::scale]
