"""BT.601 studio-range luma and chroma, as MATLAB's rgb2ycbcr has them; sRGB and linear light."""

import numpy as np

# Rows Y, Cb, Cr for RGB in 0..255.
_MATRIX = (
    np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]])
    / 255.0
)
_OFFSET = np.array([16.0, 128.0, 128.0])
# How many channels a network has that is said to work on these.
CHANNELS = {"rgb": 3, "y": 1, "ct": 1}


def rgb_to_y(rgb: np.ndarray) -> np.ndarray:
    """Y in 16..235, float64 [...] and not rounded, of RGB [..., 3] in 0..255.

    What the tables of CNN papers measure: (65.481 R + 128.553 G + 24.966 B) / 255 + 16.
    Raises ValueError unless there are three channels.
    """
    rgb = _three_channels(rgb)
    # Channel by channel: the picture never lies in memory as float64 as a whole.
    y = np.multiply(rgb[..., 0], 65.481, dtype=np.float64)
    part = np.empty_like(y)
    for channel, weight in ((1, 128.553), (2, 24.966)):
        y += np.multiply(rgb[..., channel], weight, out=part, dtype=np.float64)
    y /= 255.0
    y += 16.0
    return y


def rgb_to_ycbcr(rgb: np.ndarray) -> np.ndarray:
    """YCbCr, float64 [..., 3], of RGB [..., 3] in 0..255: Y in 16..235, Cb and Cr in 16..240.

    Raises ValueError unless there are three channels.
    """
    return _three_channels(rgb) @ _MATRIX.T + _OFFSET


def ycbcr_to_rgb(ycbcr: np.ndarray) -> np.ndarray:
    """RGB in 0..255, float64 [..., 3] and neither rounded nor clipped, of YCbCr [..., 3].

    Raises ValueError unless there are three channels.
    """
    return (_three_channels(ycbcr) - _OFFSET) @ np.linalg.inv(_MATRIX).T


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """Values of sRGB (IEC 61966-2-1) in [0, 1] to light in [0, 1]; negative ones stay."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4)


def from_linear(light: np.ndarray) -> np.ndarray:
    """The inverse of `to_linear`."""
    curved = 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.04045 / 12.92, light * 12.92, curved)


def _three_channels(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.ndim < 1 or image.shape[-1] != 3:
        raise ValueError(f"expected [..., 3], not {list(image.shape)}")
    return image
