"""The eight ways to turn and mirror a picture: augmentation, and its inverse for self-ensemble."""

import numpy as np

COUNT = 8


def orient(image: np.ndarray, orientation: int) -> np.ndarray:
    """[h, w, ...] mirrored and turned, a view: bit 0 left-right, bit 1 up-down, bit 2 transposes.

    The transposition comes last.
    """
    if orientation & 1:
        image = image[:, ::-1]
    if orientation & 2:
        image = image[::-1]
    return image.swapaxes(0, 1) if orientation & 4 else image


def restore(image: np.ndarray, orientation: int) -> np.ndarray:
    """The inverse of `orient`, a view."""
    image = image.swapaxes(0, 1) if orientation & 4 else image
    return orient(image, orientation & 3)
