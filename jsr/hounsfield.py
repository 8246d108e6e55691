"""CT in Hounsfield units (HU) on the scale 0..255 of all pictures here, without rounding to it.

Slices are float32 [h, w, 1]: 0 stands for LOW, 255 for HIGH, and 4096 steps of one HU lie between.
Every HU comes back exactly; only what lies outside is cut off. Eight bits are for looking alone.
"""

import numpy as np

LOW, HIGH = -1024, 3071
RANGE = float(HIGH - LOW)
# Centre and width in HU.
WINDOWS = {
    "brain": (40, 80),
    "soft": (50, 400),
    "lung": (-600, 1500),
    "bone": (500, 2000),
    "full": ((LOW + HIGH + 1) // 2, HIGH - LOW + 1),
}
WARNING = (
    "adversarial detail is not anatomy: a GAN stage invents plausible texture, which the scanner"
    " never saw; use the pixel stage, and nothing of this for a diagnosis"
)


def to_levels(hu: np.ndarray) -> np.ndarray:
    """HU of any type to float32 in 0..255, cut off at LOW and HIGH."""
    cut = np.clip(np.asarray(hu, np.float64), LOW, HIGH)
    return ((cut - LOW) * (255.0 / RANGE)).astype(np.float32)


def to_hu(levels: np.ndarray) -> np.ndarray:
    """The nearest HU of values in 0..255: int16 in LOW..HIGH."""
    hu = np.rint(np.asarray(levels, np.float64) * (RANGE / 255.0)) + LOW
    return np.clip(hu, LOW, HIGH).astype(np.int16)


def round_levels(levels: np.ndarray) -> np.ndarray:
    """Values in 0..255 at the nearest whole HU, as a file would hold them: float32."""
    return to_levels(to_hu(levels))


def is_ct(picture: np.ndarray) -> bool:
    """Whether a picture is such a slice; photographs are uint8, and luma not rounded float64."""
    return picture.dtype == np.float32 and picture.ndim == 3 and picture.shape[2] == 1


def look(levels: np.ndarray, window: str = "soft") -> np.ndarray:
    """A slice through a window, for looking only: uint8 of the same shape."""
    centre, width = WINDOWS[window]
    shown = (to_hu(levels).astype(np.float64) - (centre - width / 2)) * (255.0 / width)
    return np.rint(np.clip(shown, 0, 255)).astype(np.uint8)


def difference_map(hu: np.ndarray, reference: np.ndarray, reach: int = 200) -> np.ndarray:
    """Where HU [h, w, 1] differs from a reference: uint8 [h, w, 3].

    White where equal; red where it is more, blue where less, full at `reach` HU.
    """
    apart = (hu.astype(np.float64) - reference) / reach
    more, less = np.clip(apart, 0, 1), np.clip(-apart, 0, 1)
    return np.rint(255 * (1 - np.concatenate([less, more + less, more], axis=-1))).astype(np.uint8)
